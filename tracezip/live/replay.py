"""Sends recorded messages to a receiver again, at full speed or with the time that lay between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from tracezip._backend import count_spans
from tracezip.live.cutting import halves
from tracezip.live.errors import Delivered, Refused, SetupError, TryLater, Unreachable
from tracezip.live.in_flight import InFlight
from tracezip.live.limits import MAX_OTLP_BYTES, REPLAY_PATIENCE_SECONDS
from tracezip.live.pacing import Pace
from tracezip.live.retry import Backoff

_MAX_REFUSALS = 3
"""Requests that are refused before any was taken: then the receiver takes none."""


class Sender(Protocol):
    """What `otlp_http.OtlpSender` does."""

    def send(self, message: bytes) -> Delivered: ...


@dataclass(slots=True)
class Report:
    """What became of the messages so far."""

    n_messages: int = 0
    """Of which the receiver took at least a part; one that is cut counts once."""
    n_spans: int = 0
    """In them, and not rejected."""
    n_bytes: int = 0
    """Of OTLP in them."""
    n_rejected: int = 0
    """Spans that the receiver does not want, and those of messages that it does not want."""


class Replay:
    """Sends one message after the other, each until the receiver has answered it; `parallel` of them at a time, which
    needs the with-statement.

    patience: the seconds for which a message is sent again and again before the error is raised. on_rejected: gets what
    the receiver says of spans that it does not want, each text once.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        pace: Pace | None = None,
        max_bytes: int = MAX_OTLP_BYTES,
        patience: float = REPLAY_PATIENCE_SECONDS,
        parallel: int = 1,
        on_rejected: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._pace = pace
        self._max_bytes = max_bytes
        self._patience = patience
        self._on_rejected = on_rejected
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()  # of the rest
        self._said: set[str] = set()
        self._n_refused = 0
        self._has_taken = False
        self.report = Report()
        self._in_flight = InFlight(self._send, parallel) if parallel > 1 else None

    def send(self, message: bytes) -> None:
        """Raises TryLater or Unreachable when patience is over, and Refused if the receiver takes nothing at all.

        If several are sent at a time, that may be an error of an earlier message.
        """
        if self._pace is not None:
            self._sleep(self._pace.seconds_until_due(message))
        if self._in_flight is None:
            self._send(message)
        else:
            self._in_flight.put(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Waits for what was begun, unless somebody interrupts. Raises as `send`."""
        if self._in_flight is not None and (kind is None or issubclass(kind, Exception)):
            self._in_flight.finish()
            if kind is None:
                self._in_flight.check()

    def _send(self, message: bytes) -> None:
        outcomes = [self._piece(piece) for piece in self._pieces(message)]
        with self._lock:
            if any(taken for taken, _ in outcomes):
                self.report.n_messages += 1
                self.report.n_bytes += len(message)
            self.report.n_spans += count_spans(message, 0) - sum(n_rejected for _, n_rejected in outcomes)

    def _pieces(self, message: bytes) -> Iterator[bytes]:
        """Cut here and not by the sender, so that of a large message nothing that was taken is sent again."""
        cut = halves(message) if len(message) > self._max_bytes else None
        if cut is None:
            yield message
        else:
            for half in cut:
                yield from self._pieces(half)

    def _piece(self, piece: bytes) -> tuple[bool, int]:
        """Whether it was taken, and how many of its spans were rejected."""
        try:
            delivered = self._delivered(piece)
        except Refused as problem:
            n_spans = count_spans(piece, 0)
            self._reject(n_spans, problem.why)
            with self._lock:
                self._n_refused += 1
                if self._n_refused >= _MAX_REFUSALS and not self._has_taken:
                    raise
            return False, n_spans
        self._has_taken = True
        if delivered.rejected_spans:
            self._reject(delivered.rejected_spans, delivered.message)
        return True, delivered.rejected_spans

    def _delivered(self, piece: bytes) -> Delivered:
        backoff = Backoff()
        deadline = self._clock() + self._patience
        while True:
            try:
                return self._sender.send(piece)
            except SetupError:
                raise
            except (TryLater, Unreachable) as problem:
                seconds = backoff.next(getattr(problem, "seconds", None))
                if self._clock() + seconds > deadline:
                    raise
                self._sleep(seconds)

    def _reject(self, n_spans: int, why: str) -> None:
        with self._lock:
            self.report.n_rejected += n_spans
            is_new = why not in self._said
            self._said.add(why)
        if is_new:
            self._on_rejected(why)
