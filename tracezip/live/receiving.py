"""The server's side of all streams, without any network."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from tracezip.codec import Decompressor
from tracezip.errors import FormatError, LimitError, TracezipError, UnsupportedError
from tracezip.live import limits, protocol
from tracezip.live.errors import Delivered, Refused, TryLater
from tracezip.live.protocol import Envelope
from tracezip.stream.decoder import OUTPUT_LIMIT

_OVERHEAD_BYTES = 32 << 10
"""Of a stream: objects, answers that are remembered, and what malloc keeps."""


class Answer(NamedTuple):
    """To an HTTP request: the body is to be sent as JSON."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


class Receiver:
    """Decodes the requests of many streams and has what they hold delivered. Any thread may call it at any time.

    deliver: takes one OTLP message for good, or raises TryLater or Refused. It is called by several threads at a time,
    for one stream only by one. Streams that were not used for `idle_seconds` are forgotten, and those that were not
    used for longest when there are more than `max_streams` or when they hold more than `max_memory` bytes; one that
    holds a large part of that alone is forgotten first.
    """

    def __init__(
        self,
        deliver: Callable[[bytes], Delivered],
        *,
        max_streams: int = limits.MAX_STREAMS,
        max_memory: int = limits.MAX_STREAM_MEMORY_BYTES,
        idle_seconds: float = limits.IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deliver = deliver
        self._max_streams = max_streams
        self._max_memory = max_memory
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._lock = threading.Lock()  # of the two below, and of what _Stream says
        self._streams: OrderedDict[bytes, _Stream] = OrderedDict()  # the one used last stands last
        self._n_bytes = 0
        self._decoding = threading.Semaphore(limits.N_DECODING)

    @property
    def n_streams(self) -> int:
        return len(self._streams)

    @property
    def memory(self) -> int:
        """The bytes that all streams hold, as of the last request of each."""
        return self._n_bytes

    def receive(self, stream_id: bytes, body: bytes) -> Answer:
        """The answer to one request; it comes when the message is delivered, or cannot be."""
        if len(body) > limits.MAX_BODY_BYTES:
            return _answer(413, error=f"the body has {len(body)} bytes, {limits.MAX_BODY_BYTES} are allowed")
        try:
            envelope = protocol.unpack(body)
        except (FormatError, UnsupportedError) as error:
            return _not_understood(error)
        self.evict_idle()
        stream = self._take(stream_id, may_begin=envelope.sequence == 0)
        if isinstance(stream, Answer):
            return stream
        try:
            with stream.lock:
                return self._work(stream, envelope)
        finally:
            self._give_back(stream)

    def evict_idle(self) -> int:
        """Forgets the streams that were not used for long; says how many."""
        with self._lock:
            long_ago = self._clock() - self._idle_seconds
            idle = [stream for stream in self._streams.values() if stream.used_at < long_ago and not stream.n_requests]
            for stream in idle:
                self._forget(stream)
            return len(idle)

    def _work(self, stream: _Stream, envelope: Envelope) -> Answer:
        """The answer to a request, whose turn it is in its stream."""
        answer = stream.refuse_or_repeat(envelope)
        if answer is None and stream.pending is None:
            answer = self._decode(stream, envelope)
        if stream.is_dead:
            with self._lock:
                self._forget(stream)
        if answer is None:
            answer = stream.deliver(self._deliver)
            self._account(stream)
        return answer

    def _decode(self, stream: _Stream, envelope: Envelope) -> Answer | None:
        """None if the message is pending then."""
        with self._decoding:
            answer = stream.decode(envelope)
            if answer is not None:
                return answer
            self._account(stream)
            if not self._fits(stream):
                stream.is_dead = True
                answer = _later(503, limits.BUSY_SECONDS, "the streams in use take all memory that there is for them")
        return answer

    # --- the table of streams -----------------------------------------------------------------------------------------

    def _take(self, stream_id: bytes, *, may_begin: bool) -> _Stream | Answer:
        """The stream, which is in use from now on, or why there is none."""
        with self._lock:
            stream = self._streams.get(stream_id)
            if stream is None:
                if not may_begin:
                    return _restart("the stream is not known here, or not any more")
                stream = _Stream(stream_id)
                if not self._make_room(self._max_streams - 1, self._max_memory - stream.n_bytes):
                    return _later(503, limits.BUSY_SECONDS, "all streams that this server can have are in use")
                self._streams[stream_id] = stream
                self._n_bytes += stream.n_bytes
            elif stream.n_requests >= limits.MAX_REQUESTS_OF_STREAM:
                return _later(429, limits.BUSY_SECONDS, "too many requests of this stream at a time")
            stream.n_requests += 1
            return stream

    def _give_back(self, stream: _Stream) -> None:
        with self._lock:
            stream.n_requests -= 1
            stream.used_at = self._clock()
            if stream.n_bytes > self._max_memory * limits.MAX_SHARE_OF_STREAM and not stream.n_requests:
                self._forget(stream)
            elif self._streams.get(stream.id) is stream:
                self._streams.move_to_end(stream.id)
            self._make_room(self._max_streams, self._max_memory)

    def _account(self, stream: _Stream) -> None:
        n_bytes = stream.memory()
        with self._lock:
            if self._streams.get(stream.id) is stream:
                self._n_bytes += n_bytes - stream.n_bytes
            stream.n_bytes = n_bytes

    def _fits(self, stream: _Stream) -> bool:
        """Whether there is room for what the stream holds. If no other is in use there is: else it would never fit."""
        with self._lock:
            others_are_used = any(other.n_requests for other in self._streams.values() if other is not stream)
            return self._make_room(self._max_streams, self._max_memory) or not others_are_used

    def _make_room(self, n_streams: int, n_bytes: int) -> bool:
        """Forgets streams, the one used longest ago first, until they are no more than that; False if it cannot."""
        for stream in [stream for stream in self._streams.values() if not stream.n_requests]:
            if len(self._streams) <= n_streams and self._n_bytes <= n_bytes:
                break
            self._forget(stream)
        return len(self._streams) <= n_streams and self._n_bytes <= n_bytes

    def _forget(self, stream: _Stream) -> None:
        if self._streams.get(stream.id) is stream:
            del self._streams[stream.id]
            self._n_bytes -= stream.n_bytes


class _Pending(NamedTuple):
    """Decoded, and not delivered yet."""

    digest_after: bytes
    message: bytes


class _Done(NamedTuple):
    digest_after: bytes
    answer: Answer


class _Stream:
    """One stream. `lock` is held for all that is done with it; the receiver's lock guards n_requests and used_at."""

    def __init__(self, stream_id: bytes) -> None:
        self.id = stream_id
        self.n_requests = 0
        """That it works on, or that wait for their turn: it is not forgotten while there are any."""
        self.used_at = 0.0
        self.lock = threading.Lock()
        self.pending: _Pending | None = None
        self.is_dead = False
        self._sequence = 0  # that is due
        self._digest = protocol.first_digest(stream_id)
        self._done: deque[_Done] = deque(maxlen=limits.N_REMEMBERED_ANSWERS)
        self._decompressor = Decompressor(max_output_size=limits.MAX_DECODED_BYTES)
        self.n_bytes = self.memory()

    def memory(self) -> int:
        """The bytes that it holds now."""
        return _OVERHEAD_BYTES + self._decompressor.memory + (len(self.pending.message) if self.pending else 0)

    def refuse_or_repeat(self, envelope: Envelope) -> Answer | None:
        """The answer to a request that is not to be delivered: a repeated or a wrong one."""
        if self.is_dead:
            return _restart("the stream failed in an earlier request")
        digest_after = protocol.next_digest(envelope.digest, envelope.frames)
        n_back = self._sequence - envelope.sequence
        if 0 < n_back <= len(self._done) and self._done[-n_back].digest_after == digest_after:
            return self._done[-n_back].answer
        if n_back:
            return _restart(f"request {self._sequence} of the stream is due, not {envelope.sequence}")
        if envelope.digest != self._digest:
            return _restart("the digest is not that of the state here")
        if self.pending is not None and self.pending.digest_after != digest_after:
            return _restart("other frames came under this sequence number before")
        return None

    def decode(self, envelope: Envelope) -> Answer | None:
        """Makes the message pending, or ends the stream with an answer."""
        try:
            message = self._decompressor.decompress(envelope.frames)
        except TracezipError as error:
            self.is_dead = True
            return _undecodable(error)
        self.pending = _Pending(protocol.next_digest(envelope.digest, envelope.frames), message)
        return None

    def deliver(self, deliver: Callable[[bytes], Delivered]) -> Answer:
        """Delivers what is pending; unless that is to be tried again, goes on to the next request."""
        assert self.pending is not None
        try:
            message = self.pending.message  # an empty one has no spans
            answer = self._acknowledgement(deliver(message) if message else Delivered())
        except TryLater as error:
            return _later(503, limits.BUSY_SECONDS if error.seconds is None else error.seconds, error.why)
        except Refused as error:
            answer = _answer(422, refused=_short(error.why))
        self._digest = self.pending.digest_after
        self._done.append(_Done(self._digest, answer))
        self._sequence += 1
        self.pending = None
        return answer

    def _acknowledgement(self, delivered: Delivered) -> Answer:
        assert self.pending is not None
        answer = _answer(200, acknowledged=self._sequence, digest=self.pending.digest_after.hex())
        if delivered.rejected_spans:
            answer.body["rejected_spans"] = delivered.rejected_spans
        if delivered.message:
            answer.body["message"] = _short(delivered.message)
        return answer


def _answer(status: int, **body: Any) -> Answer:
    return Answer(status, body, {protocol.VERSION_HEADER: str(protocol.VERSION)})


def _restart(reason: str) -> Answer:
    return _answer(409, restart=_short(reason))


def _later(status: int, seconds: float, why: str) -> Answer:
    answer = _answer(status, error=_short(why))
    answer.headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    return answer


def _not_understood(error: TracezipError) -> Answer:
    return _answer(400, error=_short(str(error)), versions=protocol.VERSIONS)


def _undecodable(error: TracezipError) -> Answer:
    if isinstance(error, UnsupportedError):
        return _not_understood(error)
    if isinstance(error, LimitError) and error.code == OUTPUT_LIMIT:
        return _answer(413, error=_short(str(error)))
    return _restart(str(error))


def _short(text: str) -> str:
    return text[: limits.MAX_REASON_CHARS]
