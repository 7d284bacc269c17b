"""Which rows an expression holds for: once for each distinct field, and then spread over the rows.

Rows of which something can only be told from their bytes are left out here; the caller looks at them one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracezip._backend import FIELD_MANY
from tracezip.convert.fields import read_any_value, read_fields
from tracezip.errors import InputError
from tracezip.expression import EITHER, ORDERS, RESOURCE, SPAN, And, Comparison, Expression, Field, Not, Or
from tracezip.scan import rows as r
from tracezip.scan.rows import Rows

Mask = NDArray[np.bool_]
Decode = Callable[[bytes], object]

_COLUMN_TAGS = {
    "trace_id": (0x0A,),
    "span_id": (0x12,),
    "parent_id": (0x22,),
    "start": (0x39,),
    "end": (0x41,),
    "duration": (0x39, 0x41),
}
"""Of intrinsics that have columns, the tags of fields that make them something else."""
ID_WORDS = {"trace_id": ("trace_hi", "trace_lo"), "span_id": ("span_id",), "parent_id": ("parent_id",)}
_WORD_DIGITS = 16
_MANY_IDS = 8
_MAX_REMEMBERED = 100_000
_FALSE, _TRUE, _NIL, _MALFORMED = range(4)
"""What a comparison says of a field. Nil: it has no value; malformed: it is not what OTLP says it is."""


class Source(NamedTuple):
    """Where the value of a field is found, if not in a column."""

    place: int
    tag: int
    key: bytes | None
    decode: Decode
    absent: object
    """The value of spans without it."""


def mask_of(e: Expression, n_rows: int, comparison: Callable[[Comparison], Mask]) -> Mask:
    """For which of so many rows it holds, if that is known of each comparison in it."""
    if isinstance(e, Comparison):
        return comparison(e)
    if isinstance(e, Not):
        return ~mask_of(e.term, n_rows, comparison)
    if not isinstance(e, And | Or):
        raise TypeError(f"{type(e).__name__} is no kind of expression")
    joined = np.full(n_rows, isinstance(e, And))
    for term in e.terms:
        mask = mask_of(term, n_rows, comparison)
        joined = joined & mask if isinstance(e, And) else joined | mask
    return joined


class Selector:
    """An expression, for any number of blocks. It remembers what it has decided of encoded fields."""

    def __init__(self, expression: Expression) -> None:
        self.expression = expression
        self._known: dict[tuple[int, int], dict[bytes, int]] = {}
        self._odd = np.zeros(0, bool)
        self._last: tuple[Rows, Mask, Mask] | None = None

    def select(self, rows: Rows) -> tuple[Mask, Mask]:
        """(n_spans,) for which rows it holds, and which have to be looked at one by one."""
        if self._last is None or self._last[0] is not rows:
            self._last = (rows, *self._select(rows))
        return self._last[1:]

    def _select(self, rows: Rows) -> tuple[Mask, Mask]:
        self._odd = np.zeros(rows.n_spans, bool)
        for field in self.expression.fields:
            self._odd |= is_odd(rows, field)
        mask = mask_of(self.expression, rows.n_spans, lambda c: self._comparison(c, rows))
        return mask & ~self._odd, self._odd

    def _comparison(self, c: Comparison, rows: Rows) -> Mask:
        key = c.field.key
        if c.field.scope:
            return self._attribute(c, rows, key.encode("utf-8", "surrogatepass"))
        if key in ID_WORDS:
            return compare_id(c, [rows.column(name) for name in ID_WORDS[key]])
        if key in _COLUMN_TAGS:
            return compare_number(c, number_column(rows, key))
        return np.asarray(self._verdicts(c, rows, _SOURCES[key]) == _TRUE)

    def _attribute(self, c: Comparison, rows: Rows, key: bytes) -> Mask:
        of_resource, of_span = attribute_source(key, r.RESOURCE), attribute_source(key, r.SPAN)
        verdicts = self._verdicts(c, rows, of_resource if c.field.scope == RESOURCE else of_span)
        if c.field.scope == EITHER:
            verdicts = np.where(verdicts == _NIL, self._verdicts(c, rows, of_resource), verdicts)
        return np.where(verdicts == _NIL, c.test(None), verdicts == _TRUE)

    def _verdicts(self, c: Comparison, rows: Rows, source: Source) -> NDArray[np.uint8]:
        """(n_spans,) what the comparison says of the field of each row."""
        told = rows.numbers(source.place, source.tag, source.key)
        found, encoded = rows.distinct(told)
        table = np.zeros(int(found[-1]) + 1 if len(found) else 1, np.uint8)
        table[found] = self._decide(c, source, encoded)
        table[0] = _verdict(c, source.absent)
        verdicts = table[np.where(told == FIELD_MANY, 0, told)]
        self._odd |= verdicts == _MALFORMED
        return verdicts

    def _decide(self, c: Comparison, source: Source, encoded: list[bytes]) -> list[int]:
        known = self._known.setdefault((id(c), source.place), {})
        if len(known) > _MAX_REMEMBERED:
            known.clear()
        for data in encoded:
            if data not in known:
                known[data] = _decided(c, data, source.decode)
        return [known[data] for data in encoded]


def _decided(c: Comparison, data: bytes, decode: Decode) -> int:
    try:
        return _verdict(c, decode(data))
    except InputError:
        return _MALFORMED


def _verdict(c: Comparison, value: object) -> int:
    return _NIL if value is None else _TRUE if c.test(value) else _FALSE


# --- fields -----------------------------------------------------------------------------------------------------------


def is_odd(rows: Rows, field: Field) -> Mask:
    """(n_spans,) which rows must be looked at one by one to know a field."""
    if not field.scope and field.key in _COLUMN_TAGS:
        told = [rows.numbers(r.SPAN, tag) for tag in _COLUMN_TAGS[field.key]]
        return np.asarray(np.logical_or.reduce([numbers != 0 for numbers in told]))
    if not field.scope:
        return np.asarray(rows.numbers(*_SOURCES[field.key][:3]) == FIELD_MANY)
    key = field.key.encode("utf-8", "surrogatepass")
    odd = np.full(rows.n_spans, "\ufffd" in field.key)  # then what is not UTF-8 may be equal to it
    for place, other in ((r.SPAN, RESOURCE), (r.RESOURCE, SPAN)):
        if field.scope != other:
            odd |= rows.numbers(place, r.ATTRIBUTE_TAGS[place], key) == FIELD_MANY
    return odd


def number_column(rows: Rows, key: str) -> NDArray[Any]:
    """(n_spans,) start, end or duration, ns: int64 or, where that does not hold all of them, Python's integers."""
    start, end = rows.column("start"), rows.column("end")
    if len(start) and int((start | end).max()) >> 63:
        start, end = start.astype(object), end.astype(object)
    else:
        start, end = start.view(np.int64), end.view(np.int64)
    return start if key == "start" else end if key == "end" else end - start


def attribute_value(encoded: bytes) -> object:
    """The value of an attribute with one key and one value, as a block has it."""
    size, at = _length(encoded, 1)
    n_key, at = _length(encoded, at + 1)
    size, at = _length(encoded, at + n_key + 1)
    if encoded[at] == 0x0A:
        size, at = _length(encoded, at + 1)
        return str(encoded[at:], "utf-8", "replace")
    return read_any_value(encoded[at : at + size])


def _length(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] > 0x7F:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1


def _service(encoded: bytes) -> object:
    value = attribute_value(encoded)
    return value if isinstance(value, str) else ""


def _status(encoded: bytes) -> dict[str, Any]:
    return read_fields("Status", read_fields("Span", encoded)["status"])


def attribute_source(key: bytes, place: int = r.RESOURCE) -> Source:
    return Source(place, r.ATTRIBUTE_TAGS[place], key, attribute_value, None)


def span_source(tag: int, name: str, absent: object) -> Source:
    """Of a field of spans that is a value."""
    return Source(r.SPAN, tag, None, lambda encoded: read_fields("Span", encoded)[name], absent)


def of_intrinsic(key: str) -> Source:
    return _SOURCES[key]


def sources_of(field: Field) -> list[Source]:
    """Where its value may be found, if not in columns."""
    if not field.scope:
        return [_SOURCES[field.key]] if field.key in _SOURCES else []
    key = field.key.encode("utf-8", "surrogatepass")
    return [
        attribute_source(key, place)
        for place, other in ((r.SPAN, RESOURCE), (r.RESOURCE, SPAN))
        if field.scope != other
    ]


_SOURCES = {
    "name": span_source(0x2A, "name", ""),
    "kind": span_source(0x30, "kind", 0),
    "status": Source(r.SPAN, 0x7A, None, lambda encoded: _status(encoded).get("code", 0), 0),
    "statusMessage": Source(r.SPAN, 0x7A, None, lambda encoded: _status(encoded).get("message", ""), ""),
    "service": attribute_source(b"service.name")._replace(decode=_service, absent=""),
}


# --- columns ----------------------------------------------------------------------------------------------------------


def compare_number(c: Comparison, column: NDArray[Any]) -> Mask:
    if isinstance(c.value, tuple):
        holds: Mask = np.logical_or.reduce([np.asarray(column == value, bool) for value in c.value])
        return holds
    return np.asarray(ORDERS[c.op](column, c.value), bool)


def compare_id(c: Comparison, words: list[NDArray[Any]]) -> Mask:
    """Ids are words of 64 bits, most significant first; one of zeros is none."""
    is_there: Mask = np.logical_or.reduce([word != 0 for word in words])
    if c.value is None:
        return is_there if c.op == "!=" else ~is_there
    values = c.value if isinstance(c.value, tuple) else (c.value,)
    if len(values) > _MANY_IDS:
        return is_there & _are_among([str(value) for value in values], words)
    equal: Mask = np.logical_or.reduce([_begins(str(value), words, whole=c.op != "^=") for value in values])
    return is_there & (~equal if c.op == "!=" else equal)


def _are_among(ids: list[str], words: list[NDArray[Any]]) -> Mask:
    """Which ids are among many: first by their last words, and then those few one by one."""
    whole = {value for value in ids if len(value) == _WORD_DIGITS * len(words)}
    last = np.array([int(value[-_WORD_DIGITS:], 16) for value in whole], np.uint64)
    equal: Mask = np.isin(words[-1], last)
    for row in np.flatnonzero(equal):
        equal[row] = "".join(f"{int(word[row]):016x}" for word in words) in whole
    return equal


def _begins(digits: str, words: list[NDArray[Any]], *, whole: bool) -> Mask:
    """Which ids are, or begin with, hexadecimal digits."""
    n_digits = _WORD_DIGITS * len(words)
    if len(digits) > n_digits or (whole and len(digits) < n_digits):
        return np.zeros(len(words[0]), bool)
    equal = np.ones(len(words[0]), bool)
    for i, word in enumerate(words):
        some = digits[i * _WORD_DIGITS : (i + 1) * _WORD_DIGITS]
        if some:
            equal &= word >> np.uint64(4 * (_WORD_DIGITS - len(some))) == np.uint64(int(some, 16))
    return equal
