"""Trace files to measure on: finding them, reading them, and cutting them into batches of 512 spans.

``TRACEZIP_DATA`` names a folder of NAME.otlp.zst files, each a zstd stream of ``[4-byte big-endian length]
[ExportTraceServiceRequest]``, repeated. Without it, the bundled samples/ (the same, uncompressed) are used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path

import zstandard

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
BATCH_SPANS = 512  # what OpenTelemetry's batch processors export at a time by default
LARGE_BATCH_SPANS = 8192  # and the Collector's

# Field numbers of opentelemetry/proto/trace/v1/trace.proto, the only ones that matter here.
RESOURCE_SPANS, SCOPE_SPANS, SPANS = 1, 2, 2
TRACE_ID, SPAN_NAME = 1, 5

SpanInContext = tuple[bytes, bytes, bytes]  # what else its ResourceSpans says, what else its ScopeSpans says, the span


@dataclass(frozen=True)
class TraceFile:
    """One file's messages, as its exporters sent them."""

    name: str
    messages: list[bytes]

    @cached_property
    def n_bytes(self) -> int:
        """OTLP protobuf bytes, without the length prefixes."""
        return sum(map(len, self.messages))

    @cached_property
    def n_spans(self) -> int:
        return sum(1 for message in self.messages for _ in spans_of(message))

    @cached_property
    def stream(self) -> bytes:
        """The whole file as one byte string, length prefixes included, so that every codec gives the messages back."""
        return join_stream(self.messages)

    @cached_property
    def batches(self) -> list[bytes]:
        """The same spans in the same order, 512 to a message."""
        return list(rebatch(self.messages))

    @cached_property
    def large_batches(self) -> list[bytes]:
        """The same, 8,192 to a message."""
        return list(rebatch(self.messages, LARGE_BATCH_SPANS))

    def prefix(self, max_bytes: int) -> TraceFile:
        """The file itself if it is small enough, else its first messages, or the first batches of a huge message."""
        if self.n_bytes <= max_bytes:
            return self
        first = self.messages if len(self.messages[0]) <= max_bytes else self.batches
        lengths = accumulate(map(len, first))
        return TraceFile(self.name, [message for message, end in zip(first, lengths, strict=True) if end <= max_bytes])


def find_files() -> list[Path]:
    folder = os.environ.get("TRACEZIP_DATA")
    if folder:
        return sorted(Path(folder).glob("*.otlp.zst"))
    return sorted(SAMPLES.glob("*.otlp"))


def file_name(path: Path) -> str:
    return path.name.partition(".")[0]


def read_file(path: Path) -> TraceFile:
    data = path.read_bytes()
    if path.suffix == ".zst":
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
            data = reader.read()
    return TraceFile(file_name(path), list(split_stream(data)))


def join_stream(messages: list[bytes]) -> bytes:
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def split_stream(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        start = position + 4
        position = start + int.from_bytes(data[position:start], "big")
        if position > len(data):
            raise ValueError(f"the message at byte {start - 4} is cut short")
        yield data[start:position]


def rebatch(messages: list[bytes], n_spans: int = BATCH_SPANS) -> Iterator[bytes]:
    """Messages of ``n_spans`` spans each, neighbours with the same resource and scope grouped again."""
    pending: list[SpanInContext] = []
    for message in messages:
        for span in spans_of(message):
            pending.append(span)
            if len(pending) == n_spans:
                yield join_spans(pending)
                pending = []
    if pending:
        yield join_spans(pending)


def spans_of(message: bytes) -> Iterator[SpanInContext]:
    for resource_spans in children(message, RESOURCE_SPANS)[0]:
        scope_messages, resource = children(resource_spans, SCOPE_SPANS)
        for scope_spans in scope_messages:
            spans, scope = children(scope_spans, SPANS)
            for span in spans:
                yield resource, scope, span


def join_spans(spans: list[SpanInContext]) -> bytes:
    parts = []
    for resource, in_resource in groupby(spans, key=itemgetter(0)):
        body = [resource]
        for scope, in_scope in groupby(in_resource, key=itemgetter(1)):
            span_fields = (length_delimited(SPANS, span) for _, _, span in in_scope)
            body.append(length_delimited(SCOPE_SPANS, scope + b"".join(span_fields)))
        parts.append(length_delimited(RESOURCE_SPANS, b"".join(body)))
    return b"".join(parts)


def children(message: bytes, number: int) -> tuple[list[bytes], bytes]:
    """The contents of a message's fields called ``number``, and the encoded rest of the message."""
    wanted: list[bytes] = []
    rest: list[bytes] = []
    position = 0
    while position < len(message):
        tag, start = read_varint(message, position)
        if tag & 7 != 2:
            raise ValueError(f"wire type {tag & 7} where only messages and strings are expected")
        length, start = read_varint(message, start)
        end = start + length
        if tag >> 3 == number:
            wanted.append(message[start:end])
        else:
            rest.append(message[position:end])
        position = end
    return wanted, b"".join(rest)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def length_delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content
