"""The extended handshake of `khp serve`, against a raw client: right, odd and wrong requests."""

import asyncio
import itertools
import time

from support.check import Failed, among, check, equal
from support.patience import stretched
from support.registry import behaviour
from support.wire import BINARY, CLOSE, CONTINUATION, KHP, PING, PONG, TEXT, accept_of, close_payload, frame


async def _open(bench, *options, path="/echo", protocols=(KHP,), fields=()):
    server = await bench.serve(*options)
    client = await server.client()
    await client.open_khp(path, protocols, fields)
    return server, client


@behaviour("a request completes and the socket echoes", rows=[("binary", BINARY), ("text", TEXT)])
async def _(bench, opcode):
    _, client = await _open(bench)
    equal((await client.request(opcode=opcode)).status, 101, "status")
    await client.expect_echo("hello")
    await client.send_frame(BINARY, b"\x00\xff")
    equal(await client.message(), (BINARY, b"\x00\xff"), "binary echo")
    await client.closes()


@behaviour("the 101 inside is written as deployed clients expect it")
async def _(bench):
    _, client = await _open(bench, "--subprotocol", "amqp", "--extension", "x-one", protocols=(KHP, "amqp"))
    answer = await client.request(fields=[("Sec-WebSocket-Extensions", "x-one")])
    equal(answer.start, "HTTP/1.1 101 Web Socket Protocol Handshake", "status line")
    expected = ["Connection", "Date", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol",
                "Server", "Upgrade"]  # fmt: skip
    equal(answer.names, expected, "fields")
    equal(answer.get("Sec-WebSocket-Accept"), accept_of(client.key), "the same Accept")
    equal((answer.get("Sec-WebSocket-Protocol"), answer.get("Sec-WebSocket-Extensions")), ("amqp", "x-one"), "chosen")


def _messages(size):
    return lambda client, data: b"".join(client.frame(BINARY, data[at : at + size]) for at in range(0, len(data), size))


SHAPES = [
    ("in sixteen messages", lambda client, data: _messages(-(-len(data) // 16))(client, data)),
    ("in two messages, the second with the last byte", lambda client, data: client.frame(BINARY, data[:-1])
     + client.frame(BINARY, data[-1:])),
    ("in messages of both kinds", lambda client, data: client.frame(TEXT, data[:5]) + client.frame(BINARY, data[5:])),
    ("in fragments with a ping between", lambda client, data: client.frame(TEXT, data[:3], fin=False)
     + client.frame(PING, b"between") + client.frame(CONTINUATION, data[3:])),
    ("in fragments of one byte", lambda client, data: client.frame(TEXT, data[:1], fin=False)
     + b"".join(client.frame(CONTINUATION, data[n : n + 1], fin=False) for n in range(1, len(data) - 1))
     + client.frame(CONTINUATION, data[-1:])),
    ("with an unasked pong before", lambda client, data: client.frame(PONG, b"x") + client.frame(BINARY, data)),
]  # fmt: skip


@behaviour("a request may come", rows=SHAPES)
async def _(bench, shape):
    _, client = await _open(bench)
    await client.send(shape(client, client.request_bytes()))
    while (seen := await client.read_frame()).opcode == PONG:
        equal(seen.payload, b"between", "payload of the pong")
    check(seen.payload.startswith(b"HTTP/1.1 101 "), f"{seen.payload[:60]!r}")
    await client.expect_echo()


@behaviour("a request may come byte by byte on the wire, glued to the opening and to the first message")
async def _(bench):
    server = await bench.serve()
    whole = await server.client()
    conversation = whole.opening() + whole.frame(BINARY, whole.request_bytes()) + whole.frame(TEXT, b"hi")
    for size in (1, 7, len(conversation)):
        client = await server.client()
        client.key = whole.key
        for at in range(0, len(conversation), size):
            await client.send(conversation[at : at + size])
        if size == len(conversation):
            # Bytes before the answer are a message before completion, unless it is read after it.
            equal((await client.head()).status, 101, "status of the opening")
            among((await client.response()).status, (101, 400), "status")
        else:
            equal((await client.head()).status, 101, "status of the opening")
            await client.response()


ACCEPTED = [
    ("another query", "/echo?token=ann", []),
    ("Host with the same authority", "/echo", [("Host", None)]),
    ("the harmless fields of old clients", "/echo", [("Upgrade", "websocket"), ("Connection", "Upgrade"),
     ("Sec-WebSocket-Version", "13"), ("Origin", "http://evil.example"), ("Cookie", "a=b"), ("Date", "now")]),
    ("an empty subprotocol list", "/echo", [("Sec-WebSocket-Protocol", "")]),
    ("x-kaazing-handshake in its own list", "/echo", [("Sec-WebSocket-Protocol", KHP)]),
    ("unknown extensions", "/echo", [("Sec-WebSocket-Extensions", "x-unknown; a=\"b\", x-other")]),
]  # fmt: skip


@behaviour("a request is accepted with", rows=ACCEPTED)
async def _(bench, path, fields):
    server, client = await _open(bench)
    fields = [(name, client.authority if value is None else value) for name, value in fields]
    answer = await client.request(path, fields)
    equal(answer.status, 101, "status")
    equal(answer.get("Sec-WebSocket-Protocol"), None, "subprotocol")
    equal(answer.get("Sec-WebSocket-Extensions"), None, "extensions")
    await client.expect_echo()


SUBPROTOCOLS = [
    ("of both requests", (KHP, "mqtt"), "amqp", "amqp"),
    ("only of the opening, as deployed clients do", (KHP, "amqp"), None, "amqp"),
    ("only of the extended request", (KHP,), "amqp", "amqp"),
    ("the server's order counts", (KHP, "chat"), "amqp", "amqp"),
    ("none known", (KHP, "mqtt"), "mqtt", None),
]


@behaviour("subprotocols", rows=SUBPROTOCOLS)
async def _(bench, opening, inside, chosen):
    options = ["--subprotocol", "amqp", "--subprotocol", "chat"]
    _, client = await _open(bench, *options, protocols=opening)
    answer = await client.request(fields=[("Sec-WebSocket-Protocol", inside)] if inside else [])
    equal(answer.status, 101, "status")
    equal(answer.get("Sec-WebSocket-Protocol"), chosen, "subprotocol")


EXTENSIONS = [
    ("known ones, one field for each, in the client's order", "x-two, x-unknown, x-one", ["x-two", "x-one"]),
    ("in several fields", ["x-one", "x-two"], ["x-one", "x-two"]),
    ("none known", "x-unknown", []),
]


@behaviour("extensions", rows=EXTENSIONS)
async def _(bench, asked, chosen):
    _, client = await _open(bench, "--extension", "x-one", "--extension", "x-two")
    asked = [asked] if isinstance(asked, str) else asked
    answer = await client.request(fields=[("Sec-WebSocket-Extensions", value) for value in asked])
    equal(answer.status, 101, "status")
    equal(answer.all("Sec-WebSocket-Extensions"), chosen, "extensions")
    await client.expect_echo()


@behaviour("an extension is granted in one of the two handshakes")
async def _(bench):
    server = await bench.serve("--extension", "x-one")
    client = await server.client()
    asked = [("Sec-WebSocket-Extensions", "x-one")]
    granted = (await client.open_khp(fields=asked)).all("Sec-WebSocket-Extensions")
    answer = await client.request(fields=[] if granted else asked)
    equal(answer.status, 101, "status")
    equal(granted + answer.all("Sec-WebSocket-Extensions"), ["x-one"], "extensions")
    await client.expect_echo()


@behaviour("an extension of the opening is granted to a plain client")
async def _(bench):
    server = await bench.serve("--extension", "x-one")
    client = await server.client()
    answer = await client.open(protocols=(), fields=[("Sec-WebSocket-Extensions", "x-other, x-one")])
    equal(answer.all("Sec-WebSocket-Extensions"), ["x-one"], "extensions")
    await client.expect_echo()


def _request(path="/echo", *fields, method="GET"):
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


REFUSED = [
    # what comes, status, close code
    ("Hello", b"Hello", 400, 1002),
    ("a line that begins no request", b"hello world\r\n\r\n", 400, 1002),
    ("an empty line before it", b"\r\n" + _request(), 400, 1002),
    ("binary garbage", bytes(range(128, 256)), 400, 1002),
    ("a method in small letters", _request(method="get"), 400, 1002),
    ("no target", b"GET  HTTP/1.1\r\n\r\n", 400, 1002),
    ("a bare LF", b"GET /echo HTTP/1.1\n\n", 400, 1002),
    ("a space before the colon", _request("/echo", "X-Odd : 1"), 400, 1002),
    ("a NUL", _request("/echo", "X-Odd: a\0b"), 400, 1002),
    ("a folded line", _request("/echo", "X-Odd: a\r\n b"), 400, 1002),
    ("a response", b"HTTP/1.1 101 Fine\r\n\r\n", 400, 1002),
    ("bytes behind the request", _request() + b"hello", 400, 1002),
    ("two requests", _request() * 2, 400, 1002),
    ("another path", _request("/admin"), 400, 1000),
    ("a path above", _request("/"), 400, 1000),
    ("the path in other letters", _request("/Echo"), 400, 1000),
    ("another authority", _request("/echo", "Host: other.example"), 400, 1000),
    ("Transfer-Encoding", _request("/echo", "Transfer-Encoding: chunked"), 400, 1000),
    ("an extension twice", _request("/echo", "Sec-WebSocket-Extensions: x-one, x-one"), 400, 1011),
    ("an extension twice, in two fields", _request("/echo", "Sec-WebSocket-Extensions: x-one",
     "Sec-WebSocket-Extensions: x-two, x-one"), 400, 1011),
    ("a malformed extension list", _request("/echo", "Sec-WebSocket-Extensions: x-one; ="), 400, None),
]  # fmt: skip


@behaviour("a request is refused", rows=REFUSED)
async def _(bench, data, status, code):
    server = await bench.serve("--extension", "x-one", "--extension", "x-two")
    client = await server.client()
    await client.open_khp()
    await client.send_frame(TEXT if data.isascii() else BINARY, data)
    answer = await client.refused(status, code)
    equal(answer.start, "HTTP/1.1 400 Bad Request", "status line")
    equal(answer.names[:2] + answer.names[-1:], ["Content-Type", "Date", "Content-Length"], "fields")
    status_line, sentence = answer.entity.decode().splitlines()
    equal(status_line, "400 Bad Request", "the entity's first line")
    check(sentence.endswith("."), f"the entity does not say what is wrong: {sentence!r}")
    await server.answers()


TOO_MUCH = [
    ("a line of 9,000 bytes", _request("/echo", "X-Long: " + "a" * 9000)),
    ("a head of 20,000 bytes", _request("/echo", *(f"X-{n}: " + "a" * 1000 for n in range(20)))),
    ("101 fields", _request("/echo", *(f"X-{n}: a" for n in range(101)))),
    ("a path of 9,000 bytes", _request("/" + "a" * 9000)),
    ("an entity of 70,000 bytes announced", _request("/echo", "Content-Length: 70000", method="POST")),
    ("a length of letters", _request("/echo", "Content-Length: many", method="POST")),
    ("HTTP/2.0", b"GET /echo HTTP/2.0\r\n\r\n"),
]


@behaviour("a request is refused and the connection closed", rows=TOO_MUCH)
async def _(bench, data):
    server, client = await _open(bench)
    await client.send_frame(BINARY, data)
    answer = await client.response()
    check(400 <= answer.status <= 599, f"status {answer.status}")
    while (seen := await client.read_frame()).opcode != CLOSE:
        raise Failed("a message after the refusal")
    await client.send_close(seen.code)
    await client.expect_end()
    await server.answers()


@behaviour("a request in seventeen messages is too much")
async def _(bench):
    server, client = await _open(bench)
    await client.send_frame(TEXT, b"GET /echo HTTP/1.1\r\n")
    for number in range(20):
        try:
            await client.send_frame(TEXT, b"X-%d: 1\r\n" % number)
        except ConnectionError:
            break
    while True:
        seen = await client.read_frame()
        if seen.opcode == CLOSE:
            break
        check(not seen.payload.startswith(b"HTTP/1.1 101"), "completed")
    await server.answers()


VIOLATIONS = [
    ("an unmasked frame", frame(TEXT, b"GET "), 1002),
    ("a reserved bit", frame(TEXT, b"GET ", rsv=4, mask=True), 1002),
    ("a reserved opcode", frame(5, b"GET ", mask=True), 1002),
    ("a length with its highest bit", frame(TEXT, b"", length=1 << 63, mask=True), 1002),
    ("text that is not UTF-8", frame(TEXT, b"GET \xff", mask=True), 1007),
    ("1 GiB announced", frame(TEXT, b"GET ", length=1 << 30, mask=True), 1009),
]


@behaviour("a violation during the extended handshake", rows=VIOLATIONS)
async def _(bench, data, code):
    server, client = await _open(bench)
    await client.send(data)
    await client.expect_close(code)
    await client.expect_end()
    await server.answers()


OPEN = [
    ("an unmasked frame", frame(TEXT, b"hi"), 1002),
    ("a reserved bit", frame(TEXT, b"hi", rsv=2, mask=True), 1002),
    ("opcode 7", frame(7, b"hi", mask=True), 1002),
    ("a continuation of nothing", frame(CONTINUATION, b"hi", mask=True), 1002),
    ("a ping of 126 bytes", frame(PING, b"a" * 126, mask=True), 1002),
    ("a length longer than needed", frame(TEXT, b"a", form=64, mask=True), 1002),
    ("1 TiB announced", frame(BINARY, b"0123456789", length=1 << 40, mask=True), 1009),
    ("text that is not UTF-8", frame(TEXT, b"ab\xff", mask=True), 1007),
    ("close code 1005", frame(CLOSE, close_payload(1005), mask=True), 1002),
    ("a close of one byte", frame(CLOSE, b"\x03", mask=True), 1002),
    ("a flood of pings", frame(PING, b"x", mask=True) * 2000, 1008),
]


@behaviour("a violation once open", rows=OPEN)
async def _(bench, data, code):
    server = await bench.serve()
    client = await server.client()
    await client.complete()
    await client.send(data)
    await client.expect_close(code)
    await client.expect_end()
    await server.answers()


@behaviour("a close without code is answered without code")
async def _(bench):
    server = await bench.serve()
    client = await server.client()
    await client.complete()
    await client.closes(None)


@behaviour("a close during the extended handshake is answered", rows=[("at once", b""), ("in a head", b"GET /ec")])
async def _(bench, data):
    server, client = await _open(bench)
    if data:
        await client.send_frame(TEXT, data)
    await client.closes(3000)
    await server.answers()


@behaviour("a stream that ends during the extended handshake leaves the server well")
async def _(bench):
    server = await bench.serve()
    for cut in range(0, 30, 3):
        client = await server.client()
        await client.open_khp()
        await client.send(client.frame(BINARY, client.request_bytes())[:cut])
        client.abort()
    await server.answers()


async def _say_nothing(client):
    pass


async def _drip_pings(client):
    await client.drip((client.frame(PING, b"still here") for _ in itertools.count()), every=0.2)


async def _drip_request(client):
    await client.drip((client.frame(TEXT, bytes([byte])) for byte in client.request_bytes()[:-1]), every=0.3)


async def _say(client, data):
    await client.send_frame(TEXT, data)


SILENCES = [
    ("nothing comes", _say_nothing),
    ("only pings", _drip_pings),
    ("a prefix of a request", lambda client: _say(client, b"GE")),
    ("a head without end", lambda client: _say(client, b"GET /echo HTTP/1.1\r\nX: 1\r\n")),
    ("a head that drips", _drip_request),
    ("a frame without end", lambda client: client.send(frame(TEXT, b"GET", length=100, mask=True))),
]


@behaviour("--handshake-timeout closes with 1008 when", rows=SILENCES)
async def _(bench, doing):
    _, client = await _open(bench, "--handshake-timeout", 1)
    started = time.monotonic()
    task = asyncio.ensure_future(doing(client))
    try:
        await client.expect_close(1008)
        seconds = time.monotonic() - started
        await client.expect_end()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    check(0.7 <= seconds <= stretched(2.5), f"after {seconds:.2f} s instead of 1")


@behaviour("--handshake-timeout ends an opening that does not come", rows=[("nothing", b""), ("a head without end",
           b"GET /echo HTTP/1.1\r\nHost: x\r\n")])  # fmt: skip
async def _(bench, data):
    server = await bench.serve("--handshake-timeout", 1)
    client = await server.client()
    await client.send(data)
    started = time.monotonic()
    rest = await client.until_end()
    seconds = time.monotonic() - started
    check(0.7 <= seconds <= stretched(2.5), f"after {seconds:.2f} s instead of 1")
    check(not rest or rest.startswith(b"HTTP/1.1 408 "), f"{rest[:60]!r}")


@behaviour("--extended off: offered, not chosen, a plain WebSocket")
async def _(bench):
    server = await bench.serve("--extended", "off", "--subprotocol", "amqp")
    client = await server.client()
    answer = await client.open(protocols=(KHP, "amqp"))
    equal((answer.status, answer.get("Sec-WebSocket-Protocol")), (101, "amqp"), "status, subprotocol")
    await client.expect_echo()


@behaviour("100-continue releases a body")
async def _(bench):
    _, client = await _open(bench)
    answer = await client.request(fields=[("Expect", "100-continue"), ("Content-Length", "5")], method="POST")
    equal(answer.start, "HTTP/1.1 100 Continue", "status line")
    await client.send_frame(BINARY, b"hello")
    equal((await client.response()).status, 101, "status")
    await client.expect_echo()


@behaviour("the whole handshake over TLS")
async def _(bench):
    server = await bench.serve(tls=True)
    await server.answers()
