"""What exporter and relay count: under the names that are documented, and right under many threads."""

from __future__ import annotations

import logging
import threading
from functools import partial

import pytest

from tracezip.live.complaints import Complaints
from tracezip.live.outage import Outage
from tracezip.live.stats import COUNTERS, SECONDS_BUCKETS, Stats


def test_a_snapshot_has_every_counter_from_the_beginning() -> None:
    counts = Stats().snapshot()
    others = {"dropped_spans", "queue_messages", "queue_bytes", "compression_ratio"}
    others |= {f"{name}_{what}" for name in ("compress", "decompress") for what in ("seconds", "calls")}
    assert counts.keys() == COUNTERS.keys() | others
    assert not any(counts.values())


def test_every_key_of_a_snapshot_is_documented() -> None:
    text = f"{Stats.snapshot.__doc__} {list(COUNTERS)}"
    assert all(key in text for key in Stats().snapshot())


def test_an_unknown_counter_is_an_error() -> None:
    with pytest.raises(KeyError, match="no counter spans_inn"):
        Stats().add(spans_inn=1)


def test_the_ratio_is_the_fraction_that_is_saved() -> None:
    stats = Stats()
    stats.add(bytes_in=1000, bytes_out=100)
    assert stats.snapshot()["compression_ratio"] == pytest.approx(0.9)


def test_durations_fall_into_buckets() -> None:
    stats = Stats()
    for seconds in (0.0, 0.0001, 0.3, 100.0):
        stats.observe("compress", seconds)
    histogram = stats.histogram("compress")
    assert len(histogram.buckets) == len(SECONDS_BUCKETS) + 1
    assert (histogram.buckets[0], histogram.buckets[SECONDS_BUCKETS.index(0.5)], histogram.buckets[-1]) == (2, 1, 1)
    assert histogram.seconds == pytest.approx(100.3001)
    assert stats.snapshot()["compress_calls"] == 4


def test_threads_do_not_lose_counts() -> None:
    stats = Stats()

    def count() -> None:
        for _ in range(2000):
            stats.add(spans_in=2)
            stats.drop("refused", 1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = stats.snapshot()
    assert (counts["spans_in"], counts["dropped_spans"]) == (32_000, {"refused": 16_000})


def test_the_same_trouble_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    complaints = Complaints(logging.getLogger("tracezip.live"), clock=lambda: now[0])
    for _ in range(5):
        complaints.complain("full", "the spool is full")
    complaints.complain("down", "nobody answers")
    now[0] += 60
    complaints.complain("full", "the spool is full")
    assert caplog.messages == [
        "the spool is full",
        "nobody answers",
        "the spool is full (and 4 times since the last warning)",
    ]


def test_of_an_outage_that_was_told_it_is_told_once_that_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tracezip.live")
    now, logger = [0.0], logging.getLogger("tracezip.live")
    outage = Outage(logger, Complaints(logger, clock=lambda: now[0]), clock=lambda: now[0])
    away, there = partial(outage.goes_on, "nothing is taken"), partial(outage.is_over, "all is well")
    for moment, what in ((0, away), (30, away), (45, there), (55, away), (58, there), (62, away), (70, there)):
        now[0] = moment
        what()
    assert [record.message for record in caplog.records] == [
        "nothing is taken",
        "all is well, after 45 s",
        "nothing is taken (and 2 times since the last warning)",
        "all is well, after 8 s",
    ]
