"""Messages on disk that wait to be sent, so that the end of the process does not lose them."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tracezip.errors import TracezipError
from tracezip.live.archives import Fsync, checked_fsync, sync_folder
from tracezip.live.complaints import Complaints
from tracezip.live.errors import SpoolFull
from tracezip.live.forking import tell_of_forks
from tracezip.live.limits import SEGMENT_BYTES, SPOOL_BYTES
from tracezip.live.segments import CURSOR_SUFFIX, SUFFIX, UNREADABLE_SUFFIX, Segment, Tail
from tracezip.live.stats import Stats
from tracezip.reader import Reader

_log = logging.getLogger(__name__)
_FOLDER = re.compile(r"\d{20}-\d+")
"""When it was made, and the process."""
_LOCK = "lock"
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR}
"""Errors that say nothing of the file."""
_OVERHEAD_BYTES = 1024
"""More than the message itself that an append takes at most: a header, and the frames of what cannot be compressed."""


class Ticket(NamedTuple):
    """The place of a message in the spool of its process."""

    folder: str
    segment: int
    position: int


class Entry(NamedTuple):
    ticket: Ticket
    message: bytes
    segment: Segment


class Spool:
    """A queue on disk, in a folder that several processes may use at a time. Can be used by several threads.

    Each process has a sub-folder of its own, made when the first message comes, and a lock on it. A new spool takes
    over what is left of processes that are gone, as does `adopt` later; that is read first, in the order in which they
    began. `max_bytes` is for all of what this process holds, and so for what no living one does: of more than that the
    oldest segments are lost, and counted as dropped. Segments that could not be read have the room that is left.
    `fsync`: "always" after each message, which then survives a power cut, too; "close" when a segment is full; or
    "never".
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        max_bytes: int = SPOOL_BYTES,
        fsync: Fsync = "close",
        stats: Stats | None = None,
    ) -> None:
        self._directory = Path(directory)
        self._max_bytes, self._fsync = max_bytes, checked_fsync(fsync)
        self.stats = stats or Stats()
        self._complaints = Complaints(_log)
        self._is_closed = False
        self._begin()
        tell_of_forks(self)
        self.adopt()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._folder: Path | None = None  # that of this process
        self._locks: dict[Path, int] = {}
        self._n_segments = 0
        self._segments: deque[Segment] = deque()
        self._tail: Tail | None = None  # of the last segment
        self._reader: Reader | None = None  # of the first segment
        self._head: Entry | None = None
        self.n_messages = 0
        """About, for what was taken over; 0 only if nothing is left."""
        self.n_bytes = 0
        """On disk."""

    def adopt(self) -> None:
        """Takes over what is left of processes that are gone, unless there is something to send already.

        A forked child must ask for that: until it has something to send, the next one may be a better heir.
        """
        with self._lock:
            if self._is_closed or self._segments:
                return
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._adopt()
                self._drop_oldest()
            except OSError as error:
                self._complaints.note("folder", f"the spool cannot be used, batches may be lost: {error}")
            self._recount()
        self._complaints.say()

    def append(self, message: bytes) -> Ticket:
        """When it returns, the message survives the end of the process. Raises SpoolFull and OSError."""
        with self._lock:
            if self._is_closed:
                raise OSError(f"the spool {self._directory} is closed")
            if self.n_bytes + len(message) + _OVERHEAD_BYTES > self._max_bytes:
                raise SpoolFull(
                    f"the spool {self._directory} holds {self.n_bytes} of at most {self._max_bytes} bytes; "
                    "give it more, or see why the receiver takes nothing"
                )
            try:
                return self._append(message)
            finally:
                self._recount()

    def peek(self) -> Entry | None:
        """The first message; the same one until it is done. Raises OSError if that is likely to pass."""
        try:
            with self._lock:
                while self._head is None and self._segments and not self._is_closed:
                    self._read()
                self._recount()
                return self._head
        finally:
            self._complaints.say()

    def done(self, entry: Entry) -> None:
        """The message of the last `peek` need not be kept any more."""
        with self._lock:
            if entry is not self._head or self._is_closed:
                return
            self._head = None
            try:
                entry.segment.mark_done()
            except OSError as error:
                text = f"cannot write {entry.segment.cursor}, after a restart batches may be sent twice: {error}"
                self._complaints.note("cursor", text)
            with suppress(OSError):  # the next peek meets it again
                self._read()
            self._recount()
        self._complaints.say()

    def close(self) -> None:
        """What is left is taken over by the next process, or the next spool of this one."""
        with self._lock:
            self._is_closed = True
            if self._tail is not None:
                self._tail.close()
                self._tail = None
            self._close_reader()
            self._head = None
            for folder in list(self._locks):
                self._let_go_of(folder)

    def after_fork(self) -> None:
        """The parent keeps what it has; this process begins with nothing."""
        if self._tail is not None:
            self._tail.close()
        self._close_reader()
        for descriptor in self._locks.values():
            os.close(descriptor)
        self._begin()

    # --- writing ------------------------------------------------------------------------------------------------------

    def _append(self, message: bytes) -> Ticket:
        if self._tail is not None and not self._tail.is_there:
            self._end_tail(sync=False)
        tail = self._tail or self._new_tail()
        segment = tail.segment
        try:
            tail.append(message)
        except BaseException:
            self._end_tail(sync=False)
            if not segment.n_messages:
                self._segments.pop()
                segment.remove()
            raise
        ticket = Ticket(segment.folder.name, segment.number, segment.n_messages - 1)
        if segment.n_bytes >= SEGMENT_BYTES:
            self._end_tail(sync=True)
        return ticket

    def _new_tail(self) -> Tail:
        if self._folder is not None and not self._folder.is_dir():  # those who tidy up temporary files do that
            os.close(self._locks.pop(self._folder))
            self._folder = None
        folder = self._folder = self._folder or self._new_folder()
        self._n_segments += 1
        self._tail = Tail(Segment(folder, self._n_segments), self._fsync)
        self._segments.append(self._tail.segment)
        return self._tail

    def _end_tail(self, *, sync: bool) -> None:
        assert self._tail is not None
        tail, self._tail = self._tail, None
        tail.close(sync=sync)

    def _new_folder(self) -> Path:
        while True:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self._directory / f"{time.time_ns():020d}-{os.getpid()}"
            with suppress(FileExistsError, FileNotFoundError):  # the latter when another process tidied it away
                folder.mkdir(mode=0o700)
                descriptor = _locked(folder, os.O_CREAT)
                if descriptor is not None:
                    self._locks[folder] = descriptor
                    if self._fsync == "always":
                        sync_folder(self._directory)
                    return folder

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """The next message of the first segment becomes the head; at its end the segment goes.

        A segment is read when it is complete: the one that is written is ended when all before it is done.
        """
        segment = self._segments[0]
        if self._tail is not None and self._tail.segment is segment:
            self._end_tail(sync=False)
        try:
            if self._reader is None:
                self._reader = Reader(segment.path, skip_damage=True)
                for _ in range(segment.n_done):
                    next(self._reader, None)
            message = next(self._reader, None)
        except BaseException as error:
            self._close_reader()
            if not isinstance(error, OSError | TracezipError) or getattr(error, "errno", None) in _PASSING:
                raise
            self._put_aside(segment, error)
            return
        if message is not None:
            ticket = Ticket(segment.folder.name, segment.number, segment.n_done)
            self._head = Entry(ticket, message, segment)
        else:
            self._count_damages(segment, self._reader)
            self._end_first()

    def _put_aside(self, segment: Segment, error: Exception) -> None:
        self._complaints.note("unreadable", f"{segment.path} is put aside: {error}")
        self.stats.add(spool_damages=1)
        with suppress(OSError):
            segment.put_aside()
        self._end_first()
        self._remove_unreadable()

    def _count_damages(self, segment: Segment, reader: Reader) -> None:
        damages = [damage for damage in reader.damages if damage.n_bytes]
        if damages:
            self.stats.add(spool_damages=len(damages))
            self._complaints.note("damaged", f"parts of {segment.path} were lost: {damages[0].reason}")

    def _end_first(self) -> None:
        self._close_reader()
        segment = self._segments.popleft()
        segment.remove()
        if segment.folder != self._folder and not any(one.folder == segment.folder for one in self._segments):
            self._let_go_of(segment.folder)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _recount(self) -> None:
        self.n_messages = sum(max(one.n_messages - one.n_done, 1) for one in self._segments)
        self.n_bytes = sum(one.n_bytes for one in self._segments)

    # --- folders ------------------------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        for folder in sorted(one for one in self._directory.iterdir() if _FOLDER.fullmatch(one.name)):
            try:
                descriptor = _locked(folder)
                if descriptor is None:
                    continue
                self._locks[folder] = descriptor
                for path in sorted(folder.glob(f"*{SUFFIX}")):
                    segment = Segment(folder, int(path.stem))
                    segment.adopt()
                    self._segments.append(segment)
            except (OSError, ValueError) as error:
                self._complaints.note("adopt", f"{folder} cannot be taken over: {error}")
            if folder in self._locks and not any(one.folder == folder for one in self._segments):
                self._let_go_of(folder)

    def _drop_oldest(self) -> None:
        """Segments of what was taken over, if it is more than this spool may hold.

        As long as one is not wholly beyond the limit it stays: the end of a segment may take a full spool beyond it.
        """
        self._recount()
        n_spans = 0
        while self._segments and self.n_bytes - self._segments[0].n_bytes >= self._max_bytes:
            n_spans += self._segments[0].count_spans_left()
            self._end_first()
            self._recount()
        if n_spans:
            self.stats.drop("spool_full", n_spans)
            text = f"earlier processes left more than {self._max_bytes} bytes in {self._directory}, the oldest goes"
            self._complaints.note("left", f"{n_spans} spans are lost: {text}")
        self._remove_unreadable()

    def _remove_unreadable(self) -> None:
        """The oldest files that were put aside, if all of them together do not fit beside what is held."""
        aside = sorted(self._directory.glob(f"*{UNREADABLE_SUFFIX}"))
        with suppress(OSError):  # another process does the same
            n_over = self.n_bytes + sum(path.stat().st_size for path in aside) - self._max_bytes
            while aside and n_over > 0:
                path = aside.pop(0)
                n_over -= path.stat().st_size
                path.unlink()

    def _let_go_of(self, folder: Path) -> None:
        """Removes the folder if nothing is left in it, and unlocks it."""
        if not any(folder.glob(f"*{SUFFIX}")):
            with suppress(OSError):
                for cursor in folder.glob(f"*{CURSOR_SUFFIX}"):
                    cursor.unlink()
                (folder / _LOCK).unlink()
                folder.rmdir()
        if folder in self._locks:  # else it went away by itself, and was let go of then
            os.close(self._locks.pop(folder))


def _locked(folder: Path, create: int = 0) -> int | None:
    """A descriptor that holds the lock of the folder; None if another process lives in it, or it is gone."""
    path = folder / _LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | create, 0o600)
    except FileNotFoundError:
        with suppress(OSError):
            folder.rmdir()  # empty: its process ended before it had a lock
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
