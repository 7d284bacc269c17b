"""Jaeger's and Zipkin's files are told from OTLP's, read as streams, compressed, and given back as the same traces."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from click.testing import CliRunner
from held import EXAMPLE

import tracezip
from tracezip.cli import main
from tracezip.convert.json_stream import CHUNK_BYTES, JsonStream
from tracezip.convert.messages import encode_plain_spans
from tracezip.convert.spans import Span, read_spans
from tracezip.errors import InputError
from tracezip.files import ZIPKIN_MESSAGE_SPANS, read_messages, write_messages

OTHERS = ("jaeger", "zipkin")
WRAPPERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "after white space": lambda data: b" \n\t" + data,
    "after a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "on many lines": lambda data: json.dumps(json.loads(data), indent=1).encode(),
    "on one line": lambda data: json.dumps(json.loads(data)).encode(),
    "with a newline after it": lambda data: data + b"\n\n",
}


def trace(number: int, n_spans: int = 3) -> list[Span]:
    ids = [(number << 32 | index).to_bytes(8, "big") for index in range(1, n_spans + 1)]
    return [replace(EXAMPLE, trace_id=number.to_bytes(16, "big"), span_id=span_id) for span_id in ids]


TRACES = [trace(number) for number in range(1, 5)]
SPANS = [span for one in TRACES for span in one]


def document(container: str, traces: list[list[Span]]) -> bytes:
    out = io.BytesIO()
    write_messages(map(encode_plain_spans, traces), out, container)
    return out.getvalue()


def read(data: bytes) -> tuple[str, list[bytes]]:
    container, messages = read_messages(io.BytesIO(data))
    return container, list(messages)


@pytest.mark.parametrize("container", OTHERS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_files_are_recognised_and_read(container: str, wrapper: str) -> None:
    kind, messages = read(WRAPPERS[wrapper](document(container, TRACES)))
    assert kind == container
    assert [span for one in messages for span in read_spans(one)] == SPANS


def test_a_trace_of_jaeger_is_a_message() -> None:
    assert [list(read_spans(one)) for one in read(document("jaeger", TRACES))[1]] == TRACES


def test_so_many_spans_of_zipkin_are_a_message() -> None:
    messages = read(document("zipkin", [trace(1, ZIPKIN_MESSAGE_SPANS * 2 + 1)]))[1]
    counts = [len(list(read_spans(one))) for one in messages]
    assert counts == [ZIPKIN_MESSAGE_SPANS, ZIPKIN_MESSAGE_SPANS, 1]


@pytest.mark.parametrize("container", OTHERS)
def test_a_file_without_traces_is_read_and_given_back(container: str) -> None:
    data = document(container, [])
    assert read(data) == (container, [])
    assert document(container, []) == data


@pytest.mark.parametrize("key", ["data", "total", "errors"])
def test_jaeger_is_known_by_any_of_its_keys(key: str) -> None:
    keys = {key: None, "data": [], "limit": 0}
    assert read(json.dumps({name: [] if name == "data" else None for name in keys}).encode()) == ("jaeger", [])


def test_traces_whose_spans_are_in_many_messages_are_written_whole() -> None:
    out = io.BytesIO()
    messages = [encode_plain_spans([one[index] for one in TRACES]) for index in range(3)]
    write_messages(messages, out, "jaeger")
    assert [list(read_spans(one)) for one in read(out.getvalue())[1]] == TRACES


# --- commands ---------------------------------------------------------------------------------------------------------


def invoke(*arguments: str, status: int = 0) -> Any:
    result = CliRunner().invoke(main.cli, arguments)
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("container", OTHERS)
def test_a_file_is_compressed_and_comes_back(container: str, here: Path) -> None:
    data = document(container, TRACES)
    Path("traces.json").write_bytes(data)
    invoke("compress", "traces.json")
    Path("traces.json").unlink()
    invoke("decompress", "traces.json.tzip")
    assert Path("traces.json").read_bytes() == data


@pytest.mark.parametrize("container", OTHERS)
def test_an_archive_can_be_written_as_the_others_have_it(container: str, here: Path) -> None:
    with tracezip.open("a.tzip", "wb") as writer:
        for one in TRACES:
            writer.write(encode_plain_spans(one))
    invoke("decompress", "a.tzip", "--container", container, "-o", "out.json")
    assert Path("out.json").read_bytes() == document(container, TRACES)


def test_a_span_that_zipkin_does_not_take_leaves_no_file_behind(here: Path) -> None:
    with tracezip.open("a.tzip", "wb") as writer:
        writer.write(encode_plain_spans([replace(EXAMPLE, span_id=b"")]))
    result = invoke("decompress", "a.tzip", "--container", "zipkin", "-o", "out.json", status=1)
    assert "Zipkin takes no other than 8 bytes that are not all zero; choose another format" in result.stderr
    assert not Path("out.json").exists()


@pytest.mark.parametrize("data", [b'{"data": [{"spans": [5]}]}', b'[{"traceId": 5}]', b"[{]"])
def test_a_bad_file_is_named_with_its_place_and_leaves_nothing_behind(data: bytes, here: Path) -> None:
    Path("bad.json").write_bytes(data)
    result = invoke("compress", "bad.json", status=1)
    assert "bad.json: " in result.stderr
    assert "[0]" in result.stderr or "line 1, column" in result.stderr
    assert [path.name for path in here.iterdir()] == ["bad.json"]


# --- streaming --------------------------------------------------------------------------------------------------------


class Pieces(io.RawIOBase):
    """A pipe that gives a piece at a time, of a document that is made while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._pieces, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def endless(container: str, n_traces: int) -> Iterator[bytes]:
    data = document(container, [trace(1, 50)]).strip()
    begin, end = (b'{"data":[', b"]}") if container == "jaeger" else (b"[", b"]")
    one = json.dumps(json.loads(data)["data"])[1:-1].encode() if container == "jaeger" else data[1:-1]
    yield begin
    for number in range(n_traces):
        yield (b"," if number else b"") + one
    yield end


@pytest.mark.parametrize("container", OTHERS)
def test_memory_holds_a_trace_not_the_file(container: str) -> None:
    tracemalloc.start()
    try:
        kind, messages = read_messages(Pieces(endless(container, 100)))  # type: ignore[arg-type]  # it has no more than `read`
        n_spans = sum(len(list(read_spans(one))) for one in messages)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (kind, n_spans) == (container, 5000)
    assert peak < 8_000_000


@pytest.mark.parametrize("container", OTHERS)
def test_a_stream_may_give_one_byte_at_a_time(container: str) -> None:
    data = document(container, TRACES[:2])
    kind, messages = read_messages(Pieces(bytes([byte]) for byte in data))  # type: ignore[arg-type]  # likewise
    assert kind == container
    assert [span for one in messages for span in read_spans(one)] == [*TRACES[0], *TRACES[1]]


# --- JSON, value by value ---------------------------------------------------------------------------------------------


class Trickle(io.BytesIO):
    """Gives at most three bytes, whatever is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3)


VALUES = [
    0,
    -1.5e300,
    True,
    None,
    'caf\u00e9 \U0001f600 \\ " \n',
    [],
    {},
    [[1], {"a": [None]}],
    {"k": {"\u2028": 12345678}},
]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_values_cut_anywhere_are_whole(ascii_only: bool) -> None:
    text = json.dumps({"skipped": VALUES, "data": VALUES}, ensure_ascii=ascii_only, indent=1)
    stream = JsonStream(Trickle(text.encode()))
    found = {key: list(stream.items()) if key == "data" else stream.value() for key in stream.members()}
    stream.end()
    assert found == {"skipped": VALUES, "data": VALUES}


def test_a_value_longer_than_a_step_takes_linear_time_and_is_whole() -> None:
    long = "x" * (CHUNK_BYTES * 20)
    assert list(JsonStream(io.BytesIO(json.dumps([long, [long]]).encode())).items()) == [long, [long]]


def test_lines_and_columns_are_right_far_into_a_file() -> None:
    text = "[\n" + "1,\n" * CHUNK_BYTES + "  ?]"
    with pytest.raises(InputError, match=f"Expecting value at line {CHUNK_BYTES + 2}, column 3;"):
        list(JsonStream(io.BytesIO(text.encode())).items())


def test_what_cannot_become_right_is_said_before_the_rest_is_read() -> None:
    def pieces() -> Iterator[bytes]:
        yield b'[{"a": ?' + b" " * (CHUNK_BYTES * 2)
        raise AssertionError("read on")

    with pytest.raises(InputError, match="Expecting value at line 1, column 8"):
        list(JsonStream(io.BufferedReader(Pieces(pieces()))).items())


# --- anything else ----------------------------------------------------------------------------------------------------

JUNK = [None, True, -1, 1 << 70, 0.5, float("nan"), "", "x", "\ud800", [], [[]], {}, {"key": {}}, "9" * 5000]


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in a document and each of its keys."""
    for key in list(document) if isinstance(document, dict) else range(len(document)):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from places(document[key])


@pytest.mark.parametrize("container", OTHERS)
def test_any_value_in_any_place_is_traces_or_one_error(container: str) -> None:
    document_ = json.loads(document(container, [trace(1, 1)]))
    n_good = 0
    for owner, key in list(places(document_)):
        kept = owner[key]
        for junk in JUNK:
            owner[key] = junk
            with suppress(InputError):
                messages = read(json.dumps(document_).encode())[1]
                n_good += sum(len(list(read_spans(one))) for one in messages)
        owner[key] = kept
    assert n_good > 100


@pytest.mark.parametrize("container", OTHERS)
def test_a_file_that_is_cut_off_is_an_error(container: str) -> None:
    data = document(container, [trace(1, 1)]).strip()
    for cut in range(len(b'{"data":['), len(data)):
        with pytest.raises(InputError):
            read(data[:cut])
