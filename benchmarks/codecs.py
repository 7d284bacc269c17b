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
DICTIONARY_BYTES = 110 * 1024  # what zstd's command line trains by default
SAMPLED_BYTES, PIECE_BYTES = 12 * MIB, 4096
LEVELS = (1, 3, 9)
Parts = list[bytes]


@dataclass(frozen=True)
class Codec:
    """``decompress(compress(prepare(file)))`` equals ``prepare(file)``; only the two are timed, never ``prepare``."""

    name: str
    unit: str  # what is compressed on its own: "file", "message" as exported, batch of "512" or "8192" spans
    prepare: Callable[[TraceFile], Any]
    compress: Callable[[Any], Parts]
    decompress: Callable[[Parts], Any]
    max_bytes: int | None = None  # a slow codec: measured once, on at most this many bytes unless --full
    needs: str = "zstandard"  # the module without which it is skipped
    note: str = ""
    n_shared: int = 0  # so many leading parts both sides have beforehand; they are not counted

    @property
    def available(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None

    def stored_bytes(self, parts: Parts) -> int:
        return sum(map(len, parts[self.n_shared :]))


def as_stream(file: TraceFile) -> Parts:
    return [file.stream]


def as_messages(file: TraceFile) -> Parts:
    return file.messages


def as_batches(file: TraceFile) -> Parts:
    return file.batches


def as_large_batches(file: TraceFile) -> Parts:
    return file.large_batches


def zstd_compress(level: int, parts: Parts) -> Parts:
    compressor = zstandard.ZstdCompressor(level=level)
    return [compressor.compress(part) for part in parts]


def zstd_decompress(parts: Parts) -> Parts:
    decompressor = zstandard.ZstdDecompressor()
    return [decompressor.decompress(part) for part in parts]


@dataclass(frozen=True)
class WithDictionary:
    """Messages, and the dictionary that both sides have before the first of them."""

    parts: Parts
    dictionary: bytes


def with_dictionary(
    train: Callable[[Parts], bytes], choose: Callable[[TraceFile], Parts], file: TraceFile
) -> WithDictionary:
    """Trained on every fourth message, or on all where there are few."""
    parts = choose(file)
    return WithDictionary(parts, train(parts[::4] if len(parts) >= 16 else parts))


def zstd_train(messages: Parts) -> bytes:
    sampled = b"".join(messages)[:SAMPLED_BYTES]
    pieces: list[bytes | bytearray | memoryview] = [
        sampled[i : i + PIECE_BYTES] for i in range(0, len(sampled), PIECE_BYTES)
    ]
    return zstandard.train_dictionary(min(DICTIONARY_BYTES, len(sampled) // 8), pieces).as_bytes()


def trained_compress(level: int, data: WithDictionary) -> Parts:
    compressor = zstandard.ZstdCompressor(level=level, dict_data=zstandard.ZstdCompressionDict(data.dictionary))
    return [data.dictionary, *(compressor.compress(part) for part in data.parts)]


def trained_decompress(parts: Parts) -> WithDictionary:
    decompressor = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(parts[0]))
    return WithDictionary([decompressor.decompress(part) for part in parts[1:]], parts[0])


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


def zpaq_compress(parts: Parts) -> Parts:
    import zpaq

    return [zpaq.compress(part, level=5, threads=1, verify=True) for part in parts]


def zpaq_decompress(parts: Parts) -> Parts:
    import zpaq

    return [zpaq.decompress(part, verify=True, threads=1) for part in parts]


def parquet_flat(file: TraceFile) -> Any:
    from benchmarks import parquet

    return parquet.flat_table(file)


def parquet_traces(file: TraceFile) -> Any:
    from benchmarks import parquet

    return parquet.trace_table(file)


def parquet_compress(level: int, table: Any) -> Parts:
    from benchmarks import parquet

    return [parquet.write(table, level)]


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


def each_compress(level: int, messages: Parts) -> Parts:
    import tracezip

    return [tracezip.compress(message, level) for message in messages]


def each_decompress(parts: Parts) -> Parts:
    import tracezip

    return [tracezip.decompress(part) for part in parts]


def chained_compress(level: int, messages: Parts) -> Parts:
    import tracezip

    compressor = tracezip.Compressor(level)
    return [*(compressor.compress(message) for message in messages), compressor.finish()]


def chained_decompress(parts: Parts) -> Parts:
    import tracezip

    decompressor = tracezip.Decompressor()
    return [decompressor.decompress(frame) for frame in parts[:-1]]  # the last part only ends the stream


def tracezip_train(messages: Parts) -> bytes:
    import tracezip

    return tracezip.train_dictionary(messages).data


def taught_compress(level: int, data: WithDictionary) -> Parts:
    import tracezip

    dictionary = tracezip.Dictionary(data.dictionary)
    return [data.dictionary, *(tracezip.compress(part, level, dictionary=dictionary) for part in data.parts)]


def taught_decompress(parts: Parts) -> WithDictionary:
    import tracezip

    dictionary = tracezip.Dictionary(parts[0])
    return WithDictionary([tracezip.decompress(part, dictionary=dictionary) for part in parts[1:]], parts[0])


UNITS: dict[str, Callable[[TraceFile], Parts]] = {
    "file": as_stream,
    "message": as_messages,
    "512": as_batches,
    "8192": as_large_batches,
}


def zstd(level: int, unit: str, max_bytes: int | None = None) -> Codec:
    return Codec(
        f"zstd -{level}", unit, UNITS[unit], partial(zstd_compress, level), zstd_decompress, max_bytes=max_bytes
    )


TRAINED_NOTE = "{}, trained on a quarter of the same messages, which flatters it; not counted, nor is the training"


def zstd_trained(level: int, unit: str) -> Codec:
    return Codec(
        f"zstd -{level}, dictionary",
        unit,
        partial(with_dictionary, zstd_train, UNITS[unit]),
        partial(trained_compress, level),
        trained_decompress,
        n_shared=1,
        note=TRAINED_NOTE.format("110 KB"),
    )


def parquet(name: str, prepare: Callable[[TraceFile], Any], level: int, note: str) -> Codec:
    compress = partial(parquet_compress, level)
    times = "batches and types lost; times are from an Arrow table in memory and back, not from OTLP"
    return Codec(name, "file", prepare, compress, parquet_decompress, needs="pyarrow", note=f"{note}; {times}")


def tracezip_file(level: int) -> Codec:
    compress = partial(open_compress, level)
    return Codec(f"tracezip -{level}", "file", as_messages, compress, open_decompress, needs="tracezip")


def tracezip_each(level: int, unit: str) -> Codec:
    compress = partial(each_compress, level)
    return Codec(f"tracezip -{level}", unit, UNITS[unit], compress, each_decompress, needs="tracezip")


def tracezip_trained(level: int, unit: str) -> Codec:
    return Codec(
        f"tracezip -{level}, dictionary",
        unit,
        partial(with_dictionary, tracezip_train, UNITS[unit]),
        partial(taught_compress, level),
        taught_decompress,
        n_shared=1,
        needs="tracezip",
        note=TRAINED_NOTE.format("4,096 spans"),
    )


def tracezip_chained(level: int, unit: str) -> Codec:
    return Codec(
        f"tracezip -{level}, stream",
        unit,
        UNITS[unit],
        partial(chained_compress, level),
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
    Codec("zpaq -m5", "file", as_stream, zpaq_compress, zpaq_decompress, max_bytes=4 * MIB, needs="zpaq"),
    parquet("Parquet, zstd -19", parquet_flat, 19, "one row per span, sorted by service, name and start"),
    parquet("Parquet by trace, zstd -3", parquet_traces, 3, "one row per trace with its spans, as Tempo does"),
    *(tracezip_file(level) for level in LEVELS),
    zstd(3, "message"),
    zstd(19, "message", max_bytes=8 * MIB),
    zstd_trained(3, "message"),
    *(tracezip_each(level, "message") for level in LEVELS),
    tracezip_trained(3, "message"),
    *(tracezip_chained(level, "message") for level in LEVELS),
    zstd(1, "512"),
    zstd(3, "512"),
    zstd(19, "512", max_bytes=8 * MIB),
    zstd_trained(3, "512"),
    *(tracezip_each(level, "512") for level in LEVELS),
    tracezip_trained(3, "512"),
    *(tracezip_chained(level, "512") for level in LEVELS),
    zstd(3, "8192"),
    tracezip_each(3, "8192"),
    tracezip_chained(3, "8192"),
)
