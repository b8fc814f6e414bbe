"""`khp connect` against `khp serve`: each scheme, at the opening and inside, with the right credentials and others."""

import asyncio

from support.bench import PASSWORD, USER
from support.check import check, equal
from support.registry import behaviour

HELLO = "hällo"
SAY = ["--json", "--message", HELLO, "--count", 1]
REALM = "the desk"
AS_JOE = ["--user", f"{USER}:{PASSWORD}"]
TOKEN = f"tok-{PASSWORD}"


async def _made(bench, *arguments) -> str:
    """A file of users with the line that `khp hash` made."""
    outcome = await bench.run("hash", *arguments, USER, stdin=f"{PASSWORD}\n".encode())
    return bench.file(outcome.ends(0).out, ".users")


async def _users(bench, kind: str) -> str:
    if kind == "basic":
        return await bench.users()
    if kind in ("token", "bearer"):
        return bench.file(f"robot:{TOKEN}\n", ".users")
    return await _made(bench, "--digest", REALM, "--algorithm", kind)


KINDS = ["basic", "MD5", "SHA-256", "SHA-512-256", "token", "bearer"]


def _scheme(kind: str) -> str:
    return kind if kind in ("basic", "token", "bearer") else "digest"


def _credentials(kind: str) -> list[str]:
    return ["--token", TOKEN] if kind in ("token", "bearer") else AS_JOE


def _rows():
    for kind in KINDS:
        for place in ("extended", "opening"):
            yield f"{kind}, {place}", kind, place, []
    yield "basic, prefixed", "basic", "extended", ["--application"]
    yield "SHA-256, prefixed", "SHA-256", "extended", ["--application"]
    yield "token, prefixed", "token", "extended", ["--application"]


ROWS = list(_rows())


@behaviour("right credentials pass", rows=ROWS)
async def _(bench, kind, place, options):
    server = await bench.serve(
        "--auth",
        f"/echo={_scheme(kind)}:{REALM}",
        "--users",
        await _users(bench, kind),
        "--challenge-at",
        place,
        *options,
    )
    events = (await bench.connect(server.url("/echo?day=1"), *_credentials(kind), *SAY)).echoed(HELLO)
    challenged = events.one("challenge")
    equal((challenged["scheme"].lower(), challenged["layer"]), (_scheme(kind), place), "challenge")
    equal(challenged["round"], 1, "round")
    equal(events.one("open")["challenges"], 1, "challenges")


WRONG = [
    ("basic", ["--user", f"{USER}:guess"]), ("SHA-256", ["--user", f"{USER}:guess"]), ("token", ["--token", "guess"]),
    ("bearer", ["--token", "guess"]), ("SHA-256", ["--token", TOKEN]), ("token", AS_JOE), ("SHA-256", []), ("bearer", []),
]  # fmt: skip


@behaviour("other credentials end with 8", rows=[
    (f"{kind}, {place}, {' '.join(options).split(':')[0] or 'none'}", kind, place, options)
    for kind, options in WRONG for place in ("extended", "opening")])  # fmt: skip
async def _(bench, kind, place, options):
    server = await bench.serve(
        "--auth", f"/echo={_scheme(kind)}:{REALM}", "--users", await _users(bench, kind), "--challenge-at", place
    )
    outcome = await bench.connect(server.url(), *options, *SAY)
    outcome.fails(8)
    check(TOKEN not in outcome.text + outcome.errors, "the token is shown")
    equal(outcome.events.named("open"), [], "open")


@behaviour("Digest is chosen where the server offers Basic as well")
async def _(bench):
    users = bench.file(open(await _users(bench, "SHA-256")).read() + open(await bench.users()).read(), ".users")
    server = await bench.serve("--auth", f"/echo=basic:{REALM}", "--auth", f"/echo=digest:{REALM}", "--users", users)
    events = (await bench.connect(server.url(), *AS_JOE, *SAY)).echoed(HELLO)
    equal(events.one("challenge")["scheme"].lower(), "digest", "scheme")
    head = events.named("extended-request")[-1]["head"]
    check("Authorization: •••" in head or "Authorization: Digest •••" in head, f"the answer in {head!r}")


@behaviour("Digest with a name and a password beyond ASCII", rows=[("MD5", "MD5"), ("SHA-256", "SHA-256")])
async def _(bench, algorithm):
    outcome = await bench.run("hash", "--digest", REALM, "--algorithm", algorithm, "jörg", stdin="pä:ß€\n".encode())
    server = await bench.serve("--auth", f"/echo=digest:{REALM}", "--users", bench.file(outcome.ends(0).out))
    (await bench.connect(server.url(), "--user", "jörg:pä:ß€", *SAY)).echoed(HELLO)


@behaviour("Digest from --netrc and from KHP_PASSWORD", rows=[("--netrc", True), ("KHP_PASSWORD", False)])
async def _(bench, netrc):
    server = await bench.serve("--auth", f"/echo=digest:{REALM}", "--users", await _users(bench, "SHA-256"))
    if netrc:
        file = bench.file(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        outcome = await bench.connect(server.url(), "--netrc", file, *SAY)
    else:
        outcome = await bench.connect(server.url(), "--user", USER, *SAY, KHP_PASSWORD=PASSWORD)
    outcome.echoed(HELLO)


@behaviour("a redirect behind Digest: the same origin is answered again, another one is not", rows=[
    ("same", True), ("another", False)])  # fmt: skip
async def _(bench, same):
    users = await _users(bench, "SHA-256")
    echo = ["--users", users, "--route", "/echo=echo", "--auth", f"/echo=digest:{REALM}"]
    other = await bench.serve(*echo)
    target = "/echo" if same else other.url()
    server = await bench.serve(*echo, "--route", f"/old=redirect:302:{target}", "--auth", f"/old=digest:{REALM}")
    outcome = await bench.connect(server.url("/old"), *AS_JOE, *SAY)
    if same:
        equal(outcome.echoed(HELLO).one("open")["redirects"], 1, "redirects")
        return
    outcome.fails(8)
    last = outcome.events.named("extended-request")[-1]["head"]
    check("Authorization" not in last, f"Authorization at the other origin: {last!r}")


@behaviour("--session-lifetime closes with 1008: status 1")
async def _(bench):
    server = await bench.serve(
        "--auth", f"/echo=digest:{REALM}", "--users", await _users(bench, "SHA-256"), "--session-lifetime", 1
    )
    client = await bench.start("connect", server.url(), *AS_JOE, "--json", stdin=asyncio.subprocess.PIPE)
    outcome = await bench.outcome(client)
    outcome.fails(1)
    closed = outcome.events.one("close")
    equal((closed["code"], closed["by"]), (1008, "peer"), "close")
    check(closed["t"] - outcome.events.one("open")["t"] >= 0.9, "closed before its time")
