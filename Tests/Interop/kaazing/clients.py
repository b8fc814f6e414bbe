"""Stand-ins for the clients that Kaazing deployed: JavaScript, Java, iOS, in the legacy exchange (`.kl=Y`).

Each writes the bytes that its original was measured to write, is as strict as that in what it reads, and as careless.
What they have in common is the order of things: opening; balancer message; extended request; the response up to an empty
message; balancer message; only then is the socket open.
"""

import asyncio
import base64
import os
import random
import re
import ssl
import struct
import urllib.parse
from dataclasses import dataclass, field

from support.check import Failed, check, equal
from support.wire import BINARY, CLOSE, CONTINUATION, PATIENCE, PING, PONG, TEXT, Head, Wire, accept_of

BALANCER = b"\xef\x83\xbf"  # U+F0FF
KHP = "x-kaazing-handshake"


class Refused(Exception):
    """The connect failed, as the original would say; the status of the response where there was one."""

    def __init__(self, why: str, status: int | None = None):
        super().__init__(why)
        self.status = status


@dataclass
class Seen:
    """The steps on the way, for a case to look at."""

    statuses: list[int] = field(default_factory=list)
    challenges: list[str] = field(default_factory=list)
    redirects: list[str] = field(default_factory=list)
    openings: list[bytes] = field(default_factory=list)
    messages: list[tuple[int, bytes]] = field(default_factory=list)


class KaazingClient:
    """The common part of the three."""

    request_opcode = TEXT
    redirect_limit = 10  # the originals have none; a test must end

    def __init__(self, url: str, *, protocols=(), credentials: str | None = None, authority: str | None = None):
        self.first = urllib.parse.urlsplit(url)
        self.url = url
        self.protocols = list(protocols)
        self.credentials = credentials
        self.context = ssl.create_default_context(cafile=authority) if authority else None
        self.seen = Seen()
        self.protocol: str | None = None
        self.extensions: list[str] = []
        self.cookies: list[str] = []
        self.wire: Wire | None = None

    # Differences

    def opening(self, target: str, host: str) -> bytes:
        raise NotImplementedError

    def check_opening(self, answer: bytes) -> Head:
        raise NotImplementedError

    def request(self, path: str, authorization: str | None) -> bytes:
        raise NotImplementedError

    def read_response(self, parts: list[tuple[int, bytes]]) -> tuple[int, list[tuple[str, str]]]:
        raise NotImplementedError

    # The way to an open socket

    async def connect(self) -> "KaazingClient":
        """Follows balancers until the socket is open; raises `Refused` where the original gives up on native."""
        for _ in range(self.redirect_limit):
            elsewhere = await self._attempt()
            if elsewhere is None:
                return self
            self.seen.redirects.append(elsewhere)
            self.url = elsewhere
            await self._drop()
        raise Failed("redirected without end")

    async def _attempt(self) -> str | None:
        await self.before_opening()
        parts = urllib.parse.urlsplit(self.url)
        target = legacy_target(parts)
        self.wire = await dial(parts, self.context)
        self.key = base64.b64encode(os.urandom(16)).decode()
        opening = self.opening(target, parts.netloc)
        self.seen.openings.append(opening)
        await self.wire.send(opening)
        answer = (await self.wire.head_without_entity()).bytes()
        head = self.check_opening(answer)
        chosen = head.get("Sec-WebSocket-Protocol")
        if chosen != KHP:
            # A plain WebSocket server: open at once, without balancer messages.
            self.protocol = chosen
            return None
        if (elsewhere := await self._balancer()) is not None:
            return elsewhere
        # The path of the first URL, wherever a balancer has led since.
        path = (self.first.path or "/") + (f"?{self.first.query}" if self.first.query else "")
        authorization = None
        while True:
            await self.wire.send_frame(self.request_opcode, self.request(path, authorization))
            status, fields = self.read_response(await self._response())
            self.seen.statuses.append(status)
            if status == 101:
                self.take(fields)
                return await self._balancer()
            if status != 401:
                raise Refused(f"{status} in the extended handshake", status)
            challenge = next((value for name, value in fields if name == "WWW-Authenticate"), "")
            self.seen.challenges.append(challenge)
            if not challenge.startswith("Application "):
                raise Refused(f"a challenge that is not for applications: {challenge!r}", 401)
            if self.credentials is None or authorization is not None:
                await self.wire.send_close(1000)
                raise Refused("no (other) credentials", 401)
            authorization = self.credentials

    async def before_opening(self) -> None:
        """The first request of the Java client."""

    def take(self, fields) -> None:
        for name, value in fields:
            if name == "Sec-WebSocket-Protocol":
                self.protocol = value
            elif name == "Sec-WebSocket-Extensions":
                self.extensions += re.split(r", ?", value)
            elif name == "Set-Cookie":
                self.cookies.append(value)

    async def _message(self) -> tuple[int, bytes]:
        """A message of exactly one frame: no original puts fragments together (a browser does, but is not asked to)."""
        while True:
            seen = await self.wire.read_frame()
            if seen.opcode == PING:
                await self.wire.send_frame(PONG, seen.payload)
            elif seen.opcode == CLOSE:
                raise Refused(f"closed with {seen.code} during the handshake")
            elif seen.opcode == CONTINUATION or not seen.fin:
                raise Failed("a fragmented message, which the Java client would lose")
            elif seen.opcode != PONG:
                self.seen.messages.append((seen.opcode, seen.payload))
                return seen.opcode, seen.payload

    async def _balancer(self) -> str | None:
        """A balancer message: None for none, otherwise the URL."""
        opcode, payload = await self._message()
        text = payload.decode()
        if not text.startswith("\uf0ff"):
            raise Failed(f"no balancer message but {payload[:100]!r} (opcode {opcode})")
        if text[1:] == "N":
            return None
        check(text[1:2] == "R", f"a balancer message neither N nor R: {payload!r}")
        if not text[2:]:
            raise Refused("the balancer has no member")
        return text[2:]

    async def _response(self) -> list[tuple[int, bytes]]:
        """The messages of a response, up to the empty one that ends it."""
        parts = []
        while True:
            opcode, payload = await self._message()
            if not payload:
                check(parts, "the end of a response before its beginning")
                return parts
            parts.append((opcode, payload))

    # The open socket

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self.wire.send_frame(TEXT, message.encode())
        else:
            await self.wire.send_frame(BINARY, message)

    async def receive(self) -> str | bytes:
        opcode, payload = await self._message()
        return payload.decode() if opcode == TEXT else payload

    async def expect_echo(self, message: str | bytes) -> None:
        await self.send(message)
        equal(await self.receive() == message, True, "the echo is what was sent")

    async def close(self) -> None:
        await self.wire.send_close(1000)
        await self.wire.expect_close(1000, answer=False)
        await self.wire.expect_end()

    async def _drop(self) -> None:
        """After a balancer's redirect the server closes with 1000."""
        await self.wire.expect_close(1000)
        self.wire.end()

    def abort(self) -> None:
        if self.wire is not None:
            self.wire.abort()


class JavaScriptClient(KaazingClient):
    """javascript.client 5.0 and the Enterprise one, in Chromium: the browser opens, the library asks in text."""

    def __init__(self, url: str, *, origin: str = "http://desk.example", **how):
        super().__init__(url, **how)
        self.origin = origin

    def opening(self, target: str, host: str) -> bytes:
        protocols = ", ".join([KHP, *self.protocols])
        return (
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
            "Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
            f"Upgrade: websocket\r\nOrigin: {self.origin}\r\nSec-WebSocket-Version: 13\r\n"
            "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"
            f"Sec-WebSocket-Key: {self.key}\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
            f"Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
        ).encode()

    def check_opening(self, answer: bytes) -> Head:
        head = Head.parse(answer)
        if head.status != 101:
            raise Refused(f"{head.status} at the opening", head.status)
        equal(head.get("Sec-WebSocket-Accept"), accept_of(self.key), "Sec-WebSocket-Accept")
        # A browser fails when none of the offered subprotocols is chosen, or an extension that it did not offer.
        if head.get("Sec-WebSocket-Protocol") not in [KHP, *self.protocols]:
            raise Refused("the 101 names none of the offered subprotocols")
        equal(head.get("Sec-WebSocket-Extensions"), None, "an extension at the opening")
        return head

    def request(self, path: str, authorization: str | None) -> bytes:
        lines = [
            f"GET {path} HTTP/1.1",
            "WebSocket-Protocol: ",
            f"Sec-WebSocket-Protocol: {','.join(self.protocols)}",
            "Sec-WebSocket-Extensions: x-kaazing-idle-timeout,x-kaazing-ping-pong",
        ]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def read_response(self, parts):
        # Split at LF only: the CR stays on each value. The last status line wins. ", " separates, "," does not.
        lines = "".join(payload.decode("latin-1") for _, payload in parts).split("\n")
        starts = [index for index, line in enumerate(lines) if line.startswith("HTTP/1.1")]
        check(starts, f"no status line in {lines!r}")
        fields = []
        for line in lines[starts[-1] + 1 :]:
            for name in ("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Set-Cookie", "WWW-Authenticate"):
                if line.startswith(name):
                    fields.append((name, line[len(name) + 2 :].removesuffix("\r")))
        return int(lines[starts[-1]].split(" ")[1]), fields


class StrictClient(KaazingClient):
    """The common part of the Java and the iOS client: an opening of their own, answered to the letter."""

    @property
    def privileged(self) -> str:
        return f"privileged://{urllib.parse.urlsplit(self.url).netloc}"

    def opening(self, target: str, host: str) -> bytes:
        cookie = f"Cookie: {self.cookie}\r\n" if getattr(self, "cookie", None) else ""
        return (
            f"GET {target} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nHost: {host}\r\n"
            f"Origin: {self.privileged}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self.key}\r\n"
            f"Sec-WebSocket-Protocol: {','.join([KHP, *self.protocols])}\r\n{cookie}\r\n"
        ).encode()

    def check_status_line(self, line: str) -> bool:
        return line == "HTTP/1.1 101 Web Socket Protocol Handshake"

    def check_opening(self, answer: bytes) -> Head:
        lines = answer.decode().split("\r\n")
        if not self.check_status_line(lines[0]):
            raise Refused(f"not the status line that it wants: {lines[0]!r}", Head.parse(answer).status)
        if "Connection: Upgrade" not in lines:
            raise Refused(f"no line `Connection: Upgrade` among {lines!r}")
        if not any(line.startswith("Upgrade: ") and line[9:].lower() == "websocket" for line in lines):
            raise Refused(f"no line `Upgrade: websocket` among {lines!r}")
        if f"Sec-WebSocket-Accept: {accept_of(self.key)}" not in lines:
            raise Refused(f"no right Sec-WebSocket-Accept among {lines!r}")
        return Head.parse(answer)

    def request(self, path: str, authorization: str | None) -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Sec-WebSocket-Extensions: x-kaazing-idle-timeout"]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def take(self, fields) -> None:
        super().take(fields)
        for extension in self.extensions:
            name, semicolon, parameter = extension.partition(";")
            equal(name.strip(), "x-kaazing-idle-timeout", "an extension, of which it asked for this alone")
            # It cuts eight characters off the parameter, which must therefore be literally `timeout=N`.
            if semicolon:
                check(re.fullmatch(r"timeout=\d+", parameter.strip()), f"parameter {parameter!r}")


class JavaClient(StrictClient):
    """java.client 2017: a pre-flight for cookies, then a binary request."""

    request_opcode = BINARY

    async def before_opening(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        number = random.randrange(10**16)
        wire = await dial(parts, self.context)
        await wire.send(
            (
                f"GET {parts.path.rstrip('/')}/;e/cookies?.krn={number}&.kl=Y HTTP/1.1\r\nUser-Agent: Java/17.0.2\r\n"
                f"Host: {parts.netloc}\r\nAccept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2\r\n"
                "Connection: keep-alive\r\n\r\n"
            ).encode()
        )
        head = await wire.head()
        wire.abort()
        if head.status not in (200, 201):
            raise Refused(f"the cookie pre-flight is answered with {head.status}", head.status)
        self.cookie = head.entity.decode() or None

    def read_response(self, parts):
        for opcode, _ in parts:
            equal(opcode, BINARY, "opcode of the response; the Java client loses text")
        text = b"".join(payload for _, payload in parts).decode()
        check("\r" not in text.replace("\r\n", ""), "CR without LF")
        return read_lines(text.split("\r\n"))

    async def send(self, message: str | bytes) -> None:
        """As its frame layer does: a payload of 65,535 bytes goes with the 64-bit length."""
        payload = message.encode() if isinstance(message, str) else message
        opcode = TEXT if isinstance(message, str) else BINARY
        form = 64 if len(payload) == 65535 else None
        data = self.wire.frame(opcode, payload, form=form)
        if form:
            equal(data[1:10], b"\xff" + struct.pack(">Q", 65535), "the length as the original writes it")
        await self.wire.send(data)


class AppleClient(StrictClient):
    """ios.client 2016: as Java, but asks in text, takes text or binary, and has no pre-flight."""

    def check_status_line(self, line: str) -> bool:
        return line.lower() == "http/1.1 101 web socket protocol handshake"

    def read_response(self, parts):
        return read_lines(b"".join(payload for _, payload in parts).decode().split("\r\n"))


def read_lines(lines: list[str]) -> tuple[int, list[tuple[str, str]]]:
    """The last status line and the fields behind it, their names compared case by case."""
    starts = [index for index, line in enumerate(lines) if line.startswith("HTTP/1.1")]
    check(starts, f"no status line in {lines!r}")
    fields = []
    for line in lines[starts[-1] + 1 :]:
        name, colon, value = line.partition(":")
        if colon:
            fields.append((name, value.strip()))
    return int(lines[starts[-1]].split(" ")[1]), fields


def legacy_target(parts: urllib.parse.SplitResult) -> str:
    """The target of the opening: `.kl=Y` at the end of the query, once more after each redirect."""
    return (parts.path or "/") + "?" + (f"{parts.query}&" if parts.query else "") + ".kl=Y"


async def dial(parts: urllib.parse.SplitResult, context: ssl.SSLContext | None) -> Wire:
    secure = parts.scheme in ("wss", "https")
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(
            parts.hostname, parts.port, ssl=context if secure else None, limit=1 << 22,
            server_hostname=parts.hostname if secure else None,
        ),
        PATIENCE,
    )  # fmt: skip
    return Wire(reader, writer, is_client=True)
