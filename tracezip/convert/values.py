"""Python values -> OTLP attributes, encoded.

Values follow "Mapping Arbitrary Data to OTLP AnyValue" of the OpenTelemetry specification: integers beyond 64 bits and
objects of other types become strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracezip.convert.schema import MAX_DEPTH
from tracezip.convert.wire import WRITERS
from tracezip.errors import InputError

ATTRIBUTE_DEPTH = 5
"""A span's attribute values are this many messages below the root; those of events and links one more."""


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def encode_attributes(attributes: Mapping[str, Any] | None, depth: int) -> list[bytes]:
    return [_key_value(key, value, depth) for key, value in attributes.items()] if attributes else []


def _key_value(key: Any, value: Any, depth: int) -> bytes:
    return WRITERS["KeyValue"].write({"key": as_text(key), "value": _any_value(value, depth)})


def _any_value(value: Any, depth: int) -> bytes:
    """The value as an `AnyValue`, `depth` messages below the root. bool comes first: it is an int."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return _choice("bool_value", value)
    if isinstance(value, str):
        return _choice("string_value", value)
    if isinstance(value, int):
        return _choice("int_value", value) if -(1 << 63) <= value < 1 << 63 else _choice("string_value", _digits(value))
    if isinstance(value, float):
        return _choice("double_value", value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _choice("bytes_value", bytes(value))
    if isinstance(value, Mapping | Sequence):
        return _container(value, depth)
    return _choice("string_value", str(value))


def _container(value: Mapping[Any, Any] | Sequence[Any], depth: int) -> bytes:
    if depth >= MAX_DEPTH:
        raise InputError(f"an attribute value is nested so that its messages are more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        pairs = [_key_value(key, item, depth + 3) for key, item in value.items()]
        return _choice("kvlist_value", WRITERS["KeyValueList"].write({"values": pairs}))
    items = [_any_value(item, depth + 2) for item in value]
    return _choice("array_value", WRITERS["ArrayValue"].write({"values": items}))


def _digits(value: int) -> str:
    """Python refuses to write integers of thousands of digits in decimal; those are written in hex."""
    return str(value) if value.bit_length() < 10_000 else hex(value)


def _choice(name: str, value: Any) -> bytes:
    return WRITERS["AnyValue"].write({name: value})
