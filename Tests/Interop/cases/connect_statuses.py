"""`khp connect` and each kind of extended response: the status table over real sockets."""

import json
import pathlib
import random

from support.check import check, equal, holds
from support.registry import behaviour
from support.wire import BINARY, KHP, TEXT, accept_of

TABLE = pathlib.Path(__file__).resolve().parents[3] / "Specs" / "status-codes.json"
ACTIONS = {entry["code"]: entry["action"] for entry in json.loads(TABLE.read_text())["codes"]}


@behaviour("a completing status opens", rows=[(str(code), code) for code in (101, 201, 204, 205)])
async def _(bench, code):
    async def script(peer):
        await peer.until_request()
        await peer.answer(code)
        equal(await peer.echo(), 1000, "close code")

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json", "--message", "hi", "--count", 1)
    events = outcome.ends(0).events
    response = events.one("extended-response")
    equal((response["status"], response["action"]), (code, "complete"), "extended-response")
    equal(events.one("open")["status"], code, "status in the open event")
    equal(events.one("message")["text"], "hi", "echo")


@behaviour("the content of a 201 is reported")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(201, [("X-Which", "second")], "The second desk.\n".encode())
        await peer.echo()

    server = await bench.raw_server(script)
    response = (await bench.connect(server.url(), "--json")).ends(0).events.one("extended-response")
    holds(response["head"], "X-Which: second\r\n", "head")
    equal(response.get("body"), "The second desk.\n", "body")


def _not_actionable():
    """Twenty codes: the telling ones, and a sample of the rest of 102 to 699."""
    telling = [102, 103, 200, 206, 226, 304, 308, 400, 403, 404, 429, 503]
    rest = [code for code in range(102, 700) if ACTIONS.get(code, "close") == "close" and code not in telling]
    return telling + sorted(random.Random(6455).sample(rest, 8))


@behaviour("a status that is not actionable fails with 5", rows=[(str(code), code) for code in _not_actionable()])
async def _(bench, code):
    async def script(peer):
        await peer.until_request()
        await peer.answer(code)
        await peer.closed_by_client(1000 if code >= 300 else 1011)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json")
    outcome.fails(5)
    error = outcome.events.one("error")
    equal((error["code"], error["status"]), ("extended-refused", code), "error")
    equal(outcome.events.one("extended-response")["action"], "close", "action")
    equal(outcome.events.named("open"), [], "open events")


@behaviour("the entity of a refusal is shown")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(503, [("Retry-After", "60")], "The desk opens at nine.\n\x1b[31mred".encode())
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    outcome = (await bench.connect(server.url())).ends(5)
    holds(outcome.errors, "The desk opens at nine", "standard error")
    outcome = (await bench.connect(server.url(), "--json")).ends(5)
    events = outcome.events
    holds(events.one("extended-response").get("body", ""), "The desk opens at nine.", "body of the response")


@behaviour("202, then 101", rows=[("once", 1), ("three times", 3)])
async def _(bench, times):
    async def script(peer):
        await peer.until_request()
        for _ in range(times):
            await peer.answer(202)
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    events = (await bench.connect(server.url(), "--json")).ends(0).events
    actions = [event["action"] for event in events.named("extended-response")]
    equal(actions, ["wait"] * times + ["complete"], "actions")
    equal(events.one("open")["status"], 101, "status")


@behaviour("a fourth 202 fails with 5")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        for _ in range(4):
            await peer.answer(202)
        await peer.closed_by_client(1008)

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), "--json")).fails(5)


@behaviour("202, then a refusal")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(202)
        await peer.answer(403)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), "--json")).fails(5)


@behaviour("202, then silence: --wait ends it with 7, pings or not", rows=[("silence", False), ("pings", True)])
async def _(bench, pings):
    async def script(peer):
        await peer.until_request()
        await peer.answer(202)
        if pings:
            for _ in range(2):
                await peer.send_frame(9, b"wait")
                equal((await peer.read_frame()).opcode, 10, "opcode of the answer to a ping")
        await peer.closed_by_client(1008)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--wait", 1, "--json")
    outcome.fails(7)
    seconds = outcome.events[-1]["t"] - outcome.events.named("connecting")[0]["t"]
    check(0.9 <= seconds <= 3, f"--wait 1 took {seconds} s")


@behaviour("426 that names TLS goes on over wss")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        if peer.is_tls:
            await peer.answer(101)
            await peer.echo()
        else:
            await peer.answer(426, [("Upgrade", "TLS/1.2, HTTP/1.1")])
            await peer.closed_by_client(1000)

    server = await bench.raw_server(script, tls=bench.certificates.server_context(), either=True)
    outcome = await bench.connect(server.url(), "--cacert", bench.certificates.authority, "--json")
    events = outcome.ends(0).events
    actions = [event["action"] for event in events.named("extended-response")]
    equal(actions, ["upgrade", "complete"], "actions")
    equal(events.one("open")["url"], f"wss://127.0.0.1:{server.port}/trades", "url")


@behaviour("426 that names nothing we can do fails with 5", rows=[("another", [("Upgrade", "spdy/9")]), ("none", [])])
async def _(bench, fields):
    async def script(peer):
        await peer.until_request()
        await peer.answer(426, fields)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), "--json")).fails(5)
    equal(server.count, 1, "connections")


@behaviour("407 is an error of its own")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(407, [("Proxy-Authenticate", 'Basic realm="gate"')])
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json", "--user", "joe:pass-7d1")
    outcome.fails(5)
    equal(outcome.events.one("extended-response")["action"], "proxy-auth", "action")
    equal(outcome.events.one("error")["code"], "proxy-authentication-required", "error code")


@behaviour("100 releases the body that was held back")
async def _(bench):
    body = bytes(range(256))

    async def script(peer):
        await peer.open()
        head = await peer.request()
        equal((head.method, head.entity), ("POST", b""), "method, early entity")
        equal(head.get("Expect"), "100-continue", "Expect")
        equal(head.get("Content-Length"), "256", "Content-Length")
        await peer.answer(100)
        equal(await peer.message(), (BINARY, body), "the body")
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    outcome = await bench.connect(
        server.url(), "--extended-method", "POST", "--extended-body", bench.file(body), "--json"
    )
    actions = [event["action"] for event in outcome.ends(0).events.named("extended-response")]
    equal(actions, ["send-body", "complete"], "actions")


@behaviour("101 instead of 100: the body is never sent")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(101)
        equal(await peer.echo(), 1000, "close code")

    server = await bench.raw_server(script)
    options = ["--extended-method", "POST", "--extended-body", bench.file("hello")]
    (await bench.connect(server.url(), *options)).ends(0)


@behaviour("100 that was not asked for fails with 5")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(100)
        await peer.closed_by_client(1011)

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), "--json")).fails(5)


@behaviour("the request is as deployed servers need it")
async def _(bench):
    async def script(peer):
        opening = await peer.open()
        expected = ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
                    "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin", "X-Opening"]  # fmt: skip
        equal(opening.names, expected, "fields of the opening")
        equal(opening.start, "GET /trades?day=1 HTTP/1.1", "request line")
        equal(opening.get("Sec-WebSocket-Protocol"), f"{KHP}, amqp, chat", "subprotocols")
        equal(opening.get("Sec-WebSocket-Extensions"), "x-one; a=1, x-two", "extensions")
        head = await peer.request()
        equal(head.start, "GET /trades?day=1 HTTP/1.1", "request line inside")
        expected = ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "X-Extended"]
        equal(head.names, expected, "fields inside")
        equal(head.get("Sec-WebSocket-Protocol"), "amqp, chat", "subprotocols inside")
        equal(head.get("Sec-WebSocket-Extensions"), "x-one; a=1, x-two", "extensions inside")
        await peer.answer(101, [("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Extensions", "x-two; b"),
                                ("Sec-WebSocket-Accept", accept_of(peer.key))])  # fmt: skip
        await peer.echo()

    server = await bench.raw_server(script)
    outcome = await bench.connect(
        server.url("/trades?day=1"), "--subprotocol", "amqp", "--subprotocol", "chat", "--extension", "x-one; a=1",
        "--extension", "x-two", "--origin", "http://page.example", "-H", "X-Opening: 1",
        "--extended-header", "X-Extended: 1", "--json",
    )  # fmt: skip
    opened = outcome.ends(0).events.one("open")
    equal(opened["subprotocol"], "chat", "subprotocol")
    chosen = [(item["name"], item["layer"]) for item in opened["extensions"]]
    equal(chosen, [("x-two", "extended")], "extensions")


@behaviour("an extension that the opening granted is not asked for again")
async def _(bench):
    async def script(peer):
        await peer.open(fields=[("Sec-WebSocket-Extensions", "x-one")])
        head = await peer.request()
        equal(head.get("Sec-WebSocket-Extensions"), "x-two", "extensions inside")
        await peer.answer(101, [("Sec-WebSocket-Extensions", "x-two")])
        await peer.echo()

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--extension", "x-one", "--extension", "x-two", "--json")
    chosen = [(item["name"], item["layer"]) for item in outcome.ends(0).events.one("open")["extensions"]]
    equal(chosen, [("x-one", "opening"), ("x-two", "extended")], "extensions")


@behaviour("nothing to ask for: no empty fields")
async def _(bench):
    async def script(peer):
        await peer.open()
        equal((await peer.request()).fields, [], "fields inside")
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    (await bench.connect(server.url())).ends(0)


def _lower(response):
    return response.lower().replace(b"http/1.1", b"HTTP/1.1")


SHAPES = [
    ("as text", lambda peer, response: peer.frame(TEXT, response)),
    ("in fragments", lambda peer, response: peer.frame(BINARY, response[:9], fin=False)
     + peer.frame(9, b"between") + peer.frame(0, response[9:20], fin=False) + peer.frame(0, response[20:])),
    ("in many messages", lambda peer, response: b"".join(
        peer.frame(BINARY, response[at : at + 12]) for at in range(0, len(response), 12))),
    ("in lower case", lambda peer, response: peer.frame(BINARY, _lower(response))),
    ("after a balancer message", lambda peer, response: peer.frame(BINARY, b"\xef\x83\xbf\x4e")
     + peer.frame(BINARY, response)),
    ("with another reason", lambda peer, response: peer.frame(
        BINARY, response.replace(b"Web Socket Protocol Handshake", b"Fine"))),
    ("without a reason", lambda peer, response: peer.frame(
        BINARY, response.replace(b" Web Socket Protocol Handshake", b""))),
]  # fmt: skip


@behaviour("a completing response may come", rows=SHAPES)
async def _(bench, shape):
    async def script(peer):
        await peer.until_request()
        await peer.send(shape(peer, peer.response(101)))
        while True:
            seen = await peer.read_frame()
            if seen.opcode == TEXT:
                break
            equal((seen.opcode, seen.payload), (10, b"between"), "a pong")
        await peer.send_frame(TEXT, seen.payload)
        await peer.echo()

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), "--message", "hi", "--count", 1, "--json")).ends(0)


@behaviour("messages glued to the completing response are delivered, in order")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        glued = b"".join(peer.frame(TEXT, str(number).encode()) for number in range(5))
        await peer.send(peer.frame(BINARY, peer.response(101)) + glued)
        await peer.echo()

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--count", 5)
    equal(outcome.ends(0).lines, ["0", "1", "2", "3", "4"], "messages")
