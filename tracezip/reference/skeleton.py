"""FORMAT.md, "Skeletons": texts that differ in their numbers only.

How a writer finds a text's fields is its own business; both backends find the same.
"""

from __future__ import annotations

import re

UUID, HEX, DECIMAL, PADDED = 1, 2, 3, 4
FIELDS = frozenset((UUID, HEX, DECIMAL, PADDED))
"""Bytes that stand for a field in a skeleton. A text that has one of them has no skeleton."""

MAX_SKELETON_FIELDS = 16
"""A text with more of them is better told whole."""
MIN_HEX = 8
MAX_HEX = 128
MAX_DIGITS = 19

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-zA-Z])")
_HEX_WORD = re.compile(rb"[0-9a-f]{%d,%d}(?![0-9a-zA-Z])" % (MIN_HEX, MAX_HEX))
_LETTER = re.compile(rb"[a-f]")
_FIGURE = re.compile(rb"[0-9]")
_WORD = re.compile(rb"[0-9a-zA-Z]")
_DIGITS = re.compile(rb"[0-9]*")
_MARK = re.compile(rb"[\x01-\x04]")


def skeleton_of(text: bytes) -> tuple[bytes, list[bytes]] | None:
    """The skeleton of a text and the text of each field.

    None if there is no field, or too many, or a byte that stands for one.
    """
    if _MARK.search(text):
        return None
    skeleton, fields, at = bytearray(), [], 0
    while at < len(text):
        kind, length = _field_at(text, at)
        if kind:
            skeleton.append(kind)
            fields.append(text[at : at + length])
        else:
            skeleton += text[at : at + length]
        at += length
    return (bytes(skeleton), fields) if 0 < len(fields) <= MAX_SKELETON_FIELDS else None


def _field_at(text: bytes, at: int) -> tuple[int, int]:
    """Which field is there, or 0, and how many bytes it, or what is no field, has."""
    begins_word = not (at and _WORD.match(text, at - 1))
    if begins_word and _UUID.match(text, at):
        return UUID, 36
    word = _HEX_WORD.match(text, at) if begins_word else None
    if word and _LETTER.search(word[0]) and _FIGURE.search(word[0]):
        return HEX, len(word[0])
    n_digits = _length(_DIGITS, text, at)
    if not 0 < n_digits <= MAX_DIGITS:
        return 0, max(n_digits, 1)
    return (PADDED if text[at : at + 1] == b"0" and n_digits > 1 else DECIMAL), n_digits


def _length(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    found = pattern.match(text, at)
    return len(found[0]) if found else 0


def pack_hex(digits: bytes) -> bytes:
    """Two digits a byte; the first one alone if their number is odd."""
    return bytes.fromhex(("0" if len(digits) % 2 else "") + digits.decode("ascii"))


def unpack_hex(packed: bytes, n_digits: int) -> bytes:
    digits = packed.hex().encode("ascii")
    return digits[len(digits) - n_digits :]


def pack_uuid(text: bytes) -> bytes:
    return text.replace(b"-", b"")


def unpack_uuid(digits: bytes) -> bytes:
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
