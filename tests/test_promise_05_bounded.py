"""Promise 5: memory is bounded by limits checked before allocation; decoding has an output limit by default."""

from __future__ import annotations

import inspect
import io
import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from archives import BLOCK, HEADER, MARKER, MESSAGES, archive, chained, field, frame, frames, message, read, varint

import tracezip
from benchmarks import peak
from tracezip import limits

MIB = 1 << 20
BEGIN = frame(HEADER, b"\x01\x00")


KERNEL_LIMIT = re.compile(r"#define TZ_(\w+) +\(?(\d+)u?(?: << (\d+)\))?")


def block(n_parts: int = 1, n_spans: int = 0, n_bytes: int = 0, sections: bytes = b"\x00") -> bytes:
    numbers = varint(n_parts) + varint(n_spans) + varint(n_bytes)
    return frame(BLOCK, b"\x01" + numbers + bytes(4) + sections)


def zstd_text(raw_size: int, data: bytes) -> bytes:
    """Sections of which only `text` holds something."""
    return b"\x02\x00" + varint(len(data) << 1 | 1) + varint(raw_size) + data


def magicless(data: bytes, window_log: int = 20) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=window_log, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=False
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


HOSTILE = {
    "a frame of 256 MiB that is not there": BEGIN + MARKER + b"B" + varint(1 << 28),
    "a frame beyond all limits": BEGIN + MARKER + b"B" + varint((1 << 28) + 1),
    "a header of 1 MiB": MARKER + b"H" + varint(MIB) + bytes(MIB),
    "an end record of 1 MiB": BEGIN + MARKER + b"E" + varint(MIB) + bytes(MIB),
    "parts without end": BEGIN + block(n_parts=(1 << 16) + 1),
    "spans without end": BEGIN + block(n_spans=(1 << 16) + 1),
    "more bytes than a group may have": BEGIN + block(n_bytes=(64 << 20) + 1),
    "64 MiB in a block without sections": BEGIN + block(n_bytes=64 << 20),
    "a section larger than its block": BEGIN + block(n_bytes=99, sections=b"\x01" + varint(1 << 40)),
    "zstd: 200 MiB out of nothing": BEGIN + block(n_bytes=64 << 20, sections=zstd_text(200 << 20, b"\0\0\0\0\0")),
    "zstd: much for a small block": BEGIN + block(n_bytes=9, sections=zstd_text(MIB, magicless(bytes(MIB)))),
    "zstd: more than it says": BEGIN + block(n_bytes=MIB, sections=zstd_text(99, magicless(bytes(64 * MIB)))),
    "zstd: a window of 64 MiB": BEGIN
    + block(n_bytes=64 << 20, sections=zstd_text(65 * MIB, magicless(bytes(65 * MIB), 26))),
    "metadata: an array of 4 billion": frame(HEADER, b"\x01\x00\x81\xa1a\xdd\xff\xff\xff\xff"),
    "metadata: 4 GiB of text": frame(HEADER, b"\x01\x00\x81\xa1a\xdb\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_headers_allocate_nothing(data: bytes) -> None:
    read(BEGIN)  # imports and caches
    tracemalloc.start()
    messages, error = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not messages
    assert isinstance(error, tracezip.FormatError | tracezip.LimitError)
    assert peak < 4 * len(data) + 4 * MIB


def test_output_has_a_limit_by_default() -> None:
    default = inspect.signature(tracezip.decompress).parameters["max_output_size"].default
    assert default == limits.DEFAULT_MAX_OUTPUT_BYTES == 2 << 30
    assert inspect.signature(tracezip.Decompressor).parameters["max_output_size"].default == default


def test_the_output_limit_is_exact_and_says_how_to_go_on() -> None:
    data, n_bytes = archive(), sum(map(len, MESSAGES))
    assert tracezip.decompress(data, max_output_size=n_bytes) == b"".join(MESSAGES)
    assert tracezip.decompress(data, max_output_size=None) == b"".join(MESSAGES)
    with pytest.raises(tracezip.LimitError, match="max_output_size"):
        tracezip.decompress(data, max_output_size=n_bytes - 1)
    messages, error = read(data, max_output_size=len(MESSAGES[0]) * 3, skip_damage=True)
    assert messages == MESSAGES[:3]
    assert isinstance(error, tracezip.LimitError)


def test_the_output_limit_of_a_decompressor_counts_for_each_call() -> None:
    decompressor = tracezip.Decompressor(max_output_size=max(map(len, MESSAGES)))
    assert [decompressor.decompress(data) for data in chained()] == [*MESSAGES, b""]
    with pytest.raises(tracezip.LimitError):
        tracezip.Decompressor(max_output_size=10).decompress(chained()[0])


@pytest.mark.parametrize("name", ["MAX_GROUP_SPANS", "MAX_GROUP_BYTES", "MAX_GROUP_BLOCKS"])
def test_a_restart_group_of_a_stream_never_grows_beyond_its_limits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"MAX_GROUP_SPANS": 5, "MAX_GROUP_BYTES": 2 * len(MESSAGES[0]) + 9, "MAX_GROUP_BLOCKS": 2}
    monkeypatch.setattr(limits, name, small[name])
    data = b"".join(chained())
    assert read(data) == (MESSAGES, None)  # the reader has the same limits
    restarts = [part.body[0] & 1 for part in frames(data) if part.kind == BLOCK]
    assert restarts == [1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("name", ["MAX_GROUP_SPANS", "MAX_GROUP_BYTES", "MAX_GROUP_BLOCKS"])
def test_a_restart_group_beyond_its_limits_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(chained())
    small = {"MAX_GROUP_SPANS": 5, "MAX_GROUP_BYTES": 2 * len(MESSAGES[0]) + 9, "MAX_GROUP_BLOCKS": 2}
    monkeypatch.setattr(limits, name, small[name])
    messages, error = read(data)
    assert messages == MESSAGES[:2]
    assert isinstance(error, tracezip.LimitError)


def test_a_message_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PART_BYTES", 1000)
    monkeypatch.setattr(limits, "BLOCK_BYTES", 2000)
    data = archive([b"\xff" * 10_000])
    assert read(data) == ([b"\xff" * 10_000], None)
    monkeypatch.setattr(limits, "MAX_MESSAGE_BYTES", 5000)
    assert isinstance(read(data).error, tracezip.LimitError)


class Endless(io.RawIOBase):
    """A file that counts and forgets."""

    def __init__(self) -> None:
        self.n_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        n_bytes = memoryview(data).nbytes  # type: ignore[arg-type]
        self.n_bytes += n_bytes
        return n_bytes


def test_memory_of_writing_without_end_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_SPANS", 1500)
    peaks = []
    with tracezip.open(Endless(), "wb") as writer:
        for number in range(80):
            if number == 0:  # what is allocated once has been allocated
                tracemalloc.start()
            writer.write(message(number, n_spans=500))
            if number % 20 == 0 and number > 20:
                peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[-1] < 1.3 * peaks[0] + 100_000


def test_memory_of_reading_without_end_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    one = archive([message(number, n_spans=500) for number in range(4)])

    class Repeated(io.RawIOBase):
        def __init__(self) -> None:
            self.data = self.pieces()
            self.rest = b""

        def pieces(self) -> Iterator[bytes]:
            for _ in range(40):
                yield one

        def read(self, size: int = -1) -> bytes:
            self.rest = self.rest or next(self.data, b"")
            piece, self.rest = self.rest[:size], self.rest[size:]
            return piece

    peaks = []
    with tracezip.open(Repeated()) as reader:
        for number, _ in enumerate(reader):
            if number == 0:
                tracemalloc.start()
            if number % 20 == 19:
                peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[-1] < 1.3 * peaks[0] + 100_000


def test_recovery_takes_no_more_than_linear_time() -> None:
    start = time.process_time()
    false_frames = (MARKER + b"B" + varint(1 << 20)) * 300_000
    read(BEGIN + false_frames, skip_damage=True)
    assert time.process_time() - start < 20


def keys_of_one_trace(n_spans: int) -> bytes:
    """Spans of one trace, each with keys of its own, of which each has one value or another."""
    spans = [
        b"".join(field(9, field(1, b"%d.%d" % (span, key)) + field(2, field(1, value))) for key in range(60))
        for value in (b"one", b"two", b"one", b"two")
        for span in range(n_spans)
    ]
    return field(1, field(2, b"".join(field(2, field(1, b"t" * 16) + attributes) for attributes in spans)))


def test_many_keys_in_one_trace_take_no_more_than_linear_time() -> None:
    seconds = []
    for data in (keys_of_one_trace(100), keys_of_one_trace(1600)):
        times = []
        for _ in range(3):
            start = time.process_time()
            assert tracezip.decompress(tracezip.compress(data)) == data
            times.append(time.process_time() - start)
        seconds.append(min(times))
    assert seconds[1] < 16 * 3 * seconds[0]


def test_large_resources_are_not_kept_by_a_writer() -> None:
    def request(number: int) -> bytes:
        attribute = field(1, b"k") + field(2, field(1, b"%d" % number * 100_000))
        return field(1, field(1, field(1, attribute)) + field(2, field(2, b"")))

    before = peak.reset()
    if before is None:
        pytest.skip("this system does not tell the peak of a process's memory")
    peaks = []
    with tracezip.open(Endless(), "wb") as writer:
        for number in range(1000, 1300):
            writer.write(request(number))
            writer.flush()
            if number in (1049, 1299):
                peaks.append(peak.since(before))
    assert peaks[1] < peaks[0] + 30 * MIB


def test_the_kernels_take_whatever_the_limits_allow() -> None:
    text = (Path(__file__).parent.parent / "csrc" / "format_limits.h").read_text()
    numbers = {name: int(value) << int(shift or 0) for name, value, shift in KERNEL_LIMIT.findall(text)}
    assert numbers["MAX_MESSAGES"] >= limits.MAX_BLOCK_PARTS
    assert numbers["MAX_SPANS"] >= limits.MAX_GROUP_SPANS
    assert numbers["MAX_ROWS"] >= 2 * limits.BLOCK_ROWS


def test_format_md_gives_every_limit() -> None:
    chapter = (Path(__file__).parent.parent / "FORMAT.md").read_text().split("\n## Limits")[1].split("\n## ")[0]
    for name, value in vars(limits).items():
        if name.startswith("MAX_") and "LEVEL" not in name and isinstance(value, int):
            assert f"{value:,}" in chapter, name
