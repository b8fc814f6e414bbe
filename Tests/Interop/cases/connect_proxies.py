"""`khp connect` through proxies that nobody here wrote: squid, tinyproxy, microsocks, Dante; ws and wss through each."""

from support.bench import PASSWORD, USER
from support.check import check, equal, holds, lacks
from support.proxies import REALM, dante, microsocks, squid, tinyproxy
from support.registry import behaviour

FOREIGN = True
HELLO = "hällo"
SAY = ["--json", "--message", HELLO, "--count", 1]
AS_JOE = ["--proxy-user", f"{USER}:{PASSWORD}"]
AS_GUEST = ["--proxy-user", f"{USER}:wrong-guess"]

PROXIES = {
    # name: (how it is started, scheme of its URL, whether it wants credentials)
    "squid": (squid, "http", False),
    "squid, Basic": (lambda bench: squid(bench, "basic"), "http", True),
    "squid, Digest": (lambda bench: squid(bench, "digest"), "http", True),
    "tinyproxy": (tinyproxy, "http", False),
    "tinyproxy, Basic": (lambda bench: tinyproxy(bench, True), "http", True),
    "microsocks": (microsocks, "socks5", False),
    "microsocks, user and password": (lambda bench: microsocks(bench, True), "socks5", True),
    "Dante, SOCKS5": (dante, "socks5", False),
    "Dante, SOCKS4": (dante, "socks4", False),
}


def _trusting(bench, tls: bool) -> list:
    return ["--cacert", bench.certificates.authority] if tls else []


@behaviour("both handshakes and messages", timeout=25, rows=[
    (f"{name}, {'wss' if tls else 'ws'}", name, tls) for name in PROXIES for tls in (False, True)])  # fmt: skip
async def _(bench, name, tls):
    start, scheme, guarded = PROXIES[name]
    proxy = await start(bench)
    server = await bench.serve("--max-message-size", 4_000_000, tls=tls)
    # By name: with SOCKS it is the proxy that looks it up.
    url = server.url(host="localhost") if scheme == "socks5" and not tls else server.url()
    outcome = await bench.connect(
        url, "--proxy", proxy.url("", scheme), *(AS_JOE if guarded else []), *_trusting(bench, tls), *SAY
    )
    events = outcome.echoed(HELLO)
    holds(events.named("connecting")[0]["proxy"], f"127.0.0.1:{proxy.port}", "proxy in the event")
    lacks(outcome.text, PASSWORD, "the output")
    if guarded and scheme == "http":
        asked = events.one("challenge")
        equal(asked["layer"], "proxy", "layer of the challenge")
        equal(asked["scheme"].lower(), "digest" if "Digest" in name else "basic", "scheme of the challenge")
        if "squid" in name:
            equal(asked["realm"], REALM, "realm of the challenge")


@behaviour("a large message through", timeout=25, rows=[
    (name, name) for name in ("squid", "tinyproxy", "microsocks", "Dante, SOCKS5")])  # fmt: skip
async def _(bench, name):
    start, scheme, _ = PROXIES[name]
    proxy = await start(bench)
    server = await bench.serve("--max-message-size", 4_000_000)
    file = bench.file(bytes(range(256)) * 4096)
    outcome = await bench.connect(
        server.url(), "--proxy", proxy.url("", scheme), "--binary", file, "--json", "--count", 1,
        "--max-message-size", 4_000_000,
    )  # fmt: skip
    equal(outcome.ends(0).events.one("message")["bytes"], 1 << 20, "bytes that came back")


@behaviour("credentials in the proxy's URL serve as well")
async def _(bench):
    proxy = await squid(bench, "basic")
    server = await bench.serve()
    outcome = await bench.connect(server.url(), "--proxy", f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}", *SAY)
    lacks(outcome.echoed(HELLO).named("connecting")[0]["proxy"], PASSWORD, "the event")


@behaviour("wrong or no credentials for the proxy", timeout=25, rows=[
    (f"{name}, {'wrong' if options else 'none'}", name, options)
    for name in ("squid, Basic", "squid, Digest", "tinyproxy, Basic", "microsocks, user and password")
    for options in (AS_GUEST, [])])  # fmt: skip
async def _(bench, name, options):
    start, scheme, _ = PROXIES[name]
    proxy = await start(bench)
    server = await bench.serve()
    outcome = await bench.connect(server.url(), "--proxy", proxy.url("", scheme), *options, *SAY)
    # tinyproxy says 401 instead of 407 to wrong credentials: a refusal like any other.
    outcome.fails(3 if name.startswith("tinyproxy") and options else 8)
    lacks(outcome.text + outcome.errors, "wrong-guess", "the output")


@behaviour("a server that is not there: status 3, with what the proxy said", timeout=25, rows=[
    (name, name) for name in ("squid", "tinyproxy", "microsocks", "Dante, SOCKS5", "Dante, SOCKS4")])  # fmt: skip
async def _(bench, name):
    start, scheme, _ = PROXIES[name]
    proxy = await start(bench)
    gone = await bench.raw_server(None)
    await gone.clean_up()
    outcome = await bench.connect(gone.url(), "--proxy", proxy.url("", scheme), *SAY)
    outcome.fails(3)
    holds(outcome.sentence.lower(), "proxy", "the sentence")


@behaviour("a proxy that is not there: status 3")
async def _(bench):
    gone = await bench.raw_server(None)
    await gone.clean_up()
    server = await bench.serve()
    outcome = await bench.connect(server.url(), "--proxy", f"http://127.0.0.1:{gone.port}", *SAY)
    outcome.fails(3)


@behaviour("a proxy that is spoken to over TLS", timeout=25, rows=[("ws", False), ("wss", True)])
async def _(bench, tls):
    # Debian's squid has TLS from GnuTLS, for its own port too.
    proxy = await squid(bench, "basic", tls=True)
    server = await bench.serve(tls=tls)
    outcome = await bench.connect(
        server.url(), "--proxy", proxy.url("", "https"), "--proxy-cacert", bench.certificates.authority, *AS_JOE,
        *_trusting(bench, tls), *SAY,
    )  # fmt: skip
    outcome.echoed(HELLO)


@behaviour("variables of the environment name the proxy", timeout=25, rows=[
    ("http_proxy for ws", "http_proxy", False, True), ("https_proxy for wss", "https_proxy", True, True),
    ("all_proxy", "all_proxy", False, True), ("https_proxy for ws", "https_proxy", False, False)])  # fmt: skip
async def _(bench, variable, tls, used):
    proxy = await squid(bench)
    server = await bench.serve(tls=tls)
    how = {variable: proxy.url("", "http")}
    events = (await bench.connect(server.url(), *_trusting(bench, tls), *SAY, **how)).echoed(HELLO)
    equal("proxy" in events.named("connecting")[0], used, "a proxy in the event")
    equal("CONNECT" in proxy.read("access.log"), used, "CONNECT in squid's log")


@behaviour("no_proxy and --no-proxy go around it", rows=[
    ("address", {"no_proxy": "127.0.0.1"}, []), ("range", {"no_proxy": "10.0.0.0/8,127.0.0.0/8"}, []),
    ("everything", {"no_proxy": "*"}, []), ("--no-proxy", {}, ["--no-proxy"])])  # fmt: skip
async def _(bench, variables, options):
    gone = await bench.raw_server(None)
    await gone.clean_up()
    server = await bench.serve()
    variables = {"all_proxy": f"http://127.0.0.1:{gone.port}", **variables}
    (await bench.connect(server.url(), *options, *SAY, **variables)).echoed(HELLO)


@behaviour("a challenge of the proxy, of the opening and inside, one after the other", timeout=25)
async def _(bench):
    proxy = await squid(bench, "basic")
    server = await bench.serve("--auth", "/echo=basic:inner", "--users", await bench.users())
    outcome = await bench.connect(
        server.url(), "--proxy", proxy.url("", "http"), *AS_JOE, "--user", f"{USER}:{PASSWORD}", *SAY
    )
    events = outcome.echoed(HELLO)
    equal([event["layer"] for event in events.named("challenge")], ["proxy", "extended"], "layers")


@behaviour("a redirect goes through the proxy as well", timeout=25)
async def _(bench):
    proxy = await squid(bench)
    target = await bench.serve()
    server = await bench.serve("--route", f"/old=redirect:302:{target.url()}")
    events = (await bench.connect(server.url("/old"), "--proxy", proxy.url("", "http"), *SAY)).echoed(HELLO)
    check(all("proxy" in event for event in events.named("connecting")), "an attempt without the proxy")
    equal(proxy.read("access.log").count("CONNECT"), 2, "CONNECTs in squid's log")
