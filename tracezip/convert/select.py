"""Some of the spans of OTLP messages as a message, each as it was encoded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from tracezip.convert.schema import ROOT
from tracezip.convert.spans import EncodedSpan
from tracezip.convert.wire import WRITERS


def join_spans(spans: Iterable[EncodedSpan]) -> bytes:
    """One OTLP protobuf message of encoded spans, in their order: neighbours of one resource or scope share it.

    Spans, resources and scopes keep their bytes; fields around them that nobody knows are not in it.
    """
    groups = groupby(spans, key=lambda span: (span[1].resource, span[1].resource_schema_url))
    return WRITERS[ROOT].write({"resource_spans": [_resource_spans(*key, group) for key, group in groups]})


def _resource_spans(resource: bytes, schema_url: str, spans: Iterable[EncodedSpan]) -> bytes:
    groups = groupby(spans, key=lambda span: (span[1].scope, span[1].scope_schema_url))
    scope_spans = [_scope_spans(*key, group) for key, group in groups]
    return WRITERS["ResourceSpans"].write(
        {"resource": resource or None, "scope_spans": scope_spans, "schema_url": schema_url}
    )


def _scope_spans(scope: bytes, schema_url: str, spans: Iterable[EncodedSpan]) -> bytes:
    return WRITERS["ScopeSpans"].write(
        {"scope": scope or None, "spans": [span for span, _ in spans], "schema_url": schema_url}
    )
