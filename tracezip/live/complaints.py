"""Trouble that comes again and again, logged once in a while."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from tracezip.live.forking import tell_of_forks
from tracezip.live.limits import COMPLAINT_SECONDS


class Complaints:
    """Logs warnings, those of the same reason at most once in COMPLAINT_SECONDS."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._n_silent: dict[str, int] = {}
        self._noted: deque[tuple[str, str]] = deque()
        tell_of_forks(self)

    def complain(self, reason: str, text: str) -> bool:
        """Whether it was logged."""
        with self._lock:
            now = self._clock()
            if now - self._last.get(reason, now - COMPLAINT_SECONDS) < COMPLAINT_SECONDS:
                self._n_silent[reason] = self._n_silent.get(reason, 0) + 1
                return False
            self._last[reason] = now
            n_silent = self._n_silent.pop(reason, 0)
        self._logger.warning("%s%s", text, f" (and {n_silent} times since the last warning)" if n_silent else "")
        return True

    def note(self, reason: str, text: str) -> None:
        """A complaint of somebody who holds a lock, to be logged by `say` behind it.

        What handles the log may hold a lock of its own while it waits for that one: if it makes spans, for example.
        """
        self._noted.append((reason, text))

    def say(self) -> None:
        """Logs what was noted."""
        with suppress(IndexError):
            while True:
                self.complain(*self._noted.popleft())

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._noted.clear()
