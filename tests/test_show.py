"""Showing traces: each span once whatever it says of others, in linear time, and nothing of it is obeyed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.data import SAMPLES, read_file
from tracezip.convert.spans import Resource, Scope, Span, read_spans, traces_of
from tracezip.show import Style, Trace, listing, tree, waterfall
from tracezip.show.critical import critical_path
from tracezip.show.model import NO_PARENT, Flaw
from tracezip.show.rows import FOLD_FROM, rows
from tracezip.show.text import cut, duration_text, escape, time_text, width_of

MS = 1_000_000
START = 1_700_000_000_000_000_000
PLAIN = Style()


def span(number: int, parent: int = 0, start: float = 0, end: float = 1, name: str = "op", **more: Any) -> Span:
    """A span with the id `number`; times in ms from `START`."""
    values: dict[str, Any] = {
        "trace_id": b"\x0a" * 16,
        "span_id": number.to_bytes(8, "big"),
        "parent_span_id": parent.to_bytes(8, "big") if parent else b"",
        "name": name,
        "kind": 3,
        "start_ns": START + int(start * MS),
        "end_ns": START + int(end * MS),
        "attributes": {},
        "events": (),
        "links": (),
        "status_code": 0,
        "status_message": "",
        "trace_state": "",
        "flags": 0,
        "dropped_attributes_count": 0,
        "dropped_events_count": 0,
        "dropped_links_count": 0,
        "resource": Resource({"service.name": more.pop("service", "shop")}),
        "scope": Scope(),
    }
    return Span(**{**values, **more})


def tree_of(*spans: Span, style: Style = PLAIN, **options: Any) -> list[str]:
    """The lines below the head."""
    lines = list(tree(Trace(spans), style, **options))
    return [line for line in lines[1:] if not re.match(r"  \d", line)]


# --- the model --------------------------------------------------------------------------------------------------------


def test_children_hang_below_their_parents_in_the_order_of_their_starts() -> None:
    trace = Trace([span(3, 1, 5, 6), span(2, 1, 1, 2), span(1, 0, 0, 9), span(4, 3, 5, 6)])
    assert trace.roots == [2]
    assert trace.children == [[3], [], [1, 0], []]
    assert not any(trace.flaws)


def test_a_span_whose_parent_is_missing_is_a_root_and_said_to_be_one() -> None:
    trace = Trace([span(1), span(2, 77)])
    assert trace.roots == [0, 1]
    assert trace.flaws == [Flaw(0), Flaw.MISSING_PARENT]
    assert trace.main_root == 0


def test_a_parent_of_zeros_is_no_parent() -> None:
    assert Trace([span(1, parent_span_id=bytes(8))]).flaws == [Flaw(0)]


def test_cycles_are_cut_where_they_start_first() -> None:
    trace = Trace([span(1, 3, 5), span(2, 1, 3), span(3, 2, 4), span(4, 4, 0), span(5, 2, 9)])
    assert trace.roots == [3, 1]
    assert [bool(flaws & Flaw.CYCLE) for flaws in trace.flaws] == [False, True, False, True, False]
    assert trace.children[1] == [2, 4]


def test_a_span_with_the_id_of_an_earlier_one_is_shown_and_has_no_children() -> None:
    trace = Trace([span(1), span(2, 1), span(2, 1), span(3, 2)])
    assert trace.flaws[2] == Flaw.DUPLICATE_ID
    assert trace.children == [[1, 2], [3], [], []]


def test_odd_times_are_said_and_shown_without_length() -> None:
    trace = Trace([span(1, 0, 5, 9), span(2, 1, 4, 3), span(3, 1, 6, end_ns=0), span(4, 1, start_ns=0, end_ns=0)])
    assert trace.flaws[1:] == [Flaw.EARLY | Flaw.NEGATIVE, Flaw.UNFINISHED, Flaw.EARLY | Flaw.UNFINISHED]
    assert trace.max_skew_ns == 1 * MS
    assert trace.starts[3] == trace.start_ns == START + 4 * MS
    assert trace.duration_ns == 5 * MS


ANY_SPANS = st.lists(
    st.builds(
        span,
        st.integers(0, 12),
        st.integers(0, 12),
        st.integers(0, 9),
        st.integers(0, 9),
        st.sampled_from(["a", "b"]),
        status_code=st.sampled_from([0, 2]),
    ),
    min_size=1,
    max_size=30,
)


@given(ANY_SPANS)
def test_every_span_is_in_one_row_whatever_spans_say_of_each_other(spans: list[Span]) -> None:
    trace = Trace(spans)
    shown = [member for row in rows(trace, fold=False) for member in row.members]
    assert sorted(shown) == list(range(len(spans)))
    for i, parent in enumerate(trace.parents):
        assert (i in trace.roots) if parent == NO_PARENT else (i in trace.children[parent])


@given(ANY_SPANS)
def test_the_critical_path_is_at_one_place_at_every_moment(spans: list[Span]) -> None:
    trace = Trace(spans)
    parts = sorted(part for own in critical_path(trace).values() for part in own)
    assert all(first[1] <= second[0] for first, second in pairwise(parts))
    for i, own in critical_path(trace).items():
        assert all(trace.starts[i] <= start < end <= trace.ends[i] for start, end in own)
    for root in trace.roots if len(trace.roots) == 1 else []:
        assert sum(end - start for start, end in parts) == trace.ends[root] - trace.starts[root] or any(trace.flaws)


def test_the_critical_path_goes_through_what_was_waited_for() -> None:
    trace = Trace([span(1, 0, 0, 10), span(2, 1, 1, 6), span(3, 1, 2, 9), span(4, 1, 0, 2), span(5, 3, 8, 12)])
    path = {
        i: [((a - START) / MS, (b - START) / MS) for a, b in own] for i, own in sorted(critical_path(trace).items())
    }
    assert path == {0: [(9, 10)], 2: [(2, 8)], 3: [(0, 2)], 4: [(8, 9)]}


# --- rows -------------------------------------------------------------------------------------------------------------


def test_repeated_siblings_are_one_row_and_failed_ones_another() -> None:
    durations = [*range(1, 1200), *[2] * 41]
    selects = [span(n + 2, 1, n, n + d, "SELECT", service="db") for n, d in enumerate(durations)]
    failed = [span(n + 5000, 1, n, n + 1, "SELECT", service="db", status_code=2) for n in range(FOLD_FROM)]
    lines = tree_of(span(1, 0, 0, 9999), *selects, *failed)
    assert lines[1].startswith("├─ × 1,240 db SELECT  p50 579 ms, p99 1.18 s, max 1.19 s, sum 11 min 59 s")
    assert lines[2].startswith("└─ × 5 ✗ db SELECT  p50 1 ms")
    assert len(lines) == 3
    assert len(tree_of(span(1), *selects, fold=False)) == 1241


def test_below_a_folded_row_stands_the_slowest_with_what_is_below_it() -> None:
    calls = [span(n, 1, n, n + (3 if n == 7 else 1), "call") for n in range(2, 12)]
    lines = tree_of(span(1, 0, 0, 99), *calls, *(span(n + 50, n, n, n + 1, f"inner {n}") for n in range(2, 12)))
    assert [line.split("  ")[0] for line in lines[1:2]] == ["└─ × 10 shop call"]
    assert "shop call  3 ms" in lines[2]
    assert "inner 7" in lines[3]
    assert len(lines) == 4


def test_fewer_siblings_are_not_folded() -> None:
    assert len(tree_of(span(1), *(span(n + 2, 1) for n in range(FOLD_FROM - 1)))) == FOLD_FROM


# --- text -------------------------------------------------------------------------------------------------------------


def test_a_tree_shows_who_called_whom_how_long_it_took_and_what_failed() -> None:
    lines = list(
        tree(
            Trace(
                [
                    span(1, 0, 0, 10, "GET /cart", service="web"),
                    span(2, 1, 1, 4, "load", service="cart"),
                    span(3, 2, 1, 2, "HGET", service="redis"),
                    span(4, 1, 5, 9, "pay", service="bank", status_code=2, status_message="card declined"),
                ]
            ),
            PLAIN,
        )
    )
    assert lines == [
        f"trace {'0a' * 16} · 10 ms · 4 spans · 1 error · 4 services · 2023-11-14 22:13:20.000 UTC",
        "web GET /cart  10 ms  ◆ 30%",
        "├─ cart load  3 ms  ◆ 20%",
        "│  └─ redis HGET  1 ms  ◆ 10%",
        "└─ ✗ bank pay  4 ms  ◆ 40%  card declined",
    ]


def test_a_waterfall_has_its_bars_where_the_time_is() -> None:
    lines = list(waterfall(Trace([span(1, 0, 0, 10), span(2, 1, 5, 10), span(3, 1, 0, 0)]), Style(width=50)))
    assert lines[1:] == [
        "                     |0            |5 ms",
        "shop op        10 ms ███████████████▒▒▒▒▒▒▒▒▒▒▒▒▒▒",
        "├─ shop op         0 ▏",
        "└─ shop op      5 ms               ███████████████",
    ]


def test_details_are_below_each_span_of_a_tree() -> None:
    lines = list(tree(Trace([span(1, attributes={"http.route": "/cart", "n": 3})]), PLAIN, details=True))
    assert [line.strip() for line in lines[2:]] == ["0000000000000001 client", "http.route = /cart", "n = 3"]


NASTY = "\x1b[2J\x07\r\nb\u202ed\u2028\x9bm\ud800"


@pytest.mark.parametrize("draw", [tree, waterfall])
def test_nothing_of_the_data_reaches_the_terminal_as_a_command(draw: Any) -> None:
    nasty = span(
        1, name=NASTY, service=NASTY, status_code=2, status_message=NASTY, attributes={NASTY: NASTY}, scope=Scope(NASTY)
    )
    options = {"details": True} if draw is tree else {}
    trace = Trace([nasty])
    lines = [*draw(trace, PLAIN, **options), listing.listing(trace, PLAIN)]
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[2J\\x07\\x0d\\x0ab\\u202ed\\u2028\\x9bm\\ud800" in lines[1] or draw is waterfall


@given(st.lists(st.text(max_size=40), min_size=1, max_size=12), st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(names: list[str], width: int) -> None:
    trace = Trace([span(n + 1, n, name=name, service=name) for n, name in enumerate(names)])
    for line in (*tree(trace, Style(width)), *waterfall(trace, Style(width))):
        assert width_of(line) <= width
        assert line.isprintable()


def test_without_unicode_everything_of_our_own_is_ascii() -> None:
    spans = [span(1, 0, 0, 9), *(span(n, 1, n, n + 1e-3, "x" * 90, status_code=2) for n in range(2, 9))]
    trace = Trace([*spans, span(20, 1), span(21, 20, 0, 0), span(22, 77, 20, 21)])
    for draw in (tree, waterfall):
        assert all(line.isascii() for line in draw(trace, Style(60, unicode=False)))


def test_colours_are_there_when_asked_for_and_only_then() -> None:
    trace = Trace([span(1)])
    assert "\x1b[" in "".join(tree(trace, Style(colour=True)))
    assert "\x1b" not in "".join([*tree(trace, PLAIN), *waterfall(trace, PLAIN)])


@pytest.mark.parametrize("draw", [tree, waterfall])
@pytest.mark.parametrize("shape", ["wide", "deep", "wide with children", "different names"])
def test_a_trace_of_100_000_spans_is_drawn_in_linear_time(draw: Any, shape: str) -> None:
    def seconds(n: int) -> float:
        trace_spans = list(shaped(shape, n))
        start = time.process_time()
        for line in draw(Trace(trace_spans), Style(120)):
            assert len(line) <= 120
        return time.process_time() - start

    few, many = seconds(10_000), seconds(100_000)
    assert many < 40 * few + 1
    assert many < 30


def shaped(shape: str, n: int) -> Iterable[Span]:
    yield span(1, 0, 0, n)
    for i in range(2, n + 1):
        if shape == "deep":
            yield span(i, i - 1, i, n)
        elif shape == "wide with children":
            yield span(i, 1 if i % 2 else i - 1 if i > 2 else 1, i, i + 1)
        else:
            yield span(i, 1, i, i + 1, "op" if shape == "wide" else f"op {i}")


def test_every_trace_of_the_sample_can_be_shown() -> None:
    spans = [one for message in read_file(SAMPLES / "astronomy.otlp").messages for one in read_spans(message)]
    for of in traces_of(spans).values():
        trace = Trace(of)
        n_shown = sum(len(row.members) for row in rows(trace, fold=False))
        assert n_shown == len(of)
        for draw in (tree, waterfall):
            assert len(list(draw(trace, Style(100)))) >= 2
        assert listing.facts(trace)["spans"] == len(of)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0"),
        (999, "999 ns"),
        (1234, "1.23 µs"),
        (12_345, "12.3 µs"),
        (1_999_999, "1.99 ms"),
        (250 * MS, "250 ms"),
        (59_999 * MS, "59.9 s"),
        (61_000 * MS, "1 min 01 s"),
        (3_720_000 * MS, "1 h 02 min"),
        (-5 * MS, "-5 ms"),
    ],
)
def test_durations_have_three_digits(ns: int, text: str) -> None:
    assert duration_text(ns) == text


def test_times_are_in_utc_or_what_they_are() -> None:
    assert time_text(START + 5 * MS) == "2023-11-14 22:13:20.005 UTC"
    assert time_text(0) == "no time"
    assert time_text(2**64 - 1) == "2554-07-21 23:34:33.709 UTC"


def test_text_is_cut_by_columns() -> None:
    assert cut("日本語", 4) == "日…"
    assert width_of("日本語e\u0301") == 7
    assert escape("plain é") == "plain é"
