"""FORMAT.md, "Entropy coder", "Adaptive bit" and "Adaptive nibble".

A writer is given each value and returns it; a reader ignores what it is given. So whatever is built on them exists once
for both directions.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Protocol

from tracezip.errors import damaged_section

_ONE = 1 << 15
"""Probabilities are in units of 2^-15."""
_FULL = 0x3FFFFF
"""A bit's probability is kept in units of 2^-22."""
_MAX_BITS_SEEN = 63
_MAX_NIBBLES_SEEN = 62
_FLOOR = 4
_LOWEST = 1 << 16
"""A state below it takes in a word."""


class AdaptiveBit:
    """How probable a 1 is."""

    def __init__(self) -> None:
        self._p = 1 << 21
        self._seen = 0

    def interval(self, one: int) -> tuple[int, int]:
        """Start and frequency of a value."""
        p = max(self._p >> 7, 1)
        return (0, p) if one else (p, _ONE - p)

    def find(self, slot: int) -> int:
        """The value in whose interval a number lies."""
        return int(slot < max(self._p >> 7, 1))

    def learn(self, one: int) -> None:
        rate = 131072 // (2 * self._seen + 3)
        self._p += ((_FULL if one else 0) - self._p) * rate >> 16
        self._seen = min(self._seen + 1, _MAX_BITS_SEEN)


class AdaptiveNibble:
    """How probable each of 16 values is."""

    def __init__(self, n_values: int = 16) -> None:
        """The first `n_values` values are as probable as each other, the others hardly."""
        each = (_ONE - _FLOOR * (16 - n_values)) // n_values
        self._starts = [i * each if i < n_values else _ONE - _FLOOR * (16 - i) for i in range(17)]
        self._seen = 0

    def interval(self, value: int) -> tuple[int, int]:
        """Start and frequency of a value."""
        start = self._starts[value]
        return start, self._starts[value + 1] - start

    def find(self, slot: int) -> int:
        """The value in whose interval a number lies."""
        return bisect_right(self._starts, slot) - 1

    def learn(self, value: int) -> None:
        rate = 65536 // (self._seen + 2) if self._seen else 32767
        for i in range(1, 16):
            goal = _FLOOR * i if i <= value else _ONE - _FLOOR * (16 - i)
            self._starts[i] += (goal - self._starts[i]) * rate >> 16
        self._seen = min(self._seen + 1, _MAX_NIBBLES_SEEN)


class Coder(Protocol):
    """One coded section."""

    def symbol(self, model: AdaptiveBit | AdaptiveNibble, value: int) -> int:
        """One value by a model, which learns it."""

    def raw16(self, n: int, value: int) -> int:
        """`n` bits, at most 16, that nothing foretells."""


def code_raw(coder: Coder, n: int, value: int) -> int:
    """Any number of raw bits, in pieces of 16."""
    result = 0
    while n > 16:
        n -= 16
        result = result << 16 | coder.raw16(16, value >> n & 0xFFFF)
    return result << n | coder.raw16(n, value & ((1 << n) - 1)) if n else result


class CoderWriter:
    """Writes a coded section: notes what is coded, and codes it backwards at the end."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, int, int]] = []
        """Start, frequency and bits of the probability; raw bits are a symbol among 2^n of frequency 1."""

    def symbol(self, model: AdaptiveBit | AdaptiveNibble, value: int) -> int:
        self._steps.append((*model.interval(value), 15))
        model.learn(value)
        return value

    def raw16(self, n: int, value: int) -> int:
        self._steps.append((value, 1, n))
        return value

    def end(self) -> bytes:
        x, words = 0, []
        for start, frequency, n in reversed(self._steps):
            if x >= frequency << 32 - n:
                words.append((x & 0xFFFF).to_bytes(2, "little"))
                x >>= 16
            x = (x // frequency << n) + x % frequency + start
        state = x.to_bytes((x.bit_length() + 7) // 8, "little")
        return b"".join([state, *reversed(words)])


class CoderReader:
    """Reads a coded section."""

    def __init__(self, data: bytes) -> None:
        n = len(data)
        self._at = n if n <= 4 else 3 if n % 2 else 4
        self._data = data
        self._x = int.from_bytes(data[: self._at], "little")

    @property
    def is_used_up(self) -> bool:
        return self._at == len(self._data) and not self._x

    def symbol(self, model: AdaptiveBit | AdaptiveNibble, value: int) -> int:
        slot = self._x % _ONE
        value = model.find(slot)
        start, frequency = model.interval(value)
        self._x = frequency * (self._x >> 15) + slot - start
        model.learn(value)
        self._fill()
        return value

    def raw16(self, n: int, value: int) -> int:
        value = self._x & ((1 << n) - 1)
        self._x >>= n
        self._fill()
        return value

    def _fill(self) -> None:
        if self._x < _LOWEST and self._at < len(self._data):
            self._x = self._x << 16 | int.from_bytes(self._data[self._at : self._at + 2], "little")
            self._at += 2


class Plain(Protocol):
    """One plain section."""

    def take(self, n: int, data: bytes) -> bytes:
        """The next `n` bytes."""


class PlainWriter:
    """Writes a plain section."""

    def __init__(self) -> None:
        self._out = bytearray()

    def take(self, n: int, data: bytes) -> bytes:
        self._out += data
        return data

    def end(self) -> bytes:
        return bytes(self._out)


class PlainReader:
    """Reads a plain section."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data
        self._at = 0

    @property
    def is_used_up(self) -> bool:
        return self._at == len(self._data)

    def take(self, n: int, data: bytes) -> bytes:
        if n > len(self._data) - self._at:
            raise damaged_section(self._name)
        self._at += n
        return self._data[self._at - n : self._at]
