"""A side that takes nothing stops the other, in bounded memory, and is let go with its reason; a deadlock there is none."""

import asyncio
import re
import time

from support.check import check, equal

from trials.ends import SERVICE, pool
from trials.peers import Client, names, orders, pattern
from trials.trial import Rest, ask, causes, metrics, resident, trial, until

STALLED = "  s: {path: /s, pool: p, stalled: 3s, buffer: 64KiB, limits: {sessions: 20000, perAddress: 20000, acceptRate: 20000/s}}"
# The memory that the process takes for all of them together, such as the pools of its event loops.
SHARED = 6 << 20
# KiB that a silent session may keep of what it has carried: 36 with read buffers of its own, 7 to 18 without. The rest lies
# between blocks that stay, where the C library cannot give it back.
KEPT = 24


async def _promised(trial, door) -> float:
    """The bytes that a session buffers at most, as --check prints them for the 10,000 that the listener takes."""
    outcome = await trial.bench.run("gateway", "--config", door.file, "--check")
    outcome.ends(0)
    return int(re.search(r"buffer at most (\d+) MiB", outcome.text)[1]) * 1024 * 1024 / 10_000


async def _fill(client, block: bytes, most: int = 64 << 20) -> int:
    """Writes until nothing is taken for half a second; how much was."""
    written = 0
    while written < most:
        client.writer.write(client.frame(block))
        written += len(block)
        try:
            await asyncio.wait_for(client.writer.drain(), 0.5)
        except asyncio.TimeoutError:
            break
    return written


@trial("a client that never reads: its broker is let go in time, the client is told once it reads", limit=60)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(STALLED, pool(backend.url))
    rest = Rest(door)
    client = await Client.open(door.ws + "/s", receive=16_384)
    client.writer.transport.pause_reading()
    began = time.monotonic()
    await client.send(f"n flood {1 << 30}\n".encode())
    await until(lambda: backend.open == 1, "the backend's connection")
    await until(lambda: backend.open == 0, "the backend's end")
    took = time.monotonic() - began
    check(2.5 < took < 8, f"it took {took:.1f} s")
    client.writer.transport.resume_reading()
    await client.rest()
    equal((client.close_code, client.close_reason), (1008, "the client took nothing for 3 s"), "the client is told")
    client.abort()
    await door.process.see('"event":"session.end"', within=20)
    equal(causes(door), {"client-stalled": 1}, "cause")
    await rest.is_back()
    return f"the broker's connection ends after {took:.1f} s of `stalled: 3s`; the client reads what waited, then 1008 and why"


@trial("a broker that never reads: its client waits, is told why, and let go", limit=60)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(STALLED, pool(backend.url))
    rest = Rest(door)
    client = await Client.open(door.ws + "/s")
    began = time.monotonic()
    await client.send(b"n deaf 0\n")
    reading = trial.keep_task(client.rest())
    sent = await _fill(client, pattern("block", 50_000))
    await reading
    took = time.monotonic() - began
    equal((client.close_code, client.close_reason), (1008, "the backend took nothing for 3 s"), "the client is told")
    check(2.5 < took < 12, f"it took {took:.1f} s")
    check(sent < 32 << 20, f"{sent:,} bytes were taken for nobody")
    client.abort()
    await rest.is_back()
    equal(causes(door), {"backend-stalled": 1}, "causes")
    return f"{sent / 1e6:.1f} MB in systems and gateway; 1008 and why after {took:.1f} s of `stalled: 3s`"


@trial("both sides stop at once: no deadlock", limit=60)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(STALLED, pool(backend.url))
    rest = Rest(door)
    client = await Client.open(door.ws + "/s", receive=16_384)
    client.reader._limit = 1024
    client.writer.transport.pause_reading()
    await client.send(b"n both 0\n")
    await _fill(client, pattern("block", 65_536))
    await door.process.see('"event":"session.end"', within=20)
    (end,) = door.lines("session.end")
    check(end["cause"] in ("client-stalled", "backend-stalled"), f"cause {end['cause']}")
    status, _ = await ask(door, "/healthz")
    equal(status, 200, "health")
    client.abort()
    kept = await rest.is_back()
    return f"{end['cause']}, 1008; {kept}"


@trial("1,000 clients that never read, each with more to come: memory is bounded, the others are served", limit=180)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(STALLED.replace("3s", "60s"), pool(backend.url))
    rest = Rest(door)
    before = resident(door.process.pid)
    name = names()
    clients = []
    for _ in range(trial.times(1000)):
        client = await Client.open(door.ws + "/s", receive=16_384)
        client.reader._limit = 1024
        client.writer.transport.pause_reading()
        await client.send(f"{next(name)} flood {8 << 20}\n".encode())
        clients.append(client)
    paused = 'khp_paused_reads_total{service="s",side="backend"}'
    values = {}
    while values.get(paused, 0) < len(clients):
        values = await metrics(door)
    bound = await _promised(trial, door)
    each = max(resident(door.process.pid) - before - SHARED, 0) / len(clients)
    check(each < bound, f"{each / 1024:.0f} KiB a session, and --check promises {bound / 1024:.0f}")
    # Somebody else is served meanwhile.
    quick = await Client.open(door.ws + "/s")
    await quick.send(b"quick echo 0\n")
    slowest = 0.0
    for _ in range(200):
        began = time.monotonic()
        await quick.send(b"x" * 1000)
        equal(await quick.exactly(1000), b"x" * 1000, "the echo")
        slowest = max(slowest, time.monotonic() - began)
    await quick.close()
    for client in clients:
        client.abort()
    await until(lambda: sum(causes(door).values()) == len(clients) + 1, "the ends of all")
    kept = await rest.is_back(memory=200e6)
    return f"{each / 1024:.0f} KiB a session (--check promises {bound / 1024:.0f}); an echo beside them took {slowest * 1000:.0f} ms at the most; {kept}"


@trial("1,000 brokers that never read: memory is bounded, all end as `stalled` says", limit=180)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(STALLED, pool(backend.url))
    rest = Rest(door)
    before = resident(door.process.pid)
    name = names()
    count = trial.times(1000)
    most = 0

    async def one():
        nonlocal most
        client = await Client.open(door.ws + "/s")
        client.writer.transport.set_write_buffer_limits(1 << 30)
        client.writer.write(client.frame(f"{next(name)} deaf 0\n".encode()) + client.frame(pattern("b", 65_536)) * 64)
        await client.rest(60)
        most = max(most, resident(door.process.pid) - before)
        code = client.close_code
        client.abort()
        return code

    queue = asyncio.Semaphore(250)

    async def bounded():
        async with queue:
            return await one()

    codes = await asyncio.gather(*(bounded() for _ in range(count)))
    # The system's own verdict may meet a client's next message, and then its reason is lost.
    equal(set(codes) - {1008, 1014}, set(), "codes")
    await door.process.until(lambda: sum(causes(door).values()) == count, "the ends of all in the log")
    named = causes(door).get("backend-stalled", 0)
    check(named >= 0.8 * count, f"{causes(door)}")
    kept = await rest.is_back(memory=200e6)
    bound = await _promised(trial, door)
    # The C library keeps for a while what sessions that have ended gave back: one program took 150 to 294 KiB.
    each = max(most - SHARED, 0) / min(count, 250)
    check(each < 2 * bound, f"{each / 1024:.0f} KiB a session, and --check promises {bound / 1024:.0f}")
    return f"{count:,} ended, {named:,} with 1008 and the reason; {each / 1024:.0f} KiB each at the most; {kept}"


@trial("1,000 sessions that have carried 64 KiB each way and are silent again give most of it back", limit=120)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(SERVICE, pool(backend.url))
    name = names()
    payload = pattern("much", 65_536)
    count = max(trial.times(1000), 100)

    async def carry(client):
        await client.send(payload)
        equal(await client.exactly(len(payload)) == payload, True, "64 KiB there and back")

    async def opened(number: int):
        clients = []
        for _ in range(number):
            client = await Client.open(door.ws + "/s")
            await client.send(f"{next(name)} echo 0\n".encode())
            clients.append(client)
        return clients

    # The first few bring what the process keeps for all.
    first = await opened(50)
    for client in first:
        await carry(client)
    started = resident(door.process.pid)
    clients = await opened(count)
    await until(lambda: backend.open == count + 50, "all sessions")
    before = resident(door.process.pid)
    for client in clients:
        await carry(client)
    kept = lambda: (resident(door.process.pid) - before) / count / 1024  # noqa: E731
    # Connections give back the memory of their traffic once they have been quiet for some seconds.
    await until(lambda: kept() <= KEPT, lambda: f"{kept():.1f} KiB more a session than before", 30)
    for client in first + clients:
        client.abort()
    await until(lambda: sum(causes(door).values()) == len(first) + count, "the ends of all")
    return f"{(before - started) / count / 1024:.1f} KiB a session, {kept():+.1f} KiB after 64 KiB each way"
