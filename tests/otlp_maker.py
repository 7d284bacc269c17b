"""Makes OTLP messages of all sorts from a source of random numbers: ordinary, odd, and not quite legal ones."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from archives import field, varint

NAMES = [
    b"GET /cart",
    b"GET /cart/17",
    b"GET /cart/18",
    b"order 0042",
    b"order 0043",
    b"",
    b"\x01\x02",
    b"caf\xc3\xa9",
    b"\xff",
]
TEMPLATES = [
    lambda r: b"user/%d" % r.randrange(1 << r.choice([4, 20, 63])),
    lambda r: b"id=%032x;" % r.getrandbits(128),
    lambda r: b"%x" % r.getrandbits(r.choice([31, 32, 40, 64, 512, 516])),
    lambda r: b"%08x-%04x-%04x-%04x-%012x" % tuple(r.getrandbits(n) for n in (32, 16, 16, 16, 48)),
    lambda r: b"%0*d ms" % (r.randrange(1, 22), r.randrange(1 << 40)),
    lambda r: b"-".join(b"%d" % r.randrange(9) for _ in range(r.choice([2, 16, 17]))),
    lambda r: r.randbytes(r.randrange(9)),
    lambda r: b"%dabc%d 12ab34cd56ef" % (r.randrange(99), r.randrange(99)),
]
KEYS = [b"http.method", b"http.status_code", b"key.one", b"key.two", b"", b"a" * 40, b"key.one\x00"]
TICKS = [1, 1000, 10**6, 10**9]


def fixed64(number: int, value: int) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<Q", value & (1 << 64) - 1)


def overlong(value: int) -> bytes:
    """A varint that is longer than it needs to be."""
    return varint(value | 1 << 14)[:-1] + b"\x00" if value < 1 << 14 else varint(value)


class Maker:
    """`oddity` is how often, in percent, something unusual happens."""

    def __init__(self, seed: int, oddity: int = 10) -> None:
        self.r = random.Random(seed)
        self.oddity = oddity
        self.now = 10**18 + self.r.randrange(10**9)
        self.tick = self.r.choice(TICKS)
        self.traces = [self.r.randbytes(16) for _ in range(3)] + [bytes(8) + self.r.randbytes(8), bytes(16)]
        self.spans = [self.r.randbytes(8) for _ in range(6)] + [self.traces[0][8:], bytes(8)]

    def odd(self) -> bool:
        return self.r.randrange(100) < self.oddity

    def message(self) -> bytes:
        if self.odd():
            return self.r.choice([b"", b"\x0a", b"\x0a\x00", self.r.randbytes(self.r.randrange(40)), b"\x0a\x80\x00"])
        return b"".join(field(1, self.resource_spans()) for _ in range(self.r.choice([0, 1, 1, 1, 2])))

    def resource_spans(self) -> bytes:
        return self.group(self.resource, self.scope_spans)

    def scope_spans(self) -> bytes:
        return self.group(self.scope, self.span)

    def group(self, context: Callable[[], bytes], child: Callable[[], bytes]) -> bytes:
        parts = [field(1, context())] if not self.odd() else []
        parts += [b"".join(field(2, child()) for _ in range(self.r.choice([0, 1, 1, 2, 5])))]
        parts += [field(3, "https://schema")] if self.odd() else []
        return self.muddled(parts, lambda: field(1, context()))

    def resource(self) -> bytes:
        return self.muddled([field(1, self.attribute()) for _ in range(self.r.randrange(4))], self.unknown)

    def scope(self) -> bytes:
        parts = [field(1, "scope"), field(2, "1.0")]
        parts += [field(3, self.attribute())] if self.odd() else []
        return self.muddled(parts, self.unknown)

    def span(self) -> bytes:
        self.now += self.r.randrange(1000) * self.tick
        parts = [field(1, self.trace_id()), field(2, self.span_id())]
        parts += [field(4, self.span_id())] if self.r.randrange(3) else []
        parts += [field(5, self.text())] if not self.odd() else []
        parts += [b"\x30" + varint(self.r.randrange(1, 6)), fixed64(7, self.now)]
        parts += [fixed64(8, self.now + self.r.choice([-1, 0, 1, 5, 99]) * self.tick)]
        parts += [field(9, self.attribute()) for _ in range(self.r.randrange(5))]
        parts += [b"".join(field(11, self.event()) for _ in range(self.r.choice([0, 0, 1, 3])))]
        parts += [b"".join(field(13, self.link()) for _ in range(self.r.choice([0, 0, 0, 1, 2])))]
        parts += [field(15, b"\x18\x02")] if self.r.randrange(2) else []
        return self.muddled(parts, self.unknown)

    def event(self) -> bytes:
        self.now += self.r.randrange(3)
        parts = [fixed64(1, self.now)] if not self.odd() else []
        parts += [field(2, self.text())] + [field(3, self.attribute()) for _ in range(self.r.randrange(3))]
        return self.muddled(parts, self.unknown)

    def link(self) -> bytes:
        parts = [field(1, self.trace_id())] if not self.odd() else []
        parts += [field(2, self.span_id())] + [field(4, self.attribute()) for _ in range(self.r.randrange(2))]
        return self.muddled(parts, self.unknown)

    def trace_id(self) -> bytes:
        if self.odd():
            return self.r.choice([b"", self.r.randbytes(8), self.r.randbytes(16), self.r.randbytes(17)])
        return self.r.choice(self.traces)

    def span_id(self) -> bytes:
        if self.odd():
            return self.r.choice([b"", self.r.randbytes(7), self.r.randbytes(8), self.r.randbytes(9)])
        if self.r.randrange(2):
            self.spans[self.r.randrange(6)] = self.r.randbytes(8)
        return self.r.choice(self.spans)

    def text(self) -> bytes:
        return self.r.choice(TEMPLATES)(self.r) if self.r.randrange(3) == 0 else self.r.choice(NAMES)

    def attribute(self) -> bytes:
        key = field(1, self.r.choice(KEYS))
        if self.odd():
            unusual = [
                b"",
                key,
                key + field(2, b""),
                field(2, b"") + key,
                key + key,
                key + field(2, b"\x18\x01\x18\x02"),
            ]
            return self.r.choice([*unusual, b"\x18\x05" + key, self.r.randbytes(6), key + field(2, b"\x40\x07")])
        return key + field(2, self.any_value())

    def any_value(self) -> bytes:
        kind = self.r.randrange(7)
        if kind < 3:
            return field(1, self.text())
        if kind == 3:
            return b"\x18" + varint(self.r.choice([0, 1, 200, 404, self.r.getrandbits(14), self.r.getrandbits(64)]))
        if kind == 4:
            return b"\x10" + varint(self.r.randrange(2))
        if kind == 5:
            return fixed64(4, self.r.getrandbits(64))
        return field(5, b"".join(field(1, b"\x18" + varint(self.r.randrange(9))) for _ in range(self.r.randrange(3))))

    def unknown(self) -> bytes:
        """A field that no schema knows, or that is not in its shortest form."""
        number = self.r.choice([1, 2, 7, 15, 16, 99, 1 << 20, (1 << 29) - 1])
        value = self.r.getrandbits(self.r.choice([3, 14, 33]))
        return self.r.choice(
            [
                varint(number << 3) + varint(value),
                varint(number << 3) + overlong(value),
                overlong(number << 3) + varint(value),
                fixed64(number, value),
                varint(number << 3 | 5) + struct.pack("<I", value & 0xFFFFFFFF),
                field(number, self.text()),
                varint(number << 3 | 3),
                varint(number << 3 | 2) + b"\x7f",
                b"\x00",
            ]
        )

    def muddled(self, parts: list[bytes], extra: Callable[[], bytes]) -> bytes:
        """The fields of a message; sometimes in another order, doubled, missing, or with something in between."""
        if self.odd():
            self.r.shuffle(parts)
        if self.odd() and parts:
            parts.insert(self.r.randrange(len(parts) + 1), self.r.choice(parts))
        if self.odd():
            parts.insert(self.r.randrange(len(parts) + 1), extra())
        return b"".join(parts)
