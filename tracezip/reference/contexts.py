"""FORMAT.md, "Contexts" and "Numbers"."""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum
from typing import NamedTuple

from tracezip.errors import damaged_section
from tracezip.reference.coder import AdaptiveBit, AdaptiveNibble, Coder, code_raw
from tracezip.reference.format_limits import MAX_CONTEXT_CELLS

MASK64 = (1 << 64) - 1
_NIBBLE_SIZE = 8
_FIRST_NO_HEAD = 252
_N_SMALL = 7  # differences from -3 to 3
_LAST_GROUP = 8  # of sizes, that of the long ones
_LONG = 35  # digits


class Layout(NamedTuple):
    """What a context consists of."""

    n_nibbles: int
    n_bits: int

    @property
    def size(self) -> int:
        return _NIBBLE_SIZE * self.n_nibbles + self.n_bits


BIT, NIBBLE, SMALL, PAIR, SIGNED = Layout(0, 1), Layout(1, 0), Layout(2, 0), Layout(17, 0), Layout(10, 9)


class F(IntEnum):
    """Families of contexts, recents, series and memories. The first five are of each kind of records."""

    PATH = 0
    ANY_PATH = 5
    RECENT2 = 10
    RECENT1 = 15
    TRACE = 20
    TRACE_BACK = 21
    OWN = 22
    OWN_RANK = 23
    PARENT = 24
    PARENT_SEEN = 25
    PARENT_RANK = 26
    LINK_TRACE = 27
    LINK_BACK = 28
    LINK_KNOWN = 29
    LINK_SEEN = 30
    LINK_RANK = 31
    GRAIN = 32
    START = 33
    EVENT_TIME = 34
    LENGTH = 35
    OF_TRACE = 36
    OF_PATH = 37
    OF_VALUE = 38
    HOLE = 39
    CHOICE = 40
    NUMBER = 41
    NUMBER_STEP = 42
    ORDER = 43
    EVENTS = 44
    LINKS = 45
    SPANS = 46
    SCOPES = 47
    MESSAGE = 48
    TEXT = 49
    TEXT_LENGTH = 50
    SKELETON = 51
    FIELD = 52
    FIELD_STEP = 53
    FIELD_WIDTH = 54
    UUID = 55
    COUNT = 56
    STRING_KNOWN = 57
    STRING = 58
    CLASS = 59
    CLASS_NEW = 60
    SLOT_MODE = 61
    SLOT_CONDITION = 62
    SHAPE = 63
    SCHEMA = 64
    SAME = 65
    ATOM_KNOWN = 66
    ATOM = 67
    VALUE = 68
    GENERATOR = 69
    TRACE_ID = 70
    FROM = 71
    PROCESS = 72
    GENERATOR_RANK = 73
    POSITION = 74


_N_VALUES = {
    **dict.fromkeys(range(F.PATH, F.PATH + 5), 5),
    F.GRAIN: 10,
    F.HOLE: 4,
    F.FIELD: 3,
    F.CLASS: 4,
    F.CLASS_NEW: 11,
    F.SLOT_MODE: 3,
    F.SCHEMA: 5,
    F.GENERATOR: 4,
    F.TRACE_ID: 4,
    F.FROM: 4,
}
"""How many values the lone nibbles of a family have, where that is less than 16."""


class Context:
    """Adaptive nibbles and bits, made when they are first used."""

    def __init__(self, n_values: int) -> None:
        self._n_values = n_values
        self._nibbles: dict[int, AdaptiveNibble] = {}
        self._bits: dict[int, AdaptiveBit] = {}

    def nibble(self, i: int) -> AdaptiveNibble:
        if i not in self._nibbles:
            self._nibbles[i] = AdaptiveNibble(self._n_values)
        return self._nibbles[i]

    def bit(self, i: int) -> AdaptiveBit:
        if i not in self._bits:
            self._bits[i] = AdaptiveBit()
        return self._bits[i]


class Contexts:
    """All contexts of a restart group, by name."""

    def __init__(self) -> None:
        self._contexts: dict[Hashable, Context] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._contexts)

    @property
    def n_cells(self) -> int:
        """Their size."""
        return self._size

    def get(self, layout: Layout, family: int, a: Hashable = 0, b: Hashable = 0) -> Context:
        """The context of a name, made when it is first asked for; a shared one if there are too many."""
        context = self._contexts.get((family, a, b))
        if context is None:
            is_full = self._size + layout.size > MAX_CONTEXT_CELLS
            name = ("shared", family, layout.size) if is_full else (family, a, b)
            context = self._made(name, layout, family)
        return context

    def _made(self, name: Hashable, layout: Layout, family: int) -> Context:
        if name not in self._contexts:
            n_values = _N_VALUES.get(family, 16) if layout == NIBBLE else 16
            self._contexts[name] = Context(n_values)
            self._size += layout.size
        return self._contexts[name]


def code_nibble(coder: Coder, context: Context, value: int) -> int:
    """One of 16."""
    return coder.symbol(context.nibble(0), value)


def code_pair(coder: Coder, context: Context, value: int) -> int:
    """8 bits: the upper four, then the lower ones in the context of the upper."""
    high = coder.symbol(context.nibble(0), value >> 4)
    return high << 4 | coder.symbol(context.nibble(1 + high), value & 15)


def code_small(coder: Coder, context: Context, value: int) -> int:
    """Numbers that are often 0 and never large."""
    first = coder.symbol(context.nibble(0), min(value, 15))
    if first < 15:
        return first
    n = coder.symbol(context.nibble(1), (value - 14).bit_length() - 1 if value > 14 else 0)
    return 14 + (1 << n) + code_raw(coder, n, value - 14 & ((1 << n) - 1))


def _head(value: int) -> int:
    """A number below 4, or its length and the two digits below the leading one."""
    n = value.bit_length()
    return value if n < 3 else n - 2 << 2 | value >> n - 3 & 3


def code_wide(coder: Coder, context: Context, value: int) -> int:
    """Any 64-bit number."""
    head = code_pair(coder, context, _head(value))
    if head >= _FIRST_NO_HEAD:
        raise damaged_section("number")
    if head < 4:
        return head
    n = (head >> 2) - 1
    return (4 | head & 3) << n | code_raw(coder, n, value & ((1 << n) - 1))


def code_signed(coder: Coder, context: Context, value: int) -> int:
    """A difference modulo 2^64: one below 4, or the group of its size and what that leaves open, and its sign."""
    negative = value >> 63
    size = -value & MASK64 if negative else value
    n = size.bit_length()
    group = min((n - 3) // 4, _LAST_GROUP)
    told = coder.symbol(context.nibble(0), (2 * size - 1 + negative if size else 0) if n < 3 else _N_SMALL + group)
    if told < _N_SMALL:
        return (told + 1) // 2 if told % 2 else -(told // 2) & MASK64
    group = told - _N_SMALL
    digit = (n - _LONG) // 2 if group == _LAST_GROUP else n - 3 << 2 & 12 | size >> max(n - 3, 0) & 3
    digit = coder.symbol(context.nibble(1 + group), digit)
    negative = coder.symbol(context.bit(group), negative)
    if group < _LAST_GROUP:
        n, top = 4 * group + (digit >> 2), 4 | digit & 3
    elif digit < 15:
        n, top = _LONG - 1 + 2 * digit, 1
        n += code_raw(coder, 1, size.bit_length() - 1 - n)
    else:
        raise damaged_section("number")
    size = top << n | code_raw(coder, n, size & ((1 << n) - 1))
    return -size & MASK64 if negative else size


def code_choice(coder: Coder, context: Context, n: int, value: int, where: str) -> int:
    """One of `n`: up to 8 leading bits of its number adapt."""
    if n < 2:
        return 0
    n_bits = (n - 1).bit_length()
    n_top = min(n_bits, 8)
    n_rest = n_bits - n_top
    top = value >> n_rest
    result = code_pair(coder, context, top) if n_top > 4 else coder.symbol(context.nibble(1), top)
    result = result << n_rest | code_raw(coder, n_rest, value & ((1 << n_rest) - 1))
    if result >= n:
        raise damaged_section(where)
    return result
