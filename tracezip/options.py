"""What callers may choose, checked."""

from __future__ import annotations

import operator
import re

from tracezip.errors import InputError


def checked_option(name: str, value: object, low: int, high: int) -> int:
    """A whole number from `low` to `high`; raises InputError for anything else."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{name} must be a whole number, not a {type(value).__name__}", code="argument") from None
    if not low <= number <= high:
        raise InputError(f"{name} must be from {low} to {high}, not {number}", code="argument")
    return number


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
_SIZE = re.compile(r"\s*(\d{1,20}(?:\.\d+)?)\s*([KMG]I?)?B?\s*", re.ASCII | re.IGNORECASE)


def checked_size(name: str, value: object, low: int, high: int) -> int:
    """Bytes from `low` to `high`: a whole number, or text such as "10MB", "1.5 GB" or "512KiB" (MB: 10^6, MiB: 2^20).

    Raises InputError for anything else.
    """
    if not isinstance(value, str):
        return checked_option(name, value, low, high)
    found = _SIZE.fullmatch(value)
    if not found:
        raise InputError(f'{name} must be bytes or a size such as "10MB" or "8MiB", not {value!r}', code="argument")
    return checked_option(name, int(float(found[1]) * _UNITS[(found[2] or "").upper()]), low, high)
