"""Delivery: what was promised to arrive arrives, or is counted as lost, and nobody waits longer than was agreed."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
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
        made.append(Delivery(receiver, spool, **options))  # type: ignore[arg-type]  # each test gives its own
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


def test_a_message_in_the_spool_that_breaks_the_link_lets_the_others_go_first_and_is_not_lost(
    make: Make, receiver: Receiver, spool: Spool
) -> None:
    for one in MESSAGES:
        spool.append(one)
    receiver.errors = [ZeroDivisionError()] * module.MAX_BROKEN_ATTEMPTS
    delivery = make(spool)
    assert delivery.flush(LONG)
    assert receiver.arrived == [*MESSAGES[1:], MESSAGES[0]]
    assert dropped(delivery) == {}


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


def test_a_message_that_comes_of_sending_another_does_not_wait_for_itself(make: Make, receiver: Receiver) -> None:
    delivery = make()
    answers: list[bool] = []
    deliver = receiver.deliver

    def traced(message: bytes, timeout: float) -> Delivered:
        answers.append(delivery.put(MESSAGES[1], 2, LONG))
        return deliver(message, timeout)

    receiver.deliver = traced  # type: ignore[method-assign]  # of this one only
    began = time.monotonic()
    assert delivery.put(MESSAGES[0], 2, LONG)
    assert time.monotonic() - began < LONG / 2
    assert answers == [False]


# --- with a spool -----------------------------------------------------------------------------------------------------


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def test_what_cannot_be_sent_goes_to_the_spool_and_arrives_later_in_order(
    make: Make, receiver: Receiver, spool: Spool
) -> None:
    delivery = make(spool)
    receiver.is_down = True
    assert all(delivery.put(one, 2, 0.001) for one in MESSAGES)
    assert spool.n_messages == len(MESSAGES)
    assert delivery.stats.snapshot()["queue_messages"] == len(MESSAGES)
    receiver.is_down = False
    assert delivery.flush(LONG)
    assert receiver.arrived == MESSAGES
    counts = delivery.stats.snapshot()
    assert (counts["messages_spooled"], counts["spans_sent"], counts["queue_bytes"]) == (40, 80, 0)


def test_it_is_said_once_when_the_receiver_is_back_and_how_many_batches_wait(
    make: Make, receiver: Receiver, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tracezip.live")
    receiver.is_down = True
    delivery = make(spool, backoff=LongPause())
    assert all(delivery.put(one, 2, SHORT) for one in MESSAGES[:5])
    receiver.is_down = False
    assert delivery.flush(LONG)
    said = [record for record in caplog.records if "is back" in record.message]
    assert [(record.levelname, record.message) for record in said] == [
        ("INFO", "the receiver is back, after 0 s; 4 more batches wait to be sent")
    ]


def test_while_something_is_in_the_spool_put_does_not_wait(make: Make, receiver: Receiver, spool: Spool) -> None:
    delivery = make(spool, backoff=LongPause())
    receiver.is_down = True
    assert delivery.put(MESSAGES[0], 2, SHORT)
    began = time.monotonic()
    assert all(delivery.put(one, 2, LONG) for one in MESSAGES[1:5])
    assert time.monotonic() - began < LONG / 2
    receiver.is_down = False
    assert delivery.flush(LONG), "flush does not wait for the end of the pause"
    assert receiver.arrived == MESSAGES[:5]


def test_flush_does_not_hurry_a_receiver_that_asked_for_a_pause(make: Make, receiver: Receiver, spool: Spool) -> None:
    delivery = make(spool, backoff=LongPause())
    receiver.errors = [TryLater(600, "busy")]
    assert delivery.put(MESSAGES[0], 2, SHORT)
    assert not delivery.flush(SHORT)
    assert len(receiver.timeouts) == 1


def test_what_arrives_after_it_was_spooled_is_not_sent_again(make: Make, receiver: Receiver, spool: Spool) -> None:
    delivery = make(spool)
    receiver.may_answer.clear()
    assert delivery.put(MESSAGES[0], 2, SHORT)
    assert delivery.put(MESSAGES[1], 2, SHORT)
    receiver.may_answer.set()
    assert delivery.flush(LONG)
    assert receiver.arrived == MESSAGES[:2]


def test_what_is_refused_after_it_was_spooled_is_counted_once(make: Make, receiver: Receiver, spool: Spool) -> None:
    delivery = make(spool)
    receiver.errors = [Refused("bad data")]
    receiver.may_answer.clear()
    assert delivery.put(MESSAGES[0], 2, SHORT)
    receiver.may_answer.set()
    assert delivery.flush(LONG)
    assert receiver.arrived == []
    assert dropped(delivery) == {"refused": 2}


def test_what_is_refused_from_the_spool_is_counted_with_its_spans(make: Make, receiver: Receiver, spool: Spool) -> None:
    for one in MESSAGES[:2]:
        spool.append(one)
    receiver.errors = [Refused("bad data")]
    delivery = make(spool)
    assert delivery.flush(LONG)
    assert receiver.arrived == MESSAGES[1:2]
    assert dropped(delivery) == {"refused": 2}


def test_what_an_earlier_process_left_is_sent_without_waiting_for_a_message(
    make: Make, receiver: Receiver, tmp_path: Path
) -> None:
    earlier = Spool(tmp_path)
    for one in MESSAGES[:3]:
        earlier.append(one)
    earlier.close()
    make(Spool(tmp_path))
    assert receiver.asked.wait(LONG)


def test_a_full_queue_goes_to_the_spool(make: Make, receiver: Receiver, spool: Spool) -> None:
    delivery = make(spool, queue_bytes=len(MESSAGES[0]) + 1)
    receiver.may_answer.clear()
    putting = threading.Thread(target=delivery.put, args=(MESSAGES[0], 2, LONG))
    putting.start()
    assert receiver.asked.wait(LONG)
    assert delivery.put(MESSAGES[1], 2, LONG)
    assert spool.n_messages == 1
    receiver.may_answer.set()
    putting.join(LONG)
    assert delivery.flush(LONG)
    assert receiver.arrived == MESSAGES[:2]


def test_shutdown_while_a_request_hangs_loses_nothing(make: Make, receiver: Receiver, tmp_path: Path) -> None:
    delivery = make(Spool(tmp_path))
    receiver.may_answer.clear()
    answers: list[bool] = []
    putting = [threading.Thread(target=lambda: answers.append(delivery.put(MESSAGES[0], 2, LONG))) for _ in range(3)]
    for thread in putting:
        thread.start()
    with delivery._changed:  # or one of them comes when the delivery has ended
        assert delivery._changed.wait_for(lambda: len(delivery._queue) == 3, LONG)
    assert receiver.asked.wait(LONG)
    began = time.monotonic()
    assert delivery.shutdown(SHORT)
    assert time.monotonic() - began < LONG / 2
    for thread in putting:
        thread.join(LONG)
    assert delivery.stats.snapshot()["messages_in"] == 3
    assert answers == [True] * 3
    assert Spool(tmp_path).n_messages == 3


def test_shutdown_sends_what_it_can(make: Make, receiver: Receiver, spool: Spool) -> None:
    for one in MESSAGES:
        spool.append(one)
    delivery = make(spool)
    assert delivery.shutdown(LONG)
    assert receiver.arrived == MESSAGES


def test_shutdown_does_not_insist_when_the_receiver_is_down(make: Make, receiver: Receiver, tmp_path: Path) -> None:
    delivery = make(Spool(tmp_path), backoff=LongPause())
    receiver.is_down = True
    assert delivery.put(MESSAGES[0], 2, SHORT)
    began = time.monotonic()
    assert delivery.shutdown(LONG)
    assert time.monotonic() - began < LONG / 2
    assert Spool(tmp_path).n_messages == 1


def test_the_time_of_a_request_is_bounded_by_that_of_shutdown(make: Make, receiver: Receiver, spool: Spool) -> None:
    for one in MESSAGES[:2]:
        spool.append(one)
    receiver.may_answer.clear()
    delivery = make(spool, request_seconds=500)
    assert receiver.asked.wait(LONG)
    closing = threading.Thread(target=delivery.shutdown, args=(LONG,))
    closing.start()
    while delivery.put(b"", 0, 0):  # until shutdown has begun
        pass
    receiver.may_answer.set()
    closing.join(LONG)
    assert receiver.timeouts[0] == 500
    assert max(receiver.timeouts[1:]) <= LONG


def test_a_full_spool_loses_and_counts_and_says_so_once_in_a_while(
    make: Make, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = make(Spool(tmp_path, max_bytes=3000), backoff=LongPause())
    receiver.is_down = True
    answers = [delivery.put(one, 2, 0) for one in MESSAGES]
    n_kept = sum(answers)
    assert 3 < n_kept < 40
    assert dropped(delivery) == {"spool_full": 2 * (40 - n_kept)}
    assert caplog.text.count("are lost") == 1
    receiver.is_down = False
    assert delivery.flush(LONG)
    assert receiver.arrived == [one for one, kept in zip(MESSAGES, answers, strict=True) if kept]


def test_a_disk_that_takes_nothing_is_no_error_of_put(
    make: Make, receiver: Receiver, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(message: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    delivery = make(spool)
    receiver.is_down = True
    monkeypatch.setattr(spool, "append", fails)
    assert not delivery.put(MESSAGES[0], 2, 0)
    receiver.is_down = False
    assert delivery.put(MESSAGES[1], 2, LONG)
    assert dropped(delivery) == {"spool_error": 2}
    assert receiver.arrived[-1:] == MESSAGES[1:2]


def test_a_spool_that_cannot_be_used_is_no_error_of_put(make: Make, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    delivery = make(Spool(tmp_path / "file"))
    assert delivery.put(MESSAGES[0], 2, LONG)
    receiver.is_down = True
    assert not delivery.put(MESSAGES[1], 2, SHORT)
    assert dropped(delivery) == {"spool_error": 2}


def test_an_error_of_reading_the_spool_is_no_end_of_the_delivery(
    make: Make, receiver: Receiver, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    peek, errors = spool.peek, [ZeroDivisionError(), ZeroDivisionError()]

    def fails() -> object:
        if errors:
            raise errors.pop()
        return peek()

    monkeypatch.setattr(spool, "peek", fails)
    spool.append(MESSAGES[0])
    delivery = make(spool)
    assert delivery.flush(LONG)
    assert receiver.arrived == MESSAGES[:1]


PROGRAM = """
import os, signal, sys
sys.path[:0] = {path!r}
from archives import message
from tracezip.live.delivery import Delivery
from tracezip.live.errors import Delivered, Unreachable
from tracezip.live.spool import Spool

class Link:
    n_arrived = 0
    def deliver(self, message, timeout):
        if self.n_arrived == 5:
            raise Unreachable("gone")
        self.n_arrived += 1
        return Delivered()

delivery = Delivery(Link(), Spool({folder!r}))
assert all(delivery.put(message(number), 2, 0.01) for number in range(40))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_the_next_process_sends_everything_that_put_has_promised(
    make: Make, receiver: Receiver, tmp_path: Path
) -> None:
    program = PROGRAM.format(path=sys.path, folder=str(tmp_path))
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    delivery = make(Spool(tmp_path))
    assert delivery.put(MESSAGES[0], 2, LONG)
    assert delivery.flush(LONG)
    n_kept = len(receiver.arrived) - 1
    assert 35 <= n_kept < 40  # all but what has arrived
    assert receiver.arrived == MESSAGES[40 - n_kept :] + MESSAGES[:1]


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


def test_a_message_that_is_larger_than_the_queue_is_sent_all_the_same(make: Make, receiver: Receiver) -> None:
    assert make(queue_bytes=1).put(MESSAGES[0], 1, LONG)
    assert receiver.arrived == MESSAGES[:1]


def test_what_handles_the_log_may_make_spans_itself(make: Make, receiver: Receiver) -> None:
    """As a handler does that sends records over instrumented HTTP: it holds its own lock, and comes for that here."""
    receiver.is_down = True
    delivery = make()  # without a spool: each message is lost, which is logged
    is_logging = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "application":
                is_logging.set()
                time.sleep(0.2)  # by then the other one waits for the lock of this handler
                delivery.put(MESSAGES[0], 1, SHORT)

    handler = Handler()
    loggers = [logging.getLogger(name) for name in ("application", "tracezip")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        threads = [
            threading.Thread(target=loggers[0].warning, args=("something",), daemon=True),
            threading.Thread(target=delivery.put, args=(MESSAGES[1], 1, SHORT), daemon=True),
        ]
        threads[0].start()
        assert is_logging.wait(LONG)
        threads[1].start()
        for thread in threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def test_a_worker_sends_what_a_dead_one_left(make: Make, receiver: Receiver, tmp_path: Path) -> None:
    """Both are forked from one process, which made the exporter."""
    spool = Spool(tmp_path)
    delivery = make(spool)
    if not (child := os.fork()):
        spool.append(MESSAGES[0])
        os._exit(0)
    os.waitpid(child, 0)
    assert delivery.put(MESSAGES[1], 1, LONG)
    assert delivery.flush(LONG)
    assert sorted(receiver.arrived) == MESSAGES[:2]
    assert delivery.shutdown(LONG)  # if it found what was left before it took its own, it has a folder until then
    assert list(tmp_path.iterdir()) == []
