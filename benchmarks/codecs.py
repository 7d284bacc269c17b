"""The codecs under measurement, each as three functions: what goes in, there, and back."""

from __future__ import annotations

import gzip
import importlib.util
import io
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import zstandard

from benchmarks.data import TraceFile

MIB = 1 << 20
Parts = list[bytes]


@dataclass(frozen=True)
class Codec:
    """``decompress(compress(prepare(file)))`` equals ``prepare(file)``; only the two are timed, never ``prepare``."""

    name: str
    unit: str  # what is compressed on its own: "file", "message" as exported, "batch" of 512 spans
    prepare: Callable[[TraceFile], Any]
    compress: Callable[[Any], Parts]
    decompress: Callable[[Parts], Any]
    max_bytes: int | None = None  # a slow codec: measured once, on at most this many bytes unless --full
    needs: str = "zstandard"  # the module without which it is skipped
    note: str = ""

    @property
    def available(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None


def as_stream(file: TraceFile) -> Parts:
    return [file.stream]


def as_messages(file: TraceFile) -> Parts:
    return file.messages


def as_batches(file: TraceFile) -> Parts:
    return file.batches


def zstd_compress(level: int, parts: Parts) -> Parts:
    compressor = zstandard.ZstdCompressor(level=level)
    return [compressor.compress(part) for part in parts]


def zstd_decompress(parts: Parts) -> Parts:
    decompressor = zstandard.ZstdDecompressor()
    return [decompressor.decompress(part) for part in parts]


def gzip_compress(parts: Parts) -> Parts:
    return [gzip.compress(part, compresslevel=6, mtime=0) for part in parts]


def gzip_decompress(parts: Parts) -> Parts:
    return [gzip.decompress(part) for part in parts]


def xz_compress(parts: Parts) -> Parts:
    return [lzma.compress(part, preset=9) for part in parts]


def xz_decompress(parts: Parts) -> Parts:
    return [lzma.decompress(part) for part in parts]


def brotli_compress(parts: Parts) -> Parts:
    import brotli

    return [brotli.compress(part, quality=11, lgwin=24) for part in parts]


def brotli_decompress(parts: Parts) -> Parts:
    import brotli

    return [brotli.decompress(part) for part in parts]


def parquet_prepare(file: TraceFile) -> Any:
    from benchmarks import parquet

    return parquet.flat_table(file)


def parquet_compress(table: Any) -> Parts:
    from benchmarks import parquet

    return [parquet.write(table)]


def parquet_decompress(parts: Parts) -> Any:
    from benchmarks import parquet

    return parquet.read(parts[0])


def open_compress(level: int, messages: Parts) -> Parts:
    import tracezip

    target = io.BytesIO()
    with tracezip.open(target, "wb", level=level) as writer:
        for message in messages:
            writer.write(message)
    return [target.getvalue()]


def open_decompress(parts: Parts) -> Parts:
    import tracezip

    with tracezip.open(io.BytesIO(parts[0])) as reader:
        return list(reader)


def each_compress(messages: Parts) -> Parts:
    import tracezip

    return [tracezip.compress(message) for message in messages]


def each_decompress(parts: Parts) -> Parts:
    import tracezip

    return [tracezip.decompress(part) for part in parts]


def chained_compress(messages: Parts) -> Parts:
    import tracezip

    compressor = tracezip.Compressor()
    return [*(compressor.compress(message) for message in messages), compressor.finish()]


def chained_decompress(parts: Parts) -> Parts:
    import tracezip

    decompressor = tracezip.Decompressor()
    return [decompressor.decompress(frame) for frame in parts[:-1]]  # the last part only ends the stream


UNITS: dict[str, Callable[[TraceFile], Parts]] = {"file": as_stream, "message": as_messages, "batch": as_batches}


def zstd(level: int, unit: str, max_bytes: int | None = None) -> Codec:
    return Codec(
        f"zstd -{level}", unit, UNITS[unit], partial(zstd_compress, level), zstd_decompress, max_bytes=max_bytes
    )


def tracezip_file(level: int) -> Codec:
    compress = partial(open_compress, level)
    return Codec(f"tracezip -{level}", "file", as_messages, compress, open_decompress, needs="tracezip")


def tracezip_each(unit: str) -> Codec:
    return Codec("tracezip", unit, UNITS[unit], each_compress, each_decompress, needs="tracezip")


def tracezip_chained(unit: str) -> Codec:
    return Codec(
        "tracezip, one stream",
        unit,
        UNITS[unit],
        chained_compress,
        chained_decompress,
        needs="tracezip",
        note="one Compressor: each message can be decoded when it arrives, with the state of those before it",
    )


BASELINE = zstd(3, "file")

CODECS = (
    Codec("gzip -6", "file", as_stream, gzip_compress, gzip_decompress),
    zstd(1, "file"),
    BASELINE,
    zstd(19, "file", max_bytes=40 * MIB),
    Codec("xz -9", "file", as_stream, xz_compress, xz_decompress, max_bytes=24 * MIB),
    Codec("brotli 11", "file", as_stream, brotli_compress, brotli_decompress, max_bytes=4 * MIB, needs="brotli"),
    Codec(
        "Parquet, zstd -19",
        "file",
        parquet_prepare,
        parquet_compress,
        parquet_decompress,
        needs="pyarrow",
        note="flat and sorted; order and batches lost; times are from an Arrow table in memory and back, not from OTLP",
    ),
    tracezip_file(1),
    tracezip_file(3),
    tracezip_file(9),
    zstd(3, "message"),
    zstd(19, "message", max_bytes=40 * MIB),
    tracezip_each("message"),
    tracezip_chained("message"),
    zstd(1, "batch"),
    zstd(3, "batch"),
    zstd(19, "batch", max_bytes=8 * MIB),
    tracezip_each("batch"),
    tracezip_chained("batch"),
)
