"""`khp connect` and servers that fall silent: each stage ends in time, with 7."""

import asyncio
import itertools

from support.bench import PASSWORD, USER
from support.check import among, check, equal
from support.registry import behaviour


async def nothing(peer):
    await peer.wait_for_end()


async def half_a_head(peer):
    await peer.read_opening()
    await peer.send(peer.acceptance()[:40])
    await peer.wait_for_end()


async def endless_provisional(peer):
    await peer.read_opening()
    await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    await peer.wait_for_end()


async def no_response(peer):
    await peer.until_request()
    await peer.until_end(20)


async def half_a_response(peer):
    await peer.until_request()
    await peer.send_frame(2, peer.response(101)[:30])
    await peer.until_end(20)


async def half_a_frame(peer):
    await peer.until_request()
    await peer.send(peer.frame(2, peer.response(101))[:30])
    await peer.until_end(20)


async def half_an_entity(peer):
    await peer.until_request()
    await peer.send_frame(2, peer.response(201, entity=b"x" * 100)[:-50])
    await peer.until_end(20)


async def only_pings(peer):
    await peer.until_request()
    dripping = asyncio.ensure_future(peer.drip(itertools.repeat(peer.frame(9, b"still here")), every=0.1))
    try:
        while (seen := await peer.read_frame()).opcode != 8:
            pass
    finally:
        dripping.cancel()
    await peer.send_close(seen.code)


async def after_the_challenge(peer):
    await peer.until_request()
    await peer.answer(401, [("WWW-Authenticate", 'Basic realm="desk"')])
    await peer.request()
    await peer.until_end(20)


async def no_continue(peer):
    await peer.until_request()
    await peer.until_end(20)


STAGES = [
    ("after the connection", nothing, []),
    ("in the middle of the opening's head", half_a_head, []),
    ("after a provisional response", endless_provisional, []),
    ("after the opening", no_response, []),
    ("in the middle of a response", half_a_response, []),
    ("in the middle of a frame", half_a_frame, []),
    ("in the middle of an entity", half_an_entity, []),
    ("but for pings", only_pings, []),
    ("after the answer to a challenge", after_the_challenge, ["--user", f"{USER}:{PASSWORD}"]),
    ("instead of 100", no_continue, ["--extended-method", "PUT", "--extended-body", "BODY"]),
]


@behaviour("silence ends with 7", rows=STAGES)
async def _(bench, script, options):
    options = [bench.file("x") if option == "BODY" else option for option in options]

    async def bounded(peer):
        try:
            await script(peer)
        except ConnectionError:
            pass

    server = await bench.raw_server(bounded)
    outcome = await bench.connect(server.url(), "--timeout", 1, "--json", *options)
    outcome.fails(7)
    # From where the command's time begins, which on a busy machine is some time after the process's.
    seconds = outcome.events[-1]["t"] - outcome.events.named("connecting")[0]["t"]
    check(0.9 <= seconds <= 3.5, f"--timeout 1 took {seconds} s")
    equal(outcome.events.one("error")["code"], "timeout", "error code")


@behaviour("a refusal is not lost in the silence behind its head", rows=[("opening", 4), ("extended", 5)])
async def _(bench, status):
    async def script(peer):
        refusal = peer.response(403, entity=b"x" * 100)[:-50]
        if status == 4:
            await peer.read_opening()
            await peer.send(refusal)
        else:
            await peer.until_request()
            await peer.send_frame(2, refusal)
        await peer.until_end(20)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--json")
    outcome.fails(status)
    equal(outcome.events.one("error")["status"], 403, "HTTP status")


@behaviour("a head that drips does not move the deadline")
async def _(bench):
    async def script(peer):
        await peer.read_opening()
        await peer.drip((bytes([byte]) for byte in peer.acceptance()), every=0.1)

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), "--timeout", 1, "--json")
    outcome.fails(7)


@behaviour("a server that never answers a close does not hold the command")
async def _(bench):
    async def script(peer):
        await peer.complete()
        await peer.expect_close(1000, answer=False)
        await peer.until_end(20)

    server = await bench.raw_server(script)
    process = await bench.start("connect", server.url(), "--json")
    outcome = await bench.outcome(process, within=14)
    among(outcome.status, (0, 1, 7), "exit status")


@behaviour("--ping-interval pings, and a pong is an event")
async def _(bench):
    async def script(peer):
        await peer.complete()
        for _ in range(3):
            seen = await peer.read_frame()
            equal(seen.opcode, 9, "opcode of a keep-alive")
            await peer.send_frame(10, seen.payload)
        await peer.close(1000)

    server = await bench.raw_server(script)
    options = ["--json", "--ping-interval", "0.1"]
    process = await bench.start("connect", server.url(), *options, stdin=asyncio.subprocess.PIPE)
    outcome = (await bench.outcome(process)).ends(0)
    check(len(outcome.events.named("pong")) >= 2, "pong events")
