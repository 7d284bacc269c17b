"""A real OpenTelemetry Collector at either end: what it writes into its file is what was sent, span for span."""

from __future__ import annotations

import gzip
import urllib.request
from pathlib import Path

import pytest

from benchmarks.data import SAMPLES, read_file
from tests.full_trace import full_trace
from tests.otel_collector import collector, same, spans_in, spans_of, to_file

MESSAGES = [*read_file(SAMPLES / "astronomy.otlp").messages, full_trace().SerializeToString()]


def post(url: str, message: bytes) -> None:
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    request = urllib.request.Request(f"{url}/v1/traces", gzip.compress(message, 1), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("settings", [{}, {"format": "proto"}, {"format": "proto", "compression": "zstd"}])
def test_the_files_of_the_collector_are_read_span_for_span(tmp_path: Path, settings: dict[str, str]) -> None:
    written = tmp_path / "traces"
    with collector(tmp_path, to_file(written, **settings)) as receiver:
        for message in MESSAGES:
            post(receiver.http, message)
        receiver.stop()
        assert same(spans_in(written), spans_of(MESSAGES))
