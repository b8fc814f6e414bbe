"""`khp connect --pcap`, read by tcpdump."""

import asyncio
import pathlib
import re
import signal
import stat

from support.bench import PASSWORD, USER
from support.check import check, equal, holds, lacks
from support.registry import behaviour

FOREIGN = True

PACKET = re.compile(r"^\S+ (IP6?) (\S+) > (\S+): Flags \[([^\]]*)\], seq (\d+)(?::(\d+))?(?:, ack \d+)?, win \d+, length (\d+)")
AS_JOE = ["--user", f"{USER}:{PASSWORD}"]


async def tcpdump(path: str, *options) -> str:
    """The report of tcpdump on a capture; a packet that it cannot read is a failure."""
    process = await asyncio.create_subprocess_exec(
        "tcpdump", "-nn", "-S", "-t", *options, "-r", path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    equal(process.returncode, 0, f"status of tcpdump ({errors.decode()!r})")
    lacks(output.decode("utf-8", "replace"), "truncated", "tcpdump")
    lacks(output.decode("utf-8", "replace"), "bad-len", "tcpdump")
    return output.decode("utf-8", "replace")


async def connections(path: str) -> list[tuple[str, str]]:
    """Client and server of each connection, in order: each begins, goes on without gaps and ends."""
    begun, following = [], {}
    for line in (await tcpdump(path)).splitlines():
        packet = PACKET.match("- " + line)
        if packet is None:
            check(re.search(r"Flags \[\.\], ack \d+, win \d+, length 0", line), f"no packet: {line!r}")
            continue
        _, source, target, flags, first, last, length = packet.groups()
        if "S" in flags:
            following[source, target] = int(first) + 1
            if "." not in flags:
                begun.append((source, target))
            continue
        equal(int(first), following.get((source, target)), f"sequence number of {line!r}")
        equal(int(last or first) - int(first), int(length), f"length of {line!r}")
        following[source, target] = None if "F" in flags else int(first) + int(length)
    for connection in begun:
        for way in (connection, connection[::-1]):
            equal(following[way], None, f"the end of {way}")
    return begun


@behaviour("a redirect and a challenge: two connections, all of it in clear", rows=[("ws", False), ("wss", True)])
async def _(bench, tls):
    server = await bench.serve(
        "--route", "/a=redirect:/b", "--route", "/b=echo", "--auth", "/b=basic", "--users", await bench.users(), tls=tls
    )  # fmt: skip
    path = bench.unused_path(".pcap")
    trust = ["--cacert", bench.certificates.authority] if tls else []
    message = "tick " * 20000
    outcome = await bench.connect(
        server.url("/a?token=abc"), *AS_JOE, *trust, "--pcap", path, "--message", message, "--count", 1
    )
    equal(outcome.ends(0).lines, [message], "standard output")
    begun = await connections(path)
    equal([target for _, target in begun], [f"127.0.0.1.{server.port}"] * 2, "servers")
    equal(len({source for source, _ in begun}), 2, "clients")
    shown = await tcpdump(path, "-A")
    for text in ("GET /a?token=abc HTTP/1.1", "HTTP/1.1 302", "GET /b HTTP/1.1", "HTTP/1.1 401", "WWW-Authenticate: Basic",
                 "tick tick tick"):  # fmt: skip
        holds(shown, text, "the capture")
    equal(stat.S_IMODE(pathlib.Path(path).stat().st_mode), 0o600, "mode of the file")


@behaviour("an interrupt, a lost connection, a violation: what was said is there", rows=[
    ("interrupt", "interrupt", 0), ("lost", "lost", 1), ("violation", "violation", 9),
])  # fmt: skip
async def _(bench, how, status):
    async def handler(connection):
        await connection.send("the last words")
        if how == "lost":
            connection.transport.abort()
        elif how == "violation":
            connection.transport.write(b"\xc1\x00")
        await connection.wait_closed()

    server = await bench.python_server(handler)
    path = bench.unused_path(".pcap")
    process = await bench.start("connect", "--pcap", path, server.url(), stdin=asyncio.subprocess.PIPE)
    await process.see("the last words", on="out")
    if how == "interrupt":
        process.signal(signal.SIGINT)
    equal(await process.ended(10), status, "exit status")
    equal(len(await connections(path)), 1, "connections")
    holds(await tcpdump(path, "-A"), "the last words", "the capture")


@behaviour("a file that cannot be written: status 2, nobody is connected to")
async def _(bench):
    server = await bench.serve("--json")
    (await bench.connect(server.url(), "--pcap", "/does/not/exist", "--message", "hi")).fails(2)
    lacks(bytes(server.process.out).decode(), "connected", "events of the server")
