"""Hostile bytes as a server's answers to `khp connect`, at each stage: it ends as the contract says."""

import asyncio

from support.check import Failed, among, check
from support.events import Events
from support.garbage import Garbage
from support.rawserver import RawServer
from support.registry import behaviour
from support.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload

# A process for each. 1,000 at each stage through one client, and 10,000 in memory, are among the Swift tests:
# HostileServerTests and HostilePeerTests.
COUNT = 100
AT_ONCE = 6


async def _to_nothing(peer):
    await peer.read_opening()


async def _to_plain(peer):
    await peer.open(None)


async def _to_extended(peer):
    await peer.until_request()


async def _to_open(peer):
    await peer.complete()


def _frames(peer):
    return b"".join((
        peer.frame(TEXT, "hello wörld".encode()), peer.frame(BINARY, b"\x00\x01" * 100, fin=False),
        peer.frame(PING, b"ping"), peer.frame(CONTINUATION, b"rest"), peer.frame(CLOSE, close_payload(1000)),
    ))  # fmt: skip


def _openings(garbage, peer):
    valid = peer.acceptance(fields=[("Sec-WebSocket-Extensions", 'x-one; a="b"'), ("Date", "now")])
    refusal = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="a, b"\r\nContent-Length: 3\r\n\r\nno\n'
    return garbage.pick(garbage.noise, lambda: garbage.mutation(valid), lambda: garbage.mutation(refusal))


def _many_frames(garbage, peer):
    return garbage.mutation(_frames(peer)) if garbage.random.random() < 0.6 else garbage.noise()


RESPONSES = [
    (101, [("Sec-WebSocket-Extensions", 'x-one; a="b, c"'), ("Sec-WebSocket-Protocol", "amqp")]),
    (201, [("X-Which", "second")]),
    (300, [("Link", '</target>; rel="alternate"')]),
    (302, [("Location", "/target?a=b#c")]),
    (401, [("WWW-Authenticate", 'Negotiate, Basic realm="a \\"b\\"", charset="UTF-8"')]),
    (426, [("Upgrade", "TLS/1.2, HTTP/1.1")]),
    (202, []),
]


def _responses(garbage, peer):
    def valid():
        return peer.response(*garbage.random.choice(RESPONSES))

    return garbage.pick(
        garbage.noise,
        lambda: peer.frame(BINARY, garbage.noise()),
        lambda: peer.frame(BINARY, garbage.mutation(valid())),
        lambda: garbage.mutation(peer.frame(BINARY, valid())),
    )


STAGES = [
    ("instead of the opening's answer", _to_nothing, _openings),
    ("as frames after a plain 101", _to_plain, _many_frames),
    ("as the extended response", _to_extended, _responses),
    ("after completion", _to_open, _many_frames),
]


@behaviour(f"{COUNT} hostile answers: an exit status of the contract, in time", rows=STAGES, timeout=120, alone=True)
async def _(bench, prelude, strings):
    garbage = Garbage(f"{bench.environment.seed} {prelude.__name__} {strings.__name__}")
    left = iter(range(COUNT))

    async def worker():
        for number in left:
            await _once(bench, garbage, prelude, strings, is_silent=number % 10 == 9)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def _once(bench, garbage, prelude, strings, is_silent):
    sent = []

    async def script(peer):
        try:
            await prelude(peer)
            data = strings(garbage, peer)
            sent.append(data)
            await peer.send(data)
            if not is_silent:
                peer.end_writing()
            await peer.until_end(6)
        except (ConnectionError, Failed):
            pass

    server = await RawServer(script).start()
    try:
        options = ["--timeout", 2, "--wait", 1, "--count", 3, "--user", "joe:x", "--json"]
        options += ["--extension", "x-one", "--subprotocol", "amqp"]
        process = await bench.start("connect", *options, server.url("/trades"))
        try:
            status = await process.ended(8)
            among(status, range(10), "exit status")
            check(status != 2, "called a mistake of the user")
            for crash in (b"Fatal error", b"Crash", b"Precondition"):
                check(crash not in process.err, crash.decode())
            Events.parse(bytes(process.out))
        except Failed as error:
            tail = bytes(process.err[-300:]).decode(errors="replace")
            told = " then ".join(f"{data[:300].hex()} ({len(data)} bytes)" for data in sent)
            raise Failed(f"{error}\nafter {told}\nstandard error: {tail}") from None
        bench.resources.remove(process)
        await process.remove()
    finally:
        await server.clean_up()


@behaviour("an endless head is cut off, not collected", alone=True)
async def _(bench):
    async def script(peer):
        await peer.read_opening()
        try:
            await peer.send(b"HTTP/1.1 101 Fine\r\n")
            for number in range(100_000):
                await peer.send(b"X-%d: %b\r\n" % (number, b"a" * 1000))
        except ConnectionError:
            return
        raise Failed("100 MB of head were taken")

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), "--json")).fails(4)


@behaviour("an endless entity is cut off, not collected", rows=[("opening", True), ("inside", False)], alone=True)
async def _(bench, in_opening):
    async def script(peer):
        if in_opening:
            await peer.read_opening()
            start, part = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n", b"x" * 65536
        else:
            await peer.until_request()
            start = peer.frame(BINARY, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000000\r\n\r\n")
            part = peer.frame(BINARY, b"x" * 60000)
        try:
            await peer.send(start)
            for _ in range(2000):
                await peer.send(part)
                if peer.reader._buffer or peer.reader.at_eof():  # a close frame, or the end
                    return
        except ConnectionError:
            return
        raise Failed("all of it was taken")

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url())
    outcome.ends(4 if in_opening else 5)
