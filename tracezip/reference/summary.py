"""FORMAT.md, "Index": the rows of a block, summed up.

Wherever the bytes leave it open what a reader of OTLP would make of them, the whole block is said to be unknown.
"""

from __future__ import annotations

import array
import struct

from tracezip.mix import hash_of_id
from tracezip.reference.contexts import MASK64
from tracezip.reference.parse import NotCanonicalError, read_value, read_varint
from tracezip.reference.tables import Atom, Kind, Message, Op, Record

_TRACE_ID, _SPAN_ID, _NAME, _START, _END, _STATUS = 0x0A, 0x12, 0x2A, 0x39, 0x41, 0x7A
_CODE, _ERROR = 0x18, 2
_RESOURCE_ATTRIBUTE, _ANY_STRING = 0x0A, 0x0A
_SERVICE_KEY = b"service.name"
_OF_FAILURES = (Op.TRACE_ID, Op.SPAN_ID, Op.START, Op.END)


class _UnknownError(Exception):
    """Some spans are not in the columns, or say something odd."""


class _Pair:
    def __init__(self, number: int, service: int, name: int) -> None:
        self.number, self.service, self.name = number, service, name
        self.n_spans = self.n_errors = self.max_duration = self.max_error_duration = 0

    def packed(self) -> bytes:
        counts = (self.service, self.name, self.n_spans, self.n_errors)
        return struct.pack("=4I2Q", *counts, self.max_duration, self.max_error_duration)


class _Summary:
    def __init__(self) -> None:
        self.min_start = self.min_duration = MASK64
        self.max_end = self.max_duration = 0
        self.strings: dict[bytes, int] = {}
        self.pairs: dict[tuple[bytes, bytes], _Pair] = {}
        self.last_rows: dict[int, int] = {}
        self.failures: list[bytes] = []
        self.is_vague = False
        """Some failures cannot be told."""
        self._row = 0

    def message(self, message: Message) -> None:
        if message.prefix and not message.resources:
            raise _UnknownError
        for resource in message.resources:
            is_wrapped = bool(message.prefix or message.skip)
            if is_wrapped and not any(cls.op == Op.OPEN for cls in resource.schema.classes):
                raise _UnknownError  # a resource that was too large to be repeated
            service = _service(resource)
            for scope in resource.children[0]:
                for span in scope.children[0]:
                    self._span(span, service)

    def _span(self, span: Record, service: bytes) -> None:
        fields = _fields(span)
        duration = max(span.end - span.start, 0)
        pair = self._pair(service, fields.get(_NAME, b""))
        pair.n_spans += 1
        pair.max_duration = max(pair.max_duration, duration)
        if _code(fields.get(_STATUS, b"")) == _ERROR:
            pair.n_errors += 1
            pair.max_error_duration = max(pair.max_error_duration, duration)
            self._failure(span, pair)
        self.min_start, self.max_end = min(self.min_start, span.start), max(self.max_end, span.end)
        self.min_duration, self.max_duration = min(self.min_duration, duration), max(self.max_duration, duration)
        self.last_rows[_hash_of_trace(span, fields)] = self._row
        self._row += 1

    def _pair(self, service: bytes, name: bytes) -> _Pair:
        if (service, name) not in self.pairs:
            strings = (self.strings.setdefault(s, len(self.strings)) for s in (service, name))
            self.pairs[service, name] = _Pair(len(self.pairs), *strings)
        return self.pairs[service, name]

    def _failure(self, span: Record, pair: _Pair) -> None:
        schema = span.schema
        in_columns = all(schema.has[op] for op in _OF_FAILURES)
        has_other = any(cls.op == Op.FIELD and cls.tag == _SPAN_ID for cls in schema.classes)
        if not in_columns or has_other or span.end < span.start:
            self.is_vague = True
        else:
            numbers = (*span.trace_id, span.span_id, span.end - span.start)
            self.failures.append(struct.pack("=4Q2I", *numbers, self._row, pair.number))


def summarize(
    messages: list[Message],
) -> tuple[tuple[int, int, int, int], list[bytes], bytes, bytes, bytes, bytes | None] | None:
    """As `BlockEncoder.summary`."""
    s = _Summary()
    try:
        for message in messages:
            s.message(message)
    except _UnknownError:
        return None
    return (
        (s.min_start, s.max_end, s.min_duration, s.max_duration),
        list(s.strings),
        b"".join(pair.packed() for pair in s.pairs.values()),
        array.array("Q", s.last_rows).tobytes(),
        array.array("I", s.last_rows.values()).tobytes(),
        None if s.is_vague else b"".join(s.failures),
    )


def _only(found: list[Atom]) -> bytes:
    if len(found) > 1:
        raise _UnknownError
    return found[0].text.data if found else b""


def _service(resource: Record) -> bytes:
    """The service.name of a resource that has it once, as a string, or not at all."""
    classes = resource.schema.classes
    if any(cls.op == Op.RAW for cls in classes):
        raise _UnknownError
    inner = [cls for cls in classes if cls.place == Kind.RESOURCE]
    if any(cls.op == Op.FIELD and cls.tag == _RESOURCE_ATTRIBUTE for cls in inner):
        raise _UnknownError  # an attribute that could not be parsed
    named = [cls for cls in inner if cls.op == Op.ATTRIBUTE and cls.key is not None and cls.key.data == _SERVICE_KEY]
    if any(cls.any != _ANY_STRING for cls in named):
        raise _UnknownError
    return _only([atom for atom in resource.atoms if atom.cls in named])


def _fields(span: Record) -> dict[int, bytes]:
    """The texts of the name, the status and an odd trace id, by their tags."""
    classes = span.schema.classes
    tags = [cls.tag for cls in classes if cls.op == Op.FIELD]
    if any(cls.op == Op.RAW for cls in classes) or _START in tags or _END in tags:
        raise _UnknownError
    if _TRACE_ID in tags and span.schema.has[Op.TRACE_ID]:
        raise _UnknownError
    wanted = [tag for tag in (_TRACE_ID, _NAME, _STATUS) if tag in tags]
    atoms = [atom for atom in span.atoms if atom.cls.op == Op.FIELD]
    return {tag: _only([atom for atom in atoms if atom.cls.tag == tag]) for tag in wanted}


def _code(status: bytes) -> int:
    """The code in a Status message."""
    at = code = 0
    while at < len(status):
        try:
            tag, at = read_varint(status, at, len(status))
            value, at = read_value(status, at, len(status), tag & 7)
        except NotCanonicalError:
            raise _UnknownError from None
        if not 8 <= tag < 1 << 32 or tag & 7 not in (0, 2):
            raise _UnknownError
        code = int(value) & 0xFFFFFFFF if tag == _CODE else code
    return code


def _hash_of_trace(span: Record, fields: dict[int, bytes]) -> int:
    if span.schema.has[Op.TRACE_ID]:
        return hash_of_id(struct.pack(">2Q", *span.trace_id))
    return hash_of_id(fields.get(_TRACE_ID, b""))
