"""permessage-deflate between `khp` and Python's websockets, both ways round."""

import websockets.extensions.permessage_deflate as deflate
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from support.check import equal, holds
from support.registry import behaviour

MESSAGES = ["", "short", "tick " * 2000, "ünï — 🦉 " * 500, b"", bytes(range(256)) * 300]

SETTINGS = [
    ("with its defaults", {}),
    ("a window of 2^9 each", {"server_max_window_bits": 9, "client_max_window_bits": 9}),
    ("a window of 2^15 each", {"server_max_window_bits": 15, "client_max_window_bits": 15}),
    ("no context", {"server_no_context_takeover": True, "client_no_context_takeover": True}),
    ("no context of the server's", {"server_no_context_takeover": True}),
    ("no context of the client's", {"client_no_context_takeover": True}),
]


@behaviour("khp serve --compress speaks with a client of websockets", rows=SETTINGS)
async def _(bench, setting):
    server = await bench.serve("--compress")
    factory = deflate.ClientPerMessageDeflateFactory(**{"client_max_window_bits": True, **setting})
    async with connect(server.url(), extensions=[factory], compression=None, proxy=None) as client:
        equal([item.name for item in client.protocol.extensions], ["permessage-deflate"], "negotiated")
        for _round in range(2):
            for message in MESSAGES:
                await client.send(message)
                equal(await client.recv(), message, "echo")
            await client.send(["tick " * 100, "", "tock " * 100])
            equal(await client.recv(), "tick " * 100 + "tock " * 100, "echo of fragments")


@behaviour("khp connect --compress speaks with a server of websockets", rows=SETTINGS)
async def _(bench, setting):
    received, agreed = [], []

    async def echo(connection):
        agreed.extend(item.name for item in connection.protocol.extensions)
        async for message in connection:
            received.append(message)
            await connection.send(message)

    factory = deflate.ServerPerMessageDeflateFactory(**setting)
    async with serve(echo, "127.0.0.1", 0, extensions=[factory], compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        texts = [message for message in MESSAGES if isinstance(message, str)] * 2
        options = [option for text in texts for option in ("--message", text)]
        outcome = await bench.connect(
            f"ws://127.0.0.1:{port}/", "--compress", "--json", "-v", *options, "--count", len(texts)
        )
        outcome.ends(0)
    equal(agreed, ["permessage-deflate"], "negotiated")
    equal(received, texts, "received")
    equal([event["text"] for event in outcome.events.named("message")], texts, "echoes")
    holds(outcome.errors, "compression: sent ", "standard error")


@behaviour("a bomb of websockets ends with 1009 at khp serve")
async def _(bench):
    server = await bench.serve("--compress", "--max-message-size", 100_000)
    async with connect(server.url(), proxy=None, max_size=None) as client:
        await client.send(b"\0" * (64 << 20))
        await client.wait_closed()
        equal(client.close_code, 1009, "close code")
