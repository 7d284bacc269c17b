"""OTLP messages as the records around their spans and the spans, all of them as bytes; and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tracezip.convert.wire import read_length, read_tag, skip_value
from tracezip.varint import pack_varint

_RESOURCE_SPANS, _CHILD = 0x0A, 0x12
_LENGTH_DELIMITED = 2


class SpanBytes(NamedTuple):
    """A span, and what it stands in without its other children: three messages."""

    resource_spans: bytes
    scope_spans: bytes
    span: bytes


def cut(message: bytes) -> Iterator[SpanBytes]:
    """The spans of an OTLP message, in order. Raises InputError where it is none."""
    for resource_spans in _fields(message, _RESOURCE_SPANS)[1]:
        resource, scopes = _fields(resource_spans, _CHILD)
        for scope_spans in scopes:
            scope, spans = _fields(scope_spans, _CHILD)
            for span in spans:
                yield SpanBytes(resource, scope, span)


def _fields(data: bytes, wanted: int) -> tuple[bytes, list[bytes]]:
    """The fields of a message but for those with this tag, and the values of these."""
    rest, values, at, end = [], [], 0, len(data)
    while at < end:
        start = at
        tag, at = read_tag(data, at, end)
        if tag == wanted:
            value, at = read_length(data, at, end)
            values.append(data[value:at])
        else:
            at = skip_value(data, at, end, tag, 0)
            rest.append(data[start:at])
    return b"".join(rest), values


class MessageBuilder:
    """Gathers spans into one message, those of equal resources and scopes together, else in the order they come in."""

    def __init__(self) -> None:
        self._resources: dict[bytes, dict[bytes, list[bytes]]] = {}

    def add(self, part: SpanBytes) -> None:
        self._resources.setdefault(part.resource_spans, {}).setdefault(part.scope_spans, []).append(part.span)

    def message(self) -> bytes:
        return b"".join(
            _field(_RESOURCE_SPANS, resource + b"".join(_field(_CHILD, _scope(*scope)) for scope in scopes.items()))
            for resource, scopes in self._resources.items()
        )


def _scope(scope_spans: bytes, spans: list[bytes]) -> bytes:
    return scope_spans + b"".join(_field(_CHILD, span) for span in spans)


def _field(tag: int, value: bytes) -> bytes:
    return bytes([tag]) + pack_varint(len(value)) + value
