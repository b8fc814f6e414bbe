"""10,000 hostile byte strings to the port of `khp serve`, at each stage of a connection."""

import asyncio
import socket

from support import patience
from support.check import Failed, check
from support.garbage import Garbage
from support.process import resident_kilobytes
from support.rawclient import RawClient
from support.registry import behaviour
from support.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload

COUNT = 10_000
AT_ONCE = 64


async def _to_extended(client):
    await client.send(client.opening())
    await client.head()


async def _to_plain(client):
    await client.send(client.opening(protocols=()))
    await client.head()


async def _to_open(client):
    await _to_extended(client)
    await client.send_frame(BINARY, client.request_bytes())
    await client.message()


async def _to_nothing(client):
    pass


async def _behind_opening(client):
    """Without waiting for the 101: what follows lies in the same packet."""
    return client.opening()


def _frames(client):
    return b"".join((
        client.frame(TEXT, "hello wörld".encode()), client.frame(BINARY, b"\x00\x01" * 100, fin=False),
        client.frame(PING, b"ping"), client.frame(CONTINUATION, b"rest"), client.frame(CLOSE, close_payload(1000)),
    ))  # fmt: skip


def _request(client):
    fields = [("Sec-WebSocket-Protocol", "amqp, chat"), ("Sec-WebSocket-Extensions", 'x-one; a="b"; d=1')]
    fields += [("Authorization", "Basic am9lOndlbGNvbWU="), ("Expect", "100-continue"), ("Content-Length", "5")]
    return client.request_bytes("/echo?a=b", fields, "POST")


def _opening_strings(garbage, client):
    fields = [("Origin", "http://example.com"), ("Sec-WebSocket-Extensions", 'x-one; a="b, c"')]
    valid = client.opening("/echo?a=b%20c", fields=fields)
    glued = valid + _frames(client)
    return garbage.pick(garbage.noise, lambda: garbage.mutation(valid), lambda: garbage.mutation(glued))


def _frame_strings(garbage, client):
    return garbage.mutation(_frames(client)) if garbage.random.random() < 0.6 else garbage.noise()


def _request_strings(garbage, client):
    def framed(payload):
        cut = garbage.random.randrange(len(payload) + 1)
        parts = [payload] if garbage.random.random() < 0.7 else [payload[:cut], payload[cut:]]
        return b"".join(client.frame(garbage.random.choice((TEXT, BINARY)), part) for part in parts)

    return garbage.pick(
        garbage.noise,
        lambda: framed(garbage.noise()),
        lambda: framed(garbage.mutation(_request(client))),
        lambda: garbage.mutation(client.frame(BINARY, _request(client))),
    )


STAGES = [
    ("instead of the opening", _to_nothing, _opening_strings),
    ("as frames after a plain 101", _to_plain, _frame_strings),
    ("between the handshakes, behind the opening request", _behind_opening, _request_strings),
    ("as the extended request", _to_extended, _request_strings),
    ("after completion", _to_open, _frame_strings),
]


@behaviour(f"{COUNT} hostile strings: alive, no hang, no growth", rows=STAGES, timeout=300, alone=True)
async def _(bench, prelude, strings):
    server = await bench.serve("--extension", "x-one", "--subprotocol", "amqp", "--handshake-timeout", 5)
    garbage = Garbage(f"{bench.environment.seed} {prelude.__name__} {strings.__name__}")
    await server.answers()
    # A quarter warms the allocator up; the rest must not add to it.
    await _pour(server, garbage, prelude, strings, COUNT // 4)
    before = await _memory(server)
    await _pour(server, garbage, prelude, strings, COUNT - COUNT // 4)
    after = await _memory(server)
    await server.answers()
    check(after - before < 2048, f"resident memory grew from {before} to {after} KiB")


async def _memory(server) -> int:
    """Resident KiB; nothing where a sanitizer's own would be counted."""
    return await resident_kilobytes(server.process.pid) if patience.measures_memory else 0


async def _pour(server, garbage, prelude, strings, count):
    left = iter(range(count))

    async def worker():
        for _ in left:
            await _once(server, garbage, prelude, strings)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def _once(server, garbage, prelude, strings):
    client = await RawClient.dial(server.port)
    data = b""
    try:
        data = strings(garbage, client)
        await client.send((await prelude(client) or b"") + data)
        client.end_writing()
        await client.until_end(within=4)
    except (ConnectionError, OSError):
        pass
    except Failed as error:
        state = "gone" if server.process.status is not None else "there"
        raise Failed(f"{error} (server {state}) after {data[:400].hex()} ({len(data)} bytes)") from None
    finally:
        client.abort()


@behaviour("hostile strings without an end are ended by the handshake timeout", rows=[STAGES[0], STAGES[3]], alone=True,
           timeout=30)  # fmt: skip
async def _(bench, prelude, strings):
    server = await bench.serve("--handshake-timeout", 1)
    garbage = Garbage(f"{bench.environment.seed} endless")

    async def once():
        client = await RawClient.dial(server.port)
        data = b""
        try:
            await prelude(client)
            # Never an opening or a request that is right: those rightly stay open.
            data = garbage.noise()
            await client.send(data)
            while received := await asyncio.wait_for(client.reader.read(65536), patience.stretched(5)):
                if received.startswith(b"\x88"):  # the server's close: our answer is the next thing it waits for
                    break
        except asyncio.TimeoutError:
            raise Failed(f"still there after {data[:400].hex()} ({len(data)} bytes)") from None
        except ConnectionError:
            pass
        finally:
            client.abort()

    await asyncio.gather(*(once() for _ in range(150)))
    await server.answers()


@behaviour("large lengths that are only announced cost nothing", alone=True, timeout=30)
async def _(bench):
    server = await bench.serve()
    await server.answers()
    before = await _memory(server)
    clients = []
    for _ in range(100):
        client = await server.client()
        await client.complete()
        await client.send(client.frame(BINARY, b"0123456789", length=1 << 20)[:24])
        clients.append(client)
    after = await _memory(server)
    check(after - before < 16 * 1024, f"100 announced MiB: resident memory from {before} to {after} KiB")
    await server.answers()


@behaviour("connections that come and go leave nothing behind", alone=True, timeout=60)
async def _(bench):
    server = await bench.serve()

    async def several(count):
        for _ in range(count):
            await _whole(server)

    await asyncio.gather(*(several(50) for _ in range(10)))
    before = await _memory(server)
    await asyncio.gather(*(several(150) for _ in range(10)))
    after = await _memory(server)
    check(after - before < 2048, f"1,500 connections: resident memory from {before} to {after} KiB")


async def _whole(server):
    client = await RawClient.dial(server.port)
    try:
        await client.complete()
        await client.expect_echo()
        await client.closes()
    finally:
        client.abort()


@behaviour("idle strangers do not keep others out", alone=True)
async def _(bench):
    server = await bench.serve("--handshake-timeout", 2)
    strangers = []
    for _ in range(200):
        stranger = socket.create_connection(("127.0.0.1", server.port))
        strangers.append(stranger)
    try:
        await server.answers()
    finally:
        for stranger in strangers:
            stranger.close()
