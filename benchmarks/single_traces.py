"""Each trace as a message of its own, without any state: how small, and how long it takes, there and back.

``python -m benchmarks.single_traces`` is one such measurement, in a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from benchmarks.child import load, run_module, save
from benchmarks.codecs import WithDictionary, tracezip_train, zstd_train
from benchmarks.data import TRACE_ID, SpanInContext, TraceFile, children, join_spans, spans_of
from benchmarks.measure import NotExactError

MAX_TRACES = 1000  # spread evenly over the file
RUNS = 3  # of each trace; the fastest counts
CODECS = ("zstd -3", "zstd -3, dictionary", "tracezip -1", "tracezip -3", "tracezip -3, dictionary")

OneMessage = Callable[[bytes], bytes]


@dataclass(frozen=True)
class TraceFigures:
    """One codec on one file's traces: OTLP bytes over stored bytes, and CPU microseconds for one trace."""

    file: str
    codec: str
    n_traces: int
    n_spans: int
    raw_bytes: int
    stored_bytes: int
    ratio_min: float
    ratio_mean: float
    ratio_max: float
    compress_us_mean: float
    compress_us_p99: float
    decompress_us_mean: float
    decompress_us_p99: float


def measure_traces(file: TraceFile, folder: Path, max_traces: int = MAX_TRACES) -> Iterator[TraceFigures]:
    sampled, others, n_spans = sample(file, max_traces)
    trained = {
        "zstd": save(WithDictionary(sampled, zstd_train(others)), folder),
        "tracezip": save(WithDictionary(sampled, tracezip_train(others)), folder),
    }
    for codec in CODECS:
        data = trained[codec.partition(" ")[0]]
        yield TraceFigures(
            file.name, codec, n_spans=n_spans, **run_module("benchmarks.single_traces", str(data), codec)
        )


def sample(file: TraceFile, max_traces: int) -> tuple[list[bytes], list[bytes], int]:
    """Traces, spread evenly over the file; as many others, to train on; how many spans the former have together."""
    traces = list(by_trace(file).values())
    step = max(2, -(-len(traces) // max_traces))
    chosen, others = traces[::step], traces[1::step]
    return [join_spans(spans) for spans in chosen], [join_spans(spans) for spans in others], sum(map(len, chosen))


def by_trace(file: TraceFile) -> dict[bytes, list[SpanInContext]]:
    traces: dict[bytes, list[SpanInContext]] = {}
    for message in file.messages:
        for span in spans_of(message):
            traces.setdefault(trace_id(span[2]), []).append(span)
    return traces


def trace_id(span: bytes) -> bytes:
    if span[:2] == b"\x0a\x10":  # where every exporter writes it
        return span[2:18]
    return b"".join(children(span, TRACE_ID)[0])


def functions(codec: str, dictionary: bytes) -> tuple[OneMessage, OneMessage]:
    if codec.startswith("zstd"):
        shared = zstandard.ZstdCompressionDict(dictionary) if "dictionary" in codec else None
        compressor = zstandard.ZstdCompressor(level=3, dict_data=shared)
        return compressor.compress, zstandard.ZstdDecompressor(dict_data=shared).decompress
    import tracezip

    level = int(codec[len("tracezip -")])
    learned = tracezip.Dictionary(dictionary) if "dictionary" in codec else None
    return (
        lambda message: tracezip.compress(message, level, dictionary=learned),
        lambda blob: tracezip.decompress(blob, dictionary=learned),
    )


def figures(data: WithDictionary, codec: str) -> dict[str, Any]:
    compress, decompress = functions(codec, data.dictionary)
    stored = [compress(trace) for trace in data.parts]
    if [decompress(blob) for blob in stored] != data.parts:
        raise NotExactError(f"{codec} does not give every trace back")
    ratios = np.array([len(trace) / len(blob) for trace, blob in zip(data.parts, stored, strict=True)])
    found = {
        "n_traces": len(stored),
        "raw_bytes": sum(map(len, data.parts)),
        "stored_bytes": sum(map(len, stored)),
        "ratio_min": ratios.min(),
        "ratio_mean": ratios.mean(),
        "ratio_max": ratios.max(),
    }
    for direction, times in (
        ("compress", times_us(compress, data.parts)),
        ("decompress", times_us(decompress, stored)),
    ):
        found[f"{direction}_us_mean"] = times.mean()
        found[f"{direction}_us_p99"] = np.percentile(times, 99)
    return found


def times_us(run: OneMessage, inputs: list[bytes]) -> Any:
    return np.array([min(time_once_us(run, data) for _ in range(RUNS)) for data in inputs])


def time_once_us(run: OneMessage, data: bytes) -> float:
    start = time.process_time_ns()
    run(data)
    return (time.process_time_ns() - start) / 1000


def main() -> None:
    path, codec = sys.argv[1:]
    print(json.dumps(figures(load(path), codec)))


if __name__ == "__main__":
    main()
