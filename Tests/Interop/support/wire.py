"""Heads and frames as bytes, written here independently of the product: what a raw peer reads and writes."""

import asyncio
import base64
import hashlib
import os
import struct
from dataclasses import dataclass, field

from support.check import Failed, equal
from support.patience import stretched

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KHP = "x-kaazing-handshake"
# How long a raw peer waits for bytes that should come at once.
PATIENCE = 8.0


def accept_of(key: str) -> str:
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class Head:
    """A start line and fields in their order and case."""

    start: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    entity: bytes = b""

    @staticmethod
    def parse(data: bytes) -> "Head":
        text, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            raise Failed(f"no complete head: {data[:300]!r}")
        lines = text.decode("latin-1").split("\r\n")
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise Failed(f"no field: {line!r} in {data[:300]!r}")
            fields.append((name, value.strip(" \t")))
        return Head(lines[0], fields, rest)

    def bytes(self) -> bytes:
        lines = [self.start] + [f"{name}: {value}" for name, value in self.fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + self.entity

    @property
    def status(self) -> int:
        parts = self.start.split(" ", 2)
        if len(parts) < 2 or not parts[1].isdigit():
            raise Failed(f"no status line: {self.start!r}")
        return int(parts[1])

    @property
    def reason(self) -> str:
        return self.start.split(" ", 2)[2]

    @property
    def method(self) -> str:
        return self.start.split(" ")[0]

    @property
    def target(self) -> str:
        return self.start.split(" ")[1]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.fields]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None


def masked(payload: bytes, key: bytes) -> bytes:
    if not payload:
        return payload
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def frame(opcode: int, payload: bytes = b"", *, fin=True, rsv=0, mask=False, length=None, form=None) -> bytes:
    """One frame. `length` lies about the length, `form` (7, 16 or 64) chooses its form."""
    declared = len(payload) if length is None else length
    form = form or (7 if declared < 126 else 16 if declared < 65536 else 64)
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    bit = 0x80 if mask else 0
    if form == 7:
        head += bytes([bit | declared])
    elif form == 16:
        head += bytes([bit | 126]) + struct.pack(">H", declared)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", declared)
    if mask:
        key = os.urandom(4)
        return head + key + masked(payload, key)
    return head + payload


def close_payload(code: int | None, reason: str = "") -> bytes:
    return b"" if code is None else struct.pack(">H", code) + reason.encode()


@dataclass
class Frame:
    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    is_masked: bool

    @property
    def code(self) -> int | None:
        return struct.unpack(">H", self.payload[:2])[0] if len(self.payload) >= 2 else None

    @property
    def reason(self) -> str:
        return self.payload[2:].decode()


class Wire:
    """One end of a connection. Frames of a client are masked; those of the peer are checked to be as they must."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_client: bool):
        self.reader = reader
        self.writer = writer
        self.is_client = is_client

    async def _wait(self, awaitable, what: str, within: float | None = None):
        within = within or PATIENCE
        try:
            return await asyncio.wait_for(awaitable, stretched(within))
        except asyncio.TimeoutError:
            raise Failed(f"{what} did not come within {within} s") from None

    # Writing

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_frame(self, opcode: int, payload: bytes = b"", **how) -> None:
        await self.send(self.frame(opcode, payload, **how))

    def frame(self, opcode: int, payload: bytes = b"", **how) -> bytes:
        how.setdefault("mask", self.is_client)
        return frame(opcode, payload, **how)

    async def send_text(self, text: str) -> None:
        await self.send_frame(TEXT, text.encode())

    async def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        await self.send_frame(CLOSE, close_payload(code, reason))

    async def drip(self, pieces, every: float) -> None:
        """Sends a piece at a time, so many seconds apart, until there are no more or the peer is gone. For cases about
        a peer that keeps talking without getting anywhere: what they wait for is time itself, and no event tells it."""
        for piece in pieces:
            if self.reader.at_eof():
                return
            try:
                await self.send(piece)
            except ConnectionError:
                return
            await asyncio.sleep(every)

    # Reading

    async def head(self, within: float | None = None) -> Head:
        """An HTTP head; its entity, where Content-Length tells one."""
        head = await self.head_without_entity(within)
        length = int(head.get("Content-Length") or 0)
        if length:
            head.entity = await self.exactly(length)
        return head

    async def head_without_entity(self, within: float | None = None) -> Head:
        try:
            data = await self._wait(self.reader.readuntil(b"\r\n\r\n"), "a head", within)
        except asyncio.IncompleteReadError as error:
            raise Failed(f"the stream ended instead of a head, after {error.partial!r}") from None
        return Head.parse(data)

    async def exactly(self, count: int) -> bytes:
        try:
            return await self._wait(self._take(count), f"{count} bytes")
        except asyncio.IncompleteReadError as error:
            raise Failed(f"the stream ended after {len(error.partial)} of {count} bytes") from None

    async def read_frame(self, within: float | None = None) -> Frame:
        first, second = await self._wait(self._exactly_or_end(2), "a frame", within)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack(">H", await self.exactly(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", await self.exactly(8))[0]
        is_masked = bool(second & 0x80)
        key = await self.exactly(4) if is_masked else b""
        payload = await self.exactly(length)
        if is_masked:
            payload = masked(payload, key)
        seen = Frame(first & 0x0F, payload, bool(first & 0x80), (first >> 4) & 7, is_masked)
        equal(seen.is_masked, not self.is_client, "masked")
        equal(seen.rsv, 0, "reserved bits")
        return seen

    async def _exactly_or_end(self, count: int) -> bytes:
        try:
            return await self._take(count)
        except asyncio.IncompleteReadError:
            raise Failed("the stream ended instead of a frame") from None

    async def _take(self, count: int) -> bytes:
        try:
            return await self.reader.readexactly(count)
        except ConnectionError:
            # asyncio hides what came before a reset; it counts as received.
            self.reader._exception = None
            self.reader.feed_eof()
            return await self.reader.readexactly(count)

    async def message(self, within: float | None = None) -> tuple[int, bytes]:
        """A whole message; pings on the way are answered, a close frame is a failure."""
        opcode, parts = None, []
        while True:
            seen = await self.read_frame(within)
            if seen.opcode == PING:
                await self.send_frame(PONG, seen.payload)
            elif seen.opcode == CLOSE:
                raise Failed(f"closed with {seen.code} instead of a message")
            elif seen.opcode != PONG:
                opcode = seen.opcode if opcode is None else opcode
                parts.append(seen.payload)
                if seen.fin:
                    return opcode, b"".join(parts)

    async def text(self, within: float | None = None) -> str:
        opcode, payload = await self.message(within)
        equal(opcode, TEXT, "opcode")
        return payload.decode()

    async def expect_close(self, code: int | None, *, answer: bool = True, within: float | None = None) -> Frame:
        """The peer's close frame with this code; messages on the way are a failure, pings are not."""
        while True:
            seen = await self.read_frame(within)
            if seen.opcode == CLOSE:
                break
            if seen.opcode not in (PING, PONG):
                raise Failed(f"a message instead of a close frame: {seen.payload[:200]!r}")
        equal(seen.code, code, "close code")
        if answer:
            await self.send_close(seen.code)
        return seen

    async def expect_end(self, within: float | None = None) -> None:
        """The end of the stream, with nothing before it."""
        try:
            data = await self._wait(self.reader.read(65536), "the end of the stream", within)
        except ConnectionError:
            return
        if data:
            raise Failed(f"bytes instead of the end of the stream: {data[:200]!r}")

    async def until_end(self, within: float | None = None) -> bytes:
        """All that still comes."""
        try:
            return await self._wait(self.reader.read(-1), "the end of the stream", within)
        except ConnectionError:
            return b""

    def end_writing(self) -> None:
        """Half of the end: what the peer still says can be read."""
        try:
            self.writer.write_eof()
        except OSError:
            pass  # the peer is gone already

    def end(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()
