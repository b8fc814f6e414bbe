"""A reload leaves sockets alone, whatever changes beside them; what is wrong changes nothing."""

import asyncio
import base64
import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import ssl

import nats as nats_client
import paho.mqtt.client as mqtt
from support.bench import PASSWORD
from support.brokers import mosquitto, nats
from support.check import check, equal

from trials.peers import Client, Ended, MemoryTLS, Refused, orders
from trials.trial import ONCE, ask, open_files, resident, trial, until


class Counted:
    """A client that publishes numbers through the gateway to itself, and misses none."""

    def __init__(self):
        self.sent = 0
        self.seen = 0
        self.wrong: list[str] = []

    def take(self, payload: bytes) -> None:
        if int(payload) != self.seen + 1:
            self.wrong.append(f"{int(payload)} behind {self.seen}")
        self.seen = int(payload)


class Lean(Counted):
    """The protocol of NATS, over the leanest client."""

    async def start(self, url: str, subject: str):
        self.subject = subject
        self.client = await Client.open(url + "/nats")
        await self.client.receive()
        await self.client.send(f'CONNECT {{"verbose":false}}\r\nSUB {subject} 1\r\n'.encode())
        self.reading = asyncio.ensure_future(self._read())

    async def _read(self):
        text = b""
        with contextlib.suppress(Ended):
            while (payload := await self.client.receive()) is not None:
                text += payload
                while found := re.match(rb"(?:PING\r\n|PONG\r\n|\+OK\r\n)|MSG \S+ \S+ (\d+)\r\n(\d+)\r\n", text):
                    if found[0].startswith(b"PING"):
                        await self.client.send(b"PONG\r\n")
                    if found[2]:
                        self.take(found[2])
                    text = text[found.end() :]
        self.wrong.append(f"the connection ended: {self.client.close_code} {self.client.close_reason}")

    async def publish(self):
        self.sent += 1
        number = b"%d" % self.sent
        await self.client.send(b"PUB %s %d\r\n%s\r\n" % (self.subject.encode(), len(number), number))

    async def stop(self):
        self.reading.cancel()
        await self.client.close()


class Nats(Counted):
    """nats-py."""

    async def start(self, url: str, subject: str):
        async def lost(*_):
            self.wrong.append("disconnected")

        self.subject = subject
        self.client = await nats_client.connect(url + "/nats", allow_reconnect=False, disconnected_cb=lost)

        async def take(message):
            self.take(message.data)

        await self.client.subscribe(subject, cb=take)
        await self.client.flush()

    async def publish(self):
        self.sent += 1
        await self.client.publish(self.subject, b"%d" % self.sent)

    async def stop(self):
        self.client._disconnected_cb = None
        await self.client.close()


class Mqtt(Counted):
    """paho-mqtt, with acknowledged messages."""

    async def start(self, url: str, subject: str):
        self.subject = subject
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets", protocol=mqtt.MQTTv5)
        self.client.ws_set_options(path="/mqtt")
        self.client.on_connect = lambda client, *_: client.subscribe(subject, qos=1)
        self.client.on_subscribe = lambda *_: loop.call_soon_threadsafe(ready.set)
        self.client.on_message = lambda client, data, message: self.take(message.payload)
        self.client.on_disconnect = lambda *_: self.wrong.append("disconnected")
        host, _, port = url.removeprefix("ws://").partition(":")
        await asyncio.to_thread(self.client.connect, host, int(port))
        self.client.loop_start()
        await asyncio.wait_for(ready.wait(), 20)

    async def publish(self):
        self.sent += 1
        self.client.publish(self.subject, b"%d" % self.sent, qos=1)

    async def stop(self):
        self.client.on_disconnect = None
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


@trial("200 reloads under 500 live clients: paho, nats-py and lean ones, with numbered messages", limit=600)
async def _(trial):
    bench = trial.bench
    mqtt_broker, nats_broker = await mosquitto(bench), await nats(bench)
    shutil.copy(bench.certificates.certificate(), certificate := bench.unused_path(".pem"))
    shutil.copy(bench.certificates.key(), key := bench.unused_path(".key"))
    users = await bench.users()
    door = await trial.gateway(
        "  mqtt: {path: /mqtt, subprotocols: {mqtt: {pool: mosquitto}}}\n"
        "  nats: {path: /nats, pool: nats}\n"
        "  other: {path: /other, type: echo, realm: staff}",
        f'  mosquitto: {{backends: ["tcp://127.0.0.1:{mqtt_broker.port}"]}}\n'
        f'  nats: {{backends: ["tcp://127.0.0.1:{nats_broker.port}"], check: {{expect: "INFO "}}}}',
        f"defaults: {{limits: {{perAddress: 10000}}, listeners: [public]}}\n"
        f"realms: {{staff: {{schemes: [basic], users: {users}}}}}",
    )  # fmt: skip
    original = open(door.file).read().replace(
        "listeners: {public: {listen: 127.0.0.1:0}}",
        "listeners:\n  public: {listen: 127.0.0.1:0}\n"
        f"  secure: {{listen: 127.0.0.1:0, tls: {{certificate: {certificate}, key: {key}}}}}",
    )  # fmt: skip

    clients: list[Counted] = []
    for made, count in ((Mqtt, 60), (Nats, 140), (Lean, 300)):
        for number in range(trial.times(count)):
            client = made()
            await client.start(door.ws, f"{made.__name__}.{number}")
            clients.append(client)
    pid = door.process.pid
    files, memory = open_files(pid), resident(pid)
    going = True

    async def publish():
        # Each about twice a second, evenly.
        while going:
            for client in clients:
                await client.publish()
                await asyncio.sleep(0.5 / len(clients))

    publishing = trial.keep_task(publish())
    changes = {
        "nothing": lambda text: text,
        "a pool": lambda text: text.replace('expect: "INFO "', f'expect: "INFO ", every: {random.randint(3, 9)}s'),
        "another service": lambda text: text.replace("\nservices:\n", "\nservices:\n  more: {path: /more, type: echo}\n"),
        "a service less": lambda text: text.replace("  other: {path: /other, type: echo, realm: staff}\n", ""),
        "a listener": lambda text: text.replace("listeners:\n", "listeners:\n  more: {listen: 127.0.0.1:0}\n"),
        "a broken file": lambda text: text + "nonsense: 1\n",
        "no YAML": lambda text: text + "  - {\n",
        "a file that is not there": lambda text: text.replace(users, users + ".none"),
        "a limit": lambda text: text.replace("perAddress: 10000", f"perAddress: {random.randint(5000, 9999)}"),
        "a renewed certificate": lambda text: text,
        "five signals at once": lambda text: text.replace("\nservices:\n", "\nservices:\n  five: {path: /five, type: echo}\n"),
    }  # fmt: skip
    done = {name: 0 for name in changes}

    def answers() -> int:
        said = bytes(door.process.err)
        return said.count(b'"event":"reload.done"') + said.count(b'"event":"reload.failed"')

    order = list(changes) * (trial.times(200) // len(changes) + 1)
    for name in random.sample(order[: trial.times(200)], trial.times(200)):
        if name == "a renewed certificate":
            leaf = random.choice(("server", "elsewhere"))
            shutil.copy(bench.certificates.certificate(leaf), certificate)
            shutil.copy(bench.certificates.key(leaf), key)
        with open(door.file, "w") as file:
            file.write(changes[name](original))
        before = answers()
        for _ in range(5 if name == "five signals at once" else 1):
            door.process.signal(signal.SIGHUP)
        await door.process.until(lambda before=before: answers() > before, f"the reload of {name}")
        done[name] += 1
        # Between reloads and in their midst, clients talk.
        await asyncio.sleep(random.uniform(0, 0.2))
    with open(door.file, "w") as file:
        file.write(original)
    before = answers()
    door.process.signal(signal.SIGHUP)
    await door.process.until(lambda: answers() > before, "the last reload")
    going = False
    await publishing
    with contextlib.suppress(Exception):
        await until(lambda: all(client.seen == client.sent for client in clients), "the last messages", 15)
    lost = sum(client.sent - client.seen for client in clients)
    wrong = [text for client in clients for text in client.wrong]
    equal((lost, wrong[:5]), (0, []), "messages that are missing or out of order, and connections that ended")
    equal(door.lines("session.end"), [], "ends of sessions")
    failed = len(door.lines("reload.failed"))
    check(failed >= done["a broken file"] + done["no YAML"], f"{failed} failed reloads")
    files_now = open_files(pid)
    # The listener with TLS has come.
    check(files_now <= files + 1 + ONCE, f"{files_now} descriptors, {files} before")
    grown = (resident(pid) - memory) / 1e6
    check(grown < 60, f"{grown:.1f} MB more memory")
    sent = sum(client.sent for client in clients)
    await asyncio.gather(*(client.stop() for client in clients))
    await until(lambda: len(door.lines("session.end")) == len(clients), "the ends of all")
    return f"{sum(done.values())} reloads of {len(done)} kinds, {len(clients)} clients, {sent:,} messages, 0 lost; {grown:.0f} MB more"


def _serial(client) -> str:
    return client.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]


@trial("a certificate replaced by a reload under live TLS clients, and an authority taken away", limit=90)
async def _(trial):
    bench = trial.bench
    backend = await orders(trial)
    make = bench.certificates
    certificate, key, authority = bench.unused_path(".pem"), bench.unused_path(".key"), bench.unused_path(".ca")
    shutil.copy(make.certificate(), certificate)
    shutil.copy(make.key(), key)
    both = open(make.authority).read() + open(make.certificate("stranger")).read()
    open(authority, "w").write(both)
    file = bench.file(
        "version: 1\n"
        f"listeners: {{public: {{listen: 127.0.0.1:0, tls: {{certificate: {certificate}, key: {key}, clientAuth: required, "
        f"clientCA: {authority}}}}}}}\n"
        f'pools: {{p: {{backends: ["{backend.url}"], check: off}}}}\n'
        "services: {s: {path: /s, pool: p}}\n",
        ".yaml",
    )  # fmt: skip
    process = await bench.start("gateway", "--config", file)
    url = (await process.see(r"(wss://127.0.0.1:\d+)", on="out"))[1].decode() + "/s"
    context, stranger = make.client_context("client"), make.client_context()
    stranger.load_cert_chain(make.certificate("impostor"), make.key("impostor"))
    for each in (context, stranger):
        # A session of TLS that goes on shows no certificate.
        each.options |= ssl.OP_NO_TICKET
        each.check_hostname = False
    live = [await Client.open(url, tls=each) for each in (context, stranger) for _ in range(trial.times(80))]
    for number, client in enumerate(live):
        await client.send(f"n{number} echo 0\n".encode())
    first = _serial(live[0])
    shutil.copy(make.certificate("elsewhere"), certificate)
    shutil.copy(make.key("elsewhere"), key)
    shutil.copy(make.authority, authority)
    process.signal(signal.SIGHUP)
    await process.see('"event":"reload.done"')
    fresh = await Client.open(url, tls=context)
    check(_serial(fresh) != first, "a new client sees the old certificate")
    refused = False
    try:
        await Client.open(url, tls=stranger)
    except (OSError, asyncio.IncompleteReadError):
        refused = True
    check(refused, "a client of the authority that is gone is let in")
    for client in live:
        await client.send(b"still here" * 100)
    for client in live:
        equal(await client.exactly(1000), b"still here" * 100, "the echo of a client from before")
    equal(bytes(process.err).count(b'"event":"session.end"'), 0, "ends of sessions")
    for client in live:
        client.abort()
    return (
        f"{len(live)} sessions go on; new ones see the new certificate, and the authority that is gone lets nobody in"
    )


@trial("a listener comes and goes by reloads: its address is taken, given back, and its sessions stay", limit=60)
async def _(trial):
    door = await trial.gateway("  e: {path: /e, type: echo}", '  p: {backends: ["tcp://127.0.0.1:1"], check: off}')
    original = open(door.file).read()
    from support.daemons import free_port

    count = trial.times(50)
    stayed = []
    for number in range(count):
        port = free_port()
        with open(door.file, "w") as file:
            file.write(original.replace("listeners: {", f"listeners: {{more: {{listen: 127.0.0.1:{port}}}, "))
        equal((await ask(door, "/reload", "POST"))[0], 200, "a reload")
        client = await Client.open(f"ws://127.0.0.1:{port}/e")
        stayed.append(client)
        with open(door.file, "w") as file:
            file.write(original)
        equal((await ask(door, "/reload", "POST"))[0], 200, "a reload")
        gone = False
        try:
            await Client.open(f"ws://127.0.0.1:{port}/e")
        except (ConnectionError, Refused):
            gone = True
        check(gone, "the listener that is gone still listens")
    for client in stayed:
        await client.send(b"x" * 100)
        equal(await client.exactly(100), b"x" * 100, "the echo behind a listener that is gone")
        await client.close()
    return f"{count} listeners came and went; each one's session went on"


@trial("a users file replaced under logins: who stays is let in all the time, who comes and goes as the file says", limit=120)
async def _(trial):
    line = open(await trial.bench.users()).read().strip()
    staying, hashed = line.split(":", 1)
    users = trial.bench.file(line + "\n", ".users")
    door = await trial.gateway(
        "  s: {path: /s, type: echo, realm: staff}", '  p: {backends: ["tcp://127.0.0.1:1"], check: off}',
        f"realms: {{staff: {{schemes: [basic], users: {users}, wrongAnswers: {{perAddress: 100000}}}}}}",
    )  # fmt: skip

    async def login(name: str) -> int:
        proof = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
        try:
            client = await Client.open(door.ws + "/s", fields=[("Authorization", f"Basic {proof}")])
        except Refused as refusal:
            return refusal.status
        await client.close()
        return 101

    statuses, going = [], True

    async def stay():
        while going:
            statuses.append(await login(staying))

    logins = [trial.keep_task(stay()) for _ in range(2)]
    for number in range(trial.times(40)):
        # Another user each time, with the password that is known; the file is there as a whole or not at all.
        fresh = f"{users}.new"
        with open(fresh, "w") as file:
            file.write(f"{line}\nguest{number}:{hashed}\n")
        os.replace(fresh, users)
        equal((await ask(door, "/reload", "POST"))[0], 200, "a reload")
        equal(await login(f"guest{number}"), 101, "one who has come")
        equal(await login(f"guest{number - 1}"), 401, "one who has gone")
    going = False
    await asyncio.gather(*logins)
    equal(set(statuses), {101}, "who stays")
    return f"{trial.times(40)} files under {len(statuses)} logins; nobody who stays was refused"


@trial("a certificate is replaced while handshakes are under way: each ends with the one that it began with", limit=60)
async def _(trial):
    bench = trial.bench
    make = bench.certificates
    certificate, key = bench.file("", ".crt"), bench.file("", ".key")
    pairs = [(make.certificate(), make.key()), (make.certificate("elsewhere"), make.key("elsewhere"))]

    def put(number: int) -> None:
        for source, target in zip(pairs[number % 2], (certificate, key)):
            shutil.copy(source, target)

    put(0)
    file = bench.file(
        f"version: 1\nlisteners: {{a: {{listen: 127.0.0.1:0, tls: {{certificate: {certificate}, key: {key}}}}}}}\n"
        "admin: {listen: 127.0.0.1:0}\nservices: {e: {path: /e, type: echo}}\n", ".yaml",
    )  # fmt: skip
    process = await bench.start("gateway", "--config", file)
    said = (await process.see(r"^listening: (.*)$", on="out"))[1].decode()
    port = int(re.search(r"a wss://\S+:(\d+)", said)[1])
    context = ssl._create_unverified_context()
    serials = []
    for number in range(trial.times(30)):
        tls = MemoryTLS(context)
        hello = tls.hello
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        # The client has said half of its first words when the certificate changes.
        writer.write(hello[: len(hello) // 2])
        put(number + 1)
        before = bytes(process.err).count(b'"event":"reload.done"')
        process.signal(signal.SIGHUP)
        await process.until(
            lambda before=before: bytes(process.err).count(b'"event":"reload.done"') > before, "the reload"
        )
        writer.write(hello[len(hello) // 2 :])
        await tls.shake_hands(reader, writer)
        serials.append(hashlib.sha256(tls.tls.getpeercert(binary_form=True)).hexdigest())
        writer.transport.abort()
    equal(len(set(serials)), 2, "certificates")
    equal(serials, [serials[number % 2] for number in range(len(serials))], "the certificate of each")
    return f"{len(serials)} handshakes over a replacement, none cut"


@trial("what a crash leaves does not keep a start back: a socket's file, and a listener of IPv6 alone", limit=60)
async def _(trial):
    bench = trial.bench
    path = bench.file("", ".sock")
    os.unlink(path)
    file = bench.file(
        f'version: 1\nlisteners: {{u: {{listen: "unix:{path}"}}, six: {{listen: "[::1]:0"}}}}\n'
        "services: {e: {path: /e, type: echo}}\n", ".yaml",
    )  # fmt: skip
    for number in range(2):
        process = await bench.start("gateway", "--config", file)
        said = (await process.see(r"^listening: (.*)$", on="out"))[1].decode()
        port = int(re.search(r"six ws://\[::1\]:(\d+)", said)[1])
        for url, options in ((f"ws://[::1]:{port}/e", ()), ("ws://h/e", ("--unix-socket", path))):
            outcome = await bench.connect(url, *options, "--message", "hi", "--count", 1)
            outcome.ends(0)
            equal(outcome.text, "hi\n", url)
        refused = False
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
        except ConnectionError:
            refused = True
        check(refused, "the listener of IPv6 takes IPv4")
        if number == 0:
            process.signal(signal.SIGKILL)
            await process.ended(5)
            check(os.path.exists(path), "the file that is left")
    # A second gateway must not take the place of one that lives.
    other = await bench.start("gateway", "--config", file)
    equal(await other.ended(20), 3, "a second one at the same socket")
    outcome = await bench.connect("ws://h/e", "--unix-socket", path, "--message", "hi", "--count", 1)
    outcome.ends(0)
    return "killed and started again at its socket's file; a second one ends with 3 and the first serves on; [::1] alone"
