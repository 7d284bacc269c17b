"""What the protobuf runtime makes of OTLP: strategies for messages, and their JSON by the rules of the specification.

Nothing here uses tracezip. `LOOSE_REQUEST` is the same message with every string declared as bytes, so that the runtime
accepts invalid UTF-8 and everything else about a message can still be compared.
"""

import base64
import math

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Type = descriptor_pb2.FieldDescriptorProto
ID_FIELDS = {"trace_id", "span_id", "parent_span_id"}


def _loose_request():
    pool = descriptor_pool.DescriptorPool()
    added = set()

    def add(file):
        if file.name in added:
            return
        added.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        pending = list(proto.message_type)
        while pending:
            message = pending.pop()
            pending += message.nested_type
            for field in message.field:
                if field.type == Type.TYPE_STRING:
                    field.type = Type.TYPE_BYTES
        pool.AddSerializedFile(proto.SerializeToString())

    add(ExportTraceServiceRequest.DESCRIPTOR.file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(ExportTraceServiceRequest.DESCRIPTOR.full_name))


LOOSE_REQUEST = _loose_request()


def expected_json(message, strict=ExportTraceServiceRequest.DESCRIPTOR):
    """The OTLP/JSON of a message object; `strict` is the descriptor that knows which fields are strings."""
    out = {}
    for field, value in message.ListFields():
        known = strict.fields_by_number[field.number]
        out[known.json_name] = [_value(known, one) for one in value] if known.is_repeated else _value(known, value)
    return out


def _value(field, value):
    if field.type == Type.TYPE_MESSAGE:
        return expected_json(value, field.message_type)
    if field.type == Type.TYPE_STRING:
        return value if isinstance(value, str) else value.decode("utf-8", "replace")
    if field.type == Type.TYPE_BYTES:
        return value.hex() if field.name in ID_FIELDS else base64.b64encode(value).decode()
    if field.type in (Type.TYPE_INT64, Type.TYPE_FIXED64):
        return str(value)
    if field.type == Type.TYPE_DOUBLE and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


_SCALARS = {
    Type.TYPE_STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    Type.TYPE_BYTES: st.binary(max_size=20),
    Type.TYPE_BOOL: st.booleans(),
    Type.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    Type.TYPE_ENUM: st.integers(-(2**31), 2**31 - 1) | st.integers(0, 5),
    Type.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    Type.TYPE_UINT32: st.integers(0, 2**32 - 1),
    Type.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    Type.TYPE_FIXED64: st.integers(0, 2**64 - 1),
    Type.TYPE_DOUBLE: st.floats(),
}


def _id(name):
    """Ids are of the protocol's length, or absent: base64 of any other is not taken for one."""
    n_bytes = 16 if name == "trace_id" else 8
    return st.just(b"") | st.binary(min_size=n_bytes, max_size=n_bytes)


@st.composite
def messages(draw, message_class=ExportTraceServiceRequest):
    """Messages with any fields set, any depth that hypothesis reaches; at most one field of a oneof."""
    message = message_class()
    _fill(draw, message, 0)
    return message


def _fill(draw, message, depth):
    fields = list(message.DESCRIPTOR.fields)
    if message.DESCRIPTOR.oneofs:
        fields = [draw(st.sampled_from(fields[:4] if depth > 10 else fields))] if draw(st.integers(0, 9)) else []
    for field in fields:
        # The way to the spans is taken more often than not, or hardly any message would have one.
        if depth < 4 or field.containing_oneof or draw(st.integers(0, 3)) == 0:
            _set(draw, message, field, depth)


def _set(draw, message, field, depth):
    if field.message_type and field.is_repeated:
        for _ in range(draw(st.integers(0, 2))):
            _fill(draw, getattr(message, field.name).add(), depth + 1)
    elif field.message_type:
        if draw(st.booleans()) or field.containing_oneof:
            getattr(message, field.name).SetInParent()
            _fill(draw, getattr(message, field.name), depth + 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(_SCALARS[field.type], max_size=2)))
    else:
        setattr(message, field.name, draw(_id(field.name) if field.name in ID_FIELDS else _SCALARS[field.type]))
