"""A web server on a free port that answers as it is told, and keeps what it was asked."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tracezip.live.protocol import PATH, parse_stream_id
from tracezip.live.receiving import Receiver


class Request(NamedTuple):
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def message(self) -> bytes:
        """Of plain OTLP."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body


class Reply(NamedTuple):
    status: int
    headers: dict[str, str] = {}  # noqa: RUF012  # nobody changes it
    body: bytes = b""


class WebServer:
    """`answer` may be exchanged at any time."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.url = ""

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


CERTIFICATE, KEY = (str(Path(__file__).parent / "tls" / name) for name in ("certificate.pem", "key.pem"))
"""Of 127.0.0.1 and localhost, signed by itself, until 2120."""


@contextmanager
def serving(answer: Callable[[Request], Reply], tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    web = WebServer(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            web.requests.append(request)
            reply = web.answer(request)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    web.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def json_reply(status: int, body: Any, **headers: str) -> Reply:
    return Reply(status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode())


def gateway(
    receiver: Receiver, plain: Callable[[Request], Reply] = lambda request: Reply(200)
) -> Callable[[Request], Reply]:
    """Answers as a server does that knows the protocol."""

    def answer(request: Request) -> Reply:
        if not request.path.startswith(PATH):
            return plain(request)
        status, body, headers = receiver.receive(parse_stream_id(request.path.removeprefix(PATH)), request.body)
        return json_reply(status, body, **headers)

    return answer
