"""How much memory the requests that are there may take together."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from tracezip.live.limits import BUSY_SECONDS
from tracezip.relay.answers import RejectionError


class Budget:
    """Counts what all requests hold. Any thread may use it."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self.n_requests = 0
        self.n_bytes = 0

    def share(self) -> Share:
        """The share of one more request. Raises RejectionError if there are too many."""
        with self._lock:
            if self.n_requests >= self._max_requests:
                raise RejectionError(429, f"{self.n_requests} requests are being worked on; come again", BUSY_SECONDS)
            self.n_requests += 1
        return Share(self)

    def take(self, n_bytes: int) -> None:
        with self._lock:
            if self.n_bytes + n_bytes > self._max_bytes:
                raise RejectionError(429, "the requests being worked on take all memory; come again", BUSY_SECONDS)
            self.n_bytes += n_bytes

    def give_back(self, n_bytes: int) -> None:
        with self._lock:
            self.n_requests -= 1
            self.n_bytes -= n_bytes


class Share:
    """What one request holds, until its `with` block ends."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._n_bytes = 0

    def take(self, n_bytes: int) -> None:
        """Before so much memory is used. Raises RejectionError if there is no room."""
        self._budget.take(n_bytes)
        self._n_bytes += n_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._budget.give_back(self._n_bytes)
