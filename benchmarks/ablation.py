"""What each idea of the codec saves: ``python -m benchmarks.ablation [FILE ...]``, about six minutes.

For each idea a copy of the codec is built in which it is left out (benchmarks/ablations.py). Whole files at the default
level must come back from it exactly; what they cost more than with all ideas is what the idea saves.
Ideas overlap: where one is missing another one does some of its work, so the figures do not add up.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.ablations import ABLATIONS, Ablation
from benchmarks.child import ROOT, run_module
from benchmarks.codecs import as_messages, open_compress, open_decompress
from benchmarks.data import TraceFile, file_name, find_files, read_file
from benchmarks.measure import NotExactError
from benchmarks.report import RESULTS, machine, write_csv
from benchmarks.report_tables import table

FILES = ("hipstershop", "astronomy", "trainticket", "shop-capture")
LEVEL = 3
NEEDED = ("csrc", "tracezip", "benchmarks", "build", "setup.py", "pyproject.toml", "README.md")
"""What a copy of the project needs to be built and measured; `build` only saves time."""


@dataclass(frozen=True)
class Size:
    """A file without one idea; `without` is empty where nothing is left out."""

    file: str
    without: str
    n_spans: int
    stored_bytes: int


def stored_bytes(file: TraceFile) -> int:
    messages = as_messages(file)
    stored = open_compress(LEVEL, messages)
    if open_decompress(stored) != messages:
        raise NotExactError(f"tracezip does not give {file.name} back")
    return sum(map(len, stored))


def chosen_files(names: list[str]) -> Iterator[TraceFile]:
    return (read_file(path) for path in find_files() if file_name(path) in (names or FILES))


def sizes_here(names: list[str]) -> dict[str, tuple[int, int]]:
    """Of each file: spans, and bytes by the codec that this process imports."""
    return {file.name: (file.n_spans, stored_bytes(file)) for file in chosen_files(names)}


def copy_without(ablation: Ablation, folder: Path) -> None:
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        elif source.exists():
            shutil.copy2(source, folder / name)
    ablation.apply(folder)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotExactError(f"without {ablation.idea!r} the codec cannot be built: {done.stderr}")


def measure(names: list[str]) -> Iterator[Size]:
    yield from sizes_of("", sizes_here(names))
    for ablation in ABLATIONS:
        print(f"without: {ablation.idea}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="tracezip-ablation-") as folder:
            copy_without(ablation, Path(folder))
            yield from sizes_of(ablation.idea, run_module("benchmarks.ablation", "--sizes", *names, root=Path(folder)))


def sizes_of(without: str, found: dict[str, tuple[int, int]]) -> Iterator[Size]:
    return (Size(file, without, n_spans, stored) for file, (n_spans, stored) in found.items())


def report(sizes: list[Size]) -> str:
    """A line for each idea, and two columns for each file: bytes a span without it, and how many more that are."""
    files = list(dict.fromkeys(size.file for size in sizes))
    per_span = {(size.without, size.file): size.stored_bytes / size.n_spans for size in sizes}
    places = {ablation.idea: ablation.file for ablation in ABLATIONS}
    header = ["left out", "in", *(column for file in files for column in (file, "more"))]
    lines = []
    for without in dict.fromkeys(size.without for size in sizes):
        pairs = ((per_span[without, file], per_span["", file]) for file in files)
        cells = (cell for size, whole in pairs for cell in (f"{size:.2f}", f"{size / whole - 1:+.1%}"))
        lines.append([without or "nothing", places.get(without, ""), *cells])
    about = "; ".join(f"{key} {value}" for key, value in machine().items())
    return f"# What each idea saves\n\n{__doc__}\nBytes a span. Measured on: {about}.\n\n{table(header, lines)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("files", nargs="*", help=f"names of files in TRACEZIP_DATA; default: {', '.join(FILES)}")
    parser.add_argument("--sizes", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sizes:
        print(json.dumps(sizes_here(arguments.files)))
        return
    sizes = list(measure(arguments.files))
    if not sizes:
        raise SystemExit("benchmarks.ablation: none of the files: set TRACEZIP_DATA")
    text = report(sizes)
    print(text)
    (RESULTS / "ablation.md").write_text(text, encoding="utf-8")
    write_csv([asdict(size) for size in sizes], RESULTS / "ablation.csv")


if __name__ == "__main__":
    main()
