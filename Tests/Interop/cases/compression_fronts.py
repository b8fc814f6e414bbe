"""permessage-deflate through nginx and HAProxy, which compress what they serve themselves, in either handshake."""

import asyncio
import gzip
import urllib.request

from cases.compression import COMPRESS, NO_CONTEXT, wanting
from cases.compression_browser import connect, speak, speaking_page
from support.bench import PASSWORD, USER
from support.browser import page
from support.check import check, equal
from support.compressing import (
    FRAGMENTS, GREETING, MESSAGES, aiohttp_client, websockets_client, whole, ws_client,
)  # fmt: skip
from support.compression import Expected, echoes, message_options, prove, prove_told, served
from support.daemons import haproxy, nginx, nginx_passes
from support.registry import behaviour
from support.tap import Tap

FOREIGN = True
FRONTS = ("nginx", "HAProxy")


async def front_of(bench, front: str, port: int, *, tls: bool = False, drops: bool = False):
    """A front end with compression on. `drops`: it takes Sec-WebSocket-Extensions out of the opening, as some do."""
    if front == "nginx":
        dropping = 'proxy_set_header Sec-WebSocket-Extensions "";' if drops else ""
        return await nginx(
            bench, f"location / {{ {nginx_passes(f'http://127.0.0.1:{port}')} {dropping} }}", tls=tls,
            http="gzip on; gzip_min_length 1; gzip_proxied any; gzip_types *;",
        )  # fmt: skip
    lines = "    compression algo gzip\n    compression type text/plain\n"
    if drops:
        lines += "    http-request del-header Sec-WebSocket-Extensions\n"
    return await haproxy(
        bench, f"{lines}    default_backend passed", backend=f"    server one 127.0.0.1:{port}", tls=tls
    )


async def compresses(daemon) -> None:
    """The front end's own compression is really on: it compresses a page."""

    def get():
        request = urllib.request.Request(daemon.url("/metrics", scheme="http"), headers={"Accept-Encoding": "gzip"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.headers.get("Content-Encoding"), gzip.decompress(answer.read())

    encoding, text = await asyncio.to_thread(get)
    equal(encoding, "gzip", "how the front end serves a page")
    check(b"# TYPE" in text, "the page is not what was asked for")


class Passage:
    """A tap, a front end, a tap and `khp serve`, in this order."""

    @staticmethod
    async def make(bench, front, *options, drops=False, metrics=True) -> "Passage":
        self = Passage()
        served_at = ["--metrics", "/metrics"] if metrics else []
        self.server = await bench.serve(*options, *served_at, "--max-message-size", 1 << 20, "-v", "--json")
        self.inner = await Tap.before(bench, self.server.port)
        self.daemon = await front_of(bench, front, self.inner.port, drops=drops)
        self.outer = await Tap.before(bench, self.daemon.port)
        return self

    async def conversations(self, index: int = 0):
        """The connection in front of and behind the front end, which passes each byte behind the heads as it is."""
        outer, inner = await self.outer.conversation(index), await self.inner.conversation(index)
        for name in ("client", "server"):
            before, behind = getattr(outer, name).behind_head, getattr(inner, name).behind_head
            equal(before == behind, True, f"whether what the {name} sent behind its head passed unchanged")
        return outer, inner


LAYERS = [
    # label, options of khp connect, options of khp serve, whether the front end drops the field, what must be seen
    ("in the opening", ["--extended", "off"], COMPRESS, False, Expected({"client_max_window_bits": 12})),
    ("inside the extended handshake", ["--extended", "required"], COMPRESS, False,
     Expected({"client_max_window_bits": 12}, layer="extended")),
    ("inside, where the opening cannot", ["--extended", "required"], COMPRESS, True,
     Expected({"client_max_window_bits": 12}, layer="extended")),
    ("inside, with a window of 2^9", ["--extended", "required"], [*wanting("server_max_window_bits=9")], True,
     Expected({"client_max_window_bits": 12}, layer="extended", window={"server": 9})),
    ("in the opening, without context", ["--extended", "off"], wanting("server_no_context_takeover; client_no_context_takeover"), False,
     Expected({**NO_CONTEXT, "client_max_window_bits": 12})),
    ("in the opening, before the extended handshake", ["--extended", "required"], [*COMPRESS, "--compress-at", "opening"], False,
     Expected({"client_max_window_bits": 12})),
]  # fmt: skip


@behaviour("khp connect, khp serve and between them", timeout=60, rows=[
    (f"{front}: {label}", front, *rest) for front in FRONTS for label, *rest in LAYERS])  # fmt: skip
async def _(bench, front, ours, theirs, drops, expected):
    passage = await Passage.make(bench, front, *theirs, drops=drops)
    outcome = await bench.connect(
        passage.outer.url(), *ours, *COMPRESS, "--json", "-v", *message_options(bench, MESSAGES), within=45
    )
    events = outcome.ends(0).events
    equal(echoes(events) == MESSAGES, True, "whether the echoes are what was sent")
    outer, inner = await passage.conversations()
    if drops:
        equal((outer.opening[0] is None, inner.opening[0]), (False, None), "what the opening asks for on either side")
    totals = prove(outer, expected, MESSAGES, MESSAGES)
    prove_told(events.one("open"), outcome.errors, expected, totals["client"], totals["server"])
    await served(passage.server, expected, totals)
    await compresses(passage.daemon)


@behaviour("compression with a front end that drops the field of the opening", timeout=60, rows=[(front, front) for front in FRONTS])
async def _(bench, front):
    passage = await Passage.make(bench, front, *COMPRESS, drops=True)
    outcome = await bench.connect(
        passage.outer.url(), *COMPRESS, "--extended", "off", "--json", "-v", *message_options(bench, MESSAGES), within=45
    )
    events = outcome.ends(0).events
    equal(echoes(events) == MESSAGES, True, "whether the echoes are what was sent")
    outer, _ = await passage.conversations()
    totals = prove(outer, Expected(None), MESSAGES, MESSAGES)
    prove_told(events.one("open"), outcome.errors, Expected(None), totals["client"], totals["server"])


@behaviour("wss outside, agreed on inside", timeout=60, rows=[(front, front) for front in FRONTS])
async def _(bench, front):
    server = await bench.serve(*COMPRESS, "--max-message-size", 1 << 20, "-v", "--json")
    inner = await Tap.before(bench, server.port)
    daemon = await front_of(bench, front, inner.port, tls=True)
    outcome = await bench.connect(
        daemon.url(scheme="wss"), "--cacert", bench.certificates.authority, *COMPRESS, "--json", "-v",
        *message_options(bench, MESSAGES), within=45,
    )  # fmt: skip
    events = outcome.ends(0).events
    equal(echoes(events) == MESSAGES, True, "whether the echoes are what was sent")
    expected = Expected({"client_max_window_bits": 12}, layer="extended")
    totals = prove(await inner.conversation(), expected, MESSAGES, MESSAGES)
    prove_told(events.one("open"), outcome.errors, expected, totals["client"], totals["server"])


@behaviour("agreed on inside behind a redirect and a challenge", timeout=60, rows=[(front, front) for front in FRONTS])
async def _(bench, front):
    passage = await Passage.make(
        bench, front, "--route", "/echo=echo", "--route", "/old=redirect:302:/echo", "--auth", "/echo=basic:desk",
        "--users", await bench.users(), *COMPRESS, metrics=False,
    )  # fmt: skip
    text = "tick " * 400
    outcome = await bench.connect(
        passage.outer.url("/old"), "--user", f"{USER}:{PASSWORD}", *COMPRESS, "--json", "-v", *message_options(bench, [text]), within=45
    )  # fmt: skip
    events = outcome.ends(0).events
    equal(echoes(events), [text], "echo")
    equal([event["layer"] for event in events.named("redirect") + events.named("challenge")], ["extended"] * 2, "layers")
    outer, _ = await passage.conversations(1)
    requests, responses, _, _ = outer.by_layer()
    equal((len(requests), len(responses)), (2, 2), "requests and responses inside: the challenge, and its answer")
    expected = Expected({"client_max_window_bits": 12}, layer="extended")
    totals = prove(outer, expected, [text], [text])
    prove_told(events.one("open"), outcome.errors, expected, totals["client"], totals["server"])


CLIENTS = [
    ("websockets", websockets_client, {"client_max_window_bits": True}, FRAGMENTS),
    ("aiohttp", aiohttp_client, 15, []),
    ("ws", ws_client, {}, FRAGMENTS),
]


@behaviour("a client of others, khp serve and between them", timeout=60, rows=[
    (f"{front}: {name}{', the extended handshake on top' if extended else ''}", front, extended, *rest)
    for front in FRONTS for name, *rest in CLIENTS for extended in (False, True)
])  # fmt: skip
async def _(bench, front, extended, client, settings, fragments):
    options = [*COMPRESS, "--compress-at", "opening"] if extended else COMPRESS
    messages = [*fragments, *MESSAGES]
    passage = await Passage.make(bench, front, *options)
    seen = await client(bench, passage.outer.url(), settings, messages, GREETING if extended else None)
    equal((seen.error, seen.agreed, seen.code), (None, True, 1000), "the client's error, compression, close code")
    equal(seen.messages == [whole(message) for message in messages], True, "whether the echoes are what was sent")
    equal((seen.greeting or "").startswith("HTTP/1.1 101 "), extended, "whether the extended handshake completed")
    outer, _ = await passage.conversations()
    await served(passage.server, Expected({}), prove(outer, Expected({}), messages, messages))


@behaviour("Chromium, khp serve and between them", timeout=60)
async def _(bench):
    browser, *passages = await asyncio.gather(
        speaking_page(bench), *(Passage.make(bench, front, *COMPRESS) for front in FRONTS)
    )
    for passage in passages:
        await speak(browser, passage.outer.url(), "permessage-deflate")
        outer, _ = await passage.conversations()
        await served(passage.server, Expected({}), prove(outer, Expected({}), MESSAGES, MESSAGES))


@behaviour("the example in Chromium, khp serve and between them", timeout=60)
async def _(bench):
    browser, *passages = await asyncio.gather(
        page(bench),
        *(Passage.make(bench, front, *COMPRESS, "--compress-at", "opening", "--extension", "x-note") for front in FRONTS),
    )
    for passage in passages:
        opened = await browser.evaluate(connect(passage.outer.url(), "{ extensions: ['x-note'] }"))
        equal((opened.get("status"), opened.get("extensions")), (101, ["x-note"]), f"status, extensions ({opened})")
        outer, _ = await passage.conversations()
        equal(outer.opening[1], "permessage-deflate", "what the opening agreed on")
