"""From many threads that have messages to the one that sends them; nothing is forgotten that was promised to arrive."""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Protocol

from tracezip._backend import count_spans
from tracezip.live.complaints import Complaints
from tracezip.live.errors import Delivered, Refused, SpoolFull, TryLater, Unreachable
from tracezip.live.forking import tell_of_forks
from tracezip.live.limits import MAX_BROKEN_ATTEMPTS, QUEUE_BYTES, REQUEST_SECONDS
from tracezip.live.outage import Outage
from tracezip.live.retry import Backoff
from tracezip.live.spool import Spool, Ticket
from tracezip.live.stats import Stats

_log = logging.getLogger(__name__)

_LOST = {
    "shutdown": "the delivery has ended",
    "no_thread": "the process ends, and there is no spool",
    "queue_full": "too many wait to be sent, and there is no spool",
    "timeout": "they could not be sent in time, and there is no spool",
}
"""Reasons to lose a message that is not in the spool, and how they are told."""
_BROKEN = f"{MAX_BROKEN_ATTEMPTS} attempts to send them ended in an unforeseen error, and they are not in a spool"


class Deliverer(Protocol):
    """What a message is sent with: a Link, or anything that raises the same errors."""

    def deliver(self, message: bytes, timeout: float) -> Delivered: ...


class _State(enum.Enum):
    WAITING = enum.auto()
    SENDING = enum.auto()
    SENT = enum.auto()
    LOST = enum.auto()
    BROKEN = enum.auto()
    """One unforeseen error after the other: others are sent before it is tried again, if it can be."""


class _Item:
    """A message in memory. It changes under the lock of the Delivery only."""

    def __init__(self, message: bytes, n_spans: int) -> None:
        self.message, self.n_spans = message, n_spans
        self.state = _State.WAITING
        self.is_taken = False
        """Somebody is about to put it into the spool, or to give it up; the thread does not begin to send it."""
        self.ticket: Ticket | None = None
        """Its place in the spool."""
        self.reason = ""
        """Why it was given up while it was being sent: it counts as lost once it has not arrived all the same."""

    @property
    def is_safe(self) -> bool:
        return self.state is _State.SENT or self.ticket is not None

    @property
    def is_decided(self) -> bool:
        return self.is_safe or self.state is _State.LOST or self.reason != ""


class Delivery:
    """Sends messages in order, in a thread of its own that begins with the first one.

    What cannot be sent in time goes to the spool, if there is one, and everything new behind it. No method raises. In a
    forked child everything begins anew: what the parent has not sent yet is the parent's.
    """

    def __init__(
        self,
        link: Deliverer,
        spool: Spool | None,
        *,
        queue_bytes: int = QUEUE_BYTES,
        stats: Stats | None = None,
        backoff: Backoff | None = None,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._link, self._spool = link, spool
        self._max_queue_bytes = queue_bytes
        self._request_seconds = request_seconds
        self._backoff = backoff or Backoff()
        self._complaints = Complaints(_log)
        self._outage = Outage(_log, self._complaints)
        self._has_lost = False
        self._closing = False
        self._deadline = 0.0
        self.stats = stats or Stats()
        self._begin()
        tell_of_forks(self)
        with self._changed:
            self._notify()
            if self._has_work():
                self._start()

    def put(self, message: bytes, n_spans: int, timeout: float) -> bool:
        """True once the message has arrived or is in the spool; False if it is lost, which is counted.

        Waits for its arrival at most `timeout` seconds, then gives it to the spool. Called while a message is sent, by
        the thread that sends it, it does not wait.
        """
        self.stats.add(messages_in=1, spans_in=n_spans)
        try:
            return self._put(_Item(message, n_spans), timeout)
        finally:
            self._complaints.say()

    def flush(self, timeout: float) -> bool:
        """Tries at once to send what waits, in memory and in the spool; whether all of it arrived in time."""
        with self._changed:
            if self._closing or not self._has_work() or not self._start():
                return not self._has_work()
            self._hurry()
            return self._changed.wait_for(lambda: not self._has_work(), timeout)

    def shutdown(self, timeout: float) -> bool:
        """Sends what waits as far as the time and the receiver allow; the rest goes to the spool, or is lost.

        Returns whether nothing was lost here. From now on `put` takes nothing.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            if self._closing:
                return not self._has_lost
            self._closing, self._deadline = True, deadline
            self._hurry()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        with self._changed:
            left = [item for item in self._queue if not item.is_taken]
            for item in left:
                self._take(item)
        kept = [self._keep(item, "shutdown") for item in left]
        self._complaints.say()
        self._has_lost = not all(kept)
        with self._changed:
            self._changed.wait_for(lambda: not self._n_keeping, max(deadline - time.monotonic(), 1.0))
        if self._spool is not None:
            self._spool.close()
        return not self._has_lost

    def after_fork(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._queue: deque[_Item] = deque()
        self._n_bytes = 0
        self._n_keeping = 0  # messages on their way into the spool
        self._settled: set[Ticket] = set()  # in the spool, but not to be sent any more
        self._not_before = 0.0
        self._is_asked_to_wait = False
        self._n_broken = 0
        self._backoff.reset()

    # --- callers ------------------------------------------------------------------------------------------------------

    def _put(self, item: _Item, timeout: float) -> bool:
        with self._changed:
            if self._closing:
                self._lose(item, "shutdown", _LOST["shutdown"])
                return False
            reason = "queue_full" if self._start() else "no_thread"
            if self._thread is not None and self._has_room(len(item.message)):
                reason = "timeout"
                self._queue.append(item)
                self._n_bytes += len(item.message)
                self._notify()
                is_own = threading.current_thread() is self._thread
                self._changed.wait_for(lambda: item.is_decided or item.is_taken, 0 if is_own else timeout)
                if item.is_taken:  # by shutdown, which soon has an answer
                    self._changed.wait_for(lambda: item.is_decided, self._request_seconds)
                if item.is_taken or item.is_decided:
                    return item.is_safe
            self._take(item)
        return self._keep(item, reason)

    def _start(self) -> bool:
        """Whether there is a thread now; there is none when the interpreter ends."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="tracezip-delivery", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                self._thread = None
        return self._thread is not None

    def _has_room(self, n_bytes: int) -> bool:
        """In memory, for a message before which nothing older is in the spool. For a single one there always is."""
        if self._spool is not None and (self._spool.n_messages or self._n_keeping):
            return False
        return not self._queue or self._n_bytes + n_bytes <= self._max_queue_bytes

    def _take(self, item: _Item) -> None:
        """From now on the item is the caller's; one that is being sent stays in the queue until it is known how."""
        item.is_taken = True
        self._n_keeping += 1
        if item.state is _State.WAITING and item in self._queue:
            self._remove(item)

    def _remove(self, item: _Item) -> None:
        self._queue.remove(item)
        self._n_bytes -= len(item.message)

    def _keep(self, item: _Item, reason: str) -> bool:
        """Puts an item that was taken into the spool; whether it is safe. `reason`: why it is lost without a spool."""
        ticket, text = None, _LOST[reason]
        if self._spool is not None:
            try:
                ticket = self._spool.append(item.message)
            except SpoolFull as error:
                reason, text = "spool_full", str(error)
            except Exception as error:
                reason, text = "spool_error", f"cannot write to the spool: {error}"
        with self._changed:
            self._n_keeping -= 1
            if ticket is not None:
                item.ticket = ticket
                self.stats.add(messages_spooled=1)
                if item.state in (_State.SENT, _State.LOST):
                    self._settled.add(ticket)
            elif item.state is _State.SENDING:
                item.reason = reason
            elif item.state is _State.WAITING:
                self._lose(item, reason, text)
            self._notify()
            return item.is_safe

    def _lose(self, item: _Item, reason: str, text: str) -> None:
        item.state = _State.LOST
        self._drop(reason, item.n_spans, text)

    def _drop(self, reason: str, n_spans: int, text: str) -> None:
        self.stats.drop(reason, n_spans)
        self._complaints.note(reason, f"{n_spans} spans are lost: {text}")

    def _notify(self) -> None:
        self.stats.set_queue(self._n_waiting(), self._n_bytes + (self._spool.n_bytes if self._spool else 0))
        self._changed.notify_all()

    def _hurry(self) -> None:
        """Ends the pause after a failure, unless the receiver asked for it."""
        if not self._is_asked_to_wait:
            self._not_before = 0.0
        self._notify()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        if self._spool is not None:
            self._spool.adopt()  # in a forked child, whose spool was made before its dead siblings had anything
        while self._wait_for_work():
            try:
                item = self._first()
                if item is None:
                    self._send_spooled()
                else:
                    self._send_queued(item)
                self._complaints.say()
            except Exception:
                _log.exception("an error in the delivery of batches; it goes on")
                self._pause(None)

    def _has_work(self) -> bool:
        return self._n_waiting() > 0

    def _n_waiting(self) -> int:
        return len(self._queue) + (self._spool.n_messages if self._spool else 0)

    def _wait_for_work(self) -> bool:
        """False when the thread shall end."""
        with self._changed:
            while True:
                has_work, now = self._has_work(), time.monotonic()
                pause = self._not_before - now
                if self._closing and (not has_work or pause > 0 or now >= self._deadline):
                    return False
                if has_work and pause <= 0:
                    return True
                self._changed.wait(pause if has_work else None)

    def _first(self) -> _Item | None:
        """The message to send from memory, where only what is older than the spool is."""
        with self._changed:
            item = self._queue[0] if self._queue else None
            if item is not None:
                item.state = _State.SENDING
            return item

    def _send_queued(self, item: _Item) -> None:
        state = _State.WAITING
        try:
            state = self._deliver(item.message, item.n_spans)
        finally:
            with self._changed:
                if state is _State.BROKEN and not item.is_taken:
                    self._lose(item, "error", _BROKEN)
                    state = _State.LOST
                elif state is _State.BROKEN:
                    state = _State.WAITING  # in the spool, or on its way
                item.state = state
                if state is not _State.WAITING or item.is_taken:
                    self._remove(item)
                if state is _State.WAITING and item.reason:
                    self._lose(item, item.reason, "a batch could not be sent in time, nor kept")
                if state is not _State.WAITING and item.ticket is not None:
                    self._settled.add(item.ticket)
                self._notify()

    def _send_spooled(self) -> None:
        assert self._spool is not None
        try:
            entry = self._spool.peek()
        except OSError as error:
            self._complaints.complain("spool_read", f"the spool cannot be read now: {error}")
            entry = None
        if entry is None:
            if self._spool.n_messages:
                self._pause(None)
        elif entry.ticket in self._settled:
            self._spool.done(entry)
            self._settled.discard(entry.ticket)
        else:
            state = self._deliver(entry.message, count_spans(entry.message, 0))
            if state is _State.BROKEN:
                with suppress(SpoolFull, OSError):  # then it stays where it is
                    self._spool.append(entry.message)
                    self._spool.done(entry)
            elif state is not _State.WAITING:
                self._spool.done(entry)
        with self._changed:
            self._notify()

    def _deliver(self, message: bytes, n_spans: int) -> _State:
        """One attempt. WAITING: it is to be made again."""
        try:
            answer = self._link.deliver(message, self._request_timeout())
        except Refused as error:
            self._drop("refused", n_spans, f"the receiver refuses them: {error}")
            state = _State.LOST
        except (TryLater, Unreachable) as error:
            self._n_broken = 0
            self._pause(error.seconds if isinstance(error, TryLater) else None)
            self._outage.goes_on(f"a batch of spans could not be sent and is tried again: {error}")
            return _State.WAITING
        except Exception as error:
            return self._after_surprise(error)
        else:
            self._count_sent(answer, n_spans)
            state = _State.SENT
        self._n_broken = 0
        self._backoff.reset()
        n_others = self._n_waiting() - 1  # this one is still among them
        self._outage.is_over("the receiver is back", f"; {max(n_others, 0)} more batches wait to be sent")
        return state

    def _after_surprise(self, error: Exception) -> _State:
        """No message may be the end of all that come after it."""
        self._n_broken += 1
        _log.error("an unforeseen error in sending a batch", exc_info=error)
        self._pause(None)
        if self._n_broken < MAX_BROKEN_ATTEMPTS:
            return _State.WAITING
        self._n_broken = 0
        return _State.BROKEN

    def _count_sent(self, answer: Delivered, n_spans: int) -> None:
        n_rejected = min(answer.rejected_spans, n_spans)
        self.stats.add(messages_sent=1, spans_sent=n_spans - n_rejected)
        if n_rejected:
            self._drop("rejected", n_rejected, f"the receiver rejects them: {answer.message}")
        elif answer.message:
            self._complaints.complain("message", f"the receiver says: {answer.message}")

    def _request_timeout(self) -> float:
        with self._changed:
            left = self._deadline - time.monotonic() if self._closing else self._request_seconds
        return max(min(left, self._request_seconds), 0.001)

    def _pause(self, seconds: float | None) -> None:
        """After a failure."""
        self.stats.add(failures=1)
        with self._changed:
            self._is_asked_to_wait = seconds is not None
            self._not_before = time.monotonic() + self._backoff.next(seconds)
