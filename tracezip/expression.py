"""What is asked of a span: fields, comparisons, and what joins them. `tracezip.where` is the text of it."""

from __future__ import annotations

import dataclasses
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tracezip.convert.spans import SPAN_KINDS, Span
from tracezip.errors import InputError

Scalar = str | int | float | bool | None
Value = Scalar | tuple[Scalar, ...]

STATUSES = ("unset", "ok", "error")
"""By the numbers of OTLP."""
KINDS = tuple(kind.lower() for kind in SPAN_KINDS)

SPAN, RESOURCE, EITHER = "span", "resource", "either"
_SCOPES = (SPAN, RESOURCE, EITHER)


def _id(data: bytes) -> str | None:
    return data.hex() if any(data) else None


_INTRINSICS: dict[str, tuple[str, Callable[[Span], Scalar]]] = {
    "name": ("text", lambda span: span.name),
    "statusMessage": ("text", lambda span: span.status_message),
    "service": ("text", lambda span: span.service_name),
    "kind": ("number", lambda span: span.kind),
    "status": ("number", lambda span: span.status_code),
    "duration": ("number", lambda span: span.duration_ns),
    "start": ("number", lambda span: span.start_ns),
    "end": ("number", lambda span: span.end_ns),
    "trace_id": ("id", lambda span: _id(span.trace_id)),
    "span_id": ("id", lambda span: _id(span.span_id)),
    "parent_id": ("id", lambda span: _id(span.parent_span_id)),
}
"""What each is, and how a plain span says it."""

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_REGEX = ("=~", "!~")
OPERATORS = (*ORDERS, *_REGEX, "^=", "in")
_FITTING = {
    "text": OPERATORS,
    "number": (*ORDERS, "in"),
    "boolean": ("=", "!=", "in"),
    "id": ("=", "!=", "^=", "in"),
    "nil": ("=", "!="),
}
"""The operators that make sense for a kind of value."""


@dataclass(frozen=True, slots=True)
class Field:
    """What of a span is compared: an attribute of a scope, or with the scope "" an intrinsic."""

    scope: str
    key: str

    def __post_init__(self) -> None:
        if self.scope not in _SCOPES and (self.scope or self.key not in _INTRINSICS):
            raise _error(f"there is no field {self}; attributes are written span.{self.key} or resource.{self.key}")

    @property
    def kind(self) -> str | None:
        """text, number or id of an intrinsic; None of attributes, which may be anything."""
        return None if self.scope else _INTRINSICS[self.key][0]

    def of(self, span: Span) -> object:
        """Its value, None where it has none."""
        if not self.scope:
            return _INTRINSICS[self.key][1](span)
        value = None if self.scope == RESOURCE else span.attributes.get(self.key)
        return span.resource.attributes.get(self.key) if value is None and self.scope != SPAN else value

    def __str__(self) -> str:
        return self.key if not self.scope else f"{'' if self.scope == EITHER else self.scope}.{self.key}"


class Expression(ABC):
    """What can be asked of a span. The kinds of it are below; `tracezip.where.parse` makes them from text."""

    __slots__ = ()

    @abstractmethod
    def matches(self, span: Span) -> bool:
        """Whether it holds for a span. This is the meaning, to which every faster way has to agree."""

    @abstractmethod
    def comparisons(self) -> Iterator[Comparison]:
        """All comparisons in it, from left to right."""

    @property
    def fields(self) -> frozenset[Field]:
        """The fields that must be known to answer it."""
        return frozenset(comparison.field for comparison in self.comparisons())


@dataclass(frozen=True, slots=True)
class Comparison(Expression):
    """A field, an operator of `OPERATORS` and a value, a tuple of values for `in`.

    Ids are lower-case hexadecimal text, kinds and statuses their numbers in OTLP, times and durations nanoseconds.
    Raises InputError if the three do not go together.
    """

    field: Field
    op: str
    value: Value
    test: Callable[[object], bool] = dataclasses.field(init=False, repr=False, compare=False)
    """Whether it holds for a value of the field."""

    def __post_init__(self) -> None:
        if (self.op == "in") != isinstance(self.value, tuple):
            raise _error("`in`, and nothing else, takes a list of values in parentheses")
        for value in self.value if isinstance(self.value, tuple) else (self.value,):
            self._check(value)
        object.__setattr__(self, "test", _test_of(self.op, self.value))

    def _check(self, value: Scalar) -> None:
        kind, wanted = kind_of(value), self.field.kind
        if wanted == "id" and kind == "text":
            kind = "id"
        if wanted not in (None, kind) and (wanted, kind) != ("id", "nil"):
            what = "is always there" if kind == "nil" else f"is compared with a {wanted}, not with {value!r}"
            raise _error(f"{self.field} {what}")
        if self.field.kind == "number" and isinstance(value, float):
            raise _error(f"{self.field} is a whole number, or written with a unit: {value!r}")
        if self.op not in _FITTING[kind]:
            raise _error(f"{self.op} does not go with {value!r}; {' '.join(_FITTING[kind])} do")

    def matches(self, span: Span) -> bool:
        return self.test(self.field.of(span))

    def comparisons(self) -> Iterator[Comparison]:
        yield self


@dataclass(frozen=True, slots=True)
class And(Expression):
    """All of its terms hold; without terms, always."""

    terms: tuple[Expression, ...]

    def matches(self, span: Span) -> bool:
        return all(term.matches(span) for term in self.terms)

    def comparisons(self) -> Iterator[Comparison]:
        for term in self.terms:
            yield from term.comparisons()


@dataclass(frozen=True, slots=True)
class Or(Expression):
    """One of its terms holds."""

    terms: tuple[Expression, ...]

    def matches(self, span: Span) -> bool:
        return any(term.matches(span) for term in self.terms)

    def comparisons(self) -> Iterator[Comparison]:
        for term in self.terms:
            yield from term.comparisons()


@dataclass(frozen=True, slots=True)
class Not(Expression):
    term: Expression

    def matches(self, span: Span) -> bool:
        return not self.term.matches(span)

    def comparisons(self) -> Iterator[Comparison]:
        return self.term.comparisons()


EVERYTHING = And(())
"""Holds for every span."""


def kind_of(value: object) -> str:
    """What a value is to comparisons: only values of the same kind are compared."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "other"


def _test_of(op: str, value: Value) -> Callable[[object], bool]:
    if value is None:
        return (lambda found: found is None) if op == "=" else (lambda found: found is not None)
    if isinstance(value, tuple):
        values = {(kind_of(one), one) for one in value}
        return lambda found: kind_of(found) != "other" and (kind_of(found), found) in values
    kind, holds = kind_of(value), _holds(op, value)
    return lambda found: kind_of(found) == kind and holds(found)


def _holds(op: str, value: Scalar) -> Callable[[object], bool]:
    """The test of an operator, for values of the right kind."""
    if op in ORDERS:
        order = ORDERS[op]
        return lambda found: order(found, value)
    if op == "^=":
        return lambda found: str(found).startswith(str(value))
    fullmatch = _pattern(str(value)).fullmatch
    return lambda found: (fullmatch(str(found)) is not None) == (op == "=~")


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise _error(f"{text!r} is no regular expression: {error}") from None


def _error(what: str) -> InputError:
    return InputError(f"where: {what}", code="where")
