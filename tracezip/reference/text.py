"""FORMAT.md, "Texts" and "Skeletons": texts, whole or as a skeleton and its fields."""

from __future__ import annotations

from tracezip.errors import damaged_section
from tracezip.reference import skeleton as sk
from tracezip.reference.coder import Coder
from tracezip.reference.contexts import (
    CHOICE_BITS,
    SIGNED_BITS,
    SMALL_BITS,
    WIDE_BITS,
    F,
    code_choice,
    code_small,
    code_wide,
)
from tracezip.reference.state import State
from tracezip.reference.tables import Skeleton, String


def code_text(s: State, coder: Coder, plain: str, class_number: int, text: String | None) -> String:
    """A new text. Its whole bytes are in the section `plain`."""
    skeleton = text.skeleton if text and text.skeleton and text.skeleton.number else None
    if s.bit(coder, skeleton is not None, F.TEXT, class_number):
        skeleton = _code_skeleton(s, coder, class_number, skeleton)
        data = _code_fields(s, coder, skeleton, text.fields if text else None)
        s.spend(len(data))
    else:
        bits = s.contexts.get(WIDE_BITS, F.TEXT_LENGTH, class_number)
        n = code_wide(coder, bits, len(text.data) if text else 0)
        s.spend(n)
        data = s.plains[plain].take(n, text.data if text else b"")
    return text or String(data)


def _code_skeleton(s: State, coder: Coder, class_number: int, skeleton: Skeleton | None) -> Skeleton:
    if not s.skeletons:
        raise damaged_section("text")
    bits = s.contexts.get(CHOICE_BITS, F.SKELETON, class_number)
    return s.skeletons[code_choice(coder, bits, len(s.skeletons), skeleton.number - 1 if skeleton else 0, "text")]


def _code_fields(s: State, coder: Coder, skeleton: Skeleton, fields: list[bytes] | None) -> bytes:
    """The text that a skeleton and its fields make."""
    text, i = bytearray(), 0
    for byte in skeleton.data:
        if byte in sk.FIELDS:
            text += _code_field(s, coder, (skeleton.number, i), byte, fields[i] if fields else b"")
            i += 1
        else:
            text.append(byte)
    return bytes(text)


def _code_field(s: State, coder: Coder, name: tuple[int, int], kind: int, field: bytes) -> bytes:
    if kind == sk.UUID:
        return sk.unpack_uuid(_code_hex(s, 32, sk.pack_uuid(field)))
    if kind == sk.HEX:
        return _code_hex(s, _code_width(s, coder, name, len(field), sk.MIN_HEX, sk.MAX_HEX), field)
    width = _code_width(s, coder, name, len(field), 1, sk.MAX_DIGITS) if kind == sk.PADDED else 0
    number = s.series(coder, F.FIELD, *name, SIGNED_BITS, int(field) if field else 0)
    digits = b"%d" % number
    return digits.rjust(width, b"0")[-width:] if kind == sk.PADDED else digits


def _code_width(s: State, coder: Coder, name: tuple[int, int], n: int, least: int, most: int) -> int:
    n = least + code_small(coder, s.contexts.get(SMALL_BITS, F.FIELD_WIDTH, *name), n - least if s.writing else 0)
    if n > most:
        raise damaged_section("text")
    return n


def _code_hex(s: State, n_digits: int, digits: bytes) -> bytes:
    return sk.unpack_hex(s.plains["binary"].take((n_digits + 1) // 2, sk.pack_hex(digits)), n_digits)
