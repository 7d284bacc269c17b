"""What an id costs, by what it is told with: ``python -m benchmarks.id_costs [FILE ...]``, about five minutes.

Whole files at the default level, read by the reference implementation, which adds up what symbols and plain bytes take.
An id is new where it is first mentioned, as a span's or as a parent's, and is told there: by a generator that has drawn
it (FORMAT.md, *Generators*), as the lower half of its trace's id, or, where nothing foretells it, as it is. Later
mentions refer to it. States are what a reader is told of each generator before its first id.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.child import run_module
from benchmarks.codecs import as_messages, open_compress
from benchmarks.data import file_name, find_files, read_file
from benchmarks.report import RESULTS, machine, write_csv
from benchmarks.report_tables import table

FILES = ("hipstershop", "astronomy", "trainticket", "shop-capture")
LEVEL = 3
SPAN_IDS, TRACE_IDS, STATES = "span ids", "trace ids", "states"
RAW, HALF, KNOWN = "as it is", "half of the trace id", "referred to"


@dataclass(frozen=True)
class IdCost:
    """All ids of a file that are told in one way."""

    file: str
    what: str
    told: str
    n: int
    bits: float


class Meter:
    """Functions of the reference implementation that count the bits that they read, and for which ids."""

    def __init__(self) -> None:
        from tracezip.reference import coder, define, ids, rows

        self._coder, self._define, self._ids, self._rows = coder, define, ids, rows
        self.found: dict[tuple[str, str], list[float]] = {}
        self._runs, self._bits = False, 0.0
        self._own_bits = 0.0
        """What it took to tell that a span's own id is new: its value is told later."""
        self._told = KNOWN
        self._originals: dict[tuple[Any, str], Any] = {}

    def installed(self) -> ExitStack:
        """As long as this is open the reference implementation reads through this meter."""
        stack = ExitStack()
        for owner, name, method in (
            (self._coder.CoderReader, "symbol", lambda reader, *rest: self._symbol(reader, *rest)),
            (self._coder.CoderReader, "raw16", lambda reader, *rest: self._raw16(reader, *rest)),
            (self._ids, "_code_id", self._code_id),
            (self._ids, "_code_value", self._code_value),
            (self._ids, "_code_trace_id", self._code_trace_id),
            (self._rows, "code_own_id", self._code_own_id),
            (self._rows, "code_own_value", self._code_own_value),
            (self._rows, "code_parent_id", self._code_parent_id),
            (self._define, "_code_number", self._code_number),
            (self._define, "_define_generator", self._define_generator),
        ):
            self._originals[owner, name] = getattr(owner, name)
            stack.enter_context(patch.object(owner, name, method))
        return stack

    def _add(self, what: str, told: str, bits: float) -> None:
        entry = self.found.setdefault((what, told), [0, 0.0])
        entry[0] += 1
        entry[1] += bits

    def _read(self, owner: Any, name: str, *arguments: Any) -> tuple[Any, float]:
        """What the original gives, and the bits that it read."""
        before, ran, self._runs = self._bits, self._runs, True
        result = self._originals[owner, name](*arguments)
        self._runs = ran
        return result, self._bits - before

    def _symbol(self, reader: Any, model: Any, value: int) -> int:
        if self._runs:
            _, frequency = model.interval(model.find(reader._x % 32768))
            self._bits += 15 - math.log2(frequency)
        return int(self._originals[self._coder.CoderReader, "symbol"](reader, model, value))

    def _raw16(self, reader: Any, n: int, value: int) -> int:
        self._bits += n
        return int(self._originals[self._coder.CoderReader, "raw16"](reader, n, value))

    def _code_id(self, *arguments: Any) -> int:
        self._bits += 64
        return int(self._originals[self._ids, "_code_id"](*arguments))

    def _code_number(self, s: Any, n_bytes: int, number: int) -> int:
        self._bits += 8 * n_bytes
        return int(self._originals[self._define, "_code_number"](s, n_bytes, number))

    def _define_generator(self, s: Any, planned: Any) -> None:
        _, bits = self._read(self._define, "_define_generator", s, planned)
        self._add(STATES, kind_of(s.generators[-1]), bits)

    def _code_trace_id(self, *arguments: Any) -> Any:
        (ids, origin), bits = self._read(self._ids, "_code_trace_id", *arguments)
        self._add(TRACE_IDS, kind_of(origin.generator) if origin else RAW, bits)
        return ids, origin

    def _code_value(self, s: Any, told: int, *arguments: Any) -> None:
        """Of a span's new id, as its own or as its parent's."""
        self._originals[self._ids, "_code_value"](s, told, *arguments)
        mention = arguments[2]
        kinds = {self._ids._RAW: RAW, self._ids._OF_TRACE: HALF}
        self._told = kinds.get(told) or kind_of(mention.origin.generator)

    def _code_own_id(self, *arguments: Any) -> tuple[Any, int]:
        (mention, told), self._own_bits = self._read(self._rows, "code_own_id", *arguments)
        if told >= self._ids._KNOWN:
            self._add(SPAN_IDS, KNOWN, self._own_bits)
        return mention, told

    def _code_own_value(self, s: Any, told: int, *arguments: Any) -> None:
        _, bits = self._read(self._rows, "code_own_value", s, told, *arguments)
        if told < self._ids._KNOWN:
            self._add(SPAN_IDS, self._told, self._own_bits + bits)

    def _code_parent_id(self, *arguments: Any) -> Any:
        self._told = KNOWN
        mention, bits = self._read(self._rows, "code_parent_id", *arguments)
        self._add(SPAN_IDS, self._told, bits)
        return mention


def kind_of(generator: Any) -> str:
    from tracezip.reference.drawn import GeneratorKind

    return GeneratorKind(generator.kind).name.lower().replace("_", " ")


def read(path: str) -> list[tuple[str, str, int, float]]:
    """What it told, how, how often and in how many bits; by a process whose backend is the reference."""
    import tracezip

    meter = Meter()
    with meter.installed(), tracezip.open(path) as reader:
        for _ in reader:
            pass
    return [(*key, int(n), bits) for key, (n, bits) in sorted(meter.found.items())]


def measure(path: Path, folder: Path) -> Iterator[IdCost]:
    file = read_file(path)
    archive = folder / "archive.tzip"
    archive.write_bytes(open_compress(LEVEL, as_messages(file))[0])
    print(f"{file.name}: {file.n_spans:,} spans", file=sys.stderr)
    for what, told, n, bits in run_module("benchmarks.id_costs", "--read", str(archive)):
        yield IdCost(file.name, what, told, n, bits)


def report(found: list[IdCost]) -> str:
    lines = (
        [one.file, f"{one.what}, {one.told}", f"{one.n:,}", f"{one.bits / 8 / one.n:.2f}", f"{one.bits / 8:,.0f}"]
        for one in found
    )
    header = ("file", "what, and how it is told", "how many", "bytes each", "bytes in all")
    about = "; ".join(f"{key} {value}" for key, value in machine().items())
    return f"# What ids cost\n\n{__doc__}\nMeasured on: {about}.\n\n{table(header, lines)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.id_costs", description=__doc__)
    parser.add_argument("files", nargs="*", help=f"names of files in TRACEZIP_DATA; default: {', '.join(FILES)}")
    parser.add_argument("--read", metavar="ARCHIVE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        os.environ["TRACEZIP_BACKEND"] = "reference"
        print(json.dumps(read(arguments.read)))
        return
    names = arguments.files or FILES
    found: list[IdCost] = []
    for path in (path for path in find_files() if file_name(path) in names):
        with tempfile.TemporaryDirectory(prefix="tracezip-ids-") as folder:
            found += measure(path, Path(folder))
    if not found:
        raise SystemExit("benchmarks.id_costs: none of the files: set TRACEZIP_DATA")
    text = report(found)
    print(text)
    (RESULTS / "id_costs.md").write_text(text, encoding="utf-8")
    write_csv([asdict(one) for one in found], RESULTS / "id_costs.csv")


if __name__ == "__main__":
    main()
