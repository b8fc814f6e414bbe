"""TLS of `khp connect`, against Python's websockets and OpenSSL: whom it trusts, what it says."""

import asyncio

from support.check import among, check, equal
from support.registry import behaviour
from support.wire import KHP


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def trusting(bench):
    return ["--cacert", bench.certificates.authority]


@behaviour("--cacert and the right name open", rows=[("by name", "localhost"), ("by address", "127.0.0.1")])
async def _(bench, host):
    server = await bench.python_server(echo, ssl=bench.certificates.server_context())
    url = server.url(host=host)
    outcome = await bench.connect(url, *trusting(bench), "--json", "--message", "hi", "--count", 1)
    events = outcome.ends(0).events
    check(events.one("connected")["tls"]["version"].startswith("TLSv1."), "version of TLS")
    equal(events.one("message")["text"], "hi", "echo")
    equal(events.one("open")["url"], url, "url")


@behaviour("1 MiB each way over TLS")
async def _(bench):
    server = await bench.python_server(echo, ssl=bench.certificates.server_context())
    path = bench.file(bytes(range(256)) * 4096)
    outcome = await bench.connect(server.url(), *trusting(bench), "--binary", path, "--count", 1, "--json")
    equal(outcome.ends(0).events.one("message")["bytes"], 1 << 20, "bytes")


REFUSED = [
    ("an unknown authority", "server", [], "127.0.0.1"),
    ("another authority", "impostor", ["--cacert"], "127.0.0.1"),
    ("another name", "elsewhere", ["--cacert"], "localhost"),
    ("another address", "elsewhere", ["--cacert"], "127.0.0.1"),
]


@behaviour("a certificate is refused, exit 3", rows=REFUSED)
async def _(bench, name, options, host):
    server = await bench.python_server(echo, ssl=bench.certificates.server_context(name))
    options = trusting(bench) if options else []
    outcome = await bench.connect(server.url(host=host), *options, "--json")
    outcome.fails(3)
    equal(outcome.events.one("error")["code"], "tls-failed", "error code")
    equal(outcome.events.named("opening-request"), [], "requests sent")


@behaviour("--insecure takes any certificate", rows=[("unknown", "server"), ("another name", "elsewhere")])
async def _(bench, name):
    server = await bench.python_server(echo, ssl=bench.certificates.server_context(name))
    (await bench.connect(server.url(), "--insecure", "--message", "hi", "--count", 1)).ends(0)


@behaviour("the server's name goes out as SNI, an address does not", rows=[("name", "localhost", "localhost"),
           ("address", "127.0.0.1", None)])  # fmt: skip
async def _(bench, host, expected):
    seen = []
    context = bench.certificates.server_context()
    context.sni_callback = lambda socket, name, context: seen.append(name)
    server = await bench.python_server(echo, ssl=context)
    (await bench.connect(server.url(host=host), *trusting(bench))).ends(0)
    equal(seen, [expected], "SNI")


@behaviour("wss to a port without TLS ends with 3")
async def _(bench):
    server = await bench.python_server(echo)
    outcome = await bench.connect(f"wss://127.0.0.1:{server.port}/", *trusting(bench), "--json")
    outcome.fails(3)


@behaviour("ws to a port with TLS fails")
async def _(bench):
    server = await bench.python_server(echo, ssl=bench.certificates.server_context())
    outcome = await bench.connect(f"ws://127.0.0.1:{server.port}/", "--json")
    among(outcome.status, (3, 4), "exit status")
    outcome.sentence


@behaviour("a server that asks for a certificate", rows=[("given", "client", 0), ("none", None, 3),
           ("of another authority", "impostor", 3)])  # fmt: skip
async def _(bench, name, status):
    context = bench.certificates.server_context(client_authority=True)
    server = await bench.python_server(echo, ssl=context)
    options = trusting(bench)
    if name:
        options += ["--cert", bench.certificates.certificate(name), "--key", bench.certificates.key(name)]
    outcome = await bench.connect(server.url(), *options, "--message", "hi", "--count", 1, "--json")
    if status:
        outcome.fails(status)
    else:
        outcome.ends(0)


@behaviour("a server that is silent instead of TLS ends with 7")
async def _(bench):
    async def silent(reader, writer):
        try:
            await reader.read(-1)
        finally:
            writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        (await bench.connect(f"wss://127.0.0.1:{port}/", "--timeout", 1, "--json")).fails(7)
    finally:
        listener.close()


@behaviour("the whole extended handshake over TLS")
async def _(bench):
    async def script(peer):
        await peer.complete()
        await peer.echo()

    server = await bench.raw_server(script, tls=bench.certificates.server_context())
    outcome = await bench.connect(
        server.url(), *trusting(bench), "--extended", "required", "--message", "hi", "--count", 1, "--json"
    )
    events = outcome.ends(0).events
    equal(events.one("open")["status"], 101, "status")
    equal(server.wires[0].opening.get("Sec-WebSocket-Protocol"), KHP, "subprotocol")
