"""level="auto": less effort for each batch while there is more to do than time for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tracezip.limits import DEFAULT_LEVEL, MIN_LEVEL

BUSY_SHARE, CALM_SHARE = 0.25, 0.05
"""Of the wall time that compressing takes: from the one on it is too much, up to the other one it is little. It grows
with the spans, and also when the process waits for a processor."""
BUSY_BYTES, CALM_BYTES = 8 << 20, 1 << 20
"""That wait to be sent, in memory and in the spool."""
WINDOW_SECONDS = 5.0
"""The share is taken over so long."""
CALM_SECONDS = 30.0
"""The level rises again after so long without anything that speaks against it."""


class AutoLevel:
    """Chooses between DEFAULT_LEVEL and MIN_LEVEL, with hysteresis: down at once, up after CALM_SECONDS of calm."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._level = DEFAULT_LEVEL
        self._since = clock()  # the window began
        self._seconds = 0.0  # of compression at that time
        self._share = 0.0  # in the last whole window
        self._calm_since: float | None = None

    def choose(self, compress_seconds: float, queue_bytes: int) -> int:
        """The level for what comes next; given are the seconds of compression so far and the bytes that wait."""
        now = self._clock()
        if now - self._since >= WINDOW_SECONDS:
            self._share = (compress_seconds - self._seconds) / (now - self._since)
            self._since, self._seconds = now, compress_seconds
        if self._share >= BUSY_SHARE or queue_bytes >= BUSY_BYTES:
            self._level = MIN_LEVEL
        if self._share > CALM_SHARE or queue_bytes > CALM_BYTES:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        elif now - self._calm_since >= CALM_SECONDS:
            self._level = DEFAULT_LEVEL
        return self._level
