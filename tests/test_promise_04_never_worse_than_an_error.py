"""Promise 4: any input ends in data or one TracezipError that says what, where and what to do."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import independent_decoder
import msgpack
import pytest
from archives import BLOCK, END, HEADER, MESSAGES, archive, chained, frame, frames, pack, read
from backends import BACKENDS, running
from hypothesis import given, settings
from hypothesis import strategies as st

import tracezip

SMALL = archive(MESSAGES[:3])
backends = pytest.mark.parametrize("backend", BACKENDS)


def use_every_way(data: bytes) -> None:
    """All that takes archives; each may raise TracezipError and nothing else."""
    for use in (
        tracezip.decompress,
        lambda blob: tracezip.info(io.BytesIO(blob)),
        lambda blob: list(tracezip.open(io.BytesIO(blob), skip_damage=True)),
        lambda blob: tracezip.Decompressor().decompress(blob),
    ):
        with suppress(tracezip.TracezipError):
            use(data)


@given(st.binary(max_size=300))
def test_any_bytes_end_in_data_or_an_error(data: bytes) -> None:
    use_every_way(data)


@given(st.sampled_from([HEADER, BLOCK, END, 0x80 | BLOCK]), st.binary(max_size=120))
def test_any_frame_with_a_right_checksum_ends_in_data_or_an_error(kind: int, body: bytes) -> None:
    use_every_way(frame(kind, body))
    use_every_way(frame(HEADER, b"\x01\x00") + frame(kind, body))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 32))
def test_an_archive_that_lies_under_right_checksums_ends_in_data_or_an_error(seed: int) -> None:
    rng = random.Random(seed)
    parts = list(frames(rng.choice([SMALL, b"".join(chained(MESSAGES[:3]))])))
    for _ in range(rng.randint(1, 3)):
        index = rng.randrange(len(parts))
        body = bytearray(parts[index].body)
        at = rng.randrange(len(body) + 1)
        body[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
        parts[index] = parts[index]._replace(body=bytes(body))
    use_every_way(pack(parts))


@pytest.mark.parametrize("body", [b"\xc1", b"\x90", b"\x81\x01", b"\x81\x90\x01", b"\x81\xa1\xff\x01", b"\x80\x80"])
def test_metadata_that_is_no_map_of_plain_values_is_an_error(body: bytes) -> None:
    error = read(frame(HEADER, b"\x01\x00" + body)).error
    assert isinstance(error, tracezip.FormatError)
    assert error.offset == 0


def test_metadata_nested_without_end_is_an_error() -> None:
    for opening in (b"\x91", b"\x81\xa0"):
        data = frame(HEADER, b"\x01\x00\x81\xa0" + opening * 20_000 + b"\x00")
        assert isinstance(read(data).error, tracezip.FormatError)


def block_with(n_spans: int) -> bytes:
    """A block that is sound but for what it says of itself: one message of no bytes, in the section `envelope`."""
    parts = list(frames(archive([b""])))
    body = bytearray(parts[1].body)
    assert body[:4] == b"\x01\x01\x00\x00"  # flags, parts, spans, bytes
    body[2] = n_spans
    return frame(HEADER, b"\x01\x00") + frame(BLOCK, bytes(body)) + frame(END, bytes([1, 1, n_spans, 0, 0, 0]))


@backends
def test_a_block_that_says_a_wrong_number_of_spans_is_an_error_though_the_end_record_agrees(backend: str) -> None:
    with running(backend):
        assert read(block_with(n_spans=0)) == ([b""], None)
        messages, error = read(block_with(n_spans=1))
    assert (messages, type(error)) == ([], tracezip.FormatError)
    assert error is not None
    assert "0 spans and not the 1" in str(error)
    with pytest.raises(ValueError, match=r"^format: number of spans \(offset 11\)"):
        independent_decoder.decode(block_with(n_spans=1))


BEGIN = frame(HEADER, b"\x01\x00")


def zstd_block(data: bytes) -> bytes:
    """A block of one part whose section `text` is `data`, which says that it becomes 99 bytes."""
    sections = b"\x02\x00" + bytes([len(data) << 1 | 1, 99]) + data
    return BEGIN + frame(BLOCK, b"\x01\x01\x00\x00" + bytes(4) + sections)


KINDS = {
    "a zstd window over the limit": (zstd_block(b"\x00\x71\x01\x00\x00"), tracezip.LimitError),
    "a zstd frame that has a content size": (zstd_block(b"\x20\x00\x01\x00\x00"), tracezip.FormatError),
    "a zstd frame of no bytes": (zstd_block(b""), tracezip.FormatError),
    "facts nested 17 deep": (frame(HEADER, b"\x01\x00\x81\xa0" + b"\x91" * 16 + b"\x00"), tracezip.FormatError),
    "an unknown frame before all others": (frame(0x51, b""), tracezip.UnsupportedError),
    "an unknown frame behind the end": (SMALL + frame(0x51, b""), tracezip.UnsupportedError),
    "an optional frame before all others": (frame(0xD1, b""), tracezip.FormatError),
    "a block behind the end": (SMALL + frame(BLOCK, b""), tracezip.FormatError),
    "a stream header of no bytes": (frame(HEADER, b""), tracezip.FormatError),
    "a stream header of a version": (frame(HEADER, b"\x01"), tracezip.FormatError),
    "a stream header of another version": (frame(HEADER, b"\x02"), tracezip.UnsupportedError),
    "a length of six bytes": (BEGIN + b"\x8eTZB" + b"\xff" * 5 + b"\x01" + bytes(9), tracezip.FormatError),
    "a length in too many bytes, and no more": (BEGIN + b"\x8eTZB\x80\x00", tracezip.FormatError),
    "a length that is cut off": (BEGIN + b"\x8eTZB\x80", tracezip.TruncatedError),
    "a marker that is cut off": (BEGIN + b"\x8eT", tracezip.TruncatedError),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_of_an_error_is_the_one_that_format_md_gives(name: str) -> None:
    data, kind = KINDS[name]
    error = read(data).error
    assert type(error) is kind
    word = {"FormatError": "format", "LimitError": "limit", "TruncatedError": "truncated"}.get(
        kind.__name__, "unsupported"
    )
    with pytest.raises(ValueError, match=f"^{word}"):
        independent_decoder.decode(data)


def test_an_error_says_what_where_and_what_to_do() -> None:
    parts = list(frames(SMALL))
    damaged = bytearray(SMALL)
    damaged[parts[2].offset + 8] ^= 1
    error = read(bytes(damaged)).error
    assert isinstance(error, tracezip.ChecksumError)
    assert (error.offset, error.code) == (parts[2].offset, "checksum")
    assert f"byte {error.offset}" in str(error)
    cut = read(SMALL[: parts[2].end - 1]).error
    assert isinstance(cut, tracezip.TruncatedError)
    assert (cut.offset, cut.code) == (parts[2].offset, "truncated")


@pytest.mark.parametrize(
    "data", [b"\x00" * 20, b"PK\x03\x04" + b"\x00" * 20, b"{}", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"]
)
def test_what_is_no_archive_is_called_so(data: bytes) -> None:
    error = read(data).error
    assert isinstance(error, tracezip.FormatError)
    assert "not tracezip data" in str(error)


def test_junk_behind_an_archive_is_an_error_and_not_silence() -> None:
    for junk in (b"junk", b"\x00", SMALL[4:], MESSAGES[0]):
        messages, error = read(SMALL + junk)
        assert messages == MESSAGES[:3]
        assert isinstance(error, tracezip.FormatError)
        assert error.offset == len(SMALL)


def test_errors_are_also_what_callers_already_catch() -> None:
    with pytest.raises(EOFError):
        tracezip.decompress(b"")
    with pytest.raises(ValueError, match="no frame"):
        tracezip.decompress(b"nothing of ours")


# --- objects that have raised -----------------------------------------------------------------------------------------


def dead_reader() -> Callable[[], Any]:
    reader = tracezip.open(io.BytesIO(SMALL[:-1]))
    with pytest.raises(tracezip.TruncatedError):
        list(reader)
    return lambda: next(reader)


def dead_decompressor() -> Callable[[], Any]:
    decompressor = tracezip.Decompressor()
    with pytest.raises(tracezip.FormatError):
        decompressor.decompress(b"nonsense")
    return lambda: decompressor.decompress(SMALL)


def dead_writer() -> Callable[[], Any]:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    writer = tracezip.open(Full(), "wb")
    writer.write(MESSAGES[0])
    with pytest.raises(OSError, match="No space"):
        writer.flush()
    return lambda: writer.write(MESSAGES[0])


def finished_compressor() -> Callable[[], Any]:
    compressor = tracezip.Compressor()
    compressor.finish()
    return lambda: compressor.compress(MESSAGES[0])


def closed_writer() -> Callable[[], Any]:
    with tracezip.open(io.BytesIO(), "wb") as writer:
        pass
    return writer.flush


def closed_reader() -> Callable[[], Any]:
    with tracezip.open(io.BytesIO(SMALL)) as reader:
        pass
    return lambda: next(reader)


@pytest.mark.parametrize(
    "make", [dead_reader, dead_decompressor, dead_writer, finished_compressor, closed_writer, closed_reader]
)
def test_a_dead_or_closed_object_says_so(make: Callable[[], Callable[[], Any]]) -> None:
    use = make()
    for _ in range(2):
        with pytest.raises(tracezip.UsageError, match="make a new one"):
            use()


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda: tracezip.compress(b"", level=0),
        lambda: tracezip.compress(b"", level=10),
        lambda: tracezip.compress(b"", level="3"),  # type: ignore[arg-type]
        lambda: tracezip.compress(b"", dictionary_threshold=0),
        lambda: tracezip.compress(3),
        lambda: tracezip.decompress("text"),  # type: ignore[arg-type]
        lambda: tracezip.decompress(SMALL, max_output_size=-1),
        lambda: tracezip.open(io.BytesIO(), "rw"),  # type: ignore[call-overload]
        lambda: tracezip.open(io.BytesIO(), "wb", metadata=[1]),  # type: ignore[arg-type]
        lambda: tracezip.open(io.BytesIO(), "wb", metadata={"a": object()}),
        lambda: tracezip.open(io.BytesIO(), "wb", metadata={1: 2}),  # type: ignore[dict-item]
        lambda: tracezip.open(io.BytesIO(), "wb", metadata={"a": 1 << 70}),
        lambda: tracezip.open(io.BytesIO(), "wb", metadata={"a": "\ud800"}),
        lambda: tracezip.open(io.BytesIO(), "wb", metadata={"a": "x" * 70_000}),
        lambda: tracezip.open(io.StringIO(), "wb"),
        lambda: tracezip.open(io.StringIO("text")),
        lambda: tracezip.open(object()),
        lambda: tracezip.open(object(), "wb"),
    ],
)
def test_a_wrong_argument_is_one_of_our_errors(use: Callable[[], object]) -> None:
    with pytest.raises(tracezip.InputError):
        use()


def test_what_is_no_trace_is_refused_and_the_object_lives_on() -> None:
    file = io.BytesIO()
    with tracezip.open(file, "wb") as writer:
        writer.write(MESSAGES[0])
        with pytest.raises(tracezip.InputError):
            writer.write({"no": "trace", "resourceSpans": 3})
        writer.write(MESSAGES[1])
    assert read(file.getvalue()) == (MESSAGES[:2], None)
    compressor = tracezip.Compressor()
    with pytest.raises(tracezip.InputError):
        compressor.compress(object())
    assert tracezip.decompress(compressor.compress(MESSAGES[0]) + compressor.finish()) == MESSAGES[0]


def test_a_stream_that_would_block_is_an_error() -> None:
    class Empty(io.RawIOBase):
        def read(self, size: int = -1) -> None:
            return None

    with pytest.raises(tracezip.InputError, match="non-blocking"):
        tracezip.open(Empty())


def test_metadata_comes_back_as_it_was() -> None:
    metadata = {"container": "jsonl", "n": [1, -2, 2.5, None, True, b"\x00"], "deep": {"er": {}}}
    data = archive(metadata=metadata)
    with tracezip.open(io.BytesIO(data)) as reader:
        assert reader.metadata == metadata
    assert msgpack.unpackb(next(iter(frames(data))).body[2:])["metadata"] == metadata
