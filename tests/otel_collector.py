"""A real OpenTelemetry Collector as a process, and spans as the protobuf runtime reads them, to compare what it got."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.programs import built_or_skipped
from tracezip.files import read_messages

START_SECONDS = STOP_SECONDS = 30

_READY = '"msg":"Everything is ready'


class LineTimeoutError(AssertionError):
    """A process did not say in time what was waited for."""


def wait_for(path: Path, pattern: str, process: subprocess.Popen[bytes], seconds: float = START_SECONDS) -> str:
    """The text of a growing log once the pattern is in it."""
    deadline = time.monotonic() + seconds
    while not re.search(pattern, text := path.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise LineTimeoutError(f"no {pattern!r} in:\n{path.read_text()}")
        time.sleep(0.01)
    return text


def wait_until(holds: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> int:
    """Asks a process to end as an operator would, and waits for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(seconds)
    finally:
        process.kill()


@dataclass
class Collector:
    """A running Collector that takes OTLP at `http` and `grpc`, both of them URLs."""

    process: subprocess.Popen[bytes]
    http: str
    grpc: str
    log: Path

    def stop(self) -> None:
        """Ends it, by which it writes out what it has."""
        assert stop(self.process) == 0, self.log.read_text()


@contextmanager
def collector(folder: Path, exporters: dict[str, Any], **receiver: Any) -> Iterator[Collector]:
    """One whose traces go to these exporters. `receiver`: settings of its OTLP receiver over HTTP."""
    program = built_or_skipped("collector", "collector")
    folder.mkdir(parents=True, exist_ok=True)
    config, log = folder / "collector.json", folder / "collector.log"
    anywhere = {"endpoint": "127.0.0.1:0"}
    settings = {
        "receivers": {"otlp": {"protocols": {"grpc": anywhere, "http": anywhere | receiver}}},
        "exporters": exporters,
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"encoding": "json"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": list(exporters)}},
        },
    }
    config.write_text(json.dumps(settings))
    with log.open("wb") as output:
        process = subprocess.Popen([program, "--config", config], stdout=output, stderr=output)
    try:
        text = wait_for(log, _READY, process)
        yield Collector(process, _endpoint(text, "HTTP"), _endpoint(text, "GRPC"), log)
    finally:
        stop(process)


def _endpoint(log: str, which: str) -> str:
    found = re.search(rf'"Starting {which} server".*"endpoint":"([^"]+)"', log)
    assert found, log
    return f"http://{found[1]}"


def to_file(path: Path, **settings: Any) -> dict[str, Any]:
    """The exporter that writes what arrives into a file."""
    return {"file": {"path": str(path), **settings}}


def over_http(url: str, compression: str = "gzip") -> dict[str, Any]:
    """The exporter that passes everything on over HTTP, without a queue that could hide a failure."""
    sending = {"sending_queue": {"enabled": False}, "compression": compression}
    return {"otlp_http": {"endpoint": url, **sending}}


def over_grpc(url: str, compression: str = "gzip") -> dict[str, Any]:
    """The same over gRPC."""
    sending = {"sending_queue": {"enabled": False}, "compression": compression}
    return {"otlp_grpc": {"endpoint": url.removeprefix("http://"), "tls": {"insecure": True}, **sending}}


# --- spans, to compare ------------------------------------------------------------------------------------------------

Spans = Counter[str]
"""Each span in full, with its resource and its scope, and how often it is there."""


def spans_of(messages: Iterable[bytes]) -> Spans:
    """Every span of OTLP messages. What the protobuf runtime reads is compared, not how it was written."""
    return Counter(span for message in messages for span in _each(message))


def _each(message: bytes) -> Iterator[str]:
    request = ExportTraceServiceRequest.FromString(message)
    for resource_spans in request.resource_spans:
        resource = f"{_text(resource_spans.resource)} {resource_spans.schema_url!r}"
        for scope_spans in resource_spans.scope_spans:
            scope = f"{_text(scope_spans.scope)} {scope_spans.schema_url!r}"
            for span in scope_spans.spans:
                if span.status == Status():
                    span.ClearField("status")  # the Collector writes an empty one where there is none
                yield f"span {_text(span)} scope {scope} resource {resource}"


def _text(message: Message) -> str:
    return text_format.MessageToString(message, as_one_line=True)


def spans_in(path: Path) -> Spans:
    """The spans of a file as the Collector, or anything else that writes OTLP, has written it."""
    with path.open("rb") as file:
        _, messages = read_messages(file)
        return spans_of(messages)


def same(arrived: Spans, sent: Spans) -> bool:
    """Fails with the first spans in which the two differ, and not with thousands of lines."""
    missing, foreign = sent - arrived, arrived - sent
    if not missing and not foreign:
        return True
    texts = [f"missing: {one}" for one in [*missing][:2]] + [f"foreign: {one}" for one in [*foreign][:2]]
    counts = f"{missing.total()} of {sent.total()} missing, {foreign.total()} foreign"
    raise AssertionError("\n".join([counts, *texts]))
