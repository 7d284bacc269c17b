"""`tracezip send`: what is in an archive arrives at a backend, at the speed and in the sizes that were asked for."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

import tracezip
from benchmarks.data import SAMPLES, read_file
from tests.archives import field, message, span
from tests.full_trace import full_trace
from tests.http_answers import Reply, Request, WebServer, serving
from tests.otel_collector import collector, same, spans_in, spans_of, to_file
from tracezip.cli.main import cli
from tracezip.convert.spans import read_spans
from tracezip.live.errors import Delivered, Refused, TryLater, Unreachable
from tracezip.live.pacing import LastSpan, Pace
from tracezip.live.replay import Replay
from tracezip.live.shifting import shifted

MESSAGES = [*read_file(SAMPLES / "astronomy.otlp").messages, full_trace().SerializeToString()]


class Backend:
    """Takes everything, unless told otherwise by `replies`. 413 above `max_bytes`."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.replies: deque[Reply] = deque()
        self.max_bytes = 1 << 30
        self.web = WebServer(self.answer)

    def answer(self, request: Request) -> Reply:
        if len(request.message) > self.max_bytes:
            return Reply(413)
        reply = self.replies.popleft() if self.replies else Reply(200)
        if reply.status == 200:
            self.messages.append(request.message)
        return reply


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    with serving(made.answer) as made.web:
        yield made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return written(tmp_path / "a.tzip", MESSAGES)


def written(path: Path, messages: list[bytes]) -> Path:
    with tracezip.open(path, "wb") as writer:
        for one in messages:
            writer.write(one)
    return path


def run(*arguments: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["send", *map(str, arguments)], input=given)


def sent(backend: Backend, *arguments: str | Path) -> list[bytes]:
    result = run(*arguments, "--to", backend.web.url)
    assert result.exit_code == 0, result.stderr
    return backend.messages


# --- what arrives -----------------------------------------------------------------------------------------------------


def test_every_message_arrives_as_it_is_and_in_order(backend: Backend, archive: Path) -> None:
    assert sent(backend, archive) == MESSAGES
    assert set(backend.web.paths()) == {"/v1/traces"}
    assert {request.headers["content-encoding"] for request in backend.web.requests} == {"gzip"}


def test_several_files_arrive_one_after_the_other(backend: Backend, archive: Path, tmp_path: Path) -> None:
    second = written(tmp_path / "b.tzip", [message(7)])
    assert sent(backend, second, archive) == [message(7), *MESSAGES]


def test_standard_input_is_sent(backend: Backend, archive: Path) -> None:
    result = run("-", "--to", f"{backend.web.url}/v1/traces/", "--no-gzip", given=archive.read_bytes())
    assert (result.exit_code, result.stderr) == (0, "")
    assert backend.messages == MESSAGES
    assert "content-encoding" not in backend.web.requests[0].headers


def test_headers_are_in_each_request(backend: Backend, archive: Path) -> None:
    sent(backend, archive, "--header", "Authorization=Bearer a=b", "--header", "X-Scope-OrgID=7")
    assert {(each.headers["authorization"], each.headers["x-scope-orgid"]) for each in backend.web.requests} == {
        ("Bearer a=b", "7")
    }


def test_filters_choose_the_spans(backend: Backend, archive: Path) -> None:
    arrived = spans_of(sent(backend, archive, "--service", "currencyservice"))
    chosen = [one for data in MESSAGES for one in read_spans(data) if one.service_name == "currencyservice"]
    assert 0 < arrived.total() == len(chosen) < spans_of(MESSAGES).total()
    assert not arrived - spans_of(MESSAGES)


def test_whole_traces_are_sent_when_one_span_matches(backend: Backend, archive: Path) -> None:
    arrived = sent(backend, archive, "--service", "currencyservice", "--whole", "--head", "2")
    trace_ids = {one.trace_id for data in arrived for one in read_spans(data)}
    of_traces = [one for data in MESSAGES for one in read_spans(data) if one.trace_id in trace_ids]
    assert len(trace_ids) == 2
    assert spans_of(arrived).total() == len(of_traces)


def test_a_summary_says_how_many_spans_were_sent(backend: Backend, archive: Path) -> None:
    result = run(archive, "--to", backend.web.url, "-v")
    n_spans = spans_of(MESSAGES).total()
    assert f"{n_spans:,} spans sent in {len(MESSAGES)} messages" in result.stderr
    assert "0 spans rejected" in result.stderr


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_no_request_is_larger_than_was_asked_for(backend: Backend, archive: Path) -> None:
    arrived = sent(backend, archive, "--max-bytes", "24K")
    assert max(map(len, arrived)) <= 24 << 10
    assert same(spans_of(arrived), spans_of(MESSAGES))


def test_what_the_backend_finds_too_large_is_cut(backend: Backend, archive: Path) -> None:
    backend.max_bytes = 24 << 10
    assert same(spans_of(sent(backend, archive)), spans_of(MESSAGES))


def test_a_single_span_that_is_too_large_is_named_and_the_rest_arrives(backend: Backend, tmp_path: Path) -> None:
    huge = message(1, n_spans=1, name="x" * 10_000)
    backend.max_bytes = 1 << 10
    result = run(written(tmp_path / "a.tzip", [message(0), huge, message(2)]), "--to", backend.web.url, "-v")
    assert result.exit_code == 1
    assert "413" in result.stderr
    assert "1 spans rejected" in result.stderr
    assert backend.messages == [message(0), message(2)]


# --- what the backend says --------------------------------------------------------------------------------------------


def test_what_is_refused_for_now_is_sent_again(backend: Backend, archive: Path) -> None:
    backend.replies.extend([Reply(503, {"Retry-After": "0"}), Reply(429, {"Retry-After": "0"})])
    assert sent(backend, archive) == MESSAGES


def test_rejected_spans_are_counted_and_told(backend: Backend, archive: Path) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
    body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    backend.replies.extend([Reply(200, {"Content-Type": "application/x-protobuf"}, body)] * 2)
    result = run(archive, "--to", backend.web.url, "-v")
    assert result.exit_code == 1
    assert result.stderr.count("too old") == 1
    assert "6 spans rejected" in result.stderr
    assert backend.messages == MESSAGES


def test_a_refused_message_does_not_stop_the_others(backend: Backend, archive: Path) -> None:
    backend.replies.append(Reply(400, {"Content-Type": "text/plain"}, b"no such tenant"))
    result = run(archive, "--to", backend.web.url)
    assert result.exit_code == 1
    assert "no such tenant" in result.stderr
    assert backend.messages == MESSAGES[1:]


@pytest.mark.parametrize(("status", "n_requests"), [(400, 3), (401, 1), (403, 1)])
def test_a_backend_that_refuses_everything_is_not_asked_for_ever(
    backend: Backend, archive: Path, status: int, n_requests: int
) -> None:
    backend.replies.extend([Reply(status)] * 100)
    result = run(archive, "--to", backend.web.url)
    assert result.exit_code == 1
    assert str(status) in result.stderr
    assert "the rest was not sent" in result.stderr
    assert len(backend.web.requests) == n_requests


def test_nobody_there_is_an_error_after_the_time_given(archive: Path) -> None:
    result = run(archive, "--to", "http://127.0.0.1:1", "--retry-for", "1s")
    assert result.exit_code == 1
    assert "a.tzip: no answer from http://127.0.0.1:1" in result.stderr


def test_bad_files_and_messages_are_named_and_the_rest_is_sent(backend: Backend, tmp_path: Path) -> None:
    good = written(tmp_path / "good.tzip", [message(1), b"\xff no OTLP", message(2)])
    bad = tmp_path / "bad.tzip"
    bad.write_bytes(b"no archive")
    result = run(bad, good, "--to", backend.web.url)
    assert result.exit_code == 1
    assert "bad.tzip: " in result.stderr
    assert "good.tzip: message 2 is left out, it is no OTLP" in result.stderr
    assert "4 spans sent in 2 messages" in result.stderr
    assert backend.messages == [message(1), message(2)]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--to", "collector:4318"), "is no URL to send to"),
        (("--to", "http://collector:4317"), "gRPC"),
        (("--to", "http://collector", "--speed", "fast"), "nor max"),
        (("--to", "http://collector", "--speed", "0x"), "nor max"),
        (("--to", "http://collector", "--max-pause", "1m"), "without --speed"),
        (("--to", "http://collector", "--header", "a: b"), "is no NAME=VALUE"),
        (("--to", "http://collector", "--header", "a=b\r\nc=d"), "the header 'a' cannot be sent"),
        (("--to", "https://collector", "--to-ca-file", "no-such-file"), "no-such-file"),
        ((), "--to"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(archive: Path, option: tuple[str, ...], said: str) -> None:
    result = run(archive, *option)
    assert result.exit_code == 2
    assert said in result.stderr


# --- speed ------------------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Recorder:
    """A sender that notes when it was asked, and answers as it is told."""

    def __init__(self, clock: Clock, *answers: Delivered | Exception) -> None:
        self.clock = clock
        self.answers = deque(answers)
        self.times: list[float] = []

    def send(self, message: bytes) -> Delivered:
        self.times.append(self.clock.now - 100.0)
        answer = self.answers.popleft() if self.answers else Delivered()
        if isinstance(answer, Exception):
            raise answer
        return answer


def ended(seconds: float) -> bytes:
    """A message whose last span ends then; an earlier one is behind it."""
    ends = [int(2e18) + int(seconds * 1e9), int(2e18) - 10**9]
    spans = b"".join(field(2, span(i) + b"\x41" + end.to_bytes(8, "little")) for i, end in enumerate(ends))
    return field(1, field(2, spans))


def test_the_command_heeds_the_speed(backend: Backend, tmp_path: Path) -> None:
    began = time.monotonic()
    arrived = sent(backend, written(tmp_path / "a.tzip", [ended(0), ended(10)]), "--speed", "40x")
    assert len(arrived) == 2
    assert time.monotonic() - began >= 0.25


def replayed(speed: float, messages: list[bytes]) -> list[float]:
    clock = Clock()
    recorder = Recorder(clock)
    replay = Replay(recorder, pace=Pace(speed, clock), on_rejected=print, sleep=clock.sleep, clock=clock)
    for one in messages:
        replay.send(one)
    return recorder.times


def test_at_1x_messages_are_as_far_apart_as_the_ends_of_their_last_spans() -> None:
    assert replayed(1, [ended(0), ended(2.5), ended(2.5), ended(60)]) == pytest.approx([0, 2.5, 2.5, 60])


def test_at_10x_they_come_ten_times_as_fast() -> None:
    assert replayed(10, [ended(0), ended(2.5), ended(60)]) == pytest.approx([0, 0.25, 6])


def test_a_message_that_is_late_or_has_no_time_is_sent_at_once() -> None:
    assert replayed(1, [b"", message(0), ended(9), ended(3), ended(10), b""]) == pytest.approx([0, 0, 0, 0, 1, 1])


DAY = 86400.0


IN_1970 = field(1, field(2, field(2, span(0) + b"\x41" + (10**9).to_bytes(8, "little"))))


@pytest.mark.parametrize("far", [ended(1e9), ended(10 * DAY), IN_1970])
def test_a_message_with_a_wrong_time_is_not_waited_for_and_moves_no_other(far: bytes) -> None:
    assert replayed(1, [ended(0), ended(1), far, ended(3), ended(4)]) == pytest.approx([0, 1, 1, 3, 4])


def test_if_the_first_time_is_wrong_the_pace_is_that_of_the_others() -> None:
    assert replayed(1, [IN_1970, ended(1), ended(2), ended(4)]) == pytest.approx([0, 0, 0, 2])


def test_a_long_gap_is_skipped_and_the_pace_goes_on_behind_it() -> None:
    assert replayed(1, [ended(0), ended(DAY), ended(DAY + 2), ended(DAY + 5)]) == pytest.approx([0, 0, 0, 3])


def test_a_pause_is_as_long_as_it_may_be() -> None:
    pace = Pace(1, clock := Clock(), max_pause=10)
    assert [pace.seconds_until_due(ended(end)) for end in (0, 10)] == [0, 10]
    far: list[LastSpan] = []
    pace = Pace(1, clock, max_pause=10, on_far=far.append)
    assert [pace.seconds_until_due(ended(end)) for end in (0, 11)] == [0, 0]
    assert [str(one) for one in far] == [
        "span 0000000000000001 of trace a1b2c3d4e5f607180000000000000001, which ends at 2033-05-18T03:33:31Z"
    ]


def test_a_span_that_is_far_away_in_time_is_named(backend: Backend, tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tzip", [ended(0), ended(1e9), ended(0.1), IN_1970, ended(0.2)])
    result = run(archive, "--to", backend.web.url, "--speed", "1x", "--max-pause", "1m")
    assert result.exit_code == 0
    assert result.stderr.count("a.tzip: span 0") == 1
    assert "which ends at 2065-" in result.stderr
    assert len(backend.messages) == 5


# --- several at a time ------------------------------------------------------------------------------------------------


def test_as_many_requests_are_under_way_as_was_asked_for(tmp_path: Path) -> None:
    barrier = threading.Barrier(3)

    def answer(_: Request) -> Reply:
        barrier.wait(20)  # until there are three
        return Reply(200)

    with serving(answer) as web:
        messages = [message(number) for number in range(12)]
        archive = written(tmp_path / "a.tzip", messages)
        result = run(archive, "--to", web.url, "--parallel", "3", "-v")
    assert result.exit_code == 0
    assert "24 spans sent in 12 messages" in result.stderr
    assert Counter(request.message for request in web.requests) == Counter(messages)


def test_of_several_that_fail_one_is_the_error_and_what_arrived_is_counted(backend: Backend, tmp_path: Path) -> None:
    backend.replies.extend([Reply(200), Reply(401), Reply(401), Reply(401)])
    archive = written(tmp_path / "a.tzip", [message(number) for number in range(50)])
    result = run(archive, "--to", backend.web.url, "--parallel", "3")
    assert result.exit_code == 1
    assert result.stderr.count("the rest was not sent") == 1
    assert f"{2 * len(backend.messages)} spans sent in {len(backend.messages)} messages" in result.stderr
    assert len(backend.web.requests) <= 10


def test_an_error_of_the_last_message_is_told_too(backend: Backend, tmp_path: Path) -> None:
    backend.replies.append(Reply(403))
    result = run(written(tmp_path / "a.tzip", [message(1)]), "--to", backend.web.url, "--parallel", "2")
    assert result.exit_code == 1
    assert "answered 403" in result.stderr


# --- to now -----------------------------------------------------------------------------------------------------------


def last_end(data: bytes) -> float:
    """Seconds from now."""
    return max(one.end_ns for one in read_spans(data)) / 1e9 - time.time()


def test_all_times_are_shifted_alike_and_nothing_else_is_changed() -> None:
    data = full_trace().SerializeToString()
    assert shifted(shifted(data, 10**18), -(10**18)) == data
    for before, after in zip(read_spans(data), read_spans(shifted(data, 7)), strict=True):
        events = tuple(replace(event, time_ns=event.time_ns and event.time_ns + 7) for event in before.events)
        start_ns, end_ns = (time_ns and time_ns + 7 for time_ns in (before.start_ns, before.end_ns))
        assert after == replace(before, start_ns=start_ns, end_ns=end_ns, events=events)


def test_a_time_that_cannot_be_shifted_so_far_is_the_last_or_the_first_that_there_is() -> None:
    (late,) = [one.end_ns for one in read_spans(shifted(ended(0), 1 << 64)) if one.span_id[-1] == 1]
    assert late == (1 << 64) - 1
    assert all(one.end_ns == 1 for one in read_spans(shifted(ended(0), -(1 << 64))))


def test_what_is_no_otlp_is_not_shifted() -> None:
    assert shifted(b"\xff no OTLP", 5) == b"\xff no OTLP"


def test_shifted_to_now_the_last_span_ends_now(backend: Backend, tmp_path: Path) -> None:
    messages = [ended(0), ended(500), ended(1e9), ended(1000)]
    arrived = sent(backend, written(tmp_path / "a.tzip", messages), "--now")
    assert [last_end(data) for data in (arrived[0], arrived[1], arrived[3])] == pytest.approx([-1000, -500, 0], abs=60)


def test_at_1x_each_message_ends_when_it_is_sent(backend: Backend, tmp_path: Path) -> None:
    archive = written(tmp_path / "a.tzip", [ended(0), ended(0.2)])
    result = run("-", "--to", backend.web.url, "--now", "--speed", "1x", given=archive.read_bytes())
    assert result.exit_code == 0
    assert [last_end(data) for data in backend.messages] == pytest.approx([-0.2, 0], abs=60)


def test_what_cannot_be_read_twice_is_not_shifted_to_a_time_that_its_end_must_tell(archive: Path) -> None:
    result = run("-", "--to", "http://localhost:1", "--now", given=archive.read_bytes())
    assert result.exit_code == 2
    assert "--speed 1x" in result.stderr


# --- patience ---------------------------------------------------------------------------------------------------------


def test_a_message_is_sent_again_for_as_long_as_patience_lasts() -> None:
    clock = Clock()
    recorder = Recorder(clock, *[Unreachable("gone")] * 100)
    replay = Replay(recorder, patience=60, on_rejected=print, sleep=clock.sleep, clock=clock)
    with pytest.raises(Unreachable):
        replay.send(message(0))
    assert 5 <= len(recorder.times) <= 8
    assert 15 <= recorder.times[-1] <= 60


def test_patience_begins_anew_with_each_message() -> None:
    clock = Clock()
    later = TryLater(50, "busy")
    recorder = Recorder(clock, later, Delivered(), later, Delivered())
    replay = Replay(recorder, patience=60, on_rejected=print, sleep=clock.sleep, clock=clock)
    replay.send(message(0))
    replay.send(message(1))
    assert recorder.times == [0, 50, 50, 100]
    assert replay.report.n_spans == 4


def test_of_a_message_in_pieces_what_was_taken_is_not_sent_again() -> None:
    clock = Clock()
    recorder = Recorder(clock, Delivered(), TryLater(1, "busy"), Delivered())
    data = message(0, n_spans=2)
    replay = Replay(recorder, max_bytes=len(data) - 1, on_rejected=print, sleep=clock.sleep, clock=clock)
    replay.send(data)
    assert recorder.times == [0, 0, 1]
    assert (replay.report.n_spans, replay.report.n_messages) == (2, 1)


def test_refused_spans_are_counted_as_rejected() -> None:
    clock = Clock()
    said: list[str] = []
    recorder = Recorder(clock, Delivered(), Refused("too old"), Refused("too old"))
    replay = Replay(recorder, on_rejected=said.append, sleep=clock.sleep, clock=clock)
    for number in range(4):
        replay.send(message(number, n_spans=3))
    assert (replay.report.n_spans, replay.report.n_rejected, replay.report.n_messages) == (6, 6, 2)
    assert said == ["too old"]


def test_one_piece_that_was_taken_is_reason_enough_to_go_on() -> None:
    clock = Clock()
    recorder = Recorder(clock, Delivered(), *[Refused("too old")] * 3)
    data = message(0, n_spans=4)
    replay = Replay(recorder, max_bytes=len(data) // 3, on_rejected=print, sleep=clock.sleep, clock=clock)
    replay.send(data)
    assert (replay.report.n_messages, replay.report.n_spans, replay.report.n_rejected) == (1, 1, 3)


# --- into a real Collector --------------------------------------------------------------------------------------------


def test_a_collector_writes_what_an_archive_has_span_for_span(archive: Path, tmp_path: Path) -> None:
    arrived = tmp_path / "arrived.jsonl"
    with collector(tmp_path, to_file(arrived), max_request_body_size=20_000) as receiver:
        result = run(archive, "--to", receiver.http)
        receiver.stop()
    assert (result.exit_code, result.stderr) == (0, "")
    assert same(spans_in(arrived), spans_of(MESSAGES))
