"""OTLP messages of some of the spans of another, as they were encoded, with the resources and scopes they had."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from tracezip.convert.spans import Span, read_context, read_span
from tracezip.convert.wire import malformed, varint
from tracezip.walk import SPANS_LEVEL, UNIT, fields

_Key = TypeVar("_Key", bound=Hashable)
_TRACE_ID_TAG = 0x0A


def partition(message: bytes, key_of: Callable[[bytes, bytes, bytes], _Key | None]) -> dict[_Key, bytes]:
    """Messages of the spans of one, by a key of each span, in the order in which the keys come.

    key_of: of the encoded Span, of its ResourceSpans without ScopeSpans, and of its ScopeSpans without spans; spans
    of the key None are left out. Raises InputError if `message` is not OTLP; fields around the ResourceSpans, which
    nobody knows, are left out.
    """
    parts: dict[_Key, list[bytes]] = {}
    for resource_spans in _cut(message, 0)[1]:
        resource, all_scope_spans = _cut(resource_spans, 1)
        chosen: dict[_Key, list[bytes]] = {}
        for scope_spans in all_scope_spans:
            scope, spans = _cut(scope_spans, SPANS_LEVEL)
            keys = [key_of(span, resource, scope) for span in spans]
            for key, encoded in _grouped(keys, (_wrapped(SPANS_LEVEL, span) for span in spans)).items():
                chosen.setdefault(key, []).append(_wrapped(1, scope + encoded))
        for key, pieces in chosen.items():
            parts.setdefault(key, []).append(_wrapped(0, resource + b"".join(pieces)))
    return {key: b"".join(pieces) for key, pieces in parts.items()}


def by_trace(message: bytes) -> dict[bytes, bytes]:
    """Messages of one trace each, by trace id. Raises as `partition` does."""
    return partition(message, lambda span, _resource, _scope: _trace_id(span))


def select(message: bytes, holds: Callable[[Span], bool]) -> bytes:
    """A message of the spans for which `holds`, b"" if there are none. Raises InputError if `message` is not OTLP."""

    def is_chosen(span: bytes, resource: bytes, scope: bytes) -> bool | None:
        return holds(read_span(span, *read_context(resource, scope))) or None

    return partition(message, is_chosen).get(True, b"")


def _cut(data: bytes, level: int) -> tuple[bytes, list[bytes]]:
    """What of a message (level 0), a ResourceSpans (1) or a ScopeSpans (2) is not its units, and its units."""
    rest, units, at = [], [], 0
    for tag, start, value, end in fields(data, 0, len(data)):
        if tag == UNIT[level]:
            units.append(data[value:end])
        else:
            rest.append(data[start:end])
        at = end
    if at < len(data):
        raise malformed("a field that cannot be read", at)
    return b"".join(rest), units


def _grouped(keys: Iterable[_Key | None], values: Iterable[bytes]) -> dict[_Key, bytes]:
    groups: dict[_Key, list[bytes]] = {}
    for key, value in zip(keys, values, strict=True):
        if key is not None:
            groups.setdefault(key, []).append(value)
    return {key: b"".join(pieces) for key, pieces in groups.items()}


def _wrapped(level: int, value: bytes) -> bytes:
    return bytes((UNIT[level],)) + varint(len(value)) + value


def _trace_id(span: bytes) -> bytes:
    """Of several the last, as protobuf has it; b"" where there is none."""
    trace_id, at = b"", 0
    for tag, _, value, end in fields(span, 0, len(span)):
        if tag == _TRACE_ID_TAG:
            trace_id = span[value:end]
        at = end
    if at < len(span):
        raise malformed("a field that cannot be read", at)
    return trace_id
