"""What exporter and relay count of themselves: one place for the names, and for how they are computed."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, NamedTuple

from tracezip.live.forking import tell_of_forks

COUNTERS = {
    "messages_in": "OTLP messages given",
    "spans_in": "spans given",
    "bytes_in": "OTLP bytes that were compressed, or decompressed",
    "bytes_out": "bytes that came of them, or that they came of, as they go over the wire or into a file",
    "messages_sent": "messages that arrived",
    "spans_sent": "spans that arrived",
    "messages_spooled": "messages that went through the spool, because they could not be sent at once",
    "failures": "attempts to send that failed, and are made again",
    "restarts": "streams that were begun anew because the receiver had lost theirs",
    "fallbacks": "messages that went as plain OTLP instead",
    "spool_damages": "damaged places in spools, each of which cost the messages that stood there",
}
"""What each counter of a snapshot counts, since the start of the process."""

SECONDS_BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histograms; all that is slower goes into one more."""
DURATIONS = ("compress", "decompress")


class Histogram(NamedTuple):
    buckets: tuple[int, ...]
    """How many took at most so many SECONDS_BUCKETS, and more than those before; the last of them no limit."""
    seconds: float
    """All together."""


class Stats:
    """Counters that all threads may use. `snapshot` lists them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._buckets = {name: [0] * (len(SECONDS_BUCKETS) + 1) for name in DURATIONS}
        self._seconds = dict.fromkeys(DURATIONS, 0.0)
        self._queue = (0, 0)
        tell_of_forks(self)

    def after_fork(self) -> None:
        """The child goes on counting from where its parent was."""
        self._lock = threading.Lock()

    def add(self, **counts: int) -> None:
        """Adds to counters, by their names in COUNTERS."""
        if not counts.keys() <= COUNTERS.keys():
            raise KeyError(f"there is no counter {', '.join(sorted(counts.keys() - COUNTERS.keys()))}")
        with self._lock:
            self._counts.update(counts)

    def drop(self, reason: str, n_spans: int) -> None:
        """Counts spans that are lost."""
        with self._lock:
            self._dropped[reason] += n_spans

    def observe(self, name: str, seconds: float) -> None:
        """Counts one operation of DURATIONS."""
        bucket = sum(seconds > bound for bound in SECONDS_BUCKETS)
        with self._lock:
            self._buckets[name][bucket] += 1
            self._seconds[name] += seconds

    def set_queue(self, n_messages: int, n_bytes: int) -> None:
        """How much waits to be sent, in memory and in the spool."""
        with self._lock:
            self._queue = (n_messages, n_bytes)

    def histogram(self, name: str) -> Histogram:
        with self._lock:
            return Histogram(tuple(self._buckets[name]), self._seconds[name])

    def snapshot(self) -> dict[str, Any]:
        """All of it at one moment.

        The counters of COUNTERS; dropped_spans {reason: number}; queue_messages and queue_bytes, what waits in memory
        and in the spool; compress_seconds, decompress_seconds, and how many operations took them, compress_calls and
        decompress_calls; compression_ratio, the fraction that is saved: 1 - bytes_out / bytes_in, 0 before anything
        was compressed.
        """
        with self._lock:
            counts: dict[str, Any] = {name: self._counts[name] for name in COUNTERS}
            counts["dropped_spans"] = dict(self._dropped)
            counts["queue_messages"], counts["queue_bytes"] = self._queue
            for name in DURATIONS:
                counts[f"{name}_seconds"] = self._seconds[name]
                counts[f"{name}_calls"] = sum(self._buckets[name])
        counts["compression_ratio"] = ratio(counts["bytes_in"], counts["bytes_out"])
        return counts


def ratio(bytes_in: int, bytes_out: int) -> float:
    """The fraction that compression saves."""
    return 1 - bytes_out / bytes_in if bytes_in else 0.0
