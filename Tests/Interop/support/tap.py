"""A relay between two ends that keeps what passes, to be read as heads and frames once both ends are done."""

import asyncio
import re
import struct
from dataclasses import dataclass, field

from support.check import Failed, equal
from support.patience import stretched
from support.wire import CLOSE, CONTINUATION, KHP, Frame, Head, masked

# Statuses with which the extended handshake completes.
COMPLETING = (101, 201, 204, 205)


@dataclass
class Message:
    """A message as it stood on the wire: whether RSV1 says that it is compressed, and the payload of each frame."""

    opcode: int
    compressed: bool
    payloads: list[bytes]

    @property
    def payload(self) -> bytes:
        return b"".join(self.payloads)


@dataclass
class Direction:
    """The bytes that one end sent: its head, and behind it frames."""

    name: str
    data: bytearray = field(default_factory=bytearray)

    @property
    def head(self) -> Head:
        return Head.parse(bytes(self.data))

    @property
    def behind_head(self) -> bytes:
        return bytes(self.data).partition(b"\r\n\r\n")[2]

    def frames(self) -> list[Frame]:
        data = self.behind_head
        frames, at = [], 0
        while at < len(data):
            first, second = data[at], data[at + 1]
            length, at = second & 0x7F, at + 2
            if length >= 126:
                form, size = (">H", 2) if length == 126 else (">Q", 8)
                length, at = struct.unpack_from(form, data, at)[0], at + size
            is_masked = bool(second & 0x80)
            equal(is_masked, self.name == "client", f"whether a frame of the {self.name}'s is masked")
            key, at = (data[at : at + 4], at + 4) if is_masked else (b"", at)
            payload, at = data[at : at + length], at + length
            if len(payload) < length:
                raise Failed(f"the {self.name} ended in the middle of a frame of {length} bytes")
            payload = masked(payload, key) if is_masked else payload
            frames.append(Frame(first & 0x0F, payload, bool(first & 0x80), (first >> 4) & 7, is_masked))
        return frames

    def messages(self) -> list[Message]:
        """All messages; no bit is reserved but the first frame's RSV1, and control frames have none (RFC 7692, 6)."""
        messages, is_open = [], False
        for frame in self.frames():
            is_first = frame.opcode != CONTINUATION and frame.opcode < CLOSE
            equal(frame.rsv & ~(4 if is_first else 0), 0, f"reserved bits of a frame of the {self.name}'s")
            if frame.opcode >= CLOSE:
                equal(frame.fin, True, f"whether a control frame of the {self.name}'s is whole")
                continue
            equal(is_first, not is_open, f"whether a frame of the {self.name}'s begins a message")
            if is_first:
                messages.append(Message(frame.opcode, frame.rsv == 4, []))
            messages[-1].payloads.append(frame.payload)
            is_open = not frame.fin
        equal(is_open, False, f"whether the {self.name}'s last message is unfinished")
        return messages


class Conversation:
    """One connection through a tap."""

    def __init__(self):
        self.client = Direction("client")
        self.server = Direction("server")
        self.ended = asyncio.Event()

    @property
    def opening(self) -> tuple[str | None, str | None]:
        """The offer and the agreement of the opening in Sec-WebSocket-Extensions."""
        equal(self.server.head.status, 101, "status of the opening on the wire")
        return _extensions(self.client.head), _extensions(self.server.head)

    @property
    def is_extended(self) -> bool:
        return self.server.head.get("Sec-WebSocket-Protocol") == KHP

    def by_layer(self, inflate=None) -> tuple[list[Message], list[Message], list[Message], list[Message]]:
        """The messages of the extended handshake, the client's and the server's, and then the application's.

        `inflate` reads a compressed message of the handshake: (name of the sender, message) to bytes.
        """
        client, server = self.client.messages(), self.server.messages()
        if not self.is_extended:
            return [], [], client, server

        def text(name: str, message: Message) -> bytes:
            return inflate(name, message) if message.compressed and inflate else message.payload

        responses = 0
        while responses < len(server):
            head = text("server", server[responses])
            responses += 1
            status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
            if not status:
                raise Failed(f"no response of the extended handshake: {head[:100]!r}")
            if int(status[1]) in COMPLETING:
                break
        requests = 0
        while requests < len(client) and text("client", client[requests]).startswith(b"GET /"):
            requests += 1
        return client[:requests], server[:responses], client[requests:], server[responses:]

    @property
    def extended(self) -> tuple[str | None, str | None]:
        """The last offer and the agreement of the extended handshake; for one whose messages are not compressed."""
        requests, responses, _, _ = self.by_layer()
        return tuple(_extensions(Head.parse(messages[-1].payload)) for messages in (requests, responses))


def _extensions(head: Head) -> str | None:
    return ", ".join(head.all("Sec-WebSocket-Extensions")) or None


class Tap:
    """Listens on a free port of 127.0.0.1 and passes everything on to another."""

    def __init__(self, port: int):
        self.target = port
        self.conversations: list[Conversation] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task] = set()

    @staticmethod
    async def before(bench, port: int) -> "Tap":
        """A tap in front of what listens on that port."""
        tap = bench.keep(Tap(port))
        tap.listener = await asyncio.start_server(tap._serve, "127.0.0.1", 0)
        tap.port = tap.listener.sockets[0].getsockname()[1]
        return tap

    def url(self, path: str = "/echo") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def conversation(self, index: int = 0, within: float = 20) -> Conversation:
        """A connection, in their order, when both ends are done with it."""

        async def look():
            async with self._changed:
                await self._changed.wait_for(lambda: len(self.conversations) > index)
            await self.conversations[index].ended.wait()
            return self.conversations[index]

        try:
            return await asyncio.wait_for(look(), stretched(within))
        except asyncio.TimeoutError:
            raise Failed(f"connection {index + 1} through the tap is not done within {within} s") from None

    async def _serve(self, reader, writer) -> None:
        self._tasks.add(asyncio.current_task())
        conversation = Conversation()
        async with self._changed:
            self.conversations.append(conversation)
            self._changed.notify_all()
        onward = None
        try:
            back, onward = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(
                _pump(reader, onward, conversation.client.data), _pump(back, writer, conversation.server.data)
            )
        except OSError:
            pass  # who looks for it in vain sees an unfinished conversation
        finally:
            for end in (writer, onward):
                if end is not None:
                    end.close()
            conversation.ended.set()
            self._tasks.discard(asyncio.current_task())

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        self.listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(reader, writer, kept: bytearray) -> None:
    """Passes on what comes, and the end of it."""
    try:
        while chunk := await reader.read(1 << 16):
            kept += chunk
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()  # one end broke off: so does the relay
