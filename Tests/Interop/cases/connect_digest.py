"""`khp connect` and Digest, checked by a raw server with a Digest of its own (`support/digest.py`)."""

import os
import re

from support.bench import PASSWORD, USER
from support.check import check, equal
from support.digest import Challenge, Session, hashed
from support.registry import behaviour
from support.wire import basic

AS_JOE = ["--user", f"{USER}:{PASSWORD}"]
HELLO = "hällo"
SAY = ["--json", "--message", HELLO, "--count", 1]


class Digest:
    """The server's half: a challenge, and whether an answer to it is right."""

    def __init__(self, algorithm: str | None = "SHA-256", **parameters):
        self.parameters = {
            "realm": "the desk",
            "nonce": os.urandom(9).hex(),
            "qop": "auth",
            "opaque": "5ccc",
            **parameters,
        }
        if algorithm:
            self.parameters["algorithm"] = algorithm

    @property
    def field(self) -> tuple[str, str]:
        bare = ("algorithm", "stale", "userhash", "charset")
        text = ", ".join(f"{k}={v}" if k in bare else f'{k}="{v}"' for k, v in self.parameters.items() if v is not None)
        return ("WWW-Authenticate", f"Digest {text}")

    def check(self, value: str | None, uri: str, count: int = 1, method: str = "GET", user: str = USER) -> Session:
        """Fails unless the value is the right answer; gives the session as the client has it."""
        check(value is not None and value.startswith("Digest "), f"no Digest: {value!r}")
        parts = re.findall(r'([a-z]+\*?)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?:, *|$)', value[7:])
        given = {name: re.sub(r"\\(.)", r"\1", quoted) or token for name, quoted, token in parts}
        equal(len(given), len(parts), "parameters, each once")
        for name in ("realm", "nonce", "opaque"):
            equal(given.get(name), self.parameters.get(name), name)
        equal(given.get("uri"), uri, "uri")
        unquoted = re.findall(r'(?:^|, *)([a-z]+)=[^"\s,]+', value[7:])
        check({"nc", "qop"} <= set(unquoted), f"nc and qop are quoted in {value!r}")
        if "algorithm" in self.parameters:
            equal(given.get("algorithm"), self.parameters["algorithm"], "algorithm")
            check("algorithm" in unquoted, "algorithm is quoted")
        equal(given.get("nc"), f"{count:08x}", "nc")
        if self.parameters.get("userhash") == "true":
            algorithm = self.parameters.get("algorithm", "MD5")
            equal(given["username"], hashed(algorithm, f"{user}:{given['realm']}"), "hashed user name")
            equal(given.get("userhash"), "true", "userhash")
        else:
            equal(given["username"], user, "user name")
        session = Session(Challenge(self.parameters), user, PASSWORD, count - 1, given["cnonce"])
        right = session.answer(method, uri, qop=given["qop"])
        equal(given["response"], re.search(r'response="([0-9a-f]+)"', right)[1], "response")
        return session


@behaviour("the answer is right, in", rows=[(name, name) for name in (
    "MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess", "SHA-512-256-sess")] + [("none named", None)])  # fmt: skip
async def _(bench, algorithm):
    digest = Digest(algorithm)

    async def script(peer):
        await peer.open()
        first = await peer.request()
        await peer.answer(401, [digest.field])
        second = await peer.request()
        equal(second.fields[:-1], first.fields, "fields before the last")
        digest.check(second.get("Authorization"), "/trades?day=1&of=a%20week")
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    (await bench.connect(server.url("/trades?day=1&of=a%20week"), *AS_JOE, *SAY)).echoed(HELLO)


@behaviour("userhash, opaque with quotes, auth-int beside auth, Kaazing's prefix", rows=[
    ("userhash", {"userhash": "true"}, ""), ("opaque", {"opaque": 'a "b" \\c'}, ""), ("qop", {"qop": "auth,auth-int"}, ""),
    ("prefix", {}, "Application "), ("no opaque", {"opaque": None}, "")])  # fmt: skip
async def _(bench, parameters, prefix):
    digest = Digest(**parameters)
    if digest.parameters["opaque"] is None:
        del digest.parameters["opaque"]

    async def script(peer):
        await peer.open()
        await peer.request()
        name, value = digest.field
        if "b" in (digest.parameters.get("opaque") or "") and "\\" in digest.parameters["opaque"]:
            value = value.replace('a "b" \\c', 'a \\"b\\" \\\\c')
        await peer.answer(401, [(name, prefix + value)])
        digest.check((await peer.request()).get("Authorization"), "/trades")
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, *SAY)).echoed(HELLO)


@behaviour("the strongest of several challenges is answered", rows=[("fields", True), ("one field", False)])
async def _(bench, apart):
    weak, strong = Digest("MD5"), Digest("SHA-256")

    async def script(peer):
        await peer.open()
        await peer.request()
        values = ['Basic realm="the desk"', weak.field[1], 'Digest realm="x", nonce="y", qop="auth", algorithm=SHA-1',
                  strong.field[1]]  # fmt: skip
        await peer.answer(401, [("WWW-Authenticate", v) for v in (values if apart else [", ".join(values)])])
        strong.check((await peer.request()).get("Authorization"), "/trades")
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, *SAY)).echoed(HELLO)


@behaviour("stale: the same credentials once more with the new nonce, unasked")
async def _(bench):
    first, second = Digest(), Digest(stale="true")

    async def script(peer):
        await peer.open()
        await peer.request()
        await peer.answer(401, [first.field])
        first.check((await peer.request()).get("Authorization"), "/trades")
        await peer.answer(401, [second.field])
        second.check((await peer.request()).get("Authorization"), "/trades")
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, *SAY)).echoed(HELLO)


@behaviour("stale again and again ends with 8")
async def _(bench):
    answers = []

    async def script(peer):
        await peer.open()
        for _ in range(12):
            seen = await peer.read_frame()
            if seen.opcode == 8:
                await peer.send_close(1000)
                return
            answers.append(seen)
            await peer.answer(401, [Digest(stale="true").field])

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, "--json")).fails(8)
    check(len(answers) <= 6, f"{len(answers)} requests")


@behaviour("the server's proof is checked", rows=[("right", True), ("wrong", False)])
async def _(bench, right):
    digest = Digest()

    async def script(peer):
        await peer.open()
        await peer.request()
        await peer.answer(401, [digest.field])
        session = digest.check((await peer.request()).get("Authorization"), "/trades")
        proof = session.proof("/trades") if right else "0" * 64
        count = f"{session.count:08x}"
        await peer.answer(
            101, [("Authentication-Info", f'rspauth="{proof}", qop=auth, cnonce="{session.cnonce}", nc={count}')]
        )
        if right:
            await peer.echo()
        else:
            await peer.until_end()

    server = await bench.raw_server(script)
    outcome = await bench.connect(server.url(), *AS_JOE, *SAY)
    outcome.echoed(HELLO) if right else outcome.fails(8)


@behaviour("Digest first, then Basic alone: the password is not given away")
async def _(bench):
    answers = []

    async def script(peer):
        await peer.open()
        await peer.request()
        await peer.answer(401, [Digest().field])
        answers.append((await peer.request()).get("Authorization"))
        await peer.answer(401, [("WWW-Authenticate", 'Basic realm="the desk"')])
        answers.append(await peer.read_frame())
        await peer.send_close(1000)

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, "--json")).fails(8)
    check(answers[0].startswith("Digest "), "the first answer is no Digest")
    equal(answers[1].opcode, 8, "opcode of what follows")


@behaviour("Digest at the opening", rows=[("fresh connection", False), ("same connection", True)])
async def _(bench, kept):
    digest = Digest()

    async def script(peer):
        if peer.index == 0:
            opening = await peer.read_opening()
            equal(opening.get("Authorization"), None, "Authorization of the first opening")
            if not kept:
                await peer.refuse(401, [digest.field])
                return
            await peer.send(
                f"HTTP/1.1 401 Unauthorized\r\n{': '.join(digest.field)}\r\nContent-Length: 3\r\n\r\nno\n".encode()
            )
        digest.check((await peer.open()).get("Authorization"), "/trades?day=1")
        await peer.request()
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    (await bench.connect(server.url("/trades?day=1"), *AS_JOE, *SAY)).echoed(HELLO)
    equal(server.count, 1 if kept else 2, "connections")


UNUSABLE = [
    ("SHA-1", 'Digest realm="a", nonce="b", qop="auth", algorithm=SHA-1'),
    ("no nonce", 'Digest realm="a", qop="auth", algorithm=MD5'),
    ("no realm", 'Digest nonce="b", qop="auth", algorithm=MD5'),
    ("an unknown qop", 'Digest realm="a", nonce="b", qop="auth-conf", algorithm=MD5'),
    ("a realm twice", 'Digest realm="a", realm="b", nonce="b", qop="auth", algorithm=MD5'),
    ("a quote that does not end", 'Digest realm="a, nonce="b", qop="auth'),
]


@behaviour("a Digest that cannot be answered ends with 8", rows=UNUSABLE)
async def _(bench, value):
    async def script(peer):
        await peer.until_request()
        await peer.answer(401, [("WWW-Authenticate", value)])
        await peer.closed_by_client(1000)

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, "--json")).fails(8)


@behaviour("a Digest nobody can answer beside Basic: Basic is answered")
async def _(bench):
    async def script(peer):
        await peer.until_request()
        await peer.answer(401, [("WWW-Authenticate", UNUSABLE[0][1]), ("WWW-Authenticate", 'Basic realm="the desk"')])
        equal((await peer.request()).get("Authorization"), basic(USER, PASSWORD), "Authorization")
        await peer.answer(101)
        await peer.echo()

    server = await bench.raw_server(script)
    (await bench.connect(server.url(), *AS_JOE, *SAY)).echoed(HELLO)
