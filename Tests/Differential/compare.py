#!/usr/bin/env python3
"""Holds our frame decoder against NIOWebSocket's and Python `websockets`' on a generated corpus, cut at random places.

    compare.py [--streams N] [--seed N] [--judge PROGRAM]

Where two disagree, `rulings.json` must hold the sentence that decides, under the name of the peer and what each side said;
a disagreement without a ruling fails, and so does a ruling that no stream needs any more. The last line is
`N passed, N failed`, counting streams.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import struct
import subprocess
import sys

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import OP_BINARY, OP_CLOSE, OP_CONT, OP_PING, OP_PONG, OP_TEXT, CloseCode
from websockets.protocol import Protocol, Side, State

HERE = pathlib.Path(__file__).resolve().parent
LARGEST = 4096
CODES = [0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1013, 1014, 1015, 1016, 2999, 3000, 4999, 5000]
TEXTS = [b"", b"hello", "grüße €𝄞".encode(), b"a" * 125, b"b" * 126, b"c" * 1000]
BROKEN_TEXTS = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\xe2\x82", b"\x80"]


def frame(chance, role, opcode, payload, *, fin=True, rsv=0, mask=None, form=None):
    """One frame; `mask` and `form` (of the length) are right unless said otherwise."""
    masked = (role == "server") if mask is None else mask
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    length = len(payload)
    if form is None:
        form = 7 if length < 126 else 16 if length < 65536 else 64
    bit = 0x80 if masked else 0
    if form == 7:
        head = bytes([first, bit | length])
    elif form == 16:
        head = bytes([first, bit | 126]) + struct.pack("!H", length)
    else:
        head = bytes([first, bit | 127]) + struct.pack("!Q", length)
    if not masked:
        return head + payload
    key = chance.randbytes(4)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def cut(chance, payload):
    """A payload in one to four fragments, some of them empty."""
    places = sorted(chance.randint(0, len(payload)) for _ in range(chance.choice([0, 0, 0, 1, 2, 3])))
    return [payload[a:b] for a, b in zip([0, *places], [*places, len(payload)])]


def message(chance, role):
    text = chance.random() < 0.5
    payload = chance.choice(TEXTS) if text else chance.randbytes(chance.choice([0, 1, 125, 126, 300, 2000]))
    parts = cut(chance, payload)
    stream = b""
    for number, part in enumerate(parts):
        opcode = (OP_TEXT if text else OP_BINARY) if number == 0 else OP_CONT
        stream += frame(chance, role, opcode, part, fin=number == len(parts) - 1)
        if number < len(parts) - 1 and chance.random() < 0.3:
            stream += control(chance, role)
    return stream


def control(chance, role):
    return frame(chance, role, chance.choice([OP_PING, OP_PONG]), chance.randbytes(chance.choice([0, 1, 4, 125])))


def closing(chance, role):
    payload = b""
    if chance.random() < 0.8:
        payload = struct.pack("!H", chance.choice(CODES)) + chance.choice([b"", b"bye", "tschüß".encode(), b"\xff"])
    return frame(chance, role, OP_CLOSE, payload)


def violation(chance, role):
    """Something that the specification forbids, or a limit."""
    kinds = {
        "mask": lambda: frame(chance, role, OP_TEXT, b"hello", mask=role != "server"),
        "reserved bits": lambda: frame(chance, role, chance.choice([OP_TEXT, OP_PING, OP_CLOSE]), b"", rsv=chance.randint(1, 7)),
        "reserved opcode": lambda: frame(chance, role, chance.choice([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), b"x"),
        "length form": lambda: frame(chance, role, OP_BINARY, chance.randbytes(chance.choice([0, 5, 125])), form=16),
        "long length form": lambda: frame(chance, role, OP_BINARY, chance.randbytes(chance.choice([5, 125, 300])), form=64),
        "continuation": lambda: frame(chance, role, OP_CONT, b"lost", fin=chance.random() < 0.5),
        "no continuation": lambda: frame(chance, role, OP_TEXT, b"be", fin=False) + frame(chance, role, OP_BINARY, b"gin"),
        "control fragment": lambda: frame(chance, role, OP_PING, b"", fin=False),
        "control length": lambda: frame(chance, role, OP_PING, b"p" * 126),
        "close of one byte": lambda: frame(chance, role, OP_CLOSE, b"\x03"),
        "text": lambda: frame(chance, role, OP_TEXT, chance.choice(BROKEN_TEXTS)),
        "text in fragments": lambda: frame(chance, role, OP_TEXT, "€".encode()[:2], fin=False)
        + frame(chance, role, OP_CONT, chance.choice([b"", b"x"])),
        "too big": lambda: frame(chance, role, OP_BINARY, b"x" * (LARGEST + 1)),
        "too big in fragments": lambda: frame(chance, role, OP_BINARY, b"x" * LARGEST, fin=False)
        + frame(chance, role, OP_CONT, b"y"),
        "negative length": lambda: bytes([0x82, (0x80 if role == "server" else 0) | 127]) + b"\xff" * 8 + b"\0" * 4,
        "close amid a message": lambda: frame(chance, role, OP_TEXT, b"be", fin=False)
        + frame(chance, role, OP_CLOSE, struct.pack("!H", 1000)),
        "noise": lambda: chance.randbytes(chance.randint(1, 40)),
    }
    return kinds[chance.choice(list(kinds))]()


def generate(chance):
    role = chance.choice(["server", "client"])
    stream = b""
    for _ in range(chance.randint(0, 5)):
        stream += message(chance, role) if chance.random() < 0.7 else control(chance, role)
    end = chance.random()
    if end < 0.55:
        stream += violation(chance, role)
    elif end < 0.8:
        stream += closing(chance, role)
    if chance.random() < 0.4:
        stream += message(chance, role)
    if chance.random() < 0.15 and stream:
        flipped = bytearray(stream)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        stream = bytes(flipped)
    pieces = []
    left = len(stream)
    while left > 0:
        piece = min(left, chance.choice([1, 1, 2, 3, 7, 50, 1000, 65536]))
        pieces.append(piece)
        left -= piece
    return role, pieces, stream


def websockets_verdict(role, pieces, stream):
    """The findings of Python's websockets; text is decoded here, as its connections do above this layer."""
    side = Side.SERVER if role == "server" else Side.CLIENT
    protocol = Protocol(side, state=State.OPEN, max_size=LARGEST)
    events, unfinished, start = [], None, 0

    def take():
        nonlocal unfinished
        for one in protocol.events_received():
            data = bytes(one.data)
            if one.opcode in (OP_TEXT, OP_BINARY):
                unfinished = (one.opcode, data)
            elif one.opcode is OP_CONT:
                unfinished = (unfinished[0], unfinished[1] + data)
            elif one.opcode is OP_CLOSE:
                events.append("close:" + (str(struct.unpack("!H", data[:2])[0]) if data else ""))
                continue
            else:
                events.append(("ping:" if one.opcode is OP_PING else "pong:") + data.hex())
                continue
            if one.fin:
                kind, payload = unfinished
                unfinished = None
                if kind is OP_TEXT:
                    payload.decode()
                events.append(("text:" if kind is OP_TEXT else "binary:") + payload.hex())

    try:
        for piece in pieces:
            protocol.receive_data(stream[start : start + piece])
            start += piece
            take()
            if protocol.parser_exc is not None:
                break
    except UnicodeDecodeError:
        return events, f"fail:{CloseCode.INVALID_DATA.value}"
    error = protocol.parser_exc
    if error is None:
        return events, "end"
    code = {ProtocolError: 1002, PayloadTooBig: 1009, UnicodeDecodeError: 1007}.get(type(error), 1011)
    return events, f"fail:{code}"


def difference(peer, our_events, our_end, events, end):
    """The name of the ruling that a difference between two verdicts needs; None where there is none."""
    kind, _, detail = our_end.partition(":")
    if kind == "end":
        if (our_events, "end") == (events, end):
            return None
        if our_events and our_events[-1].startswith("close:") and our_events == events[: len(our_events)]:
            return f"{peer} does not stop at a close frame"
        return f"{peer} {'finds something else' if end == 'end' else 'fails'} where we find nothing wrong"
    code, _, reason = detail.partition(":")
    theirs, _, their_code = end.partition(":")
    if our_events == events and theirs == "fail" and their_code in ("", code):
        return None
    # Once something is wrong, what a peer makes of the bytes behind it, or how it calls it, needs one reason only.
    return f"{peer} differs after: {code}, " + re.sub(r"[0-9]+", "N", reason.replace("_", " "))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=6455)
    parser.add_argument("--judge", default=HERE.parent.parent / ".build/debug/frame-judge")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    corpus = [generate(chance) for _ in range(options.streams)]
    lines = "".join(f"{role} {','.join(map(str, pieces))} {stream.hex()}\n" for role, pieces, stream in corpus)
    answer = subprocess.run([str(options.judge)], input=lines, capture_output=True, text=True, timeout=600)
    verdicts = answer.stdout.splitlines()
    if answer.returncode != 0 or len(verdicts) != len(corpus):
        sys.exit(f"differential: the judge ended with {answer.returncode} after {len(verdicts)} of {len(corpus)} streams")
    rulings = json.loads((HERE / "rulings.json").read_text())
    used, unruled = collections.Counter(), {}
    failed = 0
    for (role, pieces, stream), verdict in zip(corpus, verdicts):
        ours, nio = (side.split() for side in verdict.split("|"))
        sides = {"NIOWebSocket": (nio[:-1], nio[-1]), "websockets": websockets_verdict(role, pieces, stream)}
        fine = True
        for peer, (events, end) in sides.items():
            name = difference(peer, ours[:-1], ours[-1], events, end)
            if name is None:
                continue
            used[name] += 1
            if name not in rulings:
                fine = False
                unruled.setdefault(name, (role, stream.hex(), " ".join(ours), " ".join([*events, end])))
        failed += not fine
    for name, count in sorted(used.items()):
        print(f"  {count:>6}  {name}" + (f"\n          {rulings[name]}" if name in rulings else ""))
    for name, (role, stream, ours, theirs) in unruled.items():
        print(f"no ruling: {name}\n  {role} {stream[:400]}\n  ours:   {ours[:400]}\n  theirs: {theirs[:400]}")
    # Of the default corpus it is known what it holds; another one need not hold all of it.
    for name in rulings.keys() - used.keys() if options.seed == parser.get_default("seed") else ():
        print(f"a ruling that nothing needs: {name}")
        failed += 1
    print(f"differential: {len(corpus)} streams, seed {options.seed}")
    print(f"{len(corpus) - min(failed, len(corpus))} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
