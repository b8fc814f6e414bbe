"""A stand-in for the Kaazing Gateway: the script of a raw server that answers as the original was measured to answer.

In the legacy exchange for an opening with `.kl=Y`, the terminator alone for `.kv=10.05`, and neither otherwise.
"""

import urllib.parse
from dataclasses import dataclass, field

from support.check import equal
from support.wire import BINARY, CLOSE, KHP, PING, PONG, Head, accept_of

BALANCER = b"\xef\x83\xbf"
DATE = ("Date", "Fri, 24 Jan 2014 12:50:58 GMT")
SERVER = ("Server", "Kaazing Gateway")
# Fields of an extended request that it refuses, beside those that begin with Proxy- or Sec-.
FORBIDDEN = {
    "accept-charset", "accept-encoding", "content-length", "content-transfer-encoding", "date", "expect", "keep-alive",
    "referer", "te", "trailer", "transfer-encoding", "upgrade", "via",
}  # fmt: skip
ALLOWED = {"host", "connection", "sec-websocket-protocol", "sec-websocket-extensions"}


@dataclass
class Gateway:
    """Called for each connection of a RawServer; keeps what it saw."""

    protocols: tuple[str, ...] = ()
    # `Authorization` that the realm takes, and the challenge; None: no realm.
    authorization: str | None = None
    challenge: str = 'Application Basic realm="Kaazing WebSocket Gateway Demo"'
    extensions: dict[str, str] = field(default_factory=lambda: {"x-kaazing-ping-pong": "; 01010102"})
    # Path → the URL of a member for the balancer there ("" for none available); and in which message it says so.
    members: dict[str, str] = field(default_factory=dict)
    member_at: int = 2
    # Puts a 401 into the `200 OK` envelope of old, in three messages.
    envelope: bool = False
    openings: list[Head] = field(default_factory=list)
    requests: list[Head] = field(default_factory=list)
    opcodes: list[int] = field(default_factory=list)
    codes: list[int | None] = field(default_factory=list)

    async def __call__(self, peer) -> None:
        opening = await peer.read_opening()
        self.openings.append(opening)
        path, _, query = opening.target.partition("?")
        legacy = ".kl=Y" in query.split("&")
        terminated = legacy or ".kv=10.05" in query.split("&")
        offered = [name.strip() for name in (opening.get("Sec-WebSocket-Protocol") or "").split(",") if name.strip()]
        accept = ("Sec-WebSocket-Accept", accept_of(peer.key))
        # x-kaazing-handshake wins whenever it is offered.
        head = Head("HTTP/1.1 101 Web Socket Protocol Handshake")
        head.fields = [("Connection", "Upgrade"), DATE, accept]
        if KHP in offered:
            head.fields.append(("Sec-WebSocket-Protocol", KHP))
        head.fields += [SERVER, ("Upgrade", "websocket")]
        await peer.send(head.bytes())
        if KHP not in offered:
            self.codes.append(await peer.echo())
            return
        member = self.members.get(path)
        if legacy or member is not None:
            if legacy and member is not None and self.member_at == 1:
                await self._redirect(peer, member, query)
                return
            # A balancer says so even where nobody asked.
            await peer.send(peer.frame(BINARY, BALANCER + b"N"))

        while True:
            request = await self._request(peer)
            if request is None:
                return
            if request.target.partition("?")[0] != path or self._forbids(request):
                await peer.send_frame(BINARY, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                if terminated:
                    await peer.send_frame(BINARY)
                await self._close(peer)
                return
            if self.authorization is None or request.get("Authorization") == self.authorization:
                break
            for part in self._unauthorized():
                await peer.send_frame(BINARY, part)
            if terminated:
                await peer.send_frame(BINARY)
        if member is not None and not legacy:
            # The clean dialect is redirected by HTTP, with the field's name in small letters.
            location = member.replace("ws", "http", 1)
            await peer.send_frame(BINARY, f"HTTP/1.1 302 Found\r\nlocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
            await self._until_closed(peer)
            return
        await peer.send_frame(BINARY, self._completed(accept, offered, request).bytes())
        if terminated:
            await peer.send_frame(BINARY)
        if legacy and member is not None:
            await self._redirect(peer, member, query)
            return
        if legacy:
            await peer.send_frame(BINARY, BALANCER + b"N")
        self.codes.append(await peer.echo())

    async def _request(self, peer) -> Head | None:
        """Messages until a head is whole: for the gateway it is a stream, whatever the frames."""
        data = b""
        while b"\r\n\r\n" not in data:
            seen = await peer.read_frame()
            if seen.opcode == CLOSE:
                await peer.send_close(seen.code)
                self.codes.append(seen.code)
                peer.end()
                return None
            if seen.opcode == PING:
                await peer.send_frame(PONG, seen.payload)
            elif seen.opcode != PONG:
                self.opcodes.append(seen.opcode)
                data += seen.payload
        request = Head.parse(data)
        equal(request.entity, b"", "what follows the extended request in its message")
        self.requests.append(request)
        return request

    @staticmethod
    def _forbids(request: Head) -> bool:
        names = [name.lower() for name in request.names]
        return any(
            name in FORBIDDEN or (name.startswith(("proxy-", "sec-")) and name not in ALLOWED) for name in names
        )

    def _unauthorized(self) -> list[bytes]:
        entity = b"<html><head></head><body><h1>401 Unauthorized</h1></body></html>"
        kind = "Content-Type: text/html\r\n"
        if self.envelope:
            head = f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {self.challenge}\r\n{kind}\r\n".encode()
            length = len(head) + len(entity)
            return [f"HTTP/1.1 200 OK\r\n{kind}Content-Length: {length}\r\n\r\n".encode(), head, entity]
        head = f"HTTP/1.1 401 Unauthorized\r\n{kind}WWW-Authenticate: {self.challenge}\r\n"
        return [head.encode() + f"Content-Length: {len(entity)}\r\n\r\n".encode() + entity]

    def _completed(self, accept, offered: list[str], request: Head) -> Head:
        """The inner 101: complete once more, with the key of the opening, a line for each extension."""
        head = Head("HTTP/1.1 101 Web Socket Protocol Handshake", [("Connection", "Upgrade"), DATE, accept])
        asked = ",".join(request.all("Sec-WebSocket-Extensions")).split(",")
        for name in (item.split(";")[0].strip() for item in asked):
            if name in self.extensions:
                head.fields.append(("Sec-WebSocket-Extensions", name + self.extensions[name]))
        wanted = offered[:] + ",".join(request.all("Sec-WebSocket-Protocol")).replace(" ", "").split(",")
        chosen = next((name for name in self.protocols if name in wanted), None)
        if chosen:
            head.fields.append(("Sec-WebSocket-Protocol", chosen))
        head.fields += [SERVER, ("Upgrade", "websocket")]
        return head

    async def _redirect(self, peer, member: str, query: str) -> None:
        """'R' and the member's URL, with the opening's query; nothing behind it where no member is available."""
        url = member
        if member and query:
            url += ("&" if urllib.parse.urlsplit(member).query else "?") + query
        await peer.send_frame(BINARY, BALANCER + b"R" + url.encode())
        await self._close(peer)

    async def _close(self, peer) -> None:
        await peer.send_close(1000)
        await self._until_closed(peer, answer=False)

    async def _until_closed(self, peer, answer: bool = True) -> None:
        while True:
            seen = await peer.read_frame()
            if seen.opcode == CLOSE:
                self.codes.append(seen.code)
                if answer:
                    await peer.send_close(seen.code)
                peer.end()
                return


# The recorded sizes of what it sends, by which a reader can hold this file against the original.
assert len(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") == 47
assert len(Gateway()._unauthorized()[0]) == 214
