"""The bytes and names of the stream protocol, version 1 (PROTOCOL.md)."""

from __future__ import annotations

import struct
from typing import NamedTuple

import xxhash

from tracezip.errors import FormatError, UnsupportedError

VERSION = 1
VERSIONS = [VERSION]
"""Those that this program can receive."""
CONTENT_TYPE = "application/vnd.tracezip.stream"
VERSION_HEADER = "Tracezip-Version"
PATH = "/v1/tracezip/"
"""Behind the base URL; the stream's id in hex follows."""
STREAM_ID_BYTES = 16

_MAGIC = b"TZS"
_HEAD = struct.Struct("<3sBQ8s")


class Envelope(NamedTuple):
    """The body of a request."""

    sequence: int
    digest: bytes
    """Of the state before the frames."""
    frames: bytes


def pack(envelope: Envelope) -> bytes:
    return _HEAD.pack(_MAGIC, VERSION, envelope.sequence, envelope.digest) + envelope.frames


def unpack(body: bytes) -> Envelope:
    """The envelope. Raises FormatError, and UnsupportedError for a version that is not known."""
    if body[: len(_MAGIC)] != _MAGIC:
        raise FormatError(
            f"the body begins with {body[:3]!r} and not {_MAGIC!r}: it is no request of a tracezip stream"
        )
    if len(body) > len(_MAGIC) and body[len(_MAGIC)] != VERSION:
        raise UnsupportedError(f"version {body[len(_MAGIC)]} of the stream protocol is not known, only {VERSION} is")
    if len(body) < _HEAD.size:
        raise FormatError(f"the body has {len(body)} bytes, its envelope alone has {_HEAD.size}: it is cut short")
    _, _, sequence, digest = _HEAD.unpack_from(body)
    return Envelope(sequence, digest, body[_HEAD.size :])


def first_digest(stream_id: bytes) -> bytes:
    """The digest of the state in which a stream begins."""
    return _digest(stream_id)


def next_digest(digest: bytes, frames: bytes) -> bytes:
    """The digest of the state behind the frames, if `digest` is that of the state before them."""
    return _digest(digest, frames)


def parse_stream_id(text: str) -> bytes:
    """The id of a stream from its 32 hexadecimal digits. Raises FormatError."""
    if len(text) == 2 * STREAM_ID_BYTES and text.isascii() and text.isalnum():
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    raise FormatError(f"the id of a stream is {2 * STREAM_ID_BYTES} hexadecimal digits, not {text[:64]!r}")


def _digest(*parts: bytes) -> bytes:
    state = xxhash.xxh3_64()
    for part in parts:
        state.update(part)
    return state.intdigest().to_bytes(8, "little")
