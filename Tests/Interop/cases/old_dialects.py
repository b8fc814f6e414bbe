"""The dialects before RFC 6455, with Perl's Protocol::WebSocket and Ruby's websocket-driver as peers."""

import pathlib

from support.check import equal
from support.process import Process
from support.registry import behaviour

PEERS = pathlib.Path(__file__).resolve().parents[1] / "peers"
LINES = ["hello", "Grüße, 世界", "", "x" * 65536]

SERVERS = [
    ("Protocol::WebSocket, hixie-76", "perl", "hixie_server.pl", "hixie-76", "draft-ietf-hybi-00"),
    ("websocket-driver, hixie-76", "ruby", "hixie_server.rb", "hixie-76", "hixie-76"),
    ("websocket-driver, hixie-75", "ruby", "hixie_server.rb", "hixie-75", "hixie-75"),
]


async def peer(bench, program, name, *arguments):
    return bench.keep(
        await Process.start(program, str(PEERS / name), *arguments, environment=bench.environment.variables)
    )


@behaviour("connect exchanges messages with a server of another make and closes", rows=SERVERS, timeout=30)
async def _(bench, program, name, dialect, version):
    server = await peer(bench, program, name)
    port = int((await server.see(r"listening (\d+)", on="out"))[1])
    for extended in ("preferred", "off"):
        outcome = await bench.connect(
            f"ws://127.0.0.1:{port}/echo", "--dialect", dialect, "--extended", extended, "--count", len(LINES),
            stdin="".join(line + "\n" for line in LINES).encode(),
        )
        outcome.ends(0)
        equal(outcome.text.split("\n")[:-1], LINES, "what came back")
    await server.see(rf"version {version}", on="out")


@behaviour("a subprotocol is agreed on with a server of another make", rows=[SERVERS[0]], timeout=30)
async def _(bench, program, name, dialect, version):
    server = await peer(bench, program, name)
    port = int((await server.see(r"listening (\d+)", on="out"))[1])
    outcome = await bench.connect(
        f"ws://127.0.0.1:{port}/", "--json", "--dialect", dialect, "--extended", "off", "--subprotocol", "amqp",
        "--message", "x", "--count", "1",
    )
    outcome.ends(0)
    equal(outcome.events.one("open")["subprotocol"], "amqp", "subprotocol")


@behaviour("a hixie-75 server with another reason phrase is refused, as the draft says", timeout=30)
async def _(bench):
    server = await peer(bench, "perl", "hixie_server.pl")
    port = int((await server.see(r"listening (\d+)", on="out"))[1])
    (await bench.connect(f"ws://127.0.0.1:{port}/", "--dialect", "hixie-75")).fails(4)


CLIENTS = [("hixie-75", "draft-hixie-75"), ("hixie-76", "draft-ietf-hybi-00")]


@behaviour("serve exchanges messages with a client of another make and closes", rows=CLIENTS, timeout=30)
async def _(bench, version):
    server = await bench.serve("--dialects", "rfc6455,hixie-75,hixie-76")
    port = server.url().rpartition(":")[2].partition("/")[0]
    client = await peer(bench, "perl", "hixie_client.pl", port, version)
    equal(await client.ended(20), 0, f"status of the client ({bytes(client.err)[-300:]!r})")
    equal(bytes(client.out), b"same\n", "what the client says")
