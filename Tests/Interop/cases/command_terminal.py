"""The command at a terminal: colours, slash words, pings, lines that are typed while the peer closes."""

import re
import signal

from support.check import check, equal, holds
from support.registry import behaviour
from support.wire import PING, PONG


@behaviour("at a terminal: connected, what was agreed on, and a mark before what comes")
async def _(bench):
    server = await bench.serve("--subprotocol", "amqp", "--extension", "x-note")
    terminal = await bench.terminal("connect", "--subprotocol", "amqp", "--extension", "x-note", server.url())
    match = await terminal.see(r"connected to ([^\r\n]*)\r\n")
    line = match[1].decode()
    for word in (server.url(), "amqp", "x-note", "101"):
        holds(line, word, "the line")
    terminal.type("hello\r")
    await terminal.see("\x1b\\[2m<\x1b\\[0m hello\r\n")
    terminal.type("\x04")
    equal(await terminal.ended(), 0, "exit status")
    equal(terminal.screen.count(b"connected to"), 1, "times that it says so")


@behaviour("at a terminal: no colour with NO_COLOR, and nothing of it in a pipe or in events", rows=[
    ("NO_COLOR", {"NO_COLOR": "1"}, [], False), ("a pipe", {}, [], True), ("events", {}, ["--json"], False),
])  # fmt: skip
async def _(bench, variables, options, to_pipe):
    server = await bench.serve()
    environment = {**bench.environment.variables, "TERM": "xterm", **variables}
    terminal = await bench.terminal("connect", *options, server.url(), environment=environment, output_to_pipe=to_pipe)
    if options:
        await terminal.see('"event":"open"')
    else:
        await terminal.see("connected to ws://")
    terminal.type("hello\r")
    if to_pipe:
        await terminal.see("> hello")
    elif options:
        await terminal.see('"event":"message"[^\r\n]*hello')
    else:
        # The prompt is erased first where it is there already.
        await terminal.see("[K\n]< hello\r\n")
    terminal.type("/close\r")
    equal(await terminal.ended(), 0, "exit status")
    if to_pipe:
        check(terminal.out in (b"hello\n", b""), f"standard output is {bytes(terminal.out)!r}")
    if options:
        check(b"connected to ws" not in terminal.screen, "a line beside the events")


@behaviour("at a terminal: /close ends with 0, whatever its code", rows=[
    ("plain", "/close"), ("a code", "/close 4000"), ("a code and a reason", "/close 3000 bye bye"),
])  # fmt: skip
async def _(bench, typed):
    seen = []

    async def handler(connection):
        await connection.wait_closed()
        seen.append((connection.close_code, connection.close_reason))

    server = await bench.python_server(handler)
    terminal = await bench.terminal("connect", server.url())
    await terminal.see("connected to")
    terminal.type(typed + "\r")
    equal(await terminal.ended(), 0, "exit status")
    words = typed.split(" ", 2) + ["", ""]
    equal(seen, [(int(words[1] or 1000), words[2])], "what the peer saw")
    check(b"khp: " not in terminal.screen, f"a failure is said: {bytes(terminal.screen)!r}")


@behaviour("at a terminal: /close that nobody answers ends with 0 as well, and says so")
async def _(bench):
    async def script(peer):
        await peer.open(None)
        await peer.expect_close(4000, answer=False)
        peer.end()

    server = await bench.raw_server(script)
    terminal = await bench.terminal("connect", server.url())
    await terminal.see("connected to")
    terminal.type("/close 4000\r")
    await terminal.see("did not answer")
    equal(await terminal.ended(), 0, "exit status")


@behaviour("at a terminal: an unknown slash word goes out, with one hint; // sends one slash less; mistakes stay here")
async def _(bench):
    server = await bench.serve()
    terminal = await bench.terminal("connect", server.url())
    await terminal.see("connected to")
    for typed, came in [("/nick joe", "/nick joe"), ("/me waves", "/me waves"), ("//close", "/close"), ("/", "/")]:
        terminal.type(typed + "\r")
        await terminal.see(re.escape(f"m {came}\r\n"))
    equal(len(re.findall(rb"/help", terminal.screen)), 1, "hints")
    terminal.type("/close 1005\r")
    await terminal.see("a close code is")
    terminal.type("/help\r")
    await terminal.see("/close \\[code")
    terminal.type("still here\r")
    await terminal.see("m still here")
    terminal.type("/close\r")
    equal(await terminal.ended(), 0, "exit status")


@behaviour("at a terminal: /ping TEXT sends that, and shows its round trip")
async def _(bench):
    async def script(peer):
        await peer.open(None)
        seen = await peer.read_frame()
        equal((seen.opcode, seen.payload), (PING, b"are you there"), "the ping")
        await peer.send_frame(PONG, seen.payload)
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    terminal = await bench.terminal("connect", server.url())
    await terminal.see("connected to")
    terminal.type("/ping are you there\r")
    await terminal.see("pong after [0-9.]+ ms")
    terminal.type("/close\r")
    equal(await terminal.ended(), 0, "exit status")


@behaviour("at a terminal: the peer closes while a line is being typed", rows=[
    ("1000", 1000, 0), ("4001", 4001, 1), ("a reset", None, 1),
])  # fmt: skip
async def _(bench, code, status):
    async def script(peer):
        await peer.open(None)
        await peer.text()
        if code is None:
            return peer.abort()
        await peer.close(code, "later")

    server = await bench.raw_server(script)
    terminal = await bench.terminal("connect", server.url())
    await terminal.see("connected to")
    terminal.type("go\rhalf a li")
    await terminal.see("lost" if code is None else f"closed with {code} \\(later\\)")
    equal(await terminal.ended(), status, "exit status")
    check(terminal.echoes, "what is typed is not shown any more")


@behaviour("at a terminal: a stop gives it back, and what is typed afterwards is seen as before", rows=[
    ("at the prompt", [], r"> "),
    ("at the prompt for a password", ["--user", "joe"], r"(?i)password[^\n]*: "),
])  # fmt: skip
async def _(bench, options, prompt):
    server = await bench.serve("--auth", "/echo=basic", "--users", await bench.users()) if options else await bench.serve()
    terminal = await bench.terminal("connect", *options, server.url())
    await terminal.see(prompt)
    check(not terminal.echoes, "what is typed is shown")
    terminal.process.send_signal(signal.SIGTSTP)
    await terminal.stopped()
    check(terminal.echoes, "the shell would be blind")
    terminal.process.send_signal(signal.SIGCONT)
    await terminal.see(prompt)
    check(not terminal.echoes, "what is typed is shown afterwards")


@behaviour("at a terminal: the end of input with --listen stays, and an interrupt closes")
async def _(bench):
    server = await bench.serve("--route", "/room=broadcast")
    terminal = await bench.terminal("connect", "--listen", server.url("/room"))
    await terminal.see("connected to")
    terminal.type("\x04")
    (await bench.connect(server.url("/room"), "--message", "from another", "--count", 1)).ends(0)
    await terminal.see("from another")
    terminal.type("\x03")
    equal(await terminal.ended(), 0, "exit status")
