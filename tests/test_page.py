"""`tracezip view`: one page that needs nothing else, in which no text of the data does anything, in a real browser."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tracezip
from benchmarks.data import SAMPLES, read_file
from tests.browser import Page, open_page
from tests.test_show import START, span
from tracezip.cli.main import cli
from tracezip.convert.messages import encode_plain_spans
from tracezip.convert.spans import Event, Resource, Span, read_spans, traces_of
from tracezip.show.page import page

EVIL = (
    "</script><script>document.title='broken'</script><!--<script>"
    "<img src=x onerror=\"document.title='broken'\">&amp;\u2028'`${1}"
)


def trace(number: int, *spans: Span) -> list[Span]:
    return [Span(**{**fields_of(one), "trace_id": number.to_bytes(16, "big")}) for one in spans]


def fields_of(one: Span) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Span.__slots__}


def data_of(text: str) -> Any:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def shop() -> list[list[Span]]:
    """Three traces: a call that failed, a loop of queries, and one that begins before its parent."""
    return [
        trace(
            1,
            span(1, 0, 0, 10, "GET /cart", service="web", attributes={"http.route": "/cart", "n": 3}),
            span(2, 1, 2, 8, "charge", service="bank", status_code=2, status_message="card declined"),
        ),
        trace(
            2,
            span(1, 0, 100, 400, "report", service="web"),
            *(span(n, 1, 100 + n, 101 + n, "SELECT", service="db") for n in range(2, 42)),
        ),
        trace(3, span(1, 0, 500, 501, "late", service="web"), span(2, 1, 499, 500, "early", service="bank")),
    ]


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_page_names_no_other_file_and_no_address() -> None:
    text = page(shop(), "a.tzip")
    assert set(re.findall(r"https?://[^\s\"'`)]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, never fetched
    assert not re.search(r"\b(src|href)\s*=|@import|\burl\((?!#)|fetch\(|XMLHttpRequest|WebSocket|import\(", text)
    assert "default-src 'none'" in text


def test_no_text_of_the_data_can_end_the_element_it_is_in() -> None:
    evil = span(
        1, 0, 0, 1, EVIL, service=EVIL, attributes={EVIL: EVIL}, status_code=2, status_message=EVIL,
        events=(Event(START, EVIL, {EVIL: EVIL}, 0),), resource=Resource({"service.name": EVIL, EVIL: EVIL}),
    )  # fmt: skip
    text = page([[evil]], EVIL, lambda: EVIL)
    assert text.count("<script") == text.count("</script") == page([], "x").count("<script")
    assert EVIL in data_of(text)["texts"]
    assert data_of(text)["title"] == EVIL


def test_the_data_are_what_the_spans_say() -> None:
    spans = [one for message in read_file(SAMPLES / "astronomy.otlp").messages for one in read_spans(message)]
    data = data_of(page(traces_of(spans).values(), "x"))
    columns, texts = data["spans"], data["texts"]
    by_id = {one.span_id.hex(): one for one in spans}
    assert sum(count for *_, count, _ in data["traces"]) == len(spans) == len(columns["id"])
    for trace_id, start_ms, _, first, count, root in data["traces"]:
        assert first <= root < first + count
        for i in range(first, first + count):
            one = by_id[columns["id"][i]]
            assert one.trace_id.hex() == trace_id
            assert texts[columns["name"][i]] == one.name
            assert texts[columns["service"][i]] == one.service_name
            assert columns["duration"][i] == one.duration_ns
            assert abs(start_ms * 1e6 + columns["start"][i] - one.start_ns) < 1000
            parent = columns["parent"][i]
            assert parent < 0 or columns["id"][first + parent] == one.parent_span_id.hex()
            assert len(columns["attributes"][i] or []) == 2 * len(one.attributes)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with tracezip.open("a.tzip", "wb") as writer:
        for spans in shop():
            writer.write(encode_plain_spans(spans))
    return tmp_path


def view(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["view", *arguments])
    assert result.exit_code == status, result.output
    return result


def test_the_page_is_written_beside_the_file_or_where_it_is_wanted(here: Path) -> None:
    view("a.tzip")
    text = Path("a.html").read_text(encoding="utf-8")
    assert len(data_of(text)["traces"]) == 3
    assert "exists already" in view("a.tzip", status=1).stderr
    view("-f", "a.tzip", "-o", "b.html")
    assert Path("b.html").read_text(encoding="utf-8") == text == view("a.tzip", "-o", "-").stdout


def test_filters_choose_whole_traces(here: Path) -> None:
    data = data_of(view("a.tzip", "-o", "-", "--error").stdout)
    assert [head[4] for head in data["traces"]] == [2]
    assert data["note"] == ""


def test_what_does_not_fit_is_said_on_the_page(here: Path) -> None:
    data = data_of(view("a.tzip", "-o", "-", "--max-spans", "3").stdout)
    assert [head[4] for head in data["traces"]] == [2, 41]
    assert "1 more traces are left out" in data["note"]


def test_nothing_to_show_is_an_error_and_leaves_no_file(here: Path) -> None:
    assert "no trace to show" in view("a.tzip", "--service", "nobody", status=1).stderr
    assert not Path("a.html").exists()
    assert "missing.tzip" in view("missing.tzip", status=1).stderr


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_page(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(browser: Page, tmp_path: Path) -> Iterator[Page]:
    """The page of `shop`, opened from disk; at the end nothing has gone wrong and nothing else was asked for."""
    path = tmp_path / "shop.html"
    path.write_text(page(shop(), "shop.tzip"), encoding="utf-8")
    browser.errors.clear()
    browser.requests.clear()
    browser.open(path)
    yield browser
    assert browser.errors == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "about"}


def test_it_opens_from_disk_with_all_its_parts(tab: Page) -> None:
    assert tab.texts("#title") == ["shop.tzip"]
    assert tab.texts("#counts") == ["3 traces, 45 spans"]
    assert len(tab.texts("#traces .row")) == 3
    assert sum(int(text or 0) for text in tab.texts("#histogram .bucket text")) == 3
    assert sorted(text[:3] for text in tab.texts("#map .node text:not(.faint)")) == ["ban", "db", "web"]
    assert len(tab.texts("#map .edge")) == 2
    assert len(tab.texts("#operations tbody tr")) == 6


def test_a_trace_is_a_waterfall_with_repeated_siblings_folded(tab: Page) -> None:
    tab.click("#traces .row:nth-child(2)")
    assert len(tab.texts("#waterfall .row")) == 2
    assert "× 40" in tab.texts("#waterfall .row")[1]
    tab.click("#waterfall .row:nth-child(2)")
    assert tab.do("waterfall.shown.length") == 42
    bars = tab.do("[...document.querySelectorAll('#waterfall .bar .span')].map((e) => e.getBoundingClientRect().width)")
    assert bars[0] > 10 * bars[2] > 0


def test_a_span_tells_its_details(tab: Page) -> None:
    tab.click("#traces .row:nth-child(1)")
    tab.click("#waterfall .row:nth-child(2)")
    assert tab.texts("#details .message") == ["card declined"]
    tab.click("#waterfall .row:nth-child(1)")
    assert "http.route" in tab.texts("#details dt")
    tab.click("#details .close")
    assert tab.do("byId('details').hidden")


def test_search_and_filters_choose_traces(tab: Page) -> None:
    def found(text: str) -> str:
        tab.do("byId('search').value = ''; byId('search').focus()")
        tab.type(text)
        return tab.texts("#found")[0]

    assert found("select") == "1 of 3 traces"
    assert found("http.route=/cart") == "1 of 3 traces"
    assert found("n=4") == "0 of 3 traces"
    assert found("declined bank") == "1 of 3 traces"
    assert found("0" * 31 + "3") == "1 of 3 traces"
    assert found("service.name=web") == "3 traces"
    tab.click("#errors")
    assert tab.texts("#found") == ["0 of 3 traces"]
    found("bank")
    assert tab.texts("#found") == ["1 of 3 traces"]


def test_a_bar_of_the_histogram_chooses_its_traces(tab: Page) -> None:
    tab.click("#histogram .bucket:first-child")
    assert tab.texts("#found") == ["1 of 3 traces"]
    tab.click("#range")
    assert tab.texts("#found") == ["3 traces"]


def test_a_service_of_the_map_chooses_its_traces(tab: Page) -> None:
    tab.click("#map .node:last-child rect")
    assert tab.do("byId('service').value") != "-1"
    assert tab.texts("#found")[0].endswith("of 3 traces")


def test_a_link_opens_its_trace(tab: Page, tmp_path: Path) -> None:
    tab.open(tmp_path / "shop.html", "#" + "0" * 31 + "3")
    assert "late" in tab.texts("#summary")[0]
    assert "1 span with a start before the parent's" in tab.texts("#summary")[0]


def test_it_is_light_or_dark_as_the_reader_is(tab: Page) -> None:
    def brightness() -> int:
        colour = tab.do("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    tab.prefer("dark")
    assert brightness() < 150
    tab.click("#theme")
    assert brightness() > 600
    tab.prefer("light")
    tab.click("#theme")
    assert brightness() < 150


def test_evil_names_are_only_text(tab: Page, tmp_path: Path) -> None:
    evil = span(1, 0, 0, 1, EVIL, service=EVIL, attributes={EVIL: EVIL}, status_code=2, status_message=EVIL)
    path = tmp_path / "evil.html"
    path.write_text(page([[evil]], EVIL, lambda: EVIL), encoding="utf-8")
    tab.open(path)
    tab.click("#waterfall .row")
    tab.click("#tab-overview")
    assert tab.do("document.title") != "broken"
    assert tab.do("document.querySelectorAll('img').length") == 0
    assert tab.texts("#note") == [EVIL.strip()]


def test_what_is_not_of_the_page_may_not_run(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "injected.html"
    path.write_text(page(shop(), "x").replace("<main>", "<main><script>document.title = 'broken'</script>"))
    browser.open(path)
    assert browser.do("document.title") == "x"
    assert any("Content Security Policy" in error for error in browser.errors)


@pytest.mark.slow
def test_10_000_spans_are_shown_and_searched_at_once(tab: Page, tmp_path: Path) -> None:
    calls = [
        trace(
            n + 10,
            span(1, 0, n, n + 9, f"root {n % 7}"),
            *(span(k, k - 1, n, n + 9 - k, f"call {k}", attributes={"n": n}) for k in range(2, 6)),
        )
        for n in range(2000)
    ]
    path = tmp_path / "many.html"
    path.write_text(page(calls, "many"), encoding="utf-8")
    began = time.monotonic()
    tab.open(path)
    assert tab.texts("#counts") == ["2,000 traces, 10,000 spans"]
    assert time.monotonic() - began < 10
    took_ms = tab.do(
        "(() => { const began = performance.now(); state.query = 'n=1234 call'; refresh();"
        "return performance.now() - began; })()"
    )
    assert tab.texts("#found") == ["1 of 2,000 traces"]
    assert took_ms < 1000


@pytest.mark.slow
def test_a_trace_of_10_000_spans_is_drawn_with_few_elements(tab: Page, tmp_path: Path) -> None:
    spans = [span(1, 0, 0, 20_000), *(span(n, 1, 2 * n, 2 * n + 1, f"call {n % 3}") for n in range(2, 10_001))]
    path = tmp_path / "wide.html"
    path.write_text(page([spans], "wide"), encoding="utf-8")
    tab.open(path)
    assert len(tab.texts("#waterfall .row")) == 4
    tab.click("#waterfall .row:nth-child(2)")
    assert tab.do("waterfall.shown.length") > 3000
    assert tab.do("document.querySelectorAll('*').length") < 5000
