"""Bytes to read: a file object of which only `read` is needed, with a look ahead."""

from __future__ import annotations

import os
from typing import Any

from tracezip.errors import InputError
from tracezip.limits import READ_BYTES, READ_STEP_BYTES


class Source:
    """Reads a binary file object in order; knows how far it is. Errors of the object come through as they are."""

    def __init__(self, file: Any, offset: int = 0) -> None:
        read = getattr(file, "read", None)
        if read is None:
            raise InputError(f"a {type(file).__name__} is neither a path nor a file object to read", code="argument")
        self._read = read
        self._read_available = getattr(file, "read1", None)
        self._buffer = bytearray()
        self.offset = offset
        """Bytes passed so far."""

    @property
    def n_ahead(self) -> int:
        """Bytes that were read, and not passed yet."""
        return len(self._buffer)

    def peek(self, n_bytes: int) -> bytes:
        """The next `n_bytes`, fewer only at the end. Memory follows what there is, not what is asked for."""
        while len(self._buffer) < n_bytes and self._fill(n_bytes - len(self._buffer)):
            pass
        with memoryview(self._buffer) as view:
            return bytes(view[:n_bytes])

    def skip(self, n_bytes: int) -> None:
        """Passes over bytes that were seen with `peek`, at most to their end."""
        n_bytes = min(n_bytes, len(self._buffer))
        del self._buffer[:n_bytes]
        self.offset += n_bytes

    def skip_to(self, marker: bytes) -> bool:
        """Passes over all bytes before the next `marker`; without one, all bytes there are, and False."""
        while (at := self._buffer.find(marker)) < 0:
            self.skip(max(0, len(self._buffer) - len(marker) + 1))
            if not self._fill(READ_BYTES):
                self.skip(len(self._buffer))
                return False
        self.skip(at)
        return True

    def _fill(self, n_wanted: int) -> bool:
        n_wanted = min(n_wanted, READ_STEP_BYTES)
        if self._read_available is not None:  # what is there now, without waiting for more
            chunk = self._read_available(max(n_wanted, READ_BYTES))
        else:
            chunk = self._read(n_wanted)
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise InputError(_no_bytes(chunk), code="argument")
        self._buffer += chunk
        return len(chunk) > 0


def _no_bytes(chunk: object) -> str:
    if chunk is None:
        return "the file object is non-blocking and has nothing to read yet; give one that blocks"
    return f"the file object reads {type(chunk).__name__}, not bytes; open it in binary mode"


def is_path(file: object) -> bool:
    return isinstance(file, str | bytes | os.PathLike)
