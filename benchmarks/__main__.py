"""``python -m benchmarks``: measure every codec on every file, print the tables, keep them in benchmarks/results/."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import figures, peers, plots, report, threads
from benchmarks.child import Workshop
from benchmarks.codecs import BASELINE, CODECS, Codec, as_messages, open_compress
from benchmarks.data import SAMPLES, TraceFile, file_name, find_files, read_file
from benchmarks.growth import measure_growth
from benchmarks.json_size import json_bytes
from benchmarks.measure import DEFAULT_REPEAT
from benchmarks.report import FileReport
from benchmarks.single_traces import MAX_TRACES, measure_traces

README_FILES = ("hipstershop", "astronomy", "trainticket", "shop-capture", "go-otelhttp-demo")
GROWTH_SPANS = 10_000_000
QUICK_GROWTH_SPANS, QUICK_TRACES = 10_000, 100


@dataclass
class Run:
    """What this run measures, and what it could not."""

    arguments: argparse.Namespace
    codecs: list[Codec]
    peers: Path | None
    skipped: list[str]

    def measure(self, file: TraceFile) -> FileReport:
        result = FileReport.of(file, json_bytes(file, self.arguments.full))
        with tempfile.TemporaryDirectory(prefix="tracezip-bench-") as folder:
            self._measure_codecs(file, Path(folder), result)
            if self.peers:
                self._measure_peers(file, Path(folder), result)
            if not self.arguments.codec:
                self._measure_more(file, Path(folder), result)
        return result

    def _measure_codecs(self, file: TraceFile, folder: Path, result: FileReport) -> None:
        workshop = Workshop(file, folder, self.arguments.full)
        for codec in self.codecs:
            say(f"{file.name}: {codec.name} per {codec.unit}")
            result.measurements.append(workshop.measure(codec, self.arguments.repeat))

    def _measure_peers(self, file: TraceFile, folder: Path, result: FileReport) -> None:
        assert self.peers
        say(f"{file.name}: STEF and OTel-Arrow")
        for found in peers.measure_all(self.peers, file, folder, self.arguments.repeat):
            if isinstance(found, str):
                self.skipped.append(say(f"Skipped: {found}"))
            else:
                result.measurements.append(found)

    def _measure_more(self, file: TraceFile, folder: Path, result: FileReport) -> None:
        say(f"{file.name}: ids, single traces, threads, growth")
        result.id_bytes = id_bytes(file)
        quick = self.arguments.quick
        result.traces = list(measure_traces(file, folder, QUICK_TRACES if quick else MAX_TRACES))
        result.speedups = list(threads.measure_threads(file, self.arguments.repeat))
        result.growth = list(measure_growth(file, folder, self.arguments.growth, self.peers))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("files", nargs="*", help="names of files in TRACEZIP_DATA; default: those of README")
    add("--all", action="store_true", help="all files in TRACEZIP_DATA")
    add(
        "--quick",
        action="store_true",
        help="only the bundled sample, each codec once, growth to 10,000 spans: a minute",
    )
    add("--codec", action="append", metavar="WORD", help="only codecs whose name has this word in it, and their sizes")
    add("--full", action="store_true", help="slow codecs on whole files too (many minutes)")
    add("--repeat", type=int, metavar="N", help=f"best of N (default: {DEFAULT_REPEAT})")
    add("--growth", type=int, metavar="SPANS", help="grow files to so many spans, 0: not at all (default: 10000000)")
    add("--no-peers", action="store_true", help="without STEF and OTel-Arrow, which need Go")
    add("--readme", action="store_true", help="put the short table and the plots into README.md")
    return with_defaults(parser.parse_args())


def with_defaults(arguments: argparse.Namespace) -> argparse.Namespace:
    if arguments.repeat is None:
        arguments.repeat = 1 if arguments.quick else DEFAULT_REPEAT
    if arguments.growth is None:
        arguments.growth = QUICK_GROWTH_SPANS if arguments.quick else GROWTH_SPANS
    return arguments


def choose_codecs(words: list[str] | None) -> list[Codec]:
    wanted = [codec for codec in CODECS if not words or any(word in codec.name for word in words)]
    return wanted if BASELINE in wanted else [BASELINE, *wanted]


def choose_files(arguments: argparse.Namespace) -> Iterator[TraceFile]:
    """One at a time, so that no more than one is in memory."""
    paths = {file_name(path): path for path in (sorted(SAMPLES.glob("*.otlp")) if arguments.quick else find_files())}
    unknown = [name for name in arguments.files if name not in paths]
    if unknown or not paths:
        raise SystemExit(f"benchmarks: no file {', '.join(unknown)}; there are: {', '.join(paths) or 'none'}")
    of_readme = [name for name in README_FILES if name in paths]
    names = arguments.files or (list(paths) if arguments.all or not of_readme else of_readme)
    return (read_file(paths[name]) for name in names)


def id_bytes(file: TraceFile) -> int:
    import io

    import tracezip

    parts = tracezip.info(io.BytesIO(open_compress(3, as_messages(file))[0]))["bytes_by_part"]
    return int(parts["ids"]) + int(parts["binary"])


def build_peers(arguments: argparse.Namespace, skipped: list[str]) -> Path | None:
    wanted = not arguments.codec or any(word in name for word in arguments.codec for name in peers.NAMES.values())
    if arguments.no_peers or not wanted:
        return None
    return attempt(peers.build, skipped)


def attempt(build: Callable[[], Path], skipped: list[str]) -> Path | None:
    try:
        return build()
    except peers.PeerError as error:
        skipped.append(f"Skipped: STEF and OTel-Arrow could not be built: {error}.")
        return None


def prepare(arguments: argparse.Namespace) -> Run:
    skipped = []
    if arguments.quick or not os.environ.get("TRACEZIP_DATA"):
        reason = "--quick" if arguments.quick else "TRACEZIP_DATA is not set"
        skipped.append(f"{reason}: only the small bundled sample was measured.")
    codecs = choose_codecs(arguments.codec)
    skipped += [f"Skipped: {codec.name}, {codec.needs} is not installed." for codec in codecs if not codec.available]
    program = build_peers(arguments, skipped)
    return Run(arguments, [codec for codec in codecs if codec.available], program, skipped)


def say(text: str) -> str:
    if text:
        print(text, file=sys.stderr)
    return text


def main() -> None:
    arguments = parse_arguments()
    files = choose_files(arguments)
    run = prepare(arguments)
    say("\n".join(run.skipped))
    reports = [run.measure(file) for file in files]
    print(report.as_markdown(reports, run.skipped))
    report.write_results(reports, run.skipped)
    plots.draw(reports, say)
    if arguments.readme:
        figures.fill_readme(reports)


if __name__ == "__main__":
    main()
