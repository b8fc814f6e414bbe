"""`khp connect` as a client of Python's websockets."""

import asyncio
import base64
import http

from websockets.asyncio.server import basic_auth
from websockets.datastructures import Headers
from websockets.http11 import Response

from support.bench import PASSWORD, USER
from support.check import check, equal, holds
from support.patience import stretched
from support.registry import behaviour
from support.wire import KHP

MIB = 1 << 20


async def echo(connection):
    async for message in connection:
        await connection.send(message)


class Recorder:
    """A handler that keeps what it received, and echoes it."""

    def __init__(self):
        self.received = []
        self.headers = None
        self.closed = asyncio.get_running_loop().create_future()

    async def __call__(self, connection):
        self.headers = connection.request.headers
        async for message in connection:
            self.received.append(message)
            await connection.send(message)
        self.closed.set_result((connection.close_code, connection.close_reason))


@behaviour("--message and --count: sends, prints what comes, closes with 1000")
async def _(bench):
    recorder = Recorder()
    server = await bench.python_server(recorder)
    outcome = await bench.connect(server.url(), "--message", "one", "--message", "zwei — 二", "--count", 2)
    outcome.ends(0)
    equal(outcome.lines, ["one", "zwei — 二"], "standard output")
    equal(recorder.received, ["one", "zwei — 二"], "received")
    equal((await recorder.closed)[0], 1000, "close code")


@behaviour("messages and files go out in the order given")
async def _(bench):
    recorder = Recorder()
    server = await bench.python_server(recorder)
    data = bytes(range(256))
    options = ["--binary", bench.file(data), "--message", "text", "--binary", bench.file(b""), "--message", ""]
    (await bench.connect(server.url(), *options, "--count", 4)).ends(0)
    equal(recorder.received, [data, "text", b"", ""], "received")


@behaviour("lines of standard input go out as messages; its end closes")
async def _(bench):
    recorder = Recorder()
    server = await bench.python_server(recorder)
    process = await bench.start("connect", server.url(), stdin=asyncio.subprocess.PIPE)
    lines = ["first", "", "  spaces  ", "ünï — 🦉", "/ping", "x" * 100_000, "no line end"]
    await process.write("\n".join(lines).encode())
    await process.see("x{1000}\n", on="out")
    process.end_input()
    outcome = await bench.outcome(process)
    outcome.ends(0)
    equal(await recorder.closed, (1000, ""), "close")
    equal(recorder.received, lines, "received")
    equal(outcome.lines[: len(lines) - 1], lines[:-1], "standard output")


@behaviour("the end of standard input closes an idle connection", rows=[("at once", b""), ("an empty line", b"\n")])
async def _(bench, stdin):
    recorder = Recorder()
    server = await bench.python_server(recorder)
    (await bench.connect(server.url(), stdin=stdin)).ends(0)
    equal((await recorder.closed)[0], 1000, "close code")
    equal(recorder.received, [""] if stdin else [], "received")


@behaviour("what the server sends is printed as it comes")
async def _(bench):
    async def handler(connection):
        for message in ("a", "", "b\tc", "\x1b[31mred\x1b[0m"):
            await connection.send(message)
        await connection.wait_closed()

    server = await bench.python_server(handler)
    outcome = (await bench.connect(server.url(), "--count", 4)).ends(0)
    equal(outcome.out, b"a\n\nb\tc\n\x1b[31mred\x1b[0m\n", "standard output")


@behaviour("fragments and large messages arrive whole", rows=[("text", "x"), ("binary", b"y")])
async def _(bench, unit):
    async def handler(connection):
        await connection.send([unit * 10, unit[:0], unit * 70000, unit])
        await connection.send(unit * MIB)
        await connection.wait_closed()

    server = await bench.python_server(handler)
    outcome = (await bench.connect(server.url(), "--count", 2, "--json")).ends(0)
    equal([event["bytes"] for event in outcome.events.named("message")], [70011, MIB], "sizes")


@behaviour("pings of the server are answered with their payload")
async def _(bench):
    async def handler(connection):
        for payload in (b"", b"tick", b"z" * 125):
            await asyncio.wait_for(await connection.ping(payload), stretched(5))
        await connection.send("alive")
        await connection.wait_closed()

    server = await bench.python_server(handler)
    (await bench.connect(server.url(), "--count", 1)).ends(0)


CLOSES = [(1000, "", 0), (1000, "done — ä", 0), (1001, "away", 0), (1008, "policy", 1), (1011, "", 1), (1012, "", 1),
          (3000, "", 1), (4999, "mine", 1)]  # fmt: skip


@behaviour("a close by the server", rows=[(f"{row[0]} {row[1]!r} ends with {row[2]}", *row) for row in CLOSES])
async def _(bench, code, reason, status):
    async def handler(connection):
        await connection.close(code, reason)

    server = await bench.python_server(handler)
    process = await bench.start("connect", "--json", server.url(), stdin=asyncio.subprocess.PIPE)
    outcome = (await bench.outcome(process)).ends(status)
    close = outcome.events.one("close")
    equal((close["code"], close.get("reason", "")), (code, reason), "code and reason")
    equal((close["clean"], close["by"]), (True, "peer"), "clean, by")
    if status:
        check(outcome.errors.strip(), "nothing on standard error about an unusual close")


@behaviour("a connection that is dropped is no clean close")
async def _(bench):
    async def handler(connection):
        await connection.send("hello")
        connection.transport.abort()

    server = await bench.python_server(handler)
    process = await bench.start("connect", "--json", server.url(), stdin=asyncio.subprocess.PIPE)
    outcome = (await bench.outcome(process)).ends(1)
    close = outcome.events.one("close")
    equal((close["code"], close["clean"]), (1006, False), "code, clean")


@behaviour("one byte more than the limit closes with 1009 and ends with 9", rows=[("default", None), ("given", 1000)])
async def _(bench, limit):
    seen = asyncio.get_running_loop().create_future()
    size = limit or MIB

    async def handler(connection):
        await connection.send("x" * size)
        await connection.send("x" * (size + 1))
        await connection.wait_closed()
        seen.set_result(connection.close_code)

    server = await bench.python_server(handler)
    options = ["--max-message-size", limit] if limit else []
    outcome = await bench.connect(server.url(), "--json", *options, "--count", 2)
    outcome.fails(9)
    equal(outcome.events.one("message")["bytes"], size, "size of the message that fits")
    equal(await seen, 1009, "close code")


@behaviour("--count with too few messages ends with 7")
async def _(bench):
    server = await bench.python_server(echo)
    outcome = await bench.connect(server.url(), "--message", "one", "--count", 2, "--timeout", 1)
    outcome.fails(7)
    equal(outcome.lines, ["one"], "standard output")


@behaviour("x-kaazing-handshake is offered first, unless off", rows=[("preferred", "preferred", True),
           ("off", "off", False)])  # fmt: skip
async def _(bench, policy, offers):
    recorder = Recorder()
    server = await bench.python_server(recorder)
    options = ["--extended", policy, "--subprotocol", "amqp", "--subprotocol", "chat"]
    (await bench.connect(server.url(), *options)).ends(0)
    expected = [KHP, "amqp", "chat"] if offers else ["amqp", "chat"]
    offered = [name.strip() for name in ",".join(recorder.headers.get_all("Sec-WebSocket-Protocol")).split(",")]
    equal(offered, expected, "offered")


@behaviour("--extended required on a server that knows nothing of it ends with 5", rows=[("none chosen", None),
           ("another chosen", ["amqp"])])  # fmt: skip
async def _(bench, protocols):
    server = await bench.python_server(echo, subprotocols=protocols)
    outcome = await bench.connect(server.url(), "--extended", "required", "--subprotocol", "amqp", "--json")
    outcome.fails(5)
    equal(outcome.events.named("open"), [], "open events")


@behaviour("--subprotocol: the server's choice is reported")
async def _(bench):
    server = await bench.python_server(echo, subprotocols=["chat"])
    outcome = await bench.connect(server.url(), "--subprotocol", "amqp", "--subprotocol", "chat", "--json")
    opened = outcome.ends(0).events.one("open")
    equal(opened.get("subprotocol"), "chat", "subprotocol")
    check("status" not in opened, "a plain WebSocket has no extended status")


@behaviour("-H and --origin go out with the opening")
async def _(bench):
    recorder = Recorder()
    server = await bench.python_server(recorder)
    options = ["-H", "X-One: 1", "-H", "X-Two:  a, b ", "--origin", "https://page.example:8443"]
    (await bench.connect(server.url("/a%20b?c=d&e"), *options)).ends(0)
    equal((recorder.headers["X-One"], recorder.headers["X-Two"]), ("1", "a, b"), "fields")
    equal(recorder.headers["Origin"], "https://page.example:8443", "Origin")
    equal(recorder.headers["Host"], f"127.0.0.1:{server.port}", "Host")


@behaviour("host names are resolved, and each address is tried")
async def _(bench):
    server = await bench.python_server(echo)
    outcome = await bench.connect(server.url(host="localhost"), "--message", "hi", "--count", 1)
    equal(outcome.ends(0).lines, ["hi"], "standard output")


REFUSALS = [("403", 403, 4), ("404", 404, 4), ("500", 500, 4), ("200", 200, 4), ("401 without credentials", 401, 8)]


@behaviour("an opening that is refused", rows=REFUSALS)
async def _(bench, status, exit_status):
    def refuse(connection, request):
        response = connection.respond(http.HTTPStatus(status), "The desk opens at nine.\n")
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="desk"'
        return response

    server = await bench.python_server(echo, process_request=refuse)
    outcome = await bench.connect(server.url(), "--json")
    outcome.ends(exit_status)
    error = outcome.events.one("error")
    equal((error["status"], error["exit"]), (status, exit_status), "status, exit")
    if exit_status == 4:
        holds(outcome.errors + error["message"], "The desk opens at nine", "what is said")


@behaviour("a challenge of the opening is answered", rows=[("right", PASSWORD, 0), ("wrong", "guess", 8)])
async def _(bench, password, status):
    challenge = basic_auth(realm="desk", credentials=(USER, PASSWORD))
    server = await bench.python_server(echo, process_request=challenge)
    outcome = await bench.connect(server.url(), "--user", f"{USER}:{password}", "--json")
    if status:
        outcome.fails(status)
    else:
        outcome.ends(0)
        challenged = outcome.events.named("challenge")
        equal([(event["scheme"], event["realm"], event["layer"], event["round"]) for event in challenged],
              [("Basic", "desk", "opening", 1)], "challenges")  # fmt: skip
        equal(outcome.events.one("open")["challenges"], 1, "challenges")


@behaviour("a redirect of the opening is followed", rows=[(str(code), code) for code in (301, 302, 303, 307)])
async def _(bench, code):
    def redirect(connection, request):
        if request.path == "/here":
            return None
        headers = Headers({"Location": "/here", "Content-Length": "0", "Connection": "close"})
        return Response(code, "Elsewhere", headers, b"")

    server = await bench.python_server(echo, process_request=redirect)
    outcome = (await bench.connect(server.url("/there"), "--json")).ends(0)
    redirected = outcome.events.one("redirect")
    equal((redirected["from"], redirected["to"]), (server.url("/there"), server.url("/here")), "from, to")
    equal((redirected["status"], redirected["layer"]), (code, "opening"), "status, layer")
    opened = outcome.events.one("open")
    equal((opened["url"], opened["redirects"]), (server.url("/here"), 1), "url, redirects")


@behaviour("the events of a conversation")
async def _(bench):
    server = await bench.python_server(echo)
    data = b"\x00\xff\x10"
    options = ["--json", "--message", "ä\u0007", "--binary", bench.file(data), "--count", 2]
    events = (await bench.connect(server.url("/x"), *options)).ends(0).events
    order = [name for name in events.names if name not in ("sent", "message", "pong")]
    equal(order, ["connecting", "connected", "opening-request", "opening-response", "open", "close"], "order")
    connecting = events.one("connecting")
    equal((connecting["url"], connecting["attempt"]), (server.url("/x"), 1), "connecting")
    check("tls" not in events.one("connected"), "no TLS here")
    holds(events.one("connected")["peer"], str(server.port), "peer")
    check(events.one("opening-request")["head"].startswith("GET /x HTTP/1.1\r\n"), "head of the request")
    response = events.one("opening-response")
    equal(response["status"], 101, "status")
    holds(response["head"], "Sec-WebSocket-Accept: ", "head of the response")
    opened = events.one("open")
    equal((opened["url"], opened["redirects"], opened["challenges"]), (server.url("/x"), 0, 0), "open")
    equal([(event["kind"], event["bytes"]) for event in events.named("sent")], [("text", 3), ("binary", 3)], "sent")
    text, binary = events.named("message")
    equal((text["kind"], text["text"], text["bytes"]), ("text", "ä\u0007", 3), "text")
    equal((binary["kind"], binary["base64"]), ("binary", base64.b64encode(data).decode()), "binary")
    close = events.one("close")
    equal((close["code"], close["clean"], close["by"]), (1000, True, "local"), "close")


@behaviour("--reconnect comes back after a lost connection", timeout=30)
async def _(bench):
    seen = []

    async def handler(connection):
        seen.append(connection)
        if len(seen) == 1:
            connection.transport.abort()
            return
        await connection.send("back")
        await connection.wait_closed()

    server = await bench.python_server(handler)
    outcome = await bench.connect(server.url(), "--reconnect", "--count", 1, "--json", within=25)
    events = outcome.ends(0).events
    equal([event["attempt"] for event in events.named("connecting")], [1, 2], "attempts")
    equal(events.one("message")["text"], "back", "message")


@behaviour("nobody there ends with 3")
async def _(bench):
    probe = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = probe.sockets[0].getsockname()[1]
    probe.close()
    await probe.wait_closed()
    outcome = await bench.connect(f"ws://127.0.0.1:{port}/", "--json")
    outcome.fails(3)


@behaviour("a name that does not exist ends with 3")
async def _(bench):
    (await bench.connect("ws://does-not-exist.invalid/", "--json", "--timeout", 10)).fails(3)
