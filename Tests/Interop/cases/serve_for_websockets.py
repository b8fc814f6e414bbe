"""Python's websockets as a plain client of `khp serve`."""

import asyncio

from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.check import Failed, equal
from support.registry import behaviour

MIB = 1 << 20

MESSAGES = [
    ("text", "hello"),
    ("text beyond ASCII", "Grüße, 世界, 🦉 \U0010ffff"),
    ("text with a NUL and control characters", "a\x00b\x1b[31m\r\n"),
    ("empty text", ""),
    ("empty binary", b""),
    ("each byte", bytes(range(256))),
    ("125 bytes", b"x" * 125),
    ("126 bytes", b"x" * 126),
    ("65,535 bytes", b"x" * 65535),
    ("65,536 bytes", b"x" * 65536),
    ("1 MiB of binary", bytes(range(256)) * 4096),
    ("1 MiB of text", "x" * MIB),
    ("1 MiB of text beyond ASCII", "ü" * (MIB // 2)),
]


@behaviour("a message comes back as it was", rows=MESSAGES)
async def _(bench, message):
    server = await bench.serve()
    async with bench.python_client(server.url()) as client:
        await client.send(message)
        equal(await client.recv(), message, "echo")


@behaviour("a message in TLS comes back as it was", rows=[("text", "hello"), ("1 MiB", b"\xff" * MIB)])
async def _(bench, message):
    server = await bench.serve(tls=True)
    url = server.url(host="localhost")
    async with bench.python_client(url, host="127.0.0.1", ssl=bench.certificates.client_context()) as client:
        await client.send(message)
        equal(await client.recv(), message, "echo")


FRAGMENTS = [
    ("text", ["one ", "two ", "three"]),
    ("binary", [b"\x00\x01", b"\x02", b"\x03"]),
    ("with empty fragments", ["", "a", "", "b", ""]),
    ("all empty", [b"", b"", b""]),
    ("1,000 of one byte", [b"x"] * 1000),
    ("of 64 KiB", [b"y" * 65536] * 16),
]


@behaviour("fragments are one message", rows=FRAGMENTS)
async def _(bench, fragments):
    server = await bench.serve()
    async with bench.python_client(server.url()) as client:
        await client.send(fragments)
        equal(await client.recv(), fragments[0][:0].join(fragments), "echo")


@behaviour("more fragments than the limit close with 1008")
async def _(bench):
    server = await bench.serve()
    async with bench.python_client(server.url()) as client:
        try:
            await client.send([b""] * 1100)
            await client.recv()
        except ConnectionClosed as closed:
            equal(closed.rcvd and closed.rcvd.code, 1008, "close code")
        else:
            raise Failed("taken")
    await server.answers()


@behaviour("many messages come back in order")
async def _(bench):
    server = await bench.serve()
    async with bench.python_client(server.url(), max_queue=None) as client:
        sent = [f"message {number}" if number % 3 else bytes([number % 256]) * number for number in range(500)]
        sending = asyncio.ensure_future(_send_all(client, sent))
        equal([await client.recv() for _ in sent], sent, "echoes")
        await sending


async def _send_all(client, messages):
    for message in messages:
        await client.send(message)


@behaviour("fifty clients at once each get their own")
async def _(bench):
    server = await bench.serve()

    async def one(number):
        async with bench.python_client(server.url()) as client:
            for turn in range(10):
                await client.send(f"{number}/{turn}")
                equal(await client.recv(), f"{number}/{turn}", "echo")

    await asyncio.gather(*(one(number) for number in range(50)))


@behaviour("a ping is answered with its payload", rows=[("empty", b""), ("text", b"tick"), ("125 bytes", b"p" * 125)])
async def _(bench, payload):
    server = await bench.serve()
    async with bench.python_client(server.url()) as client:
        await (await client.ping(payload))
        await client.send("still here")
        equal(await client.recv(), "still here", "echo")


@behaviour(
    "a close is answered with its code",
    rows=[(f"{code} {reason!r}", code, reason) for code in (1000, 1001, 3000, 4999) for reason in ("", "bye — ä")],
)
async def _(bench, code, reason):
    server = await bench.serve()
    async with bench.python_client(server.url()) as client:
        await client.close(code, reason)
        equal(client.protocol.close_rcvd and client.protocol.close_rcvd.code, code, "close code")
        equal(client.protocol.close_rcvd_then_sent, False, "the server closed first")


@behaviour("one byte more than the limit closes with 1009", rows=[("default", (), MIB), ("given", (1000,), 1000)])
async def _(bench, option, limit):
    server = await bench.serve(*(("--max-message-size", *option) if option else ()))
    async with bench.python_client(server.url()) as client:
        await client.send(b"x" * limit)
        equal(len(await client.recv()), limit, "length of the largest message")
        await client.send(b"x" * (limit + 1))
        try:
            await client.recv()
        except ConnectionClosed as closed:
            equal(closed.rcvd and closed.rcvd.code, 1009, "close code")
        else:
            raise Failed("a message above the limit was taken")


@behaviour("the limit counts a message's fragments together")
async def _(bench):
    server = await bench.serve("--max-message-size", 1000)
    async with bench.python_client(server.url()) as client:
        try:
            await client.send([b"x" * 400] * 3)
            await client.recv()
        except ConnectionClosed as closed:
            equal(closed.rcvd and closed.rcvd.code, 1009, "close code")
        else:
            raise Failed("a message above the limit was taken")


SUBPROTOCOLS = [
    ("the server's order counts", ("chat", "amqp"), ["amqp", "chat"], "chat"),
    ("the one in common", ("chat", "amqp"), ["mqtt", "amqp"], "amqp"),
    ("none in common", ("chat",), ["mqtt"], None),
    ("none supported", (), ["mqtt"], None),
    ("none offered", ("chat",), None, None),
    ("names are compared with their case", ("chat",), ["Chat"], None),
]


@behaviour("subprotocol", rows=SUBPROTOCOLS)
async def _(bench, supported, offered, chosen):
    options = [word for name in supported for word in ("--subprotocol", name)]
    server = await bench.serve(*options)
    async with bench.python_client(server.url(), subprotocols=offered) as client:
        equal(client.subprotocol, chosen, "subprotocol")
        await client.send("hello")
        equal(await client.recv(), "hello", "echo")


@behaviour("permessage-deflate is declined when not asked for")
async def _(bench):
    server = await bench.serve()
    async with bench.python_client(server.url(), compression="deflate") as client:
        equal(client.protocol.extensions, [], "extensions")
        await client.send("hello" * 100)
        equal(await client.recv(), "hello" * 100, "echo")


@behaviour("a path without endpoint is 404", rows=[("other", "/nope"), ("root", "/"), ("below", "/echo/more")])
async def _(bench, path):
    server = await bench.serve()
    await _refused(bench, server.url(path), 404)


async def _refused(bench, url, status, **how):
    try:
        async with bench.python_client(url, **how):
            raise Failed(f"open instead of {status}")
    except InvalidStatus as error:
        equal(error.response.status_code, status, "status")
        return error.response


@behaviour("with --route, only those exist")
async def _(bench):
    server = await bench.serve("--route", "/only=echo")
    await _refused(bench, server.url("/echo"), 404)
    async with bench.python_client(server.url("/only")) as client:
        await client.send("here")
        equal(await client.recv(), "here", "echo")


@behaviour("a query does not matter for the path")
async def _(bench):
    server = await bench.serve()
    async with bench.python_client(server.url("/echo?a=b&c=%20")) as client:
        await client.send("hello")
        equal(await client.recv(), "hello", "echo")


@behaviour("an endpoint that requires the extended handshake refuses a plain client with 400")
async def _(bench):
    server = await bench.serve("--extended", "required")
    await _refused(bench, server.url(), 400)
    await server.answers()


ORIGINS = [
    ("the one allowed", "https://good.example", True),
    ("with its default port", "https://good.example:443", True),
    ("in other letters", "HTTPS://Good.Example", True),
    ("none at all", None, True),
    ("another host", "https://evil.example", False),
    ("a host that ends alike", "https://evil-good.example", False),
    ("a host that begins alike", "https://good.example.evil", False),
    ("another scheme", "http://good.example", False),
    ("another port", "https://good.example:8443", False),
    ("null", "null", False),
]


@behaviour("--origin", rows=ORIGINS)
async def _(bench, origin, passes):
    server = await bench.serve("--origin", "https://good.example")
    if not passes:
        await _refused(bench, server.url(), 403, origin=origin)
        return
    async with bench.python_client(server.url(), origin=origin) as client:
        await client.send("hello")
        equal(await client.recv(), "hello", "echo")
