"""Promise 8: after `kill -9`, everything up to the last completed `flush` is readable."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from archives import MESSAGES, read

import tracezip
from tracezip import limits

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")

PROGRAM = """
import os, signal, sys
sys.path[:0] = {path!r}
import tracezip
from tracezip import limits
from archives import MESSAGES
writer = tracezip.open({file}, {mode!r})
for index, message in enumerate(MESSAGES):
    writer.write(message)
    if index in (0, 3):
        writer.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def run_and_kill(file: str, mode: str = "wb") -> None:
    program = PROGRAM.format(path=sys.path, file=file, mode=mode)
    process = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, timeout=60)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


def test_after_a_kill_everything_that_was_flushed_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    run_and_kill(repr(str(path)))
    messages, error = read(path.read_bytes())
    assert messages == MESSAGES[:4]
    assert isinstance(error, tracezip.TruncatedError)
    assert "no end record" in str(error)


def test_after_a_kill_everything_that_was_flushed_into_a_buffered_file_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    run_and_kill(f"open({str(path)!r}, 'wb')")
    assert read(path.read_bytes()).messages == MESSAGES[:4]


def test_after_a_kill_while_appending_what_was_there_is_untouched(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    with tracezip.open(path, "wb") as writer:
        writer.write(MESSAGES[5])
    before = path.read_bytes()
    run_and_kill(repr(str(path)), "ab")
    assert path.read_bytes().startswith(before)
    assert read(path.read_bytes()).messages == [MESSAGES[5], *MESSAGES[:4]]


def test_a_flush_waits_for_the_blocks_that_other_threads_compress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK_SPANS", 1)
    path = tmp_path / "a.tzip"
    with tracezip.open(path, "wb", threads=3) as writer:
        for n_written, message in enumerate(MESSAGES, 1):
            writer.write(message)
            writer.flush()
            assert read(path.read_bytes()).messages == MESSAGES[:n_written]


def test_a_reader_sees_what_was_flushed_while_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    with tracezip.open(path, "wb") as writer:
        for n_written, message in enumerate(MESSAGES, 1):
            writer.write(message)
            writer.flush()
            assert read(path.read_bytes()).messages == MESSAGES[:n_written]
            assert tracezip.info(path)["complete"] is False
    assert tracezip.info(path)["complete"] is True
