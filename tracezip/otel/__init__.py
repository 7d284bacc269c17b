"""What works inside the OpenTelemetry SDK: the only package that knows it."""

from __future__ import annotations

from typing import Any


def get_tracezip_stats() -> dict[str, Any]:
    """What all exporters of this process that still live have done, together.

    Counters of spans, messages and bytes in and out, of what arrived, was spooled, retried or dropped; what waits;
    seconds of compression, and compression_ratio, the fraction saved; and `exporters`, how many they are.
    """
    from tracezip.otel.totals import totals

    return totals()
