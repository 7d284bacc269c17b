"""The relay's metrics, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from tracezip.live.stats import SECONDS_BUCKETS, Histogram
from tracezip.relay.intake import Service

_COUNTERS = {
    "bytes_in": ("tracezip_bytes_in", "OTLP bytes that were compressed, or that came of decompressing."),
    "bytes_out": ("tracezip_bytes_out", "Compressed bytes that went over the wire."),
    "messages_in": ("tracezip_messages", "OTLP messages taken."),
    "spans_in": ("tracezip_spans", "Spans taken."),
    "spans_sent": ("tracezip_sent_spans", "Spans that arrived at the next hop."),
    "messages_spooled": ("tracezip_spooled_messages", "Messages that went through the spool."),
    "failures": ("tracezip_send_failures", "Attempts to deliver that failed, and are made again."),
    "restarts": ("tracezip_stream_restarts", "Streams begun anew because the receiver had lost theirs."),
    "fallbacks": ("tracezip_fallbacks", "Messages that went as plain OTLP instead."),
}
_GAUGES = {
    "compression_ratio": ("tracezip_compression_ratio", "The fraction of bytes that is saved: 1 - out / in."),
    "queue_messages": ("tracezip_queue_messages", "Messages that wait, in memory and in the spool."),
    "queue_bytes": ("tracezip_queue_bytes", "Bytes that wait, in memory and in the spool."),
}
_DURATIONS = {
    "compress": ("tracezip_compression_duration_seconds", "Time to compress one message."),
    "decompress": ("tracezip_decompression_duration_seconds", "Time to decompress one message."),
}


class Metrics(Collector):
    """The statistics of a service, in a registry of their own."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text of all metrics and its content type, in the form that a client accepts."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterable[Metric]:
        stats = self._service.stats
        snapshot = stats.snapshot()
        for key, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(name, text, value=snapshot[key])
        for key, (name, text) in _GAUGES.items():
            yield GaugeMetricFamily(name, text, value=snapshot[key])
        yield GaugeMetricFamily("tracezip_streams", "Streams that are open.", value=self._service.n_streams)
        dropped = CounterMetricFamily("tracezip_dropped_spans", "Spans that were lost.", labels=["reason"])
        for reason, n_spans in sorted(snapshot["dropped_spans"].items()):
            dropped.add_metric([reason], n_spans)
        yield dropped
        for key, (name, text) in _DURATIONS.items():
            yield _histogram(name, text, stats.histogram(key))


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    bounds = [*map(str, SECONDS_BUCKETS), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(histogram.buckets)), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.seconds)
