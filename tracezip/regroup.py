"""Spans sorted by their traces, in files on the disk: memory holds one part of many, whatever comes.

1. Every span goes into one of many files, which its trace id chooses, with the number of its resource and scope.
2. The traces of each file become messages, sorted by what people search for.
3. The sorted files are merged.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import msgpack

from tracezip import limits
from tracezip.convert.fields import read_attributes, read_fields
from tracezip.errors import InputError
from tracezip.mix import hash_of_id
from tracezip.varint import pack_varint
from tracezip.walk import UNIT, fields

_BUCKET_BYTES = 1 << 26
_MAX_BUCKETS = 256
_TRACE_ID, _PARENT, _NAME, _START, _STATUS = 0x0A, 0x22, 0x2A, 0x39, 0x7A
_CODE, _ERROR = 0x18, b"\2"


class _UnwalkableError(Exception):
    """A message that is not all fields."""


class _Span(NamedTuple):
    context: int
    data: bytes


class Regrouper:
    """Takes messages and gives their spans back in other messages: of one trace each, or of a part of a large one.

    Every span keeps its bytes, its resource and its scope, and those of a trace their order. Traces come in the order
    of the service and the name of their root span, those without errors first, then by their start. What holds no span,
    or cannot be taken apart, comes at the end as it is. `folder` takes files of about the size of all messages, of
    which `n_bytes` is an estimate; resources and scopes are kept in memory.
    """

    def __init__(self, folder: str, n_bytes: int) -> None:
        n_buckets = min(n_bytes // _BUCKET_BYTES + 1, _MAX_BUCKETS)
        self._folder = folder
        self._buckets = [self._new_file(f"bucket{number}") for number in range(n_buckets)]
        self._rest = self._new_file("rest")
        self._contexts: dict[tuple[bytes, bytes], int] = {}
        """Fields of a ResourceSpans and of a ScopeSpans, all but their children."""

    def add(self, message: bytes) -> None:
        try:
            self._add(message)
        except _UnwalkableError:
            self._rest.write(msgpack.packb(message))

    def messages(self) -> Iterator[bytes]:
        """Everything that was added, in its new order; only once."""
        contexts = [(*context, _service(context[0])) for context in self._contexts]
        runs = [self._sorted(number, contexts) for number in range(len(self._buckets))]
        for _, message in heapq.merge(*map(_records, runs), key=lambda record: record[0]):
            yield message
        yield from _records(self._rest)

    def close(self) -> None:
        for file in (*self._buckets, self._rest):
            file.close()

    def _new_file(self, name: str) -> BinaryIO:
        return open(os.path.join(self._folder, name), "w+b")

    def _add(self, message: bytes) -> None:
        taken = [_taken_apart(part) for part in _parts(message, UNIT[0])]
        for span in (span for spans, _ in taken for span in spans):
            number = self._contexts.setdefault((span.resource, span.scope), len(self._contexts))
            trace_id = span.data[2:18] if span.data[:2] == b"\x0a\x10" else _trace_id(span.data)
            bucket = self._buckets[hash_of_id(trace_id) % len(self._buckets)]
            bucket.write(msgpack.packb((trace_id, number, span.data)))
        rest = b"".join([left for _, left in taken])
        if rest or not message:
            self._rest.write(msgpack.packb(rest))

    def _sorted(self, number: int, contexts: list[tuple[bytes, bytes, str]]) -> BinaryIO:
        """A file of the messages of a bucket, each behind what it is sorted by; it takes the bucket's place."""
        traces: dict[bytes, list[_Span]] = {}
        for trace_id, context, span in _records(self._buckets[number]):
            traces.setdefault(trace_id, []).append(_Span(context, span))
        self._buckets[number].close()
        self._buckets[number] = self._new_file(f"bucket{number}")
        keyed = sorted((_key(spans, contexts), trace_id) for trace_id, spans in traces.items())
        for key, trace_id in keyed:
            for part, spans in enumerate(_chunks(traces.pop(trace_id))):
                record = ((*key, trace_id, part), _message(spans, contexts))
                self._buckets[number].write(msgpack.packb(record))
        return self._buckets[number]


def _records(file: BinaryIO) -> Iterator[Any]:
    file.seek(0)
    return iter(msgpack.Unpacker(file, raw=False, max_buffer_size=0))


# --- taking messages apart --------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    tag: int
    field: bytes
    value: bytes
    """Of a field with a length, without it."""


def _parts(data: bytes, unit: int) -> Iterator[_Part]:
    """The fields of a message. Raises _UnwalkableError where there is something else."""
    at = 0
    for tag, start, value, end in fields(data, 0, len(data)):
        yield _Part(tag, data[start:end], data[value:end] if tag == unit else b"")
        at = end
    if at != len(data):
        raise _UnwalkableError


class _Found(NamedTuple):
    resource: bytes
    """All fields of its ResourceSpans but the ScopeSpans."""
    scope: bytes
    """All fields of its ScopeSpans but the spans."""
    data: bytes


def _taken_apart(part: _Part) -> tuple[list[_Found], bytes]:
    """The spans of a field of a message, and what holds none: fields of a message too."""
    if part.tag != UNIT[0]:
        return [], part.field
    resource, scopes = _context(part.value, UNIT[1])
    found: list[_Found] = []
    empty = b""
    for data in scopes:
        scope, spans = _context(data, UNIT[2])
        found += [_Found(resource, scope, span) for span in spans]
        empty += b"" if spans else _field(UNIT[1], data)
    return found, _field(UNIT[0], resource + empty) if empty or not found else b""


def _context(data: bytes, unit: int) -> tuple[bytes, list[bytes]]:
    """All fields but the children, and the children."""
    context, children = b"", []
    for part in _parts(data, unit):
        if part.tag == unit:
            children.append(part.value)
        else:
            context += part.field
    return context, children


def _trace_id(span: bytes) -> bytes:
    ids = [span[value:end] for tag, _, value, end in fields(span, 0, len(span)) if tag == _TRACE_ID]
    return ids[-1] if ids else b""


def _service(context: bytes) -> str:
    """The service.name of the fields of a ResourceSpans, "" where there is none."""
    try:
        resource = read_fields("ResourceSpans", context).get("resource", b"")
        name = read_attributes(read_fields("Resource", resource)["attributes"]).get("service.name")
    except InputError:
        return ""
    return name if isinstance(name, str) else ""


# --- traces -----------------------------------------------------------------------------------------------------------


class _Facts(NamedTuple):
    is_child: bool
    start: int
    name: str
    is_error: bool


def _facts(span: bytes) -> _Facts:
    found = {tag: span[value:end] for tag, _, value, end in fields(span, 0, len(span))}
    status = found.get(_STATUS, b"")
    codes = [status[value:end] for tag, _, value, end in fields(status, 0, len(status)) if tag == _CODE]
    return _Facts(
        bool(found.get(_PARENT, b"").strip(b"\0")),
        int.from_bytes(found.get(_START, b""), "little"),
        found.get(_NAME, b"").decode("utf-8", "replace"),
        codes[-1:] == [_ERROR],
    )


def _key(spans: list[_Span], contexts: list[tuple[bytes, bytes, str]]) -> tuple[str, str, bool, int]:
    """What a trace is sorted by. Its root is the first of its spans without a parent, or if there are none, of all."""
    facts = [_facts(span.data) for span in spans]
    root = min(range(len(spans)), key=lambda number: facts[number][:2])
    start = min(each.start for each in facts)
    service = contexts[spans[root].context][2]
    return service, facts[root].name, any(each.is_error for each in facts), start


def _chunks(spans: list[_Span]) -> Iterator[list[_Span]]:
    """The spans of a trace, in messages that are not too large."""
    chunk: list[_Span] = []
    n_bytes = 0
    for span in spans:
        if chunk and n_bytes + len(span.data) > limits.PART_BYTES:
            yield chunk
            chunk, n_bytes = [], 0
        chunk.append(span)
        n_bytes += len(span.data)
    yield chunk


def _message(spans: Iterable[_Span], contexts: list[tuple[bytes, bytes, str]]) -> bytes:
    """A message of these spans, those of a resource and of a scope together."""
    resources: dict[bytes, dict[bytes, list[bytes]]] = {}
    for span in spans:
        outer, inner, _ = contexts[span.context]
        resources.setdefault(outer, {}).setdefault(inner, []).append(_field(UNIT[2], span.data))
    return b"".join(
        _field(UNIT[0], outer + b"".join(_field(UNIT[1], b"".join([inner, *found])) for inner, found in scopes.items()))
        for outer, scopes in resources.items()
    )


def _field(tag: int, value: bytes) -> bytes:
    return pack_varint(tag) + pack_varint(len(value)) + value
