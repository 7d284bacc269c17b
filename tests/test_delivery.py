"""Delivery: what was promised to arrive arrives, or is counted as lost, and nobody waits longer than was agreed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archives import message

from tracezip.live import delivery as module
from tracezip.live.delivery import Delivery
from tracezip.live.errors import Delivered, Refused, TryLater, Unreachable
from tracezip.live.retry import Backoff
from tracezip.live.spool import Spool

LONG = 20.0
"""Seconds; no test waits so long unless something is wrong."""
SHORT = 0.05


class Receiver:
    """A link that does as the test says, and remembers what arrived."""

    def __init__(self) -> None:
        self.arrived: list[bytes] = []
        self.errors: list[Exception] = []
        """For the next messages."""
        self.is_down = False
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()
        self.answer = Delivered()
        self.timeouts: list[float] = []

    def deliver(self, message: bytes, timeout: float) -> Delivered:
        self.timeouts.append(timeout)
        self.asked.set()
        assert self.may_answer.wait(LONG)
        if self.is_down:
            raise Unreachable("connection refused")
        if self.errors:
            raise self.errors.pop(0)
        self.arrived.append(message)
        return self.answer


class NoPause(Backoff):
    """Tries again at once, and remembers what servers asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float | None] = []

    def next(self, retry_after: float | None = None) -> float:
        self.asked.append(retry_after)
        return 0.001


class LongPause(Backoff):
    def next(self, retry_after: float | None = None) -> float:
        return LONG * 10


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.may_answer.set()


Make = Callable[..., Delivery]


@pytest.fixture
def make(receiver: Receiver) -> Iterator[Make]:
    made: list[Delivery] = []

    def make(spool: Spool | None = None, **options: object) -> Delivery:
        options.setdefault("backoff", NoPause())
        made.append(Delivery(receiver, spool, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    receiver.may_answer.set()
    for one in made:
        one.shutdown(1)


MESSAGES = [message(number) for number in range(40)]


def dropped(delivery: Delivery) -> dict[str, int]:
    lost: dict[str, int] = delivery.stats.snapshot()["dropped_spans"]
    return lost


def test_what_put_answers_true_for_has_arrived(make: Make, receiver: Receiver) -> None:
    delivery = make()
    assert all(delivery.put(one, 2, LONG) for one in MESSAGES)
    assert receiver.arrived == MESSAGES
    counts = delivery.stats.snapshot()
    assert (counts["messages_in"], counts["spans_in"], counts["spans_sent"]) == (40, 80, 80)
    assert counts["queue_messages"] == counts["queue_bytes"] == 0


def test_nothing_is_started_before_the_first_message(make: Make) -> None:
    n_threads = threading.active_count()
    delivery = make()
    assert threading.active_count() == n_threads
    assert delivery.flush(LONG)
    assert threading.active_count() == n_threads


@pytest.mark.parametrize("error", [Unreachable("gone"), TryLater(None, "busy"), ZeroDivisionError("a bug")])
def test_a_message_is_sent_again_until_it_arrives(make: Make, receiver: Receiver, error: Exception) -> None:
    delivery = make()
    receiver.errors = [error] * 3
    assert delivery.put(MESSAGES[0], 2, LONG)
    assert receiver.arrived == MESSAGES[:1]
    assert delivery.stats.snapshot()["failures"] == 3


def test_the_pause_is_the_one_that_the_receiver_asks_for(make: Make, receiver: Receiver) -> None:
    backoff = NoPause()
    delivery = make(backoff=backoff)
    receiver.errors = [TryLater(7, "busy"), Unreachable("gone")]
    assert delivery.put(MESSAGES[0], 2, LONG)
    assert backoff.asked == [7, None]


def test_what_is_refused_is_lost_and_counted_and_the_next_arrives(make: Make, receiver: Receiver) -> None:
    delivery = make()
    receiver.errors = [Refused("bad data")]
    assert not delivery.put(MESSAGES[0], 2, LONG)
    assert delivery.put(MESSAGES[1], 2, LONG)
    assert receiver.arrived == MESSAGES[1:2]
    assert dropped(delivery) == {"refused": 2}


def test_rejected_spans_are_counted(make: Make, receiver: Receiver) -> None:
    delivery = make()
    receiver.answer = Delivered(1, "too old")
    assert delivery.put(MESSAGES[0], 2, LONG)
    assert dropped(delivery) == {"rejected": 1}
    assert delivery.stats.snapshot()["spans_sent"] == 1


def test_a_message_that_breaks_the_link_each_time_does_not_stop_the_others(make: Make, receiver: Receiver) -> None:
    delivery = make()
    receiver.errors = [ZeroDivisionError()] * module.MAX_BROKEN_ATTEMPTS
    assert not delivery.put(MESSAGES[0], 2, LONG)
    assert delivery.put(MESSAGES[1], 2, LONG)
    assert dropped(delivery) == {"error": 2}


def test_without_a_spool_put_gives_up_in_time(make: Make, receiver: Receiver) -> None:
    delivery = make()
    receiver.is_down = True
    assert not delivery.put(MESSAGES[0], 2, SHORT)
    assert delivery.shutdown(LONG)
    assert dropped(delivery) == {"timeout": 2}


def test_without_a_spool_put_gives_up_in_time_while_a_request_hangs(make: Make, receiver: Receiver) -> None:
    delivery = make()
    receiver.may_answer.clear()
    assert not delivery.put(MESSAGES[0], 2, SHORT)
    assert not delivery.put(MESSAGES[1], 2, SHORT)
    receiver.may_answer.set()
    assert delivery.flush(LONG)
    assert receiver.arrived == MESSAGES[:1]
    assert dropped(delivery) == {"timeout": 2}, "the first one arrived after all"


def test_the_queue_is_bounded_by_bytes(make: Make, receiver: Receiver) -> None:
    delivery = make(queue_bytes=len(MESSAGES[0]) + 1)
    receiver.may_answer.clear()
    putting = threading.Thread(target=delivery.put, args=(MESSAGES[0], 2, LONG))
    putting.start()
    assert receiver.asked.wait(LONG)
    began = time.monotonic()
    assert not delivery.put(MESSAGES[1], 2, LONG)
    assert time.monotonic() - began < LONG / 2
    receiver.may_answer.set()
    putting.join(LONG)
    assert dropped(delivery) == {"queue_full": 2}


def test_after_shutdown_nothing_is_taken(make: Make, receiver: Receiver) -> None:
    delivery = make()
    assert delivery.put(MESSAGES[0], 2, LONG)
    assert delivery.shutdown(LONG)
    assert delivery.shutdown(LONG)
    assert not delivery.put(MESSAGES[1], 2, LONG)
    assert dropped(delivery) == {"shutdown": 2}


def test_shutdown_is_in_time_while_a_request_hangs_and_says_what_is_lost(make: Make, receiver: Receiver) -> None:
    delivery = make()
    receiver.may_answer.clear()
    answers: list[bool] = []
    putting = threading.Thread(target=lambda: answers.append(delivery.put(MESSAGES[0], 2, LONG)))
    putting.start()
    assert receiver.asked.wait(LONG)
    began = time.monotonic()
    assert not delivery.shutdown(SHORT)
    assert time.monotonic() - began < LONG / 2
    putting.join(LONG)
    assert answers == [False]


def test_many_threads_put_and_everything_arrives_once(make: Make, receiver: Receiver, tmp_path: Path) -> None:
    delivery = make(Spool(tmp_path), queue_bytes=3 * len(MESSAGES[0]))
    receiver.errors = [Unreachable("gone")] * 5
    threads = [threading.Thread(target=delivery.put, args=(one, 2, SHORT)) for one in MESSAGES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert delivery.flush(LONG)
    assert sorted(receiver.arrived) == sorted(MESSAGES)
    assert not dropped(delivery)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_sends_its_own_messages_and_not_those_of_its_parent(
    make: Make, receiver: Receiver, tmp_path: Path
) -> None:
    delivery = make(Spool(tmp_path))
    receiver.is_down = True
    assert delivery.put(MESSAGES[0], 2, 0)
    child = os.fork()
    if not child:
        receiver.is_down = False
        good = delivery.put(MESSAGES[1], 2, LONG) and receiver.arrived == MESSAGES[1:2] and delivery.shutdown(LONG)
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    receiver.is_down = False
    assert delivery.flush(LONG)
    assert receiver.arrived == MESSAGES[:1]
