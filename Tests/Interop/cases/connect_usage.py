"""A wrong command line ends with 2 and one sentence, before anything is sent."""

from support.check import check, equal, holds
from support.registry import behaviour

URLS = [
    ("none", []),
    ("no scheme", ["127.0.0.1:8080"]),
    ("another scheme", ["ftp://127.0.0.1/"]),
    ("no host", ["ws:///echo"]),
    ("a fragment", ["ws://127.0.0.1:1/echo#top"]),
    ("userinfo that is not percent-encoded", ["ws://joe:secret%zz@127.0.0.1:1/"]),
    ("port 0", ["ws://127.0.0.1:0/"]),
    ("port 70000", ["ws://127.0.0.1:70000/"]),
    ("a port in letters", ["ws://127.0.0.1:http/"]),
    ("a space", ["ws://127.0.0.1:1/a b"]),
    ("a line end", ["ws://127.0.0.1:1/a\r\nX: y"]),
    ("a broken percent-encoding", ["ws://127.0.0.1:1/%zz"]),
    ("a host beyond ASCII", ["ws://bücher.example/"]),
    ("an IPv4 address out of range", ["ws://256.0.0.1/"]),
    ("an open bracket", ["ws://[::1/"]),
    ("two", ["ws://127.0.0.1:1/", "ws://127.0.0.1:2/"]),
]


@behaviour("URL", rows=[(label, urls) for label, urls in URLS])
async def _(bench, urls):
    outcome = await bench.run("connect", *urls, "--json")
    outcome.fails(2)
    check("secret" not in outcome.errors + outcome.text, "userinfo is shown")


OPTIONS = [
    ("an unknown option", ["--frobnicate"]),
    ("a timeout in letters", ["--timeout", "soon"]),
    ("a negative timeout", ["--timeout=-1"]),
    ("an unknown policy", ["--redirect-policy", "sometimes"]),
    ("an unknown extended", ["--extended", "perhaps"]),
    ("an unknown dialect", ["--dialect", "rfc9999"]),
    ("a field without colon", ["-H", "X-One"]),
    ("a field with a line end", ["-H", "X-One: a\r\nX-Two: b"]),
    ("a field with NUL's neighbour", ["-H", "X-One: a\x01b"]),
    ("a field name with a space", ["-H", "X One: a"]),
    ("a field of the handshake", ["-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]),
    ("Host as a field", ["-H", "Host: other.example"]),
    ("an extended field with a line end", ["--extended-header", "X-One: a\r\nX-Two: b"]),
    ("an extended method that is no token", ["--extended-method", "GE T"]),
    ("a subprotocol that is no token", ["--subprotocol", "a b"]),
    ("the same subprotocol twice", ["--subprotocol", "a", "--subprotocol", "a"]),
    ("an empty subprotocol", ["--subprotocol", ""]),
    ("an extension that is none", ["--extension", "x y"]),
    ("a file that is not there", ["--binary", "/does/not/exist"]),
    ("an authority that is not there", ["--cacert", "/does/not/exist"]),
    ("a certificate without key", ["--cert", "/does/not/exist"]),
    ("a count of letters", ["--count", "many"]),
    ("a negative size", ["--max-message-size=-1"]),
    ("a user with a control character", ["--user", "jo\x01e:x"]),
]


@behaviour("an option", rows=OPTIONS)
async def _(bench, options):
    async def script(peer):
        await peer.until_end()

    server = await bench.raw_server(script)
    limit = [] if options[0].startswith("--timeout") else ["--timeout", 5]
    (await bench.connect(server.url(), *options, *limit, "--json")).fails(2)
    equal(server.count, 0, "connections made")


SERVE = [
    ("a route without action", ["--route", "/a"]),
    ("a route without path", ["--route", "echo"]),
    ("an unknown action", ["--route", "/a=dance"]),
    ("a redirect to nowhere", ["--route", "/a=redirect:"]),
    ("a status in letters", ["--route", "/a=status:ok"]),
    ("a relay without port", ["--route", "/a=tcp:127.0.0.1"]),
    ("an unknown scheme", ["--auth", "/echo=magic"]),
    ("users that are not there", ["--auth", "/echo=basic", "--users", "/does/not/exist"]),
    ("a port of letters", ["--port", "http"]),
    ("port 70000", ["--port", "70000"]),
    ("a key that is not there", ["--tls-cert", "/does/not/exist", "--tls-key", "/does/not/exist"]),
    ("a certificate without key", ["--tls-cert", "CERTIFICATE"]),
    ("an unknown extended", ["--extended", "perhaps"]),
    ("an unknown place", ["--challenge-at", "home"]),
    ("a subprotocol that is no token", ["--subprotocol", "a b"]),
    ("a negative timeout", ["--handshake-timeout=-1"]),
    ("an unknown option", ["--frobnicate"]),
]


@behaviour("an option of serve", rows=SERVE)
async def _(bench, options):
    options = [bench.certificates.certificate() if option == "CERTIFICATE" else option for option in options]
    port = [] if "--port" in options else ["--port", 0]
    (await bench.run("serve", *port, *options)).fails(2)


@behaviour("authentication of a path without route is a mistake")
async def _(bench):
    users = await bench.users()
    (await bench.run("serve", "--port", 0, "--route", "/a=echo", "--auth", "/b=basic", "--users", users)).fails(2)


@behaviour("--help has an example at every level", rows=[("khp", []), ("demo", ["demo"]), ("connect", ["connect"]),
           ("serve", ["serve"]), ("gateway", ["gateway"]), ("hash", ["hash"])])  # fmt: skip
async def _(bench, command):
    outcome = (await bench.run(*command, "--help")).ends(0)
    holds(outcome.text, "EXAMPLE", "the help")
    holds(outcome.text, "khp " + " ".join(command), "the help")
    equal(outcome.errors, "", "standard error")


@behaviour("--version says the version")
async def _(bench):
    outcome = (await bench.run("--version")).ends(0)
    check(outcome.text.strip() and outcome.text[0].isdigit() or "khp" in outcome.text, f"{outcome.text!r}")


@behaviour("an unknown command ends with 2")
async def _(bench):
    (await bench.run("frobnicate")).ends(2)
