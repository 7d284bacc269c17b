"""The OTLP messages that make up a trace, as tables: what each field is called, numbered and made of.

Source: opentelemetry-proto 1.10, `trace/v1/trace.proto`, `common/v1/common.proto` and `resource/v1/resource.proto`.
`ExportTraceServiceRequest` and `TracesData` have the same shape; the tables call it `TracesData`.
"""

from __future__ import annotations

from typing import NamedTuple

ROOT = "TracesData"
"""The message that a whole trace document is."""

MAX_DEPTH = 100
"""Messages (and groups) nested deeper than this below the root are refused, as protobuf's own parsers do."""

MAX_MESSAGE_BYTES = 2**31 - 1
"""Protobuf's own limit for one encoded message."""

VARINT, FIXED64, LENGTH_DELIMITED, GROUP_START, GROUP_END, FIXED32 = range(6)
"""The wire types of protobuf."""

WIRE_TYPES = {
    "string": LENGTH_DELIMITED,
    "bytes": LENGTH_DELIMITED,
    "trace_id": LENGTH_DELIMITED,
    "span_id": LENGTH_DELIMITED,
    "message": LENGTH_DELIMITED,
    "bool": VARINT,
    "int32": VARINT,
    "int64": VARINT,
    "uint32": VARINT,
    "enum": VARINT,
    "fixed32": FIXED32,
    "fixed64": FIXED64,
    "double": FIXED64,
}
"""Kind of a field -> wire type. Kinds are protobuf's types, and the bytes that OTLP/JSON writes in hex."""

ID_BYTES = {"trace_id": 16, "span_id": 8}
"""The lengths that ids have by the protocol; others are carried as they are."""


class Field(NamedTuple):
    """One field of a message.

    `type` names the nested message, or the enum. A field of a `oneof` is written even when it has its default value.
    """

    number: int
    name: str
    kind: str
    type: str = ""
    repeated: bool = False
    oneof: bool = False

    @property
    def json_name(self) -> str:
        """The lowerCamelCase key of the field in OTLP/JSON."""
        first, *rest = self.name.split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def tag(self) -> int:
        """Field number and wire type, the number that precedes the field on the wire."""
        return self.number << 3 | WIRE_TYPES[self.kind]


def _messages(number: int, name: str, message: str) -> Field:
    return Field(number, name, "message", message, repeated=True)


def _choice(number: int, name: str, kind: str, message: str = "") -> Field:
    return Field(number, name, kind, message, oneof=True)


MESSAGES: dict[str, tuple[Field, ...]] = {
    "TracesData": (_messages(1, "resource_spans", "ResourceSpans"),),
    "ResourceSpans": (
        Field(1, "resource", "message", "Resource"),
        _messages(2, "scope_spans", "ScopeSpans"),
        Field(3, "schema_url", "string"),
    ),
    "Resource": (
        _messages(1, "attributes", "KeyValue"),
        Field(2, "dropped_attributes_count", "uint32"),
        _messages(3, "entity_refs", "EntityRef"),
    ),
    "EntityRef": (
        Field(1, "schema_url", "string"),
        Field(2, "type", "string"),
        Field(3, "id_keys", "string", repeated=True),
        Field(4, "description_keys", "string", repeated=True),
    ),
    "ScopeSpans": (
        Field(1, "scope", "message", "InstrumentationScope"),
        _messages(2, "spans", "Span"),
        Field(3, "schema_url", "string"),
    ),
    "InstrumentationScope": (
        Field(1, "name", "string"),
        Field(2, "version", "string"),
        _messages(3, "attributes", "KeyValue"),
        Field(4, "dropped_attributes_count", "uint32"),
    ),
    "Span": (
        Field(1, "trace_id", "trace_id"),
        Field(2, "span_id", "span_id"),
        Field(3, "trace_state", "string"),
        Field(4, "parent_span_id", "span_id"),
        Field(5, "name", "string"),
        Field(6, "kind", "enum", "SpanKind"),
        Field(7, "start_time_unix_nano", "fixed64"),
        Field(8, "end_time_unix_nano", "fixed64"),
        _messages(9, "attributes", "KeyValue"),
        Field(10, "dropped_attributes_count", "uint32"),
        _messages(11, "events", "Event"),
        Field(12, "dropped_events_count", "uint32"),
        _messages(13, "links", "Link"),
        Field(14, "dropped_links_count", "uint32"),
        Field(15, "status", "message", "Status"),
        Field(16, "flags", "fixed32"),
    ),
    "Event": (
        Field(1, "time_unix_nano", "fixed64"),
        Field(2, "name", "string"),
        _messages(3, "attributes", "KeyValue"),
        Field(4, "dropped_attributes_count", "uint32"),
    ),
    "Link": (
        Field(1, "trace_id", "trace_id"),
        Field(2, "span_id", "span_id"),
        Field(3, "trace_state", "string"),
        _messages(4, "attributes", "KeyValue"),
        Field(5, "dropped_attributes_count", "uint32"),
        Field(6, "flags", "fixed32"),
    ),
    "Status": (
        Field(2, "message", "string"),
        Field(3, "code", "enum", "StatusCode"),
    ),
    "KeyValue": (
        Field(1, "key", "string"),
        Field(2, "value", "message", "AnyValue"),
        Field(3, "key_strindex", "int32"),
    ),
    "AnyValue": (
        _choice(1, "string_value", "string"),
        _choice(2, "bool_value", "bool"),
        _choice(3, "int_value", "int64"),
        _choice(4, "double_value", "double"),
        _choice(5, "array_value", "message", "ArrayValue"),
        _choice(6, "kvlist_value", "message", "KeyValueList"),
        _choice(7, "bytes_value", "bytes"),
        _choice(8, "string_value_strindex", "int32"),
    ),
    "ArrayValue": (_messages(1, "values", "AnyValue"),),
    "KeyValueList": (_messages(1, "values", "KeyValue"),),
}
"""Message name -> its fields, in the order of their numbers."""

ENUMS: dict[str, dict[str, int]] = {
    "SpanKind": {
        "SPAN_KIND_UNSPECIFIED": 0,
        "SPAN_KIND_INTERNAL": 1,
        "SPAN_KIND_SERVER": 2,
        "SPAN_KIND_CLIENT": 3,
        "SPAN_KIND_PRODUCER": 4,
        "SPAN_KIND_CONSUMER": 5,
    },
    "StatusCode": {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2},
}
"""Enum name -> the numbers of its values. OTLP/JSON writes numbers only; names are accepted when reading."""

FORMER_JSON_NAMES = {
    ("ResourceSpans", "scope_spans"): ("instrumentationLibrarySpans", "instrumentation_library_spans"),
    ("ScopeSpans", "scope"): ("instrumentationLibrary", "instrumentation_library"),
}
"""(message, field) -> keys that it had in JSON written before OTLP 0.15; the contents were the same."""

FLAG_TRACE_FLAGS_MASK = 0x0FF
FLAG_SAMPLED = 0x001
FLAG_HAS_IS_REMOTE = 0x100
FLAG_IS_REMOTE = 0x200
"""The bits of `Span.flags` and `Link.flags`: W3C trace flags, the one of them that says "sampled", whether remoteness
is known, and remoteness."""
