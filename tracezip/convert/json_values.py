"""OTLP/JSON, parsed -> OTLP protobuf bytes. Every value is checked, and an error names the path to it."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from tracezip.convert.schema import ENUMS, FORMER_JSON_NAMES, ID_BYTES, MAX_DEPTH, MESSAGES, ROOT, Field
from tracezip.convert.wire import WRITERS
from tracezip.errors import InputError

MAX_DIGITS = 64
"""Numbers written as longer strings are refused unread: none that fits 64 bits needs as many."""
KEPT_CHARACTERS = 160
"""Attributes with keys and values of up to so many characters are kept, to be used again when the same come."""
KEPT_ATTRIBUTES = 16_384
"""How many are kept before all are forgotten and the next ones kept."""

AttributeKey = tuple[str, str, type, object]
AttributeBytes = dict[AttributeKey, bytes]
"""Attributes seen before: (key, kind of value, type, value) -> encoded. Pass the same one for many documents."""


def encode_document(document: object, seen: AttributeBytes | None = None) -> bytes:
    """The OTLP protobuf message that a parsed OTLP/JSON document means, canonically encoded; InputError if none."""
    try:
        _check_traces(document)
        return _Encoder({} if seen is None else seen).message(ROOT, document, 0)
    except WrongValueError as wrong:
        raise InputError(f"not OTLP/JSON traces: {wrong}") from None


class WrongValueError(Exception):
    """A value that cannot be what its key says; `path` grows, innermost first, while the error rises."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []

    def __str__(self) -> str:
        path = ".".join(reversed(self.path)).replace(".[", "[")
        return f"{path}: {self.args[0]}" if path else str(self.args[0])


def _wrong(needed: str, value: object) -> WrongValueError:
    return WrongValueError(f"{needed} is needed, not {shown(value)}")


def shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "...")
    if value is None or isinstance(value, float):
        return repr(value)
    if isinstance(value, int) and value.bit_length() <= 128:
        return repr(value)
    return f"a value of type {type(value).__name__}"


def _check_traces(document: object) -> None:
    """Unknown keys are ignored, but a document of nothing else is something else: metrics, logs, another format."""
    if not isinstance(document, Mapping):
        raise _wrong('an object with the key "resourceSpans"', document)
    if document and not any(key in _KEYS[ROOT] for key in document):
        keys = ", ".join(repr(key)[:40] for key in list(document)[:3])
        raise WrongValueError(f'the key "resourceSpans" is needed, and there are only {keys}')


class _Encoder:
    def __init__(self, seen: AttributeBytes) -> None:
        self._seen = seen

    def message(self, name: str, value: object, depth: int) -> bytes:
        """The message `name` of a JSON object, which is `depth` messages below the root."""
        if not isinstance(value, dict) and not isinstance(value, Mapping):
            raise _wrong("an object", value)
        if depth > MAX_DEPTH:
            raise WrongValueError(f"messages nested more than {MAX_DEPTH} deep")
        keys = _KEYS[name]
        values: dict[str, Any] = {}
        for key, item in value.items():
            field = keys.get(key)
            if field is None or item is None:
                continue
            try:
                values[field.name] = (
                    self._items(field, item, depth) if field.repeated else self._value(field, item, depth)
                )
            except WrongValueError as wrong:
                wrong.path.append(key)
                raise
        if len(values) > 1 and name in _CHOICES:
            raise WrongValueError(f"one value is needed, not both {' and '.join(values)}")
        return WRITERS[name].write(values)

    def _items(self, field: Field, value: object, depth: int) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise _wrong("an array", value)
        items: list[Any] = []
        try:
            for item in value:
                items.append(self._value(field, item, depth))
        except WrongValueError as wrong:
            wrong.path.append(f"[{len(items)}]")
            raise
        return items

    def _value(self, field: Field, value: object, depth: int) -> Any:
        if field.type == "KeyValue":
            return self._attribute(value, depth + 1)
        if field.kind == "message":
            return self.message(field.type, value, depth + 1)
        if field.kind == "enum":
            return _enum(field.type, value)
        return SCALARS[field.kind](value)

    def _attribute(self, value: object, depth: int) -> bytes:
        known_by = _attribute_key(value) if depth < MAX_DEPTH else None
        if known_by is None:
            return self.message("KeyValue", value, depth)
        encoded = self._seen.get(known_by)
        if encoded is None:
            encoded = self.message("KeyValue", value, depth)
            if len(self._seen) >= KEPT_ATTRIBUTES:
                self._seen.clear()
            self._seen[known_by] = encoded
        return encoded


def _attribute_key(value: object) -> AttributeKey | None:
    """What tells an attribute with a plain value from all others. Not of floats: 0.0 and -0.0 are equal."""
    if type(value) is not dict or len(value) != 2:
        return None
    key, any_value = value.get("key"), value.get("value")
    if type(key) is not str or type(any_value) is not dict or len(any_value) != 1:
        return None
    ((kind, scalar),) = any_value.items()
    n_characters = len(key) + (len(scalar) if type(scalar) is str else 0)
    if type(scalar) not in (str, int, bool) or n_characters > KEPT_CHARACTERS:
        return None
    return key, kind, type(scalar), scalar


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong("a string", value)
    return value


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    raise _wrong("true or false", value)


_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def _integer(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        number = whole_number(value)
        if number is None or not low <= number <= high:
            raise _wrong(f"a whole number from {low} to {high}", value)
        return number

    return read


def whole_number(value: object) -> int | None:
    """The whole number that a JSON number or string is, or None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if not isinstance(value, str) or len(value) > MAX_DIGITS or not _DECIMAL.fullmatch(value):
        return None
    try:
        return int(value)
    except ValueError:
        return _whole_decimal(value)


def _whole_decimal(value: str) -> int | None:
    """`value` has a point or an exponent: 1.5e3 is whole. Decimal, because a float would round what it cannot hold."""
    from decimal import Decimal, InvalidOperation

    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    if number.adjusted() > MAX_DIGITS or number != number.to_integral_value():
        return None
    return int(number)


def _enum(name: str, value: object) -> int:
    number = ENUMS[name].get(value) if isinstance(value, str) else None
    if number is not None:
        return number
    number = whole_number(value)
    if number is None or not -(2**31) <= number < 2**31:
        raise _wrong(f"the number or name of a {name}", value)
    return number


_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _double(value: object) -> float:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if _DECIMAL.fullmatch(value):
            return float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise _wrong('a number, "NaN", "Infinity" or "-Infinity"', value)


def _bytes(value: object) -> bytes:
    decoded = _base64(value)
    if decoded is None:
        raise _wrong("base64", value)
    return decoded


def _id(n_bytes: int) -> Callable[[object], bytes]:
    """Hex of any length, or else base64 of the right one: base64 of any length would take nearly every text."""

    def read(value: object) -> bytes:
        decoded = _hex(value)
        if decoded is not None:
            return decoded
        decoded = _base64(value)
        if decoded is None or len(decoded) != n_bytes:
            raise _wrong(f"an id of {n_bytes} bytes in hex", value)
        return decoded

    return read


def _hex(value: object) -> bytes | None:
    try:
        decoded = bytes.fromhex(value) if isinstance(value, str) else None
    except ValueError:
        return None
    # fromhex passes over white space
    return decoded if decoded is not None and len(decoded) * 2 == len(str(value)) else None


def _base64(value: object) -> bytes | None:
    """Base64 in the standard or the URL-safe alphabet, with its padding or without; None if it is neither."""
    if not isinstance(value, str):
        return None
    digits = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return binascii.a2b_base64(digits + "=" * (-len(digits) % 4), strict_mode=True)
    except ValueError:
        return None


SCALARS: dict[str, Callable[[object], Any]] = {
    "string": _string,
    "bytes": _bytes,
    "bool": _bool,
    "double": _double,
    "int32": _integer(-(2**31), 2**31 - 1),
    "int64": _integer(-(2**63), 2**63 - 1),
    "uint32": _integer(0, 2**32 - 1),
    "fixed32": _integer(0, 2**32 - 1),
    "fixed64": _integer(0, 2**64 - 1),
    **{kind: _id(n_bytes) for kind, n_bytes in ID_BYTES.items()},
}


def _keys_of(name: str) -> dict[object, Field]:
    keys: dict[object, Field] = {}
    for field in MESSAGES[name]:
        for key in (field.json_name, field.name, *FORMER_JSON_NAMES.get((name, field.name), ())):
            keys[key] = field
    return keys


_CHOICES = {name for name, fields in MESSAGES.items() if all(field.oneof for field in fields)}
"""The messages of which at most one field can be set."""

_KEYS = {name: _keys_of(name) for name in MESSAGES}
"""Message name -> {JSON key: its field}."""
