"""A raw client of HTTP/2 on python-hyper's h2, which speaks WebSockets by extended CONNECT; hypercorn as a server; Node as both."""

import asyncio
import json
import os
import pathlib
import ssl
import sys
import tempfile

import h2.config
import h2.connection
import h2.events
import h2.settings

from support.check import Failed, equal
from support.daemons import free_port
from support.patience import stretched
from support.peers import environment, tool
from support.process import Process

OPENING = (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https")
# Any line that h2 would not let through is said with it as well.
LENIENT = h2.config.H2Configuration(
    client_side=True,
    header_encoding="utf-8",
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    validate_inbound_headers=True,
)


def text(payload: bytes) -> bytes:
    """A short text frame of a client, masked with zeros."""
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def close(code: int) -> bytes:
    """A close frame of a client."""
    return bytes([0x88, 0x82, 0, 0, 0, 0]) + code.to_bytes(2)


class StreamClient:
    """One connection; `events` keeps what has come and nobody has taken."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.h2 = h2.connection.H2Connection(LENIENT)
        self.events: list = []
        self.ended = False
        self.failure = None

    @staticmethod
    async def dial(bench, port: int, protocols=("h2",)) -> "StreamClient":
        context = ssl.create_default_context(cafile=bench.certificates.authority)
        context.set_alpn_protocols(list(protocols))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        equal(writer.get_extra_info("ssl_object").selected_alpn_protocol(), "h2", "the protocol of TLS")
        client = bench.keep(StreamClient(reader, writer))
        client.h2.initiate_connection()
        client.flush()
        await client.see(h2.events.RemoteSettingsChanged)
        return client

    async def frame(self, within: float = 10) -> tuple[int, int, bytes] | None:
        """Kind, stream and payload of the next frame, past h2: it takes GOAWAY for the end of all streams."""
        async with asyncio.timeout(stretched(within)):
            try:
                head = await self.reader.readexactly(9)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            payload = await self.reader.readexactly(int.from_bytes(head[:3]))
        return head[3], int.from_bytes(head[5:]) & 0x7FFFFFFF, payload

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def raw(self, frame: bytes) -> None:
        """Bytes of a frame that h2 does not write."""
        self.writer.write(frame)

    async def see(self, kind, stream: int | None = None, within: float = 10):
        """The next such event."""
        async with asyncio.timeout(stretched(within)):
            while True:
                for event in self.events:
                    if isinstance(event, kind) and (stream is None or event.stream_id == stream):
                        self.events.remove(event)
                        return event
                if self.ended:
                    raise Failed(f"the connection ended without {kind}; there is {self.events}")
                await self._read()

    async def _read(self) -> None:
        try:
            data = await self.reader.read(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
            return
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.events.append(event)
        self.flush()

    async def goes(self) -> int | None:
        """The error of GOAWAY, once the connection has ended."""
        error = None
        while frame := await self.frame():
            if frame[0] == 7:
                error = int.from_bytes(frame[2][4:8])
        return error

    def ask(self, fields, end: bool = False) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, list(fields), end_stream=end)
        self.flush()
        return stream

    def open(self, path: str = "/echo", *fields) -> int:
        version = () if any(name == "sec-websocket-version" for name, _ in fields) else (("sec-websocket-version", "13"),)
        return self.ask([*OPENING, (":path", path), (":authority", "localhost"), *version, *fields])

    def get(self, path: str, method: str = "GET", *fields, end: bool = True) -> int:
        head = (":method", method), (":scheme", "https"), (":path", path), (":authority", "localhost")
        return self.ask([*head, *fields], end)

    async def head(self, stream: int) -> dict:
        return dict((await self.see(h2.events.ResponseReceived, stream)).headers)

    async def content(self, stream: int, count: int | None = None) -> bytes:
        """The bytes that come, up to the end of the stream or until so many bytes are there."""
        content = b""
        while count is None or len(content) < count:
            event = await self.see((h2.events.DataReceived, h2.events.StreamEnded), stream)
            if isinstance(event, h2.events.StreamEnded):
                break
            content += event.data
        return content

    def say(self, stream: int, data: bytes, end: bool = False) -> None:
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def context(self) -> str:
        return f"h2 client: {self.events}"

    async def clean_up(self) -> None:
        self.writer.transport.abort()


APPLICATION = '''
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "websocket":
        return
    await receive()
    if scope["path"] == "/closed":
        return await send({"type": "websocket.close"})
    wanted = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": wanted[-1] if wanted else None})
    await send({"type": "websocket.send", "text": "HTTP/" + scope["http_version"]})
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        if message.get("text") == "leave":
            return await send({"type": "websocket.close", "code": 3001, "reason": "as asked"})
        echo = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **echo})
'''


PEERS = pathlib.Path(__file__).resolve().parents[1] / "peers"


async def node_client(bench, port: int, path: str = "/echo") -> dict:
    """The report of a client of Node's http2."""
    process = bench.keep(
        await Process.start(
            tool("node"), str(PEERS / "h2_client.js"), str(port), path, bench.certificates.authority,
            environment=environment(), name="h2_client.js",
        )  # fmt: skip
    )
    return json.loads((await process.see(r"^\{.*\}$", on="out"))[0])


async def node_server(bench, takes: bool = True) -> int:
    """The port of a server of Node's http2 that takes WebSockets, or does not."""
    return (await node_process(bench, takes))[0]


async def node_process(bench, takes: bool = True) -> tuple[int, Process]:
    """The same, and its process, which says `session` for each connection."""
    process = bench.keep(
        await Process.start(
            tool("node"), str(PEERS / "h2_server.js"), bench.certificates.certificate(), bench.certificates.key(),
            "yes" if takes else "no", environment=environment(), name="h2_server.js",
        )  # fmt: skip
    )
    return int((await process.see(r"^(\d+)$", on="out"))[1]), process


async def hypercorn(bench) -> int:
    """hypercorn with an application that echoes; its port."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="khp-interop-hypercorn-"))
    (folder / "echoing.py").write_text(APPLICATION)
    port = free_port()
    process = bench.keep(
        await Process.start(
            sys.executable, "-m", "hypercorn", "echoing:app", "--workers", "0", "--bind", f"127.0.0.1:{port}",
            "--certfile", bench.certificates.certificate(), "--keyfile", bench.certificates.key(),
            cwd=folder, environment={**os.environ, "PYTHONPATH": str(folder)}, name="hypercorn",
        )  # fmt: skip
    )
    await process.see("Running on")
    return port
