"""Names, times and colours as a terminal shows them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from zlib import crc32

_S = 1_000_000_000
_UNITS = ((_S, "s"), (1_000_000, "ms"), (1_000, "µs"))
_MAX_YEAR_S = 253_402_300_799  # the last second of the year 9999, where datetime ends
_SERVICE_COLOURS = (36, 32, 34, 35, 33, 96, 92, 94, 95)
_BOX_OF_ASCII = {"├": "|", "└": "`", "│": "|", "─": "-", "×": "x", "…": "~", "·": "-", "✗": "!", "◆": "*", "µ": "u"}
_TO_ASCII = str.maketrans({**_BOX_OF_ASCII, "█": "#", "▒": "=", "▏": "|", "░": "-"})

RED, DIM, BOLD = 31, 2, 1
Piece = tuple[str, int]
"""Text without control characters, and its SGR code, 0 for none."""


@dataclass(frozen=True, slots=True)
class Style:
    """How to write for a terminal. width: columns, 0: lines are as long as they are."""

    width: int = 0
    colour: bool = False
    unicode: bool = True

    def line(self, pieces: Iterable[Piece]) -> str:
        """One line, cut to the width."""
        return "".join(self._painted(text, code) for text, code in self._fitting(pieces))

    def plain(self, text: str) -> str:
        """`text` of our own (not of the data) in the characters there are."""
        return text if self.unicode else text.translate(_TO_ASCII)

    def _fitting(self, pieces: Iterable[Piece]) -> Iterable[Piece]:
        left = self.width or None
        for text, code in pieces:
            if left is not None and width_of(text) > left:
                yield cut(text, left, self.plain("…")), code
                return
            yield text, code
            left = None if left is None else left - width_of(text)

    def _painted(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text


def can_draw(encoding: str | None) -> bool:
    """Whether text in this encoding can have the characters that trees and bars are made of."""
    try:
        "├└│─×…·✗◆µ█▒▏░".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def escape(text: str) -> str:
    """Text of somebody else's in one line, without anything a terminal would obey or that would turn text around."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width_of(text: str) -> int:
    """The columns of printable text."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """Text that is not wider than `width`; what was longer ends in the ellipsis (one column)."""
    if width_of(text) <= width:
        return text
    left, end = width - 1, 0
    while end < len(text) and (left := left - _columns(text[end])) >= 0:
        end += 1
    return text[:end] + ellipsis if width > 0 else ""


def padded(text: str, width: int) -> str:
    """Text with spaces behind it to fill `width` columns."""
    return text + " " * (width - width_of(text))


def duration_text(ns: int) -> str:
    """1234567 -> '1.23 ms': three digits, or minutes and seconds."""
    if ns < 0:
        return "-" + duration_text(-ns)
    if ns >= 60 * _S:
        minutes, seconds = divmod(ns // _S, 60)
        return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {seconds:02} s"
    for unit, name in _UNITS:
        if ns >= unit:
            return f"{_three_digits(ns, unit)} {name}"
    return f"{ns} ns" if ns else "0"


def _three_digits(n: int, unit: int) -> str:
    whole = n // unit
    n_digits = 0 if whole >= 100 else 1 if whole >= 10 else 2
    text = f"{n * 10**n_digits // unit / 10**n_digits:.{n_digits}f}"
    return text.rstrip("0").rstrip(".") if n_digits else text


def time_text(ns: int) -> str:
    """A time in ns since 1970, to the millisecond, in UTC."""
    seconds = ns // _S
    if not 0 < seconds <= _MAX_YEAR_S:
        return "no time" if not ns else f"{ns} ns"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{ns % _S // 1_000_000:03} UTC"


def value_text(value: object) -> str:
    """An attribute's value for people: text as it is, bytes in hex, all else as in JSON or nearly so."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | None):
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {value_text(item)}' for key, item in value.items())}}}"
    return value.hex() if isinstance(value, bytes) else str(value)


def service_colour(service: str) -> int:
    """The same for the same name; never red, which is for errors."""
    return _SERVICE_COLOURS[crc32(service.encode("utf-8", "surrogatepass")) % len(_SERVICE_COLOURS)]


def counted(n: int, what: str) -> str:
    """'1 span', '1,240 spans'."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
