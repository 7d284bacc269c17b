"""What callers may choose, checked."""

from __future__ import annotations

import operator

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
