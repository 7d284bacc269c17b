"""The live path when everything fails: what the SDK was told is safe arrives, whatever is lost, killed or full.

TRACEZIP_CHAOS_SECONDS says how long each run makes trouble; the few seconds that it is without are enough for every
kind of it to come many times.
"""

from __future__ import annotations

import gzip
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from chaos_proxy import TROUBLES, ChaosProxy, LocalServer, QuietHandler
from trace_servers import free_port

import tracezip
from tracezip.convert.spans import read_spans

TESTS = Path(__file__).parent
SECONDS = float(os.environ.get("TRACEZIP_CHAOS_SECONDS", "8"))
DRAIN_SECONDS = 90.0

pytestmark = pytest.mark.slow


class Backend(LocalServer):
    """Takes OTLP/HTTP and keeps the ids of the spans; refuses for a moment now and then."""

    def __init__(self, seed: int) -> None:
        self.spans: Counter[str] = Counter()
        self.random = random.Random(seed)
        self.refusals = 0.1
        super().__init__(_BackendHandler)


class _BackendHandler(QuietHandler):
    server: Backend

    def do_POST(self) -> None:  # noqa: N802  (the name that http.server looks for)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            status = 503 if self.server.random.random() < self.server.refusals else 200
            if status == 200:
                self.server.spans.update(ids_of(gunzipped(body, self.headers.get("Content-Encoding"))))
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()


def gunzipped(body: bytes, encoding: str | None) -> bytes:
    return gzip.decompress(body) if encoding == "gzip" else body


def ids_of(message: bytes) -> list[str]:
    return [span.span_id.hex() for span in read_spans(message)]


class Program:
    """A process that can be killed and started again."""

    def __init__(self, command: list[str], *, ready: Callable[[], bool] = lambda: True, **environment: str) -> None:
        self._command, self._ready = command, ready
        self._environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), **environment}
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._ready, 30, f"{self._command[3:5]} to be ready")

    def kill(self, number: int = signal.SIGKILL) -> int:
        self._process.send_signal(number)
        return self._process.wait(timeout=60)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()


def wait_for(holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def listens(port: int) -> bool:
    with closing(socket.socket()) as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def gateway(port: int, *options: str) -> Program:
    command = [sys.executable, "-m", "tracezip.cli.main", "relay", "gateway", "--listen", f"127.0.0.1:{port}"]
    return Program([*command, *options], ready=lambda: listens(port))


def client(endpoint: str, folder: Path) -> Program:
    spool, log = folder / "spool", folder / "acknowledged"
    log.touch()
    return Program([sys.executable, "-m", "tests.chaos_client", endpoint, str(spool), str(log)])


def acknowledged(folder: Path) -> set[str]:
    """Whole lines only: a killed client may have left half a one."""
    return {line for line in (folder / "acknowledged").read_text().splitlines() if len(line) == 16}


def make_trouble(seed: int, proxy: ChaosProxy, programs: dict[str, Program]) -> None:
    """For SECONDS, and until every trouble of the proxy has come, kills a program or takes the endpoint away."""
    chance, end = random.Random(seed), time.monotonic() + SECONDS
    while time.monotonic() < end or not set(TROUBLES) <= proxy.n_of.keys():
        time.sleep(chance.uniform(0.5, 2))
        what = chance.choice([*programs, "away"])
        if what == "away":
            proxy.is_away = True
            time.sleep(chance.uniform(0.2, SECONDS / 8))
            proxy.is_away = False
        else:
            programs[what].kill()
            time.sleep(chance.uniform(0, 0.5))
            programs[what].start()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("seed", [1, 2])
def test_every_span_that_the_sdk_was_told_is_safe_arrives(stack: ExitStack, tmp_path: Path, seed: int) -> None:
    backend = Backend(seed)
    stack.callback(backend.end)
    port = free_port()
    programs = {"gateway": stack.enter_context(gateway(port, "--to", backend.url))}
    proxy = ChaosProxy(port, seed=seed, trouble=0.2)
    stack.callback(proxy.end)
    programs["client"] = stack.enter_context(client(proxy.url, tmp_path))

    make_trouble(seed, proxy, programs)
    proxy.trouble = backend.refusals = 0.0
    programs["client"].kill()
    with client(proxy.url, tmp_path):  # a last one, which drains what the others have left
        expected = acknowledged(tmp_path)
        wait_for(lambda: not expected - backend.spans.keys(), DRAIN_SECONDS, "the spans that were acknowledged")
    assert len(expected) > 100


def test_every_span_that_the_sdk_was_told_is_safe_is_in_an_archive(stack: ExitStack, tmp_path: Path) -> None:
    port = free_port()
    pattern = str(tmp_path / "archives" / "{date}" / "{service}.tzip")
    programs = {"gateway": stack.enter_context(gateway(port, "--archive", pattern))}
    proxy = ChaosProxy(port, seed=3, trouble=0.2)
    stack.callback(proxy.end)
    programs["client"] = stack.enter_context(client(proxy.url, tmp_path))

    make_trouble(3, proxy, programs)
    proxy.trouble = 0.0
    programs["client"].kill()
    with client(proxy.url, tmp_path):
        expected = acknowledged(tmp_path)
        wait_for(lambda: expected <= spans_in(tmp_path / "archives"), DRAIN_SECONDS, "the spans")
    assert programs["gateway"].kill(signal.SIGTERM) == 0
    found = spans_in(tmp_path / "archives")
    assert len(expected) > 100
    assert expected <= found


def spans_in(folder: Path) -> set[str]:
    """Of all archives, also of those that a killed gateway has left, or that are still written."""
    found: set[str] = set()
    for path in folder.rglob("*.tzip"):
        reader = tracezip.open(path, skip_damage=True)
        found.update(span_id for message in reader for span_id in ids_of(message))
    return found
