"""OTLP/JSON: both directions agree with the protobuf runtime, on every message and on every error."""

import base64
import json
import math
import os
import struct
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData
from otlp_oracle import ID_FIELDS, LOOSE_REQUEST, Type, expected_json, messages

from tracezip.convert import schema, to_otlp
from tracezip.convert.otlp_json import from_json, json_lines, json_pieces, parse_documents, to_dict, to_json
from tracezip.errors import InputError, TracezipError

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def request(**span):
    """A request of one span."""
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.append(Span(**span))
    return message


def span_json(**span):
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def read_span(**span):
    """The span that a span of these JSON keys is read as."""
    message = ExportTraceServiceRequest.FromString(from_json(span_json(**span)))
    return message.resource_spans[0].scope_spans[0].spans[0]


def read_value(**value):
    return read_span(attributes=[{"key": "k", "value": value}]).attributes[0].value


def value_request(**value):
    """The bytes of a request whose one span has one attribute with this value."""
    message = request()
    message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="k").value.CopyFrom(AnyValue(**value))
    return message.SerializeToString()


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def delimited(tag, data):
    return bytes([tag]) + varint(len(data)) + data


# --- the tables -------------------------------------------------------------------------------------------------------


def walk(descriptor, seen):
    if descriptor.name not in seen:
        seen[descriptor.name] = descriptor
        for field in descriptor.fields:
            if field.message_type:
                walk(field.message_type, seen)
    return seen


def test_the_tables_are_those_of_the_protocol():
    descriptors = walk(TracesData.DESCRIPTOR, {})
    assert set(schema.MESSAGES) == set(descriptors)
    for name, fields in schema.MESSAGES.items():
        known = {field.number: field for field in fields}
        assert sorted(known) == [field.number for field in fields]
        for field in descriptors[name].fields:
            mine = known.pop(field.number)
            assert (mine.name, mine.json_name, mine.repeated) == (field.name, field.json_name, field.is_repeated)
            assert mine.oneof == (field.containing_oneof is not None)
            kind = "bytes" if mine.kind in schema.ID_BYTES else mine.kind
            assert getattr(Type, f"TYPE_{kind.upper()}") == field.type
            assert (mine.kind in schema.ID_BYTES) == (field.name in ID_FIELDS)
            assert mine.type == getattr(field.message_type or field.enum_type, "name", "")
        assert not known
    assert {"SpanKind": dict(Span.SpanKind.items()), "StatusCode": dict(Status.StatusCode.items())} == schema.ENUMS


def test_a_request_and_traces_data_have_the_same_shape():
    assert [f.number for f in TracesData.DESCRIPTOR.fields] == [
        f.number for f in ExportTraceServiceRequest.DESCRIPTOR.fields
    ]


# --- both directions against the protobuf runtime ---------------------------------------------------------------------


@RELAXED
@given(messages())
def test_json_is_what_the_specification_says(message):
    assert to_dict(message.SerializeToString()) == expected_json(message)


@RELAXED
@given(messages())
def test_protobuf_to_json_to_protobuf_gives_the_same_bytes(message):
    wire = one_nan(message).SerializeToString(deterministic=True)
    assert from_json(to_json(wire)) == wire


def one_nan(message):
    """The same message with the one NaN that JSON has."""
    return json_format.Parse(json_format.MessageToJson(message), type(message)())


@RELAXED
@given(messages(), st.booleans())
def test_what_protobuf_writes_as_json_is_read(message, names_of_the_proto_files):
    """protobuf's own JSON mapping: ids in base64, names of enum values; and the keys of the .proto files."""
    document = json_format.MessageToDict(message, preserving_proto_field_name=names_of_the_proto_files)
    assert from_json(document) == one_nan(message).SerializeToString(deterministic=True)


@RELAXED
@given(messages(), st.data())
def test_bytes_are_refused_exactly_when_protobuf_refuses_them(message, data):
    """Bytes changed, put in, taken out, cut off, doubled: the same verdict as the runtime's, and the same contents."""
    wire = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(wire)))
        change = data.draw(st.sampled_from(["set", "insert", "delete", "cut", "double"]))
        if change == "set" and at < len(wire):
            wire[at] = data.draw(st.integers(0, 255))
        elif change == "insert":
            wire[at:at] = data.draw(st.binary(max_size=4))
        elif change == "delete":
            del wire[at : at + data.draw(st.integers(1, 4))]
        elif change == "cut":
            del wire[at:]
        elif change == "double":
            wire += wire[at:]
    assert_as_protobuf(bytes(wire))


def test_a_replaced_value_must_be_whole_all_the_same():
    array, text = b"\x2a\x04\x0a\x02\x10\x01", b"\x0a\x01a"
    for first in (array, array[:-1] + b"\x80", text):
        for value in (first + text, first + array, first + b"\x10\x01" + first):
            wire = value
            for tag in (0x12, 0x4A, 0x12, 0x12, 0x0A):
                wire = delimited(tag, wire)
            assert_as_protobuf(wire)


@settings(RELAXED, max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_an_input_error(wire):
    assert_as_protobuf(wire)


def assert_as_protobuf(wire):
    try:
        expected = expected_json(LOOSE_REQUEST.FromString(wire))
    except DecodeError:
        with pytest.raises(InputError) as caught:
            to_json(wire)
        assert caught.value.offset is not None
        assert 0 <= caught.value.offset <= len(wire)
        return
    assert to_dict(wire) == expected


# --- protobuf to JSON: the form ---------------------------------------------------------------------------------------


def test_the_example_of_the_specification():
    message = request(
        trace_id=bytes.fromhex("5b8efff798038103d269b633813fc60c"),
        span_id=bytes.fromhex("eee19b7ec3c1b174"),
        parent_span_id=bytes.fromhex("eee19b7ec3c1b173"),
        name="I'm a server span",
        start_time_unix_nano=1544712660000000000,
        kind=Span.SPAN_KIND_SERVER,
        flags=0x101,
    )
    message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="n").value.int_value = 7
    assert to_dict(message.SerializeToString()) == span_json(
        traceId="5b8efff798038103d269b633813fc60c",
        spanId="eee19b7ec3c1b174",
        parentSpanId="eee19b7ec3c1b173",
        name="I'm a server span",
        startTimeUnixNano="1544712660000000000",
        kind=2,
        flags=257,
        attributes=[{"key": "n", "value": {"intValue": "7"}}],
    )


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("double_value", math.nan, '"NaN"'),
        ("double_value", math.inf, '"Infinity"'),
        ("double_value", -math.inf, '"-Infinity"'),
        ("double_value", 0.0, "0.0"),
        ("double_value", -0.0, "-0.0"),
        ("double_value", 5e-324, "5e-324"),
        ("double_value", 0.1, "0.1"),
        ("int_value", -(2**63), '"-9223372036854775808"'),
        ("int_value", 0, '"0"'),
        ("bytes_value", b"\xff\xfe\x00", '"//4A"'),
        ("bytes_value", b"", '""'),
        ("bool_value", False, "false"),
        ("string_value", "", '""'),
        ("string_value_strindex", -2, "-2"),
        ("string_value", 'a"\\\n\0\u2028é😀', '"a\\"\\\\\\n\\u0000\u2028é😀"'),
    ],
)
def test_values_are_written_as_protobuf_json_has_them(field, value, text):
    name = field.replace("_v", "V").replace("_s", "S")
    assert f'"value":{{"{name}":{text}}}' in to_json(value_request(**{field: value}))


def test_empty_messages_show_and_default_values_do_not():
    message = request(name="", start_time_unix_nano=0)
    message.resource_spans[0].resource.SetInParent()
    message.resource_spans[0].scope_spans[0].spans[0].status.SetInParent()
    message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="k").value.SetInParent()
    assert to_dict(message.SerializeToString()) == {
        "resourceSpans": [
            {"resource": {}, "scopeSpans": [{"spans": [{"attributes": [{"key": "k", "value": {}}], "status": {}}]}]}
        ]
    }
    assert to_json(b"") == "{}"


def test_invalid_utf8_shows_as_replacement_characters():
    wire = request(name="ab").SerializeToString().replace(b"ab", b"a\xff")
    assert to_dict(wire) == span_json(name="a\ufffd")


def test_a_line_of_json_has_no_newline_and_the_pieces_are_its_parts():
    wire = request(name="a\nb\r\u0085").SerializeToString()
    assert "\n" not in to_json(wire)
    assert "".join(json_pieces(wire)) == to_json(wire)
    assert list(json_lines([wire, b"", wire])) == [to_json(wire), "{}", to_json(wire)]


def test_attributes_seen_before_are_written_as_the_first_time():
    wires = [value_request(int_value=n % 3) for n in range(9)]
    seen = {}
    assert [to_json(wire, seen) for wire in wires] == [to_json(wire) for wire in wires]
    assert len(seen) == 3


def test_a_large_message_comes_in_small_pieces():
    message = request(name="a")
    message.resource_spans[0].scope_spans[0].spans.extend([Span(name="x" * 100)] * 1000)
    assert max(len(piece) for piece in json_pieces(message.SerializeToString())) < 200


# --- protobuf to JSON: errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "offset", "what"),
    [
        (b"\x0a", 1, "cut off"),
        (b"\x0a\x05\x1a", 1, "5 bytes where only 1 are left"),
        (b"\x0a\x03\x1a\x05\x61\x0a\x00", 3, "5 bytes where only 1 are left"),
        (b"\x02\x00", 0, "field number 0"),
        (b"\x0e", 1, "wire type 6"),
        (b"\x0a\x02\x0c\x00", 3, "wire type 4"),
        (b"\x50" + b"\xff" * 11, 1, "a number of more than 10 bytes"),
        (b"\x50\xff", 1, "cut off"),
        (b"\x55\0\0\0", 1, "4 bytes where only 3 are left"),
        (b"\x53", 1, "cut off"),
    ],
)
def test_malformed_messages_are_named_with_their_offset(wire, offset, what):
    with pytest.raises(InputError, match=what) as caught:
        to_json(wire)
    assert caught.value.offset == offset
    assert f"at byte {offset}" in str(caught.value)
    with pytest.raises(DecodeError):
        ExportTraceServiceRequest.FromString(wire)


def nested(levels):
    """A request whose one attribute is an array in an array ...: two messages for each level."""
    wire = delimited(0x2A, b"")
    for _ in range(levels - 1):
        wire = delimited(0x2A, delimited(0x0A, wire))
    for tag in (0x12, 0x4A, 0x12, 0x12, 0x0A):
        wire = delimited(tag, wire)
    return wire


def test_nesting_is_limited_where_protobuf_limits_it():
    deepest = max(levels for levels in range(40, 60) if accepted_by_protobuf(nested(levels)))
    assert from_json(to_dict(nested(deepest))) == nested(deepest)
    with pytest.raises(InputError, match="nested more than 100 deep"):
        to_json(nested(deepest + 1))


def accepted_by_protobuf(wire):
    try:
        ExportTraceServiceRequest.FromString(wire)
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("depth", [99, 100, 101, 100_000])
def test_groups_are_skipped_as_deep_as_protobuf_skips_them(depth):
    groups = b"\x53" * depth + b"\x54" * depth
    assert_as_protobuf(groups)
    assert_as_protobuf(delimited(0x0A, groups))


@pytest.mark.parametrize("parts", [b"\x0a\x04\x0a\x02\x0a\x00", b"\x0a\x02\x0a\x00", b"\x1a\x01a", b"\x12\x02\x0a\x00"])
def test_many_parts_of_one_message_take_linear_time(parts):
    """Were each part merged with those before it, these would take minutes."""
    assert_as_protobuf(delimited(0x0A, parts * 50_000))


# --- JSON to protobuf: what is accepted -------------------------------------------------------------------------------

TRACE_ID = bytes(range(240, 256))


@pytest.mark.parametrize(
    "encode", [bytes.hex, lambda raw: raw.hex().upper(), base64.b64encode, base64.urlsafe_b64encode]
)
@pytest.mark.parametrize("padding", ["", "="])
def test_ids_are_read_in_hex_and_in_base64(encode, padding):
    text = encode(TRACE_ID) if isinstance(encode(TRACE_ID), str) else encode(TRACE_ID).decode()
    assert read_span(traceId=text if padding else text.rstrip("=")).trace_id == TRACE_ID


@pytest.mark.parametrize("n_bytes", range(1, 20))
def test_ids_of_any_length_come_back_from_hex(n_bytes):
    wire = request(span_id=bytes(range(200, 200 + n_bytes))).SerializeToString()
    assert from_json(to_json(wire)) == wire


@pytest.mark.parametrize(
    "number", [1700000000000000001, "1700000000000000001", "1.700000000000000001e18", "1700000000000000001.0"]
)
def test_64_bit_integers_are_read_as_numbers_and_as_strings(number):
    assert read_span(startTimeUnixNano=number).start_time_unix_nano == 1700000000000000001


@pytest.mark.parametrize(("kind", "number"), [(3, 3), ("3", 3), ("SPAN_KIND_CLIENT", 3), (3.0, 3), (99, 99), (-1, -1)])
def test_enums_are_read_as_numbers_and_as_names(kind, number):
    assert read_span(kind=kind).kind == number


@pytest.mark.parametrize(
    ("number", "value"),
    [(1, 1.0), ("1.5", 1.5), ("Infinity", math.inf), ("-Infinity", -math.inf), (math.inf, math.inf), ("-1e-3", -0.001)],
)
def test_doubles_are_read_as_numbers_and_as_strings(number, value):
    assert read_value(doubleValue=number).double_value == value
    assert math.isnan(read_value(doubleValue="NaN").double_value)


@pytest.mark.parametrize("boolean", [True, "true"])
def test_booleans_are_read_as_they_are_and_as_strings(boolean):
    assert read_value(boolValue=boolean).bool_value is True


@pytest.mark.parametrize("text", ["-_8", "+/8=", "+/8", "-_8="])
def test_bytes_are_read_in_both_alphabets_with_padding_and_without(text):
    assert read_value(bytesValue=text).bytes_value == b"\xfb\xff"


def test_keys_are_read_in_both_forms_and_the_last_counts():
    assert read_span(trace_state="a", dropped_links_count=1, traceState="b") == Span(
        trace_state="b", dropped_links_count=1
    )


def test_json_from_before_scopes_is_read():
    old = {"instrumentationLibrarySpans": [{"instrumentationLibrary": {"name": "lib"}, "spans": [{"name": "a"}]}]}
    new = {"scopeSpans": [{"scope": {"name": "lib"}, "spans": [{"name": "a"}]}]}
    assert from_json({"resourceSpans": [old]}) == from_json({"resourceSpans": [new]})


def test_unknown_keys_are_ignored_and_null_is_absent():
    extra = {"new": {"deep": [1, {}]}, "name": "a", "status": None, "attributes": None}
    assert read_span(**extra) == Span(name="a")
    assert from_json({"resourceSpans": None, "x": 1}) == b""
    assert from_json({}) == b""
    assert read_value(stringValue=None, intValue=1) == AnyValue(int_value=1)


def test_unpaired_surrogates_become_replacement_characters():
    assert read_span(name="a\ud800b\udc00c\ud83d\ude00\ud800").name == "a\ufffdb\ufffdc😀\ufffd"
    assert read_span(**json.loads('{"name": "\\ud800"}')).name == "\ufffd"


def test_the_newest_fields_are_kept_in_both_directions():
    document = {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": [{"keyStrindex": 3, "value": {"stringValueStrindex": 0}}],
                    "entityRefs": [{"schemaUrl": "u", "type": "t", "idKeys": ["a", ""], "descriptionKeys": ["b"]}],
                },
                "scopeSpans": [{"spans": [{"links": [{"flags": 769}], "flags": 4294967295}]}],
            }
        ]
    }
    assert to_dict(from_json(document)) == document


def test_text_is_read_as_str_and_as_utf8_with_or_without_a_mark():
    text = json.dumps(span_json(name="é"), ensure_ascii=False)
    assert from_json(text) == from_json(text.encode()) == from_json(b"\xef\xbb\xbf" + text.encode())


def test_documents_one_after_the_other_are_told_apart():
    assert parse_documents(' {"a": 1}{}\n\n{"b":\n2}\r\n') == [{"a": 1}, {}, {"b": 2}]
    assert parse_documents("  ") == []


# --- JSON to protobuf: errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "where"),
    [
        ({"kind": "SERVER"}, "kind: the number or name of a SpanKind is needed, not 'SERVER'"),
        ({"kind": True}, "kind: the number"),
        ({"kind": 1 << 31}, "kind: the number"),
        ({"flags": -1}, "flags: a whole number from 0 to 4294967295 is needed, not -1"),
        ({"flags": 1.5}, "flags: a whole number"),
        ({"flags": math.nan}, "flags: a whole number"),
        ({"flags": "1_0"}, "flags: a whole number"),
        ({"flags": " 1"}, "flags: a whole number"),
        ({"flags": "1e999999999"}, "flags: a whole number"),
        ({"flags": "0.1e1000000000000000000000000"}, "flags: a whole number"),
        ({"flags": "9" * 10_000}, "flags: a whole number"),
        ({"flags": 10**10_000}, "flags: a whole number"),
        ({"flags": False}, "flags: a whole number"),
        ({"startTimeUnixNano": 1 << 64}, "startTimeUnixNano: a whole number"),
        ({"startTimeUnixNano": [1]}, "startTimeUnixNano: .* not a value of type list"),
        ({"name": 1}, "name: a string is needed, not 1"),
        ({"name": b"a"}, "name: a string is needed, not a value of type bytes"),
        ({"traceId": "xyz"}, "traceId: an id of 16 bytes in hex is needed"),
        ({"traceId": "0x" + "ab" * 16}, "traceId: an id of 16 bytes in hex"),
        ({"traceId": "ab cd"}, "traceId: an id of 16 bytes in hex"),
        ({"traceId": "5b8efff7-9803-8103-d269-b633813fc60c"}, "traceId: an id of 16 bytes in hex"),
        ({"spanId": "1234567890123456789"}, "spanId: an id of 8 bytes"),
        ({"traceId": "é" * 16}, "traceId: an id of 16 bytes in hex"),
        ({"spanId": 5}, "spanId: an id of 8 bytes in hex is needed, not 5"),
        ({"attributes": {}}, "attributes: an array is needed"),
        ({"attributes": [None]}, r"attributes\[0\]: an object is needed, not None"),
        ({"attributes": [{"key": 1}]}, r"attributes\[0\].key: a string"),
        (
            {"attributes": [{}, {"value": {"intValue": "x"}}]},
            r"spans\[0\].attributes\[1\].value.intValue: a whole number",
        ),
        ({"attributes": [{"value": {"boolValue": 1}}]}, "boolValue: true or false"),
        ({"attributes": [{"key": "k", "value": {"intValue": 10**10_000}}]}, "intValue: a whole number"),
        ({"attributes": [{"key": [], "value": {"intValue": []}}]}, "key: a string"),
        ({"attributes": [{"value": {"doubleValue": "nan"}}]}, "doubleValue: a number"),
        ({"attributes": [{"value": {"doubleValue": 10**400}}]}, "doubleValue: a number"),
        ({"attributes": [{"value": {"bytesValue": "a"}}]}, "bytesValue: base64"),
        ({"attributes": [{"value": {"bytesValue": "a b="}}]}, "bytesValue: base64"),
        (
            {"attributes": [{"value": {"intValue": 1, "stringValue": "1"}}]},
            "one value is needed, not both int_value and",
        ),
        ({"status": []}, "status: an object is needed"),
        ({"links": [{"traceId": "a"}]}, r"resourceSpans\[0\].scopeSpans\[0\].spans\[0\].links\[0\].traceId: "),
    ],
)
def test_wrong_values_are_named_with_their_path(span, where):
    with pytest.raises(InputError, match=where):
        from_json(span_json(**span))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not JSON: Expecting value at column 1"),
        ("{", "not JSON: Expecting property name"),
        ('{\n"resourceSpans": x}', "at line 2, column 18"),
        ("{} {}", "Extra data at column 4"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        ("[" * 100_000, "nested too deep"),
        ('{"a":' + "[" * 100_000, "nested too deep"),
        ('{"resourceSpans": ' + "9" * 10_000 + "}", "not JSON: Exceeds the limit"),
        ("[]", 'the key "resourceSpans" is needed, not a value of type list'),
        ("null", "is needed, not None"),
        ('"text"', "is needed, not 'text'"),
        ('{"resourceMetrics": []}', "there are only 'resourceMetrics'"),
        ('{"data": [{"traceID": "1", "spans": []}]}', "there are only 'data'"),
        ('{"resourceSpans": {}}', "resourceSpans: an array is needed"),
    ],
)
def test_what_is_not_otlp_json_is_an_input_error(text, what):
    with pytest.raises(InputError, match=what):
        from_json(text)


def test_nesting_of_json_is_limited_as_that_of_protobuf():
    value = {"stringValue": "a"}
    for _ in range(200):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(InputError, match="nested more than 100 deep"):
        read_value(**value)


def test_attributes_seen_before_are_not_taken_for_others():
    """Values that Python finds equal, and the same attribute where it is too deep."""
    values = [{"intValue": 1}, {"intValue": "1"}, {"doubleValue": 1}, {"doubleValue": 0.0}, {"doubleValue": -0.0}]
    values += [{"boolValue": True}, {"stringValue": "1"}, {"int_value": 1}]
    seen = {}
    for _ in range(2):
        for value in values:
            document = span_json(attributes=[{"key": "k", "value": value}])
            assert from_json(document, seen) == from_json(document)
    with pytest.raises(InputError, match="boolValue"):
        from_json(span_json(attributes=[{"key": "k", "value": {"boolValue": 1}}]), seen)
    value = {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": 1}}]}}
    for _ in range(46):
        value = {"arrayValue": {"values": [value]}}
    assert accepted_by_protobuf(from_json(span_json(attributes=[{"key": "a", "value": value}]), seen))
    deeper = {"kvlistValue": {"values": [{"key": "k", "value": value}]}}
    with pytest.raises(InputError, match="nested more than 100 deep"):
        from_json(span_json(attributes=[{"key": "a", "value": deeper}]), seen)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from([f.json_name for fields in schema.MESSAGES.values() for f in fields]), children
        )
    ),
    max_leaves=10,
)


@RELAXED
@given(st.dictionaries(st.sampled_from(["resourceSpans", "x"]), JSON_VALUES))
def test_any_json_is_protobuf_or_an_input_error(document):
    try:
        wire = from_json(document)
    except InputError:
        return
    ExportTraceServiceRequest.FromString(wire)


# --- to_otlp ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("data", [b"", b"\x0a\x00", b"garbage \xff"])
def test_bytes_of_any_kind_are_taken_as_they_are(kind, data):
    otlp = to_otlp(kind(data))
    assert type(otlp) is bytes
    assert otlp == data
    assert to_otlp(memoryview(b"abcd")[::2]) == b"ac"


def test_protobuf_objects_are_serialized():
    message = request(name="a")
    assert to_otlp(message) == message.SerializeToString()
    assert to_otlp(TracesData(resource_spans=message.resource_spans)) == message.SerializeToString()


def test_json_is_accepted_as_str_and_as_dict():
    assert (
        to_otlp(span_json(name="a"))
        == to_otlp(json.dumps(span_json(name="a")))
        == request(name="a").SerializeToString()
    )


def released():
    view = memoryview(b"abc")
    view.release()
    return view


@pytest.mark.parametrize(
    ("trace", "what"),
    [
        (None, "a NoneType is not a trace; give OTLP protobuf bytes"),
        (5, "a int is not a trace"),
        (Span(name="a"), "Span message is not a whole trace"),
        (ExportTraceServiceRequest, "cannot be serialized"),
        (released(), "cannot be read"),
        ("not json", "not JSON"),
        ({"a": 1}, "resourceSpans"),
        ([{"resourceSpans": []}], "span 0 is not a span"),
        ([1], "span 0 is not a span"),
    ],
)
def test_anything_else_is_an_input_error(trace, what):
    with pytest.raises(InputError, match=what) as caught:
        to_otlp(trace)
    assert isinstance(caught.value, TracezipError)
    assert isinstance(caught.value, ValueError)


# --- real traces ------------------------------------------------------------------------------------------------------


def real_messages(path, limit=1 << 21):
    zstandard = pytest.importorskip("zstandard")
    with path.open("rb") as file:
        data = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        while (prefix := data.read(4)) and limit > 0:
            size = struct.unpack(">I", prefix)[0]
            limit -= size
            yield data.read(size)


DATA = sorted(Path(os.environ.get("TRACEZIP_DATA", "/nonexistent")).glob("*.otlp.zst"))


@pytest.mark.skipif(not DATA, reason="TRACEZIP_DATA names no folder of *.otlp.zst")
@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name.split(".")[0])
def test_real_traces_come_back_from_json(path):
    for wire in real_messages(path):
        message = ExportTraceServiceRequest.FromString(wire)
        assert from_json(to_json(wire)) == message.SerializeToString(deterministic=True)
