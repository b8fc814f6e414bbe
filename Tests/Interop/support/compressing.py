"""Peers with permessage-deflate, each an echo server and a client: Python's websockets and aiohttp, Node's ws.

A message is a text, bytes, or a list of texts that are its fragments.
"""

import asyncio
import base64
import json
import pathlib
import random
from dataclasses import dataclass, field

import aiohttp
import aiohttp.web
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.extensions.permessage_deflate as deflate

from support.peers import environment, tool
from support.process import Process
from support.wire import KHP

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "peers"
ROOM = 1 << 24

# The messages of the cases: nothing, too little to gain, more than 64 KiB, characters of several bytes, bytes that nothing
# makes smaller; and hundreds of messages that are like each other, as a market's are.
NOISE = random.Random(7692).randbytes(66_000)
# Only a window of more than 2^14 reaches from its second half to its first: who has it and must not use it is found out.
FAR = NOISE[:20_000] * 2
TICKS = [
    f'{{"symbol":"ACME","bid":{100 + i % 7}.{i % 100:02},"ask":{101 + i % 5}.{i * 7 % 100:02},"volume":{i * 37 % 9000}}}'
    for i in range(200)
]
MESSAGES = ["", "short", "tick " * 13_200, "ünï — 🦉 " * 4_400, b"", NOISE, FAR, bytes(range(200)) * 330, *TICKS]
FRAGMENTS = [["tick " * 100, "", "tock " * 13_200], ["ünï — ", "🦉" * 300, ""]]
# The request of the extended handshake, and a field that is worth compressing.
GREETING = f"GET /echo HTTP/1.1\r\nX-Padding: {'x' * 2000}\r\n\r\n"


def whole(message):
    """A message as its receiver sees it."""
    return "".join(message) if isinstance(message, list) else message


@dataclass
class Seen:
    """A peer's report on one connection."""

    agreed: bool = False
    messages: list = field(default_factory=list)
    greeting: str | None = None
    error: str | None = None
    code: int | None = None


class Peer:
    """A running echo server; `seen` has the connections that are over."""

    def __init__(self, port: int, stop):
        self.port = port
        self.stop = stop
        self.seen: asyncio.Queue[Seen] = asyncio.Queue()

    async def over(self) -> Seen:
        return await asyncio.wait_for(self.seen.get(), 20)

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        await self.stop()


COMPLETE = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Padding: {'x' * 2000}\r\n\r\n"


# Python's websockets


async def websockets_client(bench, url, settings, messages, greeting=None) -> Seen:
    """`settings` are those of its extension; None: without it."""
    extensions = None if settings is None else [deflate.ClientPerMessageDeflateFactory(**settings)]
    protocols = [KHP] if greeting else None
    async with websockets.asyncio.client.connect(
        url, extensions=extensions, compression=None, proxy=None, subprotocols=protocols, max_size=ROOM
    ) as client:
        seen = Seen([item.name for item in client.protocol.extensions] == [deflate.PerMessageDeflate.name])
        if greeting:
            await client.send(greeting)
            seen.greeting = (await client.recv()).decode()

        async def say():
            for message in messages:
                await client.send(message)

        saying = asyncio.ensure_future(say())
        seen.messages = [await client.recv() for _ in messages]
        await saying
    seen.code = client.close_code
    return seen


async def websockets_server(bench, settings, extended=False) -> Peer:
    async def echo(connection):
        seen = Seen([item.name for item in connection.protocol.extensions] == [deflate.PerMessageDeflate.name])
        if connection.subprotocol == KHP:
            seen.greeting = (await connection.recv()).decode()
            await connection.send(COMPLETE.encode())
        async for message in connection:
            seen.messages.append(message)
            await connection.send(message)
        seen.code = connection.close_code
        await peer.seen.put(seen)

    extensions = None if settings is None else [deflate.ServerPerMessageDeflateFactory(**settings)]
    server = await websockets.asyncio.server.serve(
        echo, "127.0.0.1", 0, extensions=extensions, compression=None, subprotocols=[KHP] if extended else None,
        max_size=ROOM,
    )  # fmt: skip

    async def stop():
        server.close(close_connections=True)
        await server.wait_closed()

    peer = bench.keep(Peer(server.sockets[0].getsockname()[1], stop))
    return peer


# aiohttp. It has no way to send fragments, to limit a client's window, or to do without a client's context.


async def aiohttp_client(bench, url, settings, messages, greeting=None) -> Seen:
    """`settings` is the window that it asks of the server, 9 to 15; None: without compression."""
    seen = Seen()
    async with aiohttp.ClientSession() as session:
        try:
            client = await session.ws_connect(
                url, compress=settings or 0, protocols=[KHP] if greeting else (), max_msg_size=ROOM
            )
        except aiohttp.WSServerHandshakeError as error:
            seen.error = error.message
            return seen
        seen.agreed = client.compress > 0
        if greeting:
            await client.send_str(greeting)
            seen.greeting = (await client.receive_bytes()).decode()

        async def say():
            for message in messages:
                await (client.send_str if isinstance(message, str) else client.send_bytes)(message)

        saying = asyncio.ensure_future(say())
        seen.messages = [(await client.receive()).data for _ in messages]
        await saying
        await client.close()
        seen.code = client.close_code
    return seen


async def aiohttp_server(bench, settings, extended=False) -> Peer:
    """`settings`: whether it compresses with clients that ask for it."""

    async def echo(request):
        socket = aiohttp.web.WebSocketResponse(
            compress=bool(settings), protocols=[KHP] if extended else (), max_msg_size=ROOM
        )
        await socket.prepare(request)
        seen = Seen(bool(socket.compress))
        if socket.ws_protocol == KHP:
            seen.greeting = (await socket.receive_bytes()).decode()
            await socket.send_bytes(COMPLETE.encode())
        async for message in socket:
            seen.messages.append(message.data)
            await (socket.send_str if isinstance(message.data, str) else socket.send_bytes)(message.data)
        seen.code = socket.close_code
        await peer.seen.put(seen)
        return socket

    application = aiohttp.web.Application()
    application.router.add_get("/{path:.*}", echo)
    runner = aiohttp.web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    peer = bench.keep(Peer(runner.addresses[0][1], runner.cleanup))
    return peer


# Node's ws


def _unpacked(seen: dict) -> Seen:
    messages = [
        base64.b64decode(message["base64"]) if "base64" in message else message["text"] for message in seen["messages"]
    ]
    return Seen(
        seen["extensions"] == deflate.PerMessageDeflate.name, messages, seen.get("greeting"), seen.get("error"),
        seen.get("code"),
    )  # fmt: skip


def packed(message) -> dict:
    if isinstance(message, list):
        return {"fragments": message}
    return {"text": message} if isinstance(message, str) else {"base64": base64.b64encode(message).decode()}


async def ws_client(bench, url, settings, messages, greeting=None) -> Seen:
    """`settings` are those of `perMessageDeflate`; None: without it. It pings behind each fragment."""
    process = await Process.start(
        tool("node"), str(FOLDER / "ws_client.js"), name="ws_client.js", environment=environment(),
        stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    bench.keep(process)
    asked = {
        "url": url, "protocols": [KHP] if greeting else [], "greeting": greeting,
        "options": {"perMessageDeflate": False if settings is None else settings, "maxPayload": ROOM},
        "messages": [packed(message) for message in messages],
    }  # fmt: skip
    await process.write(json.dumps(asked).encode())
    process.end_input()
    await process.ended(30)
    return _unpacked(json.loads(bytes(process.out)))


class _NodePeer(Peer):
    def __init__(self, process: Process, port: int):
        super().__init__(port, process.remove)
        self.process = process

    def context(self) -> str:
        return self.process.context()

    async def over(self) -> Seen:
        match = await self.process.see(r"^(\{.*\})\n", on="out")
        return _unpacked(json.loads(match[1]))


async def ws_server(bench, settings, extended=False) -> Peer:
    process = await Process.start(
        tool("node"), str(FOLDER / "ws_server.js"), json.dumps(False if settings is None else settings),
        "khp" if extended else "", name="ws_server.js", environment=environment(),
    )  # fmt: skip
    peer = bench.keep(_NodePeer(process, 0))
    peer.port = int((await process.see(r"^(\d+)\n", on="out", within=20))[1])
    return peer
