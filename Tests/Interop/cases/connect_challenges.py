"""`khp connect` and 401: replay on the same WebSocket, limits, and what is never shown."""

import base64
import hashlib
import re

from support.bench import PASSWORD, USER
from support.check import among, check, equal, holds, lacks
from support.registry import behaviour
from support.wire import basic

CHALLENGE = [("WWW-Authenticate", 'Basic realm="desk"')]
AS_JOE = ["--user", f"{USER}:{PASSWORD}"]


def _wants(authorization, challenge=CHALLENGE):
    """A script: 401 until the request carries this Authorization, then 101."""

    async def script(peer):
        await peer.open()
        while (await peer.request()).get("Authorization") != authorization:
            await peer.answer(401, challenge)
        await peer.answer(101)
        await peer.echo()

    return script


@behaviour("401 is answered on the same WebSocket", rows=[
    ("Basic", CHALLENGE),
    ("with charset", [("WWW-Authenticate", 'Basic realm="desk", charset="UTF-8"')]),
    ("Kaazing's prefix", [("WWW-Authenticate", 'Application Basic realm="desk"')]),
    ("in other letters", [("www-authenticate", "bAsIc ReAlM=desk")]),
    ("among unknown schemes", [("WWW-Authenticate", 'Negotiate, Hawk x="a, b", Basic realm="a \\"b\\", c"')]),
    ("in a field of its own", [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", 'Basic realm="desk"')]),
])  # fmt: skip
async def _(bench, challenge):
    server = await bench.raw_server(_wants(basic(USER, PASSWORD), challenge))
    outcome = await bench.connect(server.url(), *AS_JOE, "--json", "--message", "hi", "--count", 1)
    events = outcome.ends(0).events
    equal(server.count, 1, "connections")
    actions = [event["action"] for event in events.named("extended-response")]
    equal(actions, ["challenge", "complete"], "actions")
    challenged = events.one("challenge")
    equal((challenged["scheme"].lower(), challenged["layer"], challenged["round"]), ("basic", "extended", 1), "event")
    equal(events.one("open")["challenges"], 1, "challenges")
    equal(len(events.named("extended-request")), 2, "requests")


@behaviour("the replay is the same request with Authorization last")
async def _(bench):
    async def script(peer):
        await peer.open()
        first = await peer.request()
        await peer.answer(401, CHALLENGE)
        second = await peer.request()
        equal(second.fields[:-1], first.fields, "fields before the last")
        equal(second.start, first.start, "request line")
        equal(second.fields[-1], ("Authorization", basic(USER, PASSWORD)), "the last field")
        await peer.answer(101, [("Sec-WebSocket-Protocol", "amqp")])
        await peer.echo()

    server = await bench.raw_server(script)
    options = ["--subprotocol", "amqp", "--extension", "x-one", "--extended-header", "X-Extra: 1"]
    (await bench.connect(server.url(), *AS_JOE, *options)).ends(0)


@behaviour("name and password go as UTF-8")
async def _(bench):
    server = await bench.raw_server(_wants(basic("jörg", "pä:ss")))
    (await bench.connect(server.url(), "--user", "jörg:pä:ss")).ends(0)


@behaviour("credentials are taken from", rows=[("KHP_PASSWORD", "variable"), ("--netrc", "netrc")])
async def _(bench, source):
    server = await bench.raw_server(_wants(basic(USER, PASSWORD)))
    if source == "variable":
        outcome = await bench.connect(server.url(), "--user", USER, KHP_PASSWORD=PASSWORD)
    else:
        netrc = bench.file(f"machine other.example login ann password x\nmachine 127.0.0.1 login {USER}\n"
                           f"  password {PASSWORD}\n")  # fmt: skip
        outcome = await bench.connect(server.url(), "--netrc", netrc)
    outcome.ends(0)


NO_WAY = [
    ("no credentials", [], CHALLENGE),
    ("no challenge", AS_JOE, []),
    ("an unknown scheme", AS_JOE, [("WWW-Authenticate", "Negotiate")]),
    ("a malformed challenge", AS_JOE, [("WWW-Authenticate", 'Basic realm="desk')]),
    ("an empty challenge", AS_JOE, [("WWW-Authenticate", "")]),
    ("a name without password and without terminal", ["--user", USER], CHALLENGE),
]


@behaviour("401 that cannot be answered ends with 8", rows=NO_WAY)
async def _(bench, options, challenge):
    async def script(peer):
        await peer.until_request()
        await peer.answer(401, challenge)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), *options, "--json")
    outcome.fails(8)
    equal(outcome.events.one("error")["code"], "authentication-failed", "error code")


HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def _digest(authorization, method, password=PASSWORD):
    """The parameters of a Digest answer, which has to be right by RFC 7616 as hashlib computes it."""
    check(authorization.startswith("Digest "), f"the answer is no Digest: {authorization}")
    found = re.findall(r'([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^,\s]*))', authorization[7:])
    given = {name: re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in found}
    algorithm = given.get("algorithm", "MD5")

    def h(text):
        return hashlib.new(HASHES[algorithm.removesuffix("-sess")], text.encode()).hexdigest()

    key = h(f"{USER}:{given['realm']}:{password}")
    if algorithm.endswith("-sess"):
        key = h(f"{key}:{given['nonce']}:{given['cnonce']}")
    request = h(f"{method}:{given['uri']}")
    middle = [given["nonce"]]
    if "qop" in given:
        middle += [given["nc"], given["cnonce"], given["qop"]]
    equal(given["response"], h(":".join([key, *middle, request])), "response")
    return given


@behaviour("Digest is computed right and is never shown", rows=[
    ("MD5", 'realm="desk", nonce="n", qop="auth"', "MD5"),
    ("without qop", 'realm="desk", nonce="n"', "MD5"),
    ("MD5-sess", 'realm="desk", nonce="n", qop="auth", algorithm=MD5-sess', "MD5-sess"),
    ("SHA-256", 'realm="de\\"sk", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="o"', "SHA-256"),
    ("SHA-512-256", 'realm="desk", nonce="n", qop="auth", algorithm=SHA-512-256, userhash=true', "SHA-512-256"),
    ("strongest", 'realm=a, nonce=n, qop=auth, Digest realm=b, nonce=m, qop=auth, algorithm=SHA-256, Basic', "SHA-256"),
])  # fmt: skip
async def _(bench, challenge, algorithm):
    async def script(peer):
        await peer.open()
        first = await peer.request()
        await peer.answer(401, [("WWW-Authenticate", "Digest " + challenge)])
        given = _digest((await peer.request()).get("Authorization"), "GET")
        equal(given.get("algorithm", "MD5"), algorithm, "algorithm")
        equal(given["uri"], first.start.split(" ")[1], "uri")
        # Right, but with a nonce that is too old: again, without anyone being asked.
        stale = re.sub(r'nonce="?(\w)"?', r'stale=true, nonce="x\1"', challenge)
        await peer.answer(401, [("WWW-Authenticate", "Digest " + stale)])
        equal(_digest((await peer.request()).get("Authorization"), "GET")["nonce"][0], "x", "the nonce's beginning")
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    options = ["--user", f"{USER}:{PASSWORD}", "--json", "--message", "hi", "--count", 1]
    events = (await bench.connect(server.url(), *options)).ends(0).events
    equal([event["scheme"] for event in events.named("challenge")], ["Digest", "Digest"], "schemes")


@behaviour("a token answers Bearer and Token", rows=[
    ("Bearer", 'Bearer realm="api", scope="a b"', "Bearer t0ken-4711"),
    ("Token with Kaazing's prefix", "Application Token realm=x", "Token t0ken-4711"),
])  # fmt: skip
async def _(bench, challenge, expected):
    server = await bench.raw_server(_wants(expected, [("WWW-Authenticate", challenge)]))
    options = ["--token", "t0ken-4711", "--json", "--trace", "--message", "hi", "--count", 1]
    outcome = (await bench.connect(server.url(), *options)).ends(0)
    lacks(outcome.text + outcome.errors, "t0ken-4711", "what is shown")


@behaviour("wrong credentials are sent once, then 8")
async def _(bench):
    answers = []

    async def script(peer):
        await peer.open()
        answers.append((await peer.request()).get("Authorization"))
        await peer.answer(401, CHALLENGE)
        answers.append((await peer.request()).get("Authorization"))
        await peer.answer(401, CHALLENGE)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), *AS_JOE, "--json")
    outcome.fails(8)
    equal(answers, [None, basic(USER, PASSWORD)], "Authorization")
    equal(outcome.events.one("error")["status"], 401, "status in the error event")


@behaviour("401 again and again is answered at most four times", rows=[("same realm", False), ("new realms", True)])
async def _(bench, changes):
    answered = []

    async def script(peer):
        await peer.open()
        for turn in range(10):
            seen = await peer.read_frame()
            if seen.opcode == 8:
                equal(seen.code, 1000, "close code")
                await peer.send_close(1000)
                return
            answered.append(b"Authorization:" in seen.payload)
            realm = f"desk {turn}" if changes else "desk"
            await peer.answer(401, [("WWW-Authenticate", f'Basic realm="{realm}"')])

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, "--json")).fails(8)
    check(1 <= sum(answered) <= 4, f"answered {sum(answered)} times")
    equal(server.count, 1, "connections")


@behaviour("403 after an answered challenge ends with 8")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(401, CHALLENGE)
        await peer.request()
        await peer.answer(403)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, "--json")).fails(8)


@behaviour("a message between challenge and answer fails with 5")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.send(peer.frame(2, peer.response(401, CHALLENGE)) + peer.frame(1, b"early"))
        await peer.until_end()

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), *AS_JOE, "--json")
    among(outcome.status, (5,), "exit status")
    outcome.sentence


SHOWING = [("-v", ["-v"]), ("--trace", ["--trace"]), ("--json", ["--json"]), ("all", ["-v", "--trace", "--json"])]


@behaviour("credentials are hidden in what is shown", rows=SHOWING)
async def _(bench, options):
    # That the password is not there is checked in every run of the command.
    server = await bench.raw_server(_wants(basic(USER, PASSWORD)))
    cookie = ["-H", "Cookie: session=5ecret-c00kie", "-H", "Authorization: Bearer 5ecret-t0ken"]
    for extra in ([], cookie):
        outcome = await bench.connect(server.url(), *options, *AS_JOE, *extra, "--message", "hi", "--count", 1)
        outcome.ends(0)
        shown = outcome.text + outcome.errors
        if options != ["-v"]:  # which shows no fields
            holds(shown, "•••", "what is shown")
        for secret in ("5ecret-t0ken", base64.b64encode(b"5ecret-t0ken").decode()):
            check(secret not in shown, f"{secret} is shown")


@behaviour("Basic without TLS gives one warning, with TLS none", rows=[("ws", False), ("wss", True)])
async def _(bench, secure):
    context = bench.certificates.server_context() if secure else None
    server = await bench.raw_server(_wants(basic(USER, PASSWORD)), tls=context)
    outcome = await bench.connect(server.url(), *AS_JOE, "--cacert", bench.certificates.authority)
    outcome.ends(0)
    warnings = [line for line in outcome.errors.splitlines() if "warning" in line.lower()]
    equal(len(warnings), 0 if secure else 1, f"warnings in {outcome.errors!r}")
