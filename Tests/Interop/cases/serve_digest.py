"""`khp serve` with Digest and tokens, answered by curl, by requests, and by a raw client with a Digest of its own."""

import asyncio
import base64
import os
import shutil

import requests
import requests.auth

from support.bench import PASSWORD, USER
from support.check import Failed, check, equal, holds
from support.digest import Challenge, Session, line
from support.process import Process
from support.registry import behaviour
from support.wire import BINARY, basic

FOREIGN = True
REALM = "the desk"
ALGORITHMS = ["MD5", "SHA-256", "SHA-512-256"]
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
}  # fmt: skip


async def _serve(bench, *options, algorithms=("SHA-256",), auth=f"/echo=digest:{REALM}", **how):
    users = "".join(line(USER, REALM, PASSWORD, algorithm) for algorithm in algorithms)
    return await bench.serve("--auth", auth, "--users", bench.file(users, ".users"), *options, **how)


async def _asked(client, path: str = "/echo", **how) -> Session:
    """A session for the first Digest challenge of the extended request's 401."""
    challenged = await client.request(path, **how)
    equal(challenged.status, 401, "status of the first request")
    return Session(Challenge.all(challenged.all("WWW-Authenticate"))[0], USER, PASSWORD)


# curl and requests, at the opening


async def _curl(bench, server, *options) -> Process:
    program = shutil.which("curl")
    if not program:
        raise Failed("curl is not installed: scripts/setup.sh --interop sees to it")
    fields = [part for name, value in UPGRADE.items() for part in ("-H", f"{name}: {value}")]
    arguments = [
        "--http1.1",
        "--silent",
        "--no-buffer",
        "--dump-header",
        "-",
        "--output",
        "/dev/null",
        "--max-time",
        10,
    ]
    process = await Process.start(
        program, *map(str, arguments), *fields, *options, f"http://127.0.0.1:{server.port}/echo?day=1", name="curl"
    )
    return bench.keep(process)


@behaviour("curl --digest passes the opening", rows=[(name, [name]) for name in ALGORITHMS[:2]] + [
    ("of SHA-256 and MD5", ["SHA-256", "MD5"])])  # fmt: skip
async def _(bench, algorithms):
    server = await _serve(bench, algorithms=algorithms)
    curl = await _curl(bench, server, "--digest", "--user", f"{USER}:{PASSWORD}")
    # After a 101 that it did not ask for itself, curl waits for more: what counts is that the 101 is there.
    await curl.see(r"^HTTP/1.1 101 ", on="out")
    check(bytes(curl.out).startswith(b"HTTP/1.1 401 "), f"no 401 first: {bytes(curl.out)!r}")


@behaviour("curl with a wrong password stays outside", rows=[(name, [name]) for name in ALGORITHMS[:2]])
async def _(bench, algorithms):
    server = await _serve(bench, algorithms=algorithms)
    curl = await _curl(bench, server, "--digest", "--user", f"{USER}:guess")
    await curl.ended(10)
    equal(bytes(curl.out).count(b"HTTP/1.1 401 "), 2, "how often 401")


@behaviour("curl --basic passes the opening")
async def _(bench):
    server = await bench.serve("--auth", f"/echo=basic:{REALM}", "--users", await bench.users())
    curl = await _curl(bench, server, "--user", f"{USER}:{PASSWORD}")
    await curl.see(r"^HTTP/1.1 101 ", on="out")


@behaviour("requests' HTTPDigestAuth passes the opening", rows=[(name, [name]) for name in ALGORITHMS[:2]])
async def _(bench, algorithms):
    server = await _serve(bench, algorithms=algorithms)
    auth = requests.auth.HTTPDigestAuth(USER, PASSWORD)

    def get():
        with requests.get(server.web + "/echo?day=1", auth=auth, headers=UPGRADE, timeout=8) as response:
            return response.status_code, [earlier.status_code for earlier in response.history]

    # Twice in one thread, for each of which requests keeps its nonces. The second time it counts on, unasked.
    equal(await asyncio.to_thread(lambda: [get(), get()]), [(101, [401]), (101, [])], "statuses, those before them")


@behaviour("requests with a wrong password stays outside")
async def _(bench):
    server = await _serve(bench)
    auth = requests.auth.HTTPDigestAuth(USER, "guess")

    def get():
        return requests.get(server.web + "/echo", auth=auth, headers=UPGRADE, timeout=8).status_code

    equal(await asyncio.to_thread(get), 401, "status")


# A raw client, inside


@behaviour("Digest inside, answered", rows=[(name, name, False) for name in ALGORITHMS] + [
    ("over TLS", "SHA-256", True)])  # fmt: skip
async def _(bench, algorithm, tls):
    server = await _serve(bench, algorithms=[algorithm], tls=tls)
    client = await server.client()
    await client.open_khp()
    session = await _asked(client)
    given = session.challenge.parameters
    equal((session.challenge.algorithm, given["realm"]), (algorithm, REALM), "algorithm, realm")
    check("auth" in [qop.strip() for qop in given["qop"].split(",")], f"qop {given['qop']!r}")
    answer = await client.request(fields=[("Authorization", session.answer("GET", "/echo"))])
    equal(answer.status, 101, "status of the replay")
    await client.expect_echo()
    await client.closes()


@behaviour("several algorithms: a challenge for each, the strongest first")
async def _(bench):
    server = await _serve(bench, algorithms=ALGORITHMS)
    client = await server.client()
    await client.open_khp()
    challenged = await client.request()
    found = Challenge.all(challenged.all("WWW-Authenticate"))
    algorithms = [challenge.algorithm for challenge in found]
    equal(set(algorithms), set(ALGORITHMS), "algorithms")
    equal(algorithms[-1], "MD5", "the last")
    for challenge in found[-1:]:
        session = Session(challenge, USER, PASSWORD)
        equal((await client.request(fields=[("Authorization", session.answer("GET", "/echo"))])).status, 101, "status")


@behaviour("the query is in what is signed")
async def _(bench):
    server = await _serve(bench)
    client = await server.client()
    await client.open_khp("/echo?day=1")
    session = await _asked(client, "/echo?day=1")
    wrong = await client.request("/echo?day=1", fields=[("Authorization", session.answer("GET", "/echo"))])
    check(wrong.status in (400, 401), f"status {wrong.status} for another uri")
    if wrong.status == 401:
        session = Session(Challenge.all(wrong.all("WWW-Authenticate"))[0], USER, PASSWORD)
        right = await client.request("/echo?day=1", fields=[("Authorization", session.answer("GET", "/echo?day=1"))])
        equal(right.status, 101, "status")


@behaviour("the server proves that it knows the secret too")
async def _(bench):
    server = await _serve(bench)
    client = await server.client()
    await client.open_khp()
    session = await _asked(client)
    answer = await client.request(fields=[("Authorization", session.answer("GET", "/echo"))])
    equal(answer.status, 101, "status")
    information = answer.get("Authentication-Info") or ""
    holds(information, f'rspauth="{session.proof("/echo")}"', "Authentication-Info")


@behaviour("--application puts Kaazing's prefix before Digest, and the answer has none")
async def _(bench):
    server = await _serve(bench, "--application")
    client = await server.client()
    await client.open_khp()
    session = await _asked(client)
    equal(session.challenge.is_for_applications, True, "the prefix")
    equal((await client.request(fields=[("Authorization", session.answer("GET", "/echo"))])).status, 101, "status")


WRONG = [
    ("a wrong password", lambda session: Session(session.challenge, USER, "guess").answer("GET", "/echo")),
    ("an unknown user", lambda session: Session(session.challenge, "ann", PASSWORD).answer("GET", "/echo")),
    ("another method", lambda session: session.answer("POST", "/echo")),
    ("a response one digit short", lambda session: session.answer("GET", "/echo", response='"0123"')),
    ("no response", lambda session: session.answer("GET", "/echo", response=None)),
    ("no nonce", lambda session: session.answer("GET", "/echo", nonce=None)),
    ("a nonce of its own", lambda session: Session(
        Challenge({**session.challenge.parameters, "nonce": "c2VsZi1tYWRl"}), USER, PASSWORD).answer("GET", "/echo")),
    ("a nonce cut short", lambda session: Session(
        Challenge({**session.challenge.parameters, "nonce": session.challenge.parameters["nonce"][:-4]}), USER, PASSWORD
    ).answer("GET", "/echo")),
    ("another realm", lambda session: Session(
        Challenge({**session.challenge.parameters, "realm": "elsewhere"}), USER, PASSWORD).answer("GET", "/echo")),
    ("another algorithm", lambda session: session.answer("GET", "/echo", algorithm="MD5")),
    ("count 0", lambda session: session.answer("GET", "/echo", nc="00000000")),
    ("no qop", lambda session: session.answer("GET", "/echo", qop=None)),
    ("Basic instead", lambda session: basic(USER, PASSWORD)),
    ("garbage", lambda session: 'Digest username="joe'),
]  # fmt: skip


@behaviour("an answer that does not pass", rows=WRONG)
async def _(bench, make):
    server = await _serve(bench)
    client = await server.client()
    await client.open_khp()
    session = await _asked(client)
    answer = await client.request(fields=[("Authorization", make(session))])
    check(answer.status in (400, 401), f"status {answer.status}")
    if answer.status == 401:
        again = Session(Challenge.all(answer.all("WWW-Authenticate"))[0], USER, PASSWORD)
        right = await client.request(fields=[("Authorization", again.answer("GET", "/echo"))])
        equal(right.status, 101, "status of the right answer after it")


@behaviour("an answer counts once, on whatever connection")
async def _(bench):
    server = await _serve(bench)
    first = await server.client()
    await first.open_khp()
    session = await _asked(first)
    value = session.answer("GET", "/echo")
    equal((await first.request(fields=[("Authorization", value)])).status, 101, "status")
    second = await server.client()
    await second.open_khp()
    replayed = await second.request(fields=[("Authorization", value)])
    equal(replayed.status, 401, "status of the same answer on another connection")
    # The next count of the same nonce is a new answer.
    third = await server.client()
    await third.open_khp()
    answer = await third.request(fields=[("Authorization", session.answer("GET", "/echo"))])
    equal(answer.status, 101, "status of the next count")


@behaviour("--challenge-at opening asks there, and inside no more")
async def _(bench):
    server = await _serve(bench, "--challenge-at", "opening")
    client = await server.client()
    challenged = await client.open()
    equal(challenged.status, 401, "status of the opening")
    session = Session(Challenge.all(challenged.all("WWW-Authenticate"))[0], USER, PASSWORD)
    client = await server.client()
    await client.open_khp(fields=[("Authorization", session.answer("GET", "/echo"))])
    equal((await client.request()).status, 101, "status inside")
    await client.expect_echo()


@behaviour("Digest and Basic at one path: either passes", rows=[("Digest", True), ("Basic", False)])
async def _(bench, digest):
    users = bench.file(line(USER, REALM, PASSWORD, "SHA-256") + open(await bench.users()).read(), ".users")
    server = await bench.serve("--auth", f"/echo=digest:{REALM}", "--auth", f"/echo=basic:{REALM}", "--users", users)
    client = await server.client()
    await client.open_khp()
    session = await _asked(client)
    value = session.answer("GET", "/echo") if digest else basic(USER, PASSWORD)
    equal((await client.request(fields=[("Authorization", value)])).status, 101, "status")


@behaviour("the third wrong Digest is 403, close 1000")
async def _(bench):
    server = await _serve(bench)
    client = await server.client()
    await client.open_khp()
    session = await _asked(client)
    for _ in range(2):
        wrong = Session(session.challenge, USER, "guess").answer("GET", "/echo")
        answer = await client.request(fields=[("Authorization", wrong)])
        equal(answer.status, 401, "status")
        session = Session(Challenge.all(answer.all("WWW-Authenticate"))[0], USER, PASSWORD)
    wrong = Session(session.challenge, USER, "guess").answer("GET", "/echo")
    await client.send_frame(BINARY, client.request_bytes("/echo", [("Authorization", wrong)]))
    await client.refused(403, 1000)


# Tokens


@behaviour("a token inside", rows=[("token", "token", "Token"), ("bearer", "bearer", "Bearer")])
async def _(bench, scheme, name):
    users = bench.file(f"robot:{PASSWORD}\n", ".users")
    server = await bench.serve("--auth", f"/echo={scheme}:{REALM}", "--users", users)
    client = await server.client()
    await client.open_khp()
    challenged = await client.request()
    equal(challenged.status, 401, "status of the first request")
    check(challenged.get("WWW-Authenticate").startswith(name), f"challenge {challenged.get('WWW-Authenticate')!r}")
    equal((await client.request(fields=[("Authorization", f"{name} guess")])).status, 401, "status of a wrong token")
    equal((await client.request(fields=[("Authorization", f"{name} {PASSWORD}")])).status, 101, "status")
    await client.expect_echo()


@behaviour("a file of users that does not fit: status 2", rows=[
    ("no line for digest", lambda: f"{USER}:$2b$12$" + "a" * 53, f"/echo=digest:{REALM}"),
    ("digest of another realm", lambda: line(USER, "elsewhere", PASSWORD), f"/echo=digest:{REALM}"),
    ("a password in clear for basic", lambda: f"{USER}:welcome", "/echo=basic"),
    ("a key that is too short", lambda: f"{USER}:{REALM}:0123", f"/echo=digest:{REALM}"),
    ("an unknown algorithm", lambda: f"{USER}:{REALM}:SHA-1:{'0' * 40}", f"/echo=digest:{REALM}"),
    ("an unknown scheme", lambda: f"{USER}:{REALM}:{'0' * 32}", "/echo=negotiate"),
])  # fmt: skip
async def _(bench, make, auth):
    users = bench.file(make() + "\n", ".users")
    outcome = await bench.run("serve", "--port", 0, "--auth", auth, "--users", users, within=5)
    outcome.ends(2)
    check(make().rpartition(":")[2] not in outcome.errors, "the secret of the line is shown")
