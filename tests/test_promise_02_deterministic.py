"""Promise 2: the same input, options and versions give the same bytes, whatever else is different."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from backends import BACKENDS, DATA, NO_DATA, first_spans, recorded_messages, running
from otlp_maker import Maker

import tracezip
from benchmarks.data import SAMPLES, read_file
from tracezip import limits

SAMPLE = read_file(SAMPLES / "astronomy.otlp").messages[:3]

PROGRAM = """
import sys
sys.path[:0] = {path!r}
from test_promise_02_deterministic import digests, traces
print(*digests(traces({n_messages})))
"""


def traces(n_messages: int) -> list[bytes]:
    """Messages of all sorts."""
    maker = Maker(2, 15)
    return [maker.message() for _ in range(n_messages)]


def archive(messages: Sequence[bytes], level: int = 3, threshold: int = 2, **options: Any) -> bytes:
    file = io.BytesIO()
    with tracezip.open(file, "wb", level=level, dictionary_threshold=threshold, **options) as writer:
        for message in messages:
            writer.write(message)
    return file.getvalue()


def chained(messages: Sequence[bytes], level: int = 3, threshold: int = 2) -> bytes:
    compressor = tracezip.Compressor(level, dictionary_threshold=threshold)
    return b"".join([*map(compressor.compress, messages), compressor.finish()])


def digests(messages: Sequence[bytes]) -> list[str]:
    """Of what each way of compression makes, with several options."""
    blobs = [way(messages, *chosen) for way in (archive, chained) for chosen in ((1, 1), (3, 2), (9, 5))]
    blobs += [tracezip.compress(message) for message in messages]
    return [hashlib.sha256(blob).hexdigest()[:16] for blob in blobs]


def digests_elsewhere(n_messages: int, **environment: str) -> list[str]:
    """The same from another process."""
    program = PROGRAM.format(path=[str(Path(__file__).parent), *sys.path], n_messages=n_messages)
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_hash_seed_and_the_backend_change_nothing(backend: str) -> None:
    expected = digests(traces(12))
    for seed in ("0", "1", "4294967295"):
        assert digests_elsewhere(12, PYTHONHASHSEED=seed, TRACEZIP_BACKEND=backend) == expected


def test_the_environment_changes_nothing() -> None:
    expected = digests(traces(12))
    assert digests_elsewhere(12, LC_ALL="C", TZ="Asia/Kathmandu", PYTHONUTF8="0", PYTHONOPTIMIZE="2") == expected
    assert digests_elsewhere(12, PYTHONMALLOC="debug", MALLOC_PERTURB_="165", OMP_NUM_THREADS="7") == expected


def test_compressing_twice_gives_the_same_bytes_whatever_was_compressed_before() -> None:
    messages, other = traces(30), [*SAMPLE, b"\xff" * 1000]
    expected = digests(messages)
    for _ in range(3):
        digests(other)
        assert digests(messages) == expected


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_blocks_that_are_compressed_at_a_time_give_the_same_file(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_SPANS", 100)
    messages = [*SAMPLE, *traces(30), *SAMPLE]
    assert archive(messages, threads=threads) == archive(messages)


def test_threads_change_nothing() -> None:
    inputs = [traces(20)[index:] for index in range(12)]
    expected = [digests(messages) for messages in inputs]
    start = threading.Barrier(6)

    def work(_: int) -> list[list[str]]:
        start.wait(60)
        return [digests(messages) for messages in inputs]

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [expected] * 6


@pytest.mark.parametrize("level", range(1, 10))
def test_both_backends_give_the_same_bytes_at_every_level(level: int) -> None:
    messages = [*traces(6), SAMPLE[1][:20_000]]
    made = {}
    for backend in BACKENDS:
        with running(backend):
            made[backend] = archive(messages, level), chained(messages, level, level)
    assert made["native"] == made["reference"]


@pytest.mark.parametrize("path", DATA or [pytest.param(Path(), marks=pytest.mark.skip(reason=NO_DATA))])
def test_both_backends_give_the_same_file_for_recorded_traces(path: Path) -> None:
    messages = first_spans(recorded_messages(path), 100)
    made = []
    for backend in BACKENDS:
        with running(backend):
            made.append(archive(messages))
    assert made[0] == made[1]


# --- chunking: neither the kind of file nor the kind of input nor flushes without anything new ------------------------


class Reluctant(io.RawIOBase):
    """A file that takes a few bytes at a time."""

    def __init__(self) -> None:
        self.taken = bytearray()
        self.r = random.Random(5)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        n_bytes = min(len(memoryview(data)), self.r.randint(1, 99))
        self.taken += memoryview(data)[:n_bytes]
        return n_bytes


class Least:
    """A file that has nothing but `write`, and says nothing about it."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def write(self, data: Any) -> None:
        self.taken += data


def write_all(messages: Sequence[bytes], file: Any) -> None:
    with tracezip.open(file, "wb") as writer:
        for message in messages:
            writer.write(message)


def test_the_kind_of_file_changes_nothing(tmp_path: Path) -> None:
    messages = [*traces(20), *SAMPLE]
    expected = archive(messages)
    path = tmp_path / "a.tzip"
    for target in (path, str(path), os.fsencode(path)):
        write_all(messages, target)
        assert path.read_bytes() == expected
    for buffering in (0, 13, -1):
        with path.open("wb", buffering=buffering) as file:
            write_all(messages, file)
        assert path.read_bytes() == expected
    for partial in (Reluctant(), Least()):
        write_all(messages, partial)
        assert bytes(partial.taken) == expected


def test_a_pipe_gets_the_same_bytes() -> None:
    messages = [*traces(20), *SAMPLE]
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool, os.fdopen(reading, "rb") as source:
        received = pool.submit(source.read)
        with os.fdopen(writing, "wb") as file:
            write_all(messages, file)
        assert received.result(60) == archive(messages)


KINDS: list[Callable[[bytes], Any]] = [bytes, bytearray, memoryview]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_bytes_given_changes_nothing(kind: Callable[[bytes], Any]) -> None:
    messages = traces(10)
    assert archive([kind(message) for message in messages]) == archive(messages)
    assert chained([kind(message) for message in messages]) == chained(messages)
    assert tracezip.compress(kind(SAMPLE[0])) == tracezip.compress(SAMPLE[0])


def test_a_protobuf_object_gives_the_same_bytes_as_its_serialisation() -> None:
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    trace = TracesData.FromString(SAMPLE[0])
    assert tracezip.compress(trace) == tracezip.compress(trace.SerializeToString())


def test_flushing_when_nothing_is_new_changes_nothing() -> None:
    messages, file = traces(10), io.BytesIO()
    with tracezip.open(file, "wb") as writer:
        writer.flush()
        for message in messages:
            writer.write(message)
        writer.flush()
        writer.flush()
    assert file.getvalue() == archive(messages)


def test_the_chunks_in_which_a_file_is_read_change_nothing() -> None:
    messages = [*traces(20), *SAMPLE]
    data = archive(messages)

    class Trickle(io.BytesIO):
        r = random.Random(3)

        def read(self, size: int | None = -1, /) -> bytes:
            most = self.r.choice([1, 2, 1000])
            return super().read(most if size is None or size < 0 else min(size, most))

    with tracezip.open(Trickle(data)) as reader:
        assert list(reader) == messages
