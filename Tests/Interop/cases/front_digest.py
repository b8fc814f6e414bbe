"""Apache's mod_auth_digest in front of the opening handshake, answered by `khp connect`."""

import asyncio
import hashlib
import signal

from support.bench import PASSWORD, USER
from support.check import check, equal
from support.daemons import apache, free_port
from support.digest import line
from support.registry import behaviour

FOREIGN = True
AS_JOE = ["--user", f"{USER}:{PASSWORD}"]
HELLO = "hällo"
SAY = ["--json", "--message", HELLO, "--count", 1]
REFUSED = [("wrong credentials", ["--user", f"{USER}:wrong-guess"], [401, 401]), ("no credentials", [], [401])]

DIGEST_SITE = """
ProxyPass / {inside}/ upgrade=websocket
<Location />
    AuthType Digest
    AuthName "the desk"
    AuthDigestProvider file
    AuthUserFile {{folder}}/htdigest
    AuthDigestQop auth
    AuthDigestNonceLifetime {lifetime}
    Require valid-user
</Location>
"""


def _htdigest() -> dict:
    secret = hashlib.md5(f"{USER}:the desk:{PASSWORD}".encode()).hexdigest()
    return {"htdigest": f"{USER}:the desk:{secret}\n"}


async def _guarded_apache(bench, lifetime=300):
    server = await bench.serve()
    return await apache(bench, DIGEST_SITE.format(inside=server.web, lifetime=lifetime), files=_htdigest())


@behaviour("Apache's mod_auth_digest asks at the opening, right credentials pass")
async def _(bench):
    front = await _guarded_apache(bench)
    events = (await bench.connect(front.url(), *AS_JOE, *SAY)).echoed(HELLO)
    asked = events.one("challenge")
    equal((asked["scheme"].lower(), asked["layer"], asked["realm"]), ("digest", "opening", "the desk"), "challenge")
    equal([event["status"] for event in events.named("opening-response")], [401, 101], "statuses of the opening")
    equal(len(events.named("connected")), 1, "connections: Apache keeps the first one open after its 401")


@behaviour("Apache's mod_auth_digest refuses, status 8", rows=REFUSED)
async def _(bench, options, statuses):
    front = await _guarded_apache(bench)
    outcome = await bench.connect(front.url(), *options, *SAY)
    outcome.fails(8)
    equal([event["status"] for event in outcome.events.named("opening-response")], statuses, "statuses")


@behaviour("a target with a query is in the Digest that Apache checks")
async def _(bench):
    front = await _guarded_apache(bench)
    (await bench.connect(front.url("/echo?day=1&of=a%20week"), *AS_JOE, *SAY)).echoed(HELLO)


@behaviour("Apache asks at the opening, khp serve asks inside, for Digest both")
async def _(bench):
    users = bench.file(line(USER, "inner", PASSWORD, "SHA-256"), ".users")
    server = await bench.serve("--auth", "/echo=digest:inner", "--users", users)
    site = DIGEST_SITE.format(inside=server.web, lifetime=300) + "\nRequestHeader unset Authorization\n"
    front = await apache(bench, site, files=_htdigest())
    events = (await bench.connect(front.url(), *AS_JOE, *SAY)).echoed(HELLO)
    asked = [(event["scheme"].lower(), event["layer"], event["realm"]) for event in events.named("challenge")]
    equal(asked, [("digest", "opening", "the desk"), ("digest", "extended", "inner")], "challenges")


@behaviour("a nonce of Apache's that is too old on reconnect is replaced, and nobody is asked", timeout=40)
async def _(bench):
    port = free_port()

    async def serve():
        process = await bench.start("serve", "--port", port)
        await process.see("listening on")
        return process

    server = await serve()
    site = DIGEST_SITE.format(inside=f"http://127.0.0.1:{port}", lifetime=1).replace(
        "websocket\n", "websocket retry=0\n"
    )
    front = await apache(bench, site, files=_htdigest())
    client = await bench.start("connect", front.url(), *AS_JOE, "--reconnect", "--json", stdin=asyncio.subprocess.PIPE)
    await client.see(r'"event":"open"', on="out")
    # Longer than the nonce is good for: that it has gone stale, Apache tells nobody before it is used, which must not
    # happen meanwhile.
    await asyncio.sleep(1.5)
    server.signal(signal.SIGKILL)
    await server.ended(5)
    await serve()
    await client.see(r'"event":"open",[^\n]*\n(.*\n)*.*"event":"open"', on="out", within=20)
    client.end_input()
    events = (await bench.outcome(client)).ends(0).events
    check(401 in [event["status"] for event in events.named("opening-response")][2:], "no second 401")
