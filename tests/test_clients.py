"""Services with OpenTelemetry's SDKs, through agent and gateway or to the gateway: what they export is what arrives."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.chain import chain
from tests.otel_collector import Spans, same, spans_in
from tests.programs import built_or_skipped, skip_or_fail

CLIENTS = Path(__file__).parent / "clients"
RUN_SECONDS = 60
N_SPANS = 100
KINDS = ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


def command_of(client: str, protocol: str) -> list[str]:
    """How a client is started; skips the test where that cannot be, unless TRACEZIP_CLIENTS says that it must be."""
    if client == "go":
        return [str(built_or_skipped("clients/go", "clients"))]
    if client == "java":
        target = built_or_skipped("clients/java", "clients") / "target"
        return ["java", "-cp", f"{target}/classes:{target}/dependency/*", "Client"]
    if client == "node":
        return ["node", str(built_or_skipped("clients/node", "clients") / "client.js")]
    if protocol != "tracezip" and find_spec(f"opentelemetry.exporter.otlp.proto.{protocol}") is None:
        skip_or_fail("clients", f"opentelemetry-exporter-otlp-proto-{protocol} is not installed: pip install '.[test]'")
    return [sys.executable, str(CLIENTS / "python.py")]


def exported(client: str, protocol: str, endpoint: str, record: Path, compression: str) -> Spans:
    """Runs a client, configured as services are; returns what it says that it has exported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    environment |= {"OTEL_EXPORTER_OTLP_COMPRESSION": compression} if compression else {}
    command = [*command_of(client, protocol), protocol, str(record)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return spans_in(record)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "protocol", "compression"),
    [
        ("go", "http", "gzip"),
        ("go", "grpc", "gzip"),
        ("java", "http", ""),
        ("java", "grpc", "gzip"),
        ("node", "json", "gzip"),
        ("node", "http", ""),
        ("node", "grpc", "gzip"),
        ("python", "http", "gzip"),
        ("python", "grpc", ""),
        ("python", "tracezip", ""),
    ],
)
def test_what_an_sdk_exports_arrives_span_for_span(
    tmp_path: Path, client: str, protocol: str, compression: str
) -> None:
    command_of(client, protocol)
    with chain(tmp_path) as ends:
        endpoint = {"grpc": ends.agent.grpc, "tracezip": ends.gateway.http}.get(protocol, ends.agent.http)
        sent = exported(client, protocol, endpoint, tmp_path / "exported", compression)
        assert sent.total() == N_SPANS
        assert all(any(f"kind: SPAN_KIND_{kind}" in span for span in sent) for kind in KINDS)
        assert same(ends.end(), sent)
