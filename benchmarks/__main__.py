"""``python -m benchmarks``: measure every codec on every file, print the table, and keep it in benchmarks/results/."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import figures, report
from benchmarks.codecs import BASELINE, CODECS, Codec
from benchmarks.data import TraceFile, file_name, find_files, read_file
from benchmarks.json_size import json_bytes
from benchmarks.measure import DEFAULT_REPEAT, measure


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("files", nargs="*", help="names of files in TRACEZIP_DATA, such as astronomy; default: all")
    parser.add_argument("--codec", action="append", metavar="WORD", help="only codecs whose name has this word in it")
    parser.add_argument("--full", action="store_true", help="slow codecs on whole files too (many minutes)")
    parser.add_argument("--repeat", type=int, default=DEFAULT_REPEAT, metavar="N", help="best of N (default: 3)")
    parser.add_argument("--readme", action="store_true", help="put the short table into README.md")
    return parser.parse_args()


def choose_codecs(words: list[str] | None) -> list[Codec]:
    wanted = [codec for codec in CODECS if not words or any(word in codec.name for word in words)]
    return wanted if BASELINE in wanted else [BASELINE, *wanted]


def choose_files(names: list[str]) -> list[TraceFile]:
    paths = {file_name(path): path for path in find_files()}
    unknown = [name for name in names if name not in paths]
    if unknown or not paths:
        raise SystemExit(f"benchmarks: no file {', '.join(unknown)}; there are: {', '.join(paths) or 'none'}")
    return [read_file(paths[name]) for name in names or paths]


def measure_file(file: TraceFile, codecs: list[Codec], arguments: argparse.Namespace) -> report.FileReport:
    result = report.FileReport.of(file, json_bytes(file, arguments.full))
    for codec in codecs:
        print(f"{file.name}: {codec.name} per {codec.unit}", file=sys.stderr)
        result.measurements.append(measure(codec, file, repeat=arguments.repeat, full=arguments.full))
    return result


def main() -> None:
    arguments = parse_arguments()
    skipped = []
    if not os.environ.get("TRACEZIP_DATA"):
        skipped.append("TRACEZIP_DATA is not set: only the small bundled sample was measured.")
    codecs = choose_codecs(arguments.codec)
    skipped += [f"Skipped: {codec.name}, {codec.needs} is not installed." for codec in codecs if not codec.available]
    print(*skipped, sep="\n", file=sys.stderr)
    codecs = [codec for codec in codecs if codec.available]
    reports = [measure_file(file, codecs, arguments) for file in choose_files(arguments.files)]
    print(report.as_markdown(reports, skipped))
    report.write_results(reports, skipped)
    if arguments.readme:
        figures.fill_readme(reports)


if __name__ == "__main__":
    main()
