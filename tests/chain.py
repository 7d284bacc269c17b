"""Relays as processes, as an operator runs them, and the chain of which they are the middle."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.otel_collector import Collector, Spans, collector, spans_in, stop, to_file, wait_for
from tests.relays import metrics


@dataclass
class Relay:
    """A running relay that takes requests at `http` and, if it is an agent, at `grpc`, both of them URLs."""

    process: subprocess.Popen[bytes]
    http: str
    grpc: str
    log: Path

    def drain(self) -> None:
        """Ends it, by which it passes on what it has; fails if anything was lost, or if it complained."""
        assert stop(self.process) == 0, self.log.read_text()
        said = re.sub(r"^tracezip relay: (listening on|SIGTERM: draining).*\n", "", self.log.read_text(), flags=re.M)
        assert not said, said


@contextmanager
def relay(folder: Path, kind: str, *options: str) -> Iterator[Relay]:
    """`tracezip relay agent` or `tracezip relay gateway` at ports of its own."""
    log = folder / f"{kind}.log"
    command = [sys.executable, "-m", "tracezip.cli.main", "relay", kind, "--listen", "127.0.0.1:0", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        text = wait_for(log, r"listening on .*\n", process)
        found = re.search(r"listening on (http://[^ ,]+)(?: and (grpc://[^ ,]+))?", text)
        assert found, text
        yield Relay(process, found[1], (found[2] or "").replace("grpc://", "http://"), log)
    finally:
        stop(process)


@dataclass
class Chain:
    """agent -> gateway -> Collector -> file"""

    agent: Relay
    gateway: Relay
    backend: Collector
    file: Path

    def end(self) -> Spans:
        """Ends all of it, from its beginning; gives the spans that the Collector wrote. All came as one stream."""
        self.agent.drain()
        at_gateway = metrics(self.gateway.http)
        self.gateway.drain()
        self.backend.stop()
        arrived = spans_in(self.file)
        assert at_gateway["tracezip_streams"] == 1
        assert at_gateway["tracezip_spans_total"] == arrived.total()
        return arrived


@contextmanager
def chain(folder: Path, max_bytes: int = 20_000) -> Iterator[Chain]:
    """With a backend that takes requests of `max_bytes` only, so that larger messages are cut on the way."""
    file = folder / "arrived.jsonl"
    with ExitStack() as parts:
        backend = parts.enter_context(collector(folder / "backend", to_file(file), max_request_body_size=max_bytes))
        gateway = parts.enter_context(relay(folder, "gateway", "--to", backend.http))
        spool = ["--spool", str(folder / "spool"), "--grpc-listen", "127.0.0.1:0"]
        agent = parts.enter_context(relay(folder, "agent", "--to", gateway.http, *spool))
        yield Chain(agent, gateway, backend, file)
