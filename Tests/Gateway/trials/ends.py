"""No byte is lost, doubled or torn, whoever ends a session and however; and nothing of a session is left behind it."""

import asyncio
import hashlib
import random
import struct

import redis as redis_client
from support.brokers import redis
from support.check import Failed, check, equal

from trials.peers import BINARY, Client, names, orders, pattern
from trials.trial import Rest, ask, causes, resident, trial, until

SIZES = [0, 1, 100, 125, 126, 127, 4095, 4096, 4097, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 200_000]
SERVICE = "  s: {path: /s, pool: p, limits: {sessions: 20000, perAddress: 20000, acceptRate: 20000/s}}"


def pool(url: str) -> str:
    return f'  p: {{backends: ["{url}"], check: off}}'


async def _client_closes(url, backend, name, size):
    client = await Client.open(url)
    await client.send(f"{name} take 0\n".encode() + pattern(name, size))
    await client.close()
    await until(lambda: name in backend.taken, f"{name}: the backend's end")
    equal(backend.taken.pop(name) == (pattern(name, size), "fin"), True, f"{size} bytes to the backend, then its end")


async def _client_drops(url, backend, name, size):
    client = await Client.open(url)
    await client.send(f"{name} take 0\n".encode() + pattern(name, size))
    client.abort()
    await until(lambda: name in backend.taken or backend.open == 0, f"{name}: the backend's end")
    taken, _ = backend.taken.pop(name, (b"", ""))
    equal(pattern(name, size).startswith(taken), True, "the beginning of what was sent")


async def _backend_ends(url, backend, name, size):
    client = await Client.open(url)
    await client.send(f"{name} fin {size}\n".encode())
    taken = await client.rest()
    equal(
        (len(taken), taken == pattern(name, size), client.close_code), (size, True, 1000), "bytes and code behind FIN"
    )
    client.drop()


async def _backend_resets(url, backend, name, size):
    client = await Client.open(url)
    await client.send(f"{name} rst {size}\n".encode())
    taken = await client.rest()
    equal((pattern(name, size).startswith(taken), client.close_code), (True, 1014), "bytes and code behind a reset")
    client.drop()


@trial("10,000 sessions come and go with their backends, ended by each side, in order and not", limit=600)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(SERVICE, pool(backend.url))
    rest = Rest(door)
    queue = [
        random.choice((_client_closes, _client_drops, _backend_ends, _backend_resets)) for _ in range(trial.times(9800))
    ]
    name = names()
    moved = 0

    async def worker():
        nonlocal moved
        while queue:
            end, size = queue.pop(), random.choice(SIZES)
            moved += size
            await end(door.ws + "/s", backend, next(name), size)

    await asyncio.gather(*(worker() for _ in range(64)))
    # And by an operator, who picks clients by their address.
    count = trial.times(200)
    clients = [await Client.open(door.ws + "/s", source=f"127.0.{1 + number // 200}.{1 + number % 200}")
               for number in range(count)]  # fmt: skip
    for number, client in enumerate(clients):
        status, _ = await ask(door, f"/sessions/close?address=127.0.{1 + number // 200}.{1 + number % 200}", "POST")
        equal(status, 200, "the operator's close")
    for client in clients:
        await client.rest()
        equal(client.close_code, 1008, "code of the operator's close")
        client.drop()
    kept = await rest.is_back()
    seen = causes(door)
    equal(sum(seen.values()), trial.times(9800) + count, "sessions in the log")
    equal(set(seen) - {"client-close", "client-lost", "backend-fin", "backend-reset", "operator"}, set(), "causes")
    return f"{sum(seen.values()):,} sessions, {moved / 1e6:,.0f} MB, 0 bytes wrong; 0 descriptors, sessions, bytes left; {kept}"


@trial("a stream cut at every byte, both ways: in reads, messages and fragments", limit=180)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(SERVICE, pool(backend.url))
    name = names()
    places = 0
    for total in (5, 40, 130) if trial.size >= 1 else (5,):
        for place in range(total + 1):
            one = next(name)
            client = await Client.open(door.ws + "/s")
            await client.send(f"{one} cut {place}\n".encode() + struct.pack("!I", total))
            taken = await client.rest()
            equal(
                (taken == pattern(one, total), client.close_code), (True, 1000), f"cut behind byte {place} of {total}"
            )
            client.drop()
            # The same to the backend: once as two messages, once as fragments, once the frame itself in two writes.
            for way in ("messages", "fragments", "writes"):
                one = next(name)
                line = f"{one} take 0\n".encode()
                whole = line + pattern(one, total)
                cut = min(place, len(whole))
                client = await Client.open(door.ws + "/s")
                if way == "messages":
                    await client.send(whole[:cut])
                    await client.send(whole[cut:])
                elif way == "fragments":
                    await client.send(whole[:cut], BINARY, final=False)
                    await client.send(whole[cut:], 0)
                else:
                    bytes_ = client.frame(whole)
                    client.writer.write(bytes_[:cut])
                    # Two writes to the system, not one.
                    await asyncio.sleep(0)
                    client.writer.write(bytes_[cut:])
                await client.close()
                await until(lambda one=one: one in backend.taken, "the backend's end")
                equal(backend.taken.pop(one), (whole[len(line) :], "fin"), f"{way} cut at {cut}")
                places += 1
    return f"{places + places // 3:,} cuts, each stream whole and ended as it was"


@trial("text in characters of one to four bytes, cut anywhere: each message is valid, none is lost", limit=90)
async def _(trial):
    text = "aé€😀ß漢🏴ñ\0z" * 40
    encoded = text.encode()

    async def serve(reader, writer):
        cuts = sorted(random.sample(range(1, len(encoded)), random.randint(1, 60)))
        for start, end in zip([0, *cuts], [*cuts, len(encoded)]):
            writer.write(encoded[start:end])
            await writer.drain()
            # Some of the pieces arrive in reads of their own.
            await asyncio.sleep(random.choice((0, 0, 0.001)))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    door = await trial.gateway(
        "  s: {path: /s, pool: p, frames: text, limits: {acceptRate: 10000/s}}", pool(f"tcp://127.0.0.1:{port}")
    )
    count = trial.times(300)
    messages = 0
    for _ in range(count):
        client = await Client.open(door.ws + "/s")
        taken = b""
        while (payload := await client.receive()) is not None:
            payload.decode()
            messages += 1
            taken += payload
        equal((taken == encoded, client.close_code), (True, 1000), "text and code")
        client.drop()
    server.close()
    return f"{count} streams in {messages:,} messages, each valid UTF-8"


@trial("half-closes: the client's bytes go first, the backend's late answer is let go, and nobody hangs", limit=90)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(SERVICE.replace("limits", "halfClose: 500ms, limits"), pool(backend.url))
    rest = Rest(door)
    name = names()
    for size in (0, 1, 65_536, 3_000_000):
        one = next(name)
        client = await Client.open(door.ws + "/s")
        sent = pattern(one, 200_000)
        await client.send(f"{one} late {size}\n".encode())
        await client.send(sent)
        await client.close()
        await until(lambda one=one: one in backend.taken, "the backend's end")
        equal(backend.taken.pop(one)[0] == sent, True, "the client's bytes before the end")
    # A backend that never ends holds nobody for longer than halfClose.
    held = []
    for _ in range(50):
        client = await Client.open(door.ws + "/s")
        await client.send(f"{next(name)} deaf 0\n".encode())
        held.append(client)
    for client in held:
        await client.close()
    kept = await rest.is_back()
    return f"200,000 bytes before each end; 50 deaf backends let go; {kept}"


@trial("redis through tunnel and gateway: values around every buffer's size come back whole", limit=180)
async def _(trial):
    broker = await redis(trial.bench)
    door = await trial.gateway("  s: {path: /s, pool: p}", pool(f"unix:{broker.folder}/redis.sock"))
    tunnel = await trial.bench.start("tunnel", "--listen", "127.0.0.1:0", door.ws + "/s")
    match = await tunnel.see(r"127\.0\.0\.1:(\d+)")
    port = int(match[1])

    def work() -> int:
        client = redis_client.Redis(port=port, socket_timeout=30)
        moved = 0
        sizes = {around + off for around in (1, 125, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144)
                 for off in (-2, -1, 0, 1, 2) if around + off > 0} | {1_000_000, 8_000_000}  # fmt: skip
        for size in sorted(sizes):
            value = pattern(str(size), size)
            client.set("k", value)
            if client.get("k") != value:
                raise Failed(f"a value of {size} bytes")
            moved += 2 * size
        pipe = client.pipeline(transaction=False)
        for number in range(5000):
            pipe.set(f"n{number}", number)
            pipe.get(f"n{number}")
        answers = pipe.execute()
        if answers[1::2] != [b"%d" % number for number in range(5000)]:
            raise Failed("the answers of a pipeline of 10,000 commands")
        client.close()
        return moved

    moved = await asyncio.to_thread(work)
    return f"57 sizes up to 8 MB, {moved / 1e6:.0f} MB, and a pipeline of 10,000 commands, all equal"


@trial("1 GiB each way at once: every byte, in bounded memory", limit=400)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(SERVICE, pool(backend.url))
    before = resident(door.process.pid)
    total = max(trial.times(1 << 30) >> 20, 1) << 20
    client = await Client.open(door.ws + "/s")
    await client.send(b"n echo 0\n")
    block = pattern("big", 1 << 18)
    most = 0

    async def write():
        for _ in range(total // len(block)):
            await client.send(block)

    async def read():
        nonlocal most
        taken, hashed = 0, hashlib.blake2b()
        while taken < total:
            payload = await client.receive()
            taken += len(payload)
            hashed.update(payload)
            most = max(most, resident(door.process.pid) - before) if taken % 64 == 0 else most
        return hashed.digest()

    expected = hashlib.blake2b()
    for _ in range(total // len(block)):
        expected.update(block)
    _, digest = await asyncio.gather(write(), read())
    equal(digest == expected.digest(), True, "every byte")
    await client.close()
    check(most < 8e6, f"{most / 1e6:.1f} MB more memory in between")
    return f"{total >> 20} MiB each way, equal; {most / 1e6:.1f} MB more memory at the most"
