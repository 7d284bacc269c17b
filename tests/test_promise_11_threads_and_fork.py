"""Promise 11: functions are thread-safe, an object belongs to one thread at a time, a forked child keeps off files."""

from __future__ import annotations

import io
import os
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from archives import MESSAGES, archive, chained, message, read

import tracezip
from tracezip.writer import Writer

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def test_functions_run_in_many_threads_with_the_same_results() -> None:
    messages = [message(number, n_spans=20) for number in range(40)]
    expected = list(map(tracezip.compress, messages))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(tracezip.compress, messages)) == expected
            assert list(pool.map(tracezip.decompress, expected)) == messages


def test_objects_in_threads_of_their_own_do_not_disturb_each_other() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: archive(), range(32))) == {archive()}
        assert set(pool.map(lambda _: b"".join(chained()), range(32))) == {b"".join(chained())}


class Slow(io.BytesIO):
    """A file in which one thread stays until it may go on."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data)
        self.entered = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def wait(self) -> None:
        self.entered.set()
        assert self.may_go_on.wait(30)

    def write(self, data: Any) -> int:
        self.wait()
        return super().write(data)

    def read1(self, size: int | None = -1) -> bytes:
        self.wait()
        return super().read1(min(size or -1, 60))


def use_while_busy(file: Slow, use: Callable[[], object], busy: Callable[[], object]) -> None:
    file.entered.clear()
    file.may_go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(busy)
        assert file.entered.wait(30)
        try:
            with pytest.raises(tracezip.UsageError, match="another thread"):
                use()
        finally:
            file.may_go_on.set()
        first.result(timeout=30)


def test_a_writer_that_is_in_use_says_so_and_is_not_harmed() -> None:
    file = Slow()
    with tracezip.open(file, "wb") as writer:
        writer.write(MESSAGES[0])
        use_while_busy(file, lambda: writer.write(MESSAGES[1]), writer.flush)
        writer.write(MESSAGES[2])
    assert read(file.getvalue()) == ([MESSAGES[0], MESSAGES[2]], None)


def test_a_reader_that_is_in_use_says_so_and_is_not_harmed() -> None:
    file = Slow(archive())
    reader = tracezip.open(file)
    use_while_busy(file, lambda: next(reader), lambda: next(reader))
    assert list(reader) == MESSAGES[1:]


def test_the_interpreter_is_free_while_the_kernels_work() -> None:
    if tracezip.backend != "native":
        pytest.skip("only the native backend has kernels")
    large = message(0, n_spans=40_000)
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(tick)
        tracezip.decompress(tracezip.compress(large, level=1))
        stop.set()
    assert len(ticks) > 3


# --- fork -------------------------------------------------------------------------------------------------------------


def in_child(use: Callable[[], None]) -> None:
    """Runs `use` in a forked child, which ends without a word; its failures are this test's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process that once had threads
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            use()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


@needs_fork
def test_a_forked_child_never_touches_the_file_of_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    writer = tracezip.open(path, "wb")
    writer.write(MESSAGES[0])
    writer.flush()
    writer.write(MESSAGES[1])

    def use() -> None:
        for call in (lambda: writer.write(MESSAGES[2]), writer.flush):
            with pytest.raises(tracezip.UsageError, match="fork"):
                call()
        writer.close()
        writer.__del__()

    before = path.read_bytes()
    in_child(use)
    assert path.read_bytes() == before
    writer.write(MESSAGES[3])
    writer.close()
    assert read(path.read_bytes()) == ([MESSAGES[0], MESSAGES[1], MESSAGES[3]], None)


@needs_fork
def test_a_forked_child_that_leaves_a_with_statement_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    for error in (None, KeyError):

        def use(error: type[Exception] | None = error) -> None:
            try:
                with writer:
                    if error is not None:
                        raise error
            except KeyError:
                pass

        with tracezip.open(path, "wb") as writer:
            writer.write(MESSAGES[0])
            in_child(use)
        assert read(path.read_bytes()) == (MESSAGES[:1], None)


@needs_fork
def test_a_forked_child_does_not_read_on_for_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    path.write_bytes(archive())
    with tracezip.open(path) as reader:
        assert next(reader) == MESSAGES[0]

        def use() -> None:
            with pytest.raises(tracezip.UsageError, match="fork"):
                next(reader)

        in_child(use)
        assert list(reader) == MESSAGES[1:]


@needs_fork
def test_a_forked_child_makes_objects_of_its_own(tmp_path: Path) -> None:
    compressor = tracezip.Compressor()
    first = compressor.compress(MESSAGES[0])

    def use() -> None:
        with pytest.raises(tracezip.UsageError, match="fork"):
            compressor.compress(MESSAGES[1])
        assert tracezip.decompress(tracezip.compress(MESSAGES[1])) == MESSAGES[1]

    in_child(use)
    assert tracezip.decompress(first + compressor.finish()) == MESSAGES[0]


def test_a_writer_whose_blocks_build_on_each_other_writes_the_same_whatever_the_threads() -> None:
    written = []
    for threads in (1, 4):
        file = io.BytesIO()
        with Writer(file, "x", level=3, dictionary_threshold=2, metadata=None, threads=threads, chained=True) as writer:
            for message in MESSAGES * 20:
                writer.write(message)
                writer.flush()
        written.append(file.getvalue())
    assert written[0] == written[1]
    assert read(written[0]).messages == MESSAGES * 20
