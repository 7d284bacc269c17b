"""A second server and a second client of the stream protocol, written from PROTOCOL.md and FORMAT.md alone.

An example for somebody who writes one in another language: nothing here but the standard library, XXH3, and the second
decoder, which was written from FORMAT.md alone. The client is given a way to compress, since the protocol leaves to it
which bytes it makes.
"""

from __future__ import annotations

import email.utils
import gzip
import hmac
import http.client
import json
import os
import random
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import xxhash
from independent_decoder import Archive, Bytes

STREAM_TYPE = "application/vnd.tracezip.stream"
OTLP_TYPE = "application/x-protobuf"
MAGIC, VERSION = b"TZS", 1
ENVELOPE = struct.Struct("<3sBQ8s")
MAX_BODY, MAX_MESSAGE, MAX_ANSWER, MAX_TEXT = 20_971_520, 67_108_864, 65_536, 1_024
MIN_PAUSE, MAX_RETRY_AFTER = 0.1, 600


def xxh3(data: bytes) -> bytes:
    return xxhash.xxh3_64_intdigest(data).to_bytes(8, "little")


# ------------------------------------------------------------------------------------------------------------- server


class NotNow(Exception):  # noqa: N818  # an answer and no error
    """The next receiver cannot take the message now."""


class Refused(Exception):  # noqa: N818  # likewise
    """The next receiver refuses the message for good."""


Deliver = Callable[[bytes], int]
"""Hands a message to the next receiver, and returns how many of its spans that refuses for good."""


@dataclass
class Answer:
    status: int
    body: dict[str, object]
    retry_after: int | None = None


class Stream:
    """What a server remembers of a stream."""

    def __init__(self, stream_id: bytes) -> None:
        self.decoder = Archive(b"", None)
        self.due = 0
        self.digest = xxh3(stream_id)
        self.answers: OrderedDict[int, tuple[bytes, Answer]] = OrderedDict()  # with the digest after the piece
        self.pending: tuple[bytes, bytes] | None = None  # the digest after its piece, and the message
        self.turn = threading.Lock()
        self.requests = 0
        self.used = time.monotonic()

    def weight(self) -> int:
        """A measure of the memory that it takes: the bytes of the messages from which its state was learnt."""
        learnt = self.decoder.stream.group_bytes if self.decoder.stream else 0
        return learnt + (len(self.pending[1]) if self.pending else 0)

    def decode(self, piece: bytes) -> bytes:
        """The message of a piece; OverflowError if it is too large, ValueError for all else."""
        decoder = self.decoder
        decoder.source, decoder.messages = Bytes(piece, "truncated: a frame of the piece"), []
        while decoder.source.left():
            decoder.read_frame()
            if sum(map(len, decoder.messages)) > MAX_MESSAGE:
                raise OverflowError
        if not decoder.messages or (decoder.stream and decoder.stream.open is not None):
            raise ValueError("a piece is not one message")
        return b"".join(decoder.messages)


class Streams:
    """The steps of *What a server does*."""

    def __init__(
        self, deliver: Deliver, at_most: int = 256, weight: int = 1 << 26, idle: float = 600, answers: int = 16
    ) -> None:
        self.deliver, self.at_most, self.weight, self.idle, self.n_answers = deliver, at_most, weight, idle, answers
        self.known: OrderedDict[bytes, Stream] = OrderedDict()  # the one that was used longest ago first
        self.lock = threading.Lock()

    def answer(self, stream_id: bytes, body: bytes) -> Answer:
        if len(body) < 4 or body[:3] != MAGIC:
            return bad_envelope("no envelope")
        if body[3] != VERSION:
            return bad_envelope("the version of the envelope is not known here")
        if len(body) < ENVELOPE.size:
            return bad_envelope("the envelope is too short")
        _, _, sequence, digest = ENVELOPE.unpack_from(body)
        with self.lock:
            stream = self.enter(stream_id, sequence)
        if isinstance(stream, Answer):
            return stream
        try:
            with stream.turn:
                return self.settle(stream_id, stream, sequence, digest, body[ENVELOPE.size :])
        finally:
            with self.lock:
                stream.requests -= 1
                stream.used = time.monotonic()
                self.make_room()

    def enter(self, stream_id: bytes, sequence: int) -> Stream | Answer:
        """Step 2, and what a server may forget."""
        idle_since = time.monotonic() - self.idle
        for old_id, old in list(self.known.items()):
            if not old.requests and old.used < idle_since:
                del self.known[old_id]
        stream = self.known.get(stream_id)
        if stream is None:
            if sequence:
                return Answer(409, {"restart": "the stream is not known here"})
            if len(self.known) >= self.at_most:
                unused = next((old_id for old_id, old in self.known.items() if not old.requests), None)
                if unused is None:
                    return Answer(503, {"error": "all streams are in use"}, 1)
                del self.known[unused]
            stream = self.known[stream_id] = Stream(stream_id)
        if stream.requests == 4:
            return Answer(429, {"error": "too many requests of this stream"}, 1)
        stream.requests += 1
        self.known.move_to_end(stream_id)
        return stream

    def make_room(self) -> None:
        """Forgets streams, the one used longest ago first, until what is known of all together is not too much."""
        total = sum(stream.weight() for stream in self.known.values())
        for old_id, old in list(self.known.items()):
            if total > self.weight and not old.requests:
                total -= old.weight()
                del self.known[old_id]

    def forget(self, stream_id: bytes, stream: Stream) -> None:
        with self.lock:
            if self.known.get(stream_id) is stream:
                del self.known[stream_id]

    def settle(self, stream_id: bytes, stream: Stream, sequence: int, digest: bytes, piece: bytes) -> Answer:
        """Steps 3 to 8."""
        after = xxh3(digest + piece)
        if self.known.get(stream_id) is not stream:
            return Answer(409, {"restart": "the stream was forgotten while the request waited"})
        if sequence < stream.due:
            then, answer = stream.answers.get(sequence, (b"", Answer(0, {})))
            return answer if then == after else Answer(409, {"restart": "the piece was settled"})
        if sequence > stream.due:
            return Answer(409, {"restart": "a piece is missing"})
        if digest != stream.digest:
            return Answer(409, {"restart": "the digest is another one"})
        if stream.pending and stream.pending[0] != after:
            return Answer(409, {"restart": "another piece with this number is pending"})
        if not stream.pending:
            try:
                stream.pending = (after, stream.decode(piece))
            except OverflowError:
                self.forget(stream_id, stream)
                return Answer(413, {"error": f"the message is larger than {MAX_MESSAGE} bytes"})
            except ValueError as error:
                self.forget(stream_id, stream)
                if str(error).startswith("unsupported"):
                    return bad_envelope(str(error))
                return Answer(409, {"restart": str(error)[:MAX_TEXT]})
        return self.hand_over(stream, sequence, after, stream.pending[1])

    def hand_over(self, stream: Stream, sequence: int, after: bytes, message: bytes) -> Answer:
        """Step 8."""
        answer = Answer(200, {"acknowledged": sequence, "digest": after.hex()})
        try:
            rejected = self.deliver(message)
            if rejected:
                answer.body |= {"rejected_spans": rejected, "message": "the next receiver said so"}
        except NotNow as error:
            return Answer(503, {"error": str(error)[:MAX_TEXT]}, 1)
        except Refused as error:
            answer = Answer(422, {"refused": str(error)[:MAX_TEXT]})
        stream.pending, stream.digest, stream.due = None, after, sequence + 1
        stream.answers[sequence] = (after, answer)
        if len(stream.answers) > self.n_answers:
            stream.answers.popitem(last=False)
        return answer


def bad_envelope(text: str) -> Answer:
    return Answer(400, {"error": text, "versions": [VERSION]})


class Gateway(ThreadingHTTPServer):
    """Listens at `url`. `lose` is how many of the next answers are lost on their way; `seen` what was answered."""

    daemon_threads = True

    def __init__(self, deliver: Deliver, port: int = 0, token: str = "") -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.deliver, self.token = deliver, token
        self.streams = Streams(deliver)
        self.lose = 0
        self.seen: list[tuple[str, int]] = []
        self.sockets: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        """End as a process does: connections with it."""
        self.shutdown()
        self.server_close()
        self.thread.join()
        for connection in list(self.sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Handler(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self) -> None:
        super().setup()
        self.server.sockets.add(self.connection)

    def finish(self) -> None:
        self.server.sockets.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # the client is gone, or the server is

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        is_stream = re.fullmatch("/v1/tracezip/([0-9a-f]{32})", self.path)
        size = self.headers.get("Content-Length", "")[:20]
        if not self.may_send():
            self.reply(Answer(401, {"error": "this needs a token"}), unread=True)
        elif not size.isdecimal():
            self.reply(Answer(411, {"error": "this needs a Content-Length"}), unread=True)
        elif int(size) > MAX_BODY:
            self.reply(Answer(413, {"error": f"the body is larger than {MAX_BODY} bytes"}), unread=True)
        elif is_stream:
            body = self.rfile.read(int(size))
            if len(body) == int(size):  # else nobody waits for an answer
                self.reply(self.server.streams.answer(bytes.fromhex(is_stream[1]), body))
        elif self.path == "/v1/traces":
            self.plain(self.rfile.read(int(size)))
        else:
            self.reply(Answer(404, {"error": "nothing is here"}), unread=True)

    def may_send(self) -> bool:
        if not self.server.token:
            return True
        given = self.headers.get("Authorization", "").encode("latin-1")
        return hmac.compare_digest(given, b"Bearer " + self.server.token.encode())

    def reply(self, answer: Answer, unread: bool = False) -> None:
        self.send(answer.status, "application/json", json.dumps(answer.body).encode(), answer.retry_after, unread)

    def plain(self, body: bytes) -> None:
        """OTLP/HTTP. Its answers are messages in which nothing must stand."""
        status, rejected, retry_after = 200, 0, None
        try:
            rejected = self.server.deliver(
                gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            )
        except NotNow:
            status, retry_after = 503, 1
        except Refused:
            status = 400
        partial = b"\x0a\x02\x08" + bytes([rejected]) if rejected else b""
        self.send(status, OTLP_TYPE, partial, retry_after, False)

    def send(self, status: int, kind: str, body: bytes, retry_after: int | None, unread: bool) -> None:
        self.server.seen.append((self.path, status))
        if self.server.lose:
            self.server.lose -= 1
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status, HTTPStatus(status).phrase)
        self.send_header("Tracezip-Version", str(VERSION))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        if unread:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


# ------------------------------------------------------------------------------------------------------------- client


@dataclass
class Reply:
    status: int  # 0: no answer
    versioned: bool = False
    body: bytes = b""
    retry_after: float | None = None


@dataclass
class Sender:
    """The client's side of a stream."""

    compress: Callable[[bytes], bytes]
    id: bytes = field(default_factory=lambda: os.urandom(16))
    sequence: int = 0
    digest: bytes = b""
    pid: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        self.digest = xxh3(self.id)


class Client:
    """Sends one message after the other to `base`. `compressor` begins a stream: it makes what compresses a message.

    `send` says what became of the message: *delivered*, *refused*, *plain* (delivered as plain OTLP) or *lost* (refused
    as that). `wait` is called with the seconds to the next attempt, and `notes` has what the user should hear.
    """

    def __init__(
        self,
        base: str,
        compressor: Callable[[], Callable[[bytes], bytes]],
        wait: Callable[[float], None] = time.sleep,
        token: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = urllib.parse.urlsplit(base.rstrip("/"))
        self.compressor, self.wait, self.clock = compressor, wait, clock
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.stream: Sender | None = None
        self.connection: http.client.HTTPConnection | None = None
        self.plain_until = float("-inf")
        self.notes: list[str] = []

    def send(self, message: bytes) -> str:
        if len(message) > MAX_MESSAGE or self.clock() < self.plain_until:
            return self.plain(message)
        for _ in range(3):
            if self.stream is None or self.stream.pid != os.getpid():
                self.stream = Sender(self.compressor())
            try:
                result = self.in_stream(self.stream, message)
            except BaseException:
                self.stream = None  # it is not known whether the server has consumed the piece
                raise
            if result in ("delivered", "refused"):
                return result
            self.stream = None
            if result == "plain":
                break
        return self.plain(message)

    def in_stream(self, stream: Sender, message: bytes) -> str:
        piece = stream.compress(message)
        body = ENVELOPE.pack(MAGIC, VERSION, stream.sequence, stream.digest) + piece
        if len(body) > MAX_BODY:
            return "plain"
        after = xxh3(stream.digest + piece)
        reply = self.persist(f"/v1/tracezip/{stream.id.hex()}", {"Content-Type": STREAM_TYPE}, body)
        if reply.status == 413:
            return "plain"
        if reply.status == 400 or not (reply.versioned or reply.status == 500):
            self.plain_until = self.clock() + 600
            return "plain"
        if reply.status == 422:
            self.notes.append("refused")
        elif reply.status != 200 or not self.expected(reply.body, stream.sequence, after):
            return "restart"
        stream.sequence, stream.digest = stream.sequence + 1, after
        return "delivered" if reply.status == 200 else "refused"

    def expected(self, body: bytes, sequence: int, digest: bytes) -> bool:
        try:
            said = json.loads(body)
        except ValueError:
            return False
        if not isinstance(said, dict) or (said.get("acknowledged"), said.get("digest")) != (sequence, digest.hex()):
            return False
        if said.get("rejected_spans"):
            self.notes.append(f"rejected {said['rejected_spans']} spans: {said.get('message', '')}")
        return True

    def plain(self, message: bytes) -> str:
        headers = {"Content-Type": OTLP_TYPE, "Content-Encoding": "gzip"}
        reply = self.persist("/v1/traces", headers, gzip.compress(message))
        if 200 <= reply.status < 300:
            if reply.body:
                self.notes.append("partial success")
            return "plain"
        self.notes.append(f"lost: {reply.status}")
        return "lost"

    def persist(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """The first answer after which the same body is not sent again."""
        backoff = 1.0
        while True:
            reply = self.post(path, headers | self.headers, body)
            if reply.status in (401, 403):
                self.notes.append(f"may not send: {reply.status}")
            elif reply.status not in (0, 429, 502, 503, 504):
                return reply
            if reply.retry_after is not None:
                self.wait(max(reply.retry_after, MIN_PAUSE))
            else:
                self.wait(backoff * random.uniform(0.75, 1.25))
                backoff = min(2 * backoff, 30)

    def post(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if self.connection is None:
            kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
            self.connection = kind(self.url.netloc, timeout=30)
        try:
            self.connection.request("POST", self.url.path + path, body, headers)
            with self.connection.getresponse() as response:
                versioned = "Tracezip-Version" in response.headers
                content = response.read(MAX_ANSWER)
                retry_after = seconds(response.headers.get("Retry-After", ""))
                if response.read(1):
                    self.close()
                return Reply(response.status, versioned, content, retry_after)
        except (OSError, http.client.HTTPException):
            self.close()
            return Reply(0)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def seconds(retry_after: str) -> float | None:
    """A Retry-After, if it is one."""
    if retry_after.isdecimal():
        return min(float(retry_after), MAX_RETRY_AFTER)
    try:
        at = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except ValueError:
        return None
    return min(max(at - time.time(), 0), MAX_RETRY_AFTER)
