"""The ways in: PROXY headers in every shape, paths spelt otherwise, old dialects and deployed Kaazing clients."""

import asyncio
import base64
import contextlib
import socket
import struct

from kaazing.clients import AppleClient, JavaClient, JavaScriptClient
from support.bench import PASSWORD, USER
from support.check import check, equal
from support.daemons import Daemon
from support.wire import KHP

from trials.ends import pool
from trials.peers import KEY, Client, MemoryTLS, Refused, echo, orders, pattern
from trials.trial import Rest, trial

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source: str, port: int, *, command: int = 1, rest: bytes = b"") -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", port, 443) + rest
    return SIGNATURE + bytes([0x20 | command, 0x11]) + struct.pack("!H", len(addresses)) + addresses


def v1(source: str, port: int) -> bytes:
    return f"PROXY TCP4 {source} 127.0.0.1 {port} 443\r\n".encode()


@trial(
    "PROXY headers: v1 and v2, whole, byte by byte, with TLS behind them in one segment; hostile and untrusted ones",
    limit=120,
)
async def _(trial):
    bench = trial.bench
    make = bench.certificates
    file = bench.file(
        "version: 1\nlisteners:\n"
        "  plain: {listen: 127.0.0.1:0, proxyProtocol: required, trust: [127.0.0.1/32]}\n"
        f"  secure: {{listen: 127.0.0.1:0, proxyProtocol: required, trust: [127.0.0.1/32], "
        f"tls: {{certificate: {make.certificate()}, key: {make.key()}}}}}\n"
        "  off: {listen: 127.0.0.1:0}\n"
        "services: {e: {path: /e, type: echo}}\n",
        ".yaml",
    )  # fmt: skip
    process = await bench.start("gateway", "--config", file)
    said = (await process.see(r"^listening: (.*)$", on="out"))[1].decode()
    ports = {entry.split(" ")[0]: int(entry.rpartition(":")[2]) for entry in said.split(", ")}
    request = (
        f"GET /e HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    sources = []

    async def answered(port: int, data: bytes, pieces: int = 0) -> bytes:
        """The head of the answer; empty where the connection just ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            if pieces:
                for start in range(0, len(data), pieces):
                    writer.write(data[start : start + pieces])
                    await asyncio.sleep(0)
            else:
                writer.write(data)
            answer = await asyncio.wait_for(reader.read(64), 20)
            writer.transport.abort()
            return answer
        writer.transport.abort()
        return b""

    number = 0
    for pieces in (0, 1, 5):
        for made in (v1, v2):
            for rest in (
                (b"",)
                if made is v1
                else (b"", b"\x04\0\0", b"\xe0\0\x03abc", b"\x04" + struct.pack("!H", 1500) + b"\0" * 1500)
            ):
                number += 1
                source = f"203.0.113.{number}"
                header = made(source, 4711) if made is v1 else v2(source, 4711, rest=rest)
                answer = await answered(ports["plain"], header + request, pieces)
                check(answer.startswith(b"HTTP/1.1 101"), f"{made.__name__} in pieces of {pieces}: {answer[:40]!r}")
                sources.append(source)
    for source in sources:
        await process.see(f'"client":"{source}"')
    # LOCAL, UNKNOWN and a client of a Unix domain socket name no address: the socket's own counts.
    unix = SIGNATURE + b"\x21\x31" + struct.pack("!H", 216 + 3) + b"/run/client".ljust(108, b"\0") * 2 + b"\x04\0\0"
    for header in (v2("1.2.3.4", 1, command=0), SIGNATURE + b"\x20\0\0\0", b"PROXY UNKNOWN\r\n", unix):
        check((await answered(ports["plain"], header + request)).startswith(b"HTTP/1.1 101"), f"{header[:20]!r}")
    # TLS's first record in one segment with the header.
    tls = MemoryTLS(make.client_context(), "localhost")
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["secure"])
    writer.write(v2("203.0.113.200", 1) + tls.hello)
    await tls.shake_hands(reader, writer)
    equal(await tls.exchange(request, reader, writer, 12), b"HTTP/1.1 101", "the answer in TLS behind the header")
    writer.transport.abort()
    await process.see('"client":"203.0.113.200"')
    # Refused without a byte: no header, too much of one, broken ones, and any from elsewhere.
    hostile = [
        request, b"PROXY TCP4 1.2.3.4 127.0.0.1 1 2" + b" " * 80 + b"\r\n" + request, b"PROXY TCP4 1.2.3.256 127.0.0.1 1 2\r\n" + request,
        b"PROXY TCP5 1.2.3.4 127.0.0.1 1 2\r\n" + request, SIGNATURE + b"\x31\x11\0\x0c" + b"\0" * 12 + request,
        SIGNATURE + b"\x21\x11\xff\xff" + b"\0" * 65_535 + request, v2("1.2.3.4", 1, rest=b"\x03\0\x04\0\0\0\0") + request,
        b"PROXY \x00\r\n" + request, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\0" * 200,
    ]  # fmt: skip
    for data in hostile:
        answer = await answered(ports["plain"], data)
        check(not answer.startswith(b"HTTP/1.1 101"), f"{data[:40]!r} is let in")
    foreign = False
    try:
        await Client.open(f"ws://127.0.0.1:{ports['plain']}/e", source="127.0.0.9", before=v1("198.51.100.1", 1))
    except (OSError, asyncio.IncompleteReadError):
        foreign = True
    check(foreign, "a header from an address that is not trusted is believed")
    answer = await answered(ports["off"], v1("198.51.100.2", 1) + request)
    check(b" 101 " not in answer, "a listener without PROXY reads a header")
    log = bytes(process.err).decode()
    for forged in ("198.51.100.1", "198.51.100.2"):
        check(f'"client":"{forged}"' not in log, f"{forged} passes for a client")
    client = await Client.open(f"ws://127.0.0.1:{ports['off']}/e")
    await client.close()
    return f"{len(sources)} headers in pieces and whole, TLS in the same segment, 4 without a name; {len(hostile) + 2} hostile ones get nothing"


@trial("old dialects and deployed Kaazing clients through a pool: each message comes back in its kind", limit=120)
async def _(trial):
    bench = trial.bench

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    door = await trial.gateway(
        "  s: {path: /echo, pool: p, frames: auto, dialects: [rfc6455, hixie-75, hixie-76], origins: ['*'], "
        "subprotocols: {chat: {pool: p, frames: auto}}, withoutSubprotocol: p}".replace(
            "pool: p, frames: auto, ", "", 1
        ),
        pool(url),
    )
    rest = Rest(door)
    seen = []
    for dialect in ("hixie-75", "hixie-76", "rfc6455"):
        # One message each: the bytes of two may come back in one.
        for text in ("hällo 😀", "x" * 1000):
            outcome = await bench.connect(
                door.ws + "/echo", "--dialect", dialect, "--extended", "off", "--json", "--count", 1, "--origin",
                "http://desk.example", "--subprotocol", "chat", "--message", text,
            )  # fmt: skip
            equal(outcome.ends(0).events.one("message")["text"], text, dialect)
        seen.append(dialect)
    for made in (JavaScriptClient, JavaClient, AppleClient):
        client = made(door.ws + "/echo", protocols=["chat"])
        await client.connect()
        for number in range(trial.times(100)):
            await client.expect_echo(f"text {number} é😀")
            await client.expect_echo(bytes([number % 256]) * (number + 1))
        await client.close()
        seen.append(made.__name__)
    server.close()
    kept = await rest.is_back()
    return ", ".join(seen) + f"; {kept}"


@trial("a guarded path spelt otherwise, and a subprotocol changed between the handshakes: never unguarded", limit=60)
async def _(trial):
    bench = trial.bench
    users = await bench.users()
    backend = await orders(trial)
    door = await trial.gateway(
        "  guarded: {path: /guarded, type: echo, realm: staff}\n  open: {path: /open, type: echo}\n"
        "  ab: {path: /ab, subprotocols: {a: {pool: p}, b: {pool: p, require: {roles: [nobody]}}}, realm: staff}\n"
        "  ba: {path: /ba, subprotocols: {b: {pool: p, require: {roles: [nobody]}}, a: {pool: p}}, realm: staff}",
        pool(backend.url),
        f"realms: {{staff: {{schemes: [basic], users: {users}}}}}",
    )  # fmt: skip
    spellings = [
        "/guarded", "//guarded", "/%67uarded", "/guarded/", "/x/../guarded", "/./guarded", "/guarded?x=1", "/guarded%00", "/GUARDED",
        "/open/../guarded", "/open/%2e%2e/guarded", "/guarded;x", "/guarded%2f", "/guarded#f", "/open\\..\\guarded",
    ]  # fmt: skip
    seen = {}
    for path in spellings:
        try:
            client = await Client.open(door.ws + path)
            await client.close()
            status = 101
        except Refused as refusal:
            status = refusal.status
        check(status in (400, 401, 403, 404), f"{path} is answered with {status}")
        seen[status] = seen.get(status, 0) + 1
    # The opening asks for one subprotocol, the extended handshake for another: those of both count, in the order of the
    # service, and the one that is agreed on is judged.
    port = int(door.ws.rpartition(":")[2])
    login = ("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
    answers = {}
    for path, first, last, expected in (
        ("/ba", ["a"], ["b"], 403), ("/ba", ["a"], ["c", "b"], 403), ("/ba", ["b"], ["a"], 403), ("/ba", ["a"], ["a"], 101),
        ("/ba", ["a"], [], 101), ("/ab", ["a"], ["b"], 101), ("/ab", ["b"], ["a"], 101), ("/ab", ["b"], [], 403),
        ("/ab", ["c"], ["b"], 403), ("/ab", [], ["a"], 101), ("/ab", [], ["b"], 403), ("/ab", ["c"], ["c"], 400),
    ):  # fmt: skip
        client = await bench.raw_client(port)
        await client.open_khp(path, [KHP, *first])
        fields = [login] + ([("Sec-WebSocket-Protocol", ", ".join(last))] if last else [])
        answer = await client.request(path, fields)
        equal(answer.status, expected, f"{path}: the opening asks for {first}, the extended request for {last}")
        if expected == 101:
            equal(answer.get("Sec-WebSocket-Protocol"), "a", "the subprotocol in the end")
            await client.closes()
        answers[expected] = answers.get(expected, 0) + 1
    return f"{len(spellings)} spellings: {dict(sorted(seen.items()))}; subprotocols that change: {dict(sorted(answers.items()))}"


@trial("websocat as a client, and as the broker: each byte comes back, in order, both ways", limit=60)
async def _(trial):
    bench = trial.bench

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    websocat = bench.keep(Daemon("websocat"))
    await websocat.launch(
        "websocat", lambda: ["--binary", "--exit-on-eof", f"ws-l:127.0.0.1:{websocat.port}", "mirror:"]
    )
    door = await trial.gateway(
        "  s: {path: /s, pool: bytes}\n  m: {path: /m, pool: messages}",
        f'  bytes: {{backends: ["tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"], check: off}}\n'
        f'  messages: {{backends: ["ws://127.0.0.1:{websocat.port}/"], check: off}}',
    )
    sent = pattern("websocat", 1 << 20)
    program = await asyncio.create_subprocess_exec(
        "websocat", "--binary", "-E", door.ws + "/s", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    taken = bytearray()

    async def read():
        while len(taken) < len(sent):
            piece = await program.stdout.read(65_536)
            check(piece, f"websocat ended behind {len(taken)} bytes")
            taken.extend(piece)

    reading = asyncio.ensure_future(read())
    program.stdin.write(sent)
    await program.stdin.drain()
    await asyncio.wait_for(reading, 30)
    program.stdin.close()
    await asyncio.wait_for(program.wait(), 20)
    equal(bytes(taken) == sent, True, "the bytes that websocat had back")
    client = await Client.open(door.ws + "/m")
    for number in range(trial.times(200)):
        payload = pattern(f"m{number}", number * 37 % 5000 + 1)
        await client.send(payload)
        equal(await client.exactly(len(payload)) == payload, True, f"message {number} by way of websocat")
    await client.close()
    server.close()
    await door.process.until(lambda: len(door.lines("session.end")) == 2, "the ends of both")
    return f"1 MiB each way by websocat, {trial.times(200)} messages through it"
