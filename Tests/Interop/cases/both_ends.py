"""khp against khp: the journeys that the issue names, as a person types them."""

import asyncio
import base64
import re
import signal
import time

from support.bench import PASSWORD, USER
from support.check import check, equal
from support.patience import stretched
from support.registry import behaviour

JOURNEY = ["--route", "/a=redirect:/b", "--route", "/b=echo", "--auth", "/b=basic"]
AS_JOE = ["--user", f"{USER}:{PASSWORD}"]
SCHEMES = [("ws", False), ("wss", True)]


async def _journey(bench, tls):
    server = await bench.serve(*JOURNEY, "--users", await bench.users(), tls=tls)
    return server, ["--cacert", bench.certificates.authority] if tls else []


@behaviour("one redirect, one challenge, open", rows=SCHEMES)
async def _(bench, tls):
    server, options = await _journey(bench, tls)
    outcome = await bench.connect(server.url("/a"), *AS_JOE, *options, "--json", "--message", "hi", "--count", 1)
    events = outcome.ends(0).events
    opened = events.one("open")
    equal((opened["redirects"], opened["challenges"], opened["status"]), (1, 1, 101), "redirects, challenges, status")
    equal(opened["url"], server.url("/b"), "url")
    equal(events.one("message")["text"], "hi", "echo")
    equal([event["action"] for event in events.named("extended-response")], ["redirect", "challenge", "complete"],
          "actions")  # fmt: skip


@behaviour("the same for those without the extended handshake", rows=SCHEMES)
async def _(bench, tls):
    server, options = await _journey(bench, tls)
    outcome = await bench.connect(
        server.url("/a"), *AS_JOE, *options, "--extended", "off", "--message", "hi", "--count", 1, "--json"
    )
    events = outcome.ends(0).events
    equal(events.one("message")["text"], "hi", "echo")
    equal([event["layer"] for event in events.named("redirect") + events.named("challenge")], ["opening"] * 2, "layers")


@behaviour("wrong credentials end with 8", rows=SCHEMES)
async def _(bench, tls):
    server, options = await _journey(bench, tls)
    outcome = await bench.connect(server.url("/a"), "--user", f"{USER}:guess", *options)
    outcome.fails(8)


@behaviour("no credentials end with 8")
async def _(bench):
    server, _ = await _journey(bench, False)
    (await bench.connect(server.url("/b"))).fails(8)


@behaviour("a loop ends with 6", rows=SCHEMES)
async def _(bench, tls):
    server = await bench.serve("--route", "/a=redirect:/b", "--route", "/b=redirect:/a", tls=tls)
    options = ["--cacert", bench.certificates.authority] if tls else []
    (await bench.connect(server.url("/a"), *options)).fails(6)


@behaviour("a refusal ends with 5 and shows what the server said")
async def _(bench):
    server = await bench.serve("--route", "/a=status:503:The desk opens at nine.")
    outcome = (await bench.connect(server.url("/a"))).ends(5)
    check("The desk opens at nine" in outcome.errors, f"standard error {outcome.errors!r}")


@behaviour("no such path ends with 4")
async def _(bench):
    server = await bench.serve()
    (await bench.connect(server.url("/nope"), "--json")).ends(4)


@behaviour("lines in, lines out", rows=SCHEMES)
async def _(bench, tls):
    server = await bench.serve(tls=tls)
    options = ["--cacert", bench.certificates.authority] if tls else []
    outcome = await bench.connect(server.url(), *options, stdin=b"one\ntwo\nthree\n")
    outcome.ends(0)
    equal(outcome.lines, ["one", "two", "three"], "standard output")


@behaviour("each file comes back as it was")
async def _(bench):
    server = await bench.serve()
    data = bytes(range(256)) * 2000
    outcome = await bench.connect(server.url(), "--binary", bench.file(data), "--count", 1, "--json")
    equal(base64.b64decode(outcome.ends(0).events.one("message")["base64"]), data, "the bytes")


@behaviour("a server that ends says 1001, and that is exit 0")
async def _(bench):
    server = await bench.serve()
    process = await bench.start("connect", "--json", server.url(), stdin=asyncio.subprocess.PIPE)
    await process.see('"open"', on="out")
    server.process.signal(signal.SIGTERM)
    outcome = (await bench.outcome(process)).ends(0)
    equal(outcome.events.one("close")["code"], 1001, "close code")


CERTIFICATES = [("right", "client", 0), ("none", None, 3), ("another authority", "impostor", 3)]


@behaviour("client certificates", rows=CERTIFICATES)
async def _(bench, name, status):
    server = await bench.serve("--client-ca", bench.certificates.authority, tls=True)
    options = ["--cacert", bench.certificates.authority]
    if name:
        options += ["--cert", bench.certificates.certificate(name), "--key", bench.certificates.key(name)]
    outcome = await bench.connect(server.url(), *options, "--message", "hi", "--count", 1)
    outcome.fails(status) if status else outcome.ends(0)


@behaviour("an extension for applications is chosen inside or in the opening")
async def _(bench):
    server = await bench.serve("--extension", "x-one", "--subprotocol", "amqp")
    outcome = await bench.connect(
        server.url(), "--extension", "x-unknown", "--extension", "x-one; a=1", "--subprotocol", "amqp", "--json"
    )
    opened = outcome.ends(0).events.one("open")
    equal([item["name"] for item in opened["extensions"]], ["x-one"], "extensions")
    equal(opened["subprotocol"], "amqp", "subprotocol")


STEP = re.compile(
    r"[CS] (opening|text|binary|eof|(ping|pong|raw)( [0-9a-f]*)?|close( \d{4})?)|~ [\d.]+s|C connect \S+"
)


@behaviour("--save-transcript writes a conversation in the format of Specs/transcripts")
async def _(bench):
    server, _ = await _journey(bench, False)
    path = bench.unused_path(".khp")
    (await bench.connect(server.url("/a"), *AS_JOE, "--save-transcript", path, "--message", "hi", "--count", 1)).ends(0)
    text = open(path, encoding="utf-8").read()
    check(PASSWORD not in text, "the password is in the transcript")
    head, separator, body = text.partition("\n\n")
    check(separator, "no empty line behind the fields")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    check("title" in fields and "client" in fields, f"fields {sorted(fields)}")
    equal(fields["client"], server.url("/a"), "client")
    steps = [line for line in body.splitlines() if line and not line.startswith("  ")]
    for step in steps:
        check(STEP.fullmatch(step), f"no step: {step!r}")
    kinds = [" ".join(step.split()[:2]) for step in steps]
    wanted = ("C opening", "S opening", "C binary", "S binary", "C text", "S text", "S close", "C close", "C connect")
    for kind in wanted:
        check(kind in kinds, f"no step {kind!r} among {kinds}")
    equal(kinds.count("C opening"), 2, "openings")
    lines = body.splitlines()
    check("  GET /a HTTP/1.1" in lines and "  GET /b HTTP/1.1" in lines, "request lines")
    check("  hi" in lines, "the message")


@behaviour("--trace and -v show the conversation on standard error only")
async def _(bench):
    server, _ = await _journey(bench, False)
    for option in ("-v", "--trace"):
        outcome = await bench.connect(server.url("/a"), *AS_JOE, option, "--message", "hi", "--count", 1)
        equal(outcome.ends(0).lines, ["hi"], "standard output")
        check(len(outcome.errors.splitlines()) >= 4, f"{option} shows too little: {outcome.errors!r}")
        check("\x1b" not in outcome.errors, "colours although it is no terminal")


@behaviour("the demo passes within 5 seconds", alone=True)
async def _(bench):
    started = time.monotonic()
    outcome = await bench.run("demo")
    seconds = time.monotonic() - started
    outcome.ends(0)
    last = (outcome.text + outcome.errors).strip().splitlines()[-1]
    check(re.fullmatch(r"demo: all \d+ steps passed", outcome.text.strip().splitlines()[-1]), f"last line {last!r}")
    check(seconds < stretched(5), f"it took {seconds:.1f} s")
    check("\x1b" not in outcome.text, "colours although it is no terminal")


@behaviour("at a terminal: what is typed is sent, what comes is shown, commands work")
async def _(bench):
    server = await bench.serve()
    terminal = await bench.terminal("connect", server.url())
    await terminal.see(">|connected|open")
    terminal.type("hello\r")
    await terminal.see(r"hello(.|\n)*hello")
    terminal.type("//slash\r")
    await terminal.see(r"//slash(.|\n)*[^/]/slash")
    terminal.type("/help\r")
    await terminal.see(r"/close")
    terminal.type("/ping\r")
    await terminal.see(r"(?i)pong|ms")
    terminal.type("/close 3000 done\r")
    equal(await terminal.ended(), 0, "exit status of a close that was typed")


@behaviour("at a terminal: control characters that come are escaped")
async def _(bench):
    async def handler(connection):
        await connection.send("\x1b[31mred\x07")
        await connection.wait_closed()

    server = await bench.python_server(handler)
    terminal = await bench.terminal("connect", server.url())
    await terminal.see("red")
    check(b"\x1b[31mred" not in terminal.screen and b"\x07" not in terminal.screen, "a control character is shown")
    terminal.type("/close\r")
    equal(await terminal.ended(), 0, "exit status")


@behaviour("at a terminal: a password is asked for, unseen")
async def _(bench):
    server, _ = await _journey(bench, False)
    terminal = await bench.terminal("connect", "--user", USER, "--message", "hi", "--count", 1, server.url("/b"))
    await terminal.see(r"(?i)password")
    terminal.type(PASSWORD + "\r")
    equal(await terminal.ended(), 0, "exit status")
    check(PASSWORD.encode() not in terminal.screen, "the password is shown")


@behaviour("at a terminal: an interrupt at the prompt for a password ends its line, and echo is back", rows=[
    ("of the server", ["connect", "--user", USER, "URL"]),
    ("of the proxy", ["connect", "--proxy", "http://127.0.0.1:1", "--proxy-user", USER, "URL"]),
    ("of hash", ["hash", USER]),
])  # fmt: skip
async def _(bench, arguments):
    server, _ = await _journey(bench, False)
    arguments = [server.url("/b") if argument == "URL" else argument for argument in arguments]
    terminal = await bench.terminal(*arguments)
    await terminal.see(r"(?i)password[^\n]*: ")
    check(not terminal.echoes, "what is typed would be shown")
    terminal.type("\x03")
    equal(await terminal.ended(), 130, "exit status")
    lines = terminal.screen.decode().split("\r\n")
    prompt = next(index for index, line in enumerate(lines) if "assword" in line)
    check(lines[prompt].rstrip().endswith(":") or lines[prompt].endswith("^C"), f"the prompt's line is {lines[prompt]!r}")
    check(any(re.match("khp: (interrupted|the connect was cancelled)", line) for line in lines[prompt + 1 :]), f"the screen is {lines!r}")
    check(terminal.echoes, "what is typed is not shown any more")


@behaviour("at a terminal: a proxy's password is asked for, unseen, and given", rows=[("http", "http"), ("SOCKS", "socks5")])
async def _(bench, scheme):
    server = await bench.serve()
    seen = []

    async def proxy(reader, writer):
        if scheme == "http":
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                seen.append(head)
                if "Proxy-Authorization" in head:
                    break
                writer.write(b'HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm="gate"\r\nContent-Length: 0\r\n\r\n')
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            await reader.readexactly(4)
            writer.write(b"\x05\x02")
            _, size = await reader.readexactly(2)
            name = await reader.readexactly(size)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            seen.append(f"{name.decode()}:{password.decode()}")
            writer.write(b"\x01\x00")
            await reader.readexactly(4 + 4 + 2)
            writer.write(b"\x05\x00\x00\x01\0\0\0\0\0\0")
        await reader.read(1)
        writer.close()

    listener = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    terminal = await bench.terminal(
        "connect", "--proxy", f"{scheme}://127.0.0.1:{port}", "--proxy-user", USER, "--message", "hi", server.url()
    )
    await terminal.see(r"(?i)password[^\n]*: ")
    terminal.type(PASSWORD + "\r")
    await terminal.ended()
    listener.close()
    check(PASSWORD.encode() not in terminal.screen, "the password is shown")
    login = f"{USER}:{PASSWORD}"
    given = [login, base64.b64encode(login.encode()).decode()]
    check(any(one in text for one in given for text in seen), f"the proxy was given {seen!r}")


@behaviour("without a terminal, --proxy-user with a name alone ends with 2")
async def _(bench):
    outcome = await bench.connect("ws://127.0.0.1:1/", "--proxy", "http://127.0.0.1:1", "--proxy-user", USER)
    outcome.fails(2)
    check("KHP_PROXY_PASSWORD" in outcome.errors, f"standard error {outcome.errors!r}")


@behaviour("at a terminal: colours, and none with NO_COLOR", rows=[("colours", {}), ("none", {"NO_COLOR": "1"})])
async def _(bench, variables):
    server = await bench.serve()
    environment = {**bench.environment.variables, "TERM": "xterm", **variables}
    terminal = await bench.terminal("connect", "-v", "--message", "hi", server.url(), environment=environment)
    equal(await terminal.ended(), 0, "exit status")
    equal(b"\x1b[3" in terminal.screen, not variables, f"colours in {bytes(terminal.screen)!r}")


@behaviour("a token in a URL is shown nowhere", rows=[("plain", "off"), ("extended", "required")])
async def _(bench, extended):
    server = await bench.serve("--route", "/a=redirect:/b?access_token=canary-b", "--route", "/b=echo", "--json", "--trace")
    path = bench.unused_path(".transcript")
    outcome = await bench.connect(
        server.url("/a?x=1&token=canary-a"), "--json", "--trace", "--extended", extended, "--save-transcript", path,
        "--message", "hi", "--count", 1,
    )  # fmt: skip
    events = outcome.ends(0).events
    equal(events.one("open")["url"], server.url("/b?access_token=•••"), "url")
    equal(events.one("redirect")["from"], server.url("/a?x=1&token=•••"), "from")
    await server.process.see("closed")
    for name, text in [("standard output", outcome.text), ("standard error", outcome.errors), ("file", open(path).read()),
                       ("server", bytes(server.process.out + server.process.err).decode())]:  # fmt: skip
        check("canary" not in text, f"a token is in {name}")
        check("x=1&token=" in text, f"{name} does not show the rest of the query")
