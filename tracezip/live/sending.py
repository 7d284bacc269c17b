"""The client's side of one stream after the other, without any network."""

from __future__ import annotations

import os
from typing import NamedTuple

from tracezip.limits import DEFAULT_DICTIONARY_THRESHOLD, DEFAULT_LEVEL
from tracezip.live import protocol
from tracezip.stream.encoder import StreamEncoder


class _Pending(NamedTuple):
    message: bytes
    body: bytes
    digest_after: bytes


class SendingStream:
    """Messages in, request bodies out. Used by one thread.

    A message stays pending until `acknowledged`. Whoever frames another one before has given it up: whether the server
    has it is not known, and so a new stream begins, as it does in a forked child and after an error in `frame`.
    """

    def __init__(
        self,
        *,
        level: int = DEFAULT_LEVEL,
        dictionary_threshold: int = DEFAULT_DICTIONARY_THRESHOLD,
        chained: bool = True,
        memory_limit: int | None = None,
    ) -> None:
        self.level = level
        """Of what is framed next; a new one begins a new stream."""
        self._options = dictionary_threshold, chained, memory_limit
        self.restart()

    def restart(self) -> None:
        """Begins a new stream: the pending message, if it is framed again, is compressed anew."""
        dictionary_threshold, chained, memory_limit = self._options
        self._encoder = StreamEncoder(self.level, dictionary_threshold, chained=chained, memory_limit=memory_limit)
        self._level = self.level
        self.stream_id = os.urandom(protocol.STREAM_ID_BYTES)
        """In the URL of the requests."""
        self.sequence = 0
        """Of the next request, which is the pending one if there is one."""
        self._digest = protocol.first_digest(self.stream_id)
        self._pending: _Pending | None = None
        self._process = os.getpid()

    @property
    def memory(self) -> int:
        """The bytes that the compressor holds, which `memory_limit` bounds; the pending message comes on top."""
        return self._encoder.memory

    @property
    def path(self) -> str:
        """Of the requests, behind the base URL."""
        return protocol.PATH + self.stream_id.hex()

    @property
    def digest_after(self) -> bytes:
        """What a server that has taken the pending message must answer; without one, the digest as it is."""
        return self._pending.digest_after if self._pending else self._digest

    def is_pending(self, message: bytes) -> bool:
        """Whether `frame` has a body for this message already."""
        return self._pending is not None and self._pending.message == message

    def frame(self, message: bytes) -> bytes:
        """The body to send: the same one again until `acknowledged` or `restart`.

        After an exception, which only a message that is too large should cause, a new stream has begun.
        """
        if self._process != os.getpid():
            self.restart()
        if self._pending is not None and self.is_pending(message):
            return self._pending.body
        if self._pending is not None or self._level != self.level:
            self.restart()
        try:
            frames = self._frames(message)
        except BaseException:
            self.restart()
            raise
        body = protocol.pack(protocol.Envelope(self.sequence, self._digest, frames))
        self._pending = _Pending(message, body, protocol.next_digest(self._digest, frames))
        return body

    def acknowledged(self) -> None:
        """The server is done with the pending message, whether it took or refused it."""
        if self._pending is not None:
            self._digest = self._pending.digest_after
            self._pending = None
            self.sequence += 1

    def _frames(self, message: bytes) -> bytes:
        header = b"" if self.sequence else self._encoder.header
        return b"".join([header, *self._encoder.add(message), self._encoder.flush()])
