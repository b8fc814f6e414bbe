"""permessage-deflate between `khp` and Python's websockets and aiohttp, each as client and as server."""

import random
import zlib

import websockets.asyncio.client

from support.check import Failed, check, equal
from support.compressing import (
    FRAGMENTS, GREETING, MESSAGES, aiohttp_client, aiohttp_server, websockets_client, websockets_server, whole,
)  # fmt: skip
from support.compression import Expected, echoes, message_options, prove, prove_told, served
from support.deflate import TAIL, Inflater
from support.registry import behaviour
from support.tap import Tap


async def to_khp(bench, client, settings, options, expected, messages=MESSAGES, greeting=None):
    """A client of others to `khp serve`: its word, ours and the wire's."""
    server = await bench.serve(*options, "--max-message-size", 1 << 20, "-v", "--json")
    tap = await Tap.before(bench, server.port)
    seen = await client(bench, tap.url(), settings, messages, greeting)
    equal(seen.error, None, "the client's error")
    equal(seen.agreed, expected.agreed is not None, "whether the client knows of compression")
    equal(seen.messages == [whole(message) for message in messages], True, "whether the echoes are what was sent")
    equal(seen.code, 1000, "close code")
    totals = prove(await tap.conversation(), expected, messages, messages)
    await served(server, expected, totals)
    return seen


async def from_khp(bench, server, settings, options, expected, extended=False):
    """`khp connect` to a server of others: its word, ours and the wire's."""
    peer = await server(bench, settings, extended)
    tap = await Tap.before(bench, peer.port)
    outcome = await bench.connect(
        tap.url(), *options, "--json", "-v", *message_options(bench, MESSAGES), "--extended",
        "required" if extended else "preferred", within=45,
    )  # fmt: skip
    events = outcome.ends(0).events
    equal(echoes(events) == MESSAGES, True, "whether the echoes are what was sent")
    equal(events.one("open").get("status"), 101 if extended else None, "status of the extended handshake")
    seen = await peer.over()
    equal(seen.agreed, expected.agreed is not None, "whether the server knows of compression")
    equal(seen.messages == MESSAGES, True, "whether the server received what was sent")
    totals = prove(await tap.conversation(), expected, MESSAGES, MESSAGES)
    prove_told(events.one("open"), outcome.errors, expected, totals["client"], totals["server"])


def wanting(parameters: str) -> list:
    """The option with which `khp` asks for, or grants, these parameters."""
    return ["--extension", f"permessage-deflate; {parameters}"]


COMPRESS = ["--compress"]
NO_SERVER_CONTEXT = {"server_no_context_takeover": True}
NO_CLIENT_CONTEXT = {"client_no_context_takeover": True}
NO_CONTEXT = {**NO_SERVER_CONTEXT, **NO_CLIENT_CONTEXT}


# Python's websockets, which asks for client_max_window_bits unless it is told not to. Its zlib cannot compress with a
# window of 2^8, so it fails where it would have to.

WEBSOCKETS_CLIENTS = [
    # label, the client's settings, options of khp serve, what must be seen
    ("defaults", {}, COMPRESS, Expected({})),
    ("a window of 2^9 each", {"server_max_window_bits": 9, "client_max_window_bits": 9}, COMPRESS,
     Expected({"server_max_window_bits": 9, "client_max_window_bits": 9})),
    ("a window of 2^8 of the server's", {"server_max_window_bits": 8}, COMPRESS, Expected({"server_max_window_bits": 8})),
    ("a window of 2^15 each", {"server_max_window_bits": 15, "client_max_window_bits": 15}, COMPRESS,
     Expected({"server_max_window_bits": 12, "client_max_window_bits": 15})),
    ("khp limits the client's window to 2^9", {}, wanting("client_max_window_bits=9"), Expected({"client_max_window_bits": 9})),
    ("khp keeps to 2^9 without a word", {}, wanting("server_max_window_bits=9"), Expected({}, window={"server": 9})),
    ("a client that takes no limit", {"client_max_window_bits": None}, wanting("client_max_window_bits=9"), Expected({})),
    ("no context", {"server_no_context_takeover": True, "client_no_context_takeover": True}, COMPRESS, Expected(NO_CONTEXT)),
    ("no context of the server's", {"server_no_context_takeover": True}, COMPRESS, Expected(NO_SERVER_CONTEXT)),
    ("no context of the client's", {"client_no_context_takeover": True}, COMPRESS, Expected(NO_CLIENT_CONTEXT)),
    ("khp wants no context", {}, wanting("server_no_context_takeover; client_no_context_takeover"), Expected(NO_CONTEXT)),
    ("khp declines", {}, [], Expected(None)),
    ("the client does not ask", None, COMPRESS, Expected(None)),
]  # fmt: skip


@behaviour("khp serve speaks with a client of websockets", timeout=60, rows=WEBSOCKETS_CLIENTS)
async def _(bench, settings, options, expected):
    if settings is not None:
        settings = {"client_max_window_bits": True, **settings}
    await to_khp(bench, websockets_client, settings, options, expected, [*FRAGMENTS, *MESSAGES])


WEBSOCKETS_SERVERS = [
    # label, the server's settings, options of khp connect, what must be seen
    ("defaults", {}, COMPRESS, Expected({"client_max_window_bits": 12})),
    ("a window of 2^9 each", {"server_max_window_bits": 9, "client_max_window_bits": 9}, COMPRESS,
     Expected({"server_max_window_bits": 9, "client_max_window_bits": 9})),
    ("a window of 2^8 of the client's", {"client_max_window_bits": 8}, COMPRESS, Expected({"client_max_window_bits": 8})),
    ("khp asks for 2^10", {}, wanting("server_max_window_bits=10; client_max_window_bits=11"),
     Expected({"server_max_window_bits": 10, "client_max_window_bits": 11})),
    ("no context", NO_CONTEXT, COMPRESS, Expected({**NO_CONTEXT, "client_max_window_bits": 12})),
    ("no context of the server's", NO_SERVER_CONTEXT, COMPRESS, Expected({**NO_SERVER_CONTEXT, "client_max_window_bits": 12})),
    ("no context of the client's", NO_CLIENT_CONTEXT, COMPRESS, Expected({**NO_CLIENT_CONTEXT, "client_max_window_bits": 12})),
    ("khp wants no context", {}, wanting("server_no_context_takeover; client_no_context_takeover"),
     Expected({**NO_CONTEXT, "client_max_window_bits": 12})),
    ("the server declines", None, COMPRESS, Expected(None)),
    ("khp does not ask", {}, [], Expected(None)),
]  # fmt: skip


@behaviour("khp connect speaks with a server of websockets", timeout=60, rows=WEBSOCKETS_SERVERS)
async def _(bench, settings, options, expected):
    await from_khp(bench, websockets_server, settings, options, expected)


# aiohttp, which can limit the server's window only and takes no part in anything else: it grants no parameter but
# server_max_window_bits and server_no_context_takeover, and refuses windows of 2^8.

AIOHTTP_CLIENTS = [
    ("defaults", 15, COMPRESS, Expected({})),
    *((f"a window of 2^{bits} of the server's", bits, COMPRESS, Expected({"server_max_window_bits": min(bits, 12)}))
      for bits in (9, 12, 14)),
    ("khp limits the client's window to 2^9", 15, wanting("client_max_window_bits=9"), Expected({"client_max_window_bits": 9})),
    ("khp wants no context of its own", 15, wanting("server_no_context_takeover"), Expected(NO_SERVER_CONTEXT)),
    ("khp wants no context of the client's", 15, wanting("client_no_context_takeover"), Expected(NO_CLIENT_CONTEXT)),
    ("khp declines", 15, [], Expected(None)),
    ("the client does not ask", None, COMPRESS, Expected(None)),
]  # fmt: skip


@behaviour("khp serve speaks with a client of aiohttp", timeout=60, rows=AIOHTTP_CLIENTS)
async def _(bench, settings, options, expected):
    await to_khp(bench, aiohttp_client, settings, options, expected)


@behaviour("a client of aiohttp cannot keep to a window of 2^8, and says so", timeout=60)
async def _(bench):
    server = await bench.serve(*wanting("client_max_window_bits=8"))
    seen = await aiohttp_client(bench, server.url(), 15, MESSAGES)
    equal(seen.error, "Invalid window size", "the client's error")
    await server.answers()


AIOHTTP_SERVERS = [
    ("defaults", True, COMPRESS, Expected({}, window={"client": 12})),
    ("khp asks for 2^9", True, wanting("server_max_window_bits=9"), Expected({"server_max_window_bits": 9})),
    ("khp asks for 2^14", True, wanting("server_max_window_bits=14"), Expected({"server_max_window_bits": 14})),
    ("khp asks for 2^8, which the server declines", True, wanting("server_max_window_bits=8"), Expected(None)),
    ("khp wants no context of the server's", True, wanting("server_no_context_takeover"), Expected(NO_SERVER_CONTEXT)),
    # The answer says nothing of it; khp keeps to what it has offered.
    ("khp wants no context of its own", True, wanting("client_no_context_takeover"), Expected({}, takeover={"client": False})),
    ("the server declines", False, COMPRESS, Expected(None)),
    ("khp does not ask", True, [], Expected(None)),
]  # fmt: skip


@behaviour("khp connect speaks with a server of aiohttp", timeout=60, rows=AIOHTTP_SERVERS)
async def _(bench, settings, options, expected):
    await from_khp(bench, aiohttp_server, settings, options, expected)


# The extended handshake on top of a WebSocket that compresses all it sends, its handshake's messages too.


@behaviour("khp connect completes the extended handshake where the opening agreed on compression", timeout=60, rows=[
    ("websockets", websockets_server, {}, {"client_max_window_bits": 12}), ("aiohttp", aiohttp_server, True, {})])  # fmt: skip
async def _(bench, server, settings, agreed):
    await from_khp(bench, server, settings, COMPRESS, Expected(agreed), extended=True)


CLIENTS = [("websockets", websockets_client, {"client_max_window_bits": True}), ("aiohttp", aiohttp_client, 15)]


@behaviour("khp serve --compress-at opening completes the extended handshake of a compressing client", timeout=60, rows=CLIENTS)
async def _(bench, client, settings):
    options = [*COMPRESS, "--compress-at", "opening"]
    seen = await to_khp(bench, client, settings, options, Expected({}), greeting=GREETING)
    check(seen.greeting.startswith("HTTP/1.1 101 "), f"the extended handshake: {seen.greeting!r}")


@behaviour("khp serve leaves compression to the extended handshake, where a client's own WebSocket has none", timeout=60, rows=CLIENTS)
async def _(bench, client, settings):
    seen = await to_khp(bench, client, settings, COMPRESS, Expected(None), greeting=GREETING)
    check(seen.greeting.startswith("HTTP/1.1 101 "), f"the extended handshake: {seen.greeting!r}")


@behaviour("a bomb of websockets ends with 1009 at khp serve", timeout=60)
async def _(bench):
    server = await bench.serve("--compress", "--max-message-size", 100_000)
    async with websockets.asyncio.client.connect(server.url(), proxy=None, max_size=None) as client:
        await client.send(b"\0" * (64 << 20))
        await client.wait_closed()
        equal(client.close_code, 1009, "close code")


# The judge itself


def _deflated(messages, bits, *, fresh=False):
    stream = zlib.compressobj(wbits=-bits)
    for message in messages:
        stream = zlib.compressobj(wbits=-bits) if fresh else stream
        yield (stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


FAR = random.Random(1).randbytes(2000) * 2


@behaviour("these cases find out who does not keep to what was agreed", timeout=60, rows=[
    ("a window that is too large", {"client_max_window_bits": 10}, {"bits": 15}, False),
    ("a window that is not", {"client_max_window_bits": 10}, {"bits": 10}, True),
    ("context", {"client_no_context_takeover": True}, {"bits": 15}, False),
    ("no context", {"client_no_context_takeover": True}, {"bits": 15, "fresh": True}, True),
])  # fmt: skip
async def _(_, agreed, how, is_right):
    judge = Inflater(agreed, "client")
    messages = [FAR, FAR]
    try:
        equal([judge.inflate(data) for data in _deflated(messages, **how)] == messages, True, "inflated")
    except Failed:
        check(not is_right, "what keeps to it is refused")
    else:
        check(is_right, "what does not keep to it passes")
