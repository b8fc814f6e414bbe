"""Clients of HTTP/2 that break its rules, against `khp serve` with TLS: it ends the connection or the stream, and serves on."""

import struct

import h2.events

from support.check import among, check, equal
from support.http2 import OPENING, StreamClient, text
from support.registry import behaviour

FOREIGN = True

CALM = 11
PROTOCOL_ERROR = 1


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def head_of(client, fields) -> bytes:
    return client.h2.encoder.encode(list(fields))


FLOODS = [
    ("PING", lambda _: frame(6, b"12345678") * 300),
    ("SETTINGS", lambda _: frame(4) * 300),
    ("PRIORITY", lambda _: b"".join(frame(2, struct.pack(">IB", 0, 1), stream=2 * n + 1) for n in range(300))),
    ("streams that are reset at once", lambda client: b"".join(
        frame(1, head_of(client, [*OPENING, (":path", "/echo"), (":authority", "localhost")]), 4, 2 * n + 1)
        + frame(3, struct.pack(">I", 8), stream=2 * n + 1) for n in range(300)
    )),
    ("empty DATA", lambda client: frame(
        1, head_of(client, [*OPENING, (":path", "/echo"), (":authority", "localhost")]), 4, 1) + frame(0, stream=1) * 300),
]  # fmt: skip


@behaviour("a flood ends the connection with ENHANCE_YOUR_CALM (threat A19)", rows=FLOODS)
async def _(bench, flood):
    server = await bench.serve(tls=True)
    client = await StreamClient.dial(bench, server.port)
    client.raw(flood(client))
    equal(await client.goes(), CALM, "the error of GOAWAY")
    await server.answers()


BREACHES = [
    ("a head in CONTINUATION frames without end", lambda client: frame(1, b"", 0, 1) + frame(9, b"", 0, 1) * 100),
    ("a head beyond the limit", lambda client: b"".join(
        frame(1 if n == 0 else 9, b"\x00\x04long" + b"\x7f\xe1\x7c" + b"a" * 16000, 4 if n == 9 else 0, 1) for n in range(10)
    )),
    ("DATA on a stream that was never opened", lambda client: frame(0, b"x", stream=7)),
    ("an even stream", lambda client: frame(
        1, head_of(client, [*OPENING, (":path", "/echo"), (":authority", "localhost")]), 4, 2)),
    ("a window that overflows", lambda client: frame(8, struct.pack(">I", 0x7FFFFFFF)) * 2),
    ("no HTTP/2 at all", lambda client: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10),
]  # fmt: skip


@behaviour("what breaks the connection ends it", rows=BREACHES)
async def _(bench, breach):
    server = await bench.serve(tls=True)
    client = await StreamClient.dial(bench, server.port)
    client.raw(breach(client))
    error = await client.goes()
    check(error != 0, f"the connection ended with {error}")
    await server.answers()


@behaviour("one stream more than is allowed ends the connection (threat A18)")
async def _(bench):
    server = await bench.serve(tls=True)
    client = await StreamClient.dial(bench, server.port)
    fields = [*OPENING, (":path", "/echo"), (":authority", "localhost"), ("sec-websocket-version", "13")]
    streams = [client.ask(fields) for _ in range(100)]
    for stream in streams:
        equal((await client.head(stream))[":status"], "200", "status")
    client.raw(frame(1, head_of(client, fields), 4, streams[-1] + 2))
    equal(await client.goes(), PROTOCOL_ERROR, "the error of GOAWAY")
    await server.answers()


MALFORMED = [
    ("a field with a line end", ("x-odd", "a\r\nHost: other"), None),
    ("a field name with a blank", ("x odd", "a"), None),
    ("Upgrade", ("upgrade", "websocket"), None),
    ("Connection", ("connection", "upgrade"), None),
    ("Transfer-Encoding", ("transfer-encoding", "chunked"), None),
    ("a Host beside another authority", ("host", "other.example"), "400"),
    ("a field of 9,000 bytes", ("x-long", "a" * 9000), "431"),
    ("content announced", ("content-length", "5"), "400"),
]


@behaviour("a malformed CONNECT is refused, its connection goes on (threat A20)", rows=MALFORMED)
async def _(bench, field, status):
    server = await bench.serve(tls=True)
    client = await StreamClient.dial(bench, server.port)
    stream = client.open("/echo", field)
    if status is None:
        error = int((await client.see(h2.events.StreamReset, stream)).error_code)
        among(error, (PROTOCOL_ERROR,), "the reset's code")
    else:
        equal((await client.head(stream))[":status"], status, "status")
    stream = client.open()
    equal((await client.head(stream))[":status"], "200", "status of the next")
    client.say(stream, text(b"on"))
    equal(await client.content(stream, 4), b"\x81\x02on", "the echo")


@behaviour("WebSocket frames that break RFC 6455 close the stream's socket alone")
async def _(bench):
    server = await bench.serve(tls=True)
    client = await StreamClient.dial(bench, server.port)
    broken, other = client.open(), client.open()
    await client.head(broken)
    await client.head(other)
    client.say(broken, b"\xff" * 20)
    end = await client.content(broken, 4)
    equal(end[0], 0x88, "a close frame")
    equal(int.from_bytes(end[2:4]), 1002, "its code")
    client.say(other, text(b"on"))
    equal(await client.content(other, 4), b"\x81\x02on", "the echo")
