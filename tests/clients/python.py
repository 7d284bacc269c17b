"""A service with OpenTelemetry's SDK for Python and its own OTLP exporter, or tracezip's: it makes spans of every kind,
sends them where OTEL_EXPORTER_OTLP_ENDPOINT says, and records what the exporter was given as
[4-byte big-endian length][OTLP].

python.py http|grpc|tracezip RECORD
"""

from __future__ import annotations

import importlib
import os
import struct
import sys
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.common import trace_encoder
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

N_TRACES = 20


class Recorder(SpanExporter):
    """Writes each batch down before the exporter gets it, and ends the process if one fails."""

    def __init__(self, exporter: SpanExporter, encode: Callable[[Sequence[ReadableSpan]], bytes], path: str) -> None:
        self.exporter = exporter
        self.encode = encode
        self.path = path
        self.failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        message = self.encode(spans)
        with open(self.path, "ab") as file:
            file.write(struct.pack(">I", len(message)) + message)
        result = self.exporter.export(spans)
        self.failed |= result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        self.exporter.shutdown()


def make_trace(tracer: Tracer, number: int) -> None:
    state = TraceState([("vendor", "1"), ("other", "two")])
    remote = SpanContext((1 << 120) + number, (2 << 56) + number, True, TraceFlags(TraceFlags.SAMPLED), state)
    outside = set_span_in_context(NonRecordingSpan(remote))
    every_type = {
        "text": "é" * number,
        "whole": number - (1 << 62),
        "real": number / 3,
        "flag": number % 2 == 0,
        "texts": ("a", "", "b"),
        "wholes": (-1, 0, 1 << 62),
        "reals": (0.5, -1e300),
        "flags": (True, False),
    }
    server = tracer.start_span(f"GET /cart/{number}", outside, SpanKind.SERVER, every_type)
    for kind in (SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER):
        inside = set_span_in_context(server)
        child = tracer.start_span(f"step {kind.name}", inside, kind, links=[Link(remote, {"weight": number})])
        child.add_event("retry", {"after_s": 0.25})
        child.set_status(Status(StatusCode.OK))
        child.end()
    server.record_exception(ValueError("the cart is empty ∅"))
    server.set_status(Status(StatusCode.ERROR, "empty"))
    server.end()


def encode_as_stock(spans: Sequence[ReadableSpan]) -> bytes:
    return trace_encoder.encode_spans(spans).SerializeToString()


def recorder_of(protocol: str, path: str) -> Recorder:
    """tracezip's encoder knows more of a span than the stock one: the state in links, and all flags."""
    if protocol == "tracezip":
        from tracezip import TracezipExporter
        from tracezip.convert.sdk import encode_spans

        return Recorder(TracezipExporter(), encode_spans, path)
    exporters = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter")
    return Recorder(exporters.OTLPSpanExporter(), encode_as_stock, path)


def main(protocol: str, path: str) -> None:
    recorder = recorder_of(protocol, path)
    resource = Resource.create({"service.name": "python-client", "process.pid": os.getpid()})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(recorder))
    tracer = provider.get_tracer("checkout", "1.2.3", "https://opentelemetry.io/schemas/1.37.0", {"short": True})
    for number in range(N_TRACES):
        make_trace(tracer, number)
    provider.shutdown()
    sys.exit(recorder.failed)


if __name__ == "__main__":
    main(*sys.argv[1:])
