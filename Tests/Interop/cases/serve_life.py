"""The life of `khp serve`: how it says where it listens, its limits, and how it ends."""

import asyncio
import signal
import ssl

from support.bench import json_lines
from support.check import Failed, among, check, equal
from support.registry import behaviour


@behaviour("--json says where it listens", rows=[("ws", False), ("wss", True)])
async def _(bench, tls):
    server = await bench.serve("--json", tls=tls)
    await server.process.see(r'"listening".*\n', on="out")
    event = json_lines(bytes(server.process.out))[0]
    expected = {"event": "listening", "host": "127.0.0.1", "port": server.port, "tls": tls}
    equal({key: event.get(key) for key in expected}, expected, "the event")


@behaviour("--json has events per connection, without credentials")
async def _(bench):
    server = await bench.serve("--json", "--trace")
    client = await server.client()
    await client.open_khp(fields=[("Authorization", "Bearer 5ecret-t0ken"), ("Cookie", "a=5ecret-c00kie")])
    await client.request(fields=[("Authorization", "Bearer 5ecret-t0ken")])
    await client.expect_echo()
    await client.closes()
    server.process.signal(signal.SIGTERM)
    equal(await server.process.ended(), 0, "exit status")
    shown = (bytes(server.process.out) + bytes(server.process.err)).decode()
    check("5ecret" not in shown, "a credential is shown")
    names = {event["event"] for event in json_lines(bytes(server.process.out))}
    for name in ("listening", "opening-request", "extended-request", "open", "close"):
        check(name in names, f"no event {name!r} among {sorted(names)}")


@behaviour("a port that is taken fails with one sentence")
async def _(bench):
    first = await bench.serve()
    outcome = await bench.run("serve", "--port", first.port)
    check(outcome.status > 0, f"exit status {outcome.status}")
    outcome.sentence


SIGNALS = [("SIGTERM", signal.SIGTERM), ("SIGINT", signal.SIGINT)]


@behaviour("a signal drains: 1001 for each, no new ones, status 0", rows=SIGNALS)
async def _(bench, number):
    server = await bench.serve()
    clients = [await server.client() for _ in range(5)]
    for client in clients[:3]:
        await client.complete()
    await clients[3].open(protocols=())
    await clients[4].open_khp()  # still in its handshake
    await clients[0].expect_echo()
    server.process.signal(number)
    for client in clients[:4]:
        await client.expect_close(1001)
        await client.expect_end()
    equal(await server.process.ended(), 0, "exit status")
    try:
        await bench.raw_client(server.port)
    except OSError:
        return
    raise Failed("still listening")


@behaviour("what was sent before a drain still comes back")
async def _(bench):
    server = await bench.serve()
    client = await server.client()
    await client.complete()
    await client.expect_echo("before")
    server.process.signal(signal.SIGTERM)
    await client.expect_close(1001)
    equal(await server.process.ended(), 0, "exit status")


@behaviour("--drain bounds the wait for those who do not answer")
async def _(bench):
    server = await bench.serve("--drain", 1)
    clients = [await server.client() for _ in range(3)]
    for client in clients:
        await client.complete()
    server.process.signal(signal.SIGTERM)
    for client in clients:
        await client.expect_close(1001, answer=False)
    equal(await server.process.ended(within=4), 0, "exit status")


@behaviour("--idle-timeout closes a silent connection, not one that talks")
async def _(bench):
    server = await bench.serve("--idle-timeout", 1)
    busy = await server.client()
    await busy.complete()

    async def is_closed(silent):
        while (seen := await silent.read_frame(within=8)).opcode == 9:
            pass
        equal(seen.opcode, 8, "opcode")
        among(seen.code, (1000, 1001, 1008), "close code")
        await silent.send_close(seen.code)
        await silent.expect_end()

    # While two others, one after the other, are silent for too long, this one never is.
    for _ in range(2):
        silent = await server.client()
        await silent.complete()
        closing = asyncio.ensure_future(is_closed(silent))
        try:
            while not closing.done():
                await busy.expect_echo()
                await asyncio.wait([closing], timeout=0.2)
            await closing
        finally:
            closing.cancel()
    await busy.expect_echo()


@behaviour("--max-connections: the one too many is turned away, a place that is free again is taken")
async def _(bench):
    server = await bench.serve("--max-connections", 2)
    first, second = await server.client(), await server.client()
    await first.complete()
    await second.complete()
    third = await server.client()
    try:
        await third.send(third.opening())
        rest = await third.until_end()
    except ConnectionError:
        rest = b""
    check(not rest or rest.startswith(b"HTTP/1.1 503 "), f"the third got {rest[:80]!r}")
    await first.expect_echo()
    await second.closes()
    # Only an attempt tells if the server has noticed, which ends with its answer; the case's limit ends them all.
    while True:
        fourth = await server.client()
        try:
            await fourth.complete()
            break
        except (Failed, ConnectionError):
            fourth.abort()
    await fourth.expect_echo()


@behaviour("--threads", rows=[("1", 1), ("4", 4)])
async def _(bench, threads):
    server = await bench.serve("--threads", threads)
    await asyncio.gather(*(server.answers() for _ in range(20)))


@behaviour("a client that does not read holds neither memory nor the others")
async def _(bench):
    server = await bench.serve("--route", "/echo=echo")
    greedy = await server.client()
    await greedy.complete()
    greedy.writer.transport.set_write_buffer_limits(high=1 << 16)
    chunk = greedy.frame(2, b"x" * 60_000)
    greedy.reader._transport.pause_reading()

    async def pour():
        for _ in range(2000):
            await greedy.send(chunk)

    pouring = asyncio.ensure_future(pour())
    done, _ = await asyncio.wait([pouring], timeout=2)
    check(not done, "120 MB were taken although nothing was read")
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)
    await server.answers()


@behaviour("--client-ca lets in only those with its certificates", rows=[("right", "client", True),
           ("none", None, False), ("of another authority", "impostor", False)])  # fmt: skip
async def _(bench, name, passes):
    server = await bench.serve("--client-ca", bench.certificates.authority, tls=True)
    try:
        client = await bench.raw_client(server.port, bench.certificates.client_context(name))
        await client.complete()
        await client.expect_echo()
    except (ssl.SSLError, ConnectionError, Failed):
        check(not passes, "turned away")
    else:
        check(passes, "let in")


@behaviour("plain bytes on a TLS port leave the server well")
async def _(bench):
    server = await bench.serve(tls=True)
    client = await bench.raw_client(server.port)
    await client.send(client.opening())
    check(not (await client.until_end()).startswith(b"HTTP/"), "answered without TLS")
    await server.answers()
