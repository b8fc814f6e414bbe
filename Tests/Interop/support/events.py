"""The contract of `--json`: which events there are, their fields and what these hold."""

import base64
import json

from support.check import Failed, check

ACTIONS = {"complete", "wait", "redirect", "choose", "challenge", "send-body", "close", "upgrade", "proxy-auth"}
DIALECTS = {"rfc6455", "hixie-75", "hixie-76", "whatwg-2010"}
LAYERS = {"opening", "extended", "proxy"}


def _text(value):
    return isinstance(value, str)


def _count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _flag(value):
    return isinstance(value, bool)


def _one_of(*values):
    return lambda value: value in values


def _base64(value):
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        return False
    return True


def _tls(value):
    return isinstance(value, dict) and set(value) <= {"version", "alpn"} and all(map(_text, value.values()))


def _extensions(value):
    return isinstance(value, list) and all(
        isinstance(item, dict)
        and set(item) <= {"name", "parameters", "layer"}
        and _text(item.get("name"))
        and item.get("layer") in LAYERS
        for item in value
    )


# event: {field: (what it must be, whether it is always there)}
CONTRACT = {
    "connecting": {"url": (_text, True), "attempt": (_count, True), "proxy": (_text, False)},
    "connected": {"peer": (_text, True), "tls": (_tls, False)},
    "opening-request": {"head": (_text, True)},
    "opening-response": {"head": (_text, True), "status": (_count, True)},
    "extended-request": {"head": (_text, True), "body": (_text, False)},
    "extended-response": {
        "head": (_text, True), "status": (_count, True), "action": (_one_of(*ACTIONS), True), "body": (_text, False),
    },
    "challenge": {
        "scheme": (_text, True), "realm": (_text, False), "layer": (_one_of(*LAYERS), True), "round": (_count, True),
    },
    "redirect": {
        "from": (_text, True), "to": (_text, True), "status": (_count, True), "layer": (_one_of(*LAYERS), True),
    },
    "open": {
        "url": (_text, True), "subprotocol": (_text, False), "extensions": (_extensions, False),
        "status": (_count, False), "dialect": (_one_of(*DIALECTS), True), "redirects": (_count, True),
        "challenges": (_count, True),
    },
    "message": {
        "kind": (_one_of("text", "binary"), True), "text": (_text, False), "base64": (_base64, False),
        "bytes": (_count, True),
    },
    "sent": {"kind": (_one_of("text", "binary"), True), "bytes": (_count, True)},
    "pong": {"rtt": (_number, True)},
    "close": {
        "code": (_count, False), "reason": (_text, False), "clean": (_flag, True),
        "by": (_one_of("local", "peer"), True),
    },
    "error": {
        "code": (_text, True), "message": (_text, True), "url": (_text, False), "status": (_count, False),
        "exit": (_count, True),
    },
}  # fmt: skip


class Events(list):
    """The events of one run, each checked against the contract."""

    @staticmethod
    def parse(output: bytes) -> "Events":
        events = Events()
        last = 0.0
        for line in output.decode("utf-8").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                raise Failed(f"no JSON on standard output: {line!r}") from None
            _verify(event)
            check(event["t"] >= last, f"time goes back: {line}")
            last = event["t"]
            events.append(event)
        return events

    def named(self, name: str) -> list[dict]:
        return [event for event in self if event["event"] == name]

    def one(self, name: str) -> dict:
        found = self.named(name)
        if len(found) != 1:
            raise Failed(f"{len(found)} events {name!r} instead of one, among {self.names}")
        return found[0]

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self]


def _verify(event) -> None:
    if not isinstance(event, dict) or event.get("event") not in CONTRACT:
        raise Failed(f"no event of the contract: {event!r}")
    if not _number(event.get("t")):
        raise Failed(f"no time in {event!r}")
    fields = CONTRACT[event["event"]]
    for name, value in event.items():
        if name in ("event", "t"):
            continue
        if name not in fields:
            raise Failed(f"the contract has no field {name!r} in {event!r}")
        if not fields[name][0](value):
            raise Failed(f"field {name!r} is not as the contract says in {event!r}")
    for name, (_, always) in fields.items():
        if always and name not in event:
            raise Failed(f"field {name!r} is missing in {event!r}")
    if event["event"] == "message":
        right = "text" if event["kind"] == "text" else "base64"
        if right not in event or ("text" in event and "base64" in event):
            raise Failed(f"a {event['kind']} message is not under {right!r} in {event!r}")
