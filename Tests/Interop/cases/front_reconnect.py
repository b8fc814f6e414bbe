"""nginx between `khp connect --reconnect` and its server: cookies that it sets, and Retry-After that it answers."""

import asyncio
import signal

from support.check import check, equal
from support.daemons import free_port, nginx, nginx_passes
from support.registry import behaviour

FOREIGN = True


async def _twice(bench, site: str, tls: bool = False):
    """Behind nginx with `site` a server that drops its first connection; the openings it saw, and the command's end."""
    openings = []

    async def script(peer):
        openings.append(await peer.open())
        await peer.request()
        await peer.answer(101)
        await peer.send_text(f"message {peer.index}")
        if peer.index == 0:
            peer.abort()
        else:
            await peer.echo()

    server = await bench.raw_server(script)
    passes = nginx_passes(f"http://127.0.0.1:{server.port}")
    front = await nginx(bench, f"location / {{ {passes} {site} }}", tls=tls)
    url = front.url(scheme="wss" if tls else "ws")
    trust = ["--cacert", bench.certificates.authority] if tls else []
    process = await bench.start(
        "connect", url, "--reconnect", "--json", "--count", 2, *trust, stdin=asyncio.subprocess.PIPE
    )
    outcome = await bench.outcome(process, 15)
    return openings, outcome.ends(0)


COOKIES = [
    "a=1; Path=/", "b=2; Path=/elsewhere", "c=3; Secure", "d=4; Max-Age=0", "e=5; HttpOnly", "f=6; Domain=other.example",
    "g=7; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
]  # fmt: skip
SITE = "\n".join(f'add_header Set-Cookie "{cookie}" always;' for cookie in COOKIES)


@behaviour("cookies that nginx sets come back on reconnect", timeout=25, rows=[
    ("ws", False, {"a=1", "e=5"}), ("wss, with the secure one", True, {"a=1", "c=3", "e=5"})])  # fmt: skip
async def _(bench, tls, expected):
    openings, outcome = await _twice(bench, SITE, tls)
    equal(openings[0].get("Cookie"), None, "Cookie of the first opening")
    equal(len(openings[1].all("Cookie")), 1, "Cookie fields of the second opening")
    equal(set(openings[1].get("Cookie").split("; ")), expected, "cookies of the second opening")
    equal([event["text"] for event in outcome.events.named("message")], ["message 0", "message 1"], "messages")
    equal([event["attempt"] for event in outcome.events.named("connecting")], [1, 2], "attempts")


@behaviour("a later value replaces the cookie", timeout=25)
async def _(bench):
    # $request_id is another one for each request.
    openings, _ = await _twice(
        bench, 'add_header Set-Cookie "id=$request_id" always; add_header Set-Cookie "id=last" always;'
    )
    equal(openings[1].get("Cookie"), "id=last", "Cookie of the second opening")


LATER = """
    location / {{ {passes} error_page 502 504 = @later; }}
    location @later {{ add_header Retry-After 3 always; return 503; }}
"""


@behaviour("503 with Retry-After from nginx, whose server restarts: reconnected after that time", timeout=30)
async def _(bench):
    port = free_port()

    async def serve():
        process = await bench.start("serve", "--port", port)
        await process.see("listening on")
        return process

    server = await serve()
    front = await nginx(bench, LATER.format(passes=nginx_passes(f"http://127.0.0.1:{port}")))
    client = await bench.start("connect", front.url(), "--reconnect", "--json", stdin=asyncio.subprocess.PIPE)
    await client.see(r'"event":"open"', on="out")
    server.signal(signal.SIGKILL)
    await server.ended(5)
    await client.see(r'"event":"opening-response".*"status":503', on="out")
    await serve()
    await client.see(r'"event":"open",[^\n]*\n(.*\n)*.*"event":"open"', on="out")
    client.end_input()
    events = (await bench.outcome(client)).ends(0).events
    refused = [event for event in events.named("opening-response") if event["status"] == 503]
    after = [event["t"] for event in events.named("connecting") if event["t"] > refused[-1]["t"]]
    check(3.0 <= after[0] - refused[-1]["t"] < 10, f"{after[0] - refused[-1]['t']:.2f} s instead of 3 s and a little")
