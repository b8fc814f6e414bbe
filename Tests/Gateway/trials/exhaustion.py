"""More than there is: descriptors, passwords to hash, silent connections, wrong tokens, configurations that are none."""

import asyncio
import base64
import contextlib
import random
import re
import time

from support.bench import USER
from support.brokers import Gateway
from support.check import Failed, check, equal
from support.process import Process

from trials.departures import realm, token
from trials.ends import SERVICE, pool
from trials.peers import Client, Ended, Refused, orders
from trials.trial import Rest, ask, open_files, trial, until


@trial("150 logins with passwords at once: health and a running session are not held up", limit=120)
async def _(trial):
    bench = trial.bench
    users = await bench.users()
    door = await trial.gateway(
        "  s: {path: /s, type: echo, realm: staff}\n  e: {path: /e, type: echo}", "  p: {backends: [\"tcp://127.0.0.1:1\"], check: off}",
        f"realms: {{staff: {{schemes: [basic], users: {users}, wrongAnswers: {{perAddress: 10000}}}}}}",
    )  # fmt: skip
    running = await Client.open(door.ws + "/e")
    statuses, health, echoes = [], [], []
    going = True

    async def login(number: int):
        proof = base64.b64encode(f"{USER}:guess{number}".encode()).decode()
        try:
            client = await Client.open(door.ws + "/s", fields=[("Authorization", f"Basic {proof}")], within=60)
            client.abort()
            statuses.append(101)
        except Refused as refusal:
            statuses.append(refusal.status)

    async def watch():
        while going:
            began = time.monotonic()
            await ask(door, "/healthz")
            health.append(time.monotonic() - began)
            began = time.monotonic()
            await running.send(b"x" * 100)
            await running.exactly(100)
            echoes.append(time.monotonic() - began)
            # The pace of the measuring, so that it does not take the processor from what it measures.
            await asyncio.sleep(0.01)

    watching = trial.keep_task(watch())
    began = time.monotonic()
    await asyncio.gather(*(login(number) for number in range(trial.times(150))))
    took = time.monotonic() - began
    going = False
    await watching
    equal(set(statuses) - {401, 503}, set(), "statuses")
    slow = [sorted(times)[int(len(times) * 0.99)] for times in (health, echoes)]
    # The clients of the trial have the same two processors.
    check(max(slow) < 0.5, f"p99 of health and echo {slow}")
    return f"{len(statuses)} in {took:.1f} s; meanwhile p99 of /healthz {slow[0] * 1000:.0f} ms, of an echo {slow[1] * 1000:.0f} ms"


@trial(
    "256 descriptors and 400 clients: accepting waits and goes on, the log is bounded, operators are answered",
    limit=120,
)
async def _(trial):
    bench = trial.bench
    backend = await orders(trial)
    file = bench.file(
        "version: 1\nlisteners: {public: {listen: 127.0.0.1:0}}\nadmin: {listen: 127.0.0.1:0}\n"
        f"pools:\n{pool(backend.url)}\nservices:\n{SERVICE}\n", ".yaml",
    )  # fmt: skip
    environment = bench.environment
    process = bench.keep(await Process.start(
        "/bin/sh", "-c", 'ulimit -n 256; exec "$0" gateway --config "$1"', environment.khp, file, environment=environment.variables
    ))  # fmt: skip
    match = await process.see(r"^listening: (.*)$", on="out")
    door = Gateway(process, file, dict(entry.split(" ", 1) for entry in match[1].decode().split(", ")))
    rest = Rest(door)
    open_, refused = [], 0

    async def one(number: int):
        nonlocal refused
        try:
            client = await Client.open(door.ws + "/s", within=4)
            open_.append(client)
        except (Refused, OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            refused += 1

    await asyncio.gather(*(one(number) for number in range(400)))
    served = len(open_)
    check(60 < served < 130, f"{served} clients are served with 256 descriptors")
    answered = True
    try:
        status, _ = await asyncio.wait_for(ask(door, "/healthz"), 5)
        answered = status == 200
    except Exception:  # noqa: BLE001  (whatever it is, an operator got no answer)
        answered = False
    for client in open_:
        await client.send(b"n echo 0\nx")
        equal(await client.exactly(1), b"x", "the echo of a client that is served")
        client.abort()
    await until(lambda: open_files(process.pid) < 60, "descriptors given back")
    client = await Client.open(door.ws + "/s")
    await client.close()
    lines = len([line for line in bytes(process.err).splitlines() if b'"session.end"' not in line])
    check(lines <= 100, f"{lines} lines of log")
    check(answered, "an operator is not answered")
    await rest.is_back()
    return f"{served} served and {refused} turned away, operators answered, {lines} lines of log, and all is well afterwards"


@trial(
    "10,000 connections that say nothing, then 10,000 wrong tokens: room is given back, the log stays short", limit=240
)
async def _(trial):
    door = await trial.gateway(
        "  s: {path: /s, type: echo, realm: apps, limits: {acceptRate: 100000/s, perAddress: 100000}}",
        "  p: {backends: [\"tcp://127.0.0.1:1\"], check: off}",
        realm(trial.bench).replace("schemes: [bearer]", "schemes: [bearer], wrongAnswers: {perAddress: 100000}"),
    )  # fmt: skip
    rest = Rest(door)
    port = int(door.ws.rpartition(":")[2])
    silent = []

    async def dial(source: str):
        # One that is refused at once is over all the same.
        with contextlib.suppress(ConnectionError):
            silent.append(await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)))

    async def login() -> float:
        began = time.monotonic()
        client = await Client.open(door.ws + "/s", fields=[("Authorization", f"Bearer {token('u', 60)}")])
        await client.send(b"x")
        equal(await client.exactly(1), b"x", "an echo beside silent connections")
        await client.close()
        return time.monotonic() - began

    # 1,800 stay below the 2,000 handshakes that a server has at once; the others are over them.
    for number in range(trial.times(100)):
        await asyncio.gather(*(dial(f"127.1.{number // 200}.{1 + number % 200}") for _ in range(100)))
        if number == trial.times(18) - 1:
            quick = await login()

    async def ended(pair):
        reader, writer = pair
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 60)
        writer.transport.abort()

    await asyncio.gather(*(ended(pair) for pair in silent))
    await login()
    kept = await rest.is_back(memory=150e6)
    before = len(bytes(door.process.err).splitlines())
    wrong, queue = 0, list(range(trial.times(10_000)))
    began = time.monotonic()

    async def guess():
        nonlocal wrong
        while queue:
            number = queue.pop()
            try:
                await Client.open(
                    door.ws + "/s", fields=[("Authorization", f"Bearer {token('u', 60)[:-6]}{number:06d}")]
                )
            except Refused as refusal:
                wrong += refusal.status == 401

    await asyncio.gather(*(guess() for _ in range(32)))
    equal(wrong, trial.times(10_000), "refusals with 401")
    lines = len(bytes(door.process.err).splitlines()) - before
    # One a second for each of two kinds; a machine that is slow enough has more than a hundred seconds.
    check(lines <= max(100, 2 * (time.monotonic() - began)), f"{lines} lines of log for {wrong} wrong tokens")
    return f"{len(silent):,} silent ones let go, a login beside them {quick * 1000:.0f} ms, {kept}; {wrong:,} wrong tokens, {lines} lines of log"


@trial(
    "5,000 mutated configurations: each is taken or refused with its place, without a crash", limit=300
)
async def _(trial):
    bench = trial.bench
    users = await bench.users()
    door = await trial.gateway(
        "  e: {path: /e, type: echo}\n  s: {path: /s, pool: p, realm: staff, require: {networks: [10.0.0.0/8]}, frames: text}",
        "  p: {backends: [\"tcp://127.0.0.1:1\"], check: off}",
        f"realms: {{staff: {{schemes: [basic], users: {users}}}}}\n"
        "defaults: {origins: ['https://a.example'], ping: {every: 20s, timeout: 20s}, buffer: 64KiB}\nshutdown: {announce: 1s, drain: 2s}",
    )  # fmt: skip
    original = open(door.file).read()
    running = await Client.open(door.ws + "/e")
    tokens = ["off", "no", "0777", "22:30", "~", "[]", "{}", "&a", "*a", "!!int", "\t", "\ufeff", "- x", "99999999999999999999", "''", ": :", "-1s", "${X}", "${HOME}", "|", ">", "\0", "é", "1e9", "services:", "<<: *a"]  # fmt: skip
    seen = {200: 0, 422: 0}
    for _ in range(trial.times(5000)):
        text = original
        for _ in range(random.randint(1, 3)):
            place = random.randrange(len(text))
            how = random.randrange(6)
            if how == 0:
                text = text[:place] + random.choice(tokens) + text[place:]
            elif how == 1:
                text = text[:place] + text[place + random.randint(1, 12) :]
            elif how == 2:
                words = text.split(" ")
                words[random.randrange(len(words))] = random.choice(tokens)
                text = " ".join(words)
            elif how > 3:
                # Another number, which is often a good one.
                numbers = list(re.finditer(r"(?<=[ :])[1-9](?=\d*(?:s|KiB|/8))", text))
                found = random.choice(numbers)
                text = text[: found.start()] + str(random.randint(1, 9)) + text[found.end() :]
            else:
                lines = text.split("\n")
                random.shuffle(lines)
                text = "\n".join(lines)
        # Listeners and the admin address stay where this trial finds them.
        if "admin: {listen: 127.0.0.1:0}" not in text or "listeners: {public: {listen: 127.0.0.1:0}}" not in text:
            continue
        with open(door.file, "w", encoding="utf-8") as file:
            file.write(text)
        status, answer = await ask(door, "/reload", "POST")
        check(status in seen, f"status {status} for {text!r}")
        check(status == 200 or ".yaml" in answer or "errors" in answer, f"no error of a place: {answer}")
        seen[status] += 1
    check(seen[422] > seen[200] / 10, f"{seen}")
    with open(door.file, "w") as file:
        file.write(original)
    equal((await ask(door, "/reload", "POST"))[0], 200, "the original")
    # A mutation may have taken its service away, and then it is told so, sooner or later.
    fate = "lived through all"
    try:
        await running.send(b"still")
        equal(await running.exactly(5), b"still", "the echo behind all of them")
        await running.close()
    except (Failed, Ended, ConnectionError):
        equal((running.close_code, running.close_reason), (1012, "the service has changed"), "the end of the session")
        fate = "ended with 1012 when a mutation took its service away"
    client = await Client.open(door.ws + "/e")
    await client.send(b"new")
    equal(await client.exactly(3), b"new", "the echo of a new client")
    await client.close()
    return f"{seen[200]:,} taken, {seen[422]:,} refused, no crash; the session {fate}"
