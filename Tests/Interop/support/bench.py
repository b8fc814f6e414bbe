"""The tools of a case: the command, raw peers, Python's websockets; and the clean-up of all of it."""

import asyncio
import json
import os
import pathlib
import re
from dataclasses import dataclass

import websockets.asyncio.client
import websockets.asyncio.server

from support.certificates import Certificates
from support.check import Failed, Skipped, check, equal
from support.events import Events
from support.process import Process
from support.rawclient import RawClient
from support.rawserver import RawServer
from support.terminal import Terminal
from support.wire import basic

USER, PASSWORD = "joe", "welcome-1f9c"
# Secrets that no case may show: the password, and what goes over the wire for it.
SECRETS = [PASSWORD, basic(USER, PASSWORD).removeprefix("Basic ")]


class Environment:
    """The parts that all cases share: the program, certificates, a file of users."""

    def __init__(self, khp: str, examples: str, folder: pathlib.Path, seed: int, hummingbird: str = ""):
        self.khp = khp
        self.examples = pathlib.Path(examples).resolve()
        self.hummingbird = pathlib.Path(hummingbird).resolve() if hummingbird else pathlib.Path("/nonexistent")
        self.folder = folder
        self.seed = seed
        self.certificates = Certificates(folder / "certificates")
        self._made: dict[str, asyncio.Future] = {}
        self._names = 0
        self.variables = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
        }

    @staticmethod
    async def prepare(
        khp: str, folder: str, seed: int, examples: str = ".build/debug", hummingbird: str = ""
    ) -> "Environment":
        environment = Environment(khp, examples, pathlib.Path(folder), seed, hummingbird)
        (environment.folder / "home").mkdir()
        await environment.certificates.make()
        return environment

    def fresh(self, suffix: str = "") -> pathlib.Path:
        self._names += 1
        return self.folder / f"file-{self._names}{suffix}"

    async def users(self) -> str:
        """A file for --users with one user, whose line `khp hash` made from a password on standard input."""
        return await self.once("users", self._make_users)

    async def once(self, name: str, make):
        """The result of `make`, made by the first who asks, whatever happens to that case."""
        if name not in self._made:
            self._made[name] = asyncio.ensure_future(make())
        return await asyncio.shield(self._made[name])

    async def _make_users(self) -> str:
        process = await Process.start(self.khp, "hash", USER, stdin=asyncio.subprocess.PIPE, environment=self.variables)
        await process.write(f"{PASSWORD}\n".encode())
        process.end_input()
        equal(await process.ended(20), 0, "status of khp hash")
        path = self.fresh(".users")
        path.write_bytes(bytes(process.out))
        return str(path)


@dataclass
class Outcome:
    """How a run of the command ended."""

    status: int
    out: bytes
    err: bytes
    arguments: list[str]

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "backslashreplace")

    @property
    def errors(self) -> str:
        return self.err.decode("utf-8", "backslashreplace")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def events(self) -> Events:
        return Events.parse(self.out)

    @property
    def sentence(self) -> str:
        """The one sentence on standard error; D21's warning about Basic without TLS does not count, nor does a refusal's
        entity below the sentence (KHP-E20)."""
        lines = [line for line in self.errors.splitlines() if not re.search(r"\bwarning\b", line, re.IGNORECASE)]
        if lines and lines[0].startswith("khp: "):
            lines = [lines[0]] + [line for line in lines[1:] if line.startswith("khp: ")]
        if len(lines) != 1:
            raise Failed(f"{len(lines)} lines on standard error instead of one sentence: {lines!r}")
        line = lines[0]
        check(len(line.split()) >= 4, f"no sentence: {line!r}")
        for dump in ("Error(", "WebSocketError", "Optional(", "NIO", "(error ", "errno", "BoringSSL"):
            check(dump not in line, f"no sentence for a person ({dump!r}): {line!r}")
        return line

    def echoed(self, text: str) -> Events:
        """Ended well, this one message came back, after both handshakes; the events."""
        events = self.ends(0).events
        equal(events.one("message")["text"], text, "the echo")
        equal(events.one("open").get("status"), 101, "status of the extended handshake")
        return events

    def ends(self, status: int) -> "Outcome":
        equal(self.status, status, f"exit status ({self.errors.strip()[-300:]!r})")
        return self

    def fails(self, status: int) -> "Outcome":
        """Ends with this status, says why in one sentence and, with --json, in one event."""
        self.ends(status)
        sentence = self.sentence
        if "--json" in self.arguments:
            event = self.events.one("error")
            equal(event["exit"], status, "exit in the error event")
            check(self.events[-1]["event"] in ("error", "close"), f"the error is not at the end: {self.events.names}")
            check(event["message"].strip(), f"no message in the error event; standard error says {sentence!r}")
        return self


class Bench:
    def __init__(self, environment: Environment):
        self.environment = environment
        self.certificates = environment.certificates
        self.resources = []

    def keep(self, resource):
        self.resources.append(resource)
        return resource

    # The command

    async def start(self, *arguments, stdin=asyncio.subprocess.DEVNULL, **variables) -> Process:
        """Starts the command; the case goes on while it runs."""
        environment = {**self.environment.variables, **variables}
        arguments = [str(argument) for argument in arguments]
        process = await Process.start(self.environment.khp, *arguments, stdin=stdin, environment=environment)
        return self.keep(process)

    async def run(self, *arguments, stdin: bytes | None = None, within: float = 20, **variables) -> Outcome:
        """Runs the command to its end; standard input is empty unless given."""
        pipe = asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE
        process = await self.start(*arguments, stdin=pipe, **variables)
        if stdin is not None:
            try:
                await process.write(stdin)
            except ConnectionError:
                pass
            process.end_input()
        return await self.outcome(process, within)

    async def outcome(self, process: Process, within: float = 20) -> Outcome:
        status = await process.ended(within)
        outcome = Outcome(status, bytes(process.out), bytes(process.err), process.arguments)
        check(status >= 0, f"died by signal {-status}: {outcome.errors[-600:]}")
        for secret in SECRETS:
            check(secret not in outcome.text and secret not in outcome.errors, "a credential is shown")
        return outcome

    async def connect(self, url: str, *options, **how) -> Outcome:
        return await self.run("connect", *options, url, **how)

    async def terminal(self, *arguments, **how) -> Terminal:
        how.setdefault("environment", {**self.environment.variables, "TERM": "xterm"})
        arguments = [str(argument) for argument in arguments]
        return self.keep(await Terminal.start(self.environment.khp, *arguments, **how))

    async def serve(self, *options, tls: bool = False) -> "Serve":
        """`khp serve` on a free port, listening."""
        if tls:
            options += ("--tls-cert", self.certificates.certificate(), "--tls-key", self.certificates.key())
        process = await self.start("serve", "--port", 0, *options)
        match = await process.see(r"listening on (wss?)://([^\s:/]+):(\d+)")
        server = Serve(self, process, match[1].decode(), int(match[3]))
        equal(server.scheme, "wss" if tls else "ws", "scheme of `listening on`")
        return server

    async def streaming(self, tls: bool = False) -> "Serve":
        """The example that serves ordinary HTTP beside its endpoint."""
        options = (self.certificates.certificate(), self.certificates.key()) if tls else ()
        program = str(self.environment.examples / "ExampleStreamingServer")
        process = await Process.start(
            program, "0", *map(str, options), environment=self.environment.variables, name="ExampleStreamingServer"
        )
        self.keep(process)
        match = await process.see(r"address=[0-9.]+:(\d+).*listening")
        return Serve(self, process, "wss" if tls else "ws", int(match[1]))

    async def hummingbird(self) -> "Serve":
        """The example of endpoints in an application of hummingbird; its build takes long, so few machines have it."""
        program = self.environment.hummingbird
        if not os.access(program, os.X_OK):
            raise Skipped("ExampleHummingbird is not built: make hummingbird")
        process = await Process.start(
            str(program), "0", environment=self.environment.variables, name="ExampleHummingbird"
        )
        self.keep(process)
        match = await process.see(r"listening on 127\.0\.0\.1:(\d+)")
        return Serve(self, process, "ws", int(match[1]))

    # Files and users

    def file(self, content: bytes | str = b"", suffix: str = "") -> str:
        path = self.environment.fresh(suffix)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def unused_path(self, suffix: str = "") -> str:
        return str(self.environment.fresh(suffix))

    async def users(self) -> str:
        return await self.environment.users()

    # Peers

    async def raw_server(self, script, **how) -> RawServer:
        return self.keep(await RawServer(script, **how).start())

    async def raw_client(self, port: int, tls=None) -> RawClient:
        client = await RawClient.dial(port, tls)
        self.keep(_Wire(client))
        return client

    async def python_server(self, handler, **how) -> "PythonServer":
        how.setdefault("compression", None)
        server = await websockets.asyncio.server.serve(handler, "127.0.0.1", 0, **how)
        return self.keep(PythonServer(server, "wss" if how.get("ssl") else "ws"))

    def python_client(self, url: str, **how):
        """A connection of Python's websockets, to be used with `async with`."""
        how.setdefault("compression", None)
        return websockets.asyncio.client.connect(url, proxy=None, **how)

    # The end of a case

    async def verdict(self) -> None:
        for resource in self.resources:
            if hasattr(resource, "verdict"):
                await resource.verdict()

    def context(self) -> str:
        return "\n".join(filter(None, (resource.context() for resource in self.resources)))

    async def clean_up(self) -> None:
        for resource in reversed(self.resources):
            await (resource.remove() if hasattr(resource, "remove") else resource.clean_up())


class _Wire:
    """A raw client's end, dropped when the case is over."""

    def __init__(self, client: RawClient):
        self.client = client

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        self.client.abort()


class Serve:
    """A running `khp serve`."""

    def __init__(self, bench: Bench, process: Process, scheme: str, port: int):
        self.bench = bench
        self.process = process
        self.scheme = scheme
        self.port = port

    def url(self, path: str = "/echo", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    @property
    def web(self) -> str:
        """Its address as the configuration of a server in front of it writes it."""
        return f"{'https' if self.scheme == 'wss' else 'http'}://127.0.0.1:{self.port}"

    async def client(self) -> RawClient:
        tls = self.bench.certificates.client_context() if self.scheme == "wss" else None
        return await self.bench.raw_client(self.port, tls)

    async def answers(self) -> None:
        """It still serves: a whole KHP handshake and an echo."""
        check(self.process.status is None, "the server is gone")
        client = await self.client()
        await client.complete()
        await client.expect_echo()
        await client.closes()


class PythonServer:
    def __init__(self, server, scheme: str):
        self.server = server
        self.scheme = scheme
        self.port = server.sockets[0].getsockname()[1]

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        self.server.close(close_connections=False)
        for connection in list(self.server.connections):
            connection.transport.abort()


def json_lines(output: bytes) -> list[dict]:
    """The objects of a server's --json, which has events beside those of the contract."""
    return [json.loads(line) for line in output.decode().splitlines()]
