"""`khp serve --auth`: challenges inside and at the opening, right and wrong answers."""

import asyncio

from support.bench import PASSWORD, USER
from support.check import check, equal, holds
from support.registry import behaviour
from support.wire import BINARY, basic

RIGHT = ("Authorization", basic(USER, PASSWORD))
WRONG = ("Authorization", basic(USER, "guess"))


async def _serve(bench, *options, auth="/echo=basic:desk", **how):
    return await bench.serve("--route", "/echo=echo", "--auth", auth, "--users", await bench.users(), *options, **how)


@behaviour("401 inside, then the replay completes on the same socket", rows=[("ws", False), ("wss", True)])
async def _(bench, tls):
    server = await _serve(bench, tls=tls)
    client = await server.client()
    await client.open_khp()
    challenged = await client.request()
    equal(challenged.start, "HTTP/1.1 401 Unauthorized", "status line")
    check(challenged.entity.startswith(b"401 Unauthorized\n"), f"entity {challenged.entity!r}")
    check(challenged.entity.endswith(b"Trying again with credentials can help.\n"), f"entity {challenged.entity!r}")
    challenge = challenged.get("WWW-Authenticate")
    check(challenge.startswith("Basic "), f"scheme of {challenge!r}")
    holds(challenge, 'realm="desk"', "the challenge")
    equal((await client.request(fields=[RIGHT])).status, 101, "status of the replay")
    await client.expect_echo()
    await client.closes()


@behaviour("the realm has a default, and is quoted", rows=[("default", "/echo=basic", None),
           ("with a colon", "/echo=basic:the desk: one", 'realm="the desk: one"'),
           ("with a quotation mark", '/echo=basic:the "desk"', 'realm="the \\"desk\\""')])  # fmt: skip
async def _(bench, auth, expected):
    server = await _serve(bench, auth=auth)
    client = await server.client()
    await client.open_khp()
    challenge = (await client.request()).get("WWW-Authenticate")
    holds(challenge, expected or 'realm="', "the challenge")


@behaviour("--application challenges with Kaazing's prefix")
async def _(bench):
    server = await _serve(bench, "--application")
    client = await server.client()
    await client.open_khp()
    challenge = (await client.request()).get("WWW-Authenticate")
    check(challenge.startswith('Application Basic realm="desk"'), f"challenge {challenge!r}")
    equal((await client.request(fields=[RIGHT])).status, 101, "status of the replay")


@behaviour("credentials in the first request need no challenge")
async def _(bench):
    server = await _serve(bench)
    client = await server.client()
    await client.open_khp()
    equal((await client.request(fields=[RIGHT])).status, 101, "status")
    await client.expect_echo()


WRONG_ANSWERS = [
    ("a wrong password", basic(USER, "guess")),
    ("an unknown user", basic("ann", PASSWORD)),
    ("an empty password", basic(USER, "")),
    ("another scheme", "Bearer " + PASSWORD),
    ("no base64", "Basic !!!"),
    ("no colon inside", "Basic am9l"),
    ("nothing", ""),
]


@behaviour("a wrong answer is challenged again", rows=WRONG_ANSWERS)
async def _(bench, value):
    server = await _serve(bench)
    client = await server.client()
    await client.open_khp()
    await client.request()
    equal((await client.request(fields=[("Authorization", value)])).status, 401, "status")
    equal((await client.request(fields=[RIGHT])).status, 101, "status of the right answer")


@behaviour("the third wrong answer is 403, close 1000")
async def _(bench):
    server = await _serve(bench)
    client = await server.client()
    await client.open_khp()
    for _ in range(3):
        equal((await client.request(fields=[WRONG] if _ else [])).status, 401, "status")
    await client.send_frame(BINARY, client.request_bytes("/echo", [WRONG]))
    answer = await client.refused(403, 1000)
    check(answer.entity.startswith(b"403 Forbidden\nToo many answers were wrong. "), f"entity {answer.entity!r}")


@behaviour("a message instead of the replay is refused with 400, close 1002")
async def _(bench):
    server = await _serve(bench)
    client = await server.client()
    await client.open_khp()
    await client.request()
    await client.send_text("Hello")
    await client.refused(400, 1002)


@behaviour("the wait for the replay is not the handshake timeout")
async def _(bench):
    server = await _serve(bench, "--handshake-timeout", 1)
    client = await server.client()
    await client.open_khp()
    equal((await client.request()).status, 401, "status")
    try:
        await asyncio.wait_for(client.reader.readexactly(1), 1.6)
    except asyncio.TimeoutError:
        pass
    else:
        check(False, "something came while a person may still be typing")
    equal((await client.request(fields=[RIGHT])).status, 101, "status of the replay")


@behaviour("everyone else is challenged at the opening")
async def _(bench):
    server = await _serve(bench)
    client = await server.client()
    answer = await client.open(protocols=())
    equal(answer.start, "HTTP/1.1 401 Unauthorized", "status line")
    holds(answer.get("WWW-Authenticate") or "", 'realm="desk"', "the challenge")
    await client.expect_end()
    client = await server.client()
    equal((await client.open(protocols=(), fields=[WRONG])).status, 401, "status with a wrong answer")
    client = await server.client()
    equal((await client.open(protocols=(), fields=[RIGHT])).status, 101, "status with the right answer")
    await client.expect_echo()


@behaviour("--challenge-at opening challenges everyone there")
async def _(bench):
    server = await _serve(bench, "--challenge-at", "opening")
    client = await server.client()
    equal((await client.open()).status, 401, "status of the opening")
    await client.expect_end()
    client = await server.client()
    await client.open_khp(fields=[RIGHT])
    equal((await client.request()).status, 101, "status inside")
    await client.expect_echo()


@behaviour("a path without --auth is open")
async def _(bench):
    server = await bench.serve(
        "--route", "/a=echo", "--route", "/b=echo", "--auth", "/b=basic", "--users", await bench.users()
    )
    client = await server.client()
    await client.open_khp("/a")
    equal((await client.request("/a")).status, 101, "status")
    # The opening to one and the request to another must not open the other.
    client = await server.client()
    await client.open_khp("/a")
    await client.send_frame(BINARY, client.request_bytes("/b"))
    await client.refused(400, 1000)


@behaviour("khp hash: a line from a name and a password typed twice, unseen")
async def _(bench):
    terminal = await bench.terminal("hash", USER, output_to_pipe=True)
    await terminal.see(r"(?i)password[^\n]*:")
    terminal.type(PASSWORD + "\r")
    await terminal.see(r":[^\n:]*$|: $")
    terminal.type(PASSWORD + "\r")
    equal(await terminal.ended(), 0, "exit status")
    check(PASSWORD.encode() not in terminal.screen, "the password is shown")
    line = terminal.out.decode()
    check(line.startswith(f"{USER}:$") and line.endswith("\n") and line.count("\n") == 1, f"line {line!r}")
    check(PASSWORD not in line, "the password is in the line")
    server = await bench.serve("--auth", "/echo=basic", "--users", bench.file(line))
    client = await server.client()
    await client.open_khp()
    equal((await client.request(fields=[RIGHT])).status, 101, "status with that line")


@behaviour("khp hash: two different passwords make no line")
async def _(bench):
    terminal = await bench.terminal("hash", USER, output_to_pipe=True)
    await terminal.see(r"(?i)password[^\n]*:")
    terminal.type("one\r")
    await terminal.see(r":[^\n:]*$|: $")
    terminal.type("two\r")
    check(await terminal.ended() != 0, "exit status 0")
    equal(terminal.out, b"", "standard output")


@behaviour("khp hash: the same password gives another line each time")
async def _(bench):
    lines = [(await bench.run("hash", USER, stdin=f"{PASSWORD}\n".encode())).ends(0).text for _ in range(2)]
    check(lines[0] != lines[1], "the same salt twice")
