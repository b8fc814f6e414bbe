"""Headless Chromium: its own WebSocket as a plain client of `khp serve`, and the extended handshake on top of it."""

import json

from support.bench import PASSWORD, USER
from support.browser import log_in, page
from support.check import check, equal, holds
from support.registry import behaviour

FOREIGN = True


ECHO = """
new Promise((resolve, reject) => {
  const socket = new WebSocket(%s);
  const messages = ["hello", "Grüße 世界 🦉", "", "x".repeat(65536), new Uint8Array([0, 1, 254, 255]), new Uint8Array(1 << 20)];
  const received = [];
  socket.binaryType = "arraybuffer";
  socket.onopen = () => messages.forEach((message) => socket.send(message));
  socket.onmessage = ({ data }) => {
    received.push(data);
    if (received.length === messages.length) socket.close(3001, "done");
  };
  socket.onclose = ({ code, reason, wasClean }) => {
    const same = received.every((data, i) => typeof data === "string" ? data === messages[i]
      : new Uint8Array(data).every((byte, k) => byte === messages[i][k]) && data.byteLength === messages[i].length);
    resolve({ count: received.length, same, code, reason, wasClean, extensions: socket.extensions });
  };
})
"""


@behaviour("the browser's WebSocket sends, receives and closes", timeout=60)
async def _(bench):
    server = await bench.serve()
    browser = await page(bench)
    result = await browser.evaluate(ECHO % json.dumps(server.url()))
    equal(result["count"], 6, "messages that came back")
    check(result["same"], "a message came back changed")
    equal((result["code"], result["wasClean"]), (3001, True), "the close")


@behaviour("a page of a foreign origin is refused", timeout=60)
async def _(bench):
    server = await bench.serve("--origin", "https://example.com")
    browser = await page(bench)
    code = await browser.evaluate(
        f"new Promise((resolve) => {{ new WebSocket({json.dumps(server.url())}).onclose = ({{ code }}) => resolve(code); }})"
    )
    equal(code, 1006, "what the page is told")


@behaviour("the example completes the extended handshake: a redirect followed, a 401 asked of the person", timeout=60)
async def _(bench):
    server = await bench.serve(
        "--route", "/old=redirect:/echo", "--route", "/echo=echo", "--auth", "/echo=basic:desk",
        "--users", await bench.users(), "--application", "--json",
    )  # fmt: skip
    browser = await page(bench, f"?url={server.url('/old')}")
    await log_in(browser, USER, PASSWORD, realm="desk")
    await browser.wait_for("document.getElementById('log').textContent.includes('open at')")
    log = await browser.evaluate("document.getElementById('log').textContent")
    holds(log, "redirect 302", "the log")
    holds(log, "extended response 401", "the log")
    holds(log, "after 1 redirects and 1 challenges", "the log")
    await browser.evaluate(
        "document.getElementById('message').value = 'grüße'; document.querySelector('#say button').click()"
    )
    await browser.wait_for("document.getElementById('log').textContent.includes('received grüße')")


@behaviour("wrong credentials are asked for again, and giving up is told", timeout=60)
async def _(bench):
    server = await bench.serve(
        "--route", "/echo=echo", "--auth", "/echo=basic:desk", "--users", await bench.users(), "--application"
    )
    browser = await page(bench, f"?url={server.url()}")
    await log_in(browser, USER, "wrong", realm="desk")
    await browser.wait_for("document.getElementById('login').open")
    await browser.evaluate("document.querySelectorAll('#login button')[1].click()")
    await browser.wait_for("document.getElementById('log').textContent.includes('failed: ')")


OUTCOMES = [
    ("101", "101", {"status": 101}),
    ("201 with its content", "201:made", {"status": 201, "entity": "made"}),
    ("204", "204", {"status": 204}),
    ("205", "205", {"status": 205}),
]


@behaviour("the example opens after a status that completes", rows=OUTCOMES, timeout=60)
async def _(bench, answer, wanted):
    server = await bench.serve("--route", f"/there=status:{answer}")
    browser = await page(bench)
    outcome = await browser.evaluate(
        "import('./khp.js').then(({ connect }) => connect(" + json.dumps(server.url("/there")) + "))"
        ".then(({ status, entity, socket }) => { socket.close(1000); return { status, entity: entity.trim() }; })"
    )
    for key, value in wanted.items():
        equal(outcome[key], value, key)


REFUSALS = ["200", "301", "308", "400", "403", "404", "407", "426", "500", "503"]


@behaviour("the example fails after any other status", rows=[(status, status) for status in REFUSALS], timeout=60)
async def _(bench, status):
    server = await bench.serve("--route", f"/there=status:{status}")
    browser = await page(bench)
    outcome = await browser.evaluate(
        "import('./khp.js').then(({ connect }) => connect(" + json.dumps(server.url("/there")) + "))"
        ".then(() => 'open', (error) => error.name + ' ' + error.status)"
    )
    equal(outcome, f"Error {status}", "what the caller gets")
