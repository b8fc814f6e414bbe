"""A server under a script: it does on the wire exactly what a case says, right or wrong."""

import asyncio
import socket

from support.check import Failed, equal
from support.wire import BINARY, CLOSE, KHP, PING, PONG, Head, Wire, accept_of

REASONS = {
    100: "Continue", 101: "Web Socket Protocol Handshake", 201: "Created", 202: "Accepted", 204: "No Content",
    205: "Reset Content", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    307: "Temporary Redirect", 308: "Permanent Redirect", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    407: "Proxy Authentication Required", 426: "Upgrade Required", 503: "Service Unavailable",
}  # fmt: skip
WITHOUT_ENTITY = (100, 101, 204, 205, 304)


class ServerWire(Wire):
    """The server's end of one connection, with the steps that scripts are made of."""

    def __init__(self, reader, writer, index: int, is_tls: bool):
        super().__init__(reader, writer, is_client=False)
        self.index = index
        self.is_tls = is_tls
        self.opening: Head | None = None

    @property
    def key(self) -> str:
        return self.opening.get("Sec-WebSocket-Key")

    async def read_opening(self) -> Head:
        self.opening = await self.head()
        return self.opening

    def acceptance(self, protocol: str | None = KHP, fields=(), **replaced) -> bytes:
        """The 101 of the opening; `replaced` gives another value for a field, or None to leave it out."""
        values = {
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept_of(self.key),
            "Sec-WebSocket-Protocol": protocol,
            "Upgrade": "websocket",
        }
        values.update({name.replace("_", "-"): value for name, value in replaced.items()})
        head = Head("HTTP/1.1 101 Web Socket Protocol Handshake")
        head.fields = [(name, value) for name, value in values.items() if value is not None] + list(fields)
        return head.bytes()

    async def open(self, protocol: str | None = KHP, fields=(), **replaced) -> Head:
        """Reads the opening and accepts it."""
        opening = await self.read_opening()
        await self.send(self.acceptance(protocol, fields, **replaced))
        return opening

    async def refuse(self, status: int, fields=(), entity: bytes = b"no\n") -> None:
        """Answers the opening with something other than 101, and ends."""
        head = Head(f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever')}", [("Connection", "close")])
        head.fields += [*fields, ("Content-Length", str(len(entity)))]
        head.entity = entity
        await self.send(head.bytes())
        self.end()

    async def request(self) -> Head:
        """The extended request: one binary message with nothing behind its head."""
        opcode, payload = await self.message()
        equal(opcode, BINARY, "opcode of the extended request")
        return Head.parse(payload)

    async def until_request(self) -> Head:
        """The opening, accepted, then the extended request."""
        await self.open()
        return await self.request()

    def response(self, status: int, fields=(), entity: bytes | None = None, reason: str | None = None) -> bytes:
        head = Head(f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever') if reason is None else reason}")
        head.fields = list(fields)
        if status == 101:
            head.fields += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        if status not in WITHOUT_ENTITY:
            entity = f"{status}\n".encode() if entity is None else entity
            head.fields.append(("Content-Length", str(len(entity))))
        head.entity = entity or b""
        return head.bytes()

    async def answer(self, status: int, fields=(), entity: bytes | None = None, *, opcode: int = BINARY) -> None:
        await self.send_frame(opcode, self.response(status, fields, entity))

    async def complete(self, fields=()) -> None:
        """Opening, request, 101."""
        await self.until_request()
        await self.answer(101, fields)

    async def echo(self) -> int | None:
        """Sends each message back until the client closes; its close code."""
        while True:
            seen = await self.read_frame()
            if seen.opcode == CLOSE:
                await self.send_close(seen.code)
                self.end()
                return seen.code
            if seen.opcode == PING:
                await self.send_frame(PONG, seen.payload)
            elif seen.opcode != PONG:
                await self.send_frame(seen.opcode, seen.payload, fin=seen.fin)

    async def closed_by_client(self, code: int) -> None:
        """The client closes with this code; we answer and end."""
        await self.expect_close(code)
        self.end()

    async def close(self, code: int | None, reason: str = "") -> None:
        """Closes, waits for the client's answer and ends first, as a server does."""
        await self.send_close(code, reason)
        while (seen := await self.read_frame()).opcode != CLOSE:
            pass
        equal(seen.code, code, "code of the client's answer")
        self.end()

    async def wait_for_end(self, within: float = 20) -> None:
        """Says nothing until the client goes."""
        await self.until_end(within)


class RawServer:
    """Listens on a free port of loopback and runs a script for each connection.

    `tls` is an SSL context; with `either` plain connections are taken on the same port as well.
    """

    def __init__(self, script, tls=None, either: bool = False):
        self.script = script
        self.tls = tls
        self.either = either
        self.tasks: list[asyncio.Task] = []
        self.wires: list[ServerWire] = []
        self.count = 0

    async def start(self) -> "RawServer":
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(128)
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.listener = asyncio.ensure_future(self._accept())
        return self

    def url(self, path: str = "/trades", host: str = "127.0.0.1") -> str:
        return f"{'wss' if self.tls and not self.either else 'ws'}://{host}:{self.port}{path}"

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self.socket)
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                # Somebody else's, who is gone already: the next one is to be taken all the same.
                connection.close()
                continue
            index, self.count = self.count, self.count + 1
            self.tasks.append(asyncio.ensure_future(self._serve(connection, index)))

    async def _serve(self, connection: socket.socket, index: int) -> None:
        tls = self.tls
        if tls and self.either and not await self._begins_with_tls(connection):
            tls = None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1 << 22)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=tls)
        except (OSError, ConnectionError):
            connection.close()  # TLS that the client gave up: the case looks at the client
            return
        wire = ServerWire(reader, asyncio.StreamWriter(transport, protocol, reader, loop), index, tls is not None)
        self.wires.append(wire)
        try:
            await self.script(wire)
        finally:
            wire.end()

    @staticmethod
    async def _begins_with_tls(connection: socket.socket) -> bool:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(connection.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(connection.fileno())
        return connection.recv(1, socket.MSG_PEEK) == b"\x16"

    async def verdict(self) -> None:
        """Every script must have come to its end without a failure."""
        for task in self.tasks:
            try:
                await asyncio.wait_for(asyncio.shield(task), 10)
            except asyncio.TimeoutError:
                raise Failed("the raw server's script is not done although the client is") from None
            except Failed as error:
                raise Failed(f"seen by the raw server: {error}") from None
            except ConnectionError as error:
                raise Failed(f"seen by the raw server: {error!r}") from None

    def context(self) -> str:
        failures = [repr(task.exception()) for task in self.tasks if task.done() and task.exception()]
        return "\n".join(f"raw server: {failure}" for failure in failures)

    async def clean_up(self) -> None:
        self.listener.cancel()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(self.listener, *self.tasks, return_exceptions=True)
        for wire in self.wires:
            wire.abort()
        self.socket.close()
