"""What all exporters of the process have done, together."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from typing import Any

from tracezip.live.forking import tell_of_forks
from tracezip.live.stats import Stats, ratio


class _Registry:
    """The counters of all exporters that live; it keeps none of them alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stats: weakref.WeakSet[Stats] = weakref.WeakSet()
        tell_of_forks(self)

    def add(self, stats: Stats) -> None:
        with self._lock:
            self._stats.add(stats)

    def snapshots(self) -> list[dict[str, Any]]:
        with self._lock:
            return [stats.snapshot() for stats in self._stats]

    def after_fork(self) -> None:
        self._lock = threading.Lock()


registry = _Registry()


def totals() -> dict[str, Any]:
    """The sum of the snapshots of all exporters that live, and how many they are, as `exporters`."""
    snapshots = registry.snapshots()
    counts: dict[str, Any] = {**Stats().snapshot(), "exporters": len(snapshots)}
    dropped: Counter[str] = Counter()
    for snapshot in snapshots:
        dropped.update(snapshot.pop("dropped_spans"))
        for name, value in snapshot.items():
            counts[name] += value
    counts["dropped_spans"] = dict(dropped)
    counts["compression_ratio"] = ratio(counts["bytes_in"], counts["bytes_out"])
    return counts
