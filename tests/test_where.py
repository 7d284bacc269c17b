"""The expression language of queries: what it says, and what it says is wrong."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tracezip.convert.spans import Resource, Scope, Span
from tracezip.errors import InputError
from tracezip.expression import And, Comparison, Expression, Field, Not, Or
from tracezip.where import as_expression, parse

SECOND = 10**9
NOON = 1_795_521_600 * SECOND  # 2026-11-24T12:00:00Z

SPAN = Span(
    trace_id=bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736"),
    span_id=bytes.fromhex("00f067aa0ba902b7"),
    parent_span_id=b"",
    name="GET /cart",
    kind=2,
    start_ns=NOON,
    end_ns=NOON + 250_000_000,
    attributes={
        "http.status": 404,
        "ok": True,
        "ratio": 0.5,
        "user": "ann",
        "list": (1, 2),
        "my key": "x",
        "none": None,
    },
    events=(),
    links=(),
    status_code=2,
    status_message="not found",
    trace_state="",
    flags=0,
    dropped_attributes_count=0,
    dropped_events_count=0,
    dropped_links_count=0,
    resource=Resource({"service.name": "checkout", "user": "bob", "zone": "eu-1"}),
    scope=Scope(),
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{ name = "GET /cart" }',
        "name = 'GET /cart'",
        "name = `GET /cart`",
        'service = "checkout"',
        'service in ("cart", "checkout")',
        'service ^= "check"',
        "kind = server",
        "kind in (client, SERVER)",
        "status = error",
        "status != ok",
        'statusMessage =~ "not.*"',
        "duration > 200ms && duration < 0.3s",
        "duration = 250000000",
        "duration >= 0h0m0.25s",
        "duration > -5ms",
        "span:duration > 200ms",
        "start >= 2026-11-24T12:00:00Z",
        "start >= 2026-11-24",
        'start = "2026-11-24T13:00:00+01:00"',
        "end = 2026-11-24T12:00:00.25Z",
        f"end > {NOON}",
        "trace_id = 4bf92f3577b34da6a3ce929d0e0e4736",
        'trace:id ^= "4BF9"',
        'span_id in ("00f067aa0ba902b7")',
        "parent_id = nil",
        "span_id != nil",
        "span.http.status = 404",
        "span.http.status >= 400.5",
        "span.http.status in (200, 404)",
        "span.ok = true",
        "span.ratio < 1",
        'span.user = "ann"',
        'resource.user = "bob"',
        '.user = "ann"',
        '.zone ^= "eu"',
        'span."my key" = "x"',
        'span.user !~ "an"',
        'span.user < "b"',
        "span.missing = nil",
        "span.none = nil",
        "span.list != nil",
        "!(span.missing = 1)",
        "!span.ok = false",
        "span.missing = 1 || span.ok = true && status = error",
        "(span.missing = 1 || span.ok = true) && status = error",
    ],
)
def test_holds(text: str) -> None:
    assert parse(text).matches(SPAN)


@pytest.mark.parametrize(
    "text",
    [
        'name = "GET"',
        'name =~ "GET"',
        "kind != server",
        "status = ok",
        "duration > 250ms",
        "start < 2026-11-24T12:00:00Z",
        "parent_id != nil",
        "span.missing != 1",
        'span.missing !~ "x"',
        'span.http.status != "404"',
        "span.ok != 1",
        "span.ok = 1",
        "span.none != nil",
        'span.list != "x"',
        "span.user = nil",
        "span.user in (1, true)",
        "status = error && span.missing = 1 || span.ok = false",
    ],
)
def test_does_not_hold(text: str) -> None:
    assert not parse(text).matches(SPAN)


def test_ids_of_zeros_are_none() -> None:
    span = dataclasses.replace(SPAN, parent_span_id=bytes(8))
    assert parse("parent_id = nil").matches(span)
    assert not parse("parent_id = 0000000000000000").matches(span)


def test_text_and_classes_say_the_same() -> None:
    slow = Comparison(Field("", "duration"), ">", 200_000_000)
    failed, cart = Comparison(Field("", "status"), "=", 2), Comparison(Field("span", "cart.id"), "!=", None)
    assert parse("duration > 200ms && (status = error || !span.cart.id != nil)") == And((slow, Or((failed, Not(cart)))))
    assert parse("duration > 200ms").fields == {Field("", "duration")}
    assert as_expression(slow) is slow
    assert isinstance(as_expression(None), Expression)
    assert as_expression("status = error") == failed


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("nmae = 1", 1, "no field nmae"),
        ("name", 5, "expected an operator"),
        ("name =", 7, "expected a value, but it ends"),
        ("name = GET", 8, 'text is quoted: "GET"'),
        ("name = 4", 1, "compared with a text"),
        ("name = nil", 1, "always there"),
        ('name = "GET', 8, "not ended"),
        ('status = error & name = "x"', 16, "'&' means nothing"),
        ("status = broken", 10, "unset, ok, error"),
        ("status =~ error", 1, "does not go with"),
        ("duration > 2 s", 14, "expected &&"),
        ("duration > 1.5", 12, "200ms"),
        ("start > yesterday", 9, "2026-11-24T12:00:00Z"),
        ("start > 2026-13-24", 9, "no time"),
        ("trace_id = xyz", 12, "hexadecimal"),
        ("(status = ok", 13, r"expected \)"),
        ("status = ok)", 12, "expected &&"),
        ("{status = ok", 13, "expected }"),
        ("span. = 1", 1, "missing"),
        ("status = ok &&", 15, "expected a field"),
        ('span.x =~ "("', 1, "regular expression"),
        ("span.x in 1", 11, r"expected \("),
        ("span.x in (nil)", 1, "in does not go with"),
        ("span.x < true", 1, "does not go with"),
        ("!" * 200 + "status = ok", 101, "nested"),
    ],
)
def test_an_error_names_the_column(text: str, column: int, what: str) -> None:
    with pytest.raises(InputError, match=rf"^where, column {column}: .*{what}") as error:
        parse(text)
    assert error.value.code == "where"


def test_what_is_neither_text_nor_an_expression_is_an_error() -> None:
    with pytest.raises(InputError, match="not a int"):
        as_expression(5)  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(InputError, match="list of values"):
        Comparison(Field("span", "x"), "in", 5)


def test_the_documentation_of_the_language_names_every_operator_and_field() -> None:
    import tracezip.expression
    import tracezip.where

    document = tracezip.where.__doc__ or ""
    for name in (*tracezip.expression.OPERATORS, "name", "statusMessage", "kind", "status", "duration", "parent_id"):
        assert re.search(rf"`[^`]*{re.escape(name)}", document), name
