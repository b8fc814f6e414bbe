"""Ordinary HTTP on the port of an endpoint, as browsers use it: a page, its script's fetches with content streamed both ways,
and the page's WebSocket, over HTTP/1.1 and HTTP/2. Firefox opens its WebSocket over HTTP/2 here, too."""

import json

from cases.browser import ECHO
from support.browser import Browser
from support.check import among, check, equal
from support.firefox import Firefox
from support.registry import behaviour

FOREIGN = True

FETCHES = """
(async () => {
  const result = { pieces: 0, text: "" };
  const ticks = await fetch("/ticks");
  const reader = ticks.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece; !(piece = await reader.read()).done; result.pieces += 1) result.text += piece.value;
  const large = new Uint8Array(await (await fetch("/mebibytes")).arrayBuffer());
  result.large = large.length;
  result.same = large.every((byte) => byte === 0x78);
  const post = (body, more) => fetch("/length", { method: "POST", body, ...more }).then((answer) => answer.text());
  result.upload = await post(new Blob([new Uint8Array(9 << 20)]));
  const many = await Promise.all(Array.from({ length: 20 }, (_, i) => post("x".repeat(i + 1))));
  result.many = many.map(Number);
  // Chromium alone streams requests, and over HTTP/2 alone.
  if (%s) {
    let left = 64;
    const pull = (controller) => left-- ? controller.enqueue(new Uint8Array(1 << 15)) : controller.close();
    result.streamed = await post(new ReadableStream({ pull }), { duplex: "half" });
  }
  result.unknown = (await fetch("/unknown", { method: "POST", body: "x".repeat(1000) })).status;
  result.gone = await fetch("/ticks", { signal: AbortSignal.timeout(50) }).then((a) => a.text()).catch((e) => e.name);
  result.after = await post("fine");
  // A request that is given up before its response has no protocol.
  const protocols = performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol);
  result.protocols = [...new Set(protocols.filter((name) => name))];
  return result;
})()
"""


async def _fetches(browser, url: str, protocol: str, streams: bool) -> None:
    await browser.open(url)
    shown = "tick 1\ntick 2\ntick 3\ntick 4\nhello\n"
    text = await browser.evaluate(
        "new Promise((resolve) => { const log = document.getElementById('log'); const end = performance.now() + 15000;"
        "const look = () => log.textContent.includes('hello') || performance.now() > end"
        " ? resolve(log.textContent) : setTimeout(look, 10); look(); })"
    )
    equal(text, shown, "what the page shows")
    result = await browser.evaluate(FETCHES % json.dumps(streams))
    check(result["pieces"] > 1, f"the ticks came in {result['pieces']} piece")
    equal(result["text"] + "hello\n", shown, "ticks")
    equal((result["large"], result["same"]), (8 << 20, True), "8 MiB from the server")
    equal(result["upload"], f"{9 << 20}\n", "the length of 9 MiB to the server")
    equal(result["many"], list(range(1, 21)), "lengths, many at a time")
    if streams:
        equal(result["streamed"], f"{2 << 20}\n", "the length of a streamed request")
    # A request that the page gives up; each browser has a name of its own for that.
    among(result["gone"], ("TimeoutError", "AbortError"), "the end of a request that is given up")
    equal((result["unknown"], result["after"]), (404, "4\n"), "what comes behind it")
    equal(result["protocols"], [protocol], "protocols")


@behaviour("Chromium loads a page, streams both ways and opens a WebSocket on one port", timeout=90)
async def _(bench):
    clear, secure = await bench.streaming(), await bench.streaming(tls=True)
    browser = bench.keep(await Browser.start(bench.unused_path(".chromium"), "--ignore-certificate-errors"))
    await _fetches(browser, f"http://127.0.0.1:{clear.port}/", "http/1.1", False)
    await _fetches(browser, f"https://localhost:{secure.port}/", "h2", True)


@behaviour("Firefox does the same, and opens its WebSocket on the HTTP/2 connection of the page", timeout=90)
async def _(bench):
    browser = bench.keep(await Firefox.start(bench.unused_path(".firefox")))
    clear, secure = await bench.streaming(), await bench.streaming(tls=True)
    await _fetches(browser, f"http://127.0.0.1:{clear.port}/", "http/1.1", False)
    await _fetches(browser, f"https://localhost:{secure.port}/", "h2", False)
    server = await bench.serve("--metrics", "/metrics", "--json", tls=True)
    await browser.open(f"https://localhost:{server.port}/metrics")
    result = await browser.evaluate(ECHO % json.dumps(server.url(host="localhost")))
    equal((result["count"], result["same"]), (6, True), "messages that came back")
    equal((result["code"], result["wasClean"]), (3001, True), "the close")
    await server.process.see('"event":"close"', on="out")
    lines = [json.loads(line) for line in bytes(server.process.out).splitlines()]
    opened = [line for line in lines if line["event"] == "connected"]
    equal({line["tls"]["alpn"] for line in opened}, {"h2"}, "protocols")
    check(len({line["peer"] for line in opened}) == 1, "the WebSocket came on another connection than the page")
