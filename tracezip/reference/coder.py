"""FORMAT.md, "Range coder" and "Adaptive bit".

A writer is given each value and returns it; a reader ignores what it is given. So whatever is built on them exists once
for both directions.
"""

from __future__ import annotations

from typing import Protocol

from tracezip.errors import damaged_section

Bits = list[int]
"""Adaptive bits: the probability of a 1 in units of 2^-22, times 1024, plus the number of bits seen."""

FRESH_BIT = 1 << 31
_SEEN = 1023
_MAX_SEEN = 63
_ONE = 0x3FFFFF
_RATES = [131072 // (2 * seen + 3) for seen in range(_MAX_SEEN + 1)]
_FULL_RANGE = 0xFFFFFFFF
_MASK32 = 0xFFFFFFFF


def _probability(bit: int) -> int:
    return max(bit >> 17, 1)


def _adapted(bit: int, one: bool) -> int:
    p, seen = bit >> 10, bit & _SEEN
    p += ((_ONE if one else 0) - p) * _RATES[seen] >> 16
    return p << 10 | min(seen + 1, _MAX_SEEN)


class Coder(Protocol):
    """One coded section."""

    def bit(self, bits: Bits, i: int, one: bool) -> bool:
        """One bit by the adaptive bit `bits[i]`, which learns it."""

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
    """Writes a coded section."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._low = 0
        self._range = _FULL_RANGE
        self._cache: int | None = None
        self._pending = 0
        """Bytes 0xFF behind the cache that a carry may still change."""

    def bit(self, bits: Bits, i: int, one: bool) -> bool:
        bound = (self._range >> 15) * _probability(bits[i])
        if one:
            self._range = bound
        else:
            self._low += bound
            self._range -= bound
        bits[i] = _adapted(bits[i], one)
        self._fill()
        return one

    def raw16(self, n: int, value: int) -> int:
        self._range >>= n
        self._low += self._range * value
        self._fill()
        return value

    def end(self) -> bytes:
        """The section: the shortest bytes within the last interval, without zeros at their end."""
        top = self._low + self._range - 1
        for kept in (0, 1, 2, 3):
            mask = (1 << (32 - 8 * kept)) - 1
            value = (self._low + mask) & ~mask
            if value <= top:
                self._low = value
                break
        for _ in range(5):
            self._shift()
        return bytes(self._out).rstrip(b"\0")

    def _fill(self) -> None:
        while self._range < 1 << 24:
            self._range = self._range << 8 & _MASK32
            self._shift()

    def _shift(self) -> None:
        carry = self._low >> 32
        if carry or self._low < 0xFF000000:
            if self._cache is not None:
                self._out.append((self._cache + carry) & 0xFF)
            self._out += bytes([(0xFF + carry) & 0xFF]) * self._pending
            self._pending = 0
            self._cache = self._low >> 24 & 0xFF
        else:
            self._pending += 1
        self._low = self._low << 8 & _MASK32


class CoderReader:
    """Reads a coded section. Past its end there are zeros."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data
        self._at = 0
        self._range = _FULL_RANGE
        self._code = 0
        for _ in range(4):
            self._shift()

    @property
    def is_used_up(self) -> bool:
        return self._at >= len(self._data)

    def bit(self, bits: Bits, i: int, one: bool) -> bool:
        bound = (self._range >> 15) * _probability(bits[i])
        one = self._code < bound
        if one:
            self._range = bound
        else:
            self._code -= bound
            self._range -= bound
        bits[i] = _adapted(bits[i], one)
        self._fill()
        return one

    def raw16(self, n: int, value: int) -> int:
        self._range >>= n
        value = self._code // self._range
        if value >> n:
            raise damaged_section(self._name)
        self._code -= value * self._range
        self._fill()
        return value

    def _fill(self) -> None:
        while self._range < 1 << 24:
            self._range = self._range << 8 & _MASK32
            self._shift()

    def _shift(self) -> None:
        byte = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        self._code = (self._code << 8 | byte) & _MASK32


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
