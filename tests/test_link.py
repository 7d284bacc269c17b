"""A link delivers every message, as a stream where the server knows that, and as plain OTLP where it does not."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from archives import message
from http_answers import Reply, Request, WebServer, gateway, json_reply, serving

from tracezip.errors import InputError
from tracezip.live import limits
from tracezip.live.errors import Delivered, Refused, SetupError, TryLater, Unreachable
from tracezip.live.http import HttpClient
from tracezip.live.link import Link, LinkOptions
from tracezip.live.receiving import Receiver

BATCHES = [message(number, n_spans=20) for number in range(6)]
KNOWS = {"Tracezip-Version": "1"}


class Backend:
    """Behind the server: takes messages, or raises what it is told to."""

    def __init__(self, *outcomes: Delivered | Exception) -> None:
        self.outcomes = list(outcomes)
        self.got: list[bytes] = []

    def deliver(self, batch: bytes) -> Delivered:
        outcome = self.outcomes.pop(0) if self.outcomes else Delivered()
        if isinstance(outcome, Exception):
            raise outcome
        self.got.append(batch)
        return outcome

    def plain(self, request: Request) -> Reply:
        self.got.append(request.message)
        return Reply(200)


class Stats:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.n_observed = 0

    def add(self, **counts: int) -> None:
        self.counts.update(counts)

    def observe(self, name: str, seconds: float) -> None:
        assert name == "compress"
        assert seconds > 0
        self.n_observed += 1


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Setting:
    """A link, the server at its other end, and what stands behind that."""

    def __init__(self, web: WebServer, backend: Backend, **options: Any) -> None:
        self.web, self.backend = web, backend
        self.clock, self.stats = Clock(), Stats()
        self.link = Link(web.url, HttpClient(), LinkOptions(**options), stats=self.stats, clock=self.clock)

    def deliver(self, batch: bytes) -> Delivered:
        return self.link.deliver(batch, 30)

    def forget(self) -> None:
        """The server is restarted."""
        self.web.answer = gateway(Receiver(self.backend.deliver), self.backend.plain)

    def kinds(self) -> list[str]:
        """What was asked so far."""
        return ["plain" if path == "/v1/traces" else "stream" for path in self.web.paths()]


@contextmanager
def linked(*outcomes: Delivered | Exception, **options: Any) -> Iterator[Setting]:
    backend = Backend(*outcomes)
    with serving(gateway(Receiver(backend.deliver), backend.plain)) as web:
        yield Setting(web, backend, **options)


def always(reply: Reply, backend: Backend) -> Callable[[Request], Reply]:
    """A server that answers so, but to plain OTLP."""
    return lambda request: backend.plain(request) if request.path == "/v1/traces" else reply


def test_batches_arrive_exactly_and_each_costs_less_for_those_before_it() -> None:
    with linked() as one:
        assert [one.deliver(batch) for batch in BATCHES] == [Delivered()] * len(BATCHES)
        assert one.backend.got == BATCHES
        assert len(set(one.web.paths())) == 1
        sizes = [len(request.body) for request in one.web.requests]
        assert max(sizes[1:]) < sizes[0]
        assert one.web.requests[0].headers["content-type"] == "application/vnd.tracezip.stream"
        assert one.stats.counts == {"bytes_in": sum(map(len, BATCHES)), "bytes_out": sum(sizes)}
        assert one.stats.n_observed == len(BATCHES)


def test_what_the_backend_says_of_a_batch_reaches_the_sender() -> None:
    with linked(Delivered(3, "three are too old")) as one:
        assert one.deliver(BATCHES[0]) == Delivered(3, "three are too old")


def test_an_endpoint_may_name_the_path_of_plain_otlp() -> None:
    with linked() as one:
        link = Link(one.web.url + "/v1/traces", HttpClient())
        link.deliver(BATCHES[0], 30)
        assert one.kinds() == ["stream"]


def test_a_server_that_forgot_the_stream_gets_a_new_one() -> None:
    with linked() as one:
        one.deliver(BATCHES[0])
        one.forget()
        one.deliver(BATCHES[1])
        one.deliver(BATCHES[2])
        assert one.backend.got == BATCHES[:3]
        assert one.kinds() == ["stream"] * 4
        assert one.stats.counts["restarts"] == 1


def test_a_batch_that_no_stream_can_carry_goes_as_plain_otlp_and_only_that_one() -> None:
    with linked() as one:
        one.web.answer = always(json_reply(409, {"restart": "never"}, **KNOWS), one.backend)
        one.deliver(BATCHES[0])
        assert one.kinds() == ["stream"] * limits.MAX_RESTARTS + ["plain"]
        assert one.stats.counts["restarts"] == limits.MAX_RESTARTS
        assert one.stats.counts["fallbacks"] == 1
        one.forget()
        one.deliver(BATCHES[1])
        assert one.kinds()[-1] == "stream"
        assert one.backend.got == BATCHES[:2]


@pytest.mark.parametrize(
    "reply",
    [
        json_reply(200, {"acknowledged": 7, "digest": "00" * 8}, **KNOWS),
        json_reply(200, {"acknowledged": 0}, **KNOWS),
        Reply(200, KNOWS, b"[[[["),
        Reply(500, KNOWS),
        Reply(500),
    ],
)
def test_an_answer_that_acknowledges_nothing_is_not_taken_for_one(reply: Reply) -> None:
    with linked() as one:
        one.web.answer = always(reply, one.backend)
        one.deliver(BATCHES[0])
        assert one.kinds() == ["stream"] * limits.MAX_RESTARTS + ["plain"]


@pytest.mark.parametrize(
    "reply",
    [
        *[Reply(status) for status in (200, 204, 400, 404, 405, 409, 415, 422, 501)],
        Reply(307, {"Location": "/elsewhere"}),
        json_reply(400, {"error": "newer", "versions": [2]}, **KNOWS),
    ],
    ids=lambda reply: f"{reply.status}{' knows' if 'Tracezip-Version' in reply.headers else ''}",
)
def test_a_server_that_does_not_know_the_protocol_gets_plain_otlp(
    reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    with linked() as one:
        one.web.answer = always(reply, one.backend)
        for batch in BATCHES[:3]:
            one.deliver(batch)
        assert one.backend.got == BATCHES[:3]
        assert one.kinds() == ["stream", "plain", "plain", "plain"]
        assert one.web.requests[1].headers["content-encoding"] == "gzip"
        assert one.web.requests[1].headers["content-type"] == "application/x-protobuf"
        assert one.stats.counts == {"fallbacks": 3}
        warnings = [record for record in caplog.records if record.name == "tracezip.live"]
        assert len(warnings) == 1
        assert one.web.url in warnings[0].getMessage()


def test_a_server_is_asked_again_after_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tracezip.live")
    with linked() as one:
        one.web.answer = always(Reply(404), one.backend)
        one.deliver(BATCHES[0])
        one.clock.now += 599
        one.deliver(BATCHES[1])
        one.clock.now += 1
        one.deliver(BATCHES[2])
        assert one.kinds() == ["stream", "plain", "plain", "stream", "plain"]
        one.clock.now += 600
        one.forget()
        one.deliver(BATCHES[3])
        one.deliver(BATCHES[4])
        assert one.kinds()[5:] == ["stream", "stream"]
        assert one.backend.got == BATCHES[:5]
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_batch_that_the_backend_refuses_is_lost_and_the_stream_goes_on() -> None:
    with linked(Delivered(), Refused("bad spans")) as one:
        one.deliver(BATCHES[0])
        with pytest.raises(Refused, match="bad spans"):
            one.deliver(BATCHES[1])
        one.deliver(BATCHES[2])
        assert one.backend.got == [BATCHES[0], BATCHES[2]]
        assert len(set(one.web.paths())) == 1


def test_a_busy_backend_gets_the_same_request_again_later() -> None:
    with linked(TryLater(12, "full")) as one:
        with pytest.raises(TryLater, match="full") as caught:
            one.deliver(BATCHES[0])
        assert caught.value.seconds == 12
        one.deliver(BATCHES[0])
        assert one.web.requests[0].body == one.web.requests[1].body
        assert len(set(one.web.paths())) == 1
        assert one.backend.got == [BATCHES[0]]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_proxy_does_not_end_the_stream(status: int) -> None:
    with linked() as one:
        good, one.web.answer = one.web.answer, lambda request: Reply(status)
        with pytest.raises(TryLater):
            one.deliver(BATCHES[0])
        one.web.answer = good
        one.deliver(BATCHES[0])
        assert one.kinds() == ["stream", "stream"]


def test_after_a_batch_was_given_up_the_next_one_begins_a_new_stream() -> None:
    with linked(TryLater(1, "full")) as one:
        with pytest.raises(TryLater):
            one.deliver(BATCHES[0])
        one.deliver(BATCHES[1])
        assert one.backend.got == [BATCHES[1]]
        assert len(set(one.web.paths())) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_is_told_and_nothing_is_given_up(status: int) -> None:
    with linked() as one:
        one.web.answer = lambda request: json_reply(status, {"error": "who are you"}, **KNOWS)
        with pytest.raises(SetupError, match=r"who are you.*check the token"):
            one.deliver(BATCHES[0])
        assert one.kinds() == ["stream"]


@pytest.mark.parametrize("headers", [{}, KNOWS])
def test_a_batch_that_is_too_large_for_a_stream_goes_as_plain_otlp(headers: dict[str, str]) -> None:
    with linked() as one:
        one.web.answer = always(Reply(413, headers), one.backend)
        one.deliver(BATCHES[0])
        assert one.kinds() == ["stream", "plain"]
        one.forget()
        one.deliver(BATCHES[1])
        assert one.kinds()[2:] == ["stream"]


@pytest.mark.parametrize("limit", ["MAX_BODY_BYTES", "MAX_DECODED_BYTES"])
def test_a_batch_over_a_limit_is_not_even_tried(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, limit, 100)
    with linked() as one:
        one.deliver(BATCHES[0])
        assert one.kinds() == ["plain"]


def test_a_batch_that_cannot_be_compressed_goes_as_plain_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    with linked() as one:
        one.deliver(BATCHES[0])
        with monkeypatch.context() as patch:
            patch.setattr("tracezip.limits.MAX_MESSAGE_BYTES", 10)
            one.deliver(BATCHES[1])
        one.deliver(BATCHES[2])
        assert one.kinds() == ["stream", "plain", "stream"]
        assert one.backend.got == BATCHES[:3]


def test_who_wants_plain_otlp_gets_nothing_else() -> None:
    with linked(plain=True, otlp_compression="none") as one:
        one.deliver(BATCHES[0])
        assert one.kinds() == ["plain"]
        assert one.web.requests[0].body == BATCHES[0]
        assert "content-encoding" not in one.web.requests[0].headers
        assert not one.stats.counts


def test_plain_otlp_may_go_to_another_place() -> None:
    with linked() as one:
        link = Link(one.web.url, HttpClient(), LinkOptions(plain=True, traces_url=one.web.url + "/custom"))
        link.deliver(BATCHES[0], 30)
        assert one.web.paths() == ["/custom"]


def test_a_server_that_is_away_is_unreachable_and_gets_the_batch_when_it_is_back() -> None:
    with linked() as one:
        one.deliver(BATCHES[0])
        with serving(lambda request: Reply(200)) as gone:
            pass
        one.link._base, base = gone.url, one.link._base
        with pytest.raises(Unreachable, match=r"no answer from http://127\.0\.0\.1:"):
            one.deliver(BATCHES[1])
        one.link._base = base
        one.deliver(BATCHES[1])
        assert one.backend.got == BATCHES[:2]
        assert len(set(one.web.paths())) == 1


def test_no_time_left_is_no_reason_to_wait() -> None:
    with linked() as one, pytest.raises(TryLater):
        one.link.deliver(BATCHES[0], 0)


@pytest.mark.parametrize(
    "url", ["", "localhost:4318", "ftp://host", "http://", "http://host:port", "http://host:99999"]
)
def test_an_endpoint_that_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(InputError, match="is no URL to send to"):
        Link(url, HttpClient())
