"""Brokers that die, hang and come back; balancing among those that are left."""

import asyncio
import contextlib
import json
import signal
import time

import paho.mqtt.client as mqtt

from support.brokers import mosquitto, redis
from support.check import check, equal

from trials.peers import Client, Ended, Refused
from trials.trial import Rest, ask, metrics, trial, until


async def _state(door, pool: str) -> dict[str, bool]:
    values = await metrics(door)
    prefix = f'khp_backend_up{{pool="{pool}",backend="'
    return {
        name.removeprefix(prefix).removesuffix('"}'): value == 1
        for name, value in values.items()
        if name.startswith(prefix)
    }


@trial(
    "a broker killed and started again, 100 times: each join is served or refused at once, and it comes back by itself",
    limit=400,
)
async def _(trial):
    broker = await redis(trial.bench)
    door = await trial.gateway(
        "  s: {path: /s, pool: p, limits: {acceptRate: 10000/s}}",
        f'  p: {{backends: ["tcp://127.0.0.1:{broker.port}"], eject: off, check: {{every: 100ms, timeout: 90ms, rise: 1, fall: 1, '
        'send: "PING\\r\\n", expect: "+PONG"}}',
    )  # fmt: skip
    rest = Rest(door)
    going = True
    served, refused, slowest = 0, {}, 0.0

    async def join():
        nonlocal served, slowest
        while going:
            began = time.monotonic()
            try:
                client = await Client.open(door.ws + "/s", within=5)
                await client.send(b"PING\r\n")
                with contextlib.suppress(Ended):
                    served += await client.receive() == b"+PONG\r\n"
                client.abort()
            except Refused as refusal:
                refused[refusal.status] = refused.get(refusal.status, 0) + 1
            slowest = max(slowest, time.monotonic() - began)
            # The pace of the joins, and no wait.
            await asyncio.sleep(0.01)

    joins = [trial.keep_task(join()) for _ in range(4)]
    back = []
    for _ in range(trial.times(100)):
        broker.process.signal(signal.SIGKILL)
        await broker.process.ended(5)
        # The gateway has found out, and so has a client.
        turned_away = sum(refused.values())
        await until(lambda many=turned_away: sum(refused.values()) > many, "a client that is refused meanwhile")
        await broker.start_again()
        began, before = time.monotonic(), served
        await until(lambda before=before: served > before + 3, "clients that are served again")
        back.append(time.monotonic() - began)
    going = False
    await asyncio.gather(*joins)
    equal(set(refused) - {502, 503}, set(), "statuses of refusals")
    check(slowest < 4, f"a join took {slowest:.1f} s")
    kept = await rest.is_back()
    return (
        f"{len(back)} restarts, {served:,} joins served, refused {dict(sorted(refused.items()))}; "
        f"back within {max(back):.1f} s; slowest join {slowest:.2f} s; {kept}"
    )


@trial(
    "a broker that hangs (SIGSTOP) or is another program: the check takes it out, the other serves, it returns",
    limit=90,
)
async def _(trial):
    one, other = await redis(trial.bench), await redis(trial.bench)
    urls = [f"tcp://127.0.0.1:{broker.port}" for broker in (one, other)]
    door = await trial.gateway(
        "  s: {path: /s, pool: p, limits: {acceptRate: 10000/s}}",
        f'  p: {{backends: ["{urls[0]}", "{urls[1]}"], check: {{every: 200ms, timeout: 150ms, rise: 2, fall: 2, '
        'send: "PING\\r\\n", expect: "+PONG"}}',
    )  # fmt: skip

    async def is_in() -> bool:
        return (await _state(door, "p"))[urls[0]]

    async def is_out() -> bool:
        return not await is_in()

    for _ in range(trial.times(10)):
        one.process.signal(signal.SIGSTOP)
        try:
            await door.process.see('"event":"backend.down"')
            await until(is_out, "the broker that hangs goes out", 10)
            for _ in range(20):
                client = await Client.open(door.ws + "/s")
                await client.send(b"PING\r\n")
                equal(await client.exactly(7, 5), b"+PONG\r\n", "the other broker's answer")
                client.abort()
        finally:
            one.process.signal(signal.SIGCONT)
        await until(is_in, "the broker that goes on comes back", 10)
    # Its port taken by a program that echoes: connections succeed, the check does not.
    one.process.signal(signal.SIGKILL)
    await one.process.ended(5)

    async def echo(reader, writer):
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1000):
                writer.write(piece)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", one.port)
    await until(is_out, "an echo server does not pass for redis", 10)
    for _ in range(20):
        client = await Client.open(door.ws + "/s")
        await client.send(b"PING\r\n")
        equal(await client.exactly(7, 5), b"+PONG\r\n", "the other broker's answer")
        client.abort()
    server.close()
    return f"{trial.times(10)} hangs and one impostor: taken out, nobody is sent there, back after 2 good checks"


class Watch:
    """What mosquitto says of its clients, this one not counted."""

    def __init__(self, port: int):
        self.count = None
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="watch")
        self.client.on_connect = lambda client, *_: client.subscribe("$SYS/broker/clients/connected")
        self.client.on_message = self._said
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _said(self, client, data, message):
        self.count = int(message.payload) - 1

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


@trial(
    "sessions spread over three backends as their counts say, and the gateway's counts are the brokers' own", limit=90
)
async def _(trial):
    brokers = [await mosquitto(trial.bench, "sys_interval 1") for _ in range(3)]
    urls = [f"tcp://127.0.0.1:{broker.port}" for broker in brokers]
    door = await trial.gateway(
        "  s: {path: /s, pool: p, limits: {acceptRate: 10000/s, perAddress: 10000}}",
        f"  p: {{backends: [{', '.join(json.dumps(url) for url in urls)}], balance: least-connections, check: off}}",
    )
    connect = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04"
    clients = []
    for number in range(trial.times(300)):
        client = await Client.open(door.ws + "/s")
        await client.send(connect + b"%04d" % number)
        equal(await client.exactly(4), b"\x20\x02\x00\x00", "CONNACK")
        clients.append(client)
    # A reload that changes the pool forgets no session.
    text = open(door.file).read()
    with open(door.file, "w") as file:
        file.write(text.replace("check: off", "check: off, connectTimeout: 4s"))
    equal((await ask(door, "/reload", "POST"))[0], 200, "the reload")
    values = await metrics(door)
    counts = [values[f'khp_backend_connections{{pool="p",backend="{url}"}}'] for url in urls]
    equal(sum(counts), len(clients), "connections in the metrics behind a reload")
    check(max(counts) - min(counts) <= 1, f"spread {counts}")
    watches = [await asyncio.to_thread(Watch, broker.port) for broker in brokers]

    def told() -> list[int | None]:
        return [watch.count for watch in watches]

    await until(lambda: told() == counts, lambda: f"the brokers tell of {told()} clients, the gateway of {counts}")
    for client in clients[: len(clients) // 2]:
        await client.send(b"\xe0\x00")
        await client.close()
    await until(lambda: len(door.lines("session.end")) == len(clients) // 2, "the ends of half of them")
    deadline = time.monotonic() + 10
    while sum(counts) != len(clients) - len(clients) // 2:
        check(time.monotonic() < deadline, f"{counts} connections once half of the clients are gone")
        values = await metrics(door)
        counts = [values[f'khp_backend_connections{{pool="p",backend="{url}"}}'] for url in urls]
    await until(lambda: told() == counts, lambda: f"the brokers tell of {told()} clients, the gateway of {counts}")
    for watch in watches:
        await asyncio.to_thread(watch.end)
    for client in clients:
        client.abort()
    left = [int(count) for count in counts]
    return f"{len(clients)} sessions, each broker has its third and says so, also behind a reload; {left} once half are gone"
