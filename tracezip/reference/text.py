"""FORMAT.md, "Texts" and "Skeletons": texts, whole or as a skeleton and its fields."""

from __future__ import annotations

from tracezip.errors import damaged_section
from tracezip.reference import skeleton as sk
from tracezip.reference.coder import Coder
from tracezip.reference.contexts import (
    PAIR,
    SMALL,
    F,
    code_choice,
    code_number,
    code_small,
)
from tracezip.reference.state import State
from tracezip.reference.tables import Skeleton, String

_UUID_NEW, _UUID_AGAIN, _UUID_KNOWN = 0, 1, 2


def code_text(s: State, coder: Coder, plain: str, class_number: int, text: String | None) -> String:
    """A new text. Its whole bytes are in the section `plain`."""
    skeleton = text.skeleton if text and text.skeleton and text.skeleton.number else None
    if s.bit(coder, skeleton is not None, F.TEXT, class_number):
        skeleton = _code_skeleton(s, coder, class_number, skeleton)
        data = _code_fields(s, coder, skeleton, text.fields if text else None)
        s.spend(len(data))
    else:
        context = s.contexts.get(PAIR, F.TEXT_LENGTH, class_number)
        n = code_number(coder, context, len(text.data) if text else 0)
        s.spend(n)
        data = s.plains[plain].take(n, text.data if text else b"")
    return text or String(data)


def _code_skeleton(s: State, coder: Coder, class_number: int, skeleton: Skeleton | None) -> Skeleton:
    if not s.skeletons:
        raise damaged_section("text")
    context = s.contexts.get(PAIR, F.SKELETON, class_number)
    return s.skeletons[code_choice(coder, context, len(s.skeletons), skeleton.number - 1 if skeleton else 0, "text")]


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
        return sk.unpack_uuid(_code_uuid(s, coder, name, sk.pack_uuid(field)))
    if kind == sk.HEX:
        return _code_hex(s, _code_width(s, coder, name, len(field), sk.MIN_HEX, sk.MAX_HEX), field)
    width = _code_width(s, coder, name, len(field), 1, sk.MAX_DIGITS) if kind == sk.PADDED else 0
    number = s.series(coder, F.FIELD, *name, int(field) if field else 0)
    digits = b"%d" % number
    return digits.rjust(width, b"0")[-width:] if kind == sk.PADDED else digits


def _code_uuid(s: State, coder: Coder, name: tuple[int, int], digits: bytes) -> bytes:
    """The digits of a UUID: anew, as the last one of its field, or by its number."""
    last, number = s.last_uuids.get(name), s.uuid_numbers.get(digits) if s.writing else None
    told = _UUID_NEW if number is None else _UUID_AGAIN if number == last else _UUID_KNOWN
    told = s.nibble(coder, told, F.FIELD, *name)
    if told == _UUID_NEW:
        digits, number = _code_new_uuid(s, coder, digits), len(s.uuids)
        s.uuids.append(digits)
        s.uuid_numbers[digits] = number
    elif told == _UUID_AGAIN:
        number = last
    elif told == _UUID_KNOWN and s.uuids:
        number = code_choice(coder, s.contexts.get(PAIR, F.UUID), len(s.uuids), number or 0, "text")
    if number is None or told > _UUID_KNOWN:
        raise damaged_section("text")
    s.last_uuids[name] = number
    return s.uuids[number]


def _code_new_uuid(s: State, coder: Coder, digits: bytes) -> bytes:
    """The digits of version and variant take few values; the others are packed."""
    version = s.nibble(coder, int(digits[12:13] or b"0", 16), F.UUID, 1)
    variant = s.nibble(coder, int(digits[16:17] or b"0", 16), F.UUID, 2)
    packed = b"".join([digits[:12], digits[13:14], digits[17:18], digits[14:16], digits[18:]])
    packed = _code_hex(s, 30, packed)
    return b"%b%x%b%b%x%b%b" % (packed[:12], version, packed[12:13], packed[14:16], variant, packed[13:14], packed[16:])


def _code_width(s: State, coder: Coder, name: tuple[int, int], n: int, least: int, most: int) -> int:
    n = least + code_small(coder, s.contexts.get(SMALL, F.FIELD_WIDTH, *name), n - least if s.writing else 0)
    if n > most:
        raise damaged_section("text")
    return n


def _code_hex(s: State, n_digits: int, digits: bytes) -> bytes:
    return sk.unpack_hex(s.plains["binary"].take((n_digits + 1) // 2, sk.pack_hex(digits)), n_digits)
