"""OTLP protobuf -> the fields of its messages as Python values, by name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from tracezip.convert.schema import MAX_DEPTH, MESSAGES, Field
from tracezip.convert.wire import fixed_end, malformed, read_length, read_tag, read_varint, skip_value

_FIELDS = {name: {field.tag: field for field in fields} for name, fields in MESSAGES.items()}
_REPEATED = {name: tuple(field.name for field in fields if field.repeated) for name, fields in MESSAGES.items()}

Values = dict[str, Any]


def read_fields(name: str, data: bytes) -> Values:
    """The fields of the message `name` that are there; repeated ones always, as lists; nested messages as bytes.

    As protobuf has it: the last of several values counts, messages that come several times are merged, unknown fields
    are skipped. Text that is not UTF-8 shows as U+FFFD. Raises InputError with the offset in `data`.
    """
    known = _FIELDS[name]
    values: Values = {name: [] for name in _REPEATED[name]}
    at, end = 0, len(data)
    while at < end:
        tag, at = read_tag(data, at, end)
        field = known.get(tag)
        if field is None:
            at = skip_value(data, at, end, tag, 0)
            continue
        value, at = _READERS[field.kind](data, at, end)
        _keep(values, field, value)
    return values


def read_field(name: str, field_name: str, data: bytes) -> Any:
    """One field of the message `name` that is no message itself, None if it is not there. Others are only passed over.

    Raises InputError with the offset in `data`.
    """
    (wanted,) = (field for field in MESSAGES[name] if field.name == field_name)
    value, at, end = None, 0, len(data)
    while at < end:
        tag, at = read_tag(data, at, end)
        if tag == wanted.tag:
            value, at = _READERS[wanted.kind](data, at, end)
        else:
            at = skip_value(data, at, end, tag, 0)
    return value


def _keep(values: Values, field: Field, value: Any) -> None:
    if field.repeated:
        values[field.name].append(value)
    elif field.kind == "message" and field.name in values:
        values[field.name] += value  # concatenated, they are the merged message
    else:
        if field.oneof:
            values.clear()
        values[field.name] = value


def read_attributes(attributes: list[bytes], depth: int = 0) -> dict[str, Any]:
    """KeyValue messages as a dict; of equal keys the last counts."""
    return dict(_key_value(data, depth) for data in attributes)


def _key_value(data: bytes, depth: int) -> tuple[str, Any]:
    values = read_fields("KeyValue", data)
    return values.get("key", ""), read_any_value(values.get("value", b""), depth)


def read_any_value(data: bytes, depth: int = 0) -> Any:
    """An AnyValue: None, str, bool, int, float, bytes, a tuple of values, or a dict of them."""
    if depth > MAX_DEPTH:
        raise malformed(f"values nested more than {MAX_DEPTH} deep", 0)
    for name, value in read_fields("AnyValue", data).items():
        if name == "array_value":
            return tuple(read_any_value(item, depth + 1) for item in read_fields("ArrayValue", value)["values"])
        if name == "kvlist_value":
            return read_attributes(read_fields("KeyValueList", value)["values"], depth + 1)
        return value
    return None


def _bytes(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    start, stop = read_length(data, at, end)
    return data[start:stop], stop


def _string(data: bytes, at: int, end: int) -> tuple[str, int]:
    start, stop = read_length(data, at, end)
    return str(data[start:stop], "utf-8", "replace"), stop


def _int64(data: bytes, at: int, end: int) -> tuple[int, int]:
    value, after = read_varint(data, at, end)
    return value - (value >> 63 << 64), after


def _int32(data: bytes, at: int, end: int) -> tuple[int, int]:
    value, after = read_varint(data, at, end)
    value &= 0xFFFFFFFF
    return value - (value >> 31 << 32), after


def _uint32(data: bytes, at: int, end: int) -> tuple[int, int]:
    value, after = read_varint(data, at, end)
    return value & 0xFFFFFFFF, after


def _bool(data: bytes, at: int, end: int) -> tuple[bool, int]:
    value, after = read_varint(data, at, end)
    return bool(value), after


def _fixed(code: str) -> Callable[[bytes, int, int], tuple[Any, int]]:
    layout = struct.Struct(code)

    def read(data: bytes, at: int, end: int) -> tuple[Any, int]:
        after = fixed_end(at, end, layout.size)
        return layout.unpack_from(data, at)[0], after

    return read


_READERS: dict[str, Callable[[bytes, int, int], tuple[Any, int]]] = {
    "string": _string,
    "bytes": _bytes,
    "trace_id": _bytes,
    "span_id": _bytes,
    "message": _bytes,
    "bool": _bool,
    "int32": _int32,
    "int64": _int64,
    "uint32": _uint32,
    "enum": _int32,
    "fixed32": _fixed("<I"),
    "fixed64": _fixed("<Q"),
    "double": _fixed("<d"),
}
