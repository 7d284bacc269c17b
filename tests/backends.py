"""Runs the codec on the backend of one's choice, in this process; the tests of the promises share it."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from unittest import mock

import zstandard

import tracezip
from tracezip import _backend

MODULES = {"native": "tracezip._native", "reference": "tracezip.reference"}
BACKENDS = tuple(MODULES)
DATA = sorted(Path(os.environ.get("TRACEZIP_DATA", "/nonexistent")).glob("*.otlp.zst"))
"""Recorded traces; none without TRACEZIP_DATA."""
NO_DATA = "set TRACEZIP_DATA to a folder of NAME.otlp.zst files to run this; samples/README.md says what they are"


@contextmanager
def running(backend: str) -> Iterator[None]:
    """Everything that is made inside runs on this backend."""
    module = importlib.import_module(MODULES[backend])
    with mock.patch.multiple(
        _backend,
        Encoder=module.Encoder,
        Decoder=module.Decoder,
        count_spans=module.count_spans,
        other_fields=module.other_fields,
        run_end=module.run_end,
        make_filter=module.make_filter,
        find_in_filter=module.find_in_filter,
        NAME=module.NAME,
    ):
        yield


def through_open(messages: Sequence[bytes], level: int = 3, threshold: int = 2) -> list[bytes]:
    """The messages, after an archive."""
    file = io.BytesIO()
    with tracezip.open(file, "wb", level=level, dictionary_threshold=threshold) as writer:
        for message in messages:
            writer.write(message)
    file.seek(0)
    with tracezip.open(file) as reader:
        return list(reader)


def through_calls(messages: Sequence[bytes], level: int = 3, threshold: int = 2) -> list[bytes]:
    """The messages, each after one call of a compressor and one of a decompressor."""
    compressor, decompressor = tracezip.Compressor(level, dictionary_threshold=threshold), tracezip.Decompressor()
    given = [decompressor.decompress(compressor.compress(message)) for message in messages]
    assert decompressor.decompress(compressor.finish()) == b""
    return given


def assert_exact(messages: Sequence[bytes], level: int = 3, threshold: int = 2) -> None:
    """Every way through the codec gives the same bytes back."""
    for message in messages:
        blob = tracezip.compress(message, level, dictionary_threshold=threshold)
        assert tracezip.decompress(blob) == message
    assert through_open(messages, level, threshold) == list(messages)
    assert through_calls(messages, level, threshold) == list(messages)


def recorded_messages(path: Path) -> Iterator[bytes]:
    """The OTLP requests of a NAME.otlp.zst file, one at a time."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
        reader = io.BufferedReader(stream, 1 << 20)
        while size := reader.read(4):
            message = reader.read(int.from_bytes(size, "big"))
            assert len(message) == int.from_bytes(size, "big"), "the file is cut short"
            yield message


def first_spans(messages: Iterator[bytes], n_spans: int) -> list[bytes]:
    """So many spans, in the messages that they came in."""
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    kept: list[bytes] = []
    for message in messages:
        trace = TracesData.FromString(message)
        for scope_spans in chain.from_iterable(resource.scope_spans for resource in trace.resource_spans):
            del scope_spans.spans[n_spans:]
            n_spans -= len(scope_spans.spans)
        kept.append(trace.SerializeToString())
        if n_spans <= 0:
            break
    return kept
