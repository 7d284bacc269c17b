"""Verify, then time: CPU seconds of this process, the best of several runs, and the peak of its memory."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks import peak
from benchmarks.codecs import Codec
from benchmarks.data import TraceFile

MIN_SECONDS = 1.0  # short runs are repeated until they have taken this long together, to meet a quiet moment
DEFAULT_REPEAT = 3

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """What one codec made of its data. Sizes in bytes, times in CPU seconds."""

    stored_bytes: int
    compress_s: float
    decompress_s: float
    compress_peak: int | None = None  # memory beyond what was in use before, the input among it
    decompress_peak: int | None = None


@dataclass(frozen=True)
class Measurement:
    """One codec on one file. Sizes in bytes, times in CPU seconds."""

    file: str
    codec: str
    unit: str
    n_spans: int
    raw_bytes: int
    stored_bytes: int
    compress_s: float
    decompress_s: float
    is_prefix: bool
    compress_peak: int | None = None
    decompress_peak: int | None = None
    parse_s: float | None = None  # the part of compress_s that goes from OTLP bytes to the objects a codec takes

    @classmethod
    def of(cls, cost: Cost, codec: Codec, part: TraceFile, *, is_prefix: bool) -> Measurement:
        about = (part.name, codec.name, codec.unit, part.n_spans, part.n_bytes)
        times = (cost.stored_bytes, cost.compress_s, cost.decompress_s)
        return cls(*about, *times, is_prefix, cost.compress_peak, cost.decompress_peak)

    @property
    def bytes_per_span(self) -> float:
        return self.stored_bytes / max(self.n_spans, 1)

    @property
    def ratio(self) -> float:
        """Raw OTLP protobuf over stored bytes."""
        return self.raw_bytes / max(self.stored_bytes, 1)

    def mb_per_s(self, seconds: float) -> float:
        return self.raw_bytes / 1e6 / max(seconds, 1e-9)

    def us_per_span(self, seconds: float) -> float:
        return seconds * 1e6 / max(self.n_spans, 1)


class NotExactError(Exception):
    """A codec gave back something else than went in, or nothing; it is not worth timing."""


def part_for(codec: Codec, file: TraceFile, full: bool = False) -> TraceFile:
    """What a codec is measured on: the file, or the beginning of it where the codec is slow."""
    return file if full or codec.max_bytes is None else file.prefix(codec.max_bytes)


def measure_prepared(codec: Codec, data: Any, repeat: int) -> Cost:
    gc.collect()
    before = peak.reset()
    stored, compress_s = time_once(lambda: codec.compress(data))
    compress_peak = peak.since(before)
    before = peak.reset()
    restored, decompress_s = time_once(lambda: codec.decompress(stored))
    decompress_peak = peak.since(before)
    if restored != data:
        raise NotExactError(f"{codec.name} per {codec.unit} does not give its input back")
    del restored
    if codec.max_bytes is None:
        compress_s = best_of(repeat, lambda: codec.compress(data))
        decompress_s = best_of(repeat, lambda: codec.decompress(stored))
    return Cost(codec.stored_bytes(stored), compress_s, decompress_s, compress_peak, decompress_peak)


def time_once(run: Callable[[], Result]) -> tuple[Result, float]:
    start = time.process_time()
    result = run()
    return result, time.process_time() - start


def best_of(repeat: int, run: Callable[[], object]) -> float:
    """The fastest of at least ``repeat`` runs, without the garbage collector in between."""
    times: list[float] = []
    gc.collect()
    gc.disable()
    try:
        while len(times) < repeat or sum(times) < MIN_SECONDS:
            times.append(time_once(run)[1])
    finally:
        gc.enable()
    return min(times)
