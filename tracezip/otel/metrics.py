"""What the exporter tells of itself through the OpenTelemetry metrics API; without an SDK for metrics that is nothing.

The names are chosen for Prometheus: tracezip.compression.duration in seconds is tracezip_compression_duration_seconds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from opentelemetry.metrics import MeterProvider, get_meter_provider

from tracezip import __version__
from tracezip.live.stats import SECONDS_BUCKETS, Stats

COMPONENT_TYPE = "tracezip_span_exporter"
_ERROR_TYPE = "error.type"
_numbers: Counter[str] = Counter()
"""How many exporters there were, for their names."""


@dataclass
class Operation:
    """One call of `export`."""

    n_kept: int = 0
    n_lost: int = 0
    error_type: str = "dropped"
    """Why, if anything is lost."""


class ExporterMetrics:
    """The metrics that OpenTelemetry's conventions give to every exporter, and the attributes of all."""

    def __init__(self, provider: MeterProvider | None, endpoint: str | None, *, is_enabled: bool) -> None:
        number = _numbers[COMPONENT_TYPE]
        _numbers[COMPONENT_TYPE] += 1
        self.attributes = {
            "otel.component.type": COMPONENT_TYPE,
            "otel.component.name": f"{COMPONENT_TYPE}/{number}",
        }
        self._all = {**self.attributes, **_server(endpoint)}
        self._is_enabled = is_enabled
        meter = (provider or get_meter_provider()).get_meter("tracezip", __version__)
        self._exported = meter.create_counter(
            "otel.sdk.exporter.span.exported",
            unit="{span}",
            description="The number of spans for which the export has finished, either successful or failed.",
        )
        self._inflight = meter.create_up_down_counter(
            "otel.sdk.exporter.span.inflight",
            unit="{span}",
            description="The number of spans which were passed to the exporter, but that have not been exported yet "
            "(neither successful, nor failed).",
        )
        self._duration = meter.create_histogram(
            "otel.sdk.exporter.operation.duration",
            unit="s",
            description="The duration of exporting a batch of telemetry records.",
        )

    @contextmanager
    def operation(self, n_spans: int) -> Iterator[Operation]:
        """Around one call of `export`, which says in the Operation what it lost."""
        operation = Operation()
        if not self._is_enabled:
            yield operation
            return
        started = time.perf_counter()
        self._inflight.add(n_spans, self._all)
        try:
            yield operation
        finally:
            failed = {**self._all, _ERROR_TYPE: operation.error_type}
            self._inflight.add(-n_spans, self._all)
            if n_spans > operation.n_lost:
                self._exported.add(n_spans - operation.n_lost, self._all)
            if operation.n_lost:
                self._exported.add(operation.n_lost, failed)
            self._duration.record(time.perf_counter() - started, failed if operation.n_lost else self._all)


class ReportedStats(Stats):
    """Counters that are metrics, too. In a forked child they begin anew."""

    def __init__(self, provider: MeterProvider | None, attributes: dict[str, str]) -> None:
        super().__init__()
        self._attributes = attributes
        meter = (provider or get_meter_provider()).get_meter("tracezip", __version__)
        self._instruments = {
            "spans_in": meter.create_counter("tracezip.spans", description="Spans given to be sent or written."),
            "bytes_in": meter.create_counter("tracezip.bytes_in", description="OTLP bytes that were compressed."),
            "bytes_out": meter.create_counter("tracezip.bytes_out", description="Bytes that they were compressed to."),
        }
        self._dropped_spans = meter.create_counter("tracezip.dropped_spans", description="Spans that were lost.")
        self._compression = meter.create_histogram(
            "tracezip.compression.duration",
            unit="s",
            description="The time that it takes to compress a batch, for files with the writing.",
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        )
        self._ratio = meter.create_gauge(
            "tracezip.compression.ratio",
            unit="1",
            description="The fraction of the OTLP bytes that compression saved so far.",
        )
        self._n_messages = meter.create_gauge("tracezip.queue.messages", description="Batches that wait to be sent.")
        self._n_bytes = meter.create_gauge("tracezip.queue.bytes", description="Bytes that wait to be sent.")

    def add(self, **counts: int) -> None:
        super().add(**counts)
        for name, count in counts.items():
            if name in self._instruments and count:
                self._instruments[name].add(count, self._attributes)
        if "bytes_out" in counts:
            self._ratio.set(self.snapshot()["compression_ratio"], self._attributes)

    def drop(self, reason: str, n_spans: int) -> None:
        super().drop(reason, n_spans)
        self._dropped_spans.add(n_spans, {**self._attributes, "reason": reason})

    def observe(self, name: str, seconds: float) -> None:
        super().observe(name, seconds)
        if name == "compress":
            self._compression.record(seconds, self._attributes)

    def set_queue(self, n_messages: int, n_bytes: int) -> None:
        super().set_queue(n_messages, n_bytes)
        self._n_messages.set(n_messages, self._attributes)
        self._n_bytes.set(n_bytes, self._attributes)

    def after_fork(self) -> None:
        super().__init__()


def _server(endpoint: str | None) -> dict[str, str | int]:
    """server.address and server.port of a URL."""
    if endpoint is None:
        return {}
    try:
        parts = urlsplit(endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return {}
    return {"server.address": parts.hostname, "server.port": port} if parts.hostname else {}
