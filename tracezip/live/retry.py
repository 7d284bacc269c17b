"""How long to wait before a message is sent again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from tracezip.live.limits import (
    MAX_BACKOFF_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    MIN_BACKOFF_SECONDS,
    MIN_PAUSE_SECONDS,
)


class Backoff:
    """Powers of two from 1 to 30 seconds, each made up to a fifth shorter or longer, so that clients do not come in
    step."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self.reset()

    def reset(self) -> None:
        """The last attempt succeeded."""
        self._seconds = MIN_BACKOFF_SECONDS

    def next(self, retry_after: float | None = None) -> float:
        """The seconds to wait after one more failure; `retry_after` is what the server asked for, if it did.

        The server gets no less than it asked for, up to a limit; one that asks for nothing gets a pause all the same.
        """
        seconds = self._seconds * (0.8 + 0.4 * self._draw())
        self._seconds = min(2 * self._seconds, MAX_BACKOFF_SECONDS)
        return seconds if retry_after is None else min(max(retry_after, MIN_PAUSE_SECONDS), MAX_RETRY_AFTER_SECONDS)


def parse_retry_after(text: str | None, now: float | None = None) -> float | None:
    """The seconds that a Retry-After header asks for, in either of its forms; None if it says nothing of use."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    seconds = when.timestamp() - (time.time() if now is None else now)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
