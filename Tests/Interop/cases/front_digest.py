"""Apache's mod_auth_digest in front of the opening handshake, answered by `khp connect`."""

import hashlib

from support.bench import PASSWORD, USER
from support.check import equal
from support.daemons import apache
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
