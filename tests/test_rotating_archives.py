"""Rotating archives: whole files with names that say what is in them, whatever services are called."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from archives import MESSAGES, archive, message

import tracezip
from tracezip import limits
from tracezip.live import archives as module
from tracezip.live.archives import RotatingArchives

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def contents(folder: Path) -> dict[str, list[bytes]]:
    """The messages of each file, all of which must be complete."""
    found = {}
    for path in sorted(folder.rglob("*.tzip")):
        with tracezip.open(path) as reader:
            found[str(path.relative_to(folder))] = list(reader)
    return found


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_messages_go_to_the_file_of_their_service_date_hour_and_process(tmp_path: Path, clock: Clock) -> None:
    archives = RotatingArchives(tmp_path / "{service}/{date}/{hour}-{pid}.tzip", clock=clock)
    archives.write(MESSAGES[0], "cart")
    archives.write(MESSAGES[1], "shop")
    archives.write(MESSAGES[2], "cart")
    archives.write(MESSAGES[3])
    archives.close()
    name = f"2023-11-15/12-{os.getpid()}.tzip"
    assert contents(tmp_path) == {
        f"cart/{name}": [MESSAGES[0], MESSAGES[2]],
        f"shop/{name}": [MESSAGES[1]],
        f"unknown_service/{name}": [MESSAGES[3]],
    }


@pytest.mark.parametrize(
    "service",
    ["../../etc/passwd", "/etc/passwd", "..", ".", ".hidden", "-rf", "a/b\\c", "a\0b", "ä" * 300, "{pid}", ""],
)
def test_no_service_can_leave_the_folder(tmp_path: Path, clock: Clock, service: str) -> None:
    archives = RotatingArchives(tmp_path / "in" / "{service}" / "a.tzip", clock=clock)
    archives.write(MESSAGES[0], service)
    archives.close()
    [path] = tmp_path.rglob("*.tzip")
    assert path.parent.parent == tmp_path / "in"
    assert set(path.parent.name) <= set(module.NAME_CHARACTERS)
    assert path.parent.name[0] not in ".-"


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path, clock: Clock) -> None:
    for one in MESSAGES[:3]:
        archives = RotatingArchives(tmp_path / "a.tzip", clock=clock)
        archives.write(one)
        archives.close()
    assert contents(tmp_path) == {"a-1.tzip": [MESSAGES[1]], "a-2.tzip": [MESSAGES[2]], "a.tzip": [MESSAGES[0]]}


def test_a_new_file_begins_when_one_is_large_enough(tmp_path: Path, clock: Clock) -> None:
    archives = RotatingArchives(tmp_path / "a.tzip", max_bytes=100, clock=clock)
    for one in MESSAGES[:2]:
        archives.write(one)
        archives.flush()
    assert contents(tmp_path) == {"a.tzip": [MESSAGES[0]], "a-1.tzip": [MESSAGES[1]]}


def test_a_file_ends_when_it_is_old_enough_also_if_nothing_more_comes(tmp_path: Path, clock: Clock) -> None:
    archives = RotatingArchives(tmp_path / "a.tzip", max_seconds=60, clock=clock)
    archives.write(MESSAGES[0])
    clock.now += 59
    archives.rotate_due()
    archives.write(MESSAGES[1])
    clock.now += 1
    archives.rotate_due()
    assert contents(tmp_path) == {"a.tzip": MESSAGES[:2]}
    archives.write(MESSAGES[2])
    clock.now += 60
    archives.flush()
    assert contents(tmp_path) == {"a.tzip": MESSAGES[:2], "a-1.tzip": [MESSAGES[2]]}


def test_the_file_of_an_hour_that_is_over_ends(tmp_path: Path, clock: Clock) -> None:
    archives = RotatingArchives(tmp_path / "{hour}.tzip", clock=clock)
    archives.write(MESSAGES[0])
    clock.now += 3600
    archives.write(MESSAGES[1])
    archives.flush()
    with tracezip.open(tmp_path / "12.tzip") as reader:
        assert list(reader) == MESSAGES[:1]
    archives.close()
    assert contents(tmp_path) == {"12.tzip": MESSAGES[:1], "13.tzip": MESSAGES[1:2]}


def test_few_files_are_open_at_a_time(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN_ARCHIVES", 2)
    archives = RotatingArchives(tmp_path / "{service}.tzip", clock=clock)
    for service in ("a", "b", "a", "c"):
        archives.write(MESSAGES[0], service)
    with tracezip.open(tmp_path / "b.tzip") as reader:  # not used for longest
        assert list(reader) == MESSAGES[:1]
    archives.write(MESSAGES[1], "b")
    archives.close()
    assert contents(tmp_path) == {
        "a.tzip": [MESSAGES[0]] * 2,
        "b.tzip": [MESSAGES[0]],
        "b-1.tzip": [MESSAGES[1]],
        "c.tzip": [MESSAGES[0]],
    }


def test_a_flush_after_each_message_costs_little(tmp_path: Path) -> None:
    messages = [message(number) for number in range(200)]
    archives = RotatingArchives(tmp_path / "a.tzip")
    for one in messages:
        archives.write(one)
        archives.flush()
    archives.close()
    assert contents(tmp_path) == {"a.tzip": messages}
    assert (tmp_path / "a.tzip").stat().st_size < 0.7 * len(archive(messages))


def test_damage_costs_no_more_than_a_large_block_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_SPANS", 100)
    messages = [message(number) for number in range(200)]
    archives = RotatingArchives(tmp_path / "a.tzip")
    for one in messages:
        archives.write(one)
        archives.flush()
    archives.close()
    data = bytearray((tmp_path / "a.tzip").read_bytes())
    data[100] ^= 1
    (tmp_path / "a.tzip").write_bytes(data)
    with tracezip.open(tmp_path / "a.tzip", skip_damage=True) as reader:
        assert list(reader) == messages[50:]


def test_files_say_of_themselves_what_was_asked(tmp_path: Path) -> None:
    archives = RotatingArchives(tmp_path / "a.tzip", facts={"host": "a1"})
    archives.write(MESSAGES[0])
    archives.close()
    with tracezip.open(tmp_path / "a.tzip") as reader:
        assert reader.metadata == {"host": "a1"}


def test_without_messages_there_is_no_file(tmp_path: Path) -> None:
    archives = RotatingArchives(tmp_path / "a" / "a.tzip")
    archives.flush()
    archives.close()
    assert names(tmp_path) == []


def test_a_pattern_with_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(tracezip.InputError, match=r"there is no \{host\}, only \{service\}"):
        RotatingArchives("{host}.tzip")


def test_an_unknown_fsync_is_refused() -> None:
    with pytest.raises(tracezip.InputError, match="always, close or never"):
        RotatingArchives("a.tzip", fsync="sometimes")  # type: ignore[arg-type]


def test_wrong_options_are_refused_before_there_is_a_message() -> None:
    with pytest.raises(tracezip.InputError, match="level must be from 1 to 9"):
        RotatingArchives("a.tzip", level=10)


@pytest.mark.parametrize(("fsync", "n_flushed", "n_closed"), [("always", 2, 1), ("close", 0, 1), ("never", 0, 0)])
def test_fsync_is_called_as_often_as_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: Any, n_flushed: int, n_closed: int
) -> None:
    synced: list[int] = []
    folders: list[Path] = []
    monkeypatch.setattr(module.os, "fsync", synced.append)
    monkeypatch.setattr(module, "sync_folder", folders.append)
    archives = RotatingArchives(tmp_path / "a.tzip", fsync=fsync)
    for one in MESSAGES[:2]:
        archives.write(one)
        archives.flush()
        archives.flush()
    assert len(synced) == n_flushed
    archives.close()
    assert len(synced) == n_flushed + n_closed
    assert set(folders) == ({tmp_path} if n_closed else set())


class FullDisk:
    """A file that takes nothing more once it was told to."""

    is_full = False

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        if FullDisk.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_after_a_full_disk_the_next_message_goes_to_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_file = module._new_file

    def wrapped(path: Path) -> tuple[Path, FullDisk]:
        made, file = new_file(path)
        return made, FullDisk(file)

    monkeypatch.setattr(module, "_new_file", wrapped)
    archives = RotatingArchives(tmp_path / "a.tzip")
    archives.write(MESSAGES[0])
    archives.flush()
    archives.write(MESSAGES[1])
    monkeypatch.setattr(FullDisk, "is_full", True)
    with pytest.raises(OSError, match="No space left"):
        archives.flush()
    monkeypatch.setattr(FullDisk, "is_full", False)
    archives.write(MESSAGES[2])
    archives.close()
    with tracezip.open(tmp_path / "a.tzip", skip_damage=True) as reader:
        assert list(reader) == MESSAGES[:1]
    with tracezip.open(tmp_path / "a-1.tzip") as reader:
        assert list(reader) == MESSAGES[2:3]


PROGRAM = """
import os, signal, sys
sys.path[:0] = {path!r}
from archives import MESSAGES, archive, message
from tracezip.live.archives import RotatingArchives
archives = RotatingArchives({pattern!r})
for index, message in enumerate(MESSAGES):
    archives.write(message)
    if index == 3:
        archives.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_everything_that_was_flushed_is_readable(tmp_path: Path) -> None:
    program = PROGRAM.format(path=sys.path, pattern=str(tmp_path / "a.tzip"))
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    with tracezip.open(tmp_path / "a.tzip", skip_damage=True) as reader:
        assert list(reader) == MESSAGES[:4]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_to_a_file_of_its_own(tmp_path: Path) -> None:
    archives = RotatingArchives(tmp_path / "a.tzip")
    archives.write(MESSAGES[0])
    child = os.fork()
    if not child:
        archives.write(MESSAGES[1])
        archives.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    archives.write(MESSAGES[2])
    archives.close()
    assert contents(tmp_path) == {"a.tzip": [MESSAGES[0], MESSAGES[2]], "a-1.tzip": [MESSAGES[1]]}


def test_several_threads_may_write(tmp_path: Path) -> None:
    archives = RotatingArchives(tmp_path / "{service}.tzip")

    def write(service: str) -> None:
        for one in MESSAGES:
            archives.write(one, service)
            archives.flush()

    threads = [threading.Thread(target=write, args=(f"s{number % 2}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    archives.close()
    assert {name: sorted(found) for name, found in contents(tmp_path).items()} == {
        "s0.tzip": sorted(MESSAGES * 2),
        "s1.tzip": sorted(MESSAGES * 2),
    }


def test_what_was_flushed_with_the_writing_is_safe_from_the_failures_of_other_threads(tmp_path: Path) -> None:
    class Failing(RotatingArchives):
        def flush(self) -> None:
            raise AssertionError("between writing and flushing another thread has its turn")

    archives = Failing(tmp_path / "a.tzip")
    archives.write(MESSAGES[0], flush=True)
    with tracezip.open(tmp_path / "a.tzip", skip_damage=True) as reader:
        assert list(reader) == MESSAGES[:1]
    archives.close()
