"""An HTTP proxy that loses, repeats and reorders requests, at random but by a seed."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

TIMEOUT_SECONDS = 10
TROUBLES = ("request lost", "answer lost", "repeated", "late")


class LocalServer(ThreadingHTTPServer):
    """Serves in threads of its own until `end`."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that was killed in the middle of a request is no news here."""


class QuietHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: thousands of requests are no news either."""


class ChaosProxy(LocalServer):
    """Passes POSTs on to 127.0.0.1:`backend_port`; `trouble` is how often it does not simply do so, 0 to 1."""

    def __init__(self, backend_port: int, *, seed: int, trouble: float) -> None:
        self.backend_port = backend_port
        self.trouble = trouble
        self.is_away = False
        """While it is, every connection ends without an answer."""
        self.n_of: Counter[str] = Counter()
        """How often each trouble came."""
        self._random = random.Random(seed)
        self._kinds = cycle(TROUBLES)
        self._old: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(_Handler)

    def choose(self) -> str:
        with self.lock:
            kind = "passed on"
            if self.is_away:
                kind = "away"
            elif self._random.random() < self.trouble:
                kind = next(self._kinds)
            self.n_of[kind] += 1
            return kind

    def keep(self, request: tuple[str, dict[str, str], bytes]) -> None:
        with self.lock:
            self._old = [*self._old[-7:], request]

    def old(self) -> tuple[str, dict[str, str], bytes] | None:
        with self.lock:
            return self._random.choice(self._old) if self._old else None


class _Handler(QuietHandler):
    server: ChaosProxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = self.path, dict(self.headers), body
        kind = self.server.choose()
        if kind in ("away", "request lost"):
            self.close_connection = True
            return
        if kind == "late" and (old := self.server.old()):
            self._forward(old)
        answer = self._forward(request)
        if kind == "repeated":
            answer = self._forward(request) or answer
        self.server.keep(request)
        if answer is None or kind == "answer lost":
            self.close_connection = True
            return
        self._answer(*answer)

    def _forward(self, request: tuple[str, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes] | None:
        path, headers, body = request
        connection = http.client.HTTPConnection("127.0.0.1", self.server.backend_port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "date", "server", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)
