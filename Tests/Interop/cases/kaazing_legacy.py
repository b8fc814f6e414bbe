"""Kaazing's legacy exchange in both roles, against stand-ins for its deployed clients and its gateway (`kaazing/`)."""

from kaazing.clients import AppleClient, JavaClient, JavaScriptClient, Refused
from kaazing.gateway import Gateway

from support.bench import PASSWORD, USER
from support.check import check, equal, holds, lacks
from support.registry import behaviour
from support.wire import BINARY, TEXT, basic

CLIENTS = {"JavaScript": JavaScriptClient, "Java": JavaClient, "iOS": AppleClient}
EACH = [(name, made) for name, made in CLIENTS.items()]
N = (BINARY, b"\xef\x83\xbfN")
AS_JOE = ["--user", f"{USER}:{PASSWORD}"]
HELLO = "hällo"
SAY = ["--json", "--message", HELLO, "--count", 1]


async def _connected(bench, made, url, **how):
    client = made(url, **how)
    bench.keep(_Dropped(client))
    return await client.connect()


class _Dropped:
    def __init__(self, client):
        self.client = client

    def context(self) -> str:
        return f"{type(self.client).__name__}: {self.client.seen}"

    async def clean_up(self) -> None:
        self.client.abort()


async def _refused(bench, made, url, **how) -> Refused:
    try:
        await _connected(bench, made, url, **how)
    except Refused as refusal:
        return refusal
    check(False, "it is open")


# `khp serve`, by their clients


@behaviour("a deployed client connects, echoes, closes", rows=EACH)
async def _(bench, made):
    server = await bench.serve()
    client = await _connected(bench, made, server.url())
    equal(client.seen.messages[0], N, "first balancer message")
    equal(client.seen.messages[-2:], [(BINARY, b""), N], "end of the response and second balancer message")
    equal(len(client.seen.messages), 4, "messages of the handshake")
    for message in (HELLO, "", bytes(range(256)), "x" * 65535, "y" * 65536, b"\0" * 300_000):
        await client.expect_echo(message)
    await client.close()


@behaviour("a deployed client over TLS", rows=EACH)
async def _(bench, made):
    server = await bench.serve(tls=True)
    client = await _connected(bench, made, server.url(), authority=bench.certificates.authority)
    await client.expect_echo(HELLO)
    await client.close()


@behaviour("a deployed client is challenged for applications and answers", rows=EACH)
async def _(bench, made):
    server = await bench.serve("--auth", "/echo=basic:desk", "--application", "--users", await bench.users())
    client = await _connected(bench, made, server.url(), credentials=basic(USER, PASSWORD))
    equal(client.seen.statuses, [401, 101], "statuses")
    check(client.seen.challenges[0].startswith('Application Basic realm="desk"'), f"challenge {client.seen.challenges}")
    equal([payload for _, payload in client.seen.messages].count(b""), 2, "ends of responses")
    await client.expect_echo(HELLO)


@behaviour("a deployed client with wrong credentials gives up", rows=EACH)
async def _(bench, made):
    server = await bench.serve("--auth", "/echo=basic:desk", "--application", "--users", await bench.users())
    refusal = await _refused(bench, made, server.url(), credentials=basic(USER, "guess"))
    equal(refusal.status, 401, "status")


@behaviour("subprotocols of the opening are merged", rows=EACH)
async def _(bench, made):
    server = await bench.serve("--subprotocol", "chat.v2", "--subprotocol", "chat.v1")
    client = await _connected(bench, made, server.url(), protocols=["other", "chat.v1", "chat.v2"])
    equal(client.protocol, "chat.v2", "subprotocol, by the server's preference")
    await client.expect_echo(HELLO)


@behaviour("a query of the URL's own stays, before and after .kl=Y", rows=EACH)
async def _(bench, made):
    server = await bench.serve()
    client = await _connected(bench, made, server.url("/echo?day=1"))
    await client.expect_echo(HELLO)


@behaviour("a redirect of the server is a balancer message", rows=EACH)
async def _(bench, made):
    target = await bench.serve()
    server = await bench.serve("--route", f"/echo=redirect:302:{target.url()}")
    client = await _connected(bench, made, server.url())
    equal(len(client.seen.redirects), 1, "redirects")
    url = client.seen.redirects[0]
    check(url.startswith(target.url() + "?"), f"redirected to {url}")
    holds(url, ".kl=Y", "the member's URL, with the opening's query")
    await client.expect_echo(HELLO)


@behaviour("a redirect to another path: the first path is asked for again and tolerated", rows=EACH)
async def _(bench, made):
    server = await bench.serve("--route", "/echo=echo", "--route", "/old=redirect:302:/echo")
    client = await _connected(bench, made, server.url("/old"))
    await client.expect_echo(HELLO)


@behaviour("a refusal inside ends with the empty message", rows=EACH)
async def _(bench, made):
    server = await bench.serve("--route", "/shut=status:503")
    refusal = await _refused(bench, made, server.url("/shut"))
    equal(refusal.status, 503, "status")


@behaviour("a path that is not there", rows=EACH)
async def _(bench, made):
    server = await bench.serve()
    refusal = await _refused(bench, made, server.url("/nothing"))
    equal(refusal.status, 404, "status")


@behaviour("--kaazing-legacy off: no balancer message, and the client hangs or gives up")
async def _(bench):
    server = await bench.serve("--kaazing-legacy", "off")
    client = await server.client()
    await client.open_khp("/echo?.kl=Y")
    answer = await client.request("/echo")
    equal(answer.status, 101, "status of the first message")
    await client.expect_echo()


@behaviour(".kv=10.05 brings the terminator alone")
async def _(bench):
    server = await bench.serve()
    client = await server.client()
    await client.open_khp("/echo?.kv=10.05")
    equal((await client.request("/echo")).status, 101, "status")
    equal(await client.message(), (BINARY, b""), "the message behind the response")
    await client.expect_echo()


@behaviour("the cookie pre-flight gives the request's own cookies back")
async def _(bench):
    server = await bench.serve()
    client = await server.client()
    request = "GET /echo/;e/cookies?.krn=123&.kl=Y HTTP/1.1\r\nHost: {}\r\nCookie: desk=7; session=abc\r\n\r\n"
    await client.send(request.format(client.authority).encode())
    answer = await client.head()
    equal((answer.status, answer.entity), (200, b"desk=7; session=abc"), "answer")


@behaviour("what goes out is never fragmented")
async def _(bench):
    server = await bench.serve()
    client = await _connected(bench, JavaClient, server.url())
    # In three frames to the server; the echo must be one.
    await client.wire.send(
        client.wire.frame(TEXT, b"a" * 70000, fin=False) + client.wire.frame(0, b"b" * 70000, fin=False)
        + client.wire.frame(0, b"c")
    )  # fmt: skip
    equal(await client.receive() == "a" * 70000 + "b" * 70000 + "c", True, "the echo in one frame")


# `khp connect`, by their gateway


async def _gateway(bench, **how):
    gateway = Gateway(**how)
    return gateway, await bench.raw_server(gateway)


@behaviour("khp connect --kaazing-legacy to the gateway")
async def _(bench):
    gateway, server = await _gateway(bench)
    events = (await bench.connect(server.url("/echo"), "--kaazing-legacy", *SAY)).echoed(HELLO)
    equal(gateway.openings[0].target, "/echo?.kl=Y", "target of the opening")
    equal(gateway.requests[0].start, "GET /echo HTTP/1.1", "extended request")
    for name in ("Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Expect", "Content-Length"):
        equal(gateway.requests[0].get(name), None, f"{name}, which the gateway refuses")
    equal(gateway.codes, [1000], "close code")
    equal(events.one("open")["redirects"], 0, "redirects")


@behaviour("khp connect without --kaazing-legacy to the gateway")
async def _(bench):
    gateway, server = await _gateway(bench)
    (await bench.connect(server.url("/echo"), *SAY)).echoed(HELLO)
    lacks(gateway.openings[0].target, ".kl", "the target")


@behaviour("khp connect with .kl=Y in its own URL speaks as the gateway expects it")
async def _(bench):
    gateway, server = await _gateway(bench)
    (await bench.connect(server.url("/echo?.kl=Y"), *SAY)).echoed(HELLO)
    equal(gateway.openings[0].target.count(".kl=Y"), 1, "how often")


@behaviour("the gateway challenges, in messages", rows=[("one", False), ("three, enveloped", True)])
async def _(bench, envelope):
    gateway, server = await _gateway(bench, authorization=basic(USER, PASSWORD), envelope=envelope)
    events = (await bench.connect(server.url("/echo"), "--kaazing-legacy", *AS_JOE, *SAY)).echoed(HELLO)
    equal(events.one("challenge")["realm"], "Kaazing WebSocket Gateway Demo", "realm")
    equal([request.get("Authorization") is not None for request in gateway.requests], [False, True], "Authorization")


@behaviour("the gateway's subprotocol and extension", rows=[("legacy", ["--kaazing-legacy"]), ("clean", [])])
async def _(bench, options):
    gateway, server = await _gateway(bench, protocols=("amqp", "stomp"))
    outcome = await bench.connect(
        server.url("/echo"), *options, "--subprotocol", "stomp", "--subprotocol", "amqp", "--extension",
        "x-kaazing-ping-pong", *SAY,
    )  # fmt: skip
    opened = outcome.echoed(HELLO).one("open")
    equal(opened["subprotocol"], "amqp", "subprotocol")
    equal([item["name"] for item in opened["extensions"]], ["x-kaazing-ping-pong"], "extensions")


@behaviour("the gateway's balancer leads to a member", rows=[
    ("in the second message", ["--kaazing-legacy"], 2), ("in the first message", ["--kaazing-legacy"], 1),
    ("clean: a 302 after an unasked balancer message", [], 2)])  # fmt: skip
async def _(bench, options, at):
    member, target = await _gateway(bench)
    balancer, server = await _gateway(bench, members={"/echo": target.url("/echo")}, member_at=at)
    events = (await bench.connect(server.url("/echo"), *options, *SAY)).echoed(HELLO)
    equal(events.one("open")["redirects"], 1, "redirects")
    equal(events.one("open")["url"].split("?")[0], target.url("/echo"), "url")
    equal((len(balancer.openings), len(member.openings)), (1, 1), "connections")
    if options:
        holds(member.openings[0].target, ".kl=Y", "the member's target")


@behaviour("a balancer without a member: no connection", rows=[("second message", 2), ("first message", 1)])
async def _(bench, at):
    _, server = await _gateway(bench, members={"/echo": ""}, member_at=at)
    outcome = await bench.connect(server.url("/echo"), "--kaazing-legacy", *SAY)
    check(outcome.status in (5, 6), f"exit status {outcome.status}, expected 5 or 6")
    outcome.sentence


@behaviour("balancers in a circle end with 6")
async def _(bench):
    gateway, server = await _gateway(bench)
    gateway.members = {"/echo": server.url("/echo")}
    outcome = await bench.connect(server.url("/echo"), "--kaazing-legacy", *SAY)
    outcome.fails(6)
    check(server.count <= 6, f"{server.count} connections")


@behaviour("--redirect-policy never stops at a balancer")
async def _(bench):
    _, target = await _gateway(bench)
    _, server = await _gateway(bench, members={"/echo": target.url("/echo")})
    outcome = await bench.connect(server.url("/echo"), "--kaazing-legacy", "--redirect-policy", "never", *SAY)
    outcome.fails(6)
    equal(target.count, 0, "connections to the member")


@behaviour("credentials do not follow a balancer to another origin")
async def _(bench):
    member, target = await _gateway(bench, authorization=basic(USER, PASSWORD))
    _, server = await _gateway(bench, authorization=basic(USER, PASSWORD), members={"/echo": target.url("/echo")})
    outcome = await bench.connect(server.url("/echo"), "--kaazing-legacy", *AS_JOE, *SAY)
    outcome.fails(8)
    equal([request.get("Authorization") for request in member.requests], [None], "Authorization at the member")


@behaviour("the gateway's bare 400 ends with 5")
async def _(bench):
    gateway, server = await _gateway(bench)
    outcome = await bench.connect(server.url("/echo"), "--kaazing-legacy", "--extended-header", "Via: 1.1 desk", *SAY)
    outcome.fails(5)


@behaviour("khp serve and khp connect --kaazing-legacy", rows=[("ws", False), ("wss", True)])
async def _(bench, tls):
    server = await bench.serve("--auth", "/echo=basic:desk", "--users", await bench.users(), tls=tls)
    trust = ["--cacert", bench.certificates.authority] if tls else []
    (await bench.connect(server.url(), "--kaazing-legacy", *trust, *AS_JOE, *SAY)).echoed(HELLO)
