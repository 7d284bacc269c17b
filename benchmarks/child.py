"""Each measurement in a process of its own, so that its peak memory is its own: ``python -m benchmarks.child``."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.codecs import CODECS, Codec
from benchmarks.data import SPAN_NAME, TraceFile, join_spans, length_delimited
from benchmarks.measure import DEFAULT_REPEAT, Cost, Measurement, NotExactError, measure_prepared, part_for

TINY = TraceFile("warm-up", [join_spans([(b"", b"", length_delimited(SPAN_NAME, b"GET"))])])
ROOT = Path(__file__).resolve().parent.parent


class Workshop:
    """A temporary folder with a file's prepared data, made once for all codecs that take the same."""

    def __init__(self, file: TraceFile, folder: Path, full: bool) -> None:
        self.file, self._folder, self._full = file, folder, full
        self._made: dict[tuple[Any, int], Path] = {}

    def measure(self, codec: Codec, repeat: int = DEFAULT_REPEAT) -> Measurement:
        part = part_for(codec, self.file, self._full)
        arguments = [str(self._prepared(codec, part)), codec.name, codec.unit, str(repeat)]
        cost = Cost(**run_module("benchmarks.child", *arguments))
        return Measurement.of(cost, codec, part, is_prefix=part is not self.file)

    def _prepared(self, codec: Codec, part: TraceFile) -> Path:
        key = (repr(codec.prepare), part.n_bytes)
        if key not in self._made:
            self._made[key] = save(codec.prepare(part), self._folder)
        return self._made[key]


def save(data: Any, folder: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as target:
        pickle.dump(data, target, protocol=5)
    return Path(target.name)


def load(path: str) -> Any:
    """What `save` of this very run wrote."""
    with open(path, "rb") as source:
        return pickle.load(source)


def run_module(module: str, *arguments: str, root: Path = ROOT) -> Any:
    """The JSON that a module of this package, or of a copy of it, prints in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False)
    if done.returncode:
        raise NotExactError(done.stderr.strip() or f"{module} ended with {done.returncode}")
    return json.loads(done.stdout)


def warm_up(codec: Codec) -> None:
    """Once through, so that memory for imports is not counted as the codec's."""
    if not codec.n_shared:  # one span is too little to train on
        codec.decompress(codec.compress(codec.prepare(TINY)))


def main() -> None:
    path, name, unit, repeat = sys.argv[1:]
    codec = next(codec for codec in CODECS if (codec.name, codec.unit) == (name, unit))
    warm_up(codec)
    print(json.dumps(asdict(measure_prepared(codec, load(path), int(repeat)))))


if __name__ == "__main__":
    main()
