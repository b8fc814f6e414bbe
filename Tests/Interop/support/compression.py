"""Evidence that a connection was compressed, and as agreed: both ends' word, and the bytes between them."""

import base64
import functools
import json
import re
import zlib
from dataclasses import dataclass, field

from support.check import Failed, check, equal
from support.compressing import whole
from support.deflate import NAME, Inflater, parameters
from support.tap import Conversation
from support.wire import BINARY, TEXT

TOTALS = (
    r"compression: sent (?:nothing|(\d+) bytes in (\d+)) ?(?:\(-?\d+ % saved\))?, "
    r"received (?:nothing|(\d+) bytes in (\d+))"
)


@dataclass
class Expected:
    """The evidence to be seen of a connection between a client and a server."""

    # The parameters that the server's answer has; None: no compression.
    agreed: dict | None = field(default_factory=dict)
    # Which handshake has them.
    layer: str = "opening"
    # To what a sender keeps beyond what the answer says, as far as it is known of its settings.
    window: dict = field(default_factory=dict)
    takeover: dict = field(default_factory=dict)


@dataclass
class Totals:
    """Bytes of messages, and what they took in frames."""

    bytes: int = 0
    wire: int = 0


def prove(seen: Conversation, expected: Expected, client: list, server: list) -> dict[str, Totals]:
    """The wire shows what was agreed on, and that each end sent these messages as agreed: within the window, with or
    without context, smaller where they can be, control frames never compressed. Returns what each end sent."""
    agreed = parameters(seen.extended[1] if expected.layer == "extended" else seen.opening[1])
    equal(agreed, expected.agreed, f"what the {expected.layer} handshake agreed on, on the wire")
    if expected.layer == "extended":
        equal(seen.opening[1], None, "what the opening agreed on, on the wire")
    inflaters = {
        name: Inflater(agreed or {}, name, window=expected.window.get(name), takeover=expected.takeover.get(name))
        for name in ("client", "server")
    }
    requests, responses, *messages = seen.by_layer(lambda name, message: inflaters[name].inflate(message.payload))
    if expected.layer == "extended" or agreed is None:
        check(not any(message.compressed for message in requests + responses), "a handshake compressed too early")
    return {
        name: _prove_sender(name, on_wire, said, inflaters[name] if agreed is not None else None)
        for name, on_wire, said in (("client", messages[0], client), ("server", messages[1], server))
    }


def _prove_sender(name: str, on_wire: list, said: list, inflater: Inflater | None) -> Totals:
    equal(len(on_wire), len(said), f"number of messages of the {name}'s on the wire")
    totals = Totals()
    used = False
    for message, wanted in zip(on_wire, map(whole, said)):
        wanted_bytes = wanted.encode() if isinstance(wanted, str) else wanted
        equal(message.opcode, TEXT if isinstance(wanted, str) else BINARY, f"opcode of a message of the {name}'s")
        payload = message.payload
        if message.compressed:
            if inflater is None:
                raise Failed(f"the {name} compressed a message although nothing was agreed on")
            used = True
            payload = inflater.inflate(payload)
        equal(payload == wanted_bytes, True, f"whether a message of {len(wanted_bytes)} bytes of the {name}'s is right")
        totals.bytes += len(wanted_bytes)
        totals.wire += len(message.payload)
        if inflater is not None and _shrinks(wanted_bytes):
            gained = len(message.payload) * 2 < len(wanted_bytes)
            check(gained, f"{len(wanted_bytes)} bytes of the {name}'s took {len(message.payload)} on the wire")
    if inflater is None:
        equal(totals.wire, totals.bytes, f"bytes of the {name}'s on the wire")
        return totals
    check(used, f"the {name} agreed on compression and compressed nothing")
    if len(said) > 100:
        equal(inflater.looked_back, inflater.takeover, f"whether the {name}'s messages refer to those before them")
    return totals


@functools.lru_cache(maxsize=64)
def _shrinks(data: bytes) -> bool:
    """True where any compressor makes it much smaller."""
    return len(data) > 1500 and len(zlib.compress(data, 1)) * 4 < len(data)


def _counted(text: str) -> tuple[Totals, Totals]:
    found = re.search(TOTALS, text)
    if not found:
        raise Failed(f"no line on compression: {text[-300:]!r}")
    numbers = [int(number or 0) for number in found.groups()]
    return Totals(*numbers[:2]), Totals(*numbers[2:])


def _named(event: dict) -> list[tuple]:
    return [
        (item["name"], {key: int(value) if value else True for key, value in item.get("parameters", {}).items()}, item["layer"])
        for item in event.get("extensions", [])
        if item["name"] == NAME
    ]  # fmt: skip


def prove_told(open_event: dict, errors: str, expected: Expected, sent: Totals, received: Totals) -> None:
    """The command reports a connection as it was on the wire: its `open` event and the line of `-v`."""
    wanted = [] if expected.agreed is None else [(NAME, expected.agreed, expected.layer)]
    equal(_named(open_event), wanted, "the extensions of the open event")
    if expected.agreed is None:
        equal(re.search(TOTALS, errors), None, "a line on compression")
        return
    equal(_counted(errors), (sent, received), "the line on compression")


def message_options(bench, messages: list) -> list:
    """The options with which `khp connect` sends them and waits for as many."""
    options = []
    for message in messages:
        options += ["--message", message] if isinstance(message, str) else ["--binary", bench.file(message)]
    return [*options, "--count", len(messages), "--max-message-size", 1 << 20]


def echoes(events) -> list:
    return [
        event["text"] if event["kind"] == "text" else base64.b64decode(event["base64"])
        for event in events.named("message")
    ]


async def served(server, expected: Expected, totals: dict[str, Totals]) -> None:
    """`khp serve -v --json`, once its first connection is over, tells the same."""
    await server.process.see(r"closed with")
    lines = [json.loads(line) for line in bytes(server.process.out).decode().splitlines() if '"open"' in line]
    prove_told(
        next(line for line in lines if line["event"] == "open"),
        bytes(server.process.err).decode(), expected, totals["server"], totals["client"],
    )  # fmt: skip
