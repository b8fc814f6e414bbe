"""A client that does on the wire exactly what a case says, right or wrong."""

import asyncio
import base64
import os
import socket

from support.check import equal
from support.wire import BINARY, CLOSE, KHP, Head, Wire, accept_of


class RawClient(Wire):
    """The client's end of one connection, with the steps that cases are made of."""

    def __init__(self, reader, writer, port: int):
        super().__init__(reader, writer, is_client=True)
        self.port = port
        self.authority = f"127.0.0.1:{port}"
        self.key = base64.b64encode(os.urandom(16)).decode()

    @staticmethod
    async def dial(port: int, tls=None) -> "RawClient":
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None, limit=1 << 22
        )
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return RawClient(reader, writer, port)

    def opening(self, path: str = "/echo", protocols=(KHP,), fields=(), method="GET", without=(), **replaced) -> bytes:
        """The opening request; `replaced` gives another value for a field, `without` leaves fields out."""
        values = {
            "Host": self.authority,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": self.key,
            "Sec-WebSocket-Version": "13",
        }
        if protocols:
            values["Sec-WebSocket-Protocol"] = ", ".join(protocols)
        values.update({name.replace("_", "-"): value for name, value in replaced.items()})
        head = Head(f"{method} {path} HTTP/1.1")
        head.fields = [(name, value) for name, value in values.items() if name not in without] + list(fields)
        return head.bytes()

    async def open(self, path: str = "/echo", protocols=(KHP,), fields=(), **how) -> Head:
        """Sends the opening; the server's answer, which is checked when it is a 101."""
        await self.send(self.opening(path, protocols, fields, **how))
        answer = await self.head()
        if answer.status == 101:
            equal(answer.get("Sec-WebSocket-Accept"), accept_of(self.key), "Sec-WebSocket-Accept")
        return answer

    async def open_khp(self, path: str = "/echo", protocols=(KHP,), fields=()) -> Head:
        """An opening that must agree to x-kaazing-handshake."""
        answer = await self.open(path, protocols, fields)
        equal(answer.status, 101, "status of the opening")
        equal(answer.get("Sec-WebSocket-Protocol"), KHP, "subprotocol of the opening")
        return answer

    @staticmethod
    def request_bytes(path: str = "/echo", fields=(), method: str = "GET") -> bytes:
        return Head(f"{method} {path} HTTP/1.1", list(fields)).bytes()

    async def request(self, path: str = "/echo", fields=(), method: str = "GET", opcode: int = BINARY) -> Head:
        """Sends the extended request; the response, which must be one binary message."""
        await self.send_frame(opcode, self.request_bytes(path, fields, method))
        return await self.response()

    async def response(self, within: float | None = None) -> Head:
        opcode, payload = await self.message(within)
        equal(opcode, BINARY, "opcode of the extended response")
        head = Head.parse(payload)
        length = head.get("Content-Length")
        equal(len(head.entity), int(length or 0), "length of the entity")
        return head

    async def complete(self, path: str = "/echo", fields=()) -> Head:
        """Opening and extended handshake, which must end with 101."""
        await self.open_khp(path)
        answer = await self.request(path, fields)
        equal(answer.status, 101, "status of the extended handshake")
        return answer

    async def expect_echo(self, text: str = "are you there") -> None:
        await self.send_text(text)
        equal(await self.text(), text, "echo")

    async def closes(self, code: int | None = 1000) -> None:
        """Our close, the server's with the same code, and the end."""
        await self.send_close(code)
        await self.expect_close(code, answer=False)
        await self.expect_end()

    async def refused(self, status: int, code: int | None) -> Head:
        """The server answers with this status, closes with this code (None: any) and ends the connection."""
        answer = await self.response()
        equal(answer.status, status, "status of the extended response")
        if code is None:
            await self.expect_any_close()
        else:
            await self.expect_close(code)
        await self.expect_end()
        return answer

    async def expect_any_close(self) -> None:
        seen = await self.read_frame()
        equal(seen.opcode, CLOSE, "opcode")
        await self.send_close(seen.code)
