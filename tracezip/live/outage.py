"""A receiver that is away, and comes back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from tracezip.live.complaints import Complaints
from tracezip.live.forking import tell_of_forks

_REASON = "later"


class Outage:
    """Complains while messages have to wait, and says once when that is over, if anything was said of it before.

    Any thread may use it.
    """

    def __init__(
        self, logger: logging.Logger, complaints: Complaints, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger, self._complaints, self._clock = logger, complaints, clock
        self.after_fork()
        tell_of_forks(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._is_told = False

    def goes_on(self, text: str) -> None:
        """One more message has to wait."""
        with self._lock:
            if self._since is None:
                self._since = self._clock()
        if self._complaints.complain(_REASON, text):
            self._is_told = True

    def is_over(self, text: str, more: str = "") -> None:
        """A message was answered. What is said of that, if anything had to wait, stands around how long it did."""
        if self._since is None:
            return
        with self._lock:
            since, is_told = self._since, self._is_told
            self._since, self._is_told = None, False
        if since is not None and is_told:
            self._logger.info("%s, after %.0f s%s", text, self._clock() - since, more)
