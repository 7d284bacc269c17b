"""Two threads against one, by the clock on the wall, where a codec has threads of its own."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import zstandard

from benchmarks.data import TraceFile


@dataclass(frozen=True)
class Speedup:
    """Wall-clock seconds to compress one file, on one and on two threads, runs of both in turn, the best of each."""

    file: str
    codec: str
    raw_bytes: int
    one_s: float
    two_s: float
    one_bytes: int
    two_bytes: int

    @property
    def speedup(self) -> float:
        return self.one_s / self.two_s


def tracezip_bytes(file: TraceFile, n_threads: int) -> bytes:
    import tracezip

    target = io.BytesIO()
    with tracezip.open(target, "wb", threads=n_threads) as writer:
        for message in file.messages:
            writer.write(message)
    return target.getvalue()


def zstd_bytes(file: TraceFile, n_threads: int) -> bytes:
    return zstandard.ZstdCompressor(level=3, threads=n_threads).compress(file.stream)


def measure_threads(file: TraceFile, repeat: int) -> Iterator[Speedup]:
    yield speedup(file, "zstd -3", partial(zstd_bytes, file), repeat)
    yield speedup(file, "tracezip -3", partial(tracezip_bytes, file), repeat)


def speedup(file: TraceFile, codec: str, run: Callable[[int], bytes], repeat: int) -> Speedup:
    one, two = run(1), run(2)
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeat):
        for n_threads in times:
            start = time.perf_counter()
            run(n_threads)
            times[n_threads].append(time.perf_counter() - start)
    return Speedup(file.name, codec, file.n_bytes, min(times[1]), min(times[2]), len(one), len(two))
