"""The exporter's metrics: the names of OpenTelemetry's conventions, and its own as Prometheus shows them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import tracezip
from tests.test_exporter import made_spans
from tests.trace_servers import gateway

OWN = {
    "tracezip_spans_total",
    "tracezip_bytes_in_total",
    "tracezip_bytes_out_total",
    "tracezip_dropped_spans_total",
    "tracezip_compression_ratio",
    "tracezip_compression_duration_seconds",
    "tracezip_queue_messages",
    "tracezip_queue_bytes",
}


def points_of(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_the_metrics_of_every_exporter_are_there(tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    with gateway() as server:
        exporter = tracezip.TracezipExporter(
            server.url, spool_dir=tmp_path, meter_provider=MeterProvider([reader], shutdown_on_exit=False)
        )
        exporter.export(made_spans(5))
        exporter.export([*made_spans(2), object()])
        exporter.shutdown()
    points = points_of(reader)
    exported = {point.attributes.get("error.type"): point.value for point in points["otel.sdk.exporter.span.exported"]}
    assert exported == {None: 7, "unencodable": 1}
    assert [point.value for point in points["otel.sdk.exporter.span.inflight"]] == [0]
    durations = points["otel.sdk.exporter.operation.duration"]
    assert sum(point.count for point in durations) == 2
    for point in durations:
        assert point.attributes["otel.component.type"] == "tracezip_span_exporter"
        assert point.attributes["otel.component.name"].startswith("tracezip_span_exporter/")
        assert (point.attributes["server.address"], point.attributes["server.port"]) == ("127.0.0.1", server.port)


def test_the_metrics_of_tracezip_agree_with_its_statistics(tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    exporter = tracezip.TracezipExporter(path=tmp_path / "t.tzip", meter_provider=provider)
    exporter.export(made_spans(50))
    exporter.shutdown()
    exporter.export(made_spans(1))
    points, counts = points_of(reader), exporter.get_tracezip_stats()
    for name in ("bytes_in", "bytes_out"):
        assert [point.value for point in points[f"tracezip.{name}"]] == [counts[name]]
    assert [point.value for point in points["tracezip.compression.ratio"]] == [counts["compression_ratio"]]
    (dropped,) = points["tracezip.dropped_spans"]
    assert (dropped.value, dropped.attributes["reason"]) == (1, "shutdown")
    (duration,) = points["tracezip.compression.duration"]
    assert (duration.count, duration.sum) == (counts["compress_calls"], counts["compress_seconds"])


@pytest.mark.skipif("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED" in os.environ, reason="the environment says otherwise")
def test_the_metrics_of_every_exporter_are_off_as_the_sdk_has_them(tmp_path: Path, monkeypatch: Any) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr("tracezip.otel.metrics.get_meter_provider", lambda: provider)

    def names_after_an_export(path: Path) -> set[str]:
        exporter = tracezip.TracezipExporter(path=path)
        exporter.export(made_spans(1))
        exporter.shutdown()
        return set(points_of(reader))

    names = names_after_an_export(tmp_path / "a.tzip")
    assert "tracezip.spans" in names
    assert "otel.sdk.exporter.span.exported" not in names
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    assert "otel.sdk.exporter.span.exported" in names_after_an_export(tmp_path / "b.tzip")


def test_prometheus_shows_the_names_that_dashboards_expect(tmp_path: Path) -> None:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import REGISTRY, generate_latest

    with gateway() as server:
        reader = PrometheusMetricReader()
        provider = MeterProvider([reader], shutdown_on_exit=False)
        exporter = tracezip.TracezipExporter(server.url, spool_dir=tmp_path, meter_provider=provider)
        exporter.export(made_spans(5))
        exporter.shutdown()
        exporter.export(made_spans(1))
        text = generate_latest(REGISTRY).decode()
        provider.shutdown()
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE tracezip_")}
    assert shown == OWN
