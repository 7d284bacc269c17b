"""A server that takes all spans and looks at none, in a process of its own, so that it is not measured.

It stands for an OTLP/HTTP receiver and for a tracezip gateway. ``python -m benchmarks.sink`` prints its port, and ends
with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.child import ROOT
from tracezip.live import protocol


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_stream = self.path.startswith(protocol.PATH)
        answer = acknowledgement(body) if is_stream else b""
        self.send_response(200)
        if is_stream:
            self.send_header(protocol.VERSION_HEADER, str(protocol.VERSION))
        self.send_header("Content-Type", "application/json" if is_stream else "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def acknowledgement(body: bytes) -> bytes:
    envelope = protocol.unpack(body)
    digest = protocol.next_digest(envelope.digest, envelope.frames)
    return json.dumps({"acknowledged": envelope.sequence, "digest": digest.hex()}).encode()


@contextmanager
def running() -> Iterator[str]:
    """The URL of a sink that runs meanwhile."""
    command = [sys.executable, "-m", "benchmarks.sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
