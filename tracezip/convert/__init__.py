"""Traces in every accepted form -> OTLP protobuf bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tracezip.errors import InputError

__all__ = ["to_otlp"]

_TRACE_MESSAGES = {
    "opentelemetry.proto.trace.v1.TracesData",
    "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
}


def to_otlp(trace: Any) -> bytes:
    """The OTLP protobuf bytes of a trace in any accepted form.

    - bytes, bytearray, memoryview: OTLP protobuf already, whatever they hold; never looked into;
    - a protobuf message object: `ExportTraceServiceRequest` or `TracesData`, anything with `SerializeToString`;
    - str or dict: an OTLP/JSON document;
    - a sequence of the OpenTelemetry SDK's `ReadableSpan`.

    Raises InputError, which says what is wrong and where, for everything else.
    """
    if isinstance(trace, bytes):
        return bytes(trace)
    if isinstance(trace, bytearray | memoryview):
        return _copied(trace)
    if hasattr(trace, "SerializeToString"):
        return _serialized(trace)
    if isinstance(trace, str | Mapping):
        from tracezip.convert.otlp_json import from_json

        return from_json(trace)
    if hasattr(trace, "get_span_context"):
        raise InputError("one span is not a sequence of spans; give [span]")
    if isinstance(trace, Iterable):
        from tracezip.convert.sdk import encode_spans

        return encode_spans(trace)
    raise InputError(f"a {type(trace).__name__} is not a trace; give {_ACCEPTED}")


_ACCEPTED = "OTLP protobuf bytes, a protobuf message, OTLP/JSON (dict or str) or a sequence of the SDK's ReadableSpan"


def _copied(trace: bytearray | memoryview) -> bytes:
    try:
        return bytes(trace)
    except ValueError as error:
        raise InputError(f"the memoryview cannot be read: {error}") from error


def _serialized(message: Any) -> bytes:
    name = getattr(getattr(message, "DESCRIPTOR", None), "full_name", "")
    if name.startswith("opentelemetry.proto.") and name not in _TRACE_MESSAGES:
        raise InputError(f"a {name} message is not a whole trace; put it into a TracesData message")
    try:
        return bytes(message.SerializeToString())
    except Exception as error:
        raise InputError(f"the {name or type(message).__name__} message cannot be serialized: {error}") from error
