"""Digest as RFC 7616 has it, for raw clients: nothing of the product, nothing of requests or curl."""

import hashlib
import os
import re
from dataclasses import dataclass, field

from support.check import Failed

HASHES = {
    "MD5": hashlib.md5,
    "SHA-256": hashlib.sha256,
    # SHA-512/256 is a hash of its own, not SHA-512 cut short.
    "SHA-512-256": lambda data=b"": hashlib.new("sha512_256", data),
}


def hashed(algorithm: str, text: str | bytes) -> str:
    base = algorithm.upper().removesuffix("-SESS")
    data = text.encode() if isinstance(text, str) else text
    return HASHES[base](data).hexdigest()


def secret(user: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """HA1: what a file of users holds."""
    return hashed(algorithm, f"{user}:{realm}:{password}")


def line(user: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """A line for `--users`."""
    name = "" if algorithm == "MD5" else f"{algorithm}:"
    return f"{user}:{realm}:{name}{secret(user, realm, password, algorithm)}\n"


@dataclass
class Challenge:
    """One `Digest …` of a WWW-Authenticate field, with or without Kaazing's prefix."""

    parameters: dict[str, str]
    is_for_applications: bool = False

    @staticmethod
    def all(values: list[str]) -> list["Challenge"]:
        """The Digest challenges of these fields; each in a field of its own, as the product writes them."""
        found = []
        for value in values:
            match = re.fullmatch(r"(Application )?Digest (.*)", value)
            if not match:
                continue
            parts = re.findall(r'([a-zA-Z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?:, *|$)', match[2])
            parameters = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or token for name, quoted, token in parts}
            for needed in ("realm", "nonce", "qop"):
                if needed not in parameters:
                    raise Failed(f"no {needed} in {value!r}")
            found.append(Challenge(parameters, bool(match[1])))
        return found

    @property
    def algorithm(self) -> str:
        return self.parameters.get("algorithm", "MD5")

    @property
    def is_stale(self) -> bool:
        return self.parameters.get("stale", "").lower() == "true"


@dataclass
class Session:
    """A user's answers to one challenge; counts up with each."""

    challenge: Challenge
    user: str
    password: str
    count: int = 0
    cnonce: str = field(default_factory=lambda: os.urandom(12).hex())
    ha1: str = ""

    def answer(self, method: str, uri: str, *, qop: str | None = "auth", entity: bytes = b"", userhash=False, **wrong) -> str:
        """The value of Authorization. `wrong` replaces parameters after the response was computed from the right ones;
        a count goes into it."""
        given = self.challenge.parameters
        algorithm = self.challenge.algorithm
        self.count = int(wrong.pop("nc", f"{self.count + 1:x}"), 16)
        count = f"{self.count:08x}"
        self.ha1 = secret(self.user, given["realm"], self.password, algorithm)
        if algorithm.lower().endswith("-sess"):
            self.ha1 = hashed(algorithm, f"{self.ha1}:{given['nonce']}:{self.cnonce}")
        a2 = f"{method}:{uri}" + (f":{hashed(algorithm, entity)}" if qop == "auth-int" else "")
        # Without qop it is the answer of RFC 2069, which has no count.
        middle = f"{given['nonce']}:{count}:{self.cnonce}:{qop}" if qop else given["nonce"]
        response = hashed(algorithm, f"{self.ha1}:{middle}:{hashed(algorithm, a2)}")
        name = hashed(algorithm, f"{self.user}:{given['realm']}") if userhash else self.user
        parameters = {
            "username": f'"{name}"', "realm": f'"{given["realm"]}"', "nonce": f'"{given["nonce"]}"', "uri": f'"{uri}"',
            "algorithm": algorithm, "nc": count, "cnonce": f'"{self.cnonce}"', "qop": qop, "response": f'"{response}"',
        }  # fmt: skip
        if "opaque" in given:
            parameters["opaque"] = f'"{given["opaque"]}"'
        if userhash:
            parameters["userhash"] = "true"
        if qop is None:
            wrong = {"qop": None, "nc": None, "cnonce": None, **wrong}
        for key, value in wrong.items():
            if value is None:
                parameters.pop(key, None)
            else:
                parameters[key] = value
        return "Digest " + ", ".join(f"{key}={value}" for key, value in parameters.items())

    def proof(self, uri: str) -> str:
        """rspauth: what the server must say to show that it knows the secret too."""
        middle = f"{self.challenge.parameters['nonce']}:{self.count:08x}:{self.cnonce}:auth"
        return hashed(self.challenge.algorithm, f"{self.ha1}:{middle}:{hashed(self.challenge.algorithm, f':{uri}')}")


# RFC 7616, section 3.9.1.
_EXAMPLE = {
    "realm": "http-auth@example.org", "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "qop": "auth, auth-int",
    "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
}  # fmt: skip
for _algorithm, _expected in (
    ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
):
    _session = Session(
        Challenge({**_EXAMPLE, "algorithm": _algorithm}), "Mufasa", "Circle of Life",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )  # fmt: skip
    assert f'response="{_expected}"' in _session.answer("GET", "/dir/index.html"), _algorithm
