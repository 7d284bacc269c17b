"""A real OpenTelemetry Collector at either end: what it writes into its file is what was sent, span for span."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracezip
from benchmarks.data import SAMPLES, read_file
from tests.chain import chain, relay
from tests.full_trace import full_trace
from tests.otel_collector import (
    Spans,
    collector,
    over_grpc,
    over_http,
    same,
    spans_in,
    spans_of,
    stop,
    to_file,
    wait_until,
)
from tests.relays import metrics
from tracezip.live.http import HttpClient
from tracezip.live.otlp_http import OtlpSender

pytestmark = pytest.mark.slow
MESSAGES = [*read_file(SAMPLES / "astronomy.otlp").messages, full_trace().SerializeToString()]


def post_all(url: str) -> Spans:
    """Posts what there is as OTLP; returns what must arrive."""
    sender = OtlpSender(f"{url}/v1/traces", HttpClient(), deadline=30)
    for message in MESSAGES:
        assert sender.send(message).rejected_spans == 0
    return spans_of(MESSAGES)


@pytest.mark.parametrize("settings", [{}, {"format": "proto"}, {"format": "proto", "compression": "zstd"}])
def test_its_files_are_read_span_for_span(tmp_path: Path, settings: dict[str, str]) -> None:
    written = tmp_path / "traces"
    with collector(tmp_path, to_file(written, **settings)) as receiver:
        sent = post_all(receiver.http)
        receiver.stop()
    assert same(spans_in(written), sent)


def test_behind_the_gateway_it_gets_what_came_as_a_stream(tmp_path: Path) -> None:
    with chain(tmp_path) as ends:
        sent = post_all(ends.agent.http)
        assert same(ends.end(), sent)


def test_behind_the_gateway_it_gets_what_came_as_otlp(tmp_path: Path) -> None:
    arrived, archive = tmp_path / "arrived.jsonl", tmp_path / "traces.tzip"
    with (
        collector(tmp_path, to_file(arrived)) as backend,
        relay(tmp_path, "gateway", "--to", backend.http, "--archive", str(archive)) as gateway,
    ):
        sent = post_all(gateway.http)
        gateway.drain()
        backend.stop()
    assert same(spans_in(arrived), sent)
    with tracezip.open(archive) as reader:
        assert list(reader) == MESSAGES


def test_what_came_while_it_was_away_arrives_when_it_is_back(tmp_path: Path) -> None:
    arrived = tmp_path / "arrived.jsonl"
    # How this one ends is not asked: a signal in the moment after it says that it is ready just kills it.
    with collector(tmp_path / "before", to_file(tmp_path / "before.jsonl")) as backend:
        address = backend.http.removeprefix("http://")
    with relay(tmp_path, "gateway", "--to", f"http://{address}") as gateway:
        options = ["--to", gateway.http, "--no-grpc", "--spool", str(tmp_path / "spool")]
        with relay(tmp_path, "agent", *options) as agent:
            sent = post_all(agent.http)
            assert stop(agent.process) == 0
        with (
            collector(tmp_path / "after", to_file(arrived), endpoint=address) as backend,
            relay(tmp_path, "agent", *options) as agent,
        ):
            wait_until(lambda: metrics(gateway.http)["tracezip_spans_total"] == sent.total())
            for each in (agent, gateway):
                assert stop(each.process) == 0
            backend.stop()
    assert same(spans_in(arrived), sent)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd", "deflate"])
def test_before_the_agent_it_sends_over_http(tmp_path: Path, compression: str) -> None:
    with chain(tmp_path) as ends:
        sent = forwarded(tmp_path / "sender", over_http(ends.agent.http, compression))
        assert same(ends.end(), sent)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_before_the_agent_it_sends_over_grpc(tmp_path: Path, compression: str) -> None:
    with chain(tmp_path) as ends:
        sent = forwarded(tmp_path / "sender", over_grpc(ends.agent.grpc, compression))
        assert same(ends.end(), sent)


def test_before_the_agent_it_sends_json(tmp_path: Path) -> None:
    json = over_http("")["otlp_http"] | {"encoding": "json"}
    with chain(tmp_path) as ends:
        sent = forwarded(tmp_path / "sender", {"otlp_http": json | {"endpoint": ends.agent.http}})
        assert same(ends.end(), sent)


def forwarded(folder: Path, exporter: dict[str, Any]) -> Spans:
    """What was posted to a Collector that has nothing but this exporter, and so answers when that has."""
    with collector(folder, exporter) as sender:
        sent = post_all(sender.http)
        sender.stop()
    return sent
