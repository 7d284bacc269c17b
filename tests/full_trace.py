"""A trace in which every field of the protocol has a value."""

from __future__ import annotations

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, EntityRef, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status, TracesData


def full_trace() -> TracesData:
    """Every field that there is has a value."""
    attributes = [
        KeyValue(key="a", value=AnyValue(int_value=5)),
        KeyValue(key_strindex=3, value=AnyValue(string_value_strindex=9)),
    ]
    link = Span.Link(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        trace_state="k=v",
        attributes=attributes,
        dropped_attributes_count=2,
        flags=0x301,
    )
    event = Span.Event(time_unix_nano=10**18 + 5, name="exception", attributes=attributes, dropped_attributes_count=4)
    span = Span(
        trace_id=b"t" * 16, span_id=b"s" * 8, trace_state="vendor=1,other=2", parent_span_id=b"p" * 8, flags=0x101,
        name="GET", kind=Span.SPAN_KIND_SERVER, start_time_unix_nano=10**18, end_time_unix_nano=10**18 + 9,
        attributes=attributes, dropped_attributes_count=1, events=[event, event], dropped_events_count=2,
        links=[link, link], dropped_links_count=3, status=Status(message="it broke", code=Status.STATUS_CODE_ERROR),
    )  # fmt: skip
    entity = EntityRef(schema_url="https://e", type="service", id_keys=["a", "b"], description_keys=["c"])
    resource = Resource(attributes=attributes, dropped_attributes_count=6, entity_refs=[entity, EntityRef()])
    trace = TracesData(resource_spans=[ResourceSpans(resource=resource, schema_url="https://r")])
    scope_spans = trace.resource_spans[0].scope_spans.add(schema_url="https://s", spans=[span, Span(), span])
    scope_spans.scope.name, scope_spans.scope.version = "library", "1.2.3"
    scope_spans.scope.attributes.extend(attributes)
    scope_spans.scope.dropped_attributes_count = 7
    return trace
