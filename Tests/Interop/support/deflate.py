"""RFC 7692 once more, on purpose without the product's code: what parameters mean, and whether a sender kept to them."""

import re
import zlib

from support.check import Failed, equal

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"
# How much input zlib gets in one call.
PIECE = 256


def parameters(value: str | None) -> dict | None:
    """The parameters of an answer that has permessage-deflate and nothing else, as section 7.1 allows them."""
    if value is None:
        return None
    name, *rest = [part.strip() for part in value.split(";")]
    equal(name, NAME, "the extension agreed on")
    found = {}
    for part in rest:
        key, equals, number = part.partition("=")
        key, number = key.strip(), number.strip().strip('"')
        if key in found:
            raise Failed(f"{key} twice in {value!r}")
        if key in ("server_no_context_takeover", "client_no_context_takeover") and not equals:
            found[key] = True
        elif key in ("server_max_window_bits", "client_max_window_bits") and re.fullmatch("[89]|1[0-5]", number):
            found[key] = int(number)
        else:
            raise Failed(f"no parameter of an answer: {part!r} in {value!r}")
    return found


class Inflater:
    """One direction of a connection: inflates its compressed messages, none of which may reach behind the window, or,
    without context takeover, behind its own beginning."""

    def __init__(self, agreed: dict, sender: str, *, window: int | None = None, takeover: bool | None = None):
        """`window` and `takeover` hold a sender to more than was agreed."""
        self.window = window or agreed.get(f"{sender}_max_window_bits", 15)
        self.takeover = f"{sender}_no_context_takeover" not in agreed if takeover is None else takeover
        self.sender = sender
        self.looked_back = False
        self._stream = None
        # zlib checks a distance against its window and against what it has put out in the same call: at most so many
        # bytes, which is how far beyond its window a sender could reach unnoticed.
        self._slack = max(32, (1 << self.window) // 8)

    def inflate(self, payload: bytes) -> bytes:
        if self._stream is None or not self.takeover:
            self._stream = zlib.decompressobj(-self.window)
            return self._run(self._stream, payload)
        alone = zlib.decompressobj(-15)
        if not self.looked_back and payload:
            try:
                alone.decompress(payload + TAIL)
            except zlib.error:
                self.looked_back = True
        return self._run(self._stream, payload)

    def _run(self, stream, payload: bytes) -> bytes:
        output = []
        data = payload + TAIL if payload else b""
        try:
            for start in range(0, len(data), PIECE):
                piece = data[start : start + PIECE]
                while True:
                    output.append(stream.decompress(piece, self._slack))
                    piece = stream.unconsumed_tail
                    if not piece and len(output[-1]) < self._slack:
                        break
        except zlib.error as error:
            raise Failed(
                f"the {self.sender}'s compressed data is not within a window of 2^{self.window}"
                f"{'' if self.takeover else ' without context'}: {error}"
            ) from None
        if stream.eof:
            raise Failed(f"the {self.sender}'s compressed data has a final block, which none of these peers writes")
        return b"".join(output)
