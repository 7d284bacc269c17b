"""What a span costs, and how much memory, as a file grows: ``python -m benchmarks.growth`` is one such measurement.

Spans are made one message at a time (`benchmarks.fresh`), outside the time that counts, and go through a file on disk,
so that memory is what the codec itself keeps.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from benchmarks import peak, peers
from benchmarks.child import load, run_module, save
from benchmarks.data import TraceFile
from benchmarks.fresh import base_of, grow
from benchmarks.measure import NotExactError

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
CODECS = ("zstd -3", "tracezip -1", "tracezip -3")
PEERS = ("stef", "otel-arrow")
MAX_PEER_SPANS = 1_000_000
RUNS = 3  # the fastest counts,
ONCE_FROM = 100_000  # but of files longer than this there is only one


@dataclass(frozen=True)
class Growth:
    """One codec on one file's spans, so many of them. Sizes in bytes, times in CPU seconds."""

    file: str
    codec: str
    n_spans: int
    raw_bytes: int
    stored_bytes: int
    compress_s: float
    decompress_s: float
    compress_peak: int | None
    decompress_peak: int | None


class Stopwatch:
    """CPU time between `run`s, added up."""

    seconds = 0.0

    def run(self, action: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = action()
        self.seconds += time.process_time() - start
        return result


def measure_growth(file: TraceFile, folder: Path, max_spans: int, program: Path | None) -> Iterator[Growth]:
    base = base_of(file)
    saved = save(base, folder)
    for n_spans in (size for size in SIZES if size <= max_spans):
        for codec in CODECS:
            yield Growth(file.name, codec, **run_module("benchmarks.growth", str(saved), codec, str(n_spans)))
        if program and n_spans <= MAX_PEER_SPANS:
            yield from measure_peers(program, file, base, folder, n_spans)


def measure_peers(program: Path, file: TraceFile, base: Any, folder: Path, n_spans: int) -> Iterator[Growth]:
    """The peers read all of a file into memory, which is not counted, and keep all that they make of it, which is."""
    source = folder / "peers-growth"
    with source.open("wb") as target:
        target.writelines(len(message).to_bytes(4, "big") + message for message in grow(base, n_spans))
    for codec in PEERS:
        found = peers.measure_one(program, codec, source, RUNS if n_spans <= ONCE_FROM else 1)
        times = (found["unmarshal_s"] + found["encode_s"], found["decode_s"])
        peaks = (found["compress_peak_bytes"], found["decompress_peak_bytes"])
        sizes = (found["n_spans"], found["raw_bytes"], found["stored_bytes"])
        yield Growth(file.name, peers.NAMES[codec], *sizes, *times, *peaks)


def open_writer(codec: str, target: BinaryIO) -> Any:
    level = int(codec.rpartition("-")[2])
    if codec.startswith("zstd"):
        return zstandard.ZstdCompressor(level=level).stream_writer(target, closefd=False)
    import tracezip

    return tracezip.open(target, "wb", level=level)


def write_message(codec: str, writer: Any, message: bytes) -> None:
    writer.write(len(message).to_bytes(4, "big") + message if codec.startswith("zstd") else message)


def messages_of(codec: str, source: BinaryIO) -> Iterator[bytes]:
    if codec.startswith("zstd"):
        return split_reader(io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(source), 1 << 17))
    import tracezip

    return iter(tracezip.open(source))


def split_reader(reader: io.BufferedReader) -> Iterator[bytes]:
    while prefix := reader.read(4):
        yield reader.read(int.from_bytes(prefix, "big"))


def compress(codec: str, messages: Iterator[bytes], target: BinaryIO) -> tuple[float, int]:
    """CPU seconds, and how many bytes went in."""
    watch, n_bytes = Stopwatch(), 0
    writer = watch.run(lambda: open_writer(codec, target))
    for message in messages:
        watch.run(partial(write_message, codec, writer, message))
        n_bytes += len(message)
    watch.run(writer.close)
    return watch.seconds, n_bytes


def decompress(codec: str, source: BinaryIO, expected: Iterator[bytes]) -> float:
    """CPU seconds, when every message is what it was."""
    watch = Stopwatch()
    restored = watch.run(lambda: messages_of(codec, source))
    for message in expected:
        if watch.run(lambda: next(restored, None)) != message:
            raise NotExactError(f"{codec} does not give the grown file back")
    if watch.run(lambda: next(restored, None)) is not None:
        raise NotExactError(f"{codec} gives back more than went in")
    return watch.seconds


def one_measurement(base: Any, codec: str, n_spans: int) -> dict[str, Any]:
    """The times of the fastest run; the peaks of the first, since later ones find memory that this one has left."""
    warm_up(codec)
    runs = [costs(base, codec, n_spans) for _ in range(1 if n_spans > ONCE_FROM else RUNS)]
    found = {name: min(run[name] for run in runs) for name in ("compress_s", "decompress_s")}
    return {"n_spans": sum(spans_in(base, n_spans)), **runs[0], **found}


def warm_up(codec: str) -> None:
    """What happens once in a process, such as imports, is no cost of spans."""
    with tempfile.TemporaryFile() as file:
        compress(codec, iter([b""]), file)
        file.seek(0)
        decompress(codec, file, iter([b""]))


def costs(base: Any, codec: str, n_spans: int) -> dict[str, Any]:
    with tempfile.TemporaryFile() as file:
        before = peak.reset()
        compress_s, raw_bytes = compress(codec, grow(base, n_spans), file)
        found: dict[str, Any] = {
            "raw_bytes": raw_bytes,
            "stored_bytes": file.tell(),
            "compress_peak": peak.since(before),
        }
        file.seek(0)
        before = peak.reset()
        decompress_s = decompress(codec, file, grow(base, n_spans))
        found |= {"compress_s": compress_s, "decompress_s": decompress_s, "decompress_peak": peak.since(before)}
        return found


def spans_in(base: Any, n_spans: int) -> Iterator[int]:
    """How many spans each message of `grow` has."""
    while n_spans > 0:
        for message in base:
            if n_spans > 0:
                yield message.n_spans
                n_spans -= message.n_spans


def main() -> None:
    path, codec, n_spans = sys.argv[1:]
    print(json.dumps(one_measurement(load(path), codec, int(n_spans))))


if __name__ == "__main__":
    main()
