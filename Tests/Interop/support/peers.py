"""Peers for the old dialects, in the languages that others wrote them in (`dialects/`): echo servers, and clients."""

import asyncio
import base64
import json
import os
import pathlib
import shutil
import sys

from support.check import Failed, equal
from support.process import Process

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "dialects"
JARS = ("buffer", "codec", "codec-http", "common", "handler", "resolver", "transport")
NETTY = [f"/usr/share/java/netty-{name}.jar" for name in JARS]
# Short-lived processes: less optimising, less memory.
JAVA = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]


def tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise Failed(f"{name} is not installed: scripts/setup.sh --interop sees to it")
    return found


async def _command(bench, script: str) -> list[str]:
    """How a script of the folder is run."""
    path = str(FOLDER / script)
    kind = script.rpartition(".")[2]
    if kind == "py":
        return [sys.executable, path]
    if kind == "java":
        classes = await bench.environment.once("netty", lambda: _compiled(bench))
        return [tool("java"), *JAVA, "-cp", ":".join([classes, *NETTY]), script.removesuffix(".java")]
    return [tool({"pl": "perl", "rb": "ruby", "js": "node"}[kind]), path]


async def _compiled(bench) -> str:
    """Netty's peers as classes."""
    classes = bench.environment.fresh(".classes")
    sources = [str(path) for path in FOLDER.glob("*.java")]
    arguments = ["-proc:none", "-cp", ":".join(NETTY), "-d", str(classes), *sources]
    process = await Process.start(tool("javac"), *arguments, name="javac", environment=environment())
    try:
        status = await process.ended(60)
        if status:
            raise Failed(f"javac: {bytes(process.err).decode(errors='replace')[-2000:]}")
    finally:
        await process.remove()
    return str(classes)


def environment() -> dict:
    return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "NODE_PATH": "/usr/share/nodejs"}


class DialectServer:
    """A running echo server of others."""

    def __init__(self, process: Process, port: int):
        self.process = process
        self.port = port

    def url(self, path: str = "/echo") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"


async def dialect_server(bench, script: str, subprotocol: str = "") -> DialectServer:
    command = await _command(bench, script)
    process = bench.keep(await Process.start(*command, subprotocol, name=script, environment=environment()))
    match = await process.see(r"^(\d+)\n", on="out", within=20)
    return DialectServer(process, int(match[1]))


async def dialect_client(
    bench, script: str, dialect: str, url: str, messages: list[str], subprotocol: str = ""
) -> dict:
    """The report of somebody else's client on its connection: `messages`, `subprotocol`, `clean`."""
    command = await _command(bench, script)
    process = bench.keep(
        await Process.start(
            *command, dialect, url, subprotocol, name=script, environment=environment(), stdin=asyncio.subprocess.PIPE
        )
    )
    if script.endswith(".java"):  # it has no JSON of its own
        text = "".join(base64.b64encode(message.encode()).decode() + "\n" for message in messages)
    else:
        text = json.dumps(messages)
    await process.write(text.encode())
    process.end_input()
    equal(await process.ended(20), 0, f"status of {script}")
    said = json.loads(bytes(process.out))
    if "base64" in said:
        said["messages"] = [base64.b64decode(echo).decode() for echo in said.pop("base64")]
    return said
