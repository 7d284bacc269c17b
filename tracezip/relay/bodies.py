"""From the body of a request to the OTLP message in it. Every size is bounded before memory is taken for it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from tracezip import _backend, unpack
from tracezip.convert.fields import read_attributes, read_fields
from tracezip.convert.otlp_json import from_json, to_json
from tracezip.errors import InputError
from tracezip.live.limits import MAX_DECODED_BYTES
from tracezip.relay import limits
from tracezip.relay.answers import JSON, RejectionError
from tracezip.relay.budget import Share
from tracezip.walk import SPANS_LEVEL, UNIT, fields

ENCODINGS = ("identity", "gzip", "zstd", "deflate")
_RESOURCE_TAG = 0x0A
_NO_TAG = 0
_MANY_FIELDS = 1024


class Message(NamedTuple):
    """An OTLP message in protobuf."""

    data: bytes
    n_spans: int


def read_message(body: bytes, media_type: str, encoding: str, share: Share) -> Message:
    """The message of an OTLP request. Raises RejectionError if there is none, or if it is too large."""
    data = decompressed(body, encoding, limits.MAX_JSON_BYTES if media_type == JSON else MAX_DECODED_BYTES, share)
    try:
        if media_type == JSON:
            share.take(len(data) * (limits.JSON_EXPANSION - 1))
            data = from_json(data)
        return Message(data, count_spans(data))
    except InputError as error:
        raise RejectionError(400, str(error)) from None


# --- encodings --------------------------------------------------------------------------------------------------------


def decompressed(body: bytes, encoding: str, most: int, share: Share) -> bytes:
    """The content of a body. Raises RejectionError if it is not in this encoding, or has more than `most` bytes."""
    if encoding == "identity":
        _check_size(len(body), most)
        return body
    whole = io.BytesIO()  # which gives its bytes out without a copy
    try:
        for piece in _inflated(body) if encoding == "deflate" else _unpacked(body, encoding):
            _check_size(whole.tell() + len(piece), most)
            share.take(len(piece))
            whole.write(piece)
    except (InputError, zlib.error) as error:
        raise RejectionError(400, f"the body is no {encoding}: {error}") from None
    return whole.getvalue()


def _check_size(n_bytes: int, most: int) -> None:
    if n_bytes > most:
        raise RejectionError(413, f"the request has more than {most} bytes; send smaller batches")


def _unpacked(body: bytes, encoding: str) -> Iterator[bytes]:
    if encoding == "gzip" and not body.startswith(unpack.GZIP_MAGIC):
        raise InputError("it does not begin as such")
    if encoding == "zstd" and not unpack.is_zstd(body):
        raise InputError("it does not begin as such")
    stream = unpack.decompressed(body[: unpack.HEAD_BYTES], io.BufferedReader(io.BytesIO(body)))
    while piece := stream.read(limits.STEP_BYTES):
        yield piece


def _inflated(body: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    while not inflater.eof:
        piece = inflater.decompress(body, limits.STEP_BYTES)
        if not piece and not inflater.unconsumed_tail and not inflater.eof:
            raise InputError("it is cut off")
        yield piece
        body = inflater.unconsumed_tail


def sniffed_encoding(body: bytes) -> str:
    """How a message of gRPC is compressed: none of OTLP begins as gzip and zlib do."""
    if body.startswith(unpack.GZIP_MAGIC):
        return "gzip"
    if len(body) > 1 and body[0] == 0x78 and not int.from_bytes(body[:2], "big") % 31:
        return "deflate"
    return "identity"


# --- messages ---------------------------------------------------------------------------------------------------------


def count_spans(message: bytes) -> int:
    """The spans of a message whose fields are whole, down to its spans. Raises InputError if they are not.

    What is inside of spans is not looked at: that is for the backend.
    """
    n_spans = _spans_in(memoryview(message), 0)
    if n_spans is None:
        to_json(message)  # says what is wrong, unless it is only a group, which protobuf once had
        return _backend.count_spans(message, 0)
    return n_spans


def _spans_in(data: memoryview, level: int) -> int | None:
    """None if these are not whole fields."""
    places = _backend.other_fields(data, _NO_TAG, _MANY_FIELDS)
    if places is None:
        places = [(start, end) for _, start, _, end in fields(bytes(data), 0, len(data))]
    if (places[-1][1] if places else 0) != len(data):
        return None
    units = [(start, end) for start, end in places if data[start] == UNIT[level]]
    if level == SPANS_LEVEL:
        return len(units)
    n_spans = 0
    for start, end in units:
        n_inside = _spans_in(data[_value_at(data, start) : end], level + 1)
        if n_inside is None:
            return None
        n_spans += n_inside
    return n_spans


def _value_at(data: memoryview, start: int) -> int:
    """Behind the tag of one byte and the length of a field that is whole."""
    at = start + 1
    while data[at] > 0x7F:
        at += 1
    return at + 1


def service_of(message: bytes) -> str | None:
    """The service.name of the first resource that a message has; None if there is none."""
    resource_spans = _first(message, UNIT[0])
    resource = _first(resource_spans, _RESOURCE_TAG)
    try:
        name = read_attributes(read_fields("Resource", resource)["attributes"]).get("service.name")
    except InputError:
        return None
    return name if isinstance(name, str) else None


def _first(data: bytes, wanted: int) -> bytes:
    """The value of the first field with this tag; empty if there is none."""
    for tag, _, value, end in fields(data, 0, len(data)):
        if tag == wanted:
            return data[value:end]
    return b""
