"""The two peers of a session at their leanest: a WebSocket client for thousands at once, and a backend that takes orders."""

import asyncio
import contextlib
import hashlib
import os
import socket
import ssl
import struct

from support.check import Failed, check
from support.wire import accept_of

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPTED = accept_of(KEY).encode()


class Refused(Exception):
    def __init__(self, head: bytes):
        super().__init__(head.split(b"\r\n")[0].decode(errors="replace"))
        self.status = int(head.split(b" ")[1])


class Ended(Exception):
    """The connection is over without a close frame."""


class Client:
    """A client of RFC 6455; its mask is zero, which changes no byte and costs nothing."""

    def __init__(self, reader, writer, head: bytes):
        self.reader = reader
        self.writer = writer
        self.head = head
        # The code and reason of the close frame, once it has come.
        self.close_code: int | None = None
        self.close_reason = ""

    @staticmethod
    async def open(
        url: str, *, protocols=(), fields=(), tls=None, source: str | None = None, before: bytes = b"", receive: int = 0,
        within: float = 20,
    ) -> "Client":  # fmt: skip
        """`source` is the address to come from, `before` goes ahead of the request, `receive` bounds what the system takes."""
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        name, _, port = host.rpartition(":")
        request = (
            f"GET {slash}{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
        )
        if protocols:
            request += f"Sec-WebSocket-Protocol: {', '.join(protocols)}\r\n"
        request += "".join(f"{field}: {value}\r\n" for field, value in fields)

        async def exchange():
            sock = socket.socket()
            sock.setblocking(False)
            if receive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            if source:
                sock.bind((source, 0))
            writer = None
            try:
                await asyncio.get_running_loop().sock_connect(sock, (name, int(port)))
                reader, writer = await asyncio.open_connection(
                    sock=sock,
                    ssl=tls,
                    server_hostname="localhost" if tls else None,
                    limit=65_536 if receive else 1 << 20,
                )
                writer.write(before + request.encode() + b"\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 101"):
                    raise Refused(head)
                if ACCEPTED not in head:
                    raise Failed(f"Sec-WebSocket-Accept in {head!r}")
                return Client(reader, writer, head)
            except BaseException:
                if writer:
                    writer.transport.abort()
                sock.close()
                raise

        return await asyncio.wait_for(exchange(), within)

    def frame(self, payload: bytes, opcode: int = BINARY, final: bool = True) -> bytes:
        length = len(payload)
        first = (0x80 if final else 0) | opcode
        if length < 126:
            head = struct.pack("!BB", first, 0x80 | length)
        elif length < 65_536:
            head = struct.pack("!BBH", first, 0xFE, length)
        else:
            head = struct.pack("!BBQ", first, 0xFF, length)
        return head + b"\0\0\0\0" + payload

    async def send(self, payload: bytes, opcode: int = BINARY, final: bool = True) -> None:
        self.writer.write(self.frame(payload, opcode, final))
        await self.writer.drain()

    async def _frame(self) -> tuple[int, bytes]:
        try:
            first, second = await self.reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Ended(repr(error)) from None

    async def receive(self) -> bytes | None:
        """The next payload, of whatever frame it is; None at the close frame, which is answered."""
        while True:
            opcode, payload = await self._frame()
            if opcode == CLOSE:
                self.close_code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                self.close_reason = payload[2:].decode()
                with contextlib.suppress(ConnectionError):
                    self.writer.write(self.frame(payload[:2], CLOSE))
                return None
            if opcode == PING:
                self.writer.write(self.frame(payload, PONG))
            elif opcode != PONG:
                return payload

    async def exactly(self, count: int, within: float = 30) -> bytes:
        """Bytes of as many messages as it takes."""
        taken = bytearray()

        async def take():
            while len(taken) < count:
                if (payload := await self.receive()) is None:
                    raise Failed(
                        f"a close {self.close_code} {self.close_reason!r} behind {len(taken)} of {count} bytes"
                    )
                taken.extend(payload)

        await asyncio.wait_for(take(), within)
        return bytes(taken)

    async def rest(self, within: float = 30) -> bytes:
        """All payload up to the end; `close_code` is None where there was no close frame."""
        taken = bytearray()

        async def take():
            with contextlib.suppress(Ended):
                while (payload := await self.receive()) is not None:
                    taken.extend(payload)

        await asyncio.wait_for(take(), within)
        return bytes(taken)

    async def close(self, code: int = 1000, within: float = 15) -> None:
        """Our close frame, the answer, the end of the stream."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(self.frame(struct.pack("!H", code), CLOSE))
        await self.rest(within)
        self.drop()

    def drop(self) -> None:
        """Ends the stream in good order, without a close frame."""
        self.writer.close()

    def abort(self) -> None:
        """Resets the connection."""
        reset(self.writer)


def reset(writer) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class MemoryTLS:
    """A client's TLS whose bytes go out as the trial likes: behind a header, in pieces, with something else in between.

    It has said its first words when it is made: `hello` has them.
    """

    def __init__(self, context, name: str | None = None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.hello = self.outgoing.read()

    async def _do(self, step, reader, writer):
        """What a step of TLS answers once enough has come; what it has to say on the way goes out."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                if self.outgoing.pending:
                    writer.write(self.outgoing.read())
            piece = await asyncio.wait_for(reader.read(65_536), 10)
            check(piece, "the connection ends in the midst of TLS")
            self.incoming.write(piece)

    async def shake_hands(self, reader, writer) -> None:
        """The rest of the handshake, once the hello is on its way."""
        await self._do(self.tls.do_handshake, reader, writer)

    async def exchange(self, data: bytes, reader, writer, count: int) -> bytes:
        """Says something, and takes so many bytes of the answer."""
        await self._do(lambda: self.tls.write(data), reader, writer)
        answer = b""
        while len(answer) < count:
            answer += await self._do(lambda: self.tls.read(count - len(answer)), reader, writer)
        return answer


def pattern(name: str, count: int) -> bytes:
    """Bytes that no other stream has."""
    block = hashlib.sha256(name.encode()).digest()
    return (block * (count // 32 + 1))[:count]


class Orders:
    """A backend of TCP that does as the first line of each connection says: `NAME VERB COUNT`.

    `fin` sends COUNT bytes of the name's pattern and ends; `rst` sends them and resets; `take` keeps what comes until the
    end; `echo` sends it back; `deaf` never reads; `late` answers the client's end with COUNT bytes; `flood` sends them and
    stays; `cut` sends COUNT bytes in two pieces and ends.
    """

    def __init__(self):
        self.server = None
        self.writers: set = set()
        # By the connection's name: what was taken, and `fin` or `rst`.
        self.taken: dict[str, tuple[bytes, str]] = {}
        self.open = 0
        self.most = 0

    async def start(self, path: str | None = None) -> "Orders":
        if path:
            self.server = await asyncio.start_unix_server(self._serve, path, backlog=4096)
        else:
            self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=65_536, backlog=4096)
        return self

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader, writer):
        self.open += 1
        self.most = max(self.most, self.open)
        self.writers.add(writer)
        try:
            line = await reader.readline()
            if line.endswith(b"\n"):
                name, verb, count = line.decode().split()
                await getattr(self, verb)(name, int(count), reader, writer)
            else:
                writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        except asyncio.CancelledError:
            # asyncio complains of connections whose task is cancelled, as all are at the end.
            pass
        finally:
            self.open -= 1
            self.writers.discard(writer)

    async def fin(self, name, count, reader, writer):
        writer.write(pattern(name, count))
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()

    async def rst(self, name, count, reader, writer):
        writer.write(pattern(name, count))
        await writer.drain()
        # The last of it is on its way to the gateway: the system would throw away its own rest.
        writer.transport.set_write_buffer_limits(0)
        await writer.drain()
        reset(writer)

    async def take(self, name, count, reader, writer):
        taken = bytearray()
        how = "fin"
        try:
            while piece := await reader.read(65_536):
                taken.extend(piece)
        except ConnectionError:
            how = "rst"
        self.taken[name] = (bytes(taken), how)
        writer.close()

    async def echo(self, name, count, reader, writer):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def deaf(self, name, count, reader, writer):
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async def late(self, name, count, reader, writer):
        self.taken[name] = (await reader.read(), "fin")
        writer.write(pattern(name, count))
        await writer.drain()
        writer.close()

    async def flood(self, name, count, reader, writer):
        block = pattern(name, 65_536)
        for _ in range(count // 65_536):
            writer.write(block)
            await writer.drain()
        await reader.read()
        writer.close()

    async def both(self, name, count, reader, writer):
        """Sends without end and never reads."""
        writer.transport.pause_reading()
        block = pattern(name, 65_536)
        while True:
            writer.write(block)
            await writer.drain()

    async def cut(self, name, count, reader, writer):
        (total,) = struct.unpack("!I", await reader.readexactly(4))
        block = pattern(name, total)
        writer.write(block[:count])
        # The rest comes in a read of its own, as far as a peer can see to that.
        await asyncio.sleep(0.002)
        writer.write(block[count:])
        await writer.drain()
        writer.close()

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()


async def echo(reader, writer) -> None:
    """A backend's connection on which each byte comes back, until the peer ends its side."""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def orders(trial) -> Orders:
    backend = await Orders().start()
    trial.bench.keep(backend)
    return backend


def names():
    """Names for connections, never the same."""
    number = 0
    while True:
        number += 1
        yield f"{os.getpid()}-{number}"
