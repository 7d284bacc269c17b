"""Makes spans with the SDK and exports them until it is killed: python -m tests.chaos_client ENDPOINT SPOOL LOG

Each batch that the exporter answered SUCCESS for is written to LOG, one span id in hex a line, before the next begins.
"""

from __future__ import annotations

import os
import sys
import time

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracezip.otel.exporter import TracezipExporter

BATCH_SPANS = 20
PAUSE_SECONDS = 0.005
"""Between batches, so that the spool does not grow faster than a small machine drains it."""


def main(endpoint: str, spool: str, log_path: str) -> None:
    made = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "chaos", "process.pid": os.getpid()}))
    provider.add_span_processor(SimpleSpanProcessor(made))
    tracer = provider.get_tracer("chaos")
    exporter = TracezipExporter(endpoint, spool_dir=spool, batch_timeout=0.5)
    log = os.open(log_path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    while True:
        for number in range(BATCH_SPANS):
            with tracer.start_as_current_span(f"work {number % 3}", attributes={"number": number}):
                pass
        spans = made.get_finished_spans()
        made.clear()
        if exporter.export(spans) is SpanExportResult.SUCCESS:
            os.write(log, b"".join(b"%016x\n" % span.context.span_id for span in spans))
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
