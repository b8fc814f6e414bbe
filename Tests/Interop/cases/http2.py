"""WebSockets over HTTP/2 (RFC 8441), with python-hyper's h2, hypercorn, Node, HAProxy and headless Chromium."""

import asyncio
import json
import signal

import h2.events

from cases.browser import ECHO
from support.browser import Browser
from support.check import among, check, equal, holds
from support.daemons import haproxy
from support.http2 import StreamClient, close, hypercorn, node_client, node_process, node_server, text
from support.registry import behaviour

FOREIGN = True


def trusting(bench):
    return ["--cacert", bench.certificates.authority]


# khp serve


@behaviour("WebSockets and ordinary requests share a connection of h2's")
async def _(bench):
    server = await bench.serve("--metrics", "/metrics", "--json", tls=True)
    client = await StreamClient.dial(bench, server.port)
    first, second = client.open(), client.open()
    for stream in (first, second):
        head = await client.head(stream)
        equal(head[":status"], "200", "status")
        check("sec-websocket-accept" not in head and "upgrade" not in head, "a field of HTTP/1.1 in the answer")
    metrics = client.get("/metrics")
    equal((await client.head(metrics))[":status"], "200", "status of the page")
    holds(await client.content(metrics), b"# TYPE", "the page")
    for stream, word in ((second, b"two"), (first, b"one")):
        client.say(stream, text(word))
        equal(await client.content(stream, 5), b"\x81\x03" + word, "the echo")
    for stream in (first, second):
        client.say(stream, close(1000))
        equal(await client.content(stream), b"\x88\x02\x03\xe8", "the close, and the end of the stream")


REFUSALS = [
    ("no endpoint", "/none", (), "404"),
    ("a wrong version", "/echo", (("sec-websocket-version", "99"),), "426"),
    ("credentials are missing", "/desk", (), "401"),
    ("a foreign origin", "/echo", (("origin", "https://elsewhere.example"),), "403"),
    ("a redirect", "/old", (), "302"),
]


@behaviour("a refusal is whole, and the connection goes on", rows=REFUSALS)
async def _(bench, path, fields, status):
    server = await bench.serve(
        "--route", "/echo=echo", "--route", "/desk=echo", "--route", "/old=redirect:/echo", "--auth", "/desk=basic:desk",
        "--users", await bench.users(), "--origin", "https://localhost", tls=True,
    )  # fmt: skip
    client = await StreamClient.dial(bench, server.port)
    stream = client.open(path, *fields)
    head = await client.head(stream)
    equal(head[":status"], status, "status")
    content = await client.content(stream)
    equal(len(content), int(head["content-length"]), "length of the content")
    # A reset behind the whole answer asks for no more of the request (RFC 9113 section 8.1).
    equal(int((await client.see(h2.events.StreamReset, stream)).error_code), 0, "the reset's code")
    stream = client.open("/echo", ("origin", "https://localhost"))
    equal((await client.head(stream))[":status"], "200", "status of the next")


@behaviour("a drain says GOAWAY, closes with 1001 and ends the connection")
async def _(bench):
    server = await bench.serve(tls=True)
    client = await StreamClient.dial(bench, server.port)
    stream = client.open()
    await client.head(stream)
    server.process.signal(signal.SIGTERM)
    seen = []
    while frame := await client.frame():
        kind, _, payload = frame
        if kind == 0 and payload == b"\x88\x02\x03\xe9":
            client.say(stream, close(1001), end=True)
        if kind in (0, 7):
            seen.append((kind, payload))
    among((7, b"\x7f\xff\xff\xff\0\0\0\0"), seen, "GOAWAY")
    among((0, b"\x88\x02\x03\xe9"), seen, "the close")
    equal(await server.process.ended(), 0, "exit status")


@behaviour("Chromium opens its WebSocket on the connection of the page", timeout=60)
async def _(bench):
    server = await bench.serve("--metrics", "/metrics", "--json", tls=True)
    browser = bench.keep(await Browser.start(bench.unused_path(".chromium"), "--ignore-certificate-errors"))
    await browser.open(f"https://localhost:{server.port}/metrics")
    result = await browser.evaluate(ECHO % json.dumps(server.url(host="localhost")))
    equal(result["count"], 6, "messages that came back")
    check(result["same"], "a message came back changed")
    equal((result["code"], result["wasClean"]), (3001, True), "the close")
    await server.process.see('"event":"close"', on="out")
    lines = [json.loads(line) for line in bytes(server.process.out).splitlines()]
    equal({line["tls"]["alpn"] for line in lines if line["event"] == "connected"}, {"h2"}, "protocols")
    peers = {line["peer"] for line in lines if line["event"] == "connected"}
    check(len(peers) == 1, f"the WebSocket came on another connection than the page: {peers}")


@behaviour("Node opens a WebSocket on a connection that it has used")
async def _(bench):
    server = await bench.serve(tls=True)
    saw = await node_client(bench, server.port)
    equal(saw["settings"], True, "the setting")
    equal((saw["page"], saw["status"]), (404, 200), "statuses")
    equal(bytes.fromhex(saw["frames"]), b"\x81\x09from Node\x88\x02\x03\xe8", "frames")
    equal(saw["reset"], 0, "the stream's end")


# khp connect

@behaviour("Node echoes, and closes")
async def _(bench):
    port = await node_server(bench)
    outcome = await bench.connect(
        f"wss://localhost:{port}/echo", *trusting(bench), "--http2", "required", "--json", "--message", "to Node", "--count", 1
    )
    events = outcome.ends(0).events
    equal(events.one("connected")["tls"]["alpn"], "h2", "the protocol")
    equal(events.one("message")["text"], "to Node", "echo")
    equal((events.one("close")["code"], events.one("close")["clean"]), (1000, True), "the close")


@behaviour("a tunnel's streams have a connection to Node each, or share one", rows=[("each", (), 3), ("shared", ("--share-connection",), 1)])
async def _(bench, options, connections):
    port, node = await node_process(bench)
    tunnel = await bench.start(
        "tunnel", "--listen", "127.0.0.1:0", "--json", *trusting(bench), "--http2", "required", "--extended", "off", *options,
        f"wss://localhost:{port}/echo",
    )  # fmt: skip
    local = int((await tunnel.see(r'"port":(\d+)', on="out"))[1])
    streams = [await asyncio.open_connection("127.0.0.1", local) for _ in range(3)]
    for number, (reader, writer) in enumerate(streams):
        writer.write(b"stream %d" % number)
        equal(await reader.readexactly(8), b"stream %d" % number, "the echo")
    for _, writer in streams:
        writer.close()
    equal(bytes(node.out).count(b"session"), connections, "connections")


@behaviour("a server of Node's that takes no WebSockets, and speaks nothing but HTTP/2, cannot be used", rows=[
    ("preferred", "preferred"), ("required", "required")
])  # fmt: skip
async def _(bench, choice):
    port = await node_server(bench, takes=False)
    outcome = await bench.connect(f"wss://localhost:{port}/echo", *trusting(bench), "--http2", choice, "--json")
    check(outcome.events.named("error"), "no error")
    equal(outcome.events.named("open"), [], "sockets")


@behaviour("hypercorn echoes, and closes", rows=[("preferred", "preferred"), ("required", "required")])
async def _(bench, choice):
    port = await hypercorn(bench)
    outcome = await bench.connect(
        f"wss://localhost:{port}/echo", *trusting(bench), "--http2", choice, "--json", "--extended", "off",
        "--message", "grüße", "--message", "leave", "--listen",
    )  # fmt: skip
    events = outcome.events
    equal(events.one("connected")["tls"]["alpn"], "h2", "the protocol")
    equal([event["text"] for event in events.named("message")], ["HTTP/2", "grüße"], "messages")
    end = events.one("close")
    equal((end["code"], end["reason"], end["clean"]), (3001, "as asked", True), "the close")


@behaviour("hypercorn's refusal is told")
async def _(bench):
    port = await hypercorn(bench)
    outcome = await bench.connect(
        f"wss://localhost:{port}/closed", *trusting(bench), "--http2", "required", "--json", "--extended", "off"
    )
    equal(outcome.events.one("error")["code"], "opening-refused", "error code")
    equal(outcome.events.one("opening-response")["status"], 403, "status")


@behaviour("HAProxy takes WebSockets over HTTP/2, and passes them on over HTTP/1.1", rows=[
    ("plain", "off"), ("with the extended handshake inside", "required")
])  # fmt: skip
async def _(bench, extended):
    server = await bench.serve()
    front = await haproxy(
        bench, "    default_backend passed", backend=f"    server one 127.0.0.1:{server.port}", tls="alpn h2,http/1.1"
    )
    outcome = await bench.connect(
        front.url(scheme="wss", host="localhost"), *trusting(bench), "--http2", "required", "--json",
        "--extended", extended, "--message", "through", "--count", 1,
    )  # fmt: skip
    events = outcome.ends(0).events
    equal(events.one("connected")["tls"]["alpn"], "h2", "the protocol")
    equal(events.one("message")["text"], "through", "echo")


@behaviour("HAProxy passes WebSockets on over HTTP/2", rows=[("from HTTP/1.1", "off"), ("from HTTP/2", "required")])
async def _(bench, http2):
    server = await bench.serve("--json", tls=True)
    front = await haproxy(
        bench,
        "    default_backend passed",
        backend=f"    server one 127.0.0.1:{server.port} ssl verify none alpn h2 ws h2",
        tls="alpn h2,http/1.1",
    )
    outcome = await bench.connect(
        front.url(scheme="wss", host="localhost"), *trusting(bench), "--http2", http2, "--json",
        "--extended", "required", "--message", "through", "--count", 1,
    )  # fmt: skip
    equal(outcome.ends(0).events.one("message")["text"], "through", "echo")
    await server.process.see('"alpn":"h2"', on="out")


@behaviour("a server that speaks HTTP/2 without WebSockets is asked over HTTP/1.1, unless HTTP/2 is required")
async def _(bench):
    server = await bench.serve()
    # `h2-workaround-bogus-websocket-clients` takes the setting away.
    front = await haproxy(
        bench,
        "    default_backend passed",
        backend=f"    server one 127.0.0.1:{server.port}",
        tls="alpn h2,http/1.1",
        settings="global\n    h2-workaround-bogus-websocket-clients\n",
    )
    url = front.url(scheme="wss", host="localhost")
    outcome = await bench.connect(url, *trusting(bench), "--http2", "preferred", "--json", "--message", "hi", "--count", 1)
    events = outcome.ends(0).events
    equal([event["tls"].get("alpn") for event in events.named("connected")], [None], "protocols")
    equal(len(events.named("connecting")), 2, "connections")
    equal(events.one("message")["text"], "hi", "echo")
    outcome = await bench.connect(url, *trusting(bench), "--http2", "required", "--json")
    equal(outcome.events.one("error")["code"], "opening-invalid", "error code")
