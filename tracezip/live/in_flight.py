"""The same work on several messages at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class InFlight:
    """Threads that take messages in their order, and work on `n_threads` of them at a time.

    After an error they work on no more. They do not hold up the end of the process.
    """

    def __init__(self, work: Callable[[bytes], None], n_threads: int) -> None:
        self._work = work
        self._error: Exception | None = None
        self._messages: queue.Queue[bytes | None] = queue.Queue(1)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(n_threads)]
        for thread in self._threads:
            thread.start()

    def put(self, message: bytes) -> None:
        """Waits for a thread to take it, but for the first one that waits. Raises the error of an earlier message."""
        self.check()
        self._messages.put(message)

    def finish(self) -> None:
        """Waits for the end of what was begun."""
        for _ in self._threads:
            self._messages.put(None)
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (message := self._messages.get()) is not None:
            if self._error is None:
                try:
                    self._work(message)
                except Exception as error:
                    self._error = self._error or error
