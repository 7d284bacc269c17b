"""Plain OTLP over HTTP: what is sent, what each answer means, how long to wait, and what the client puts up with."""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from archives import field, message, span, varint
from http_answers import CERTIFICATE, KEY, Reply, Request, json_reply, serving
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

import tracezip
from tracezip.errors import InputError
from tracezip.live import limits
from tracezip.live.cutting import halves
from tracezip.live.errors import Delivered, Refused, SetupError, TryLater, Unreachable
from tracezip.live.http import HttpClient
from tracezip.live.otlp_http import OtlpSender
from tracezip.live.retry import Backoff, parse_retry_after

BATCH = message(1, n_spans=8)


def spans_of(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Each span with all that is said of it, by protobuf's own parser."""
    found = []
    for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
        for scope in resource.scope_spans:
            around = resource.resource.SerializeToString() + resource.schema_url.encode()
            scoped = scope.scope.SerializeToString() + scope.schema_url.encode()
            found += [(around, scoped, one.SerializeToString()) for one in scope.spans]
    return found


# --- what is sent, and what answers mean ------------------------------------------------------------------------------


def answer_to(reply: Reply) -> Delivered:
    with serving(lambda request: reply) as web:
        return OtlpSender(web.url + "/v1/traces", HttpClient()).send(BATCH, 30)


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_message_arrives_as_it_is(compression: str) -> None:
    with serving(lambda request: Reply(200)) as web:
        client = HttpClient(headers={"authorization": "Bearer x"}, user_agent="tester/1")
        sender = OtlpSender(web.url + "/v1/traces", client, compression=compression)  # type: ignore[arg-type]
        assert sender.send(BATCH, 30) == Delivered()
        request = web.requests[0]
        assert request.message == BATCH
        assert (request.body == BATCH) == (compression == "none")
        assert request.path == "/v1/traces"
        assert request.headers["authorization"] == "Bearer x"
        assert request.headers["user-agent"] == "tester/1"


PARTLY = ExportTraceServiceResponse(
    partial_success=ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
).SerializeToString()
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.mark.parametrize(
    ("reply", "delivered"),
    [
        (Reply(200), Delivered()),
        (Reply(202, PROTOBUF, b""), Delivered()),
        (Reply(200, PROTOBUF, PARTLY), Delivered(3, "too old")),
        (Reply(200, {}, PARTLY), Delivered(3, "too old")),
        (
            json_reply(200, {"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}),
            Delivered(3, "too old"),
        ),
        (json_reply(200, {"partialSuccess": {}}), Delivered()),
        (json_reply(200, ["no object"]), Delivered()),
        (json_reply(200, {"partialSuccess": 7}), Delivered()),
        (json_reply(200, {"partialSuccess": {"rejectedSpans": 1e999}}), Delivered()),
        (Reply(200, {"Content-Type": "application/json"}, b"[" * 5000), Delivered()),
        (Reply(200, PROTOBUF, b"\xff\xff\xff"), Delivered()),
        (Reply(200, PROTOBUF, field(1, b"\x08" + varint((1 << 64) - 1))), Delivered()),
    ],
)
def test_success_may_be_partial(reply: Reply, delivered: Delivered) -> None:
    assert answer_to(reply) == delivered


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_receiver_is_asked_again(status: int) -> None:
    with pytest.raises(TryLater, match=str(status)) as caught:
        answer_to(Reply(status, {"Retry-After": "17"}))
    assert caught.value.seconds == 17
    with pytest.raises(TryLater) as caught:
        answer_to(Reply(status))
    assert caught.value.seconds is None


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(400, PROTOBUF, field(2, "bad span")), "bad span"),
        (json_reply(400, {"code": 3, "message": "bad span"}), "bad span"),
        (Reply(500, {"Content-Type": "text/plain; charset=utf-8"}, b"  oh\nno "), r"500 \(oh no\)"),
        (Reply(408), "408"),
        (Reply(413), "413"),
        (Reply(501), "501"),
    ],
)
def test_every_other_answer_is_final(reply: Reply, text: str) -> None:
    one_span = message(1, n_spans=1)  # which cannot be made smaller
    with serving(lambda request: reply) as web, pytest.raises(Refused, match=text):
        OtlpSender(web.url, HttpClient()).send(one_span, 30)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(401), "check the token"),
        (Reply(403), "check the token"),
        (Reply(404, {"Content-Type": "text/html"}, b"<html>"), "answered 404; check the URL"),
        (Reply(405), "check the URL"),
        (Reply(301, {"Location": "https://elsewhere/"}), "https://elsewhere/: give the URL that is meant"),
    ],
)
def test_what_a_better_setting_would_mend_is_not_given_up(reply: Reply, text: str) -> None:
    with serving(lambda request: reply) as web, pytest.raises(SetupError, match=text):
        OtlpSender(web.url, HttpClient()).send(message(1), 30)


# --- messages that are too large --------------------------------------------------------------------------------------


HTTP_SAYS = Reply(413)
GO_SAYS = Reply(400, {"Content-Type": "application/x-protobuf"}, b"\x08\x03\x12\x1chttp: request body too large")
"""What a Collector answers, whose limit is 20 MiB unless it is told another."""


def receiver_of(
    max_bytes: int, got: list[bytes], refused: bytes = b"never", too_large: Reply = HTTP_SAYS
) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        if len(request.message) > max_bytes:
            return too_large
        if refused in request.message:
            return Reply(400)
        got.append(request.message)
        return Reply(200)

    return answer


TWO_RESOURCES = message(0, n_spans=5) + message(1, n_spans=3, name="other")


@pytest.mark.parametrize("batch", [BATCH, TWO_RESOURCES])
@pytest.mark.parametrize("own_limit", [200, 1 << 20])
@pytest.mark.parametrize("too_large", [HTTP_SAYS, GO_SAYS])
def test_a_message_that_is_too_large_is_sent_in_parts_that_say_the_same_of_each_span(
    batch: bytes, own_limit: int, too_large: Reply
) -> None:
    got: list[bytes] = []
    with serving(receiver_of(200, got, too_large=too_large)) as web:
        assert OtlpSender(web.url, HttpClient(), max_bytes=own_limit).send(batch, 30) == Delivered()
        assert [one for part in got for one in spans_of(part)] == spans_of(batch)
        assert len(got) > 2
        assert (len(web.requests) == len(got)) == (own_limit == 200)


def test_one_span_that_is_too_large_does_not_cost_the_others() -> None:
    got: list[bytes] = []
    scope = field(2, field(2, span(0)) + field(2, span(1, "x" * 500)) + field(2, span(2)))
    with serving(receiver_of(200, got)) as web:
        delivered = OtlpSender(web.url, HttpClient()).send(field(1, scope), 30)
        assert delivered.rejected_spans == 1
        assert "413" in delivered.message
        assert sum(len(spans_of(part)) for part in got) == 2


def test_parts_that_are_all_refused_are_a_refusal() -> None:
    with serving(receiver_of(200, [], b"GET")) as web, pytest.raises(Refused, match="400"):
        OtlpSender(web.url, HttpClient()).send(BATCH, 30)


def test_what_cannot_be_cut_is_not() -> None:
    assert halves(b"") is None
    assert halves(b"\x00\x01 no protobuf") is None
    assert halves(message(1, n_spans=1)) is None
    assert halves(BATCH + b"\x0a") is None


def test_what_stands_around_spans_is_in_both_halves() -> None:
    scope = field(1, field(1, "library")) + field(2, span(0)) + field(2, span(1)) + field(3, "scope schema")
    resource = field(1, field(1, field(1, "key"))) + field(2, scope) + field(3, "resource schema")
    first, second = halves(field(1, resource)) or (b"", b"")
    assert spans_of(first) + spans_of(second) == spans_of(field(1, resource))


# --- when to try again ------------------------------------------------------------------------------------------------


def test_waiting_grows_by_powers_of_two_to_half_a_minute() -> None:
    backoff = Backoff(draw=lambda: 0.5)
    assert [backoff.next() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next() == 1
    assert [Backoff(draw=lambda: 0.0).next(), Backoff(draw=lambda: 1.0).next()] == pytest.approx([0.8, 1.2])


def test_what_the_server_asks_for_counts() -> None:
    backoff = Backoff(draw=lambda: 0.5)
    assert backoff.next(retry_after=7.5) == 7.5
    assert backoff.next(retry_after=0) == limits.MIN_PAUSE_SECONDS
    assert backoff.next(retry_after=10**9) == limits.MAX_RETRY_AFTER_SECONDS
    assert backoff.next() == 8


NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("0", 0),
        (" 12 ", 12),
        ("9" * 400, 600),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0),
        ("Tue, 14 Nov 2023 22:14:50 -0000", 90),
        ("Tue, 99 Nov 2023 22:14:50 GMT", None),
        ("Tue, 14 Nov 99999999999 22:14:50 GMT", None),
        ("Tue, 14 Nov 2023 22:14:50 +99999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, now=NOW) == seconds


# --- the client -------------------------------------------------------------------------------------------------------


def test_redirects_are_not_followed() -> None:
    with serving(lambda request: Reply(307, {"Location": "/other"})) as web:
        assert HttpClient().post(web.url, b"").status == 307
        assert len(web.requests) == 1


def test_long_answers_are_cut() -> None:
    with serving(lambda request: Reply(200, {}, bytes(limits.MAX_ANSWER_BYTES + 1))) as web:
        client = HttpClient()
        for _ in range(2):
            assert len(client.post(web.url, b"").body) == limits.MAX_ANSWER_BYTES


def test_connections_are_kept() -> None:
    peers = set()
    with serving(lambda request: Reply(200, {}, b"read to its end")) as web:
        client = HttpClient()
        for _ in range(3):
            client.post(web.url, b"")
        pool = client._pools[None].connection_from_url(web.url)
        peers.add(pool.num_connections)
    assert peers == {1}


@contextmanager
def silent_server(says: bytes = b"") -> Iterator[str]:
    """Takes connections, says the beginning of an answer and then nothing more."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(says)
            done.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        thread.join()


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_server_that_does_not_answer_in_time_is_unreachable(says: bytes) -> None:
    with silent_server(says) as url, pytest.raises(Unreachable, match="imed out"):
        HttpClient().post(url, b"", timeout=0.1)


@contextmanager
def dripping_server(says: bytes) -> Iterator[str]:
    """Says the beginning of an answer, and then one letter after the other."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(ConnectionError):
            connection.sendall(says)
            for _ in range(750):
                if done.wait(0.02):
                    return
                connection.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        thread.join()


@pytest.mark.parametrize(
    "says",
    [b"HT", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"],
    ids=["status", "header", "body"],
)
def test_an_answer_that_drips_ends_in_time(says: bytes) -> None:
    with dripping_server(says) as url:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="imed out"):
            HttpClient().post(url, b"", timeout=0.3)
        assert time.monotonic() - began < 5


def test_what_is_no_http_is_unreachable() -> None:
    with silent_server(b"SSH-2.0-hello\r\n\r\n") as url, pytest.raises(Unreachable, match="no answer from"):
        HttpClient().post(url, b"", timeout=5)


def test_errors_do_not_tell_passwords() -> None:
    with serving(lambda request: Reply(200)) as web:
        port = web.url.rpartition(":")[2]
        HttpClient().post(f"http://me:secret@127.0.0.1:{port}/", b"")
        assert web.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0"
    with pytest.raises(Unreachable) as caught:
        HttpClient().post(f"http://me:secret@127.0.0.1:{port}/", b"")
    assert "secret" not in str(caught.value)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_proxy_of_the_environment_is_used(name: str, no_proxies: pytest.MonkeyPatch) -> None:
    with serving(lambda request: Reply(200)) as proxy:
        no_proxies.setenv(name, proxy.url.replace("://", "://me:secret@"))
        assert HttpClient().post("http://collector.invalid:4318/v1/traces", b"").status == 200
        assert proxy.paths() == ["http://collector.invalid:4318/v1/traces"]
        assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"


def test_no_proxy_names_hosts_without_one(no_proxies: pytest.MonkeyPatch) -> None:
    with serving(lambda request: Reply(200)) as web:
        no_proxies.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        no_proxies.setenv("NO_PROXY", "example.org,127.0.0.1")
        assert HttpClient().post(web.url, b"").status == 200


def _post_in_child(client: HttpClient, url: str, results: multiprocessing.SimpleQueue[object]) -> None:
    results.put(client.post(url, b"child").status)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # with threads; that is what is tested
def test_a_forked_child_makes_connections_of_its_own() -> None:
    fork = multiprocessing.get_context("fork")
    with serving(lambda request: Reply(200, {}, request.body)) as web:
        client = HttpClient()
        assert client.post(web.url, b"parent").body == b"parent"
        results = fork.SimpleQueue()
        child = fork.Process(target=_post_in_child, args=(client, web.url, results))
        child.start()
        assert client.post(web.url, b"parent").body == b"parent"
        child.join(30)
        assert child.exitcode == 0
        assert results.get() == 200
        results.close()


def server_tls(*, asks_clients: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    if asks_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(CERTIFICATE)
    return context


def quiet(*_: object) -> None:
    """In place of what http.server prints about a client that goes away."""


def test_a_server_is_trusted_only_with_the_certificate_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socketserver.BaseServer.handle_error", quiet)
    with serving(lambda request: Reply(200), server_tls()) as web:
        assert HttpClient(certificate=CERTIFICATE).post(web.url, b"").status == 200
        with pytest.raises(Unreachable, match="certificate verify failed"):
            HttpClient().post(web.url, b"")


def test_a_client_shows_its_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socketserver.BaseServer.handle_error", quiet)
    with serving(lambda request: Reply(200), server_tls(asks_clients=True)) as web:
        client = HttpClient(certificate=CERTIFICATE, client_certificate=CERTIFICATE, client_key=KEY)
        assert client.post(web.url, b"").status == 200
        with pytest.raises(Unreachable):
            HttpClient(certificate=CERTIFICATE).post(web.url, b"")


def test_certificates_that_cannot_be_used_are_told_at_once(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    missing = str(tmp_path / "missing.pem")
    for options, text in (
        ({"certificate": missing}, "there is no file .*missing.pem"),
        ({"certificate": str(garbage)}, "garbage.pem"),
        ({"client_certificate": str(garbage)}, "garbage.pem"),
        ({"client_key": str(garbage)}, "needs the client certificate"),
    ):
        with pytest.raises(InputError, match=text):
            HttpClient(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("a b", "?"), ("", "?"), ("a", "?\n?"), ("a", "?\u20ac"), ("a", "?\0")])
def test_a_header_that_cannot_be_sent_is_told_at_once_without_its_value(name: str, value: str) -> None:
    with pytest.raises(InputError, match="cannot be sent") as caught:
        HttpClient(headers={name: value})
    assert "?" not in str(caught.value)


def test_the_program_says_who_it_is_unless_it_is_told_otherwise() -> None:
    with serving(lambda request: Reply(200)) as web:
        HttpClient().post(web.url, b"")
        HttpClient(headers={"USER-AGENT": "me"}).post(web.url, b"")
        agents = [request.headers["user-agent"] for request in web.requests]
        assert agents == [f"tracezip/{tracezip.__version__}", "me"]
