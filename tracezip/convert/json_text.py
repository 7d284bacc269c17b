"""OTLP protobuf messages -> OTLP/JSON text, in one pass over the bytes and without an object per field.

A message's fields are found first and put into words afterwards, because protobuf lets them repeat and come in any
order. Texts of attributes are kept and used again: most spans of a file share most of theirs.
"""

from __future__ import annotations

import binascii
import math
import struct
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring as _quoted
from typing import Any

from tracezip.convert.schema import FIXED64, LENGTH_DELIMITED, MAX_DEPTH, MESSAGES, ROOT, VARINT, Field
from tracezip.convert.wire import fixed_end, malformed, read_length, read_tag, read_varint, skip_value

CACHED_BYTES = 160
"""Attributes up to this long are kept: longer ones seldom repeat, and none this short can nest too deep."""
CACHED_ATTRIBUTES = 16_384
"""How many are kept before all are forgotten and the next ones kept."""
CACHED_DEPTH = 5
"""Attributes of spans, events, links, resources and scopes are no deeper; those inside values are."""

AttributeTexts = dict[bytes, str]
"""Attributes seen before, encoded -> their JSON. Pass the same one for many messages of one file."""

Range = tuple[int, int]
"""Where in the data a value starts and stops."""


def json_pieces(data: bytes, seen: AttributeTexts | None = None) -> Iterator[str]:
    """The OTLP/JSON text of an OTLP protobuf message, in pieces of about a span.

    Raises InputError with the byte offset when it comes to what is not OTLP protobuf, after the pieces before it.
    """
    message = _MessageText(data, {} if seen is None else seen)
    try:
        yield from message.pieces(_PLANS[ROOT], [(0, len(data))], 0)
    except IndexError:
        raise malformed("a message cut off by the end of the data", len(data)) from None


def _string_text(value: bytes) -> str:
    return _quoted(str(value, "utf-8", "replace"))


def _bytes_text(value: bytes) -> str:
    return f'"{binascii.b2a_base64(value, newline=False).decode()}"'


def _id_text(value: bytes) -> str:
    return f'"{value.hex()}"'


def _bool_text(value: int) -> str:
    return "true" if value else "false"


def _int64_text(value: int) -> str:
    return f'"{value - (1 << 64) if value >> 63 else value}"'


def _int32_text(value: int) -> str:
    value &= 0xFFFFFFFF
    return str(value - (1 << 32) if value >> 31 else value)


def _uint32_text(value: int) -> str:
    return str(value & 0xFFFFFFFF)


def _fixed32_text(value: bytes) -> str:
    return str(int.from_bytes(value, "little"))


def _fixed64_text(value: bytes) -> str:
    return f'"{int.from_bytes(value, "little")}"'


def _double_text(value: bytes) -> str:
    number: float = struct.unpack("<d", value)[0]
    if math.isfinite(number):
        return repr(number)
    return '"NaN"' if number != number else '"Infinity"' if number > 0 else '"-Infinity"'


_TEXTS: dict[str, tuple[Callable[[Any], str], str]] = {
    "string": (_string_text, '""'),
    "bytes": (_bytes_text, '""'),
    "trace_id": (_id_text, '""'),
    "span_id": (_id_text, '""'),
    "bool": (_bool_text, "false"),
    "int64": (_int64_text, '"0"'),
    "int32": (_int32_text, "0"),
    "enum": (_int32_text, "0"),
    "uint32": (_uint32_text, "0"),
    "fixed32": (_fixed32_text, "0"),
    "fixed64": (_fixed64_text, '"0"'),
    "double": (_double_text, "0.0"),
}
"""Kind -> how its values (integers for varints, else their bytes) read in JSON, and how its default value does."""


class _Rule:
    """What to do with one field: `default` is the text that means absent, `plan` the rules of a nested message."""

    __slots__ = ("default", "oneof", "plan", "prefix", "repeated", "text")

    def __init__(self, field: Field) -> None:
        self.prefix = f'"{field.json_name}":'
        self.text, default = _TEXTS.get(field.kind, (str, ""))
        self.default = None if field.oneof or field.repeated else default
        self.plan = _PLANS[field.type] if field.kind == "message" else None
        self.repeated = field.repeated
        self.oneof = field.oneof


_Plan = dict[int, _Rule]
_PLANS: dict[str, _Plan] = {name: {} for name in MESSAGES}
"""Message name -> {tag: what to do with the field}."""
for _name, _fields in MESSAGES.items():
    _PLANS[_name].update((field.tag, _Rule(field)) for field in _fields)
_ATTRIBUTE = _PLANS["KeyValue"]
_STREAMED = [_PLANS[name] for name in ("TracesData", "ResourceSpans", "ScopeSpans")]
"""The messages that hold spans: their text is given out piece by piece."""

_Found = dict[_Rule, Any]
"""The fields of one message: the text of a scalar, a list of texts, or the ranges of the data where messages are."""


class _MessageText:
    """Turns one protobuf message into text. Positions are offsets in the whole of it, so that errors can name them."""

    def __init__(self, data: bytes, seen: AttributeTexts) -> None:
        self._data = data
        self._seen = seen

    def pieces(self, plan: _Plan, ranges: list[Range], depth: int) -> Iterator[str]:
        """The text of a message of `_STREAMED`."""
        before = "{"
        for rule, value in self._fields(plan, ranges, depth).items():
            if rule.plan is not None and rule.repeated:
                yield before + rule.prefix
                yield from self._array_pieces(rule.plan, value, depth + 1)
            else:
                yield before + self._field(rule, value, depth)
            before = ","
        yield "{}" if before == "{" else "}"

    def _array_pieces(self, plan: _Plan, ranges: list[Range], depth: int) -> Iterator[str]:
        before = "["
        for one in ranges:
            yield before
            if any(plan is streamed for streamed in _STREAMED):
                yield from self.pieces(plan, [one], depth)
            else:
                yield self._message(plan, [one], depth)
            before = ","
        yield "]"

    def _message(self, plan: _Plan, ranges: list[Range], depth: int) -> str:
        """The text of one message, all of whose parts are at `ranges`: protobuf merges what is given twice."""
        found = self._fields(plan, ranges, depth)
        return "{" + ",".join([self._field(rule, value, depth) for rule, value in found.items()]) + "}"

    def _field(self, rule: _Rule, value: Any, depth: int) -> str:
        if rule.plan is None:
            return rule.prefix + ("[" + ",".join(value) + "]" if rule.repeated else value)
        if not rule.repeated:
            return rule.prefix + self._message(rule.plan, value, depth + 1)
        if rule.plan is _ATTRIBUTE and depth < CACHED_DEPTH:
            texts = [self._attribute(one, depth + 1) for one in value]
        else:
            texts = [self._message(rule.plan, [one], depth + 1) for one in value]
        return rule.prefix + "[" + ",".join(texts) + "]"

    def _attribute(self, at: Range, depth: int) -> str:
        start, stop = at
        raw = self._data[start:stop]
        text = self._seen.get(raw)
        if text is None:
            text = self._message(_ATTRIBUTE, [at], depth)
            if stop - start <= CACHED_BYTES:
                if len(self._seen) >= CACHED_ATTRIBUTES:
                    self._seen.clear()
                self._seen[raw] = text
        return text

    def _fields(self, plan: _Plan, ranges: list[Range], depth: int) -> _Found:
        found: _Found = {}
        for start, stop in ranges:
            if depth > MAX_DEPTH:
                raise malformed(f"messages nested more than {MAX_DEPTH} deep", start)
            self._scan(plan, start, stop, depth, found)
        return found

    def _scan(self, plan: _Plan, position: int, end: int, depth: int, found: _Found) -> None:
        """Adds the fields from `position` on to `found`. Tags and lengths of one byte are read in place: it is hot."""
        data = self._data
        while position < end:
            tag = data[position]
            rule = plan.get(tag) if tag < 0x80 else None
            position += 1
            if rule is None:
                tag, position = read_tag(data, position - 1, end)
                rule = plan.get(tag)
                if rule is None:
                    position = skip_value(data, position, end, tag, depth)
                    continue
            wire_type = tag & 7
            if wire_type == LENGTH_DELIMITED:
                start, stop = position + 1, position + 1 + data[position]
                if stop > end or data[position] > 0x7F:
                    start, stop = read_length(data, position, end)
                position = stop
                if rule.plan is not None:
                    self._found_message(rule, start, stop, depth, found)
                    continue
                text = rule.text(data[start:stop])
            elif wire_type == VARINT:
                number, position = read_varint(data, position, end)
                text = rule.text(number)
            else:
                start, position = position, fixed_end(position, end, 8 if wire_type == FIXED64 else 4)
                text = rule.text(data[start:position])
            self._found_text(rule, text, depth, found)

    def _found_message(self, rule: _Rule, start: int, stop: int, depth: int, found: _Found) -> None:
        if rule in found:
            found[rule].append((start, stop))
            return
        if rule.oneof:
            self._forget(found, depth)
        found[rule] = [(start, stop)]

    def _found_text(self, rule: _Rule, text: str, depth: int, found: _Found) -> None:
        if rule.repeated:
            found.setdefault(rule, []).append(text)
        elif text == rule.default:
            found.pop(rule, None)
        else:
            if rule.oneof:
                self._forget(found, depth)
            found[rule] = text

    def _forget(self, found: _Found, depth: int) -> None:
        """A later field of a `oneof` replaces the one before it, which must be a whole message all the same."""
        for rule, value in found.items():
            self._field(rule, value, depth)
        found.clear()
