"""The relay's servers: what they refuse, how they say so, and that no request takes more than its share."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import select
import socket
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import zstandard
from archives import MESSAGES, field, message
from otlp_maker import Maker
from relays import ANY_PORT, JSON, PROTOBUF, Running, agent, backend, gateway, metrics, post, request

from tracezip import InputError, walk
from tracezip.live import protocol
from tracezip.live.limits import MAX_BODY_BYTES, MAX_DECODED_BYTES
from tracezip.live.sending import SendingStream
from tracezip.live.stats import Stats
from tracezip.relay.answers import RejectionError
from tracezip.relay.bodies import count_spans, decompressed, service_of
from tracezip.relay.budget import Budget, Share
from tracezip.relay.gateway import Gateway
from tracezip.relay.http import read_body
from tracezip.relay.intake import Intake
from tracezip.relay.server import Address, parse_address

grpc = pytest.importorskip("grpc")

STREAM = protocol.PATH + "ab" * 16
BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "deflate": lambda data: zlib.compress(data, 1),
}


@pytest.fixture(scope="module")
def end() -> Iterator[Any]:
    with backend() as stub:
        yield stub


@pytest.fixture(scope="module")
def middle(end: Any) -> Iterator[Running]:
    with gateway(end.url) as relay:
        yield relay


@pytest.fixture(scope="module")
def begin(end: Any) -> Iterator[Running]:
    with agent(end.url, grpc=ANY_PORT) as relay:
        yield relay


def status_of(body: bytes) -> tuple[int, str]:
    """Code and message of a google.rpc.Status."""
    values = {tag: body[value:end] for tag, _, value, end in walk.fields(body, 0, len(body))}
    return values[0x08][0], values[0x12].decode()


# --- OTLP/HTTP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [b"garbage", b"\x00", b"\x0a", b"\x0a\x05\x12\x09abc", b"{}", bytes(range(256)), MESSAGES[0][:-1], b"\xff" * 40],
)
def test_a_body_that_is_no_otlp_is_refused_for_good(begin: Running, end: Any, garbage: bytes) -> None:
    n_before = len(end.messages)
    answer = post(begin.url, garbage)
    code, text = status_of(answer.body)
    assert (answer.status, answer.headers["content-type"], code) == (400, PROTOBUF, 3)
    assert "not an OTLP protobuf message" in text
    assert len(end.messages) == n_before


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b'{"resourceSpans": 1}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_of_otlp_is_refused_in_json(begin: Running, garbage: bytes) -> None:
    answer = post(begin.url, garbage, JSON)
    assert (answer.status, answer.headers["content-type"], answer.json["code"]) == (400, JSON, 3)
    assert answer.json["message"].startswith("not ")


@pytest.mark.parametrize(("body", "media_type", "said"), [(b"", PROTOBUF, b""), (b"{}", JSON, b"{}")])
def test_an_empty_request_succeeds(begin: Running, body: bytes, media_type: str, said: bytes) -> None:
    answer = post(begin.url, body, media_type)
    assert (answer.status, answer.body) == (200, said)


def test_a_media_type_may_have_parameters(begin: Running) -> None:
    assert post(begin.url, b"{}", f"{JSON}; charset=utf-8").status == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/grpc", "application/octet-stream"])
def test_other_media_types_are_refused(begin: Running, media_type: str) -> None:
    answer = post(begin.url, MESSAGES[0], media_type)
    assert answer.status == 415
    assert PROTOBUF in answer.json["message"]


def test_other_encodings_are_refused(begin: Running) -> None:
    answer = post(begin.url, MESSAGES[0], Content_Encoding="br")
    assert answer.status == 415
    assert "gzip" in status_of(answer.body)[1]


@pytest.mark.parametrize("encoding", BOMBS)
@pytest.mark.parametrize("damage", ["not at all", "cut", "changed"])
def test_a_body_that_is_not_in_its_encoding_is_refused(begin: Running, encoding: str, damage: str) -> None:
    body = bytearray(BOMBS[encoding](MESSAGES[0] * 50))
    damaged = {"not at all": MESSAGES[0], "cut": bytes(body[:-5]), "changed": bytes(body[:2] + b"\xff" + body[3:])}
    answer = post(begin.url, damaged[damage], Content_Encoding=encoding)
    assert answer.status == 400
    assert encoding in status_of(answer.body)[1]


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_body_that_grows_beyond_the_limit_is_too_large(begin: Running, encoding: str) -> None:
    bomb = BOMBS[encoding](bytes(MAX_DECODED_BYTES + 1))
    answer = post(begin.url, bomb, Content_Encoding=encoding)
    assert answer.status == 413
    assert "retry-after" not in answer.headers


def test_a_body_beyond_the_limit_is_not_read(begin: Running) -> None:
    parts = urlsplit(begin.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.putrequest("POST", "/v1/traces")
    connection.putheader("Content-Type", PROTOBUF)
    connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    answer.read()
    connection.close()


def test_a_body_in_chunks_is_read_up_to_the_limit(begin: Running) -> None:
    assert post_chunks(begin.url, [MESSAGES[0][:10], MESSAGES[0][10:]]) == 200
    assert post_chunks(begin.url, [bytes(1 << 20)] * (MAX_BODY_BYTES // (1 << 20) + 1)) == 413


def post_chunks(url: str, chunks: list[bytes]) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("POST", "/v1/traces", iter(chunks), {"Content-Type": PROTOBUF}, encode_chunked=True)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_a_body_that_does_not_come_is_not_waited_for(begin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracezip.relay.limits.BODY_SECONDS", 0.05)
    parts = urlsplit(begin.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.putrequest("POST", "/v1/traces")
    connection.putheader("Content-Type", PROTOBUF)
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 408
    answer.read()
    connection.close()


def test_a_head_that_drips_is_not_waited_for(end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracezip.relay.limits.CHORE_SECONDS", 0.02)
    monkeypatch.setattr("tracezip.relay.limits.HEAD_SECONDS", 0.2)
    with agent(end.url) as relay:
        kept = http.client.HTTPConnection(str(relay.address), timeout=20)
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() == b"ok\n"
        with socket.create_connection(relay.address, timeout=20) as slow, suppress(ConnectionError):
            slow.sendall(b"POST /v1/traces HTTP/1.1\r\nX-Slow: ")
            for _ in range(1000):
                slow.sendall(b"a")
                if select.select([slow], [], [], 0.02)[0]:
                    break
            assert slow.recv(1) == b""
        kept.request("GET", "/healthz")  # one that has had a request may wait longer
        assert kept.getresponse().read() == b"ok\n"
        kept.close()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/traces", 405), ("GET", "/", 404), ("POST", STREAM, 404)]
)
def test_what_is_not_there_is_not_found(begin: Running, method: str, path: str, status: int) -> None:
    answer = request(begin.url + path, method)
    assert (answer.status, answer.headers.get("allow")) == (status, "POST" if status == 405 else None)


def test_health_is_told(begin: Running) -> None:
    answer = request(f"{begin.url}/healthz")
    assert (answer.status, answer.body) == (200, b"ok\n")


def test_metrics_have_the_names_that_are_documented(begin: Running) -> None:
    names = {name.partition("{")[0] for name in metrics(begin.url)}
    documented = (Path(__file__).parent.parent / "docs" / "RELAY.md").read_text()
    for name in names:
        assert name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") in documented, name


# --- room -------------------------------------------------------------------------------------------------------------


def test_more_requests_than_there_is_room_for_come_again(end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracezip.relay.limits.MAX_REQUESTS", 0)
    with agent(end.url) as relay:
        answer = post(relay.url, MESSAGES[0], JSON)
        assert (answer.status, answer.headers["retry-after"], answer.json["code"]) == (429, "1", 8)


def test_a_budget_holds_what_it_is_given() -> None:
    budget = Budget(2, 100)
    with budget.share() as one:
        one.take(60)
        with budget.share() as other:
            with pytest.raises(RejectionError, match="memory") as caught:
                other.take(50)
            assert (caught.value.status, caught.value.seconds) == (429, 1.0)
            other.take(40)
            with pytest.raises(RejectionError, match="2 requests"):
                budget.share()
        one.take(40)
    assert (budget.n_requests, budget.n_bytes) == (0, 0)


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_body_is_decompressed_without_another_copy(encoding: str) -> None:
    data = bytes(32 << 20)
    body = BOMBS[encoding](data)
    with Budget(1, 1 << 30).share() as share:
        n_bytes = peak(lambda: decompressed(body, encoding, len(data), share))
    assert n_bytes < 1.6 * len(data)


def test_a_body_is_read_without_another_copy() -> None:
    class Content:
        async def iter_any(self) -> AsyncIterator[bytes]:
            for _ in range(256):
                yield bytes(1 << 16)

    async def read(share: Share) -> None:
        await read_body(SimpleNamespace(content_length=None, content=Content()), share)  # type: ignore[arg-type]

    with Budget(1, 1 << 30).share() as share:
        assert peak(lambda: asyncio.run(read(share))) < 1.5 * (16 << 20)


def peak(work: Callable[[], object]) -> int:
    """The bytes that it holds at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_memory_of_decoding_a_stream_is_that_of_its_request_too(end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SendingStream()
    body, url = stream.frame(MESSAGES[0]), protocol.PATH + stream.stream_id.hex()
    for n_bytes, status in ((4 * len(body) - 1, 429), (4 * len(body), 200)):
        monkeypatch.setattr("tracezip.relay.limits.MAX_HELD_BYTES", n_bytes)
        with gateway(end.url) as relay:
            answer = request(relay.url + url, "POST", body, Content_Type=protocol.CONTENT_TYPE)
            assert answer.status == status


# --- OTLP/gRPC --------------------------------------------------------------------------------------------------------


def export(address: str, body: bytes, **options: Any) -> Any:
    """The answer, or the error."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        try:
            return call(body, timeout=20, **options)
        except grpc.RpcError as error:
            return error


@pytest.mark.parametrize("compression", ["NoCompression", "Gzip"])
def test_garbage_over_grpc_is_an_invalid_argument(begin: Running, compression: str) -> None:
    error = export(begin.grpc, b"garbage" * 40, compression=grpc.Compression[compression])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not an OTLP protobuf message" in error.details()


def test_a_grpc_message_that_grows_beyond_the_limit_is_too_large(begin: Running) -> None:
    error = export(begin.grpc, bytes(MAX_DECODED_BYTES + 1), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "smaller batches" in error.details()
    assert b"RetryInfo" not in dict(error.trailing_metadata())["grpc-status-details-bin"]


def test_grpc_clients_are_told_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracezip.relay.agent.ACCEPT_SECONDS", 0.05)
    with backend() as end:
        url = end.url
    with agent(url, grpc=ANY_PORT) as relay:
        error = export(relay.grpc, MESSAGES[0])
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert b"RetryInfo\x12\x04\x0a\x02\x08\x05" in dict(error.trailing_metadata())["grpc-status-details-bin"]


def test_grpc_health_is_told(begin: Running) -> None:
    with grpc.insecure_channel(begin.grpc) as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=20) == b"\x08\x01"


# --- streams ----------------------------------------------------------------------------------------------------------


def post_stream(url: str, body: bytes, path: str = STREAM, media_type: str = protocol.CONTENT_TYPE) -> Any:
    return request(url + path, "POST", body, **{"Content-Type": media_type})


def test_every_answer_to_a_stream_says_that_it_is_known(middle: Running) -> None:
    answers = {
        400: post_stream(middle.url, b"garbage"),
        415: post_stream(middle.url, b"", media_type=PROTOBUF),
        409: post_stream(middle.url, protocol.pack(protocol.Envelope(3, bytes(8), b""))),
        413: post_stream(middle.url, bytes(MAX_BODY_BYTES + 1)),
    }
    for status, answer in answers.items():
        assert (answer.status, answer.headers["tracezip-version"]) == (status, "1")
        assert isinstance(answer.json, dict)
    assert post_stream(middle.url, b"", protocol.PATH + "xyz").status == 400


def test_a_stream_is_acknowledged(middle: Running, end: Any) -> None:
    stream = SendingStream()
    answer = post_stream(middle.url, stream.frame(MESSAGES[0]), stream.path)
    assert (answer.status, answer.json["acknowledged"]) == (200, 0)
    assert end.messages[-1] == MESSAGES[0]


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_without_the_token_nothing_but_health_is_told(tmp_path: Path) -> None:
    with gateway(archive=tmp_path / "a.tzip", token="secret") as relay:
        for given in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic secret"},
            {"Authorization": "\xff"},
        ):
            refused = request(f"{relay.url}/v1/traces", "POST", MESSAGES[0], Content_Type=PROTOBUF, **given)
            assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert request(f"{relay.url}/metrics", **given).status == 401
            assert request(f"{relay.url}{STREAM}", "POST", b"", **given).headers["tracezip-version"] == "1"
        assert request(f"{relay.url}/healthz").status == 200
        assert post(relay.url, MESSAGES[0], Authorization="bearer secret").status == 200


def test_the_token_goes_from_agent_to_gateway(tmp_path: Path) -> None:
    with (
        gateway(archive=tmp_path / "a.tzip", token="secret") as middle,
        agent(middle.url, headers={"Authorization": "Bearer secret"}) as begin,
    ):
        assert post(begin.url, MESSAGES[0]).status == 200


def test_grpc_asks_for_the_token_too(end: Any) -> None:
    with agent(end.url, grpc=ANY_PORT, token="secret") as relay:
        assert export(relay.grpc, MESSAGES[0]).code() is grpc.StatusCode.UNAUTHENTICATED
        assert export(relay.grpc, MESSAGES[0], metadata=[("authorization", "Bearer secret")]) == b""


# --- messages ---------------------------------------------------------------------------------------------------------


def test_spans_are_counted_in_whatever_protobuf_takes() -> None:
    maker = Maker(1)
    n_spans = 0
    for _ in range(200):
        data = maker.message()
        try:
            found = count_spans(data)
        except InputError:
            continue
        assert found == walk.count_spans(data, 0)
        n_spans += found
    assert n_spans


def test_a_message_of_many_spans_and_one_with_a_group_are_counted() -> None:
    many = message(0, 3000)
    assert count_spans(many) == 3000
    assert count_spans(many + b"\x7b\x7c") == 3000


def test_the_service_is_that_of_the_first_resource() -> None:
    assert service_of(MESSAGES[0]) == "checkout"
    for data in (b"", b"garbage", field(1, field(1, field(1, b"\xff")))):
        assert service_of(data) is None


def test_a_client_that_goes_away_gives_its_memory_back_with_the_end_of_the_work() -> None:
    begun, may_end = threading.Event(), threading.Event()

    async def go_away() -> tuple[bool, bool]:
        intake = Intake(Gateway(None, None, Stats()), None)

        def work() -> None:
            begun.set()
            assert may_end.wait(20)

        async def call() -> None:
            with intake.admit():
                await intake.in_thread(work)

        task = asyncio.create_task(call())
        assert await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        await asyncio.sleep(0.05)
        was_done = task.done()
        may_end.set()
        await asyncio.wait([task])
        intake.close()
        return was_done, task.cancelled()

    assert asyncio.run(go_away()) == (False, True)


# --- addresses --------------------------------------------------------------------------------------------------------


def test_addresses_are_host_and_port() -> None:
    assert parse_address("127.0.0.1:4318") == Address("127.0.0.1", 4318)
    assert parse_address("[::1]:4318") == Address("::1", 4318)
    assert str(Address("::1", 4318)) == "[::1]:4318"
    for text in ("", "4318", ":4318", "localhost", "localhost:", "localhost:x", "localhost:70000", "::1:4318"):
        with pytest.raises(InputError):
            parse_address(text)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [(host, True) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")]
    + [(host, False) for host in ("0.0.0.0", "::", "192.168.0.1", "example.org")],
)
def test_it_is_known_which_addresses_others_can_reach(host: str, is_loopback: bool) -> None:
    assert Address(host, 1).is_loopback is is_loopback
