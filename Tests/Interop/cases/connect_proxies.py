"""`khp connect` through proxies that nobody here wrote: squid, tinyproxy, microsocks, Dante; ws and wss through each."""

import socket

from support import proxies
from support.bench import PASSWORD, USER
from support.check import check, equal, holds, lacks
from support.registry import behaviour
from support.wire import KHP

LOGIN = f"{USER}:{PASSWORD}"


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def through(bench, kind: str):
    """Starts a proxy; its daemon, and the options to go through it."""
    if kind == "squid":
        daemon = await proxies.squid(bench)
    elif kind in ("squid with Basic", "squid with Digest"):
        daemon = await proxies.squid(bench, kind.rpartition(" ")[2].lower())
        return daemon, ["--proxy", f"http://127.0.0.1:{daemon.port}", "--proxy-user", LOGIN]
    elif kind == "squid over TLS":
        daemon = await proxies.squid(bench, tls=True)
        return daemon, ["--proxy", f"https://localhost:{daemon.port}", "--proxy-cacert", bench.certificates.authority]
    elif kind == "tinyproxy":
        daemon = await proxies.tinyproxy(bench)
    elif kind == "tinyproxy with Basic":
        daemon = await proxies.tinyproxy(bench, auth=True)
        return daemon, ["--proxy", f"http://{LOGIN}@127.0.0.1:{daemon.port}"]
    elif kind == "microsocks":
        daemon = await proxies.microsocks(bench)
        return daemon, ["--proxy", f"socks5://127.0.0.1:{daemon.port}"]
    elif kind == "microsocks with a login":
        daemon = await proxies.microsocks(bench, auth=True)
        return daemon, ["--proxy", f"socks5h://{LOGIN}@127.0.0.1:{daemon.port}"]
    elif kind == "Dante, SOCKS 5":
        daemon = await proxies.dante(bench)
        return daemon, ["--proxy", f"socks5://127.0.0.1:{daemon.port}"]
    else:
        equal(kind, "Dante, SOCKS 4", "kind of proxy")
        daemon = await proxies.dante(bench)
        return daemon, ["--proxy", f"socks4://joe@127.0.0.1:{daemon.port}"]
    return daemon, ["--proxy", f"http://127.0.0.1:{daemon.port}"]


KINDS = [
    "squid", "squid with Basic", "squid with Digest", "squid over TLS", "tinyproxy", "tinyproxy with Basic", "microsocks",
    "microsocks with a login", "Dante, SOCKS 5", "Dante, SOCKS 4",
]  # fmt: skip
CHALLENGED = {"squid with Basic": "Basic", "squid with Digest": "Digest", "tinyproxy with Basic": "Basic"}
ROWS = [(f"{scheme} through {kind}", scheme, kind) for kind in KINDS for scheme in ("ws", "wss")]


@behaviour("text, a large message and a clean close", rows=ROWS, timeout=30)
async def _(bench, scheme, kind):
    how = {"ssl": bench.certificates.server_context()} if scheme == "wss" else {}
    server = await bench.python_server(echo, **how)
    daemon, options = await through(bench, kind)
    path = bench.file(bytes(range(256)) * 1024)
    # By name, which the proxy resolves. Dante has SOCKS 4 without the extension for names.
    host = "127.0.0.1" if kind == "Dante, SOCKS 4" else "localhost"
    outcome = await bench.connect(
        server.url(host=host), *options, "--cacert", bench.certificates.authority, "--json",
        "--message", "hello", "--binary", path, "--count", 2,
    )  # fmt: skip
    events = outcome.ends(0).events
    equal([event["bytes"] for event in events.named("message")], [5, 1 << 18], "messages")
    proxy = events.one("connecting")["proxy"]
    holds(proxy, f":{daemon.port}", "proxy in the event")
    lacks(proxy, USER, "proxy in the event")
    equal(events.one("connected")["peer"], f"127.0.0.1:{daemon.port}", "peer")
    equal("tls" in events.one("connected"), scheme == "wss", "whether there is TLS to the server")
    challenges = [(event["scheme"], event["layer"]) for event in events.named("challenge")]
    equal(challenges, [(CHALLENGED[kind], "proxy")] if kind in CHALLENGED else [], "challenges")


@behaviour("the extended handshake with a challenge of the server's", rows=[(kind, kind) for kind in KINDS], timeout=30)
async def _(bench, kind):
    """Two challenges: the proxy's and, inside the WebSocket, the server's. Neither gets what is the other's."""
    server = await bench.serve("--auth", "/echo=basic:desk", "--users", await bench.users(), "--json", "--trace")
    _, options = await through(bench, kind)
    outcome = await bench.connect(
        server.url(), *options, "--extended", "required", "--user", LOGIN, "--json", "--message", "hi", "--count", 1
    )
    events = outcome.ends(0).events
    equal(events.one("open")["status"], 101, "status")
    layers = [event["layer"] for event in events.named("challenge")]
    equal(layers, (["proxy"] if kind in CHALLENGED else []) + ["extended"], "layers of the challenges")
    lacks(bytes(server.process.out + server.process.err).lower(), b"proxy-authorization", "what the server got")


@behaviour("a wrong password for the proxy ends with 8", rows=[
    ("squid with Basic", "http", lambda bench: proxies.squid(bench, "basic")),
    ("squid with Digest", "http", lambda bench: proxies.squid(bench, "digest")),
    ("tinyproxy", "http", lambda bench: proxies.tinyproxy(bench, auth=True)),
    ("microsocks", "socks5", lambda bench: proxies.microsocks(bench, auth=True)),
], timeout=30)  # fmt: skip
async def _(bench, scheme, start):
    server = await bench.python_server(echo)
    daemon = await start(bench)
    for options in (["--proxy-user", f"{USER}:wrong-7d1e"], []):
        outcome = await bench.connect(
            server.url(), "--proxy", f"{scheme}://127.0.0.1:{daemon.port}", *options, "--json"
        )
        outcome.fails(8)
        equal(outcome.events.one("error")["code"], "proxy-authentication-required", "error code")
        lacks(outcome.text + outcome.errors, "wrong-7d1e", "what was shown")
        if scheme == "http":
            # tinyproxy answers 401 to a password that it does not take, as a server would.
            wrong = 401 if daemon.name == "tinyproxy" and options else 407
            equal(outcome.events.one("error")["status"], wrong, "status")


@behaviour("what a proxy cannot reach ends with 3", rows=[(kind, kind, status) for kind, status in (
    ("squid", 503), ("tinyproxy", 500), ("microsocks", None), ("Dante, SOCKS 5", None), ("Dante, SOCKS 4", None))],
    timeout=30)  # fmt: skip
async def _(bench, kind, status):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        _, options = await through(bench, kind)
        outcome = await bench.connect(f"ws://127.0.0.1:{port}/", *options, "--json")
    outcome.fails(3)
    error = outcome.events.one("error")
    equal(error["code"], "proxy-refused", "error code")
    equal(error.get("status"), status, "status")
    equal(error["url"], f"ws://127.0.0.1:{port}/", "url")


@behaviour("the environment says which proxy, and for whom not")
async def _(bench):
    server = await bench.python_server(echo)
    daemon = await proxies.tinyproxy(bench)
    proxy = f"http://127.0.0.1:{daemon.port}"

    async def peer(*options, **variables):
        outcome = await bench.connect(server.url(), *options, "--json", **variables)
        return outcome.ends(0).events.one("connected")["peer"].rpartition(":")[2]

    proxied, direct = str(daemon.port), str(server.port)
    equal(await peer(http_proxy=proxy), proxied, "http_proxy")
    equal(await peer(ALL_PROXY=proxy), proxied, "ALL_PROXY")
    equal(await peer(https_proxy=proxy), direct, "https_proxy, for wss only")
    equal(await peer(http_proxy=proxy, no_proxy="example.com,127.0.0.0/8"), direct, "no_proxy")
    equal(await peer("--no-proxy", http_proxy=proxy), direct, "--no-proxy")
    equal(await peer(HTTP_PROXY=proxy, REQUEST_METHOD="GET"), direct, "HTTP_PROXY under CGI")
    equal(await peer("--proxy", proxy, http_proxy="http://127.0.0.1:1"), proxied, "--proxy before the environment")


@behaviour("a redirect to another origin asks anew which proxy")
async def _(bench):
    target = await bench.python_server(echo)

    async def script(peer):
        await peer.until_request()
        await peer.answer(302, [("Location", target.url())])

    server = await bench.raw_server(script)
    daemon = await proxies.tinyproxy(bench)
    outcome = await bench.connect(
        server.url(), "--json", http_proxy=f"127.0.0.1:{daemon.port}", no_proxy=f"127.0.0.1:{target.port}"
    )
    events = outcome.ends(0).events
    equal(["proxy" in event for event in events.named("connecting")], [True, False], "proxies of the hops")
    equal(server.wires[0].opening.get("Sec-WebSocket-Protocol"), KHP, "subprotocol")


@behaviour("a certificate of the proxy's that is not trusted ends with 3")
async def _(bench):
    server = await bench.python_server(echo)
    daemon = await proxies.squid(bench, tls=True)
    url = f"https://localhost:{daemon.port}"
    outcome = await bench.connect(server.url(), "--proxy", url, "--json")
    outcome.fails(3)
    equal(outcome.events.one("error")["code"], "tls-failed", "error code")
    holds(outcome.sentence, "--proxy-cacert", "hint")
    # An authority that is trusted for servers is not trusted for proxies.
    (await bench.connect(server.url(), "--proxy", url, "--cacert", bench.certificates.authority)).fails(3)
    (await bench.connect(server.url(), "--proxy", url, "--insecure")).fails(3)
    (await bench.connect(server.url(), "--proxy", url, "--proxy-insecure")).ends(0)


WRONG = [
    ("no proxy's scheme", ["--proxy", "ftp://joe:secret-3b@p"], "--proxy"),
    ("a port that is none", ["--proxy", "http://joe:secret-3b@p:x"], "--proxy"),
    ("a password with a slash", ["--proxy", "http://joe:secret-3b/@p"], "--proxy"),
    ("a login without password", ["--proxy", "http://p", "--proxy-user", "joe"], "--proxy-user"),
    ("a proxy and none", ["--proxy", "http://joe:secret-3b@p", "--no-proxy"], "--no-proxy"),
    ("a file that is not there", ["--proxy", "https://p", "--proxy-cacert", "/nowhere.pem"], "--proxy-cacert"),
    ("a password for SOCKS 4", ["--proxy", "socks4://joe:secret-3b@127.0.0.1:1"], "SOCKS 4"),
]


@behaviour("usage that is wrong ends with 2, names the option and shows no password", rows=WRONG)
async def _(bench, options, name):
    outcome = (await bench.connect("ws://127.0.0.1:1/", *options)).ends(2)
    holds(outcome.errors, name, "standard error")
    lacks(outcome.errors, "secret-3b", "standard error")


@behaviour("a variable of the environment that is no proxy ends with 2 and is named")
async def _(bench):
    outcome = (await bench.connect("ws://127.0.0.1:1/", http_proxy="ftp://joe:secret-3b@p")).ends(2)
    holds(outcome.errors, "http_proxy", "standard error")
    lacks(outcome.errors, "secret-3b", "standard error")


@behaviour("a refusal's words are shown")
async def _(bench):
    async def script(peer):
        check((await peer.head()).start.startswith("CONNECT "), "no CONNECT")
        await peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 17\r\n\r\nnot from the desk")
        peer.end()

    proxy = await bench.raw_server(script)
    outcome = await bench.connect("ws://example.com/", "--proxy", f"http://127.0.0.1:{proxy.port}", "--json")
    outcome.fails(3)
    holds(outcome.sentence, "not from the desk", "sentence")
    equal(outcome.events.one("error")["status"], 403, "status")
