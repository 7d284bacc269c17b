"""What every object with a state asks before it is used: is it alive, in its own process, in one thread at a time?"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from tracezip.errors import UsageError


class Guard:
    """Entered around every use of the object. An exception that leaves it kills the object."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._over = ""

    @property
    def is_foreign(self) -> bool:
        """This is not the process that made the object, but a forked child of it."""
        return os.getpid() != self._pid

    @property
    def is_over(self) -> bool:
        return bool(self._over)

    def end(self, how: str = "is closed") -> None:
        """From now on the object is refused, for the reason given."""
        self._over = self._over or how

    def __enter__(self) -> None:
        if self.is_foreign:
            raise UsageError(f"the {self._what} belongs to process {self._pid}: after a fork, make a new one")
        if not self._lock.acquire(blocking=False):
            raise UsageError(f"the {self._what} is in use by another thread: give each thread its own, or lock it")
        if self._over:
            self._lock.release()
            raise UsageError(f"the {self._what} {self._over}: make a new one")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Entered around a use of the object that it survives, whatever happens."""
        self.__enter__()
        try:
            yield
        finally:
            self._lock.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self.end(f"failed earlier ({kind.__name__}: {error})")
        self._lock.release()
