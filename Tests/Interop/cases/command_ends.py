"""How the command ends from outside: a reader that leaves, an output that cannot be written, signals, a close typed."""

import asyncio
import json
import os
import signal
import time

from support.check import Failed, check, equal, holds
from support.patience import stretched
from support.registry import behaviour
from support.wire import TEXT


class Piped:
    """The command with a standard output of which the case holds the other end."""

    def __init__(self, process, descriptor: int, arguments):
        self.process = process
        self.descriptor = descriptor
        self.arguments = arguments
        self.errors = b""

    @staticmethod
    async def start(bench, *arguments, joined: bool = False) -> "Piped":
        reading, writing = os.pipe()
        arguments = [str(argument) for argument in arguments]
        process = await asyncio.create_subprocess_exec(
            bench.environment.khp, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=writing,
            stderr=writing if joined else asyncio.subprocess.PIPE, env=bench.environment.variables,
        )  # fmt: skip
        os.close(writing)
        return bench.keep(Piped(process, reading, arguments))

    async def lines(self, count: int) -> bytes:
        def read():
            data = b""
            while data.count(b"\n") < count and (chunk := os.read(self.descriptor, 1)):
                data += chunk
            return data

        return await asyncio.wait_for(asyncio.to_thread(read), stretched(15))

    def leave(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    async def ended(self, within: float) -> int:
        if self.process.stderr is not None:
            self.errors = await asyncio.wait_for(self.process.stderr.read(), stretched(within))
        return await asyncio.wait_for(self.process.wait(), stretched(within))

    async def remove(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self.leave()

    def context(self) -> str:
        return f"$ khp {' '.join(self.arguments)}\n  status {self.process.returncode}\n  err| {self.errors[-500:]!r}"


@behaviour("a reader of standard output that leaves ends it at once, quietly, with 0", rows=[
    ("lines", [], True, False), ("lines, nothing more comes", [], False, False),
    ("events", ["--json"], True, False), ("events, nothing more comes", ["--json"], False, False),
    ("steps in the same pipe", ["-v"], True, True), ("reconnecting", ["--reconnect"], True, False),
    ("staying", ["--listen"], False, False),
])  # fmt: skip
async def _(bench, options, floods, joined):
    codes = []

    async def script(peer):
        await peer.open(None)
        try:
            for number in range(10**6 if floods else 40):
                await peer.send_text(f"line {number} " + "x" * 50)
            await peer.until_end()
        except (ConnectionError, Failed):
            pass
        codes.append("gone")

    server = await bench.raw_server(script)
    run = await Piped.start(bench, "connect", "--count", 10**6, *options, server.url(), joined=joined)
    await run.lines(20)
    left = time.monotonic()
    run.leave()
    equal(await run.ended(10), 0, "exit status")
    took = time.monotonic() - left
    check(took < stretched(2), f"it took {took:.1f} s to notice")
    equal(run.errors, b"", "standard error")


@behaviour("a reader that leaves while the connect lasts ends it with 0")
async def _(bench):
    seen = asyncio.Event()

    async def script(peer):
        await peer.read_opening()
        seen.set()
        await peer.until_end()

    server = await bench.raw_server(script)
    run = await Piped.start(bench, "connect", "--json", server.url())
    await asyncio.wait_for(seen.wait(), stretched(10))
    run.leave()
    equal(await run.ended(3), 0, "exit status")
    equal(run.errors, b"", "standard error")


@behaviour("a reader that leaves ends the demo with 0; a server goes on")
async def _(bench):
    demo = await Piped.start(bench, "demo", "--trace")
    await demo.lines(3)
    demo.leave()
    equal(await demo.ended(3), 0, "exit status of the demo")
    equal(demo.errors, b"", "standard error")
    serve = await Piped.start(bench, "serve", "--port", 0, "--json")
    port = json.loads(await serve.lines(1))["port"]
    serve.leave()
    for _ in range(3):
        (await bench.connect(f"ws://127.0.0.1:{port}/echo", "--message", "hi", "--count", 1)).ends(0)
    serve.process.send_signal(signal.SIGTERM)
    equal(await serve.ended(5), 0, "exit status of the server")


@behaviour("what cannot be written ends it with 74 and one sentence", rows=[
    ("lines", ["connect", "--message", "hi", "--listen", "URL"]), ("events", ["connect", "--json", "URL"]),
    ("the demo", ["demo"]), ("the help", ["--help"]), ("the version", ["--version"]),
    ("a hash", ["hash", "--token", "robot"]),
])  # fmt: skip
async def _(bench, arguments):
    server = await bench.serve()
    arguments = [server.url() if argument == "URL" else argument for argument in arguments]
    with open("/dev/full", "wb") as full:
        process = await asyncio.create_subprocess_exec(
            bench.environment.khp, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=full,
            stderr=asyncio.subprocess.PIPE, env=bench.environment.variables,
        )  # fmt: skip
    try:
        _, errors = await asyncio.wait_for(process.communicate(), stretched(5))
    except asyncio.TimeoutError:
        process.kill()
        raise Failed("it goes on although nothing can be written") from None
    equal(process.returncode, 74, f"exit status ({errors!r})")
    equal(errors.count(b"\n"), 1, f"lines on standard error ({errors!r})")
    holds(errors.decode(), "standard output cannot be written: No space left on device", "standard error")


@behaviour("without a standard output no socket or file takes its place", rows=[
    ("lines", []), ("events", ["--json"]), ("a capture", ["--pcap", "FILE"]),
])  # fmt: skip
async def _(bench, options):
    async def script(peer):
        await peer.open(None)
        await peer.send_text("payload")
        peer.tail = await peer.until_end()
        check(b"payload" not in peer.tail, "what belongs to standard output went to the server")

    server = await bench.raw_server(script)
    file = bench.file()
    options = [file if option == "FILE" else option for option in options]
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", '"$0" "$@" >&-', bench.environment.khp, "connect", "--listen", *options, server.url(),
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env=bench.environment.variables,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), stretched(10))
    equal(process.returncode, 74, f"exit status ({errors!r})")
    if file in options:
        equal(open(file, "rb").read(4), b"\xd4\xc3\xb2\xa1", "the first bytes of the capture")


@behaviour("a second signal ends it with 128 and its number", rows=[
    ("INT, INT", [signal.SIGINT, signal.SIGINT], 130), ("TERM, TERM", [signal.SIGTERM, signal.SIGTERM], 143),
    ("INT, TERM", [signal.SIGINT, signal.SIGTERM], 143), ("TERM, INT", [signal.SIGTERM, signal.SIGINT], 130),
])  # fmt: skip
async def _(bench, signals, status):
    closed = asyncio.Event()

    async def script(peer):
        await peer.open(None)
        await peer.send_text("ready")
        await peer.expect_close(1001, answer=False)
        closed.set()
        await peer.until_end()

    server = await bench.raw_server(script)
    process = await bench.start("connect", "--listen", server.url())
    await process.see("ready", on="out")
    process.signal(signals[0])
    await asyncio.wait_for(closed.wait(), stretched(5))
    process.signal(signals[1])
    equal(await process.ended(3), status, "exit status")


@behaviour("a signal while it connects ends it with 128 and its number", rows=[
    ("INT", signal.SIGINT, 130), ("TERM", signal.SIGTERM, 143),
])  # fmt: skip
async def _(bench, number, status):
    seen = asyncio.Event()

    async def script(peer):
        await peer.read_opening()
        seen.set()
        await peer.until_end()

    server = await bench.raw_server(script)
    process = await bench.start("connect", "--json", server.url())
    await asyncio.wait_for(seen.wait(), stretched(10))
    process.signal(number)
    outcome = await bench.outcome(process, 3)
    outcome.fails(status)


@behaviour("a second signal ends a server that drains", rows=[("TERM", signal.SIGTERM, 143), ("INT", signal.SIGINT, 130)])
async def _(bench, number, status):
    server = await bench.serve()
    client = await server.client()
    await client.complete()
    server.process.signal(number)
    await client.expect_close(1001, answer=False)
    server.process.signal(number)
    equal(await server.process.ended(3), status, "exit status")


@behaviour("--count: once all came its time limit counts no more, however long the server's end takes", rows=[
    ("lines", []), ("events", ["--json"]),
])  # fmt: skip
async def _(bench, options):
    async def script(peer):
        await peer.open(None)
        for number in range(3):
            await peer.send_text(f"line {number}")
        await peer.expect_close(1000)
        # Both close frames are through, and TCP stays open.
        await peer.until_end(15)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--count", 2, "--timeout", 0.5, *options)
    outcome.ends(0)
    if options:
        events = outcome.events
        equal([event["text"] for event in events.named("message")], ["line 0", "line 1"], "messages")
        equal(events.one("close")["code"], 1000, "code")
    else:
        equal(outcome.lines, ["line 0", "line 1"], "lines")
    equal(outcome.errors, "", "standard error")


@behaviour("--count: a close with another code after all came ends with 1")
async def _(bench):
    async def script(peer):
        await peer.open(None)
        await peer.send_text("one")
        await peer.expect_close(1000, answer=False)
        await peer.send_close(4001, "no")
        peer.end()

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), "--count", 1, "--timeout", 2)).ends(1)


@behaviour("--listen stays after the end of input until the peer closes", rows=[
    ("messages", ["--message", "subscribe"], None), ("standard input", [], b"subscribe\n"), ("nothing sent", [], b""),
])  # fmt: skip
async def _(bench, options, stdin):
    async def script(peer):
        await peer.open(None)
        if options or stdin:
            equal(await peer.text(), "subscribe", "what came")
        # Far longer than it listens without the option.
        await asyncio.sleep(0.7)
        await peer.send_text("late")
        await peer.close(1000)

    server = await bench.raw_server(script)
    outcome = (await bench.connect(server.url(), "--listen", *options, stdin=stdin)).ends(0)
    equal(outcome.text, "late\n", "standard output")


@behaviour("an unanswered close is ours: by local, not clean, without the code that we sent", rows=[
    ("the stream ends", False), ("a reset", True),
])  # fmt: skip
async def _(bench, resets):
    async def script(peer):
        await peer.open(None)
        await peer.expect_close(1000, answer=False)
        if resets:
            return peer.abort()
        peer.end()

    server = await bench.raw_server(script)
    outcome = (await bench.connect(server.url(), "--json")).ends(1)
    close = outcome.events.one("close")
    equal(close["by"], "local", "by")
    equal(close["clean"], False, "clean")
    equal(close["code"], 1006, "code")


@behaviour("nothing but text frames reaches standard output, whatever the reader's pace")
async def _(bench):
    async def script(peer):
        await peer.open(None)
        for number in range(2000):
            await peer.send(peer.frame(TEXT, f"{number}".encode()))
        await peer.close(1000)

    server = await bench.raw_server(script)
    run = await Piped.start(bench, "connect", "--listen", server.url())
    text = await run.lines(2000)
    equal(await run.ended(5), 0, "exit status")
    equal(text.decode().split(), [str(number) for number in range(2000)], "lines")
