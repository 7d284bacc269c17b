"""The relay, end to end: what programs send arrives at the backend and in archives, span for span."""

from __future__ import annotations

import gzip
import logging
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from archives import MESSAGES, message, read
from relays import ANY_PORT, JSON, PROTOBUF, agent, backend, gateway, metrics, post, request, spans_of

import tracezip
from benchmarks.data import SAMPLES, read_file
from tracezip.convert.otlp_json import to_json
from tracezip.live.archives import RotatingArchives
from tracezip.live.errors import TryLater
from tracezip.live.http import HttpClient
from tracezip.live.link import Link
from tracezip.live.stats import Stats
from tracezip.relay.gateway import Archive, Gateway

grpc = pytest.importorskip("grpc")

WAYS: dict[str, tuple[str, str, Callable[[bytes], bytes]]] = {
    "protobuf": (PROTOBUF, "identity", lambda data: data),
    "protobuf, gzip": (PROTOBUF, "gzip", gzip.compress),
    "protobuf, gzip in two members": (PROTOBUF, "gzip", lambda d: gzip.compress(d[:99]) + gzip.compress(d[99:])),
    "protobuf, zstd": (PROTOBUF, "zstd", lambda data: zstandard.ZstdCompressor().compress(data)),
    "protobuf, deflate": (PROTOBUF, "deflate", zlib.compress),
    "JSON": (JSON, "identity", lambda data: to_json(data).encode()),
    "JSON, gzip": (JSON, "gzip", lambda data: gzip.compress(to_json(data).encode())),
    "JSON, zstd": (JSON, "zstd", lambda data: zstandard.ZstdCompressor().compress(to_json(data).encode())),
}
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def read_archive(path: Path) -> list[bytes]:
    """The messages of an archive that was ended."""
    found = read(path.read_bytes())
    assert found.error is None
    return found.messages


# --- what goes in comes out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_in_over_http_arrives_span_for_span(way: str) -> None:
    media_type, encoding, encode = WAYS[way]
    messages = read_file(SAMPLES / "astronomy.otlp").messages[:4]
    with backend() as end, gateway(end.url) as middle, agent(middle.url) as begin:
        for each in messages:
            answer = post(begin.url, encode(each), media_type, Content_Encoding=encoding)
            assert (answer.status, answer.headers["content-type"]) == (200, media_type)
            assert answer.body == (b"{}" if media_type == JSON else b"")
        assert spans_of(*end.messages) == spans_of(*messages)
        if media_type == PROTOBUF:
            assert end.messages == messages
        assert metrics(middle.url)["tracezip_streams"] == 1


@pytest.mark.parametrize("compression", ["NoCompression", "Gzip", "Deflate"])
def test_what_comes_in_over_grpc_arrives_byte_for_byte(compression: str) -> None:
    messages = read_file(SAMPLES / "astronomy.otlp").messages[:4]
    with (
        backend() as end,
        gateway(end.url) as middle,
        agent(middle.url, grpc=ANY_PORT) as begin,
        grpc.insecure_channel(begin.grpc) as channel,
    ):
        export = channel.unary_unary(EXPORT)
        for each in messages:
            assert export(each, compression=grpc.Compression[compression], timeout=20) == b""
        assert end.messages == messages


def test_messages_of_many_clients_at_a_time_all_arrive_once(tmp_path: Path) -> None:
    messages = [message(number) for number in range(40)]
    with backend() as end, gateway(end.url, tmp_path / "all.tzip") as middle, agent(middle.url) as begin:
        clients = [
            threading.Thread(target=lambda part: [post(begin.url, each) for each in part], args=(messages[at::8],))
            for at in range(8)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert sorted(end.messages) == sorted(messages)
    assert sorted(read_archive(tmp_path / "all.tzip")) == sorted(messages)


def test_a_plain_request_to_the_gateway_goes_the_same_way(tmp_path: Path) -> None:
    with backend() as end, gateway(end.url, tmp_path / "all.tzip") as middle:
        assert post(middle.url, MESSAGES[0]).status == 200
        assert end.messages == MESSAGES[:1]
    assert read_archive(tmp_path / "all.tzip") == MESSAGES[:1]


def test_an_agent_without_a_gateway_sends_plain_otlp() -> None:
    with backend() as end, agent(end.url) as begin:
        assert post(begin.url, MESSAGES[0]).status == 200
        assert end.messages == MESSAGES[:1]
        assert metrics(begin.url)["tracezip_fallbacks_total"] == 1


def test_an_exporter_before_an_agent_asks_it_for_streams_only_once() -> None:
    with backend() as end, agent(end.url) as begin:
        stats = Stats()
        link = Link(begin.url, HttpClient(), stats=stats)
        for each in MESSAGES[:3]:
            link.deliver(each, 10)
        assert "tracezip-version" not in request(f"{begin.url}/v1/tracezip/{bytes(16).hex()}", "POST").headers
        assert stats.snapshot()["restarts"] == 0
        assert end.wait_for(3)
        assert end.messages == MESSAGES[:3]


def test_archives_are_named_by_the_service_of_the_first_resource(tmp_path: Path) -> None:
    with gateway(archive=tmp_path / "{service}" / "a.tzip") as middle:
        post(middle.url, MESSAGES[0])
        assert read((tmp_path / "checkout" / "a.tzip").read_bytes()).messages == MESSAGES[:1]  # before it is ended


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_a_gateway_that_was_restarted_costs_nothing(tmp_path: Path) -> None:
    with backend() as end:
        with gateway(end.url) as middle:
            address = middle.address
            with agent(middle.url, tmp_path) as begin:
                assert [post(begin.url, each).status for each in MESSAGES[:3]] == [200] * 3
                middle.close()
                with gateway(end.url, http=address):
                    assert [post(begin.url, each).status for each in MESSAGES[3:]] == [200] * 3
                    assert metrics(begin.url)["tracezip_stream_restarts_total"] == 1
        assert end.messages == MESSAGES


def test_a_gateway_that_is_away_is_what_the_spool_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracezip.relay.agent.ACCEPT_SECONDS", 0.05)
    with backend() as end:
        with gateway(end.url) as middle:
            address = middle.address
        with agent(f"http://{address}", tmp_path, drain_timeout=0.1) as begin:
            assert [post(begin.url, each).status for each in MESSAGES] == [200] * len(MESSAGES)
            assert metrics(begin.url)["tracezip_spooled_messages_total"] == len(MESSAGES)
        with gateway(end.url, http=address), agent(f"http://{address}", tmp_path):
            assert end.wait_for(len(MESSAGES))
        assert end.messages == MESSAGES


def test_a_backend_that_is_overloaded_for_a_while_gets_everything_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tracezip.relay")
    with backend() as end, gateway(end.url, tmp_path / "all.tzip") as middle, agent(middle.url) as begin:
        end.answers.extend([200, 503])
        assert [post(begin.url, each).status for each in MESSAGES[:3]] == [200] * 3
        assert (end.messages, end.n_requests) == (MESSAGES[:3], 4)
        assert metrics(middle.url)["tracezip_send_failures_total"] == 1
    first, last = [record.message for record in caplog.records if record.name == "tracezip.relay"]
    assert "cannot be passed on now" in first
    assert last.startswith("messages are passed on again")
    assert read_archive(tmp_path / "all.tzip") == MESSAGES[:3]


def test_a_client_of_the_gateway_that_comes_again_is_not_doubled_in_the_archive(tmp_path: Path) -> None:
    with backend() as end, gateway(end.url, tmp_path / "all.tzip") as middle:
        end.answers.append(503)
        answer = post(middle.url, MESSAGES[0])
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert post(middle.url, MESSAGES[0]).status == 200
        assert end.messages == MESSAGES[:1]
    assert read_archive(tmp_path / "all.tzip") == MESSAGES[:1]


def test_what_the_backend_refuses_is_counted_and_what_comes_after_it_goes_on() -> None:
    with backend() as end, gateway(end.url) as middle, agent(middle.url) as begin:
        end.answers.append(400)
        refused = post(begin.url, MESSAGES[0], PROTOBUF)
        assert refused.status == 400
        assert b"answered 400" in refused.body
        assert post(begin.url, MESSAGES[1]).status == 200
        assert end.messages == MESSAGES[1:2]
        for url in (begin.url, middle.url):
            assert metrics(url)['tracezip_dropped_spans_total{reason="refused"}'] == 2


def test_an_agent_that_can_neither_send_nor_keep_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracezip.relay.agent.ACCEPT_SECONDS", 0.05)
    with backend() as end:
        url = end.url
    with agent(url) as begin:
        answer = post(begin.url, MESSAGES[0])
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")


def test_an_archive_that_cannot_be_written_is_told_to_the_client(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with backend() as end, gateway(end.url, tmp_path / "file" / "a.tzip") as middle:
        assert post(middle.url, MESSAGES[0]).status == 503
        assert not end.messages


def test_messages_that_are_written_at_a_time_fail_together(tmp_path: Path) -> None:
    class Failing(RotatingArchives):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    archive = Archive(Failing(tmp_path / "a.tzip"), Stats())
    with pytest.raises(tracezip.TracezipError, match="No space left"):
        archive.store(MESSAGES[0])
    archive.close()


def test_no_message_is_taken_if_an_error_comes_while_others_are_written(tmp_path: Path) -> None:
    first_writes, others_wait = threading.Event(), threading.Event()

    class Broken(RotatingArchives):
        def write(self, message: bytes, *args: object, **options: object) -> None:
            if message == MESSAGES[0]:
                first_writes.set()
                assert others_wait.wait(20)
            else:
                raise MemoryError

    archive, problems = Archive(Broken(tmp_path / "a.tzip"), Stats()), []

    def store(message: bytes) -> None:
        try:
            archive.store(message)
        except (MemoryError, tracezip.TracezipError) as error:
            problems.append(type(error))

    threads = [threading.Thread(target=store, args=(each,)) for each in MESSAGES[:3]]
    threads[0].start()
    assert first_writes.wait(20)
    for thread in threads[1:]:
        thread.start()
    while len(archive._waiting) < 2:
        pass
    others_wait.set()
    for thread in threads:
        thread.join()
    assert sorted(problem.__name__ for problem in problems) == ["MemoryError", "TryLater"]


def test_what_comes_behind_the_end_of_the_archives_begins_no_new_one(tmp_path: Path) -> None:
    archive = Archive(RotatingArchives(tmp_path / "a.tzip"), Stats())
    archive.close()
    with pytest.raises(TryLater, match="shutting down"):
        archive.store(MESSAGES[0])
    assert not list(tmp_path.iterdir())


def test_an_archive_that_cannot_be_ended_is_said_and_not_raised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(RotatingArchives):
        def close(self) -> None:
            raise OSError(28, "No space left on device")

    assert Gateway(None, Full(tmp_path / "a.tzip"), Stats()).close(1) is False
    assert "No space left" in caplog.text


# --- the end ----------------------------------------------------------------------------------------------------------


def test_draining_ends_what_was_begun_and_takes_nothing_new(tmp_path: Path) -> None:
    with backend() as end, gateway(end.url, tmp_path / "all.tzip") as middle:
        end.may_answer.clear()
        statuses: list[int] = []
        client = threading.Thread(target=lambda: statuses.append(post(middle.url, MESSAGES[0]).status))
        client.start()
        assert end.was_asked.wait(20)
        drained = middle.begin_drain()
        while (health := request(f"{middle.url}/healthz")).status == 200:
            pass
        assert (health.status, health.body) == (503, b"draining\n")
        late = post(middle.url, MESSAGES[1])
        assert (late.status, late.headers["retry-after"]) == (503, "1")
        end.may_answer.set()
        assert drained.result(20) is True
        client.join()
        assert statuses == [200]
    assert read_archive(tmp_path / "all.tzip") == MESSAGES[:1]


def test_draining_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracezip.relay.limits.CLOSE_SECONDS", 0.05)
    with backend() as end, gateway(end.url, drain_timeout=0.1) as middle:
        end.may_answer.clear()
        failures: list[OSError] = []
        client = threading.Thread(target=lambda: failures.extend(failure_of(middle.url)))
        client.start()
        assert end.was_asked.wait(20)
        middle.begin_drain().result(5)
        client.join()
        end.may_answer.set()
    assert len(failures) == 1


def failure_of(url: str) -> list[OSError]:
    try:
        post(url, MESSAGES[0])
    except OSError as error:
        return [error]
    return []
