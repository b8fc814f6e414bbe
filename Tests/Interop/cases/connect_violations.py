"""`khp connect` and servers that break the rules: in the opening (4), inside (5), once open (9)."""

import asyncio

from support.check import among, check, equal
from support.registry import behaviour
from support.wire import BINARY, CLOSE, CONTINUATION, KHP, PING, TEXT, close_payload, frame

OPENINGS = [
    ("garbage", lambda peer: b"Hello, who are you?\r\n\r\n"),
    ("binary garbage", lambda peer: bytes(range(256)) * 4),
    ("no HTTP version", lambda peer: b"101 fine\r\n\r\n"),
    ("HTTP/2.0", lambda peer: peer.acceptance().replace(b"HTTP/1.1", b"HTTP/2.0")),
    ("another Accept", lambda peer: peer.acceptance(Sec_WebSocket_Accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
    ("no Accept", lambda peer: peer.acceptance(Sec_WebSocket_Accept=None)),
    ("two Accepts", lambda peer: peer.acceptance(fields=[("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")])),
    ("no Upgrade", lambda peer: peer.acceptance(Upgrade=None)),
    ("another Upgrade", lambda peer: peer.acceptance(Upgrade="h2c")),
    ("no Connection", lambda peer: peer.acceptance(Connection=None)),
    ("another Connection", lambda peer: peer.acceptance(Connection="close")),
    ("a subprotocol that was not asked for", lambda peer: peer.acceptance("mqtt")),
    ("two subprotocols", lambda peer: peer.acceptance(f"{KHP}, amqp")),
    ("an extension that was not asked for", lambda peer: peer.acceptance(
        fields=[("Sec-WebSocket-Extensions", "permessage-deflate")])),
    ("a malformed extension list", lambda peer: peer.acceptance(fields=[("Sec-WebSocket-Extensions", "a; =b")])),
    ("a bare LF", lambda peer: peer.acceptance().replace(b"\r\n", b"\n")),
    ("a space before the colon", lambda peer: peer.acceptance(fields=[("X-Odd ", "1")])),
    ("a NUL", lambda peer: peer.acceptance(fields=[("X-Odd", "a\0")])),
    ("a line of 9,000 bytes", lambda peer: peer.acceptance(fields=[("X-Long", "a" * 9000)])),
    ("a head that goes on", lambda peer: peer.acceptance(fields=[(f"X-{n}", "a" * 50) for n in range(5000)])),
    ("the end in the middle", lambda peer: peer.acceptance()[:50]),
    ("many provisional responses", lambda peer: b"HTTP/1.1 102 Processing\r\n\r\n" * 9 + peer.acceptance()),
]  # fmt: skip


@behaviour("an opening that is wrong ends with 4", rows=OPENINGS)
async def _(bench, answer):
    async def script(peer):
        await peer.read_opening()
        try:
            await peer.send(answer(peer))
            if peer.reader.at_eof():
                return
            peer.end_writing()
            await peer.until_end()
        except ConnectionError:
            pass

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json", "--subprotocol", "amqp")
    outcome.fails(4)
    equal(outcome.events.named("open"), [], "open events")


@behaviour("the end before any answer ends with 3 or 4", rows=[("FIN", False), ("RST", True)])
async def _(bench, reset):
    async def script(peer):
        await peer.read_opening()
        peer.abort() if reset else peer.end()

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json")
    among(outcome.status, (3, 4), "exit status")
    outcome.fails(outcome.status)


INSIDE = [
    ("an extension that was not asked for", lambda peer: peer.frame(
        BINARY, peer.response(101, [("Sec-WebSocket-Extensions", "x-other")])), 1011),
    ("an extension twice", lambda peer: peer.frame(
        BINARY, peer.response(101, [("Sec-WebSocket-Extensions", "x-one, x-one")])), 1011),
    ("a malformed extension list", lambda peer: peer.frame(
        BINARY, peer.response(101, [("Sec-WebSocket-Extensions", "x-one; =")])), 1011),
    ("an empty extension list", lambda peer: peer.frame(
        BINARY, peer.response(101, [("Sec-WebSocket-Extensions", "")])), (1011, None)),
    ("a subprotocol that was not asked for", lambda peer: peer.frame(
        BINARY, peer.response(101, [("Sec-WebSocket-Protocol", "mqtt")])), 1011),
    ("x-kaazing-handshake again", lambda peer: peer.frame(
        BINARY, peer.response(101, [("Sec-WebSocket-Protocol", KHP)])), 1011),
    ("another Accept", lambda peer: peer.frame(
        BINARY, peer.response(101, [("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")])), 1011),
    ("bytes behind the head", lambda peer: peer.frame(BINARY, peer.response(101) + b"hello"), 1011),
    ("bytes behind the entity", lambda peer: peer.frame(BINARY, peer.response(201, entity=b"x") + b"hello"), 1011),
    ("a message before completion", lambda peer: peer.frame(TEXT, b"Hello"), 1011),
    ("garbage", lambda peer: peer.frame(BINARY, bytes(range(256))), 1011),
    ("HTTP/1.0", lambda peer: peer.frame(BINARY, peer.response(101).replace(b"/1.1", b"/3.7")), 1011),
    ("a status of two digits", lambda peer: peer.frame(BINARY, b"HTTP/1.1 99 Low\r\n\r\n"), 1011),
    ("a bare LF", lambda peer: peer.frame(BINARY, peer.response(101).replace(b"\r\n", b"\n")), 1011),
    ("Transfer-Encoding", lambda peer: peer.frame(
        BINARY, peer.response(201, [("Transfer-Encoding", "chunked")])), 1011),
    ("a Content-Length of letters", lambda peer: peer.frame(
        BINARY, b"HTTP/1.1 201 Created\r\nContent-Length: many\r\n\r\n"), 1011),
    ("two Content-Lengths", lambda peer: peer.frame(
        BINARY, b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 1011),
    ("an enormous Content-Length", lambda peer: peer.frame(
        BINARY, b"HTTP/1.1 201 Created\r\nContent-Length: 99999999999999999999\r\n\r\n"), None),
    ("a line of 9,000 bytes", lambda peer: peer.frame(
        BINARY, peer.response(101, [("X-Long", "a" * 9000)])), None),
    ("seventeen messages", lambda peer: peer.frame(BINARY, b"HTTP/1.1 101 Fine\r\n")
     + b"".join(peer.frame(BINARY, b"X-%d: 1\r\n" % n) for n in range(16)), None),
    ("an endless message", lambda peer: peer.frame(BINARY, b"HTTP/1.1 403 No\r\n\r\n", length=1 << 40), None),
    ("a masked frame", lambda peer: frame(BINARY, peer.response(101), mask=True), 1002),
    ("a reserved bit", lambda peer: peer.frame(BINARY, peer.response(101), rsv=4), 1002),
    ("a reserved opcode", lambda peer: peer.frame(3, peer.response(101)), 1002),
    ("text that is not UTF-8", lambda peer: peer.frame(TEXT, b"HTTP/1.1 101 \xff\r\n\r\n"), 1007),
    ("a flood of pings", lambda peer: peer.frame(PING, b"x") * 1000, 1008),
    ("a close", lambda peer: peer.frame(CLOSE, close_payload(1000)), 1000),
    ("a close with another code", lambda peer: peer.frame(CLOSE, close_payload(3000)), 3000),
    ("a close without code", lambda peer: peer.frame(CLOSE, b""), None),
]  # fmt: skip


@behaviour("an extended handshake that is wrong ends with 5", rows=INSIDE)
async def _(bench, answer, code):
    async def script(peer):
        await peer.until_request()
        try:
            await peer.send(answer(peer))
            while (seen := await peer.read_frame()).opcode == 10:
                pass
            equal(seen.opcode, CLOSE, "opcode")
            if code is not None:
                among(seen.code, code if isinstance(code, tuple) else (code,), "close code")
            if not answer(peer).startswith(b"\x88"):
                await peer.send_close(seen.code)
        except ConnectionError:
            pass

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json", "--subprotocol", "amqp", "--extension", "x-one")
    outcome.fails(5)
    equal(outcome.events.named("open"), [], "open events")


ENDS = [
    ("after the opening", b"", False),
    ("after the opening, reset", b"", True),
    ("in a head", frame(BINARY, b"HTTP/1.1 101 F"), False),
    ("in a frame", frame(BINARY, b"HTTP/1.1 101 Fine\r\n\r\n")[:9], False),
    ("in an entity", frame(BINARY, b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nabc"), False),
    ("after a 202", frame(BINARY, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"), False),
]


@behaviour("a stream that ends during the extended handshake ends with 5", rows=ENDS)
async def _(bench, data, reset):
    async def script(peer):
        await peer.until_request()
        await peer.send(data)
        peer.abort() if reset else peer.end()

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json")
    outcome.fails(5)
    check("closed" in outcome.events.one("error")["code"], f"error {outcome.events.one('error')['code']}")


OPEN = [
    ("a masked frame", frame(TEXT, b"hi", mask=True), 1002),
    ("a reserved bit", frame(TEXT, b"hi", rsv=1), 1002),
    ("RSV1 without compression", frame(TEXT, b"hi", rsv=4), 1002),
    ("opcode 3", frame(3, b"hi"), 1002),
    ("opcode 11", frame(11, b"hi"), 1002),
    ("a continuation of nothing", frame(CONTINUATION, b"hi"), 1002),
    ("a new message in another", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    ("a ping in fragments", frame(PING, b"a", fin=False), 1002),
    ("a ping of 126 bytes", frame(PING, b"a" * 126), 1002),
    ("a length longer than needed, 16 bits", frame(TEXT, b"a" * 125, form=16), 1002),
    ("a length longer than needed, 64 bits", frame(TEXT, b"a" * 65535, form=64), 1002),
    ("a length with its highest bit", frame(TEXT, b"", length=1 << 63), 1002),
    ("all length bits", frame(TEXT, b"", length=(1 << 64) - 1), 1002),
    ("1 TiB announced", frame(BINARY, b"0123456789", length=1 << 40), 1009),
    ("text that is not UTF-8", frame(TEXT, b"ab\xff"), 1007),
    ("an overlong form", frame(TEXT, b"\xc0\xaf"), 1007),
    ("a surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
    ("beyond U+10FFFF", frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    ("an incomplete character", frame(TEXT, b"\xe2\x82"), 1007),
    ("a bad byte in a message that is not done", frame(TEXT, b"ab\xff", fin=False), 1007),
    ("a close of one byte", frame(CLOSE, b"\x03"), 1002),
    ("close code 999", frame(CLOSE, close_payload(999)), 1002),
    ("close code 1005", frame(CLOSE, close_payload(1005)), 1002),
    ("close code 1006", frame(CLOSE, close_payload(1006)), 1002),
    ("close code 1015", frame(CLOSE, close_payload(1015)), 1002),
    ("close code 2000", frame(CLOSE, close_payload(2000)), 1002),
    ("close code 5000", frame(CLOSE, close_payload(5000)), 1002),
    ("a close reason that is not UTF-8", frame(CLOSE, close_payload(1000) + b"\xff"), 1007),
    ("1,025 fragments", frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 1100, 1008),
    ("a flood of pings", frame(PING, b"x") * 2000, 1008),
]


@behaviour("a violation once open ends with 9", rows=OPEN)
async def _(bench, data, code):
    async def script(peer):
        await peer.complete()
        try:
            await peer.send(data)
        except ConnectionError:
            pass
        while (seen := await peer.read_frame()).opcode == 10:
            pass
        equal((seen.opcode, seen.code), (CLOSE, code), "opcode, close code")
        try:
            await peer.send_close(code)
        except ConnectionError:
            pass  # gone already: it need not wait after a violation

    server = await bench.raw_server(script)
    process = await bench.start("connect", "--json", server.url(), stdin=asyncio.subprocess.PIPE)
    outcome = await bench.outcome(process)
    outcome.fails(9)
    equal(outcome.events.named("message"), [], "messages")


FINE = [
    ("a character across fragments", frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"\xac"), "€"),
    ("pings between fragments", frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"b"), "ab"),
    ("an unasked pong", frame(10, b"who") + frame(TEXT, b"x"), "x"),
    ("empty fragments", frame(TEXT, b"", fin=False) + frame(CONTINUATION, b""), ""),
    ("a ping with a payload of 125 bytes", frame(PING, b"p" * 125) + frame(TEXT, b"y"), "y"),
]


@behaviour("what is allowed is taken", rows=FINE)
async def _(bench, data, text):
    async def script(peer):
        await peer.complete()
        await peer.send(data)
        while (seen := await peer.read_frame()).opcode == 10:
            pass
        equal((seen.opcode, seen.code), (CLOSE, 1000), "opcode, close code")
        await peer.send_close(1000)

    server = await bench.raw_server(script)
    outcome = (await bench.connect(server.url(), "--count", 1, "--json")).ends(0)
    equal(outcome.events.one("message")["text"], text, "message")


@behaviour("a close without code is clean")
async def _(bench):
    async def script(peer):
        await peer.complete()
        await peer.close(None)

    server = await bench.raw_server(script)
    process = await bench.start("connect", "--json", server.url(), stdin=asyncio.subprocess.PIPE)
    outcome = await bench.outcome(process)
    close = outcome.events.one("close")
    equal((close["clean"], close["by"]), (True, "peer"), "clean, by")
    among(close.get("code"), (None, 1005), "code: none, or what RFC 6455 calls it")
    among(outcome.status, (0, 1), "exit status")


@behaviour("each frame is masked with a fresh key")
async def _(bench):
    keys = []

    async def script(peer):
        await peer.complete()
        while len(keys) < 100:
            first, second = await peer.exactly(2)
            equal((first, second), (0x81, 0x80 | 4), "header of a masked frame of 4 bytes")
            keys.append(await peer.exactly(4))
            await peer.exactly(4)
        await peer.send_text("enough")
        await peer.echo()

    server = await bench.raw_server(script)
    options = [word for _ in range(100) for word in ("--message", "same")]
    (await bench.connect(server.url(), *options, "--count", 1)).ends(0)
    equal(len(set(keys)), 100, "different keys")
