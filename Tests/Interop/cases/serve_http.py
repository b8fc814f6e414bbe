"""The opening handshake on the wire: what `khp serve` answers to right and wrong heads, byte by byte."""

from support.check import among, check, equal, holds
from support.registry import behaviour
from support.wire import KHP, accept_of

NAMES = {
    400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 414: "Request-URI Too Long",
    426: "Upgrade Required", 431: "Request Header Fields Too Large", 505: "HTTP Version Not Supported",
}  # fmt: skip


async def _refused(client, status):
    """One whole refusal in its exact form, and then the end of the connection."""
    answer = await client.head()
    among(answer.status, status if isinstance(status, tuple) else (status,), "status")
    equal(answer.start, f"HTTP/1.1 {answer.status} {NAMES[answer.status]}", "status line")
    equal(answer.names[0], "Connection", "first field")
    equal(answer.get("Connection"), "close", "Connection")
    equal(answer.get("Content-Type"), "text/plain; charset=utf-8", "Content-Type")
    check(answer.get("Date"), "no Date")
    status_line, sentence = answer.entity.decode().splitlines()
    equal(status_line, f"{answer.status} {NAMES[answer.status]}", "the entity's first line")
    check(sentence, "the entity does not say what is wrong")
    await client.expect_end()
    return answer


REQUESTS = [
    ("another method", {"method": "POST"}, 405),
    ("HEAD", {"method": "HEAD"}, 405),
    ("version missing", {"without": ("Sec-WebSocket-Version",)}, 426),
    ("version 99", {"Sec_WebSocket_Version": "99"}, 426),
    ("version 0", {"Sec_WebSocket_Version": "0"}, 426),
    ("no upgrade asked for", {"without": ("Upgrade", "Connection")}, 426),
    ("another upgrade", {"Upgrade": "h2c"}, (400, 426)),
    ("Connection without Upgrade", {"Connection": "keep-alive"}, (400, 426)),
    ("key missing", {"without": ("Sec-WebSocket-Key",)}, 400),
    ("key too short", {"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
    ("key too long", {"Sec_WebSocket_Key": "dGhpcyBpcyBtb3JlIHRoYW4gMTYgYnl0ZXM="}, 400),
    ("key no base64", {"Sec_WebSocket_Key": "!!!!!!!!!!!!!!!!!!!!!!=="}, 400),
    ("Host missing", {"without": ("Host",)}, 400),
    ("Host twice", {"fields": [("Host", "other.example")]}, 400),
    ("Host with userinfo", {"Host": "joe@127.0.0.1"}, 400),
    ("a space before the colon", {"fields": [("X-Odd ", "1")]}, 400),
    ("a name with a space", {"fields": [("X Odd", "1")]}, 400),
    ("an empty name", {"fields": [("", "1")]}, 400),
    ("NUL in a value", {"fields": [("X-Odd", "a\0b")]}, 400),
    ("a bare CR in a value", {"fields": [("X-Odd", "a\rb")]}, 400),
    ("a bare LF as line end", {"fields": [("X-Odd", "a\nX-Other: b")]}, 400),
    ("a folded line", {"fields": [("X-Odd", "a\r\n b")]}, 400),
    ("Transfer-Encoding", {"fields": [("Transfer-Encoding", "chunked")]}, 400),
    ("Content-Length twice", {"fields": [("Content-Length", "0"), ("Content-Length", "0")]}, 400),
    ("a key twice", {"fields": [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]}, 400),
    ("a malformed extension list", {"fields": [("Sec-WebSocket-Extensions", "a; b=\"")]}, 400),
    ("a malformed subprotocol", {"Sec_WebSocket_Protocol": "a b"}, 400),
    ("a field line of 9,000 bytes", {"fields": [("X-Long", "a" * 9000)]}, 431),
    ("101 further fields", {"fields": [(f"X-{number}", "a") for number in range(101)]}, 431),
    ("a head of 40,000 bytes", {"fields": [(f"X-{number}", "a" * 7900) for number in range(5)]}, 431),
    ("a path of 9,000 bytes", {"path": "/" + "a" * 9000}, 414),
    ("a path with a raw byte", {"path": "/\xe4"}, 400),
]  # fmt: skip


@behaviour("an opening is refused", rows=REQUESTS)
async def _(bench, changes, status):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    await client.send(client.opening(**changes))
    if changes.get("method") == "HEAD":
        answer = await client.head_without_entity()
        equal(answer.status, status, "status")
        await client.expect_end()
    else:
        answer = await _refused(client, status)
    if answer.status == 405:
        equal(answer.get("Allow"), "GET", "Allow")
    if answer.status == 426:
        equal(answer.get("Sec-WebSocket-Version"), "13, 8", "Sec-WebSocket-Version")
        equal((answer.get("Upgrade") or "").lower(), "websocket", "Upgrade")
    await server.answers()


LINES = [
    ("HTTP/2.0", b"GET /echo HTTP/2.0\r\n", 505),
    ("HTTP/0.9", b"GET /echo\r\n", 400),
    ("no target", b"GET  HTTP/1.1\r\n", 400),
    ("a lower-case version", b"GET /echo http/1.1\r\n", 400),
    ("two spaces", b"GET  /echo HTTP/1.1\r\n", 400),
    ("a leading empty line", b"\r\nGET /echo HTTP/1.1\r\n", 400),
    ("no method", b" /echo HTTP/1.1\r\n", 400),
    ("TLS", bytes.fromhex("16030100c8010000c40303") + b"\r\n", 400),
]


@behaviour("a request line is refused", rows=LINES)
async def _(bench, line, status):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    fields = client.opening().split(b"\r\n", 1)[1]
    await client.send(line + fields)
    await _refused(client, status)
    await server.answers()


@behaviour("a refused request is the last one that is answered")
async def _(bench):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    await client.send(client.opening(Sec_WebSocket_Version="99") + client.opening("/nope"))
    await _refused(client, 426)


ACCEPTED = [
    ("the plain form", {}),
    ("version 8", {"Sec_WebSocket_Version": "8"}),
    ("other letters", {"Upgrade": "WEBSOCKET", "Connection": "UPGRADE"}),
    ("tokens among others", {"Upgrade": "h2c, websocket", "Connection": "keep-alive, Upgrade"}),
    ("100 fields altogether", {"fields": [(f"X-{number}", "a") for number in range(94)]}),
    ("a field line just under 8 KiB", {"fields": [("X-Long", "a" * 8000)]}),
]


@behaviour("an opening is accepted", rows=ACCEPTED)
async def _(bench, changes):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    answer = await client.open(**changes)
    equal(answer.status, 101, "status")
    await client.request()
    await client.expect_echo()


@behaviour("the 101 is written as deployed clients expect it")
async def _(bench):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    answer = await client.open(protocols=("amqp", KHP))
    equal(answer.start, "HTTP/1.1 101 Web Socket Protocol Handshake", "status line")
    expected = ["Connection", "Date", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Server", "Upgrade"]
    equal(answer.names, expected, "fields")
    equal(answer.get("Sec-WebSocket-Accept"), accept_of(client.key), "Sec-WebSocket-Accept")
    equal(answer.get("Sec-WebSocket-Protocol"), KHP, "preferred whatever the order")
    equal(answer.get("Server"), "swift-khp", "Server")
    equal((answer.get("Connection"), answer.get("Upgrade")), ("Upgrade", "websocket"), "upgrade")


@behaviour("Upgrade: WebSocket is answered in the same letters")
async def _(bench):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    answer = await client.open(Upgrade="WebSocket")
    equal(answer.get("Upgrade"), "WebSocket", "Upgrade")


@behaviour("an opening may come byte by byte, with the first frame glued to its end")
async def _(bench):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    opening = client.opening(protocols=())
    for index in range(len(opening) - 1):
        await client.send(opening[index : index + 1])
    await client.send(opening[-1:] + client.frame(1, b"glued"))
    equal((await client.head()).status, 101, "status")
    equal(await client.text(), "glued", "echo")


@behaviour("an old dialect is refused unless asked for", rows=[("hixie-76", True), ("hixie-75", False)])
async def _(bench, has_keys):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    keys = b"Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
    keys = keys if has_keys else b""
    await client.send(
        b"GET /echo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: " + client.authority.encode()
        + b"\r\nOrigin: http://example.com\r\n" + keys + b"\r\n" + (b"^n:ds[4U" if has_keys else b"")
    )  # fmt: skip
    among((await client.head()).status, (400, 426), "status")


@behaviour("--metrics gives Prometheus text on the same port")
async def _(bench):
    server = await bench.serve("--metrics", "/metrics")
    await server.answers()
    client = await bench.raw_client(server.port)
    await client.send(b"GET /metrics HTTP/1.1\r\nHost: " + client.authority.encode() + b"\r\n\r\n")
    answer = await client.head()
    equal(answer.status, 200, "status")
    holds(answer.get("Content-Type") or "", "text/plain", "Content-Type")
    lines = answer.entity.decode().splitlines()
    samples = [line for line in lines if line and not line.startswith("#")]
    check(samples, "no samples")
    for line in samples:
        name, _, value = line.rpartition(" ")
        check(name, f"no sample: {line!r}")
        float(value)
    check(any(line.startswith("# TYPE ") for line in lines), "no # TYPE line")
    check(any(float(line.rpartition(" ")[2]) > 0 for line in samples), "nothing was counted")


@behaviour("without --metrics its path is 404")
async def _(bench):
    server = await bench.serve()
    client = await bench.raw_client(server.port)
    await client.send(b"GET /metrics HTTP/1.1\r\nHost: " + client.authority.encode() + b"\r\n\r\n")
    await _refused(client, 404)
