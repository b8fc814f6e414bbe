"""`khp connect` and redirects in either handshake: what it follows, where it stops."""

from support.bench import PASSWORD, USER
from support.check import equal, lacks
from support.registry import behaviour

CODES = (300, 301, 302, 303, 307)


def _redirecting(location, code=302, within="extended", target="/target", entity=None):
    """A script: /trades redirects, the target echoes."""

    async def script(peer):
        opening = await peer.read_opening()
        if opening.target.split("?")[0] == target:
            await peer.send(peer.acceptance())
            await peer.request()
            await peer.answer(101)
            await peer.echo()
            return
        fields = [("Location", location(peer))] if location else []
        if within == "opening":
            await peer.refuse(code, fields, entity or b"")
            return
        await peer.send(peer.acceptance())
        await peer.request()
        await peer.answer(code, fields, entity)
        await peer.closed_by_client(1000)

    return script


def _port(peer):
    return peer.writer.get_extra_info("sockname")[1]


LOCATIONS = [
    ("absolute", lambda peer: f"ws://127.0.0.1:{_port(peer)}/target"),
    ("relative to the root", lambda peer: "/target"),
    ("relative", lambda peer: "target"),
    ("relative upwards", lambda peer: "../../x/../target"),
    ("without scheme", lambda peer: f"//127.0.0.1:{_port(peer)}/target"),
    ("http", lambda peer: f"http://127.0.0.1:{_port(peer)}/target"),
    ("with a query", lambda peer: "/target?day=1"),
    ("with userinfo, which is dropped", lambda peer: f"ws://ann:secret@127.0.0.1:{_port(peer)}/target"),
    ("with a fragment, which is dropped", lambda peer: "/target#top"),
]
ROWS = [
    (f"{code} {label}, {layer}", code, location, layer)
    for layer in ("extended", "opening")
    for code in CODES
    for label, location in (LOCATIONS[:2] if code != 302 else LOCATIONS)
]


@behaviour("a redirect is followed", rows=ROWS)
async def _(bench, code, location, layer):
    server = await bench.raw_server(_redirecting(location, code, layer))
    outcome = await bench.connect(server.url(), "--json", "--message", "hi", "--count", 1)
    events = outcome.ends(0).events
    redirected = events.one("redirect")
    equal((redirected["status"], redirected["layer"]), (code, layer), "status, layer")
    equal(redirected["from"], server.url(), "from")
    opened = events.one("open")
    equal(opened["url"].split("?")[0], server.url("/target"), "url")
    equal(opened["redirects"], 1, "redirects")
    equal([event["attempt"] for event in events.named("connecting")], [1, 2], "attempts")
    lacks(outcome.text + outcome.errors, "secret", "the output")


CHOICES = [
    ("lines", b"ftp://files.example/\n/target\n/other\n", []),
    ("Link", b"pick one\n", [("Link", '</target>; rel="alternate"')]),
    ("HTML", b'<ul><li><a href="/target">here</a></ul>\n', [("Content-Type", "text/html")]),
]


@behaviour("300 without Location: the first usable choice", rows=CHOICES)
async def _(bench, entity, fields):
    async def script(peer):
        await peer.until_request()
        if peer.opening.target == "/target":
            await peer.answer(101)
            await peer.echo()
        else:
            await peer.answer(300, fields, entity)
            await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    events = (await bench.connect(server.url(), "--json")).ends(0).events
    equal(events.named("extended-response")[0]["action"], "choose", "action")
    equal(events.one("open")["url"], server.url("/target"), "url")


UNUSABLE = [
    ("no Location", 302, None),
    ("300 without choices", 300, None),
    ("another scheme", 302, lambda peer: "ftp://127.0.0.1/target"),
    ("javascript", 302, lambda peer: "javascript:alert(1)"),
    ("a blocked port", 302, lambda peer: "ws://127.0.0.1:25/"),
    ("port 0", 302, lambda peer: "ws://127.0.0.1:0/"),
    ("no host", 302, lambda peer: "ws:///target"),
    ("backslashes", 302, lambda peer: "ws:\\\\127.0.0.1\\target"),
    ("empty", 302, lambda peer: ""),
]


@behaviour("a redirect without usable target ends with 6", rows=UNUSABLE)
async def _(bench, code, location):
    server = await bench.raw_server(_redirecting(location, code, entity=b""))
    (await bench.connect(server.url(), "--json")).fails(6)
    equal(server.count, 1, "connections")


@behaviour("two different Locations end with 5 or 6")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(302, [("Location", "/target"), ("Location", "/other")])
        await peer.until_end()

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json")
    equal(outcome.status in (5, 6), True, f"exit status {outcome.status} among 5 and 6")
    outcome.sentence


@behaviour("a loop ends with 6", rows=[("of two", ["/b", "/a"]), ("of one", ["/a"]), ("of three", ["/b", "/c", "/a"]),
           ("in other words", ["/x/../%61"]), ("with its fragment", ["/a#1"])])  # fmt: skip
async def _(bench, targets):
    async def script(peer):
        await peer.until_request()
        await peer.answer(302, [("Location", targets[peer.index])])
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url("/a"), "--json")
    outcome.fails(6)
    equal(server.count, len(targets), "connections")
    equal(outcome.events.one("error")["code"], "redirect-loop", "error code")


@behaviour("too many redirects end with 6", rows=[("five by default", [], 6), ("two when told so", [2], 3),
           ("none when told so", [0], 1)])  # fmt: skip
async def _(bench, limit, connections):
    async def script(peer):
        location = [("Location", f"/step/{peer.index}")]
        await peer.read_opening()
        if peer.index % 2:  # one counter for both handshakes
            await peer.refuse(302, location)
            return
        await peer.send(peer.acceptance())
        await peer.request()
        await peer.answer(302, location)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    options = ["--max-redirects", *limit] if limit else []
    outcome = await bench.connect(server.url(), *options, "--json")
    outcome.fails(6)
    equal(server.count, connections, "connections")
    equal(outcome.events.one("error")["code"], "too-many-redirects", "error code")


@behaviour("307 after a POST is not followed, exit 5")
async def _(bench):
    server = await bench.raw_server(_redirecting(lambda peer: "/target", 307))
    outcome = await bench.connect(server.url(), "--extended-method", "POST", "--json")
    outcome.fails(5)
    equal(server.count, 1, "connections")
    equal(outcome.events.one("error")["code"], "redirect-method", "error code")


@behaviour("302 after a POST is followed")
async def _(bench):
    server = await bench.raw_server(_redirecting(lambda peer: "/target", 302))
    (await bench.connect(server.url(), "--extended-method", "POST", "--json")).ends(0)


@behaviour("308 is followed only when told so", rows=[("no", [], 5), ("yes", ["--follow-308"], 0)])
async def _(bench, options, status):
    server = await bench.raw_server(_redirecting(lambda peer: "/target", 308))
    (await bench.connect(server.url(), *options)).ends(status)


@behaviour("wss does not fall to ws unless told so", rows=[("no", [], 6), ("yes", ["--allow-downgrade"], 0)])
async def _(bench, options, status):
    plain = await bench.raw_server(_redirecting(None))
    location = f"ws://127.0.0.1:{plain.port}/target"
    context = bench.certificates.server_context()
    secure = await bench.raw_server(_redirecting(lambda peer: location), tls=context)
    outcome = await bench.connect(secure.url(), "--cacert", bench.certificates.authority, *options)
    outcome.fails(status) if status else outcome.ends(0)
    equal(plain.count, 0 if status else 1, "connections without TLS")


POLICIES = [
    ("never", "same", False), ("same-origin", "same", True), ("same-origin", "port", False),
    ("same-origin", "name", False), ("same-domain", "port", True), ("same-domain", "name", False),
    ("peer-domain", "port", True), ("sub-domain", "name", False), ("always", "port", True), ("always", "name", True),
]  # fmt: skip


@behaviour("--redirect-policy", rows=[(f"{policy}, {where} → {'followed' if goes else '6'}", policy, where, goes)
                                      for policy, where, goes in POLICIES])  # fmt: skip
async def _(bench, policy, where, goes):
    other = await bench.raw_server(_redirecting(None))
    locations = {"same": "/target", "port": other.url("/target"), "name": other.url("/target", host="localhost")}
    server = await bench.raw_server(_redirecting(lambda peer: locations[where]))
    outcome = await bench.connect(server.url(), "--redirect-policy", policy, "--json")
    outcome.ends(0) if goes else outcome.fails(6)


@behaviour("nothing that is ours follows to another origin", rows=[("inside", "extended"), ("opening", "opening")])
async def _(bench, layer):
    heads = []

    async def other(peer):
        heads.append(await peer.open())
        heads.append(await peer.request())
        await peer.answer(401, [("WWW-Authenticate", 'Basic realm="desk"')])
        await peer.closed_by_client(1000)

    elsewhere = await bench.raw_server(other)

    async def script(peer):
        location = [("Location", elsewhere.url("/trades"))]
        challenge = [("WWW-Authenticate", 'Basic realm="desk"')]
        opening = await peer.read_opening()
        if layer == "opening":
            if opening.get("Authorization") is None:
                await peer.refuse(401, challenge)
            else:
                await peer.refuse(302, location)
            return
        await peer.send(peer.acceptance())
        await peer.request()
        await peer.answer(401, challenge)
        equal((await peer.request()).get("Authorization") is None, False, "an answer to the challenge")
        await peer.answer(302, location)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    outcome = await bench.connect(
        server.url(), "--user", f"{USER}:{PASSWORD}", "-H", "X-Api-Key: 12345", "--extended-header", "X-Token: 6789",
        "--json",
    )  # fmt: skip
    outcome.fails(8)
    for head in heads:
        for name in ("Authorization", "X-Api-Key", "X-Token", "Cookie", "Referer"):
            equal(head.get(name), None, f"{name} at the other origin")


@behaviour("credentials are asked for afresh, and given, at the same origin")
async def _(bench):
    async def script(peer):
        await peer.open()
        head = await peer.request()
        if head.get("Authorization") is None:
            await peer.answer(401, [("WWW-Authenticate", 'Basic realm="desk"')])
            head = await peer.request()
        if peer.index == 0:
            await peer.answer(302, [("Location", "/target")])
            await peer.closed_by_client(1000)
        else:
            await peer.answer(101)
            await peer.echo()

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--user", f"{USER}:{PASSWORD}", "--json")
    equal(outcome.ends(0).events.one("open")["redirects"], 1, "redirects")
