"""The gateway: what comes in, in streams or as plain OTLP, goes to archives, to a backend, or to both."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict

import xxhash

from tracezip import _backend
from tracezip.errors import TracezipError
from tracezip.live.archives import RotatingArchives
from tracezip.live.complaints import Complaints
from tracezip.live.errors import Delivered, Refused, TryLater, Unreachable
from tracezip.live.otlp_http import OtlpSender
from tracezip.live.outage import Outage
from tracezip.live.receiving import Answer, Receiver
from tracezip.live.stats import Stats
from tracezip.relay import limits
from tracezip.relay.bodies import Message, service_of

_log = logging.getLogger("tracezip.relay")


class Gateway:
    """Takes messages for good when the archive has them on disk and the backend has answered; either may be None.

    The archive comes first. It is remembered of a message that the archive has and the backend has not yet, so that the
    client's next attempt does not double it there.
    """

    def __init__(self, sender: OtlpSender | None, archives: RotatingArchives | None, stats: Stats) -> None:
        self.stats = stats
        self._sender = sender
        self._archive = None if archives is None else Archive(archives, stats)
        self._archived = _Remembered(limits.N_ARCHIVED)
        self._receiver = Receiver(self._deliver)
        self._here = threading.local()
        self._complaints = Complaints(_log)
        self._outage = Outage(_log, self._complaints)

    @property
    def n_streams(self) -> int:
        return self._receiver.n_streams

    def take(self, message: Message) -> Delivered:
        return self._deliver(message.data)

    def receive(self, stream_id: bytes, body: bytes) -> Answer | None:
        self._here.n_decoded, self._here.seconds = 0, 0.0
        started = time.perf_counter()
        answer = self._receiver.receive(stream_id, body)
        if self._here.n_decoded and answer.status in (200, 422):
            self.stats.observe("decompress", time.perf_counter() - started - self._here.seconds)
            self.stats.add(bytes_in=self._here.n_decoded, bytes_out=len(body))
        return answer

    def do_chores(self) -> None:
        self._receiver.evict_idle()
        if self._archive is not None:
            self._archive.rotate_due()

    def close(self, timeout: float) -> bool:
        try:
            if self._archive is not None:
                self._archive.close()
        except (TracezipError, OSError) as problem:
            _log.error("an archive cannot be ended: %s", problem)
            return False
        return True

    def _deliver(self, message: bytes) -> Delivered:
        started = time.perf_counter()
        n_spans = _backend.count_spans(message, 0)
        try:
            delivered = self._pass_on(message)
            self._outage.is_over("messages are passed on again")
        except TryLater as error:
            self.stats.add(failures=1)
            self._outage.goes_on(f"a message cannot be passed on now, its sender keeps it: {error.why}")
            raise
        except Refused as error:
            self.stats.add(messages_in=1, spans_in=n_spans)
            self.stats.drop("refused", n_spans)
            self._complaints.complain("refused", f"spans are lost ({n_spans}): {error.why}")
            raise
        finally:
            self._here.n_decoded, self._here.seconds = len(message), time.perf_counter() - started
        n_rejected = min(delivered.rejected_spans, n_spans)
        self.stats.add(messages_in=1, spans_in=n_spans, messages_sent=1, spans_sent=n_spans - n_rejected)
        if n_rejected:
            self.stats.drop("rejected", n_rejected)
            self._complaints.complain("rejected", f"spans are lost ({n_rejected}), rejected: {delivered.message}")
        return delivered

    def _pass_on(self, message: bytes) -> Delivered:
        """To the archive, then to the backend."""
        key = xxhash.xxh3_128_digest(message)
        if self._archive is not None and key not in self._archived:
            self._archive.store(message)
        if self._sender is None:
            return Delivered()
        try:
            delivered = self._sender.send(message, limits.FORWARD_SECONDS)
        except (TryLater, Unreachable) as error:
            if self._archive is not None:
                self._archived.add(key)
            raise TryLater(getattr(error, "seconds", None), error.why) from None
        except Refused:
            self._archived.discard(key)
            raise
        self._archived.discard(key)
        return delivered


class Archive:
    """Archives that many threads write to. What they write at a time is flushed together."""

    def __init__(self, archives: RotatingArchives, stats: Stats) -> None:
        self._archives = archives
        self._stats = stats
        self._lock = threading.Lock()  # of the list
        self._waiting: list[_Entry] = []
        self._is_closed = False
        self._turn = threading.Lock()  # of the archives: nobody else ends one between a message and its flush

    def store(self, message: bytes) -> None:
        """Returns when the message is on disk. Raises TryLater if it cannot be written now."""
        entry = _Entry(message)
        with self._lock:
            self._waiting.append(entry)
        with self._turn:
            if not entry.is_done and self._is_closed:
                entry.problem = "the relay is shutting down"
            elif not entry.is_done:
                self._write_all()
        if entry.problem is not None:
            raise TryLater(None, f"the archive cannot be written: {entry.problem}")

    def rotate_due(self) -> None:
        with self._turn:
            self._archives.rotate_due()

    def close(self) -> None:
        """Ends the archives. What a request that a drain left behind has is not written: it would begin new ones."""
        with self._turn:
            self._is_closed = True
            self._archives.close()

    def _write_all(self) -> None:
        """All that wait: if one of them cannot be written, it is not known of any whether it is on disk."""
        with self._lock:
            entries, self._waiting = self._waiting, []
        problem: str | None = "an error in the relay; its log says more"
        started = time.perf_counter()
        try:
            for entry in entries:
                self._archives.write(entry.message, service_of(entry.message))
            self._archives.flush()
            problem = None
        except (TracezipError, OSError) as error:
            problem = str(error)
        finally:
            for entry in entries:
                entry.problem, entry.is_done = problem, True
            self._stats.observe("compress", time.perf_counter() - started)


class _Entry:
    def __init__(self, message: bytes) -> None:
        self.message = message
        self.is_done = False
        self.problem: str | None = None


class _Remembered:
    """A set of the last so many keys. Any thread may use it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def add(self, key: bytes) -> None:
        with self._lock:
            self._keys[key] = None
            if len(self._keys) > self._most:
                self._keys.popitem(last=False)

    def discard(self, key: bytes) -> None:
        with self._lock:
            self._keys.pop(key, None)
