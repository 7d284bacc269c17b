"""What the tests of the relay share: relays in threads of their own, a backend for them, and clients."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tracezip.live.archives import RotatingArchives
from tracezip.live.http import HttpClient
from tracezip.live.link import Link
from tracezip.live.otlp_http import OtlpSender
from tracezip.live.retry import Backoff
from tracezip.live.spool import Spool
from tracezip.live.stats import Stats
from tracezip.relay.agent import Agent
from tracezip.relay.gateway import Gateway
from tracezip.relay.intake import Service
from tracezip.relay.server import Address, Server, ServerOptions

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ANY_PORT = Address("127.0.0.1", 0)


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Response:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request(method, parts.path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def post(url: str, body: bytes, media_type: str = PROTOBUF, **headers: str) -> Response:
    return request(f"{url}/v1/traces", "POST", body, **{"Content-Type": media_type, **headers})


def spans_of(*messages: bytes) -> list[bytes]:
    """Each span with its resource and scope, as bytes that can be compared."""
    found = []
    for message in messages:
        for resource_spans in TracesData.FromString(message).resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    parts = (resource_spans.resource, scope_spans.scope, span)
                    found.append(b"|".join(part.SerializeToString(deterministic=True) for part in parts))
    return sorted(found)


def metrics(url: str) -> dict[str, float]:
    lines = request(f"{url}/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


# --- the backend ------------------------------------------------------------------------------------------------------


class Backend:
    """Takes OTLP/HTTP. `answers` are the statuses of the next requests; then all are taken."""

    def __init__(self) -> None:
        self.answers: deque[int] = deque()
        self.messages: list[bytes] = []
        self.n_requests = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.was_asked = threading.Event()
        self.url = ""
        self._came = threading.Condition()

    def wait_for(self, n_messages: int) -> bool:
        """Whether so many messages came in time."""
        with self._came:
            return self._came.wait_for(lambda: len(self.messages) >= n_messages, 20)

    def take(self, body: bytes) -> int:
        self.n_requests += 1
        self.was_asked.set()
        assert self.may_answer.wait(20)
        status = self.answers.popleft() if self.answers else 200
        if status == 200:
            with self._came:
                self.messages.append(body)
                self._came.notify_all()
        return status


@contextmanager
def backend() -> Iterator[Backend]:
    stub = Backend()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_gzip = self.headers.get("Content-Encoding") == "gzip"
            status = stub.take(gzip.decompress(body) if is_gzip else body) if self.path == "/v1/traces" else 404
            self.send_response(status)
            if status in (429, 503):
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- relays -----------------------------------------------------------------------------------------------------------


class Running:
    """A relay that serves in a thread."""

    def __init__(self, service: Service, options: ServerOptions) -> None:
        self.service = service
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._is_drained = False
        try:
            self._server = self._run(self._started(service, options))
        except BaseException:
            service.close(0)
            self._end_loop()
            raise
        self.address = self._server.http
        self.url = f"{self._server.scheme}://{self.address}"
        self.grpc = str(self._server.grpc)

    def begin_drain(self) -> Any:
        """A future of whether nothing was lost."""
        self._is_drained = True
        return asyncio.run_coroutine_threadsafe(self._server.drain(), self._loop)

    def close(self) -> None:
        if not self._is_drained:
            self.begin_drain().result(30)
        if self._thread.is_alive():
            self._end_loop()

    @staticmethod
    async def _started(service: Service, options: ServerOptions) -> Server:
        server = Server(service, options)
        await server.start()
        return server

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def running(service: Service, **options: Any) -> Iterator[Running]:
    relay = Running(service, ServerOptions(**{"http": ANY_PORT, "drain_timeout": 5.0, **options}))
    try:
        yield relay
    finally:
        relay.close()


@contextmanager
def agent(to: str, spool: Path | None = None, **options: Any) -> Iterator[Running]:
    stats = Stats()
    link = Link(to, HttpClient(headers=options.pop("headers", None)), stats=stats)
    kept = None if spool is None else Spool(spool, stats=stats)
    service = Agent(link, kept, stats, backoff=Backoff(lambda: -4.0))  # which makes the pauses 0
    with running(service, **options) as relay:
        yield relay


@contextmanager
def gateway(to: str | None = None, archive: Path | None = None, **options: Any) -> Iterator[Running]:
    sender = None if to is None else OtlpSender(f"{to}/v1/traces", HttpClient())
    archives = None if archive is None else RotatingArchives(archive)
    with running(Gateway(sender, archives, Stats()), takes_streams=True, **options) as relay:
        yield relay
