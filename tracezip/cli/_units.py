"""Sizes and times as people type them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def size(text: str) -> int:
    """50M -> its bytes; the units are powers of 1024. Raises BadParameter."""
    return _amount(text, _BYTES, "a size, as 100000 and 50M are")


def period(text: str) -> int:
    """15m -> its seconds. Raises BadParameter."""
    return _amount(text, _SECONDS, "a time, as 15m and 1h are")


def _amount(text: str, units: Mapping[str, int], what: str) -> int:
    match = re.fullmatch(r"(\d+)([A-Za-z]?)", text)
    if match is None or match[2] not in units or not int(match[1]):
        raise click.BadParameter(f"{text!r} is not {what}.")
    return int(match[1]) * units[match[2]]
