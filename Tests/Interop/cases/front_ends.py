"""nginx, HAProxy and Apache in front of `khp serve`: what they ask of `khp connect` at the opening, and passing on."""

import asyncio
import base64
import hashlib
import signal

from support.bench import PASSWORD, USER
from support.check import check, equal, holds, lacks
from support.daemons import apache, haproxy, nginx, nginx_passes
from support.registry import behaviour
from support.wire import basic

FOREIGN = True
AS_JOE = ["--user", f"{USER}:{PASSWORD}"]
AS_GUEST = ["--user", f"{USER}:wrong-guess"]
HELLO = "hällo"
SAY = ["--json", "--message", HELLO, "--count", 1]


def sha(password: str) -> str:
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


def _trusting(bench, tls: bool) -> list:
    return ["--cacert", bench.certificates.authority] if tls else []


# Credentials at the opening

GUARDED = 'location / {{ auth_basic "the desk"; auth_basic_user_file htpasswd; {passes} }}'


async def _guarded_nginx(bench, tls=False, extra=""):
    server = await bench.serve()
    front = await nginx(
        bench, GUARDED.format(passes=nginx_passes(server.web) + extra), tls=tls,
        files={"htpasswd": f"{USER}:{sha(PASSWORD)}\n"},
    )  # fmt: skip
    return server, front


@behaviour("nginx auth_basic asks at the opening, right credentials pass", rows=[("ws", False), ("wss", True)])
async def _(bench, tls):
    _, front = await _guarded_nginx(bench, tls)
    url = front.url(scheme="wss" if tls else "ws")
    events = (await bench.connect(url, *AS_JOE, *_trusting(bench, tls), *SAY)).echoed(HELLO)
    asked = events.one("challenge")
    equal((asked["scheme"].lower(), asked["layer"], asked["realm"]), ("basic", "opening", "the desk"), "challenge")
    equal([event["status"] for event in events.named("opening-response")], [401, 101], "statuses of the opening")
    equal(len(events.named("connected")), 1, "connections: nginx keeps the first one open after its 401")
    log = front.read("access.log")
    equal([line.split('" ')[1].split(" ")[0] for line in log.splitlines()], ["401", "101"], "nginx's log")


@behaviour(
    "HAProxy asks at the opening, right credentials pass, others do not", rows=[("right", True), ("wrong", False)]
)
async def _(bench, right):
    server = await bench.serve()
    userlist = f"userlist desk\n    user {USER} insecure-password {PASSWORD}\n"
    lines = "    http-request auth realm desk unless { http_auth(desk) }\n    default_backend passed"
    front = await haproxy(bench, lines, backend=f"    server one 127.0.0.1:{server.port}\n{userlist}")
    outcome = await bench.connect(front.url(), *(AS_JOE if right else AS_GUEST), *SAY)
    if right:
        equal(outcome.echoed(HELLO).one("challenge")["realm"], "desk", "realm")
    else:
        outcome.fails(8)


REFUSED = [("wrong credentials", AS_GUEST, [401, 401]), ("no credentials", [], [401])]


@behaviour("nginx auth_basic refuses, status 8", rows=REFUSED)
async def _(bench, options, statuses):
    _, front = await _guarded_nginx(bench)
    outcome = await bench.connect(front.url(), *options, *SAY)
    outcome.fails(8)
    equal([event["status"] for event in outcome.events.named("opening-response")], statuses, "statuses")
    lacks(outcome.text + outcome.errors, "wrong-guess", "the output")
    lacks(outcome.text + outcome.errors, basic(USER, "wrong-guess")[6:], "the output")


@behaviour("nginx asks at the opening, khp serve asks inside: one after the other")
async def _(bench):
    server = await bench.serve("--auth", "/echo=basic:inner", "--users", await bench.users())
    passes = nginx_passes(server.web) + '\nproxy_set_header Authorization "";'
    front = await nginx(bench, GUARDED.format(passes=passes), files={"htpasswd": f"{USER}:{sha(PASSWORD)}\n"})
    events = (await bench.connect(front.url(), *AS_JOE, *SAY)).echoed(HELLO)
    asked = [(event["layer"], event["realm"]) for event in events.named("challenge")]
    equal(asked, [("opening", "the desk"), ("extended", "inner")], "challenges")
    equal(events.one("open")["challenges"], 2, "challenges in open")


# Redirects in front of the opening

CODES = (301, 302, 303, 307)


def _nginx_redirects(code, target):
    return f"location = /old {{ return {code} {target}; }}"


def _haproxy_redirects(code, target):
    return f"    http-request redirect location {target} code {code} if {{ path /old }}"


async def _redirecting(bench, front, code, target):
    if front == "nginx":
        return await nginx(bench, _nginx_redirects(code, target))
    return await haproxy(bench, _haproxy_redirects(code, target))


REDIRECTS = [
    (f"{front} {code}, Location with {scheme}", front, code, scheme)
    for front in ("nginx", "HAProxy")
    for code in CODES
    for scheme in (("ws", "http") if code == 302 else ("ws",))
]


@behaviour("a redirect at the opening is followed to another origin", rows=REDIRECTS)
async def _(bench, front, code, scheme):
    server = await bench.serve()
    target = f"{scheme}://127.0.0.1:{server.port}/echo"
    daemon = await _redirecting(bench, front, code, target)
    events = (await bench.connect(daemon.url("/old"), *SAY)).echoed(HELLO)
    seen = events.one("redirect")
    equal((seen["status"], seen["layer"], seen["to"]), (code, "opening", server.url()), "redirect")
    equal(events.one("open")["redirects"], 1, "redirects")


@behaviour(
    "a relative Location leads back to the same server, which passes it on",
    rows=[("nginx", "nginx"), ("HAProxy", "HAProxy")],
)
async def _(bench, front):
    server = await bench.serve()
    if front == "nginx":
        passes = f"absolute_redirect off; location / {{ {nginx_passes(server.web)} }}"
        daemon = await nginx(bench, _nginx_redirects(307, "/echo") + passes)
    else:
        daemon = await haproxy(
            bench, _haproxy_redirects(307, "/echo") + "\n    default_backend passed",
            backend=f"    server one 127.0.0.1:{server.port}",
        )  # fmt: skip
    events = (await bench.connect(daemon.url("/old"), *SAY)).echoed(HELLO)
    equal(events.one("open")["url"], daemon.url("/echo"), "url")


@behaviour("308 at the opening is followed only when told so", rows=[
    (f"{front}, {'--follow-308' if told else 'not told'}", front, told)
    for front in ("nginx", "HAProxy") for told in (False, True)])  # fmt: skip
async def _(bench, front, told):
    server = await bench.serve()
    daemon = await _redirecting(bench, front, 308, server.url())
    if told:
        events = (await bench.connect(daemon.url("/old"), "--follow-308", *SAY)).echoed(HELLO)
        equal(events.one("redirect")["status"], 308, "status")
    else:
        outcome = await bench.connect(daemon.url("/old"), *SAY)
        outcome.fails(4)
        equal(outcome.events.named("redirect"), [], "redirects")


@behaviour("credentials given to nginx do not follow its redirect to another origin")
async def _(bench):
    server = await bench.serve("--auth", "/echo=basic:other", "--users", await bench.users(), "--trace")
    # `return` in the same location would come before the check.
    site = f"""location / {{ auth_basic "the desk"; auth_basic_user_file htpasswd; try_files /none @on; }}
               location @on {{ return 302 {server.url()}; }}"""
    front = await nginx(bench, site, files={"htpasswd": f"{USER}:{sha(PASSWORD)}\n"})
    outcome = await bench.connect(front.url(), *AS_JOE, *SAY)
    outcome.fails(8)
    events = outcome.events
    equal([event["status"] for event in events.named("opening-response")], [401, 302, 101], "statuses")
    equal(events.named("challenge")[0]["realm"], "the desk", "realm that was answered")


@behaviour("a redirect of HAProxy from ws to its TLS port is followed")
async def _(bench):
    server = await bench.serve()
    secure = await haproxy(
        bench, "    default_backend passed", backend=f"    server one 127.0.0.1:{server.port}", tls=True
    )
    # As `redirect scheme https` writes it, with a port that is not the default one.
    plain = await haproxy(bench, f"    http-request redirect location https://127.0.0.1:{secure.port}%[pathq] code 301")
    events = (await bench.connect(plain.url(), *_trusting(bench, True), *SAY)).echoed(HELLO)
    equal(events.one("open")["url"], secure.url(scheme="wss"), "url")
    check("tls" in events.named("connected")[-1], "no TLS in the last connected event")


# WebSockets passed on

PASSING = [
    (f"{front}, {'wss' if tls else 'ws'} outside, {'wss' if inner else 'ws'} inside", front, tls, inner)
    for front, tls, inner in [
        ("nginx", False, False), ("nginx", True, False), ("nginx", True, True),
        ("HAProxy", False, False), ("HAProxy", True, False), ("HAProxy", True, True),
        ("Apache upgrade=websocket", False, False), ("Apache mod_proxy_wstunnel", False, False),
    ]
]  # fmt: skip


async def _passing(bench, front, tls, server):
    if front == "nginx":
        return await nginx(bench, f"location / {{ {nginx_passes(server.web)} }}", tls=tls)
    if front == "HAProxy":
        secure = " ssl verify none" if server.scheme == "wss" else ""
        backend = f"    server one 127.0.0.1:{server.port}{secure}"
        return await haproxy(bench, "    default_backend passed", backend=backend, tls=tls)
    if front.endswith("wstunnel"):
        return await apache(bench, f"ProxyPass / ws://127.0.0.1:{server.port}/")
    return await apache(bench, f"ProxyPass / {server.web}/ upgrade=websocket")


# A debug build takes seconds for 1 MiB over TLS, and many on a busy machine.
@behaviour("both handshakes and messages pass through", rows=PASSING, timeout=60)
async def _(bench, front, tls, inner):
    server = await bench.serve("--max-message-size", 4_000_000, tls=inner)
    daemon = await _passing(bench, front, tls, server)
    url = daemon.url(scheme="wss" if tls else "ws")
    large = bytes(range(256)) * 4096  # 1 MiB
    outcome = await bench.connect(
        url, *_trusting(bench, tls), "--json", "--message", HELLO, "--message", "", "--binary", bench.file(large),
        "--count", 3, "--max-message-size", 4_000_000, within=45,
    )  # fmt: skip
    events = outcome.ends(0).events
    equal(events.one("open").get("status"), 101, "status of the extended handshake")
    messages = events.named("message")
    equal([message["text"] for message in messages[:2]], [HELLO, ""], "texts")
    equal(base64.b64decode(messages[2]["base64"]) == large, True, "1 MiB came back as it was")
    closed = events.one("close")
    equal((closed["code"], closed["clean"]), (1000, True), "close")


@behaviour("a challenge and a redirect inside pass through", rows=[
    (front, front) for front in ("nginx", "HAProxy", "Apache upgrade=websocket")])  # fmt: skip
async def _(bench, front):
    server = await bench.serve(
        "--route", "/echo=echo", "--route", "/old=redirect:302:/echo", "--auth", "/echo=basic:desk",
        "--users", await bench.users(),
    )  # fmt: skip
    daemon = await _passing(bench, front, False, server)
    events = (await bench.connect(daemon.url("/old"), *AS_JOE, *SAY)).echoed(HELLO)
    equal(events.one("redirect")["layer"], "extended", "layer of the redirect")
    equal(events.one("challenge")["layer"], "extended", "layer of the challenge")
    equal(events.one("open")["url"], daemon.url(), "url")


@behaviour("a front end whose server is not there: status 4", rows=[
    ("nginx", "nginx", 502), ("HAProxy", "HAProxy", 503), ("Apache", "Apache", 503)])  # fmt: skip
async def _(bench, front, status):
    gone = await bench.raw_server(None)
    port = gone.port
    await gone.clean_up()
    if front == "nginx":
        daemon = await nginx(bench, f"location / {{ {nginx_passes(f'http://127.0.0.1:{port}')} }}")
    elif front == "HAProxy":
        daemon = await haproxy(
            bench, "    default_backend passed", backend=f"    retries 0\n    server one 127.0.0.1:{port}"
        )
    else:
        daemon = await apache(bench, f"ProxyPass / http://127.0.0.1:{port}/ upgrade=websocket")
    outcome = await bench.connect(daemon.url(), *SAY)
    outcome.fails(4)
    equal(outcome.events.one("error")["status"], status, "status in the error event")


@behaviour("the server drains through nginx: close 1001, status 0")
async def _(bench):
    server = await bench.serve()
    daemon = await nginx(bench, f"location / {{ {nginx_passes(server.web)} }}")
    process = await bench.start("connect", "--json", daemon.url(), stdin=asyncio.subprocess.PIPE)
    await process.see(r'"event":"open"', on="out")
    server.process.signal(signal.SIGTERM)
    outcome = await bench.outcome(process)
    closed = outcome.ends(0).events.one("close")
    equal((closed["code"], closed["by"], closed["clean"]), (1001, "peer", True), "close")
    equal(await server.process.ended(), 0, "status of khp serve")
    holds(daemon.read("access.log"), '" 101 ', "nginx's log")
