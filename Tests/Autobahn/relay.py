"""A relay that stands between the suite's fuzzing client and a server: it completes the extended handshake on behalf of
the client, which speaks plain WebSocket, and then passes bytes both ways without looking at them.

What the suite asks for in its opening request (Sec-WebSocket-Extensions) is asked for inside instead, and what the server
grants inside stands in the answer to the suite: its cases then run over a connection whose extensions were negotiated in
the extended handshake. Only frames behind the handshakes reach the other side, byte for byte.
"""

import asyncio
import base64
import hashlib
import os
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def read_head(reader):
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
    start, *lines = head[:-4].split("\r\n")
    fields = {}
    for line in lines:
        name, value = line.split(":", 1)
        fields.setdefault(name.strip().lower(), []).append(value.strip())
    return start, fields


def masked_frame(payload):
    """One binary message of a client."""
    key = os.urandom(4)
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    else:
        length = bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    return b"\x82" + length + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


async def read_message(reader):
    """One unfragmented message of a server, control frames passed over."""
    while True:
        first, second = await asyncio.wait_for(reader.readexactly(2), 10)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await reader.readexactly(8))
        payload = await reader.readexactly(length)
        if first & 0x0F in (1, 2):
            return payload
        if first & 0x0F == 8:
            raise ConnectionError("the server closed during the extended handshake")


class Relay:
    def __init__(self, host, port, path):
        self.host, self.port, self.path = host, port, path
        #: Connections whose extended handshake completed; the driver checks that all went this way.
        self.completed = 0

    async def start(self):
        server = await asyncio.start_server(self.accepted, "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]

    async def accepted(self, reader, writer):
        onward = None
        try:
            _, fields = await read_head(reader)
            server_reader, onward = await asyncio.open_connection(self.host, self.port)
            answer = await self.negotiate(server_reader, onward, fields)
            writer.write(answer)
            await writer.drain()
            self.completed += 1
            await asyncio.gather(self.pump(reader, onward), self.pump(server_reader, writer))
        except (OSError, ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass
        finally:
            for end in (writer, onward):
                if end is not None:
                    end.close()

    async def negotiate(self, reader, writer, fields):
        """Both handshakes with the server; returns the opening answer for the suite."""
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            (
                f"GET {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: x-kaazing-handshake\r\n\r\n"
            ).encode()
        )
        start, opening = await read_head(reader)
        if " 101 " not in start or opening.get("sec-websocket-protocol") != ["x-kaazing-handshake"]:
            raise ConnectionError(f"no extended handshake: {start}")
        request = f"GET {self.path} HTTP/1.1\r\n"
        if "sec-websocket-extensions" in fields:
            request += f"Sec-WebSocket-Extensions: {', '.join(fields['sec-websocket-extensions'])}\r\n"
        writer.write(masked_frame(request.encode() + b"\r\n"))
        head = (await read_message(reader)).decode("latin-1")
        if not head.startswith("HTTP/1.1 101 "):
            raise ConnectionError(f"the extended handshake did not complete: {head.splitlines()[0]}")
        granted = [
            line.split(":", 1)[1].strip()
            for line in head.split("\r\n")
            if line.lower().startswith("sec-websocket-extensions:")
        ]
        accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"][0].encode() + GUID).digest()).decode()
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n"
        )
        if granted:
            answer += f"Sec-WebSocket-Extensions: {', '.join(granted)}\r\n"
        return (answer + "\r\n").encode()

    @staticmethod
    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()
