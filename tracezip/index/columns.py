"""Columns of numbers as index frames have them. FORMAT.md, "Index"."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Any, TypeAlias

from tracezip.errors import FormatError

Column: TypeAlias = "array[int]"

_CODES = {array(code).itemsize: code for code in "BHIQ"}
_WIDE = array("Q").itemsize


def pack_column(values: Sequence[int]) -> bytes:
    """Numbers, all in the smallest of 1, 2, 4 and 8 bytes that holds the largest."""
    largest = max(values, default=0)
    column = array(next(code for width, code in _CODES.items() if largest < 1 << 8 * width), values)
    return _little_endian(column).tobytes()


def read_column(facts: dict[str, Any], key: str, n: int) -> Column:
    data = facts.get(key)
    width = len(data) // n if isinstance(data, bytes) and n else 0
    if not isinstance(data, bytes) or len(data) != n * width or (n and width not in _CODES):
        raise FormatError(f"the index has no {key} for each of {n}")
    return _little_endian(array(_CODES.get(width, "B"), data))


def pack_planes(values: Sequence[int]) -> bytes:
    """First the lowest byte of each number, then the next of each, as far as there are any."""
    n_bytes = (max(values, default=0).bit_length() + 7) // 8
    data = _little_endian(array("Q", values)).tobytes()
    return b"".join(data[i::_WIDE] for i in range(n_bytes))


def read_planes(facts: dict[str, Any], key: str, n: int) -> Column:
    data = facts.get(key)
    if not isinstance(data, bytes) or len(data) > n * _WIDE or (n and len(data) % n):
        raise FormatError(f"the index has no {key} for each of {n} failed spans")
    spread = bytearray(n * _WIDE)
    for i in range(len(data) // n if n else 0):
        spread[i::_WIDE] = data[i * n : (i + 1) * n]
    return _little_endian(array("Q", bytes(spread)))


def _little_endian(column: Column) -> Column:
    if sys.byteorder == "big":
        column.byteswap()
    return column
