"""Routes of hummingbird and endpoints mounted into it on one port (`Examples/HummingbirdServer`): Chromium loads a route and
opens a WebSocket from it, and both kinds of request follow each other on one connection. `make hummingbird` builds the example
and runs these; elsewhere they are skipped."""

import json

from cases.browser import ECHO
from support.browser import Browser
from support.check import equal
from support.registry import behaviour
from support.wire import TEXT, Head

FOREIGN = True

PAGE = "This port speaks WebSocket at /echo.\n"


@behaviour("Chromium loads a route, and opens WebSockets from its page on the same port", timeout=60)
async def _(bench):
    server = await bench.hummingbird()
    browser = bench.keep(await Browser.start(bench.unused_path(".chromium")))
    await browser.open(f"http://127.0.0.1:{server.port}/")
    equal(await browser.evaluate("document.body.textContent"), PAGE, "the page")
    for _ in range(2):
        result = await browser.evaluate(ECHO % json.dumps(server.url()))
        equal((result["count"], result["same"]), (6, True), "messages that came back")
        equal((result["code"], result["wasClean"]), (3001, True), "the close")
        # Behind the WebSocket, the router's again.
        answers = await browser.evaluate(
            "Promise.all(['/', '/none', '/echo'].map((path) => fetch(path).then(async (a) => [a.status, await a.text()])))"
        )
        equal(answers[0], [200, PAGE], "a route, fetched")
        equal([answers[1][0], answers[2][0]], [404, 404], "paths without a route, one of them an endpoint's")


@behaviour("routes and then a WebSocket on one connection")
async def _(bench):
    server = await bench.hummingbird()
    client = await server.client()
    for path, status in (("/", 200), ("/none", 404), ("/", 200)):
        await client.send(Head(f"GET {path} HTTP/1.1", [("Host", client.authority)]).bytes())
        answer = await client.head()
        equal(answer.status, status, f"status of {path}")
        if status == 200:
            equal(answer.entity, PAGE.encode(), "the page")
    equal((await client.open(protocols=())).status, 101, "status of the opening")
    for text in (b"hello", b"x" * 100_000):
        await client.send_frame(TEXT, text)
        equal(await client.message(), (TEXT, text), "the echo")
    await client.closes()


@behaviour("an extended handshake behind a route")
async def _(bench):
    server = await bench.hummingbird()
    client = await server.client()
    await client.send(Head("GET / HTTP/1.1", [("Host", client.authority)]).bytes())
    equal((await client.head()).status, 200, "status of the route")
    await client.complete()
    await client.expect_echo()
    await client.closes()
    outcome = await bench.connect(server.url(), "--message", "hi", "--count", 1, "--json")
    outcome.echoed("hi")
