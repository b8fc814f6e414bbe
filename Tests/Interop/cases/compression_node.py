"""permessage-deflate between `khp` and Node's ws, as client and as server."""

import zlib

from cases.compression import COMPRESS, NO_CLIENT_CONTEXT, NO_CONTEXT, NO_SERVER_CONTEXT, from_khp, to_khp, wanting
from support.check import among, check, equal
from support.compressing import FRAGMENTS, GREETING, MESSAGES, ws_client, ws_server
from support.compression import Expected
from support.deflate import TAIL
from support.registry import behaviour
from support.tap import Tap

FOREIGN = True

# Node's zlib takes 2^9 where 2^8 is asked for, which is within 2^8 as it looks back. Without context ws leaves messages
# of fewer than 1024 bytes as they are, and whole messages whose first fragment is that small: a threshold of 0 changes it.

CLIENTS = [
    # label, `perMessageDeflate` of the client, options of khp serve, what must be seen
    ("defaults", {}, COMPRESS, Expected({})),
    ("a window of 2^9 each", {"serverMaxWindowBits": 9, "clientMaxWindowBits": 9}, COMPRESS,
     Expected({"server_max_window_bits": 9, "client_max_window_bits": 9})),
    ("a window of 2^8 each", {"serverMaxWindowBits": 8, "clientMaxWindowBits": 8}, COMPRESS,
     Expected({"server_max_window_bits": 8, "client_max_window_bits": 8})),
    ("a window of 2^15 each", {"serverMaxWindowBits": 15, "clientMaxWindowBits": 15}, COMPRESS,
     Expected({"server_max_window_bits": 12, "client_max_window_bits": 15})),
    ("khp limits the client's window to 2^8", {}, wanting("client_max_window_bits=8"), Expected({"client_max_window_bits": 8})),
    ("khp limits the client's window to 2^10", {}, wanting("client_max_window_bits=10"),
     Expected({"client_max_window_bits": 10})),
    ("a client that takes no limit", {"clientMaxWindowBits": False}, wanting("client_max_window_bits=9"), Expected({})),
    ("no context", {"serverNoContextTakeover": True, "clientNoContextTakeover": True, "threshold": 0}, COMPRESS, Expected(NO_CONTEXT)),
    ("no context of the server's", {"serverNoContextTakeover": True}, COMPRESS, Expected(NO_SERVER_CONTEXT)),
    ("no context of the client's", {"clientNoContextTakeover": True, "threshold": 0}, COMPRESS, Expected(NO_CLIENT_CONTEXT)),
    ("khp wants no context", {"threshold": 0}, wanting("server_no_context_takeover; client_no_context_takeover"),
     Expected(NO_CONTEXT)),
    ("everything at once", {"serverNoContextTakeover": True, "clientNoContextTakeover": True, "serverMaxWindowBits": 9,
     "clientMaxWindowBits": 10, "threshold": 0}, COMPRESS,
     Expected({**NO_CONTEXT, "server_max_window_bits": 9, "client_max_window_bits": 10})),
    ("khp declines", {}, [], Expected(None)),
    ("the client does not ask", None, COMPRESS, Expected(None)),
]  # fmt: skip


@behaviour("khp serve speaks with a client of ws", timeout=60, rows=CLIENTS)
async def _(bench, settings, options, expected):
    await to_khp(bench, ws_client, settings, options, expected, [*FRAGMENTS, *MESSAGES])


@behaviour("a client of ws that will keep its context refuses an answer that takes it, and khp serve stays well", timeout=60)
async def _(bench):
    server = await bench.serve(*wanting("client_no_context_takeover"))
    seen = await ws_client(bench, server.url(), {"clientNoContextTakeover": False}, MESSAGES)
    equal(seen.error, "Invalid Sec-WebSocket-Extensions header", "the client's error")
    await server.answers()


SERVERS = [
    # label, `perMessageDeflate` of the server, options of khp connect, what must be seen
    ("defaults", {}, COMPRESS, Expected({"client_max_window_bits": 12})),
    ("a window of 2^9 each", {"serverMaxWindowBits": 9, "clientMaxWindowBits": 9}, COMPRESS,
     Expected({"server_max_window_bits": 9, "client_max_window_bits": 9})),
    ("a window of 2^8 each", {"serverMaxWindowBits": 8, "clientMaxWindowBits": 8}, COMPRESS,
     Expected({"server_max_window_bits": 8, "client_max_window_bits": 8})),
    # It answers with its own number, even above the one that was asked for (RFC 7692 section 7.1.2.2 wants at most that).
    ("a wider window than asked for", {"clientMaxWindowBits": 15}, COMPRESS,
     Expected({"client_max_window_bits": 15}, window={"client": 12})),
    ("khp asks for 2^8 each", {}, wanting("server_max_window_bits=8; client_max_window_bits=8"),
     Expected({"server_max_window_bits": 8, "client_max_window_bits": 8})),
    ("khp asks for 2^10 and 2^11", {}, wanting("server_max_window_bits=10; client_max_window_bits=11"),
     Expected({"server_max_window_bits": 10, "client_max_window_bits": 11})),
    ("no context", {"serverNoContextTakeover": True, "clientNoContextTakeover": True}, COMPRESS,
     Expected({**NO_CONTEXT, "client_max_window_bits": 12})),
    ("no context of the server's", {"serverNoContextTakeover": True}, COMPRESS,
     Expected({**NO_SERVER_CONTEXT, "client_max_window_bits": 12})),
    ("no context of the client's", {"clientNoContextTakeover": True}, COMPRESS,
     Expected({**NO_CLIENT_CONTEXT, "client_max_window_bits": 12})),
    ("khp wants no context", {}, wanting("server_no_context_takeover; client_no_context_takeover"),
     Expected({**NO_CONTEXT, "client_max_window_bits": 12})),
    ("the server declines", None, COMPRESS, Expected(None)),
    ("khp does not ask", {}, [], Expected(None)),
]  # fmt: skip


@behaviour("khp connect speaks with a server of ws", timeout=60, rows=SERVERS)
async def _(bench, settings, options, expected):
    await from_khp(bench, ws_server, settings, options, expected)


# ws does not decline what it cannot grant, as RFC 7692 section 5 has it: it refuses the opening.


@behaviour("a server of ws that cannot grant what khp connect asks for: status 4", timeout=60, rows=[
    ("its window", {"serverMaxWindowBits": 12}, "server_max_window_bits=9"),
    ("its context", {"serverNoContextTakeover": False}, "server_no_context_takeover"),
])  # fmt: skip
async def _(bench, settings, asked):
    peer = await ws_server(bench, settings)
    outcome = await bench.connect(f"ws://127.0.0.1:{peer.port}/", *wanting(asked), "--json", "--message", "x", "--count", 1)
    outcome.fails(4)
    equal(outcome.events.one("error")["status"], 400, "status of the opening")


# Its handshake's messages are compressed like any other.


@behaviour("khp connect completes the extended handshake where the opening agreed on compression", timeout=60)
async def _(bench):
    await from_khp(bench, ws_server, {}, COMPRESS, Expected({"client_max_window_bits": 12}), extended=True)


@behaviour("khp serve --compress-at opening completes the extended handshake of a compressing client", timeout=60)
async def _(bench):
    seen = await to_khp(
        bench, ws_client, {}, [*COMPRESS, "--compress-at", "opening"], Expected({}), greeting=GREETING
    )
    check(seen.greeting.startswith("HTTP/1.1 101 "), f"the extended handshake: {seen.greeting!r}")


@behaviour("a bomb of ws ends with 1009 at khp serve", timeout=60)
async def _(bench):
    server = await bench.serve("--compress", "--max-message-size", 100_000)
    seen = await ws_client(bench, server.url(), {}, [b"\0" * (8 << 20)])
    equal(seen.code, 1009, "close code")
    await server.answers()


@behaviour("a bomb of khp connect's ends the connection at ws", timeout=60)
async def _(bench):
    # 32 MiB where the server takes 16. ws 8.11 means to close with 1009, but goes on inflating after it has reset its
    # stream, and closes with 1007 when what is left makes no sense; with a client of its own as well.
    peer = await ws_server(bench, {})
    tap = await Tap.before(bench, peer.port)
    bomb = b"\0" * (32 << 20)
    outcome = await bench.connect(tap.url(), *COMPRESS, "--json", "--binary", bench.file(bomb), "--count", 1)
    closed = outcome.ends(1).events.one("close")
    among(closed.get("code"), (1007, 1009), "close code")
    equal(closed["by"], "peer", "who closed")
    sent = (await tap.conversation()).client.messages()
    equal(zlib.decompressobj(-12).decompress(sent[0].payload + TAIL) == bomb, True, "whether what was sent is right")
