"""The same codecs through pytest-benchmark: ``pytest benchmarks``, with its options for saving and comparing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.codecs import CODECS, MIB, Codec
from benchmarks.data import TraceFile, file_name, find_files, read_file

MAX_FILE_BYTES = 4 * MIB  # as stored: the largest files take minutes each; python -m benchmarks measures those
SLOW_BYTES = MIB  # what a slow codec gets here


def small_files() -> list[Path]:
    return [path for path in find_files() if path.stat().st_size <= MAX_FILE_BYTES]


@cache
def cached_file(path: Path) -> TraceFile:
    return read_file(path)


@pytest.fixture(params=small_files(), ids=file_name)
def file(request: pytest.FixtureRequest) -> TraceFile:
    return cached_file(request.param)


@pytest.fixture(params=CODECS, ids=lambda codec: f"{codec.name} per {codec.unit}")
def codec(request: pytest.FixtureRequest) -> Codec:
    chosen: Codec = request.param
    if not chosen.available:
        pytest.skip(f"{chosen.needs} is not installed")
    return chosen


def part_for(codec: Codec, file: TraceFile) -> TraceFile:
    return file if codec.max_bytes is None else file.prefix(SLOW_BYTES)


def test_compress(benchmark: Any, codec: Codec, file: TraceFile) -> None:
    part = part_for(codec, file)
    data = codec.prepare(part)
    stored = codec.compress(data)
    assert codec.decompress(stored) == data
    sizes = {"n_spans": part.n_spans, "raw_bytes": part.n_bytes, "stored_bytes": codec.stored_bytes(stored)}
    benchmark.extra_info.update(sizes, bytes_per_span=sizes["stored_bytes"] / part.n_spans)
    benchmark.pedantic(codec.compress, args=(data,), rounds=1 if codec.max_bytes else 3)


def test_decompress(benchmark: Any, codec: Codec, file: TraceFile) -> None:
    data = codec.prepare(part_for(codec, file))
    stored = codec.compress(data)
    assert codec.decompress(stored) == data
    benchmark.pedantic(codec.decompress, args=(stored,), rounds=1 if codec.max_bytes else 3)
