"""Verify, then time: CPU seconds of this process on one thread, the best of several runs."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.codecs import Codec
from benchmarks.data import TraceFile

MIN_SECONDS = 0.2  # short runs are repeated until they have taken this long together
DEFAULT_REPEAT = 3

Result = TypeVar("Result")


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
    """A codec gave back something else than went in; it is not worth timing."""


def measure(codec: Codec, file: TraceFile, *, repeat: int = DEFAULT_REPEAT, full: bool = False) -> Measurement:
    is_slow = codec.max_bytes is not None
    part = file if full or codec.max_bytes is None else file.prefix(codec.max_bytes)
    data = codec.prepare(part)
    stored, compress_s = time_once(lambda: codec.compress(data))
    restored, decompress_s = time_once(lambda: codec.decompress(stored))
    if restored != data:
        raise NotExactError(f"{codec.name} per {codec.unit} does not give {file.name} back")
    del restored
    if not is_slow:
        compress_s = best_of(repeat, lambda: codec.compress(data))
        decompress_s = best_of(repeat, lambda: codec.decompress(stored))
    return Measurement(
        file=file.name,
        codec=codec.name,
        unit=codec.unit,
        n_spans=part.n_spans,
        raw_bytes=part.n_bytes,
        stored_bytes=sum(map(len, stored)),
        compress_s=compress_s,
        decompress_s=decompress_s,
        is_prefix=part is not file,
    )


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
