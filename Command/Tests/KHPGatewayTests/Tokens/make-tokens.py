#!/usr/bin/env python3
"""Makes the key sets and the tokens of TokenVerifierTests with PyJWT, so that no code of ours judges its own signatures.

Needs PyJWT and cryptography. Run it in this folder; it makes new keys each time. A line of tokens.txt is: the result (ok,
or the case of TokenVerifier.Refusal), the name of the case, the key set, the algorithms, the token.
"""

import base64
import hashlib
import hmac
import json
import sys

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1_800_000_000
CLAIMS = {
    "iss": "https://id.example.com/",
    "aud": "khp",
    "sub": "joe",
    "exp": NOW + 60,
    "nbf": NOW - 60,
    "iat": NOW - 60,
    "tenant": "acme",
    "level": 7,
    "realm_access": {"roles": ["trader", "ops"]},
}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value):
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


KEYS = {
    "es256": ec.generate_private_key(ec.SECP256R1()),
    "es384": ec.generate_private_key(ec.SECP384R1()),
    "es512": ec.generate_private_key(ec.SECP521R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
    "rsa2": rsa.generate_private_key(65537, 2048),
    "ed": ed25519.Ed25519PrivateKey.generate(),
}
FOREIGN = ec.generate_private_key(ec.SECP256R1())
SMALL = rsa.generate_private_key(65537, 1024)
SECRET = bytes(range(64))
MAKERS = {"es": ECAlgorithm, "rs": RSAAlgorithm, "ed": OKPAlgorithm}


def jwk(name, key, **more):
    maker = MAKERS[name[:2]]
    entry = json.loads(maker.to_jwk(key.public_key()))
    entry.pop("key_ops", None)
    return {"kid": name, **entry, **more}


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


PUBLIC = [jwk(name, key) for name, key in KEYS.items()]
SETS = {
    "public": PUBLIC,
    # The key has no alg: what a first token asks for must not stay (RFC 7517 section 4.4 leaves alg optional).
    "one-rsa": [jwk("rsa", KEYS["rsa"])],
    "rsa-named": [jwk("rsa", KEYS["rsa"], alg="RS256")],
    "small": [jwk("rsa", SMALL)],
    "encryption": [jwk("rsa", KEYS["rsa"], use="enc")],
    "secret": [{"kty": "oct", "kid": "s", "k": b64(SECRET)}],
    "short-secret": [{"kty": "oct", "kid": "s", "k": b64(SECRET[:31])}],
    "pem-secret": [{"kty": "oct", "kid": "s", "k": b64(public_pem(KEYS["rsa"]))}],
}
ALL = "ES256,ES384,ES512,RS256,RS384,RS512,PS256,PS384,PS512,EdDSA"
LINES = []


def case(result, name, token, keys="public", algorithms=ALL):
    LINES.append("\t".join([result, name, keys, algorithms, token]))


def signed(algorithm, key="es256", headers=None, claims=None, **changes):
    body = {**CLAIMS, **changes} if claims is None else claims
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(body, KEYS.get(key, key), algorithm=algorithm, headers={"kid": key, **(headers or {})})


def raw(head, body, key=KEYS["es256"]):
    """Signed with ES256 whatever the head says."""
    text = f"{part(head)}.{part(body)}".encode()
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return f"{text.decode()}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


HEAD = {"alg": "ES256", "typ": "JWT", "kid": "es256"}

# Every algorithm.
for algorithm in ("ES256", "ES384", "ES512"):
    case("ok", algorithm, signed(algorithm, algorithm.lower()))
for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
    case("ok", algorithm, signed(algorithm, "rsa"))
case("ok", "EdDSA", signed("EdDSA", "ed"))
for algorithm in ("HS256", "HS384", "HS512"):
    token = jwt.encode(CLAIMS, SECRET, algorithm=algorithm, headers={"kid": "s"})
    case("ok", algorithm, token, "secret", "HS256,HS384,HS512")

# Heads.
case("ok", "no kid and one key", jwt.encode(CLAIMS, KEYS["rsa"], algorithm="RS256"), "one-rsa")
case("key", "no kid and two keys", jwt.encode(CLAIMS, KEYS["rsa"], algorithm="RS256"))
case("ok", "no kid and one key that fits", jwt.encode(CLAIMS, KEYS["es384"], algorithm="ES384"))
case("key", "unknown kid", signed("ES256", headers={"kid": "other"}))
case("key", "kid is a number", raw({**HEAD, "kid": 1}, CLAIMS))
case("key", "kid is null", raw({**HEAD, "kid": None}, CLAIMS))
case("signature", "kid of another key of the kind", signed("RS256", "rsa", {"kid": "rsa2"}))
case("key", "kid of a key of another kind", signed("ES256", headers={"kid": "rsa"}))
case("algorithm", "none", f"{part({**HEAD, 'alg': 'none'})}.{part(CLAIMS)}.")
case("algorithm", "None with a signature", raw({**HEAD, "alg": "None"}, CLAIMS))
case("algorithm", "es256 in small letters", raw({**HEAD, "alg": "es256"}, CLAIMS))
case("algorithm", "alg with a blank", raw({**HEAD, "alg": "ES256 "}, CLAIMS))
case("algorithm", "no alg", raw({"typ": "JWT", "kid": "es256"}, CLAIMS))
case("algorithm", "alg is a list", raw({**HEAD, "alg": ["ES256"]}, CLAIMS))
case("algorithm", "alg that is not allowed", signed("RS384", "rsa"), "public", "RS256")
case("algorithm", "ES256K", raw({**HEAD, "alg": "ES256K"}, CLAIMS))
head = jwt.get_unverified_header(signed("PS256", "rsa"))
tail = signed("PS256", "rsa").split(".", 1)[1]
case("signature", "the alg switched", f"{part({**head, 'alg': 'RS256'})}.{tail}", "one-rsa", "RS256,RS384,PS256")
case("signature", "a first token of another alg", f"{part({'alg': 'RS384', 'kid': 'rsa'})}.{part(CLAIMS)}.AAAA", "one-rsa")
case("ok", "and the good one after it", signed("RS256", "rsa"), "one-rsa")
case("key", "an alg that the key is not for", signed("RS384", "rsa"), "rsa-named")
case("key", "an RSA key of 1024 bits", jwt.encode(CLAIMS, SMALL, algorithm="RS256", headers={"kid": "rsa"}), "small")
case("key", "a key for encryption", signed("RS256", "rsa"), "encryption")
case("critical", "crit", raw({**HEAD, "crit": ["exp"]}, CLAIMS))
case("critical", "crit that is empty", raw({**HEAD, "crit": []}, CLAIMS))
case("critical", "b64", raw({**HEAD, "b64": False}, CLAIMS))
case("foreignKey", "jwk", raw({**HEAD, "jwk": jwk("es256", FOREIGN)}, CLAIMS, FOREIGN))
case("foreignKey", "jku", raw({**HEAD, "jku": "https://evil.example/keys"}, CLAIMS, FOREIGN))
case("foreignKey", "x5u", raw({**HEAD, "x5u": "https://evil.example/cert"}, CLAIMS, FOREIGN))
case("ok", "x5t is no key", raw({**HEAD, "x5t": "abc"}, CLAIMS))
case("type", "a logout token", raw({**HEAD, "typ": "logout+jwt"}, CLAIMS))
case("type", "typ is a list", raw({**HEAD, "typ": ["JWT"]}, CLAIMS))
case("ok", "an access token", raw({**HEAD, "typ": "at+JWT"}, CLAIMS))
case("ok", "no typ", raw({"alg": "ES256", "kid": "es256"}, CLAIMS))
case("head", "a head with alg twice", raw(b'{"alg":"ES256","alg":"none","kid":"es256"}', CLAIMS))
case("head", "a head with alg twice, once escaped", raw(b'{"alg":"ES256","\\u0061lg":"ES256"}', CLAIMS))
case("head", "a head that is a list", raw(["ES256"], CLAIMS))
case("head", "a head with more behind it", raw(json.dumps(HEAD).encode() + b"{}", CLAIMS))
case("head", "a head that is not UTF-8", raw(b'{"alg":"ES256","kid":"\xff"}', CLAIMS))
case("head", "a deep head", raw(b'{"alg":"ES256","a":' + b"[" * 500 + b"]" * 500 + b"}", CLAIMS))

# Secrets and public keys.
SYMMETRIC = "HS256,HS384,HS512"


def hs256(secret, headers):
    text = f"{part({'alg': 'HS256', 'typ': 'JWT', **headers})}.{part(CLAIMS)}".encode()
    return f"{text.decode()}.{b64(hmac.new(secret, text, hashlib.sha256).digest())}"


case("algorithm", "HS256 with the public key's PEM", hs256(public_pem(KEYS["rsa"]), {"kid": "rsa"}))
case("algorithm", "HS256 with nothing", hs256(b"", {"kid": "rsa"}))
case("key", "HS256 beside a public key", hs256(public_pem(KEYS["rsa"]), {"kid": "rsa"}), "one-rsa", SYMMETRIC)
case("ok", "HS256 where the PEM is the secret", hs256(public_pem(KEYS["rsa"]), {"kid": "s"}), "pem-secret", SYMMETRIC)
case("key", "a secret shorter than the hash", hs256(SECRET[:31], {"kid": "s"}), "short-secret", SYMMETRIC)
case("signature", "a wrong secret", hs256(SECRET[:63], {"kid": "s"}), "secret", SYMMETRIC)

# Signatures.
good = raw(HEAD, CLAIMS)
first, second, third = good.split(".")
signature = base64.urlsafe_b64decode(third + "==")
case("ok", "signed by hand", good)
case("signature", "a signature of another's key", raw(HEAD, CLAIMS, FOREIGN))
case("signature", "no signature", f"{first}.{second}.")
case("signature", "other claims", f"{first}.{part({**CLAIMS, 'sub': 'admin'})}.{third}")
case("signature", "another head", f"{part({**HEAD, 'x': 1})}.{second}.{third}")
case("signature", "one bit off", f"{first}.{second}.{b64(signature[:-1] + bytes([signature[-1] ^ 1]))}")
case("signature", "r and s are zero", f"{first}.{second}.{b64(bytes(64))}")
case("signature", "a signature in DER", f"{first}.{second}.{b64(KEYS['es256'].sign(f'{first}.{second}'.encode(), ec.ECDSA(hashes.SHA256())))}")
case("signature", "a signature with a byte more", f"{first}.{second}.{b64(signature + bytes(1))}")
case("signature", "an ES384 signature as ES256", f"{first}.{second}.{signed('ES384', 'es384').split('.')[2]}")
salted = KEYS["rsa"].sign(
    f"{part({'alg': 'PS256', 'kid': 'rsa'})}.{second}".encode(),
    padding.PSS(padding.MGF1(hashes.SHA256()), 20), hashes.SHA256())
case("signature", "PSS with another salt", f"{part({'alg': 'PS256', 'kid': 'rsa'})}.{second}.{b64(salted)}")

# Spelling.
case("malformed", "two parts", f"{first}.{second}")
case("malformed", "four parts", f"{good}.")
case("malformed", "five parts, as encrypted ones", f"{good}.a.b")
case("malformed", "padding", f"{first}.{second}.{third}==")
case("malformed", "a line end", f"{first}.{second}.{third}%0A")
case("malformed", "base64 with plus and slash", f"{first}.{second}.{third[:-2]}+/")
alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
case("malformed", "bits that are left over", f"{first}.{second}.{third[:-1]}{alphabet[alphabet.index(third[-1]) + 1]}")
case("malformed", "an empty head", f".{second}.{third}..")
case("head", "no head", f".{second}.{third}")
case("tooLong", "more than 8 KiB", raw(HEAD, {**CLAIMS, "x": "y" * 6200}))
case("ok", "less than 8 KiB", raw(HEAD, {**CLAIMS, "x": "y" * 5600}))

# Claims.
case("claims", "claims that are a list", raw(HEAD, [CLAIMS]))
case("claims", "sub twice", raw(HEAD, json.dumps(CLAIMS)[:-1].encode() + b',"sub":"admin"}'))
case("issuer", "another issuer", signed("ES256", iss="https://id.example.com"))
case("issuer", "no issuer", signed("ES256", iss=None))
case("issuer", "a list of issuers", raw(HEAD, {**CLAIMS, "iss": ["https://id.example.com/"]}))
case("audience", "another audience", signed("ES256", aud="khp2"))
case("audience", "no audience", signed("ES256", aud=None))
case("ok", "an audience among others", signed("ES256", aud=["a", "khp"]))
case("audience", "others alone", signed("ES256", aud=["a", "b"]))
case("audience", "an empty list", signed("ES256", aud=[]))
case("audience", "an audience in capitals", signed("ES256", aud="KHP"))
case("ok", "expired within the leeway", signed("ES256", exp=NOW - 29))
case("expired", "expired at the leeway", signed("ES256", exp=NOW - 30))
case("expired", "expired long ago", signed("ES256", exp=1))
case("noExpiry", "no exp", signed("ES256", exp=None))
case("noExpiry", "exp as a text", raw(HEAD, {**CLAIMS, "exp": str(NOW + 60)}))
case("noExpiry", "exp beyond all numbers", raw(HEAD, json.dumps({**CLAIMS, "exp": 0}).replace('"exp": 0', '"exp": 1e400').encode()))
case("ok", "exp with a fraction", raw(HEAD, {**CLAIMS, "exp": NOW + 60.5}))
case("ok", "nbf within the leeway", signed("ES256", nbf=NOW + 30))
case("notYet", "nbf beyond it", signed("ES256", nbf=NOW + 31))
case("notYet", "nbf as a text", raw(HEAD, {**CLAIMS, "nbf": "0"}))
case("notYet", "issued tomorrow", raw(HEAD, {**CLAIMS, "iat": NOW + 86400}))
case("ok", "neither nbf nor iat", signed("ES256", nbf=None, iat=None))
case("principal", "no sub", signed("ES256", sub=None))
case("principal", "an empty sub", signed("ES256", sub=""))
case("principal", "sub as a number", raw(HEAD, {**CLAIMS, "sub": 7}))
case("principal", "sub with a line end", raw(HEAD, {**CLAIMS, "sub": "joe\nadmin"}))
case("principal", "sub of 257 bytes", raw(HEAD, {**CLAIMS, "sub": "x" * 257}))

if __name__ == "__main__":
    for name, keys in SETS.items():
        with open(f"{name}.json", "w") as file:
            json.dump({"keys": keys}, file, indent=1)
            file.write("\n")
    with open("tokens.txt", "w") as file:
        file.write("\n".join(LINES) + "\n")
    print(len(LINES), "tokens", file=sys.stderr)
