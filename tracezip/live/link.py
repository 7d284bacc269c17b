"""The way from a sender to a receiver: a stream of compressed batches if that can be, plain OTLP/HTTP if not."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from tracezip.errors import TracezipError
from tracezip.limits import DEFAULT_DICTIONARY_THRESHOLD, DEFAULT_LEVEL
from tracezip.live import limits, otlp_http, protocol
from tracezip.live.errors import Delivered, Refused, TryLater
from tracezip.live.http import HttpClient, Response, check_url, shown
from tracezip.live.otlp_http import OtlpSender, json_object, outcome
from tracezip.live.sending import SendingStream

_log = logging.getLogger("tracezip.live")

_HEADERS = {"Content-Type": protocol.CONTENT_TYPE}
_TOO_LARGE = 413


class LinkOptions(NamedTuple):
    level: int = DEFAULT_LEVEL
    dictionary_threshold: int = DEFAULT_DICTIONARY_THRESHOLD
    chained: bool = True
    """Batches build on each other; else each one stands on its own."""
    memory_limit: int | None = None
    """Bytes that the stream holds at most."""
    plain: bool = False
    """Nothing but plain OTLP is sent."""
    otlp_compression: Literal["gzip", "none"] = "gzip"
    """Of plain OTLP."""
    traces_url: str | None = None
    """For plain OTLP, if that is not /v1/traces below the endpoint."""


class Counters(Protocol):
    """What the link counts into."""

    def add(self, **counts: int) -> None: ...

    def observe(self, name: str, seconds: float) -> None: ...


class Link:
    """Delivers one message after the other to an endpoint. Owned by one thread.

    endpoint: the URL below which the receiver has its paths; of one that ends in /v1/traces, what stands before that.
    A receiver that does not know the protocol gets plain OTLP, and is asked again every 10 minutes.
    """

    def __init__(
        self,
        endpoint: str,
        client: HttpClient,
        options: LinkOptions | None = None,
        *,
        stats: Counters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options or LinkOptions()
        self._base = check_url(endpoint).removesuffix(otlp_http.PATH)
        self._name = shown(self._base)
        self._client = client
        self._stats = stats
        self._clock = clock
        traces_url = self._options.traces_url or self._base + otlp_http.PATH
        self._plain = OtlpSender(traces_url, client, compression=self._options.otlp_compression)
        self._stream = SendingStream(
            level=self._options.level,
            dictionary_threshold=self._options.dictionary_threshold,
            chained=self._options.chained,
            memory_limit=self._options.memory_limit,
        )
        self._probe_at: float | None = None  # None as long as the receiver is taken to know the protocol

    def set_level(self, level: int) -> None:
        """From the next message on, which then begins a new stream. Any thread may call it."""
        self._stream.level = level

    def deliver(self, message: bytes, timeout: float) -> Delivered:
        """Returns once the receiver has the message for good; takes about `timeout` seconds at most.

        Raises TryLater and Unreachable, after which the same message is to be given again, and Refused.
        """
        until = self._clock() + timeout
        if self._options.plain:
            return self._plain.send(message, timeout)
        if self._is_stream_worth_trying() and len(message) <= limits.MAX_DECODED_BYTES:
            delivered = self._deliver_in_stream(message, until)
            if delivered is not None:
                return delivered
        self._count(fallbacks=1)
        return self._plain.send(message, until - self._clock())

    def _is_stream_worth_trying(self) -> bool:
        return self._probe_at is None or self._clock() >= self._probe_at

    def _deliver_in_stream(self, message: bytes, until: float) -> Delivered | None:
        """None if the message must go as plain OTLP."""
        for _ in range(limits.MAX_RESTARTS):
            body = self._frame(message)
            if body is None:
                return None
            seconds = until - self._clock()
            if seconds <= 0:
                raise TryLater(None, f"{self._name} took too long to begin the stream anew")
            url = self._base + self._stream.path
            response = self._client.post(url, body, _HEADERS, seconds)
            if protocol.VERSION_HEADER in response.headers and response.status in (200, 422):
                delivered = self._settled(response, message, body)
                if delivered is not None:
                    return delivered
            elif self._goes_plain(response, url):
                self._stream.restart()
                return None
            self._restart(response)
        return None

    def _frame(self, message: bytes) -> bytes | None:
        """The body to send; None if there is none, or one that is too large."""
        started = time.perf_counter()
        is_new = not self._stream.is_pending(message)
        try:
            body = self._stream.frame(message)
        except (TracezipError, MemoryError) as error:
            _log.warning("a batch of %d bytes goes as plain OTLP, it cannot be compressed: %s", len(message), error)
            return None
        if is_new and self._stats is not None:
            self._stats.observe("compress", time.perf_counter() - started)
        if len(body) > limits.MAX_BODY_BYTES:
            self._stream.restart()
            return None
        return body

    def _settled(self, response: Response, message: bytes, body: bytes) -> Delivered | None:
        """What the receiver did with the message, if it says so of this very message. Raises Refused."""
        said = json_object(response.body)
        if response.status == 200:
            expected = (self._stream.sequence, self._stream.digest_after.hex())
            if (said.get("acknowledged"), said.get("digest")) != expected:
                return None
        self._stream.acknowledged()
        self._count(bytes_in=len(message), bytes_out=len(body))
        self._found_to_know()
        if response.status == 422:
            raise Refused(_text(said.get("refused")) or f"{self._name} refuses the batch")
        n_rejected = said.get("rejected_spans", 0)
        return Delivered(max(n_rejected, 0) if isinstance(n_rejected, int) else 0, _text(said.get("message")))

    def _goes_plain(self, response: Response, url: str) -> bool:
        """Whether this message must go as plain OTLP, and maybe those after it. Raises TryLater and Refused."""
        status = response.status
        knows = protocol.VERSION_HEADER in response.headers
        if status in otlp_http.LATER or status in otlp_http.NOT_ALLOWED:
            outcome(response, url)
        if status == _TOO_LARGE:
            return True
        if status == 400 or (not knows and status != 500):
            self._found_not_to_know(status, knows=knows)
            return True
        return False

    def _restart(self, response: Response) -> None:
        reason = _text(json_object(response.body).get("restart")) or "it does not say why"
        _log.debug("%s wants the stream begun anew (%d): %s", self._name, response.status, reason)
        self._stream.restart()
        self._count(restarts=1)

    def _found_to_know(self) -> None:
        if self._probe_at is not None:
            _log.info("%s knows the streams of tracezip now", self._name)
        self._probe_at = None

    def _found_not_to_know(self, status: int, *, knows: bool) -> None:
        if self._probe_at is None:
            what = "this version of tracezip's streams" if knows else "the streams of tracezip"
            _log.warning(
                "%s does not know %s (it answered %d): batches go there as OTLP/HTTP, and it is asked again every %d "
                "minutes; a tracezip gateway of the same version takes streams",
                self._name,
                what,
                status,
                limits.PROBE_SECONDS / 60,
            )
        self._probe_at = self._clock() + limits.PROBE_SECONDS

    def _count(self, **counts: int) -> None:
        if self._stats is not None:
            self._stats.add(**counts)


def _text(value: object) -> str:
    return value[: limits.MAX_REASON_CHARS] if isinstance(value, str) else ""
