"""The end of sessions' time and of gateways: tokens that expire, drains under load, one of several gateways that goes."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import random
import signal
import threading
import time

import paho.mqtt.client as mqtt
from support.brokers import Gateway, mosquitto
from support.check import check, equal
from support.daemons import Daemon, free_port

from trials.ends import SERVICE, pool
from trials.peers import Client, Refused, names, orders
from trials.trial import ask, causes, metrics, trial, until

SECRET = b"0123456789abcdef0123456789abcdef"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(name: str, seconds: float, **claims) -> str:
    head = _text(json.dumps({"alg": "HS256", "kid": "k", "typ": "JWT"}).encode())
    claims = {"iss": "trial", "aud": "gateway", "sub": name, "exp": time.time() + seconds, **claims}
    signed = f"{head}.{_text(json.dumps(claims).encode())}"
    return f"{signed}.{_text(hmac.new(SECRET, signed.encode(), hashlib.sha256).digest())}"


def realm(bench, more: str = "") -> str:
    keys = bench.file(json.dumps({"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": _text(SECRET)}]}))
    return (
        f"realms: {{apps: {{schemes: [bearer], jwt: {{keys: {keys}, algorithms: [HS256], issuer: trial, audience: gateway, "
        f"leeway: 0s{more}}}}}}}"
    )


@trial("tokens that expire while their sockets are open, with silent clients and busy ones", limit=60)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(
        SERVICE.replace("pool: p", "pool: p, realm: apps"), pool(backend.url), realm(trial.bench)
    )
    name = names()
    late = []
    opening = asyncio.Semaphore(100)

    async def one(number: int):
        lives = random.uniform(1.5, 5)
        # One address may have 256 handshakes at once.
        async with opening:
            began = time.monotonic()
            client = await Client.open(door.ws + "/s", fields=[("Authorization", f"Bearer {token(f'u{number}', lives)}")])
        verb = random.choice(("echo", "flood"))
        await client.send(f"{next(name)} {verb} {65_536 if verb == 'flood' else 0}\n".encode())
        await client.rest()
        equal(
            (client.close_code, "authenticate again" in client.close_reason),
            (1008, True),
            f"the end {client.close_reason!r}",
        )
        late.append(time.monotonic() - began - lives)
        client.drop()

    count = trial.times(300)
    await asyncio.gather(*(one(number) for number in range(count)))
    # `exp` counts in seconds.
    check(-1.1 < min(late) and max(late) < 1.5, f"{min(late):.2f} to {max(late):.2f} s behind their time")
    await door.process.until(lambda: causes(door) == {"credentials-expired": count}, "the ends of all in the log")
    refused = 0
    for bad in (token("u", -5), token("u", 60, aud="other"), token("u", 60, iss="other"), token("u", 60)[:-4] + "AAAA"):
        try:
            await Client.open(door.ws + "/s", fields=[("Authorization", f"Bearer {bad}")])
        except Refused as refusal:
            refused += refusal.status == 401
    equal(refused, 4, "refusals of bad tokens")
    return f"{count} ended with 1008, {min(late):+.1f} to {max(late):+.1f} s from `exp`; expired ones are not let in"


@trial("clients that are asked for another token: those who bring one live on, over two renewals, the others end", limit=60)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(
        SERVICE.replace("pool: p", "pool: p, realm: apps"),
        pool(backend.url),
        realm(trial.bench, ", onExpiry: revalidate"),
    )
    name = names()
    port = int(door.ws.rpartition(":")[2])
    opening = asyncio.Semaphore(100)
    control = b"\x01\x01\x01\x03\x01"

    async def answer(path: bytes, credentials: str) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET %s&.krn=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n"
            % (path, credentials.encode())
        )
        status = int((await reader.read()).split(b" ")[1])
        writer.close()
        return status

    async def one(number: int) -> str:
        user, lives, kind = f"u{number}", 4.0, ("brings", "is silent", "is another", "is deaf")[number % 4]
        fields = [("Authorization", f"Bearer {token(user, lives)}")]
        if kind != "is deaf":
            fields.append(("Sec-WebSocket-Extensions", "x-kaazing-http-revalidate"))
        async with opening:
            client = await Client.open(door.ws + "/s", fields=fields)
        await client.send(f"{next(name)} echo 0\n".encode())
        renewals = 0
        while kind == "brings" and renewals < 2:
            asked = await asyncio.wait_for(client.receive(), 20)
            check(asked and asked.startswith(control), f"asked by {asked!r}")
            equal(await answer(asked[len(control) :], token(user, 4 + 4 * renewals)), 200, "the answer to a new token")
            equal(await answer(asked[len(control) :], token(user, 60)), 404, "the answer to a second request")
            renewals += 1
        if kind == "brings":
            await client.send(b"still here")
            equal(await client.exactly(10), b"still here", "the echo behind two renewals")
            await client.close()
            return kind
        if kind == "is another":
            asked = await asyncio.wait_for(client.receive(), 20)
            equal(await answer(asked[len(control) :], token("somebody", 60)), 403, "the answer to another's token")
        await client.rest()
        equal(client.close_code, 1008, f"code of one that {kind}")
        client.drop()
        return kind

    count = trial.times(200)
    kinds = await asyncio.gather(*(one(number) for number in range(count)))
    brought = kinds.count("brings")
    await door.process.until(
        lambda: causes(door) == {"credentials-expired": count - brought, "client-close": brought}, "the ends in the log"
    )
    counts = {
        outcome: int((await metrics(door))[f'khp_revalidations_total{{service="s",result="{outcome}"}}'])
        for outcome in ("renewed", "refused", "unanswered", "not-agreed")
    }
    equal(
        counts,
        {
            "renewed": 2 * brought, "refused": kinds.count("is another"), "unanswered": kinds.count("is silent"),
            "not-agreed": kinds.count("is deaf"),
        },
        "the counts",
    )  # fmt: skip
    return f"{brought} live on over two renewals, {count - brought} end with 1008: {counts}"


@trial("a drain under load: 400 busy sessions end with 1001, evenly over the time, status 0", limit=60)
async def _(trial):
    backend = await orders(trial)
    door = await trial.gateway(SERVICE, pool(backend.url), "shutdown: {announce: 1s, drain: 8s}")
    ends, wrong, sent = [], [], 0
    opening = asyncio.Semaphore(100)
    name = names()

    async def one():
        nonlocal sent
        # One address may have 256 handshakes at once.
        async with opening:
            client = await Client.open(door.ws + "/s")
        await client.send(f"{next(name)} echo 0\n".encode())
        taken = 0
        out = 0

        async def write():
            nonlocal out, sent
            with contextlib.suppress(ConnectionError):
                while client.close_code is None:
                    client.writer.write(client.frame(b"x" * 200))
                    out += 200
                    sent += 1
                    # The pace of the traffic, and no wait: ten messages a second.
                    await asyncio.sleep(0.1)

        writing = asyncio.ensure_future(write())
        taken = len(await client.rest(60))
        ends.append(time.monotonic())
        await writing
        if client.close_code != 1001:
            wrong.append(client.close_code)
        if out - taken > 400:
            wrong.append(f"{out - taken} bytes did not come back")
        client.drop()

    count = trial.times(400)
    clients = [trial.keep_task(one()) for _ in range(count)]
    await until(lambda: backend.open == count, "all sessions")
    await until(lambda: sent >= 10 * count, "traffic of a second")
    began = time.monotonic()
    door.process.signal(signal.SIGTERM)
    await door.process.see('"event":"drain.start"')
    equal((await ask(door, "/readyz"))[0], 503, "readiness in the announcement")
    extra = await Client.open(door.ws + "/s")
    await asyncio.gather(*clients)
    await extra.rest()
    equal(extra.close_code, 1001, "code of one who came in the announcement")
    extra.drop()
    equal(await door.process.ended(15), 0, "exit status")
    equal(wrong, [], "codes that are not 1001, and bytes that were lost")
    share = [0] * 8
    for end in ends:
        share[min(max(int(end - began - 1), 0), 7)] += 1
    mean = count / 8
    chi = sum((number - mean) ** 2 / mean for number in share)
    # Evenly spread counts are far below what chance would do; 24.3 is its 99.9 % mark for 7 degrees.
    check(chi < 24.3, f"ends in each second {share}, χ² {chi:.1f}")
    return f"{count} ends over 8 s, in each second {min(share)} to {max(share)} (χ² {chi:.1f}), {sent:,} messages meanwhile, status 0"


async def start(trial, file: str) -> Gateway:
    process = await trial.bench.start("gateway", "--config", file)
    match = await process.see(r"^listening: (.*)$", on="out")
    addresses = dict(entry.split(" ", 1) for entry in match[1].decode().split(", "))
    return Gateway(process, file, addresses)


class Publisher:
    """paho with a session that outlives its connections: each message is acknowledged, or sent again."""

    def __init__(self, port: int, name: str):
        self.lost = 0
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False, transport="websockets"
        )
        self.client.ws_set_options(path="/mqtt")
        self.client.reconnect_delay_set(min_delay=1, max_delay=2)
        self.client.max_inflight_messages_set(1000)
        self.client.max_queued_messages_set(0)
        self.client.on_disconnect = self._disconnected
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _disconnected(self, *_):
        self.lost += 1


def balanced(front: Daemon, ports: list[tuple[int, int]]) -> list[str]:
    """HAProxy before gateways: TCP with PROXY v2, to those whose admin address says that they are ready."""
    servers = "\n".join(
        f"    server gw{number} 127.0.0.1:{public} send-proxy-v2 check port {admin} inter 300ms rise 1 fall 1"
        for number, (public, admin) in enumerate(ports)
    )
    return ["-db", "-f", front.write("haproxy.cfg", f"""
global
    maxconn 8000
defaults
    mode tcp
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    option redispatch
    retries 3
frontend public
    bind 127.0.0.1:{front.port}
    default_backend gateways
backend gateways
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
{servers}
""")]  # fmt: skip


@trial(
    "two gateways behind HAProxy (TCP, PROXY v2, /readyz), each restarted in turn under MQTT clients: no message is lost",
    limit=240,
)
async def _(trial):
    bench = trial.bench
    broker = await mosquitto(bench, "max_inflight_messages 0", "max_queued_messages 0")
    files, ports = [], []
    for number in range(2):
        public, admin = free_port(), free_port()
        ports.append((public, admin))
        files.append(
            bench.file(
                "version: 1\n"
                f"instance: gw{number}\n"
                f"listeners: {{public: {{listen: 127.0.0.1:{public}, proxyProtocol: required, trust: [127.0.0.1/32]}}}}\n"
                f"admin: {{listen: 127.0.0.1:{admin}}}\n"
                f'pools: {{m: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}}}\n'
                "services: {mqtt: {path: /mqtt, pool: m, limits: {perAddress: 1000}}}\n"
                "shutdown: {announce: 2s, drain: 3s}\n",
                ".yaml",
            )
        )  # fmt: skip
    gateways = [await start(trial, file) for file in files]
    front = bench.keep(Daemon("haproxy"))
    await front.launch("haproxy", lambda: balanced(front, ports))
    # Straight at the broker: what arrives there counts.
    arrived: set[bytes] = set()
    watcher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="watcher")
    ready = threading.Event()
    watcher.on_connect = lambda client, *_: client.subscribe("t/#", qos=1)
    watcher.on_subscribe = lambda *_: ready.set()
    watcher.on_message = lambda client, data, message: arrived.add(message.payload)
    watcher.connect("127.0.0.1", broker.port)
    watcher.loop_start()
    check(await asyncio.to_thread(ready.wait, 10), "the watcher's subscription")
    publishers = [await asyncio.to_thread(Publisher, front.port, f"c{number}") for number in range(trial.times(60))]
    sent: set[bytes] = set()
    going = True

    async def publish():
        number = 0
        while going:
            for index, publisher in enumerate(publishers):
                payload = b"%d-%d" % (index, number)
                publisher.client.publish(f"t/{index}", payload, qos=1)
                sent.add(payload)
                # The pace of the traffic, and no wait: each publishes five times a second.
                await asyncio.sleep(0.2 / len(publishers))
            number += 1

    async def traffic():
        """Ten messages of each publisher arrive: two seconds' worth."""
        enough = len(arrived) + 10 * len(publishers)
        await until(lambda: len(arrived) >= enough, "messages that go on arriving", 40)

    publishing = trial.keep_task(publish())
    await traffic()
    statuses = []
    for number in (0, 1) * trial.times(2):
        gateways[number].process.signal(signal.SIGTERM)
        statuses.append(await gateways[number].process.ended(20))
        gateways[number] = await start(trial, files[number])
        await traffic()
    going = False
    await publishing
    await until(lambda: sent <= arrived, lambda: f"{len(sent - arrived)} of {len(sent)} messages are missing", 40)
    moves = sum(publisher.lost for publisher in publishers)
    for publisher in publishers:
        publisher.client.on_disconnect = None
        publisher.client.disconnect()
        await asyncio.to_thread(publisher.client.loop_stop)
    watcher.disconnect()
    await asyncio.to_thread(watcher.loop_stop)
    equal(set(statuses), {0}, "exit statuses")
    check(moves >= len(publishers), f"{moves} moves of {len(publishers)} clients")
    return f"{len(statuses)} restarts, {len(publishers)} paho clients moved {moves} times, {len(sent):,} messages, 0 lost; status 0 each time"


@trial("a balancer of two gateways: clients go to both, a draining one refuses, circles end", limit=90)
async def _(trial):
    bench = trial.bench
    members = [await trial.gateway("  s: {path: /lb/s, type: echo}", "  p: {backends: [\"tcp://127.0.0.1:1\"], check: off}")
               for _ in range(2)]  # fmt: skip
    listing = ", ".join(json.dumps(member.ws + "/lb/s") for member in members)
    door = await trial.gateway(
        f"  lb: {{path: /lb, balance: {{members: [{listing}], by: round-robin}}}}",
        "  p: {backends: [\"tcp://127.0.0.1:1\"], check: off}",
    )  # fmt: skip
    count = trial.times(40)
    for _ in range(count):
        outcome = await bench.connect(door.ws + "/lb", "--json", "--message", "hi", "--count", 1)
        outcome.ends(0)
        equal(outcome.events.one("open")["redirects"], 1, "redirects")
    shares = []
    for member in members:
        await until(lambda member=member: len(member.lines("session.end")) > 0, "sessions at each member")
        shares.append(len(member.lines("session.end")))
    check(max(shares) - min(shares) <= 1 and sum(shares) == count, f"shares {shares}")
    # Two that name each other, then one that names itself without knowing its own name: no check sees either.
    other = await trial.gateway(
        f"  lb: {{path: /lb, balance: {{members: [{json.dumps(door.ws + '/lb')}], by: round-robin}}}}",
        "  p: {backends: [\"tcp://127.0.0.1:1\"], check: off}",
    )  # fmt: skip
    text = open(door.file).read()
    slowest = 0.0
    for circle in (other.ws + "/lb", door.ws + "/lb"):
        with open(door.file, "w") as changed:
            changed.write(text.replace(listing, json.dumps(circle)))
        equal((await ask(door, "/reload", "POST"))[0], 200, "a reload with a circle")
        began = time.monotonic()
        outcome = await bench.connect(door.ws + "/lb", "--json", "--message", "hi", "--count", 1)
        # The client's own limit of redirects, or that it knows the place.
        outcome.ends(6)
        slowest = max(slowest, time.monotonic() - began)
    check(slowest < 10, f"a circle takes {slowest:.1f} s")
    # One that knows its own name is refused, and the circle before it stays.
    with open(door.file, "w") as changed:
        changed.write(
            text.replace(listing, json.dumps("ws://gw.example.com/lb")).replace(
                "listen: 127.0.0.1:0}", "listen: 127.0.0.1:0, publicURL: ws://gw.example.com}", 1
            )
        )
    status, answer = await ask(door, "/reload", "POST")
    check(status == 422 and "is this balancer itself" in answer, f"a balancer that names itself: {status} {answer}")
    return f"{count} clients: {shares[0]} and {shares[1]}; two that name each other, and one that names itself, end with an error after {slowest:.1f} s"
