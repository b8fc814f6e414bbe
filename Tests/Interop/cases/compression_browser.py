"""permessage-deflate with headless Chromium, and the page that completes the extended handshake where it is in force."""

import asyncio
import json

from cases.compression import COMPRESS, NO_CLIENT_CONTEXT, NO_CONTEXT, NO_SERVER_CONTEXT, wanting
from support.bench import PASSWORD, USER
from support.browser import log_in, page
from support.check import Failed, check, equal, holds
from support.compressing import MESSAGES, packed
from support.compression import Expected, prove, served
from support.deflate import Inflater
from support.registry import behaviour
from support.tap import Tap

FOREIGN = True

# A message is compared where it comes back.
GIVEN = """
window.messages = %s.map(({ text, base64 }) => text ?? Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
window.speak = (url) => new Promise((resolve) => {
  const socket = new WebSocket(url);
  const received = [];
  socket.binaryType = "arraybuffer";
  socket.onopen = () => messages.forEach((message) => socket.send(message));
  socket.onmessage = ({ data }) => {
    received.push(typeof data === "string" ? data : new Uint8Array(data));
    if (received.length === messages.length) socket.close(1000);
  };
  const isSame = (one, other) => typeof one === "string" ? one === other
    : one.length === other.length && one.every((byte, i) => byte === other[i]);
  socket.onclose = ({ code, wasClean }) => resolve({
    code, wasClean, extensions: socket.extensions,
    same: received.length === messages.length && received.every((data, i) => isSame(data, messages[i])),
  });
});
0
"""


async def speak(browser, url: str, extensions: str) -> None:
    """The page sends all messages, and says what it made of it."""
    seen = await browser.evaluate(f"speak({json.dumps(url)})")
    equal(seen["same"], True, "whether the echoes are what was sent")
    equal((seen["code"], seen["wasClean"]), (1000, True), "the close")
    equal(seen["extensions"], extensions, "socket.extensions")


async def speaking_page(bench):
    browser = await page(bench)
    await browser.evaluate(GIVEN % json.dumps([packed(message) for message in MESSAGES]))
    return browser


# Chromium asks for `permessage-deflate; client_max_window_bits`; the rest is the server's choice. With 2^8 its zlib takes
# 2^9, which is within 2^8 as it looks back.

SETTINGS = [
    ("defaults", COMPRESS, Expected({}, window={"server": 12})),
    ("the client's window of 2^8", wanting("client_max_window_bits=8"), Expected({"client_max_window_bits": 8})),
    ("the client's window of 2^9", wanting("client_max_window_bits=9"), Expected({"client_max_window_bits": 9})),
    ("the client's window of 2^12", wanting("client_max_window_bits=12"), Expected({"client_max_window_bits": 12})),
    ("the server's window of 2^9", wanting("server_max_window_bits=9"), Expected({}, window={"server": 9})),
    ("no context of the server's", wanting("server_no_context_takeover"), Expected(NO_SERVER_CONTEXT)),
    ("no context of the client's", wanting("client_no_context_takeover"), Expected(NO_CLIENT_CONTEXT)),
    ("no context", wanting("server_no_context_takeover; client_no_context_takeover"), Expected(NO_CONTEXT)),
    ("the server declines", [], Expected(None)),
]  # fmt: skip


@behaviour("khp serve speaks with Chromium, whatever the two agree on", timeout=60)
async def _(bench):
    browser, *servers = await asyncio.gather(
        speaking_page(bench),
        *(bench.serve(*options, "--max-message-size", 1 << 20, "-v", "--json") for _, options, _ in SETTINGS),
    )
    for (label, _, expected), server in zip(SETTINGS, servers):
        tap = await Tap.before(bench, server.port)
        try:
            agreed = "" if expected.agreed is None else "; ".join(
                ["permessage-deflate", *(key if value is True else f"{key}={value}" for key, value in expected.agreed.items())]
            )  # fmt: skip
            await speak(browser, tap.url(), agreed)
            conversation = await tap.conversation()
            equal(conversation.opening[0], "permessage-deflate; client_max_window_bits", "what Chromium asks for")
            await served(server, expected, prove(conversation, expected, MESSAGES, MESSAGES))
        except Failed as error:
            raise Failed(f"{label}: {error}") from None


@behaviour("the example completes the extended handshake on a WebSocket that compresses", timeout=60)
async def _(bench):
    server = await bench.serve(
        "--route", "/old=redirect:/echo", "--route", "/echo=echo", "--auth", "/echo=basic:desk",
        "--users", await bench.users(), "--application", *COMPRESS, "--compress-at", "opening", "--json",
    )  # fmt: skip
    tap = await Tap.before(bench, server.port)
    browser = await page(bench, f"?url={tap.url('/old')}")
    await log_in(browser, USER, PASSWORD, realm="desk")
    await browser.wait_for("document.getElementById('log').textContent.includes('open at')")
    holds(
        await browser.evaluate("document.getElementById('log').textContent"),
        "after 1 redirects and 1 challenges", "the log",
    )  # fmt: skip
    text = "grüße " * 500
    await browser.evaluate(
        f"document.getElementById('message').value = {json.dumps(text)}; document.querySelector('#say button').click()"
    )
    await browser.wait_for(f"document.getElementById('log').textContent.includes('received ' + {json.dumps(text)})")
    # The socket goes with its page.
    await browser.call("Page.reload")
    asked = await tap.conversation(1)
    inflater = Inflater({}, "client")
    requests, responses, _, _ = asked.by_layer(lambda _, message: inflater.inflate(message.payload))
    equal([message.compressed for message in requests], [True, True], "whether Chromium compressed its requests")
    # An answer of ours can have secrets beside what somebody else chose.
    equal([message.compressed for message in responses], [False, False], "whether khp compressed its responses")
    prove(asked, Expected({}, window={"server": 12}), [text], [text])


def connect(url: str, options: str = "{}") -> str:
    """The example's `connect` from its module: what it resolves to, without the socket, or why it failed."""
    return (
        f"import('./khp.js').then(({{ connect }}) => connect({json.dumps(url)}, {options}))"
        ".then(({ socket, ...opened }) => { socket.close(1000); return opened; },"
        " ({ message, status }) => ({ failed: message, status }))"
    )


ASKED = ["x-note; level=1", "x-list; all", "x-other"]
EXTENSIONS = json.dumps({"extensions": ASKED, "protocols": ["chat"]})


@behaviour("the example asks for extensions of its own inside, and is told which are in force", timeout=60)
async def _(bench):
    browser = await page(bench)
    for served_ones, granted in [([*ASKED[:2], "x-third"], ASKED[:2]), ([], [])]:
        options = [part for name in served_ones for part in ("--extension", name)]
        server = await bench.serve(*options, *COMPRESS, "--subprotocol", "chat", "--json")
        tap = await Tap.before(bench, server.port)
        opened = await browser.evaluate(connect(tap.url(), EXTENSIONS))
        equal((opened.get("status"), opened.get("protocol")), (101, "chat"), f"status, subprotocol ({opened})")
        equal(opened["extensions"], granted, "extensions in force")
        conversation = await tap.conversation()
        equal(conversation.opening[1], None, "what the opening agreed on")
        equal(conversation.extended, (", ".join(ASKED), ", ".join(granted) or None), "asked and agreed on inside")


@behaviour("the example fails where an extension is granted that it did not ask for", timeout=60)
async def _(bench):
    async def script(peer):
        await peer.open()
        await peer.message()  # the page writes its request as text
        await peer.answer(101, [("Sec-WebSocket-Extensions", "x-unasked")])
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    browser = await page(bench)
    opened = await browser.evaluate(connect(server.url(), EXTENSIONS))
    equal(opened.get("failed"), "an extension that was not asked for", "what the caller gets")
    check(opened.get("status") == 101, f"the status: {opened}")
