"""Promise 9: after a failed write the writer closes, the file ends at a whole block, the error is raised."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from archives import MESSAGES, archive, frames, read

import tracezip
from tracezip import lanes, limits

N_ALLOWED = range(0, len(archive()), 7)


class Disk(io.RawIOBase):
    """A file that is full after some bytes, and has room again later; writes at most 50 bytes at a time."""

    def __init__(self, n_free: int) -> None:
        self.data = bytearray()
        self.at = 0
        self.n_free = n_free

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset
        return offset

    def truncate(self, size: int | None = None) -> int:
        assert size is not None
        del self.data[size:]
        return size

    def write(self, data: Any) -> int:
        n_bytes = min(len(data), 50, self.n_free)
        if not n_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data[self.at : self.at + n_bytes] = data[:n_bytes]
        self.at += n_bytes
        self.n_free -= n_bytes
        return n_bytes


def write_all(writer: tracezip.Writer) -> None:
    with writer:
        for message in MESSAGES:
            writer.write(message)
            writer.flush()


def write_until_full(disk: Disk) -> None:
    writer = tracezip.open(disk, "wb")
    with pytest.raises(OSError, match="No space left"):
        write_all(writer)
    disk.n_free = 1 << 20
    with pytest.raises(tracezip.UsageError):
        writer.write(MESSAGES[0])
    writer.close()


@pytest.mark.parametrize("n_free", N_ALLOWED)
def test_a_full_disk_leaves_a_file_that_ends_at_a_whole_block(n_free: int) -> None:
    disk = Disk(n_free)
    write_until_full(disk)
    data = bytes(disk.data)
    assert sum(part.end for part in list(frames(data))[-1:]) == len(data)
    messages, error = read(data)
    assert messages == MESSAGES[: len(messages)]
    assert isinstance(error, tracezip.TruncatedError)


def test_what_was_in_the_file_before_stays() -> None:
    disk = Disk(1 << 20)
    disk.write(b"before")
    disk.n_free = 40
    write_until_full(disk)
    assert disk.data == b"before"


PROGRAM = """
import resource, signal, sys
sys.path[:0] = {path!r}
import tracezip
from archives import MESSAGES
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({n_bytes}, resource.RLIM_INFINITY))
writer = tracezip.open({file!r}, {mode!r})
try:
    for message in MESSAGES:
        writer.write(message)
        writer.flush()
except OSError as error:
    print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    writer.flush()
except tracezip.UsageError:
    print("dead")
writer.close()
"""


def run_limited(file: Path, n_bytes: int, mode: str) -> list[str]:
    program = PROGRAM.format(path=sys.path, file=str(file), n_bytes=n_bytes, mode=mode)
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert not process.stderr, process.stderr.decode()
    return process.stdout.decode().split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_FSIZE")
def test_a_real_file_that_may_not_grow_ends_at_a_whole_block(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    with tracezip.open(path, "wb") as writer:
        for message in MESSAGES:
            writer.write(message)
            writer.flush()
    ends = [part.end for part in frames(path.read_bytes())]
    assert run_limited(path, ends[3] + 20, "wb") == [str(errno.EFBIG), "dead"]
    assert path.stat().st_size == ends[3]
    assert read(path.read_bytes()).messages == MESSAGES[:3]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_FSIZE")
def test_a_failed_append_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    path.write_bytes(archive())
    assert run_limited(path, len(archive()) + 30, "ab") == [str(errno.EFBIG), "dead"]
    assert path.read_bytes() == archive()
    assert read(path.read_bytes()) == (MESSAGES, None)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_device_is_an_error_at_the_latest_when_closing() -> None:
    with pytest.raises(OSError, match="No space left"), tracezip.open("/dev/full", "wb") as writer:
        writer.write(MESSAGES[0])
    with pytest.raises(tracezip.UsageError):
        writer.flush()


def test_a_write_that_was_interrupted_is_undone_too() -> None:
    class Interrupted(Disk):
        def write(self, data: Any) -> int:
            if self.n_free <= 50:
                raise KeyboardInterrupt
            return super().write(data)

    disk = Interrupted(200)
    with pytest.raises(KeyboardInterrupt):
        write_all(tracezip.open(disk, "wb"))
    assert sum(part.end for part in list(frames(bytes(disk.data)))[-1:]) == len(disk.data)


def test_a_file_that_would_block_is_an_error() -> None:
    class Blocking(Disk):
        def write(self, data: Any) -> None:  # type: ignore[override]
            return None

    with pytest.raises(BlockingIOError), tracezip.open(Blocking(0), "wb") as writer:
        writer.write(MESSAGES[0])


def test_short_writes_are_no_failure() -> None:
    disk = Disk(1 << 20)
    with tracezip.open(disk, "wb") as writer:
        for message in MESSAGES:
            writer.write(message)
    assert read(bytes(disk.data)) == (MESSAGES, None)


def test_an_object_with_only_write_is_enough() -> None:
    class Bare:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: Any) -> None:
            self.data += bytes(data)

    bare = Bare()
    with tracezip.open(bare, "wb") as writer:
        writer.write(MESSAGES[0])
    assert read(bare.data) == (MESSAGES[:1], None)
    assert writer.stats["compressed_bytes"] == len(bare.data)


# --- blocks that other threads compress -------------------------------------------------------------------------------


def threads_of_writers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tracezip")]


def write_for_ever(writer: tracezip.Writer, message: bytes) -> None:
    while True:
        writer.write(message)


@pytest.mark.parametrize("n_free", range(0, 2000, 190))
def test_a_full_disk_ends_the_threads_too(n_free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_SPANS", 1)
    disk = Disk(n_free)
    writer = tracezip.open(disk, "wb", threads=3)
    with pytest.raises(OSError, match="No space left"):
        write_for_ever(writer, MESSAGES[0])
    assert not threads_of_writers()
    messages = read(bytes(disk.data)).messages
    assert messages == MESSAGES[:1] * len(messages)
    writer.close()


def test_a_thread_that_fails_is_an_error_of_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_SPANS", 1)
    target = io.BytesIO()
    writer = tracezip.open(target, "wb", threads=2)
    writer.write(MESSAGES[0])
    writer.flush()

    def fail(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(lanes.Lane, "write", fail)
    with pytest.raises(MemoryError):
        write_for_ever(writer, MESSAGES[1])
    writer.close()
    assert not threads_of_writers()
    assert read(target.getvalue()).messages == MESSAGES[:1]
