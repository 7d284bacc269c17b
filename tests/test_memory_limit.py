"""`memory` says what is held, and `memory_limit` bounds it: over long streams, for huge messages, in both backends."""

from __future__ import annotations

import ctypes
import gc
import io
import random
from collections.abc import Iterator

import pytest
from archives import field
from backends import BACKENDS, running
from id_makers import PYTHON, Row, node_process, python_process, spans
from otlp_maker import Maker, fixed64
from test_find_generators import Both

import tracezip
from tracezip import _native
from tracezip.begin import preset
from tracezip.errors import InputError
from tracezip.options import checked_size
from tracezip.stream.encoder import StreamEncoder

LIMIT = 4_000_000


def span(r: random.Random, now: int, text: bytes) -> bytes:
    ids = field(1, r.randbytes(16)) + field(2, r.randbytes(8)) + field(4, r.randbytes(8))
    attribute = field(1, b"db.statement") + field(2, field(1, text))
    return ids + field(5, b"SELECT") + fixed64(7, now) + fixed64(8, now + r.randrange(10**6)) + field(9, attribute)


def message(r: random.Random, n_spans: int, text_bytes: int) -> bytes:
    """Of spans with random ids and a text that no other one has."""
    texts = (r.randbytes(text_bytes // 2).hex().encode() for _ in range(n_spans))
    rows = b"".join(field(2, span(r, 10**18 + r.randrange(10**9), text)) for text in texts)
    resource = field(1, field(1, field(1, b"service.name") + field(2, field(1, b"shop"))))
    return field(1, resource + field(2, rows))


def long_stream(n_messages: int, n_spans: int = 512, text_bytes: int = 60) -> Iterator[bytes]:
    r = random.Random(n_messages)
    return (message(r, n_spans, text_bytes) for _ in range(n_messages))


# --- what is held -----------------------------------------------------------------------------------------------------


class MallInfo(ctypes.Structure):
    """Of glibc's mallinfo2, which is the first to count more than 2 GiB."""

    _fields_ = [
        (name, ctypes.c_size_t) for name in ("arena", "o", "s", "hblks", "hblkhd", "u", "f", "uordblks", "e", "k")
    ]


def allocated() -> int:
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("this C library does not tell what malloc has given out")
    mallinfo.restype = MallInfo
    gc.collect()
    found = mallinfo()
    return int(found.uordblks + found.hblkhd)


def test_the_memory_of_encoder_and_decoder_is_what_malloc_gave_them() -> None:
    messages = list(long_stream(12))
    _native.Encoder(preset(), 2, 3)
    before = allocated()
    encoder, decoder = _native.Encoder(preset(), 2, 3), _native.Decoder(preset())
    for data in messages:
        encoder.add(data)
        decoder.decode(encoder.encode(), len(data))
    held = encoder.memory + decoder.memory
    assert held > 4_000_000
    assert abs(allocated() - before - held) < held / 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_grows_with_what_is_known(backend: str) -> None:
    with running(backend):
        compressor, decompressor = tracezip.Compressor(), tracezip.Decompressor()
        was = compressor.memory, decompressor.memory
        for data in long_stream(3, 100, 200):
            decompressor.decompress(compressor.compress(data))
        assert compressor.memory > was[0] > 0
        assert decompressor.memory > was[1] > 0


def test_memory_of_an_encoder_with_threads_can_be_asked_for_while_they_work() -> None:
    stream = StreamEncoder(3, 2, threads=2)
    for data in long_stream(40):
        for _ in stream.add(data):
            assert stream.memory > 100_000
    stream.end()
    stream.close()


# --- the limit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "level"), [("4MB", 3), ("4MB", 9), ("8MB", 3), ("16MB", 1)])
def test_both_ends_of_a_long_stream_stay_below_the_limit(limit: str, level: int) -> None:
    compressor, decompressor = tracezip.Compressor(level, memory_limit=limit), tracezip.Decompressor()
    most = checked_size("memory_limit", limit, 0, 1 << 40)
    n_bytes = 0
    for data in long_stream(most // 30_000):
        frames = compressor.compress(data)
        n_bytes += len(data)
        assert decompressor.decompress(frames) == data
        assert compressor.memory < most
        assert decompressor.memory < most
    assert n_bytes > 2 * most


@pytest.mark.parametrize("threads", [1, 2])
def test_an_archive_is_written_below_the_limit(threads: int) -> None:
    limit = LIMIT * (1 if threads == 1 else threads + 1)
    stream = StreamEncoder(3, 2, indexed=True, threads=threads, memory_limit=limit)
    messages = list(long_stream(100))
    frames = [stream.header]
    for data in messages:
        frames += stream.add(data)
        assert stream.memory < limit
    frames.append(stream.end())
    stream.close()
    assert list(tracezip.open(io.BytesIO(b"".join(frames)))) == messages
    file = io.BytesIO()
    with tracezip.open(file, "wb", threads=threads, memory_limit=limit) as writer:
        for data in messages:
            writer.write(data)
    assert list(tracezip.open(io.BytesIO(file.getvalue()))) == messages


def test_a_process_that_draws_its_ids_from_a_generator_does_not_lift_the_memory_over_the_limit() -> None:
    compressor = tracezip.Compressor(memory_limit=LIMIT)
    for process in (node_process(1), python_process(2)):
        rows = spans(0, process, 12_000, PYTHON)
        for at in range(0, len(rows), 500):
            compressor.compress(of_rows(rows[at : at + 500]))
            assert compressor.memory < LIMIT


def of_rows(rows: list[Row]) -> bytes:
    def of(row: Row) -> bytes:
        ids = field(1, row.hi.to_bytes(8, "big") + row.lo.to_bytes(8, "big")) + field(2, row.id.to_bytes(8, "big"))
        parent = field(4, row.parent.to_bytes(8, "big")) if row.parent else b""
        return ids + parent + field(5, b"work") + fixed64(7, row.start) + fixed64(8, row.start + 1000)

    return field(1, field(2, b"".join(field(2, of(row)) for row in rows)))


def test_a_huge_message_is_cut_and_stays_below_the_limit() -> None:
    data = message(random.Random(1), 20_000, 400)
    assert len(data) > 2 * LIMIT
    stream = StreamEncoder(3, 2, chained=True, memory_limit=LIMIT)
    frames = [stream.header]
    for frame in stream.add(data):
        frames.append(frame)
        assert stream.memory < LIMIT
    assert tracezip.decompress(b"".join([*frames, stream.end()])) == data


def test_a_span_that_cannot_be_cut_is_kept_below_the_limit_as_well() -> None:
    data = message(random.Random(2), 2, 3_000_000)
    compressor = tracezip.Compressor(memory_limit=LIMIT)
    assert tracezip.Decompressor().decompress(compressor.compress(data)) == data
    assert compressor.memory < LIMIT


def test_both_backends_write_the_same_below_a_limit() -> None:
    messages = list(long_stream(14, 100, 1500)) + [Maker(seed).message() for seed in range(60)]
    written = []
    for backend in BACKENDS:
        with running(backend):
            compressor = tracezip.Compressor(memory_limit=LIMIT)
            written.append([compressor.compress(data) for data in messages])
            for data, frames in zip(messages, written[-1], strict=True):
                assert not data or frames
    assert written[0] == written[1]
    unlimited = tracezip.Compressor()
    assert written[0] != [unlimited.compress(data) for data in messages], "no restart group ended early"


def test_the_limit_and_not_chance_decides_what_is_written() -> None:
    one, two = tracezip.Compressor(memory_limit="5MB"), tracezip.Compressor(memory_limit=5_000_000)
    assert all(one.compress(data) == two.compress(data) for data in long_stream(30))


def test_with_smaller_tables_both_backends_find_the_same_generators() -> None:
    both = Both(halvings=5)
    rows = [*spans(0, node_process(3), 6000, PYTHON), *spans(1, python_process(4), 6000, PYTHON)]
    assert both.blocks(rows).told


# --- what may be asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limit", [0, -1, 3_999_999, "3MB", "ten", "10 MBit", "MB", "1e7", "-5MB", "", 1.5, b"10MB", []]
)
def test_a_limit_that_is_none_is_refused_with_a_hint(limit: object) -> None:
    with pytest.raises(InputError, match="memory_limit must be") as refused:
        tracezip.Compressor(memory_limit=limit)  # type: ignore[arg-type]
    assert refused.value.code == "argument"


def test_a_dictionary_that_leaves_no_room_is_refused_with_a_hint() -> None:
    dictionary = tracezip.train_dictionary(list(long_stream(8, 512, 800)))
    with pytest.raises(InputError, match="raise memory_limit") as refused:
        tracezip.Compressor(dictionary=dictionary, memory_limit=LIMIT)
    assert refused.value.code == "argument"
    compressor = tracezip.Compressor(dictionary=dictionary, memory_limit="32MB")
    decompressor = tracezip.Decompressor(dictionary=dictionary)
    for data in long_stream(9):
        assert decompressor.decompress(compressor.compress(data)) == data


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("10MB", 10**7),
        ("10mb", 10**7),
        (" 10 M ", 10**7),
        ("1.5GB", 1_500_000_000),
        ("8MiB", 8 << 20),
        ("512KiB", 512 << 10),
        ("300kB", 300_000),
        ("77", 77),
        ("2G", 2 * 10**9),
        (123, 123),
    ],
)
def test_sizes_are_read_with_decimal_and_binary_units(text: str | int, n_bytes: int) -> None:
    assert checked_size("size", text, 0, 1 << 40) == n_bytes
