"""The routes of `khp serve`: for those who take part in the extended handshake, and for everyone else."""

import asyncio

from support.check import among, check, equal
from support.registry import behaviour
from support.wire import BINARY, TEXT

# action, status inside and at the opening, Location, entity
FORBIDDEN = b"403 Forbidden\nThe server does not allow this request. Trying the same again does not help.\n"

ANSWERS = [
    ("redirect to a path", "redirect:/b", 302, "/b", None),
    ("redirect to a URL", "redirect:ws://other.example/b?c=d", 302, "ws://other.example/b?c=d", None),
    ("redirect with a code", "redirect:307:/b", 307, "/b", None),
    ("redirect 301", "redirect:301:ws://other.example:81/b", 301, "ws://other.example:81/b", None),
    ("redirect 303", "redirect:303:/b", 303, "/b", None),
    ("status", "status:403", 403, None, FORBIDDEN),
    ("status with a body", "status:503:closed: try later", 503, None, b"closed: try later"),
    ("status without a name", "status:599", 599, None, None),
    ("choices", "choices:/b,ws://other.example/c", 300, None, None),
]


@behaviour("inside", rows=ANSWERS)
async def _(bench, action, status, location, entity):
    server = await bench.serve("--route", f"/a={action}")
    client = await server.client()
    await client.open_khp("/a")
    await client.send_frame(BINARY, client.request_bytes("/a"))
    _examine(await client.refused(status, 1000), status, location, entity, action)


@behaviour("at the opening, for everyone else", rows=ANSWERS)
async def _(bench, action, status, location, entity):
    server = await bench.serve("--route", f"/a={action}")
    client = await server.client()
    answer = await client.open("/a", protocols=())
    equal(answer.status, status, "status")
    _examine(answer, status, location, entity, action)
    await client.expect_end()


def _examine(answer, status, location, entity, action):
    if location:
        equal(answer.get("Location"), location, "Location")
    if entity:
        equal(answer.entity.rstrip(b"\n"), entity.rstrip(b"\n"), "entity")
    check(answer.entity, "no entity")
    if action.startswith("choices"):
        named = answer.entity.decode() + " ".join(answer.all("Link") + answer.all("Location"))
        for choice in ("/b", "ws://other.example/c"):
            check(choice in named, f"choice {choice} is not among {named!r}")


@behaviour("a completing status", rows=[(str(code), code) for code in (101, 201, 204, 205)])
async def _(bench, code):
    server = await bench.serve("--route", f"/a=status:{code}")
    client = await server.client()
    await client.open_khp("/a")
    equal((await client.request("/a")).status, code, "status")


@behaviour("broadcast: each gets what any sends")
async def _(bench):
    server = await bench.serve("--route", "/all=broadcast")
    clients = [await server.client() for _ in range(3)]
    for here, client in enumerate(clients):
        await client.complete("/all")
        # A 101 comes before the member does: the next step is for when this client gets what it sends itself.
        await client.send_text(f"member {here}")
        for member in clients[: here + 1]:
            equal(await member.text(), f"member {here}", "the newest member")
    await clients[0].send_text("hello")
    await clients[0].send_frame(BINARY, b"\x01\x02")
    for client in clients[1:]:
        equal(await client.message(), (TEXT, b"hello"), "text")
        equal(await client.message(), (BINARY, b"\x01\x02"), "binary")
    await clients[1].closes()
    await clients[2].send_text("two left")
    seen = [await clients[0].text()]
    if seen == ["hello"]:  # to the sender as well
        await clients[0].message()
        seen = [await clients[0].text()]
    equal(seen, ["two left"], "after one left")


@behaviour("chat: what one says, the others read")
async def _(bench):
    server = await bench.serve("--route", "/chat=chat")
    ann, ben = await server.client(), await server.client()
    # A 101 comes before the member does: who speaks between the two is not heard.
    for here, client in enumerate([ann, ben], 1):
        await client.complete("/chat")
        while f"there are {here} here" not in await client.text():
            pass
    await ann.send_text("good morning")
    for _ in range(5):
        if "good morning" in await ben.text():
            break
    else:
        check(False, "the other did not read it")


@behaviour("tcp: relays to a byte stream", timeout=20)
async def _(bench):
    async def backend(reader, writer):
        while data := await reader.read(65536):
            writer.write(data.upper())
            await writer.drain()
        writer.write(b"bye")
        writer.close()

    listener = await asyncio.start_server(backend, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        server = await bench.serve("--route", f"/relay=tcp:127.0.0.1:{port}")
        client = await server.client()
        await client.complete("/relay")
        await client.send_frame(BINARY, b"hello")
        await client.send_text(" world")
        equal(await _bytes(client, 11), b"HELLO WORLD", "relayed")
        await client.send_frame(BINARY, b"x" * 500_000)
        equal(await _bytes(client, 500_000), b"X" * 500_000, "500,000 bytes")
        await client.closes()
    finally:
        listener.close()


async def _bytes(client, count):
    collected = b""
    while len(collected) < count:
        opcode, payload = await client.message()
        equal(opcode, BINARY, "opcode")
        collected += payload
    return collected


@behaviour("tcp: the end of the byte stream closes the WebSocket")
async def _(bench):
    async def backend(reader, writer):
        writer.write(b"that is all")
        writer.close()

    listener = await asyncio.start_server(backend, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        server = await bench.serve("--route", f"/relay=tcp:127.0.0.1:{port}")
        client = await server.client()
        await client.complete("/relay")
        equal(await _bytes(client, 11), b"that is all", "relayed")
        await client.expect_close(1000)
    finally:
        listener.close()


@behaviour("tcp: nobody there is a refusal or a close, never silence")
async def _(bench):
    listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    server = await bench.serve("--route", f"/relay=tcp:127.0.0.1:{port}")
    client = await server.client()
    await client.open_khp("/relay")
    answer = await client.request("/relay")
    among(answer.status, (101, 502, 503, 504), "status")
    seen = await client.read_frame()
    equal(seen.opcode, 8, "opcode of what follows")
    among(seen.code, (1000, 1011, 1013, 1014), "close code")


@behaviour("several routes, each for itself")
async def _(bench):
    server = await bench.serve("--route", "/a=echo", "--route", "/b=status:404:none here", "--route", "/a/b=echo")
    for path, status in (("/a", 101), ("/b", 404), ("/a/b", 101)):
        client = await server.client()
        await client.open_khp(path)
        equal((await client.request(path)).status, status, f"status of {path}")
    client = await server.client()
    equal((await client.open("/a/")).status, 404, "status of a path without route")
