"""tracezip and zstd by turns in one process, so that both meet the same moments of the machine.

``python -m benchmarks.side_by_side [FILE ...]``: whole files, one thread, CPU time; the fastest of several turns of
each. Where other programs or other guests of a host share the processor, this tells a ratio of speeds more truly than
two runs one after the other do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.codecs import as_messages, as_stream, open_compress, open_decompress, zstd_compress, zstd_decompress
from benchmarks.data import TraceFile, file_name, find_files, read_file
from benchmarks.measure import NotExactError, time_once
from benchmarks.report import RESULTS, machine
from benchmarks.report_tables import table

FILES = ("hipstershop", "astronomy", "trainticket", "shop-capture")
TURNS = 9
LEVELS = ((3, 3), (1, 1))  # of tracezip and of zstd


@dataclass(frozen=True)
class Pair:
    """CPU seconds of both, compressing and decompressing."""

    file: str
    level: int
    ours_in: float
    zstd_in: float
    ours_out: float
    zstd_out: float

    def line(self) -> list[str]:
        seconds = (self.ours_in, self.zstd_in, self.ours_out, self.zstd_out)
        ratios = (self.zstd_in / self.ours_in, self.zstd_out / self.ours_out)
        names = [self.file, f"-{self.level}"]
        return [*names, *(f"{s * 1e3:.1f}" for s in seconds), *(f"{ratio:.3f}" for ratio in ratios)]


def measure(file: TraceFile) -> Iterator[Pair]:
    messages, stream = as_messages(file), as_stream(file)
    for level, zstd_level in LEVELS:
        best: dict[str, float] = {}
        for _ in range(TURNS):
            packed = timed(best, "zstd_in", partial(zstd_compress, zstd_level, stream))
            stored = timed(best, "ours_in", partial(open_compress, level, messages))
            timed(best, "zstd_out", partial(zstd_decompress, packed))
            if timed(best, "ours_out", partial(open_decompress, stored)) != messages:
                raise NotExactError(f"tracezip does not give {file.name} back")
        yield Pair(file.name, level, **best)


def timed(best: dict[str, float], name: str, run: Any) -> Any:
    result, seconds = time_once(run)
    best[name] = min(seconds, best.get(name, seconds))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("files", nargs="*", help=f"names of files in TRACEZIP_DATA; default: {', '.join(FILES)}")
    names = parser.parse_args().files or FILES
    files = (read_file(path) for path in find_files() if file_name(path) in names)
    lines = [pair.line() for file in files for pair in measure(file)]
    about = "; ".join(f"{key} {value}" for key, value in machine().items())
    header = ("file", "level", "tracezip ms in", "zstd", "tracezip ms out", "zstd", "speed in, × zstd", "out, × zstd")
    text = (
        f"# tracezip and zstd by turns\n\nMeasured on: {about}. Fastest of {TURNS} turns.\n\n{table(header, lines)}\n"
    )
    print(text)
    (RESULTS / "side_by_side.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
