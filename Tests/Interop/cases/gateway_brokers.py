"""`khp gateway` between clients and brokers of others: mosquitto with paho, nats-server with nats-py, redis with redis-py
through `khp tunnel` and over a raw socket, prosody with XMPP's own frames."""

import asyncio
import base64
import hashlib
import signal
import socket

import nats as nats_client
import paho.mqtt.client as mqtt
import redis as redis_client

from support.bench import PASSWORD, USER
from support.brokers import gateway, mosquitto, nats, prosody, redis
from support.check import check, equal
from support.daemons import Daemon
from support.patience import stretched
from support.registry import behaviour

FOREIGN = True


class Subscriber:
    """A paho client over WebSocket, with its messages in a queue of the event loop."""

    def __init__(self, url: str):
        self.loop = asyncio.get_running_loop()
        self.ready = asyncio.Event()
        self.messages: asyncio.Queue = asyncio.Queue()
        self.reasons: list = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets", protocol=mqtt.MQTTv5)
        host, _, rest = url.removeprefix("ws://").partition(":")
        port, slash, path = rest.partition("/")
        self.client.ws_set_options(path=slash + path)
        self.client.on_connect = lambda client, *_: client.subscribe("topic", qos=1)
        self.client.on_subscribe = lambda *_: self.loop.call_soon_threadsafe(self.ready.set)
        self.client.on_message = lambda client, data, message: self.loop.call_soon_threadsafe(
            self.messages.put_nowait, message.payload
        )
        self.client.on_disconnect = lambda client, data, flags, reason, *_: self.reasons.append(reason)
        self.address = (host, int(port))

    async def __aenter__(self):
        await asyncio.to_thread(self.client.connect, *self.address)
        self.client.loop_start()
        await asyncio.wait_for(self.ready.wait(), stretched(10))
        return self

    async def __aexit__(self, *_):
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


MQTT = "  mqtt: {path: /mqtt, subprotocols: {mqtt: {pool: mosquitto}}}"


@behaviour("MQTT 5 with paho through the gateway to mosquitto: small and large messages, in order", timeout=40)
async def _(bench):
    broker = await mosquitto(bench)
    door = await gateway(bench, MQTT, f'  mosquitto: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}')
    sizes = [0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 200_000]
    async with Subscriber(door.ws + "/mqtt") as subscriber:
        for number, size in enumerate(sizes):
            payload = bytes([number]) * size
            subscriber.client.publish("topic", payload, qos=1)
        for number, size in enumerate(sizes):
            payload = await asyncio.wait_for(subscriber.messages.get(), stretched(10))
            equal((len(payload), set(payload)), (size, {number} if size else set()), "message")
        status, sessions = door.ask("/sessions")
        check('"subprotocol":"mqtt"' in sessions, f"the session's subprotocol in {sessions}")
    await door.process.see('"event":"session.end"')
    (end,) = door.lines("session.end")
    equal((end["service"], end["subprotocol"]), ("mqtt", "mqtt"), "the session that has ended")
    # Behind DISCONNECT the broker closes, and paho leaves, with a close frame or without.
    check(end["cause"] in ("client-close", "client-lost", "backend-fin"), f"cause of {end}")
    check(end["in_bytes"] > 400_000 and end["out_bytes"] > 400_000, f"bytes of {end}")


@behaviour("a client that asks for no subprotocol of the service is refused with 400")
async def _(bench):
    broker = await mosquitto(bench)
    door = await gateway(bench, MQTT, f'  mosquitto: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}')
    outcome = await bench.connect(door.ws + "/mqtt", "--extended", "off")
    equal(outcome.status, 4, "exit status")
    check("400" in outcome.errors, outcome.errors)


@behaviour("a broker that is killed is 503 once its check has failed, and comes back by itself", timeout=40)
async def _(bench):
    broker = await mosquitto(bench)
    pools = f'  mosquitto: {{backends: ["tcp://127.0.0.1:{broker.port}"], check: {{every: 200ms, timeout: 100ms, rise: 1, fall: 1}}}}'
    door = await gateway(bench, MQTT, pools)
    async with Subscriber(door.ws + "/mqtt") as subscriber:
        broker.process.signal(signal.SIGKILL)
        await broker.process.ended(5)
        await door.process.see('"event":"session.end"')
        check(door.lines("session.end")[0]["cause"] in ("backend-fin", "backend-reset"), "cause of the end")
        subscriber.client.disconnect()
    await door.process.see('"event":"backend.down"')
    outcome = await bench.connect(door.ws + "/mqtt", "--subprotocol", "mqtt", "--extended", "off")
    check("503" in outcome.errors, outcome.errors)
    # The same configuration, and so the same port.
    await broker.start_again()
    await door.process.see('"event":"backend.up"')
    async with Subscriber(door.ws + "/mqtt") as subscriber:
        subscriber.client.publish("topic", b"back", qos=1)
        equal(await asyncio.wait_for(subscriber.messages.get(), stretched(10)), b"back", "message")


@behaviour("NATS with nats-py through the gateway: 300,000 bytes, and the server's first words", timeout=40)
async def _(bench):
    broker = await nats(bench)
    door = await gateway(
        bench, "  nats: {path: /, pool: nats}", f'  nats: {{backends: ["tcp://127.0.0.1:{broker.port}"], check: {{expect: "INFO "}}}}'
    )
    client = await nats_client.connect(door.ws, allow_reconnect=False)
    got = await client.subscribe("subject")
    for size in (1, 16_384, 65_536, 300_000):
        await client.publish("subject", bytes(size))
        message = await got.next_msg(timeout=10)
        equal(len(message.data), size, "bytes of the message")
    await client.close()
    await door.process.see('"event":"session.end"')


@behaviour("redis at a Unix socket: values around every buffer come back whole", timeout=40)
async def _(bench):
    broker = await redis(bench)
    door = await gateway(
        bench, "  redis: {path: /redis, pool: redis}", f'  redis: {{backends: ["unix:{broker.folder}/redis.sock"]}}'
    )
    async with bench.python_client(door.ws + "/redis", max_size=None) as client:
        for size in (1, 4095, 4096, 4097, 16383, 16385, 65535, 65537, 1_000_000, 8_000_000):
            value = hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1)
            value = value[:size]
            request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % size + value + b"\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
            for start in range(0, len(request), 500_000):
                await client.send(request[start : start + 500_000])
            expected = b"+OK\r\n$%d\r\n" % size + value + b"\r\n"
            answer = b""
            while len(answer) < len(expected):
                answer += await asyncio.wait_for(client.recv(), stretched(10))
            equal(hashlib.sha256(answer).hexdigest(), hashlib.sha256(expected).hexdigest(), f"answer for {size} bytes")


@behaviour("redis-py through the tunnel: large values, and a pipeline whose answers come in order", timeout=40)
async def _(bench):
    broker = await redis(bench)
    door = await gateway(
        bench, "  redis: {path: /redis, pool: redis}", f'  redis: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}'
    )
    tunnel = await bench.start("tunnel", "--listen", "127.0.0.1:0", door.ws + "/redis")
    port = int((await tunnel.see(r"127\.0\.0\.1:(\d+)"))[1])

    def work():
        client = redis_client.Redis(port=port, socket_timeout=15)
        for size in (1, 16_384, 65_537, 2_000_000):
            value = hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1)
            client.set("k", value)
            check(client.get("k") == value, f"a value of {len(value)} bytes")
        pipe = client.pipeline(transaction=False)
        for number in range(1000):
            pipe.incr("n")
        equal(pipe.execute(), list(range(1, 1001)), "answers")
        client.close()

    await asyncio.to_thread(work)
    await door.process.see('"event":"session.end"')


@behaviour("XMPP through a ws:// pool to prosody: a login, a message to oneself, each stanza one message", timeout=40)
async def _(bench):
    server = await prosody(bench)
    door = await gateway(
        bench, "  chat: {path: /chat, subprotocols: {xmpp: {pool: prosody}}}",
        f'  prosody: {{backends: ["ws://127.0.0.1:{server.port}/xmpp-websocket"]}}',
    )  # fmt: skip
    proof = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    opening = '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>'
    bind = '<iq xmlns="jabber:client" type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>'
    message = f'<message xmlns="jabber:client" to="{USER}@localhost/%s" type="chat"><body>hällo 😀</body></message>'
    async with bench.python_client(door.ws + "/chat", subprotocols=["xmpp"]) as client:

        async def say(text: str, until: str) -> str:
            await client.send(text)
            while until not in (answer := await asyncio.wait_for(client.recv(), stretched(10))):
                pass
            return answer

        await say(opening, "features")
        await say(f'<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">{proof}</auth>', "<success")
        await say(opening, "features")
        resource = (await say(bind, "<jid>")).partition("localhost/")[2].partition("<")[0]
        check("hällo 😀" in await say(message % resource, "<body>"), "the message to oneself")
    await door.process.see('"event":"session.end"')


@behaviour("a subscriber of redis that does not read: redis hangs up, and client and log are told why", timeout=60)
async def _(bench):
    broker = await redis(bench, "client-output-buffer-limit pubsub 8mb 8mb 1")
    door = await gateway(
        bench, "  redis: {path: /redis, pool: redis, stalled: 30s}",
        f'  redis: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}',
    )  # fmt: skip
    client, sender = await asyncio.open_connection("127.0.0.1", int(door.ws.rpartition(":")[2]))
    sender.write(
        b"GET /redis HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await client.readuntil(b"\r\n\r\n")
    subscribe = b"SUBSCRIBE c\r\n"
    sender.write(bytes([0x82, 0x80 | len(subscribe), 0, 0, 0, 0]) + subscribe)
    check(b"subscribe" in await client.read(100), "the answer to SUBSCRIBE")
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    payload = b"x" * 65_536
    publish = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$65536\r\n" + payload + b"\r\n"
    receivers = 1
    for number in range(2000):
        writer.write(publish)
        await writer.drain()
        receivers = int((await reader.readline())[1:])
        if number > 20 and receivers == 0:
            break
    equal(receivers, 0, "subscribers in the end")
    writer.close()
    values = {}
    # Longer than the pause that makes a client slow; the gateway itself says when.
    while float(values.get('khp_paused_seconds_total{service="redis",side="backend"}', 0)) < 1.1:
        _, metrics = await asyncio.to_thread(door.ask, "/metrics")
        values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    check(float(values["process_resident_memory_bytes"]) < 200e6, "memory")
    check(float(values['khp_paused_reads_total{service="redis",side="backend"}']) >= 1, "paused reads")
    # Bytes that the system still holds arrive, and then the reason.
    tail = b""
    while b"had not kept up for" not in tail:
        more = await asyncio.wait_for(client.read(65_536), stretched(10))
        check(more, f"the stream ends behind {tail[-130:]}")
        tail = (tail + more)[-130:]
    sender.close()
    await door.process.see('"event":"session.end"')
    (end,) = door.lines("session.end")
    equal((end["by"], end["cause"], end["code"]), ("backend", "client-slow", 1008), "end of the session")


def reloads(door) -> int:
    """How many have ended, well or not."""
    return len(door.lines("reload.done")) + len(door.lines("reload.failed"))


@behaviour("reloads by SIGHUP under live clients: no session of an unchanged service is lost", timeout=60)
async def _(bench):
    broker = await mosquitto(bench)
    pools = f'  mosquitto: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}'
    door = await gateway(bench, MQTT, pools)
    original = open(door.file).read()
    async with Subscriber(door.ws + "/mqtt") as subscriber:
        for number in range(20):
            changed = original.replace("\nservices:\n", f"\nservices:\n  more{number}: {{path: /more{number}, type: echo}}\n")
            text = [original, changed, original + "nonsense: 1\n"][number % 3]
            with open(door.file, "w") as file:
                file.write(text)
            seen = reloads(door)
            door.process.signal(signal.SIGHUP)
            subscriber.client.publish("topic", b"%d" % number, qos=1)
            equal(await asyncio.wait_for(subscriber.messages.get(), stretched(10)), b"%d" % number, "message")
            await door.process.until(lambda seen=seen: reloads(door) > seen, "the end of a reload")
        equal(door.lines("session.end"), [], "ends of sessions")
        check(len(door.lines("reload.failed")) >= 5, "failed reloads in the log")
        check("nonsense" in door.lines("reload.failed")[0]["error"], "the error names the key")


@behaviour("SIGTERM drains: 1001 to each client, status 0", timeout=40)
async def _(bench):
    broker = await redis(bench)
    door = await gateway(
        bench, "  redis: {path: /redis, pool: redis}", f'  redis: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}',
        "shutdown: {announce: 200ms, drain: 500ms}",
    )  # fmt: skip
    clients = [await bench.python_client(door.ws + "/redis") for _ in range(5)]
    door.process.signal(signal.SIGTERM)
    await door.process.see('"event":"drain.start"')
    equal((await asyncio.to_thread(door.ask, "/readyz"))[0], 503, "readiness")
    for client in clients:
        await asyncio.wait_for(client.wait_closed(), stretched(10))
        equal(client.close_code, 1001, "close code")
    equal(await door.process.ended(10), 0, "exit status")


@behaviour("a realm's users come in with Basic inside the extended handshake or in the opening, and roles count", timeout=40,
           rows=[("extended", "required"), ("opening", "off")])  # fmt: skip
async def _(bench, extended):
    broker = await redis(bench)
    users = await bench.users()
    groups = bench.file(f"ops: {USER}\n")
    door = await gateway(
        bench,
        "  redis: {path: /redis, pool: redis, realm: staff, require: {roles: [ops]}}\n"
        "  other: {path: /other, type: echo, realm: staff, require: {roles: [nobody]}}",
        f'  redis: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}',
        f"realms: {{staff: {{schemes: [basic], users: {users}, groups: {groups}}}}}",
    )
    url = door.ws.replace("://", f"://{USER}:{PASSWORD}@")
    outcome = await bench.connect(
        url + "/redis", "--extended", extended, "--binary", bench.file(b"PING\r\n"), "--count", 1
    )
    outcome.ends(0)
    await door.process.see('"event":"session.end"')
    (end,) = door.lines("session.end")
    equal((end["principal"], end["realm"], end["extended"]), (USER, "staff", extended == "required"), "who it was")
    wrong = await bench.connect(url.replace(PASSWORD, "guess") + "/redis", "--extended", extended)
    equal(wrong.status, 8, "exit status with a wrong password")
    denied = await bench.connect(url + "/other", "--extended", extended)
    check("403" in denied.errors, denied.errors)
    _, metrics = await asyncio.to_thread(door.ask, "/metrics")
    check('khp_authorization_denied_total{service="other",reason="role"} 1' in metrics, "denial in the metrics")
    check('khp_auth_total{realm="staff",scheme="basic",result="wrong"}' in metrics, "wrong proof in the metrics")


@behaviour("HAProxy in TCP mode before the gateway and behind it: both read the other's PROXY header", timeout=40)
async def _(bench):
    broker = await redis(bench)
    behind = bench.keep(Daemon("haproxy"))

    def accepting():
        return ["-db", "-f", behind.write("haproxy.cfg", f"""
            global
                log stdout format raw local0
            defaults
                mode tcp
                log global
                log-format "client %ci:%cp"
                timeout connect 5s
                timeout client 30s
                timeout server 30s
            listen redis
                bind 127.0.0.1:{behind.port} accept-proxy
                server redis 127.0.0.1:{broker.port}
        \n""")]  # fmt: skip

    await behind.launch("haproxy", accepting)
    file = bench.file(
        "version: 1\n"
        "listeners: {public: {listen: 127.0.0.1:0, trust: [127.0.0.1/32], proxyProtocol: required}}\n"
        "admin: {listen: 127.0.0.1:0}\n"
        f'pools: {{redis: {{backends: ["tcp://127.0.0.1:{behind.port}"], proxyProtocol: v2, check: {{every: 1h}}}}}}\n'
        "services: {redis: {path: /redis, pool: redis}}\n",
        ".yaml",
    )
    process = await bench.start("gateway", "--config", file)
    match = await process.see(r"^listening: public ws://127.0.0.1:(\d+), admin", on="out")
    front = bench.keep(Daemon("haproxy"))

    def sending():
        return ["-db", "-f", front.write("haproxy.cfg", f"""
            defaults
                mode tcp
                timeout connect 5s
                timeout client 30s
                timeout server 30s
            listen gateway
                bind 127.0.0.1:{front.port}
                server gateway 127.0.0.1:{int(match[1])} send-proxy-v2
        \n""")]  # fmt: skip

    await front.launch("haproxy", sending)
    async with bench.python_client(front.url("/redis")) as client:
        source = client.local_address[1]
        await client.send(b"PING\r\n")
        equal(await asyncio.wait_for(client.recv(), stretched(10)), b"+PONG\r\n", "answer")
    await process.see('"client":"127.0.0.1"')
    # HAProxy's own log names the client that both headers have carried.
    await behind.process.see(f"client 127.0.0.1:{source}", on="out")


@behaviour("systemd is told of readiness, reloads and the end", timeout=30)
async def _(bench):
    path = bench.unused_path(".sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(path)
        told.setblocking(False)
        loop = asyncio.get_running_loop()
        file = bench.file(
            "version: 1\nlisteners: {a: {listen: 127.0.0.1:0}}\nservices: {e: {path: /e, type: echo}}\n", ".yaml"
        )
        process = await bench.start("gateway", "--config", file, NOTIFY_SOCKET=path)

        async def next_notice():
            return (await asyncio.wait_for(loop.sock_recv(told, 4096), stretched(10))).decode()

        check((await next_notice()).startswith("READY=1\n"), "the notice of readiness")
        process.signal(signal.SIGHUP)
        check((await next_notice()).startswith("RELOADING=1\nMONOTONIC_USEC="), "the notice of a reload")
        check((await next_notice()).startswith("READY=1\n"), "the notice behind a reload")
        process.signal(signal.SIGTERM)
        equal(await next_notice(), "STOPPING=1\n", "the notice of the end")
        equal(await process.ended(10), 0, "exit status")


@behaviour("promtool has nothing against /metrics: sessions, refusals, logins and a backend that is away")
async def _(bench):
    broker = await redis(bench)
    users = await bench.users()
    door = await gateway(
        bench,
        "  s: {path: /s, pool: p}\n  away: {path: /away, pool: q}\n  e: {path: /e, type: echo, realm: r}",
        f'  p: {{backends: ["tcp://127.0.0.1:{broker.port}"]}}\n  q: {{backends: ["tcp://127.0.0.1:1"], check: off}}',
        f"realms: {{r: {{schemes: [basic], users: {users}}}}}",
    )
    for path in ("/s", "/away", "/e", "/nowhere"):
        await bench.connect(door.ws + path, "--user", f"{USER}:{PASSWORD}", "--message", "PING\r\n", "--count", 1)
    _, text = await asyncio.to_thread(door.ask, "/metrics")
    check('khp_sessions_total{service="s"} 1' in text, "a session is counted")
    promtool = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await promtool.communicate(text.encode())
    equal((promtool.returncode, said.decode()), (0, ""), "promtool's word")
