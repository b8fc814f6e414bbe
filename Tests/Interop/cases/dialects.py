"""hixie-75 and hixie-76 with peers that nobody here wrote, and every dialect between `khp` and `khp`."""

from support.bench import PASSWORD, USER
from support.check import equal
from support.peers import dialect_client, dialect_server
from support.registry import behaviour

FOREIGN = True
HELLO = "Hello"
MESSAGES = [HELLO, "hällo € 😀", "", "x" * 65536]
# Netty 4.1.48 loses bytes of a frame that comes in several reads (of 1024 bytes), between its own two ends as well.
SHORT = [*MESSAGES[:3], "x" * 200]
AS_JOE = ["--user", f"{USER}:{PASSWORD}"]

SERVERS = [
    # dialect, script, messages; whether it knows subprotocols, whether it must be asked for one, whether it closes cleanly
    ("hixie-76", "perl_server.pl", MESSAGES, "known", True),
    ("hixie-76", "ruby_driver_server.rb", MESSAGES, "unknown", True),
    ("hixie-76", "em_websocket_server.rb", MESSAGES, "known", True),
    ("hixie-76", "node_driver_server.js", MESSAGES, "unknown", True),
    # Says `Sec-WebSocket-Protocol: default` to who asks for none, and ends the stream instead of answering FF 00.
    ("hixie-76", "eventlet_server.py", MESSAGES, "needed", False),
    ("hixie-76", "NettyServer.java", SHORT, "known", True),
    ("hixie-75", "ruby_websocket_server.rb", MESSAGES, "known", False),
    ("hixie-75", "ruby_driver_server.rb", MESSAGES, "unknown", False),
    ("hixie-75", "em_websocket_server.rb", MESSAGES, "unknown", False),
    ("hixie-75", "node_driver_server.js", MESSAGES, "unknown", False),
    ("hixie-75", "eventlet_server.py", MESSAGES, "unknown", False),
]
# Not as draft 75 demands byte for byte, although others let it pass: `WebSocket Protocol Handshake` in one word, or fields
# in small letters.
NOT_TO_THE_LETTER = ["perl_server.pl", "NettyServer.java"]


async def _connect(bench, server, dialect, messages, *options):
    said = [part for message in messages for part in ("--message", message)]
    outcome = await bench.connect(
        server.url("/echo?day=1"), "--dialect", dialect, "--extended", "off", "--json", "--count", len(messages),
        "--origin", "http://desk.example", *said, *options,
    )  # fmt: skip
    events = outcome.ends(0).events
    equal([event["text"] == message for event, message in zip(events.named("message"), messages)],
          [True] * len(messages), "the echoes are what was sent")  # fmt: skip
    equal(events.one("open")["dialect"], dialect, "dialect")
    return events


@behaviour("khp connect to a server of others", timeout=60, rows=[
    (f"{dialect}, {script}", dialect, script, *rest) for dialect, script, *rest in SERVERS])  # fmt: skip
async def _(bench, dialect, script, messages, subprotocols, clean):
    server = await dialect_server(bench, script, "chat")
    asking = ["--subprotocol", "chat"]
    if subprotocols != "needed":
        events = await _connect(bench, server, dialect, messages)
        equal(events.one("open").get("subprotocol"), None, "subprotocol")
        if clean:
            equal(events.one("close")["clean"], True, "clean")
    if subprotocols != "unknown":
        events = await _connect(bench, server, dialect, messages, *asking)
        equal(events.one("open").get("subprotocol"), "chat", "subprotocol")


@behaviour("a hixie-75 server of others that does not write what the draft demands: status 4", timeout=30, rows=[
    (script, script) for script in NOT_TO_THE_LETTER])  # fmt: skip
async def _(bench, script):
    server = await dialect_server(bench, script)
    outcome = await bench.connect(
        server.url(), "--dialect", "hixie-75", "--extended", "off", "--json", "--message", HELLO, "--count", 1
    )
    outcome.fails(4)


CLIENTS = [
    # dialect, script, messages, whether it asks for a subprotocol in the field of its dialect
    ("hixie-76", "perl_client.pl", MESSAGES, True),
    ("hixie-76", "ruby_websocket_client.rb", MESSAGES, False),
    ("hixie-76", "NettyClient.java", MESSAGES, True),
    ("hixie-75", "perl_client.pl", MESSAGES, True),
    ("hixie-75", "ruby_websocket_client.rb", MESSAGES, True),
]


@behaviour("a client of others to khp serve", timeout=60, rows=[
    (f"{dialect}, {script}", dialect, script, *rest) for dialect, script, *rest in CLIENTS])  # fmt: skip
async def _(bench, dialect, script, messages, asks):
    if script.startswith("Netty"):
        messages = SHORT
    server = await bench.serve("--dialects", dialect, "--subprotocol", "chat")
    for subprotocol in ("", "chat") if asks else ("",):
        said = await dialect_client(bench, script, dialect, server.url("/echo"), messages, subprotocol)
        equal([echo == message for echo, message in zip(said["messages"], messages)], [True] * len(messages), "echoes")
        equal(said["subprotocol"] or "", subprotocol, "subprotocol")
        if dialect == "hixie-76":
            equal(said["clean"], True, "FF 00 is answered")


@behaviour("one endpoint serves several dialects", timeout=30)
async def _(bench):
    server = await bench.serve("--dialects", "rfc6455,hixie-75,hixie-76")
    for dialect in ("hixie-76", "hixie-75"):
        said = await dialect_client(bench, "perl_client.pl", dialect, server.url("/echo"), MESSAGES)
        equal(len(said["messages"]), len(MESSAGES), f"echoes in {dialect}")
    async with bench.python_client(server.url()) as socket:
        await socket.send(HELLO)
        equal(await socket.recv(), HELLO, "echo in RFC 6455")


@behaviour(
    "an old dialect that was not asked for is refused", rows=[("hixie-76", "hixie-76"), ("hixie-75", "hixie-75")]
)
async def _(bench, dialect):
    server = await bench.serve()
    outcome = await bench.connect(server.url(), "--dialect", dialect, "--json", "--message", HELLO, "--count", 1)
    outcome.fails(4)
    await server.answers()


OLD = ["hixie-75", "hixie-76", "whatwg-2010"]


@behaviour("khp and khp: both handshakes, a redirect and a challenge inside", rows=[
    (f"{dialect}{', wss' if tls else ''}", dialect, tls) for dialect in OLD for tls in (False, True)])  # fmt: skip
async def _(bench, dialect, tls):
    server = await bench.serve(
        "--dialects", dialect, "--route", "/echo=echo", "--route", "/old=redirect:302:/echo", "--auth", "/echo=basic:desk",
        "--users", await bench.users(), tls=tls,
    )  # fmt: skip
    trust = ["--cacert", bench.certificates.authority] if tls else []
    said = [part for message in MESSAGES for part in ("--message", message)]
    outcome = await bench.connect(
        server.url("/old"), "--dialect", dialect, *trust, *AS_JOE, *said, "--json", "--count", len(MESSAGES)
    )
    events = outcome.ends(0).events
    equal([event["text"] == message for event, message in zip(events.named("message"), MESSAGES)], [True] * 4, "echoes")
    opened = events.one("open")
    equal((opened["dialect"], opened["redirects"], opened.get("status")), (dialect, 1, 101), "open")
    equal([event["layer"] for event in events.named("challenge")], ["extended"], "layers of challenges")
