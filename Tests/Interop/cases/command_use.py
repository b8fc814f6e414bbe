"""The command as a person types and sees it: URLs without `connect`, credentials in them, refusals, one file of users."""

import base64
import html
import re
import signal
import xml.etree.ElementTree

from support.bench import PASSWORD, USER
from support.check import check, equal, holds
from support.process import Process
from support.registry import behaviour
from support.wire import basic


@behaviour("khp URL is khp connect URL", rows=[
    ("alone", ["URL"]), ("with options before", ["--json", "--count", "1", "URL"]), ("with options behind", ["URL", "--json"]),
])  # fmt: skip
async def _(bench, arguments):
    server = await bench.serve()
    arguments = [server.url() if argument == "URL" else argument for argument in arguments]
    outcome = (await bench.run(*arguments, stdin=b"hello\n")).ends(0)
    if "--json" in arguments:
        equal(outcome.events.one("message")["text"], "hello", "the echo")
    else:
        equal(outcome.text, "hello\n", "standard output")


@behaviour("what is neither a command nor a URL is a mistake", rows=[
    ("a word", ["conect", "ws://127.0.0.1:1/"]), ("an option alone", ["--frobnicate"]),
])  # fmt: skip
async def _(bench, arguments):
    (await bench.run(*arguments)).fails(2)


CREDENTIALS = [
    ("name and password", "joe:welcome-1f9c@", [], basic("joe", "welcome-1f9c")),
    ("percent-encoded", "jo%65:a%3Ab%40%2f@", [], basic("joe", "a:b@/")),
    ("an at sign in the password", "joe:p@ss@", [], basic("joe", "p@ss")),
    ("an empty name", ":gold@", [], basic("", "gold")),
    ("an empty password", "joe:@", [], basic("joe", "")),
    ("a name, and KHP_PASSWORD", "joe@", [], basic("joe", "from-the-variable")),
    ("--user wins", "joe:no@", ["--user", "ann:yes"], basic("ann", "yes")),
    ("--user with an empty name", "", ["--user", ":gold"], basic("", "gold")),
]


@behaviour("credentials in the URL are --user", rows=[
    (f"{label}, {layer}", layer, *rest) for label, *rest in CREDENTIALS for layer in ("opening", "extended")
])  # fmt: skip
async def _(bench, layer, information, options, expected):
    async def script(peer):
        if layer == "opening":
            head = await peer.read_opening()
            check(head.get("Authorization") is None, "credentials before they were asked for")
            if peer.index == 0:
                return await peer.refuse(401, [("WWW-Authenticate", 'Basic realm="desk"')])
        else:
            await peer.until_request()
            await peer.answer(401, [("WWW-Authenticate", 'Basic realm="desk"')])
            request = await peer.request()
            equal(request.get("Authorization"), expected, "Authorization")
            await peer.answer(101)
            return await peer.closed_by_client(1000)

    async def opening(peer):
        head = await peer.read_opening()
        given = head.get("Authorization")
        if given is None:
            return await peer.refuse(401, [("WWW-Authenticate", 'Basic realm="desk"')])
        equal(given, expected, "Authorization")
        await peer.send(peer.acceptance(None))
        await peer.closed_by_client(1000)

    server = await bench.raw_server(opening if layer == "opening" else script)
    url = server.url().replace("//", f"//{information}")
    file = bench.unused_path(".transcript")
    outcome = await bench.connect(
        url, *options, "--json", "--trace", "--save-transcript", file, stdin=b"", KHP_PASSWORD="from-the-variable"
    )
    outcome.ends(0)
    secret = base64.b64decode(expected.removeprefix("Basic ")).decode().partition(":")[2]
    for text in (outcome.text, outcome.errors, open(file).read()):
        check(not secret or secret not in text, "a password is shown")
        check(not information or information not in text, "userinfo is shown")
    equal(outcome.events.one("open")["url"], server.url(), "the URL")
    notes = [line for line in outcome.errors.splitlines() if line.startswith("khp:") and "--user" in line]
    equal(len(notes), 1 if information else 0, f"notes about the URL ({outcome.errors!r})")


@behaviour("userinfo that cannot be read is a mistake, and is not shown", rows=[
    ("a broken percent-encoding", "joe:%zzcanary@"), ("a control character", "joe:%01canary@"),
    ("no UTF-8", "joe:%ffcanary@"), ("a colon in the name", "jo%3Ae:canary@"),
])  # fmt: skip
async def _(bench, information):
    outcome = await bench.connect(f"ws://{information}127.0.0.1:1/", "--json")
    outcome.fails(2)
    check("canary" not in outcome.errors + outcome.text, "userinfo is shown")


@behaviour("a proxy's empty user name is one", rows=[
    ("--proxy-user", ["--proxy", "http://PROXY", "--proxy-user", ":gold"]), ("in its URL", ["--proxy", "http://:gold@PROXY"]),
])  # fmt: skip
async def _(bench, options):
    async def script(peer):
        head = await peer.head()
        if head.get("Proxy-Authorization") is None:
            await peer.send(
                b'HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm="g"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
            )
            return peer.end()
        equal(head.get("Proxy-Authorization"), basic("", "gold"), "Proxy-Authorization")
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.open(None)
        await peer.closed_by_client(1000)

    proxy = await bench.raw_server(script)
    options = [option.replace("PROXY", f"127.0.0.1:{proxy.port}") for option in options]
    (await bench.connect("ws://far.example/", *options)).ends(0)


@behaviour("--extensions-at: where a client asks", rows=[
    ("the default", [], [True, True]), ("opening", ["--extensions-at", "opening"], [True, False]),
    ("extended", ["--extensions-at", "extended"], [False, True]),
])  # fmt: skip
async def _(bench, options, expected):
    seen = []

    async def script(peer):
        opening = await peer.open()
        seen.append(opening)
        seen.append(await peer.request())
        await peer.answer(101)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    offer = ["--extension", "x-note; level=1", "--extension", "x-kaazing-ping-pong", "--compress"]
    (await bench.connect(server.url(), *offer, *options)).ends(0)
    for head, asks in zip(seen, expected):
        asked = ", ".join(head.all("Sec-WebSocket-Extensions"))
        for name in ("x-note; level=1", "x-kaazing-ping-pong", "permessage-deflate"):
            equal(name in asked, asks, f"{name} in {asked!r}")


@behaviour("--extensions-at: where a server grants", rows=[
    (f"{place or 'the default'}, {client}", place, client, layer)
    for place, client, layer in [
        (None, "required", "extended"), (None, "off", "opening"), ("opening", "required", "opening"),
        ("opening", "off", "opening"), ("extended", "required", "extended"), ("extended", "off", None),
    ]
])  # fmt: skip
async def _(bench, place, client, layer):
    options = ["--extensions-at", place] if place else []
    names = ["--extension", "x-note", "--compress"]
    server = await bench.serve(*names, *options)
    outcome = await bench.connect(server.url(), *names, "--extended", client, "--message", "hi" * 99, "--json")
    events = outcome.ends(0).events
    agreed = {item["name"]: item["layer"] for item in events.one("open")["extensions"]}
    equal(agreed, {name: layer for name in ("x-note", "permessage-deflate") if layer}, "extensions")
    equal(events.one("message")["text"], "hi" * 99, "the echo")


@behaviour("--extensions-at extended with --extended off is a mistake", rows=[("connect", "connect"), ("serve", "serve")])
async def _(bench, command):
    options = ["--extension", "x-note", "--extensions-at", "extended", "--extended", "off"]
    where = ["ws://127.0.0.1:1/"] if command == "connect" else ["--port", 0]
    (await bench.run(command, *options, *where)).fails(2)
    (await bench.run(command, "--extensions-at", "home", *where)).fails(2)


# Refusals and content


ENTITY = "no such desk\n\nask for it at\n  https://desk.example/?token=canary&x=1\n\x1b[31mred\n"


@behaviour("a refusal's entity is shown whole, its secrets hidden; with --json its first line alone", rows=[
    (f"{layer}, {label}", layer, options) for layer in ("opening", "extended") for label, options in
    [("plain", []), ("events", ["--json"])]
])  # fmt: skip
async def _(bench, layer, options):
    async def script(peer):
        fields = [("Content-Type", "text/plain")]
        if layer == "opening":
            await peer.read_opening()
            return await peer.refuse(404, fields, ENTITY.encode())
        await peer.until_request()
        await peer.answer(403, fields, ENTITY.encode())
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), *options)
    outcome.ends(4 if layer == "opening" else 5)
    holds(outcome.errors.splitlines()[0], '"no such desk"', "the sentence")
    check("canary" not in outcome.errors + outcome.text, "a token is shown")
    if options:
        outcome.fails(outcome.status)
    else:
        equal(outcome.text, "", "standard output")
        holds(outcome.errors, "\nno such desk\n\nask for it at\n  https://desk.example/?token=•••&x=1\n", "standard error")


@behaviour("at a terminal a refusal's entity is escaped")
async def _(bench):
    async def script(peer):
        await peer.read_opening()
        await peer.refuse(404, [("Content-Type", "text/html")], b"<p>first\n\x1b[31mred\n</p>")

    server = await bench.raw_server(script)
    terminal = await bench.terminal("connect", server.url())
    equal(await terminal.ended(), 4, "exit status")
    await terminal.see(re.escape("<p>first\r\n\\x1b[31mred\r\n</p>\r\n"))


@behaviour("an entity that the sentence holds already is not said twice")
async def _(bench):
    server = await bench.serve("--route", "/no=status:403:not here")
    (await bench.connect(server.url("/none"))).fails(4)
    outcome = await bench.connect(server.url("/no"))
    outcome.fails(5)
    equal(outcome.errors.count("not here"), 1, "times that it is said")


@behaviour("the content of a 201 is shown", rows=[("text", b"the desk\nis yours\n"), ("bytes", b"\x00\xff\x01")])
async def _(bench, content):
    async def script(peer):
        await peer.until_request()
        await peer.answer(201, [("Location", "/desk/1")], content)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    outcome = (await bench.connect(server.url())).ends(0)
    equal(outcome.text, "", "standard output")
    shown = content.decode() if content.startswith(b"the") else "00ff01"
    holds(outcome.errors, shown, "standard error")
    quiet = (await bench.connect(server.url(), "--json")).ends(0)
    equal(quiet.errors, "", "standard error beside events")


@behaviour("a 400 to the offered list hints at --extended off", rows=[
    ("preferred", [], True), ("off", ["--extended", "off"], False), ("required", ["--extended", "required"], False),
])  # fmt: skip
async def _(bench, options, hints):
    async def script(peer):
        await peer.read_opening()
        await peer.refuse(400)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), *options)
    outcome.fails(4)
    equal("--extended off" in outcome.errors, hints, f"a hint in {outcome.errors!r}")


# A server


@behaviour("khp serve: an address that it cannot have is said in plain words", rows=[
    ("out of range", "300.1.1.1"), ("no such name", "nowhere.invalid"), ("empty", ""),
    ("of another machine", "192.0.2.1"),
])  # fmt: skip
async def _(bench, host):
    outcome = await bench.run("serve", "--host", host, "--port", 0)
    check(outcome.status in (2, 3), f"exit status {outcome.status}")
    for word in ("SocketAddressError", "UnknownHost", "error -2", "for host"):
        check(word not in outcome.sentence, f"{word!r} in {outcome.sentence!r}")
    holds(outcome.sentence, host or "--host", "the sentence")


@behaviour("one file of users for several schemes on several paths, and for one of them alone")
async def _(bench):
    lines = open(await bench.users()).read()
    made = [["hash", "--digest", "desk", USER]]
    for arguments in made:
        process = await Process.start(
            bench.environment.khp, *arguments, stdin=-1, environment=bench.environment.variables
        )
        await process.write(f"{PASSWORD}\n".encode())
        process.end_input()
        equal(await process.ended(20), 0, "status of khp hash")
        lines += process.out.decode()
    users = bench.file("# all of them\n" + lines + "robot:mF_9.B5f-4.1JqM\n", ".users")
    routes = [("basic", "Basic"), ("digest", "Digest"), ("token", "Token"), ("bearer", "Bearer")]
    options = []
    for scheme, _ in routes:
        options += ["--route", f"/{scheme}=echo", "--auth", f"/{scheme}={scheme}:desk"]
    server = await bench.serve(*options, "--users", users)
    given = ["--user", f"{USER}:{PASSWORD}", "--token", "mF_9.B5f-4.1JqM", "--message", "hi", "--json"]
    for path, scheme in routes:
        events = (await bench.connect(server.url(f"/{path}"), *given)).ends(0).events
        equal(events.one("challenge")["scheme"], scheme, "scheme")
        equal(events.one("message")["text"], "hi", "the echo")
    # Each alone, on the same file.
    for path, scheme in routes:
        alone = await bench.serve("--route", "/a=echo", "--auth", f"/a={path}:desk", "--users", users)
        (await bench.connect(alone.url("/a"), *given)).ends(0)
        said = "passed over" in alone.process.err.decode()
        equal(said, path in ("basic", "digest"), f"that tokens are passed over: {alone.process.err!r}")


@behaviour("--metrics counts what clients did, on the same port")
async def _(bench):
    server = await bench.serve("--metrics", "/metrics")
    (await bench.connect(server.url(), "--message", "hi", "--count", 1)).ends(0)
    client = await server.client()
    await client.send(f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode())
    text = (await client.until_end()).decode()
    holds(text, "HTTP/1.1 200 OK", "the response")
    holds(text, 'khp_frames_total{direction="received",kind="text"} 1' if "direction=" in text else "khp_frames_total", "the metrics")


# The saved ladder


@behaviour("--save-ladder draws the conversation", rows=[("SVG", ".svg"), ("HTML", ".html")])
async def _(bench, suffix):
    users = await bench.users()
    server = await bench.serve(
        "--route", "/a=redirect:/b?token=canary", "--route", "/b=echo", "--auth", "/b=basic:desk", "--users", users
    )
    path = bench.unused_path(suffix)
    outcome = await bench.connect(
        server.url("/a"), "--user", f"{USER}:{PASSWORD}", "--message", "a <b> & \u202e\"c\"", "--count", 1,
        "--save-ladder", path,
    )  # fmt: skip
    outcome.ends(0)
    text = open(path, encoding="utf-8").read()
    for secret in ("canary", PASSWORD, "\u202e", "<b>"):
        check(secret not in text, f"{secret!r} is in it")
    if suffix == ".svg":
        root = xml.etree.ElementTree.fromstring(text)
        equal(root.tag, "{http://www.w3.org/2000/svg}svg", "the root")
        words = " ".join("".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text"))
    else:
        check(text.startswith("<!doctype html>"), f"it begins with {text[:20]!r}")
        words = html.unescape(re.sub("<[^>]*>", "", text))
    for word in ("GET /a HTTP/1.1", "302 Found", "401 Unauthorized", "Authorization: Basic •••", 'a <b> & \\u{202e}"c"', "1000"):
        holds(words, word, "the picture")


@behaviour("--save-ladder: another ending is a mistake, and so is a place that cannot be written", rows=[
    ("another ending", "ladder.png"), ("no ending", "ladder"), ("no such folder", "/no/such/folder/ladder.svg"),
])  # fmt: skip
async def _(bench, path):
    (await bench.connect("ws://127.0.0.1:1/", "--save-ladder", path)).fails(2)


@behaviour("--save-ladder: what failed is drawn too, also when a second signal ends it", rows=[("refused", 4), ("signals", 130)])
async def _(bench, status):
    async def script(peer):
        await peer.read_opening()
        if status == 4:
            return await peer.refuse(404)
        await peer.send(peer.acceptance(None))
        await peer.send_text("ready")
        await peer.expect_close(1001, answer=False)
        process.signal(signal.SIGINT)
        await peer.until_end()

    server = await bench.raw_server(script)
    path = bench.unused_path(".svg")
    process = await bench.start("connect", "--listen", "--save-ladder", path, server.url())
    if status == 130:
        await process.see("ready", on="out")
        process.signal(signal.SIGINT)
    equal(await process.ended(5), status, "exit status")
    xml.etree.ElementTree.parse(path)
    holds(open(path).read(), "404 Not Found" if status == 4 else "close", "the picture")
