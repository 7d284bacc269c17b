"""Small HTTP servers on free ports, for what sends traces: a gateway, a receiver of plain OTLP, and one that hangs."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracezip.live.errors import Delivered, TryLater
from tracezip.live.protocol import PATH, parse_stream_id
from tracezip.live.receiving import Answer, Receiver


class TraceServer:
    """What came, and how the server shall behave."""

    def __init__(self, *, speaks_streams: bool, port: int) -> None:
        self.messages: list[bytes] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and headers of each."""
        self.is_busy = False
        """Everything is answered by 503."""
        self.threads: set[str] = set()
        self._arrived = threading.Condition()
        self._receiver = Receiver(self._deliver) if speaks_streams else None
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body go apart: else the latter waits for the former

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append((self.path, {name.title(): value for name, value in self.headers.items()}))
                answer = server._answer(self.path, self.headers.get("Content-Encoding"), body)
                text = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def names(self) -> list[str]:
        """Of all spans that came, in order."""
        return names_in(self.messages)

    def wait_for(self, n_messages: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.messages) >= n_messages, 20)

    def _answer(self, path: str, encoding: str | None, body: bytes) -> Answer:
        if path == "/v1/traces":
            try:
                self._deliver(gzip.decompress(body) if encoding == "gzip" else body)
            except TryLater:
                return Answer(503, {}, {})
            return Answer(200, {}, {"Content-Type": "application/json"})
        if path.startswith(PATH) and self._receiver is not None:
            return self._receiver.receive(parse_stream_id(path.removeprefix(PATH)), body)
        return Answer(404, {}, {})

    def _deliver(self, message: bytes) -> Delivered:
        if self.is_busy:
            raise TryLater(0.0, "busy")
        with self._arrived:
            self.messages.append(message)
            self._arrived.notify_all()
        return Delivered()


@contextmanager
def gateway(port: int = 0) -> Iterator[TraceServer]:
    """Speaks the stream protocol, and takes OTLP."""
    server = TraceServer(speaks_streams=True, port=port)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def otlp_receiver(port: int = 0) -> Iterator[TraceServer]:
    """Takes OTLP only."""
    server = TraceServer(speaks_streams=False, port=port)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def hanging_server() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def free_port() -> int:
    """Where nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def names_in(messages: list[bytes]) -> list[str]:
    return [
        span.name
        for message in messages
        for resource_spans in ExportTraceServiceRequest.FromString(message).resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
