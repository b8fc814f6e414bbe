"""Brokers with manners of their own: RabbitMQ in three protocols, with its log as a witness, and XMPP, which frames itself."""

import asyncio
import base64
import re
import threading
import time

import paho.mqtt.client as mqtt
import pika
import stomp
from support.bench import PASSWORD, USER
from support.brokers import prosody, rabbitmq
from support.check import Failed, check, equal

from trials.peers import TEXT, Client, pattern
from trials.trial import Rest, metrics, trial, until


def _amqp(port: int, count: int) -> str:
    """pika: confirmed messages of 5 kB and one of 5 MB, and all of them back."""
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=30, socket_timeout=15))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q")
    bodies = [pattern(f"amqp{number}", 5000) for number in range(count)] + [pattern("large", 5_000_000)]
    for body in bodies:
        channel.basic_publish("", "q", body)
    for body in bodies:
        taken = None
        deadline = time.monotonic() + 20
        while taken is None:
            if time.monotonic() > deadline:
                raise Failed("a message of the queue does not come")
            _, _, taken = channel.basic_get("q", auto_ack=True)
        if taken != body:
            raise Failed(f"a message of {len(body)} bytes comes back otherwise")
    channel.close()
    connection.close()
    return f"pika through the tunnel: {count} confirmed messages and one of 5 MB"


def _all_come(messages: threading.Semaphore, count: int) -> None:
    """Waits for so many messages; who counts them finds out where some are missing."""
    deadline = time.monotonic() + 30
    for _ in range(count):
        if not messages.acquire(timeout=max(0, deadline - time.monotonic())):
            return


class _Frames(stomp.ConnectionListener):
    def __init__(self):
        self.bodies: list[str] = []
        self.errors: list[str] = []
        self.receipts = threading.Semaphore(0)
        self.messages = threading.Semaphore(0)

    def on_message(self, frame):
        self.bodies.append(frame.body)
        self.messages.release()

    def on_error(self, frame):
        self.errors.append(frame.body)

    def on_receipt(self, frame):
        self.receipts.release()


def _stomp(port: int, count: int) -> str:
    """stomp.py over WebSocket: UTF-8 of all lengths, in order."""
    connection = stomp.WSStompConnection([("127.0.0.1", port)], ws_path="/stomp", vhost="/")
    frames = _Frames()
    connection.set_listener("", frames)
    connection.connect("guest", "guest", wait=True)
    connection.subscribe("/queue/s", id="1", receipt="subscribed")
    if not frames.receipts.acquire(timeout=10):
        raise Failed("STOMP's receipt does not come")
    bodies = [("aé€😀漢" * number) + f"#{number}" for number in range(count)] + ["😀é" * 20_000]
    for body in bodies:
        connection.send("/queue/s", body)
    _all_come(frames.messages, len(bodies))
    connection.disconnect()
    if frames.bodies != bodies or frames.errors:
        raise Failed(f"{len(frames.bodies)} of {len(bodies)} STOMP messages, errors {frames.errors[:2]}")
    return f"stomp.py: {count + 1} messages of UTF-8, up to {len(bodies[-1].encode()):,} bytes"


def _mqtt(port: int, count: int) -> str:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets")
    client.ws_set_options(path="/mqtt")
    ready, taken, messages = threading.Event(), [], threading.Semaphore(0)
    client.on_connect = lambda client, *_: client.subscribe("m/#", qos=1)
    client.on_subscribe = lambda *_: ready.set()

    def take(client, data, message):
        taken.append(message.payload)
        messages.release()

    client.on_message = take
    client.connect("127.0.0.1", port)
    client.loop_start()
    if not ready.wait(15):
        raise Failed("MQTT's subscription does not come")
    for number in range(count):
        client.publish("m/1", b"%d" % number, qos=1)
    _all_come(messages, count)
    client.disconnect()
    client.loop_stop()
    if taken != [b"%d" % number for number in range(count)]:
        raise Failed(f"{len(taken)} of {count} MQTT messages")
    return f"paho: {count} acknowledged messages"


@trial(
    "RabbitMQ: AMQP through the tunnel, STOMP, MQTT, PROXY v1 and v2, checks by the hundred, its log without errors",
    limit=240,
)
async def _(trial):
    broker = await rabbitmq(trial.bench, "proxy_protocol = true")
    amqp, stomp_port, mqtt_port, _ = broker.ports
    check_ = 'check: {every: 100ms, timeout: 95ms, fall: 100, send: "AMQP\\x00\\x00\\x09\\x01", expect: "\\x01"}'
    door = await trial.gateway(
        "  one: {path: /one, pool: amqp1}\n  two: {path: /two, pool: amqp2}\n"
        "  stomp: {path: /stomp, pool: stomp, frames: text}\n  mqtt: {path: /mqtt, subprotocols: {mqtt: {pool: mqtt}}}",
        f'  amqp1: {{backends: ["tcp://127.0.0.1:{amqp}"], proxyProtocol: v1, {check_}}}\n'
        f'  amqp2: {{backends: ["tcp://127.0.0.1:{amqp}"], proxyProtocol: v2, {check_}}}\n'
        f'  stomp: {{backends: ["tcp://127.0.0.1:{stomp_port}"]}}\n'
        f'  mqtt: {{backends: ["tcp://127.0.0.1:{mqtt_port}"]}}',
    )  # fmt: skip
    rest = Rest(door)
    seen = []
    for path in ("/one", "/two"):
        tunnel = await trial.bench.start("tunnel", "--listen", "127.0.0.1:0", door.ws + path)
        port = int((await tunnel.see(r"127\.0\.0\.1:(\d+)"))[1])
        seen.append(await asyncio.to_thread(_amqp, port, trial.times(200)))
    port = int(door.ws.rpartition(":")[2])
    seen[1:] = [await asyncio.to_thread(_stomp, port, trial.times(300))]
    seen.append(await asyncio.to_thread(_mqtt, port, trial.times(1000)))
    # The log of RabbitMQ names the client that the header has carried, whose address is nobody else's.
    for path, source in (("/one", "127.7.7.1"), ("/two", "127.7.7.2")):
        client = await Client.open(door.ws + path, source=source)
        await client.send(b"AMQP\0\0\x09\x01")
        check((await client.exactly(1))[:1] == b"\x01", "the beginning of connection.start")
        await broker.process.see(rf"accepting AMQP connection <[0-9.]+> \({re.escape(source)}:", on="out")
        client.abort()
    seen.append("its log names the clients of v1 and v2")

    async def checks() -> float:
        """Their number, once it is large enough."""
        values = await metrics(door)
        count = sum(value for name, value in values.items() if name.startswith("khp_backend_checks_total")
                    and 'pool="amqp' in name and 'result="ok"' in name)  # fmt: skip
        return count if count >= trial.times(1000) else 0

    count = await until(checks, f"{trial.times(1000)} checks", 120)
    said = bytes(broker.process.out).decode(errors="replace")
    # Each report by its process and time. Checks and the witnesses end their connections in the middle of AMQP's handshake, which
    # RabbitMQ warns of; its supervisor of channels now and then finds one gone that it was to end, whoever the client is.
    reports: dict[str, list[str]] = {}
    for line in said.splitlines():
        if "[error]" in line:
            reports.setdefault(" ".join(line.split(" ")[:4]), []).append(line.partition("[error]")[2])
    harmless = r"closing AMQP connection|handshake_timeout|inet_error|connection_closed_with_no_data|(?s:amqp_channel_sup_sup.*noproc)"
    bad = [text for lines in reports.values() if not re.search(harmless, text := "\n".join(lines))]
    check("CRASH" not in said and "badmatch" not in said, "RabbitMQ's log tells of a crash")
    equal(bad[:3], [], "lines of errors in RabbitMQ's log")
    kept = await rest.is_back()
    return "; ".join(seen) + f"; {count:.0f} checks with PROXY headers and no error in its log; {kept}"


@trial("prosody: XMPP in WebSocket messages through a ws:// pool: login, a message to oneself, the close", limit=60)
async def _(trial):
    server = await prosody(trial.bench)
    door = await trial.gateway(
        "  chat: {path: /chat, subprotocols: {xmpp: {pool: p}}, limits: {perAddress: 1000}}",
        f'  p: {{backends: ["ws://127.0.0.1:{server.port}/xmpp-websocket"]}}',
    )
    rest = Rest(door)
    opening = '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>'

    async def one(number: int):
        client = await Client.open(door.ws + "/chat", protocols=["xmpp"])

        async def say(text: str, until_: str) -> str:
            if text:
                await client.send(text.encode(), TEXT)
            while True:
                payload = await asyncio.wait_for(client.receive(), 15)
                if payload is None:
                    raise Failed(f"closed with {client.close_code} {client.close_reason!r} behind {text!r}")
                if until_ in (answer := payload.decode()):
                    return answer

        await say(opening, "features")
        proof = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
        await say(f'<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">{proof}</auth>', "<success")
        await say(opening, "features")
        bound = await say(
            f'<iq xmlns="jabber:client" type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>r{number}'
            "</resource></bind></iq>",
            "<jid>",
        )
        jid = re.search("<jid>(.*?)</jid>", bound)[1]
        for text in ("hällo 😀", "x" * 5000):
            answer = await say(
                f'<message xmlns="jabber:client" to="{jid}" type="chat" id="m"><body>{text}</body></message>', "<body>"
            )
            check(text in answer, "the message to oneself")
        await client.send(b'<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>', TEXT)
        await client.rest()
        client.drop()

    count = trial.times(40)
    await asyncio.gather(*(one(number) for number in range(count)))
    kept = await rest.is_back()
    return f"{count} logins and {2 * count} messages, each stanza one message; {kept}"
