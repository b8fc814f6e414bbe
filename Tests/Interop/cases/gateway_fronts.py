"""nginx before `khp gateway`: a stream with PROXY headers, and a reverse proxy that names its clients in X-Forwarded-For."""

import asyncio
import json

import websockets

from support.check import check, equal
from support.daemons import nginx, nginx_passes, nginx_stream
from support.patience import stretched
from support.registry import behaviour

FOREIGN = True


async def _gateway(bench, listener: str, service: str = "type: echo", pools: str = ""):
    """The port of a gateway's one listener with these rules, and its process."""
    file = bench.file(
        f"version: 1\nlisteners: {{a: {{listen: 127.0.0.1:0, trust: [127.0.0.1/32], {listener}}}}}\n"
        f"services: {{e: {{path: /e, {service}}}}}\n{pools}",
        ".yaml",
    )
    process = await bench.start("gateway", "--config", file)
    match = await process.see(r"^listening: a wss?://127.0.0.1:(\d+)", on="out")
    return process, int(match[1])


async def _line(process, event: str, **fields) -> dict:
    """The first line of the gateway's log for an event that has these fields."""

    def find():
        for line in bytes(process.err).decode().split("\n")[:-1]:
            entry = json.loads(line)
            if entry["event"] == event and all(entry.get(name) == value for name, value in fields.items()):
                return entry
        return None

    await process.until(find, f"{event} with {fields}")
    return find()


async def _status(bench, url: str, source: str, **how) -> int:
    """The status of a handshake from an address of this machine."""
    try:
        async with bench.python_client(url, local_addr=(source, 0), **how) as client:
            await client.send("hello")
            equal(await asyncio.wait_for(client.recv(), stretched(10)), "hello", "the echo")
        return 101
    except websockets.exceptions.InvalidStatus as error:
        return error.response.status_code


@behaviour("nginx as a stream with proxy_protocol on: the client is whom its header names", rows=[
    ("ws", False), ("wss, which passes through", True)])  # fmt: skip
async def _(bench, tls):
    make = bench.certificates
    secure = f", tls: {{certificate: {make.certificate()}, key: {make.key()}}}" if tls else ""
    process, port = await _gateway(bench, f"proxyProtocol: required{secure}")
    front = await nginx_stream(bench, f"proxy_protocol on; proxy_pass 127.0.0.1:{port};")
    named = {"scheme": "wss", "host": "localhost"} if tls else {}
    how = {"ssl": make.client_context()} if tls else {}
    # More than one read of a client's bytes, both ways.
    async with bench.python_client(front.url("/e", **named), local_addr=("127.0.0.9", 0), **how) as client:
        sent = bytes(range(256)) * 1024
        await client.send(sent)
        equal(await asyncio.wait_for(client.recv(), stretched(10)) == sent, True, "256 KiB came back as they were")
    end = await _line(process, "session.end")
    equal((end["client"], end["cause"]), ("127.0.0.9", "client-close"), "the session's client and end")
    equal(await _status(bench, front.url("/no", **named), "127.0.0.8", **how), 404, "a path of nobody")
    refused = await _line(process, "handshake.refused", status=404)
    equal((refused["client"], refused["listener"]), ("127.0.0.8", "a"), "whom the line of the 404 names")


@behaviour("nginx as a reverse proxy: X-Forwarded-For counts from the right, in limits and in the log")
async def _(bench):
    process, port = await _gateway(
        bench, "forwarded: x-forwarded-for", "type: echo, limits: {perAddress: 1}, origins: ['https://app.example.com']"
    )
    passes = nginx_passes(f"http://127.0.0.1:{port}")
    front = await nginx(
        bench, f"location / {{ {passes} proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }}"
    )
    # A client's own word for its address stands left of nginx's, and is nobody's.
    forged = {"additional_headers": {"X-Forwarded-For": "198.51.100.7"}}
    async with bench.python_client(front.url("/e"), local_addr=("127.0.0.9", 0), **forged) as client:
        await client.send("hello")
        equal(await asyncio.wait_for(client.recv(), stretched(10)), "hello", "the echo")
        equal(await _status(bench, front.url("/e"), "127.0.0.9"), 429, "a second of the address")
        equal(await _status(bench, front.url("/e"), "127.0.0.8", **forged), 101, "one of another address")
    refused = await _line(process, "handshake.refused", status=429)
    equal((refused["client"], refused["cause"]), ("127.0.0.9", "perAddress"), "whom the line of the 429 names")
    end = await _line(process, "session.end", client="127.0.0.9")
    check(end["peer"].startswith("127.0.0.1:"), f"nginx as the peer in {end}")
    # Refused before a service is asked: the lines name the client as well.
    equal(await _status(bench, front.url("/no"), "127.0.0.7"), 404, "a path of nobody")
    equal(await _status(bench, front.url("/e"), "127.0.0.6", origin="https://evil.example"), 403, "a foreign page")
    for status, client in ((404, "127.0.0.7"), (403, "127.0.0.6")):
        refused = await _line(process, "handshake.refused", status=status)
        equal(refused["client"], client, f"whom the line of the {status} names")
    check("198.51.100.7" not in bytes(process.err).decode(), "a forged address is in the log")
