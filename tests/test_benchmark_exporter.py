"""The benchmarks of the exporter measure what they say."""

from __future__ import annotations

import pytest

pytest.importorskip("flask", reason="the extra bench is not installed")
pytest.importorskip("opentelemetry.instrumentation.sqlite3", reason="the extra bench is not installed")

from benchmarks import exporter_cpu, request_latency, sink, web_app
from tests.test_convert_sdk_native import left_over


@pytest.fixture(scope="module")
def spans():
    return web_app.spans_of(120)


def test_spans_of_the_web_application_are_written_natively_and_as_in_python(spans):
    assert not left_over(spans)


def test_the_web_application_has_a_span_for_each_request_and_statement(spans):
    names = [span.name for span in spans]
    assert sum(name.startswith(("GET", "POST")) for name in names) == 120
    assert {"SELECT", "UPDATE", "INSERT"} < set(names)


def test_cost_is_measured_after_both_exporters_sent_the_same_spans(spans):
    costs = exporter_cpu.measure("app", exporter_cpu.in_batches(spans), turns=1)
    assert [cost.way for cost in costs] == list(exporter_cpu.ways())
    assert all(cost.n_spans == len(spans) for cost in costs)
    stock, ours, encoded = costs
    assert ours.sent_bytes < stock.sent_bytes < encoded.sent_bytes


def test_spans_of_a_file_are_what_it_holds(monkeypatch):
    monkeypatch.delenv("TRACEZIP_DATA", raising=False)
    batches = exporter_cpu.batches_of_file("astronomy")
    assert not left_over([span for batch in batches for span in batch])


@pytest.mark.parametrize("way", request_latency.WAYS)
def test_every_exporter_delivers_to_the_sink_while_requests_are_timed(way, tmp_path, monkeypatch):
    monkeypatch.setattr(request_latency, "N_WARM_UP", 10)
    with sink.running() as url:
        times = request_latency.times_of(way, url, 20, str(tmp_path))
    assert len(times) == 20
    latency = request_latency.Latency.of(way, times)
    assert 0 < latency.p50_us <= latency.p90_us <= latency.p99_us <= latency.p999_us
