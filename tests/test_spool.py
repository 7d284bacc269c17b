"""The spool: what was appended survives the process, comes back in order, and is never more than was allowed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from archives import message

from tracezip.live import segments as segments_module
from tracezip.live import spool as module
from tracezip.live.errors import SpoolFull
from tracezip.live.spool import Spool

MESSAGES = [message(number) for number in range(40)]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path)
    yield spool
    spool.close()


def fill(spool: Spool, messages: list[bytes] = MESSAGES) -> None:
    for one in messages:
        spool.append(one)


def drain(spool: Spool, most: int = 1000) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < most and (entry := spool.peek()) is not None:
        found.append(entry.message)
        spool.done(entry)
    return found


def drained(folder: Path) -> list[bytes]:
    """What the next process finds; nothing is left then."""
    spool = Spool(folder)
    found = drain(spool)
    assert (spool.n_messages, spool.n_bytes) == (0, 0)
    spool.close()
    assert list(folder.iterdir()) == []
    return found


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.tzip"))


def test_messages_come_back_in_order_and_nothing_is_left(spool: Spool, tmp_path: Path) -> None:
    fill(spool)
    assert spool.n_messages == len(MESSAGES)
    assert spool.n_bytes == sum(path.stat().st_size for path in segments(tmp_path))
    assert drain(spool) == MESSAGES
    assert (spool.n_messages, spool.n_bytes) == (0, 0)
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_the_head_is_the_same_until_it_is_done(spool: Spool) -> None:
    fill(spool, MESSAGES[:2])
    entry = spool.peek()
    assert entry is not None
    assert entry is spool.peek()
    spool.done(entry)
    spool.done(entry)
    assert drain(spool) == MESSAGES[1:2]


def test_an_empty_spool_makes_nothing_on_disk(spool: Spool, tmp_path: Path) -> None:
    assert spool.peek() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("segment_bytes", [1, 1000, 1 << 22])
def test_messages_are_read_while_others_are_appended(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, segment_bytes: int
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", segment_bytes)
    found: list[bytes] = []
    for first in range(0, 40, 4):
        fill(spool, MESSAGES[first : first + 4])
        found += drain(spool, 3)
    assert found + drain(spool) == MESSAGES


def test_segments_are_bounded_and_go_when_they_are_drained(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1000)
    fill(spool)
    n_segments = len(segments(tmp_path))
    assert n_segments > 5
    assert all(path.stat().st_size < 3000 for path in segments(tmp_path))
    drain(spool, 20)
    assert len(segments(tmp_path)) < n_segments


def test_a_large_message_and_an_empty_one_come_back(spool: Spool) -> None:
    large = message(0, n_spans=150_000)
    assert len(large) > 5 << 20
    fill(spool, [b"", large, b""])
    assert drain(spool) == [b"", large, b""]


def test_what_is_left_is_taken_over_at_the_place_where_it_was(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool)
    assert drain(spool, 7) == MESSAGES[:7]
    spool.close()
    again = Spool(tmp_path)
    assert again.n_messages == len(MESSAGES) - 7
    fill(again, MESSAGES[:3])
    assert drain(again, 5) == MESSAGES[7:12]
    again.close()
    assert drained(tmp_path) == MESSAGES[12:] + MESSAGES[:3]


def test_a_closed_spool_takes_and_gives_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool, MESSAGES[:1])
    entry = spool.peek()
    assert entry is not None
    spool.close()
    spool.close()
    spool.done(entry)
    assert spool.peek() is None
    with pytest.raises(OSError, match="is closed"):
        spool.append(MESSAGES[0])
    assert drained(tmp_path) == MESSAGES[:1]


def test_a_full_spool_takes_no_more_until_something_is_done(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=4000)
    with pytest.raises(SpoolFull, match="of at most 4000 bytes"):
        fill(spool)
    n_taken = spool.n_messages
    assert n_taken > 5
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= 4000
    assert drain(spool) == MESSAGES[:n_taken]
    fill(spool, MESSAGES[:2])
    spool.close()
    assert drained(tmp_path) == MESSAGES[:2]


def test_what_is_taken_over_counts(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool)
    spool.close()
    again = Spool(tmp_path, max_bytes=spool.n_bytes)
    with pytest.raises(SpoolFull):
        again.append(MESSAGES[0])
    again.close()


def test_of_what_dead_processes_left_the_oldest_is_dropped_and_counted_when_it_is_too_much(tmp_path: Path) -> None:
    run(tmp_path, n_messages=40, n_done=35)  # the last segments of this one
    run(tmp_path, n_messages=12)
    run(tmp_path, n_messages=5)
    paths = segments(tmp_path)
    sizes = [path.stat().st_size for path in paths]
    spool = Spool(tmp_path, max_bytes=sum(sizes[-2:]))
    left = drain(spool)
    assert left == (MESSAGES[35:] + MESSAGES[:12] + MESSAGES[:5])[-len(left) :]
    assert 0 < len(left) < 17
    assert spool.stats.snapshot()["dropped_spans"] == {"spool_full": 2 * (22 - len(left))}
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_the_spans_that_are_left_in_a_segment_are_counted_also_of_messages_in_several_blocks(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool, [MESSAGES[0], message(0, n_spans=140_000), MESSAGES[1]])
    spool.close()
    [path] = segments(tmp_path)
    segment = segments_module.Segment(path.parent, int(path.stem))
    segment.adopt()
    assert segment.n_messages > 3  # which are blocks
    counts = []
    for _ in range(3):
        counts.append(segment.count_spans_left())
        segment.mark_done()
    assert counts == [140_004, 140_002, 2]


def test_what_was_put_aside_has_only_the_room_that_is_left(tmp_path: Path) -> None:
    names = [f"{number:020}-7-00000001.unreadable" for number in range(4)]
    for name in names:
        (tmp_path / name).write_bytes(bytes(1000))
    run(tmp_path, n_messages=3)
    n_held = sum(path.stat().st_size for path in segments(tmp_path))
    spool = Spool(tmp_path, max_bytes=n_held + 2500)
    assert sorted(path.name for path in tmp_path.glob("*.unreadable")) == names[2:]
    assert drain(spool) == MESSAGES[:3]
    spool.close()


PROGRAM = """
import os, signal, sys
sys.path[:0] = {path!r}
from pathlib import Path
from archives import message
from tracezip.live import segments as segments_module
from tracezip.live import spool as module
module.SEGMENT_BYTES = {segment_bytes}
spool = module.Spool({folder!r})
for number in range({n_messages}):
    spool.append(message(number))
for _ in range({n_done}):
    spool.done(spool.peek())
{end}
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def run(folder: Path, end: str = KILL, *, n_messages: int = 40, n_done: int = 0, segment_bytes: int = 1000) -> None:
    program = PROGRAM.format(
        path=sys.path,
        folder=str(folder),
        n_messages=n_messages,
        n_done=n_done,
        segment_bytes=segment_bytes,
        end=end,
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


@pytest.mark.parametrize("segment_bytes", [1, 1000, 1 << 22])
@pytest.mark.parametrize("n_done", [0, 1, 39, 40])
def test_after_a_kill_everything_that_was_appended_and_not_done_comes_back(
    tmp_path: Path, n_done: int, segment_bytes: int
) -> None:
    run(tmp_path, n_done=n_done, segment_bytes=segment_bytes)
    assert drained(tmp_path) == MESSAGES[n_done:]


def test_several_dead_processes_are_drained_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    for n_messages in (3, 1, 2):
        run(tmp_path, n_messages=n_messages)
    assert drained(tmp_path) == MESSAGES[:3] + MESSAGES[:1] + MESSAGES[:2]


def test_a_kill_in_the_middle_of_a_block_costs_only_that_message(tmp_path: Path) -> None:
    run(tmp_path, n_messages=5)
    [path] = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    spool = Spool(tmp_path)
    assert spool.n_messages > 0
    assert drain(spool) == MESSAGES[:4]
    spool.close()


def test_damage_costs_what_stands_there_and_is_counted(tmp_path: Path) -> None:
    run(tmp_path, n_messages=40, segment_bytes=1 << 22)
    [path] = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    spool = Spool(tmp_path)
    found = drain(spool)
    assert len(found) == 39
    assert set(found) < set(MESSAGES)
    assert spool.stats.snapshot()["spool_damages"] == 1
    spool.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x8eTZH", b"\0" * 100_000])
def test_a_segment_that_is_none_is_passed_over(tmp_path: Path, data: bytes) -> None:
    run(tmp_path, n_messages=2, segment_bytes=1)
    segments(tmp_path)[0].write_bytes(data)
    assert drained(tmp_path) == MESSAGES[1:2]


def test_a_segment_that_cannot_be_read_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    fill(spool, MESSAGES[:1])

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(module, "Reader", fails)
        assert spool.peek() is None
    assert spool.n_messages == 0
    assert len(list(tmp_path.rglob("*.unreadable"))) == 1
    fill(spool, MESSAGES[1:2])
    assert drain(spool) == MESSAGES[1:2]
    spool.close()
    again = Spool(tmp_path)
    assert again.peek() is None
    again.close()


def test_an_error_that_passes_costs_nothing(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class OftenFails(module.Reader):
        n_good = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            if OftenFails.n_good < 0:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            super().__init__(*args, **options)

        def __next__(self) -> bytes:
            OftenFails.n_good -= 1
            if OftenFails.n_good < 0:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            return super().__next__()

    monkeypatch.setattr(module, "Reader", OftenFails)
    fill(spool, MESSAGES[:4])
    found: list[bytes] = []
    for n_good in range(12):
        OftenFails.n_good = n_good
        with suppress(OSError):
            found += drain(spool, 1)
    assert found == MESSAGES[:4]
    assert spool.peek() is None


def test_a_spool_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    first, second = Spool(tmp_path), Spool(tmp_path)
    fill(first, MESSAGES[:3])
    fill(second, MESSAGES[3:6])
    third = Spool(tmp_path)
    assert third.peek() is None
    assert drain(first) == MESSAGES[:3]
    assert drain(second) == MESSAGES[3:6]
    for one in (first, second, third):
        one.close()
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_begin_at_once_one_takes_over(tmp_path: Path) -> None:
    run(tmp_path)
    spools: list[Spool] = []
    threads = [threading.Thread(target=lambda: spools.append(Spool(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [drain(spool) for spool in spools]
    assert sorted(found) == [[], [], [], MESSAGES]
    for spool in spools:
        spool.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_spool_of_its_own_and_keeps_nothing_of_its_parent(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool, MESSAGES[:2])
    assert spool.peek() is not None
    fill(spool, MESSAGES[2:3])
    child = os.fork()
    if not child:
        good = spool.peek() is None and spool.n_messages == 0
        fill(spool, MESSAGES[5:7])
        os._exit(0 if good and drain(spool, 1) == MESSAGES[5:6] else 1)
    assert os.waitpid(child, 0)[1] == 0
    fill(spool, MESSAGES[3:4])
    assert drain(spool) == MESSAGES[:4]
    spool.close()
    assert drained(tmp_path) == MESSAGES[6:7]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_what_a_child_left_that_began_after_the_spool_is_taken_over_when_it_is_asked_for(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    child = os.fork()
    if not child:
        fill(spool, MESSAGES[:3])
        os._exit(0)
    os.waitpid(child, 0)
    assert spool.n_messages == 0
    spool.adopt()
    spool.adopt()
    assert drain(spool) == MESSAGES[:3]
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_parent_had_is_taken_over_while_its_child_lives(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    end = f"""
if not os.fork():
    os.write({write_end}, b"x")
    signal.pause()
"""
    program = PROGRAM.format(
        path=sys.path, folder=str(tmp_path), n_messages=2, n_done=0, segment_bytes=1000, end=end + KILL
    )
    process = subprocess.Popen([sys.executable, "-c", program], pass_fds=[write_end], start_new_session=True)
    try:
        assert process.wait(60) == -signal.SIGKILL
        assert os.read(read_end, 1) == b"x"
        assert drained(tmp_path) == MESSAGES[:2]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        os.close(read_end)
        os.close(write_end)


@pytest.mark.parametrize(("fsync", "n_calls"), [("always", 3), ("close", 1), ("never", 0)])
def test_fsync_is_called_as_often_as_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: Any, n_calls: int
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(module.os, "fsync", synced.append)
    for one in (module, segments_module):
        monkeypatch.setattr(one, "sync_folder", lambda _: None)
    spool = Spool(tmp_path, fsync=fsync)
    fill(spool, MESSAGES[:2])
    spool.close()
    assert len(synced) == n_calls


def test_only_its_owner_may_look_into_a_spool(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    spool = Spool(folder)
    fill(spool, MESSAGES[:1])
    fill(spool, MESSAGES[:1])
    drain(spool, 1)
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    spool.close()


def test_a_folder_that_cannot_be_made_is_an_error_of_append_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    spool = Spool(tmp_path / "file" / "spool")
    assert "the spool cannot be used" in caplog.text
    assert spool.peek() is None
    with pytest.raises(NotADirectoryError):
        spool.append(MESSAGES[0])
    (tmp_path / "file").unlink()
    fill(spool, MESSAGES[:1])
    assert drain(spool) == MESSAGES[:1]
    spool.close()


def test_a_folder_that_somebody_removes_costs_what_was_in_it_and_no_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    fill(spool, MESSAGES[:2])
    shutil.rmtree(tmp_path / "spool")
    assert spool.peek() is None
    assert spool.stats.snapshot()["spool_damages"] == 1
    fill(spool, MESSAGES[2:4])
    spool.close()
    assert drained(tmp_path / "spool") == MESSAGES[2:4]


def test_what_was_in_a_removed_folder_is_passed_over_also_behind_new_messages(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append(MESSAGES[0])
    assert spool.peek() is not None  # the segment is ended, and the head is known
    shutil.rmtree(tmp_path / "spool")
    spool.append(MESSAGES[1])
    assert drain(spool) == MESSAGES[:2]
    spool.append(MESSAGES[2])
    shutil.rmtree(tmp_path / "spool")
    spool.peek()
    spool.append(MESSAGES[3])
    assert drain(spool) == MESSAGES[3:4]
    spool.close()


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Spool(tmp_path).close()
    assert (tmp_path / "mine").is_dir()


FULL_DISK = """
import errno, resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def limit(n_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
limit(spool.n_bytes + 100)
try:
    spool.append(message(2))
except OSError as error:
    assert error.errno == errno.EFBIG
else:
    raise AssertionError
limit(10)
try:
    spool.append(message(2))
except OSError as error:
    assert error.errno == errno.EFBIG
else:
    raise AssertionError
limit(resource.RLIM_INFINITY)
spool.append(message(3))
assert spool.n_messages == 3
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_FSIZE")
def test_a_full_disk_costs_only_what_did_not_fit(tmp_path: Path) -> None:
    run(tmp_path, FULL_DISK + KILL, n_messages=2, segment_bytes=1 << 20)
    assert drained(tmp_path) == [MESSAGES[0], MESSAGES[1], MESSAGES[3]]


def test_what_comes_after_the_segment_was_removed_is_safe(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(MESSAGES[0])
    (segment,) = tmp_path.rglob("*.tzip")
    segment.unlink()
    spool.append(MESSAGES[1])
    spool.close()
    assert drained(tmp_path) == MESSAGES[1:2]
