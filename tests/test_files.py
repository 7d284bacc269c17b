"""Every container that holds traces is told from the others, read message by message, and written back."""

import gzip
import io
import json
import os
import subprocess
import sys
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracezip import files, unpack
from tracezip.convert.otlp_json import to_json
from tracezip.errors import InputError
from tracezip.files import CONTAINERS, read_messages, write_messages


def message(name, n_spans=1):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend([Span(name=name)] * n_spans)
    return request.SerializeToString()


MESSAGES = [message("a"), message("b", 50), message("c" * 9000)]


def prefixed(*messages):
    return b"".join(len(one).to_bytes(4, "big") + one for one in messages)


def zstd_of(data):
    return zstandard.ZstdCompressor().compress(data)


def pretty(data):
    return json.dumps(json.loads(to_json(data)), indent=2).encode()


def lines(*messages):
    return b"".join(to_json(one).encode() + b"\n" for one in messages)


def read(data):
    container, messages = read_messages(io.BytesIO(data))
    return container, list(messages)


def written(messages, container):
    out = io.BytesIO()
    write_messages(messages, out, container)
    return out.getvalue()


class Trickle(io.RawIOBase):
    """A pipe that gives one byte at a time and cannot seek."""

    def __init__(self, data):
        self._data = iter(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        for byte in self._data:
            buffer[0] = byte
            return 1
        return 0


FILES = {
    "otlp": ("otlp", MESSAGES[1], MESSAGES[1:2]),
    "otlp that is empty": ("otlp", b"", [b""]),
    "otlp with an unknown field after the spans": (
        "otlp",
        MESSAGES[0] + b"\x9a\x06\x01x",
        [MESSAGES[0] + b"\x9a\x06\x01x"],
    ),
    "length-prefixed": ("length-prefixed", prefixed(*MESSAGES), MESSAGES),
    "length-prefixed, one message": ("length-prefixed", prefixed(MESSAGES[2]), MESSAGES[2:]),
    "length-prefixed with empty messages": ("length-prefixed", prefixed(b"", *MESSAGES, b""), [b"", *MESSAGES, b""]),
    "length-prefixed, all empty": ("length-prefixed", bytes(8000), [b""] * 2000),
    "length-prefixed, several resources": ("length-prefixed", prefixed(b"".join(MESSAGES)), [b"".join(MESSAGES)]),
    "the Collector's zstd": ("length-prefixed", prefixed(*map(zstd_of, MESSAGES)), MESSAGES),
    "json": ("json", to_json(MESSAGES[1]).encode(), MESSAGES[1:2]),
    "json with a newline": ("json", lines(MESSAGES[1]), MESSAGES[1:2]),
    "json on many lines": ("json", pretty(MESSAGES[1]), MESSAGES[1:2]),
    "json after blank lines": ("json", b"\n\n  " + pretty(MESSAGES[1]) + b"\n\n", MESSAGES[1:2]),
    "json with a byte order mark": ("json", b"\xef\xbb\xbf" + lines(MESSAGES[0]), MESSAGES[:1]),
    "json that is empty": ("json", b"{}", [b""]),
    "json that is empty, on lines": ("json", b"{\n}\n", [b""]),
    "jsonl": ("jsonl", lines(*MESSAGES), MESSAGES),
    "jsonl without the last newline": ("jsonl", lines(*MESSAGES)[:-1], MESSAGES),
    "jsonl with blank lines and CRLF": ("jsonl", lines(*MESSAGES).replace(b"\n", b"\r\n\r\n"), MESSAGES),
    "json documents on many lines": ("jsonl", b"\n".join(map(pretty, MESSAGES)), MESSAGES),
    "json documents on one line": ("jsonl", lines(*MESSAGES).replace(b"\n", b""), MESSAGES),
}
WRAPPERS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip of two members": lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]),
    "zstd": zstd_of,
    "zstd of two frames": lambda data: zstd_of(data[:5]) + zstd_of(data[5:]),
    "zstd after a skippable frame": lambda data: b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc" + zstd_of(data),
}


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_container_is_recognised_and_read(name, wrapper):
    container, data, messages = FILES[name]
    if not data and wrapper == "plain":
        assert read(b"") == ("otlp", [b""])
    assert read(WRAPPERS[wrapper](data)) == (container, messages)


@pytest.mark.parametrize("name", ["otlp", "length-prefixed", "the Collector's zstd", "json on many lines", "jsonl"])
@pytest.mark.parametrize("wrapper", ["plain", "gzip", "zstd"])
def test_pipes_are_read_however_little_they_give(name, wrapper):
    container, data, messages = FILES[name]
    kind, read_back = read_messages(Trickle(WRAPPERS[wrapper](data)))
    assert (kind, list(read_back)) == (container, messages)


def test_the_stream_of_the_caller_stays_open():
    for _, data, _ in FILES.values():
        stream = io.BytesIO(gzip.compress(data))
        list(read_messages(stream)[1])
        assert not stream.closed


def test_a_message_is_given_before_the_next_is_read():
    def blocks():
        yield prefixed(message("a", 1000))
        raise AssertionError("read ahead")

    class Slow(io.RawIOBase):
        source = blocks()

        def readable(self):
            return True

        def readinto(self, buffer):
            chunk = self.rest or next(self.source)
            buffer[: len(chunk)] = chunk[: len(buffer)]
            self.rest = chunk[len(buffer) :]
            return min(len(chunk), len(buffer))

        rest = b""

    container, messages = read_messages(Slow())
    assert container == "length-prefixed"
    assert next(messages) == message("a", 1000)


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, zstd_of])
@pytest.mark.parametrize("form", [prefixed, lines])
def test_memory_holds_one_message_not_the_file(form, wrap):
    one = message("a" * 1000, 100)
    data = io.BytesIO(wrap(form(*[one] * 300)))
    tracemalloc.start()
    try:
        n_messages = sum(1 for _ in read_messages(data)[1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_messages == 300
    assert peak < 15_000_000 < 300 * len(one)


# --- what is no file of traces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04 a zip file", "it begins with 50 4b 03 04"),
        (b"test\nthis is text, and not a trace. " * 9, "it begins with 74 65 73 74"),
        (b"hello", "known are OTLP protobuf, length-prefixed"),
        (b"\0", "begins with 00"),
        (b"   ", "begins with 20 20 20"),
        (b"\0\0\0\x20ftypisom", "begins with 00 00 00 20"),
        (b"\nhello world", "104 bytes where only 10 are left at byte 1"),
        (b"\n", "not an OTLP protobuf message"),
        (b"\n" + b"\xff" * 20, "more than 5 bytes"),
        (b'[{"resourceSpans": []}]', "a JSON array; give one OTLP/JSON document"),
        (b'{"resourceMetrics": []}', 'line 1: not OTLP/JSON traces: the key "resourceSpans" is needed'),
        (b'{"resourceSpans": [}', "not JSON: Expecting value at column 20"),
        (b'{\n"resourceSpans": [\n', "not JSON: .*"),
        (b'{\n"resourceLogs": [\n]}', "'resourceLogs'"),
        (b'{"a\xff": 1}', "not UTF-8 at byte 3"),
        (b'{"resourceSpans":' + b"[" * 100_000, "nested too deep"),
        (b"\x1f\x8b\x08\x00garbage" * 3, "damaged gzip data after 0 decompressed bytes"),
        (gzip.compress(MESSAGES[0])[:-3], "damaged gzip data after"),
        (gzip.compress(MESSAGES[0]) + b"junk", "damaged gzip data after"),
        (zstd_of(MESSAGES[2])[:-3], "zstd data is cut off at byte"),
        (zstd_of(MESSAGES[2])[:6], "zstd data is cut off at byte 6"),
        (zstd_of(MESSAGES[2]) + b"junk", "zstd data"),
        (zstd_of(MESSAGES[0]) + zstd_of(MESSAGES[1])[:-1], "zstd data is cut off"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 20, "damaged zstd data before byte"),
        (zstd_of(zstd_of(MESSAGES[0])), "it begins with 28 b5 2f fd"),
    ],
)
def test_anything_else_is_an_input_error(data, what):
    with pytest.raises(InputError, match=what):
        read(data)


def read_until_error(data):
    """The messages before the error, and the error."""
    found = []
    with pytest.raises(InputError) as caught:
        found.extend(one for one in iter_into(found, read_messages(io.BytesIO(data))[1]))
    return found, caught.value


def iter_into(found, messages):
    for one in messages:
        found.append(one)
    return []


@pytest.mark.parametrize("cut", [1, 3, 5, 100])
def test_a_file_that_is_cut_off_gives_what_is_whole_and_says_where(cut):
    data = prefixed(*MESSAGES)
    found, error = read_until_error(data[: len(data) - len(MESSAGES[2]) - 4 + cut])
    assert found == MESSAGES[:2]
    assert error.offset == len(prefixed(*MESSAGES[:2]))
    assert "cut off" in str(error)


def test_a_line_that_is_damaged_is_named():
    data = lines(*MESSAGES) + b"\n" + b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "x"}]}]}]}\n'
    found, error = read_until_error(data)
    assert found == MESSAGES
    assert str(error).startswith("line 5: not OTLP/JSON traces: resourceSpans[0].scopeSpans[0].spans[0].kind: ")
    assert error.offset == len(lines(*MESSAGES)) + 1
    found, error = read_until_error(lines(*MESSAGES) + b'{"resourceSpans": [')
    assert found == MESSAGES
    assert str(error) == "line 4: not JSON: Expecting value at column 20"


def test_a_message_that_is_damaged_is_named():
    packed = [zstd_of(one) for one in MESSAGES]
    found, error = read_until_error(prefixed(packed[0], packed[1][:-1]))
    assert found == MESSAGES[:1]
    assert error.offset == len(packed[0]) + 8
    assert str(error).startswith(f"the message at byte {error.offset}: the zstd data is cut off")
    found, error = read_until_error(prefixed(packed[0], MESSAGES[1]))
    assert (found, error.offset) == (MESSAGES[:1], len(packed[0]) + 8)


def test_a_length_is_not_believed():
    """A file of nine bytes that claims 2 GiB."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="5 of the 2147483647 bytes of a message"):
            read(b"\x7f\xff\xff\xff\x0a\xff\xff\xff\x07")
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(InputError, match="more than protobuf allows"):
        read(prefixed(MESSAGES[0]) + b"\xff\xff\xff\xffabc")


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, zstd_of])
def test_a_file_that_grows_without_end_is_refused_at_the_limit(wrap, monkeypatch):
    monkeypatch.setattr(unpack, "MAX_MESSAGE_BYTES", 1 << 20)
    zeros = wrap(b"\x0a\x80\x80\x40" + bytes(1 << 26))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="the most that protobuf allows"):
            read(zeros)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_a_line_without_end_is_refused_at_the_limit(monkeypatch):
    monkeypatch.setattr(files, "MAX_MESSAGE_BYTES", 1 << 20)
    with pytest.raises(InputError, match="line 2 has more than 1048576 bytes"):
        read(lines(MESSAGES[0]) + b" " * (1 << 21) + b"{}")


def test_a_message_of_zstd_is_refused_at_the_limit(monkeypatch):
    monkeypatch.setattr(unpack, "MAX_MESSAGE_BYTES", 1 << 20)
    with pytest.raises(InputError, match="the message at byte 4: one message of more than"):
        read(prefixed(zstd_of(bytes(1 << 22))))


def test_a_stream_without_data_yet_is_an_input_error():
    class NotYet(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            return None

    with pytest.raises(InputError, match="non-blocking"):
        read_messages(NotYet())


def test_errors_of_the_file_system_are_not_hidden():
    class Failing(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            raise OSError(5, "I/O error")

    with pytest.raises(OSError, match="I/O error"):
        read_messages(Failing())


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x0a", b"{", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"\0\0\0\x08\x0a"]),
)
def test_any_file_is_messages_or_an_input_error(data, start):
    try:
        container, messages = read(start + data)
    except InputError:
        return
    assert container in CONTAINERS
    assert all(type(one) is bytes for one in messages)


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_container_comes_back(name):
    container, _, messages = FILES[name]
    assert read(written(messages, container)) == (container, messages)


@pytest.mark.parametrize("name", ["otlp", "length-prefixed", "length-prefixed with empty messages"])
def test_protobuf_comes_back_byte_for_byte(name):
    container, data, messages = FILES[name]
    assert written(messages, container) == data


def test_several_messages_are_one_where_the_container_holds_one():
    assert written(MESSAGES, "otlp") == b"".join(MESSAGES)
    assert read(written(MESSAGES, "json")) == ("json", [b"".join(MESSAGES)])


def test_no_messages_are_an_empty_file():
    plain = [container for container in CONTAINERS if container not in ("jaeger", "zipkin")]
    assert [written([], container) for container in plain] == [b"", b"", b"{}\n", b""]
    assert json.loads(written([], "jaeger"))["data"] == json.loads(written([], "zipkin")) == []


def test_json_lines_are_one_document_to_a_line():
    assert written(MESSAGES, "jsonl") == lines(*MESSAGES)


def test_a_message_that_is_not_otlp_is_named_and_nothing_of_it_is_written():
    out = io.BytesIO()
    broken = message("b", 3)[:-1]
    with pytest.raises(InputError, match="message 1: not an OTLP protobuf message") as caught:
        write_messages([MESSAGES[0], broken], out, "jsonl")
    assert out.getvalue() == lines(MESSAGES[0])
    assert caught.value.offset is not None
    with pytest.raises(InputError, match="message 0: not an OTLP protobuf message"):
        write_messages([broken], out, "json")
    assert out.getvalue() == lines(MESSAGES[0])


def test_an_unknown_container_is_an_input_error():
    with pytest.raises(InputError, match="no container 'zip'; choose one of otlp"):
        written(MESSAGES, "zip")


def test_a_message_too_large_for_a_length_is_refused(monkeypatch):
    monkeypatch.setattr(files, "MAX_MESSAGE_BYTES", 10)
    with pytest.raises(InputError, match="larger than protobuf allows"):
        written([bytes(11)], "length-prefixed")


def test_a_raw_stream_that_takes_little_at_a_time_gets_all():
    class Reluctant(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data[:7])
            return min(7, len(data))

    out = Reluctant()
    write_messages(MESSAGES, out, "length-prefixed")
    assert out.data == prefixed(*MESSAGES)
    assert not out.closed


# --- the module -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["tracezip.convert", "tracezip.files"])
def test_importing_loads_nothing_heavy(module):
    heavy = {"numpy", "zstandard", "google", "opentelemetry", "json", "gzip", "asyncio", "decimal"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert result.stdout.split() == []
