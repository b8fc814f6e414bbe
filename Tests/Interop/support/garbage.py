"""Hostile bytes from a seed: pure noise, and valid conversations with something wrong in them."""

import random

INTERESTING = [b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b",", b";", b'"', b"\xff", b"\x7f", b"\x80",
               b"HTTP/1.1 ", b"Content-Length: ", b"-1", b"18446744073709551616", b"%00", b"\xed\xa0\x80"]  # fmt: skip


class Garbage:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def noise(self) -> bytes:
        """Random bytes: mostly short, at times longer than a buffer."""
        limit = self.random.choice((8, 64, 512, 512, 4096, 20000) if self.random.random() < 0.2 else (8, 64, 200))
        return self.random.randbytes(self.random.randint(1, limit))

    def mutation(self, original: bytes) -> bytes:
        """A valid string with one to four things wrong."""
        data = bytearray(original)
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randrange(len(data) + 1)
            end = min(len(data), at + self.random.choice((1, 2, 4, 8, 32)))
            kind = self.random.randrange(9)
            if kind == 0 and at < len(data):
                data[at] ^= 1 << self.random.randrange(8)
            elif kind == 1 and at < len(data):
                data[at] = self.random.randrange(256)
            elif kind == 2:
                del data[at:end]
            elif kind == 3:
                data[at:at] = data[at:end]
            elif kind == 4:
                data[at:at] = self.random.choice(INTERESTING)
            elif kind == 5:
                data[at:at] = self.random.randbytes(self.random.randint(1, 16))
            elif kind == 6:
                del data[at:]
            elif kind == 7:
                data = data.replace(b"\r\n", self.random.choice((b"\n", b"\r", b"\r\n\r\n", b"\r\n ")), 1)
            else:
                data[at:at] = bytes([self.random.choice(b"aA1 :")]) * self.random.choice((10, 300, 9000))
        return bytes(data) or b"\0"

    def pick(self, *makers) -> bytes:
        return self.random.choice(makers)()
