"""FORMAT.md, "Contexts" and "Numbers"."""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum

from tracezip.errors import damaged_section
from tracezip.reference.coder import FRESH_BIT, Bits, Coder, code_raw
from tracezip.reference.format_limits import MAX_CONTEXT_BITS

MASK64 = (1 << 64) - 1

BIT, RECENT_BITS, SMALL_BITS, WIDE_BITS, SIGNED_BITS, CHOICE_BITS = 1, 32, 64, 320, 384, 256
"""Sizes of contexts."""


class F(IntEnum):
    """Families of contexts, recents, series and memories. The first five are of each kind of records."""

    PATH2 = 0
    PATH1 = 5
    PATH0 = 10
    RECENT2 = 15
    RECENT1 = 20
    TRACE_HALF = 25
    TRACE_SAME = 26
    TRACE_NEXT = 27
    TRACE_NEW = 28
    TRACE_BACK = 29
    ID_OF_TRACE = 30
    OWN_AWAITED = 31
    OWN_RANK = 32
    PARENT_KNOWN = 33
    PARENT_SEEN = 34
    PARENT_RANK = 35
    PARENT_RANK_SEEN = 36
    LINK_TRACE = 37
    LINK_BACK = 38
    LINK_KNOWN = 39
    LINK_SEEN = 40
    LINK_RANK = 41
    GRAIN = 42
    START = 43
    EVENT_TIME = 44
    LENGTH = 45
    OF_TRACE = 46
    OF_PATH = 47
    OF_VALUE = 48
    HIT1 = 49
    HIT2 = 50
    KNOWN = 51
    CHOICE = 52
    NUMBER = 53
    NUMBER_STEP = 54
    ORDER = 55
    EVENTS = 56
    LINKS = 57
    SPANS = 58
    SCOPES = 59
    MESSAGE = 60
    TEXT = 61
    TEXT_LENGTH = 62
    SKELETON = 63
    FIELD = 64
    FIELD_STEP = 65
    FIELD_WIDTH = 66
    COUNT = 67
    STRING_KNOWN = 68
    STRING = 69
    CLASS = 70
    CLASS_NEW = 71
    SLOT_MODE = 72
    SLOT_CONDITION = 73
    SHAPE = 74
    SCHEMA = 75
    SAME = 76
    ATOM_KNOWN = 77
    ATOM = 78
    VALUE = 79


class Contexts:
    """All contexts of a restart group, by name."""

    def __init__(self) -> None:
        self._contexts: dict[Hashable, Bits] = {}
        self._n_bits = 0

    def __len__(self) -> int:
        return len(self._contexts)

    def get(self, size: int, family: int, a: Hashable = 0, b: Hashable = 0) -> Bits:
        """The context of a name, made when it is first asked for; a shared one if there are too many."""
        bits = self._contexts.get((family, a, b))
        if bits is None:
            is_full = self._n_bits + size > MAX_CONTEXT_BITS
            bits = self._made(("shared", family, size) if is_full else (family, a, b), size)
        return bits

    def _made(self, name: Hashable, size: int) -> Bits:
        if name not in self._contexts:
            self._contexts[name] = [FRESH_BIT] * size
            self._n_bits += size
        return self._contexts[name]


def code_tree(coder: Coder, bits: Bits, n: int, value: int, first: int = 0) -> int:
    """`n` bits, each in the context of those before it; uses `bits` from `first` on."""
    node = 1
    for i in reversed(range(n)):
        node = node << 1 | coder.bit(bits, first + node, bool(value >> i & 1))
    return node - (1 << n)


def code_small(coder: Coder, bits: Bits, value: int) -> int:
    """Numbers that are often 0: the length in unary, then its bits."""
    length, i = (value + 1).bit_length() - 1, 0
    while i < 32 and coder.bit(bits, i, i < length):
        i += 1
    if i == 32:
        raise damaged_section("number")
    rest = value + 1 - (1 << i)
    rest = code_tree(coder, bits, i, rest, 32) if i <= 4 else code_raw(coder, i, rest)
    return (1 << i) + rest - 1


def code_wide(coder: Coder, bits: Bits, value: int) -> int:
    """Any 64-bit number: the length through a tree, then the digits below the leading one."""
    length = code_tree(coder, bits, 6, min(value.bit_length(), 63))
    if length == 63:
        return code_raw(coder, 64, value)
    if length < 2:
        return length
    n_top = min(2, length - 1)
    n_rest = length - 1 - n_top
    top = code_tree(coder, bits, n_top, value >> n_rest & ((1 << n_top) - 1), 64 + 4 * length)
    rest = code_raw(coder, n_rest, value & ((1 << n_rest) - 1))
    return (1 << n_top | top) << n_rest | rest


def code_signed(coder: Coder, bits: Bits, value: int) -> int:
    """A difference modulo 2^64: size, then sign."""
    negative = value >> 63 == 1
    size = code_wide(coder, bits, (-value & MASK64) if negative else value)
    if not size:
        return 0
    negative = coder.bit(bits, WIDE_BITS + min(size.bit_length(), 63), negative)
    return -size & MASK64 if negative else size


def code_choice(coder: Coder, bits: Bits, n: int, value: int, where: str) -> int:
    """One of `n`: up to 8 leading bits of its number adapt."""
    if n < 2:
        return 0
    n_bits = (n - 1).bit_length()
    n_top = min(n_bits, 8)
    n_rest = n_bits - n_top
    result = code_tree(coder, bits, n_top, value >> n_rest)
    result = result << n_rest | code_raw(coder, n_rest, value & ((1 << n_rest) - 1))
    if result >= n:
        raise damaged_section(where)
    return result
