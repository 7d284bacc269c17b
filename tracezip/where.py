"""Which spans: one small expression language, close to the span selectors of TraceQL.

    service = "checkout" && status = error && duration > 200ms
    name =~ "GET /.*" && (span.http.response.status_code >= 500 || resource.k8s.node.name ^= "eu-")

A comparison is a field, an operator and a value. Comparisons are joined by `&&` and `||` (`&&` binds stronger), turned
around by `!`, and grouped by parentheses; braces around the whole are allowed, as in TraceQL.

| field | is | values |
|---|---|---|
| `name`, `statusMessage` | text of the span, "" where there is none | `"GET /"` |
| `service` | `service.name` of its resource, "" where there is none | `"checkout"` |
| `kind` | what it does | `server`, `client`, `internal`, `producer`, `consumer`, `unspecified` |
| `status` | how it ended | `error`, `ok`, `unset` |
| `duration` | end - start, negative if the clocks say so | `200ms`, `1.5s`, `1h30m`, or nanoseconds |
| `start`, `end` | when | `2026-11-24T12:00:00Z`, `2026-11-24` (UTC if no zone is given), or nanoseconds since 1970 |
| `trace_id`, `span_id`, `parent_id` | hexadecimal; nil if absent or all zeros | `"4bf92f3577b34da6a3ce929d0e0e4736"` |
| `span.KEY` | attribute of the span | `"text"`, `404`, `2.5`, `true`, `false`, `nil` |
| `resource.KEY` | attribute of its resource | likewise |
| `.KEY` | attribute of the span, or else of its resource | likewise |

| operator | holds if |
|---|---|
| `=` `!=` `<` `<=` `>` `>=` | as everywhere; texts are compared by code points |
| `=~` `!~` | the whole text matches a regular expression (Python's), or does not |
| `^=` | the text, or the id, begins so |
| `in (a, b, …)` | it is one of these |
| `= nil` `!= nil` | the attribute, or the id, is absent, or is there |

A comparison with a value holds only where the field is there and its value is of that kind: text, number, or boolean.
So `span.x != 1` does not hold for a span without `x`, and `!(span.x = 1)` does. Keys with special characters are
quoted: `span."my key"`. Spellings like `span:duration` and `trace:id` are understood too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from tracezip.errors import InputError
from tracezip.expression import (
    EITHER,
    EVERYTHING,
    KINDS,
    OPERATORS,
    RESOURCE,
    SPAN,
    STATUSES,
    And,
    Comparison,
    Expression,
    Field,
    Not,
    Or,
    Scalar,
    Value,
)

_T = TypeVar("_T")

_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`"""
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<field>(?:span|resource)?\.(?:{_QUOTED}))
      | (?P<text>{_QUOTED})
      | (?P<sign>&&|\|\||[!=<>]=|[=!]~|\^=|[=<>!(){{}},])
      | (?P<word>[^\s"'`=!<>~^&|(){{}},]+)
      | (?P<end>$)
      | (?P<other>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}

_ALIASES = {
    "span:name": "name",
    "span:status": "status",
    "span:statusMessage": "statusMessage",
    "span:kind": "kind",
    "span:duration": "duration",
    "span:id": "span_id",
    "span:parentID": "parent_id",
    "trace:id": "trace_id",
}
"""As TraceQL has it."""

_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_NS["d"] = 24 * _NS["h"]
_DURATION_PART = re.compile(r"(\d+)(?:\.(\d+))?(ns|us|µs|μs|ms|s|m|h|d)")
_WHOLE = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?")
_MAX_DEPTH = 100
"""Parentheses and `!` within each other."""


class _Token(NamedTuple):
    kind: str
    """field, text, sign, word, end, other"""
    text: str
    at: int
    """Where it begins in the expression, from 0."""


def parse(text: str) -> Expression:
    """The expression that a text says; a text of nothing holds for every span. Raises InputError with the column."""
    return _Parser(text).whole()


def as_expression(where: str | Expression | None) -> Expression:
    """What a caller gives: text, an expression, or None for every span. Raises InputError."""
    if where is None or isinstance(where, Expression):
        return EVERYTHING if where is None else where
    if not isinstance(where, str):
        raise InputError(f"where is text or an Expression, not a {type(where).__name__}", code="where")
    return parse(where)


_MAX_WORD = 256
"""Python refuses to read numbers of thousands of digits."""


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *signs: str) -> bool:
        """Passes over the next token if it is one of these signs or words."""
        found = self._next.kind in ("sign", "word") and self._next.text in signs
        self._at += found
        return found

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise _unexpected(self._next, sign)

    def whole(self) -> Expression:
        is_braced = self._take("{")
        is_empty = self._next.kind == "end" or (is_braced and self._next.text == "}")
        expression = EVERYTHING if is_empty else self._any()
        if is_braced:
            self._expect("}")
        if self._next.kind != "end":
            raise _unexpected(self._next, "&&, || or the end")
        return expression

    def _any(self) -> Expression:
        terms = [self._all()]
        while self._take("||"):
            terms.append(self._all())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _all(self) -> Expression:
        terms = [self._term()]
        while self._take("&&"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _term(self) -> Expression:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _at(self._next, f"nested more than {_MAX_DEPTH} deep")
        if self._take("!"):
            term: Expression = Not(self._term())
        elif self._take("("):
            term = self._any()
            self._expect(")")
        else:
            term = self._comparison()
        self._depth -= 1
        return term

    def _comparison(self) -> Expression:
        token = self._next
        if token.kind not in ("word", "field"):
            raise _unexpected(token, "a field such as name or span.KEY")
        self._at += 1
        field = _placed(token, lambda: _field(token))
        if self._next.text not in OPERATORS:
            raise _unexpected(self._next, "an operator: " + " ".join(OPERATORS))
        op, self._at = self._next.text, self._at + 1
        value: Value = self._values(field) if op == "in" else self._value(field)
        return _placed(token, lambda: Comparison(field, op, value))

    def _values(self, field: Field) -> tuple[Scalar, ...]:
        self._expect("(")
        values = [self._value(field)]
        while self._take(","):
            values.append(self._value(field))
        self._expect(")")
        return tuple(values)

    def _value(self, field: Field) -> Scalar:
        token = self._next
        if token.kind not in ("word", "text"):
            raise _unexpected(token, "a value")
        self._at += 1
        return _placed(token, lambda: _read_value(field, token))


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, at)
        assert match is not None
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        if kind == "other":
            is_open = match[kind] in "\"'`"
            raise _at(tokens[-1], "the quotation is not ended" if is_open else f"{match[kind]!r} means nothing here")
        at = match.end()
    return tokens


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)


def _field(token: _Token) -> Field:
    scope, dot, key = token.text.partition(".")
    if not dot or scope not in (SPAN, RESOURCE, ""):
        return Field("", _ALIASES.get(token.text, token.text))
    if token.kind == "field":
        key = _unquoted(key)
    elif not key:
        raise InputError("where: the name of an attribute is missing")
    return Field(scope or EITHER, key)


# --- values -----------------------------------------------------------------------------------------------------------


def _read_value(field: Field, token: _Token) -> Scalar:
    """A token as a value of this field."""
    if token.kind != "text" and len(token.text) > _MAX_WORD:
        raise InputError(f"a number or word of more than {_MAX_WORD} characters")
    text = _unquoted(token.text) if token.kind == "text" else token.text
    if token.kind == "word" and text == "nil":
        return None
    if field.kind == "id":
        return _id(text)
    if field.key in _OF_INTRINSIC and not field.scope:
        return _OF_INTRINSIC[field.key](text)
    return text if token.kind == "text" else _plain(text)


def _plain(word: str) -> Scalar:
    """A boolean, a number, or a duration as the number of its nanoseconds."""
    if word in ("true", "false"):
        return word == "true"
    if _WHOLE.fullmatch(word):
        return int(word)
    duration = _duration_ns(word)
    if duration is not None:
        return duration
    if not _FLOAT.fullmatch(word):
        raise InputError(f'where: {word} is no number; text is quoted: "{word}"')
    return float(word)


def _id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]+", text):
        raise InputError(f"where: ids are hexadecimal, not {text!r}")
    return text.lower()


def _named(what: str, names: tuple[str, ...]) -> Callable[[str], int]:
    def read(text: str) -> int:
        if _WHOLE.fullmatch(text):
            return int(text)
        if text.lower() not in names:
            raise InputError(f"where: there is no {what} {text}; there are {', '.join(names)}")
        return names.index(text.lower())

    return read


def _duration(text: str) -> int:
    duration = int(text) if _WHOLE.fullmatch(text) else _duration_ns(text)
    if duration is None:
        raise InputError(f"where: {text!r} is no duration; they look like 200ms, 1.5s, 1h30m")
    return duration


def _duration_ns(text: str) -> int | None:
    """Nanoseconds; None if it is no duration with a unit."""
    total, at = 0, 1 if text[:1] in ("-", "+") else 0
    if at == len(text):
        return None
    while at < len(text):
        part = _DURATION_PART.match(text, at)
        if part is None:
            return None
        whole, fraction, unit = part[1], part[2] or "", _NS[part[3]]
        total += int(whole + fraction) * unit // 10 ** len(fraction)
        at = part.end()
    return -total if text[0] == "-" else total


def time_ns(text: str) -> int:
    """A time in ISO 8601, UTC if it names no zone, or a whole number of nanoseconds since 1970. Raises InputError."""
    if _WHOLE.fullmatch(text):
        return int(text)
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(match[1] + (match[3] or ""))
    except ValueError:
        raise InputError(f"where: {text!r} is no time; they look like 2026-11-24T12:00:00Z") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86400 + since.seconds) * 10**9 + int((match[2] or "").ljust(9, "0"))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_OF_INTRINSIC: dict[str, Callable[[str], int]] = {
    "kind": _named("kind", KINDS),
    "status": _named("status", STATUSES),
    "duration": _duration,
    "start": time_ns,
    "end": time_ns,
}
"""How a value of an intrinsic is read, if not as any value."""


# --- errors -----------------------------------------------------------------------------------------------------------


def _placed(token: _Token, make: Callable[[], _T]) -> _T:
    """What `make` makes; its error is said to be at the token."""
    try:
        return make()
    except InputError as error:
        raise _at(token, str(error).removeprefix("where: ")) from None


def _unexpected(token: _Token, wanted: str) -> InputError:
    return _at(token, f"expected {wanted}, but {'it ends' if token.kind == 'end' else f'found {token.text}'}")


def _at(token: _Token, what: str) -> InputError:
    return InputError(f"where, column {token.at + 1}: {what}", code="where")
