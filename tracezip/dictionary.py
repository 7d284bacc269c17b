"""Dictionaries: what the traces of a service have in common, learned from samples. FORMAT.md, "Dictionaries"."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from tracezip import _backend, limits
from tracezip.begin import dictionary_id, preset
from tracezip.block import UnzstdStage, read_block
from tracezip.container import BLOCK, peek_frame
from tracezip.convert import to_otlp
from tracezip.errors import InputError, TracezipError
from tracezip.options import checked_option
from tracezip.source import Source
from tracezip.stream.decoder import StreamDecoder
from tracezip.stream.encoder import StreamEncoder
from tracezip.walk import UNIT, fields


class Dictionary:
    """What the traces of a service have in common: with it, small messages take a fraction of their size without.

    data: what `train_dictionary` made, the bytes of `Dictionary.data`. Whoever decompresses needs the same. Raises
    InputError for data that is no dictionary. May be shared by threads.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.data = bytes(data)
        """To keep, in a file say: a dictionary is an archive of its samples."""
        self.id = dictionary_id(self.data)
        """4 bytes that archives name it by."""
        self._blocks: list[tuple[tuple[bytes, ...], list[bytes]]] = []
        self._lock = threading.Lock()
        self._encoder: _backend.BlockEncoder | None = None
        try:
            self._decoder = self._read()
        except TracezipError as error:
            raise InputError(f"not a dictionary: {error}; make one with train_dictionary", code="dictionary") from None

    @property
    def decoder(self) -> _backend.BlockDecoder:
        """One that knows the dictionary, for others to begin like."""
        return self._decoder

    @property
    def encoder(self) -> _backend.BlockEncoder:
        """The same for writing. Raises InputError if this version of tracezip would have written the samples otherwise:
        what it knows then is not what readers know."""
        with self._lock:
            if self._encoder is None:
                self._encoder = self._taught()
            return self._encoder

    def _read(self) -> _backend.BlockDecoder:
        source, stream = Source(io.BytesIO(self.data)), StreamDecoder(limits.DEFAULT_MAX_OUTPUT_BYTES)
        while (frame := peek_frame(source)) is not None:
            messages = stream.feed(frame)
            if frame.kind == BLOCK:
                block = read_block(frame.body)
                if block.header.continued or block.header.n_parts != len(messages) or stream.n_groups > 1:
                    raise InputError("it has messages in parts, or more than one restart group")
                self._blocks.append((tuple(UnzstdStage().sections(block)), messages))
            source.skip(frame.n_bytes)
        stream.finish(source.offset)
        if stream.n_streams > 1:
            raise InputError("it has more than one stream")
        return stream.decoder

    def _taught(self) -> _backend.BlockEncoder:
        encoder = _backend.Encoder(preset(), limits.DEFAULT_DICTIONARY_THRESHOLD, limits.DEFAULT_LEVEL)
        for sections, messages in self._blocks:
            for message in messages:
                encoder.add(message)
            if encoder.encode() != sections:
                raise InputError(
                    "the dictionary is of another version of tracezip: data can be decompressed with it, but not "
                    "compressed; train one again, on [tracezip.decompress(dictionary.data)] if the samples are gone",
                    code="dictionary",
                )
        return encoder


def train_dictionary(samples: Iterable[Any], *, max_spans: int = limits.DICTIONARY_SPANS) -> Dictionary:
    """A dictionary for traces like these.

    samples: traces in any form that `compress` takes, best such as will be compressed: single traces, if traces are
    compressed one by one. Evenly chosen ones with about `max_spans` spans are learned (at most 16,384: more is larger
    to keep and slower to begin with, and hardly better); a trace that has more is taken apart into its ResourceSpans.
    Raises InputError if there is no span in them, or nothing small enough.
    """
    max_spans = checked_option("max_spans", max_spans, 1, limits.BLOCK_SPANS)
    messages = [piece for sample in samples for piece in _pieces(to_otlp(sample), max_spans)]
    stream = StreamEncoder(limits.DEFAULT_LEVEL, limits.DEFAULT_DICTIONARY_THRESHOLD)
    frames = [frame for message in _evenly_chosen(messages, max_spans) for frame in stream.add(message)]
    if not stream.totals.n_spans:
        raise InputError(f"the samples have no spans to learn from, or more than {max_spans} in each ResourceSpans")
    return Dictionary(b"".join([stream.header, *frames, stream.end()]))


def _pieces(message: bytes, max_spans: int) -> Iterator[bytes]:
    """The message, or its ResourceSpans as messages if it has too many spans."""
    if _backend.count_spans(message, 0) <= max_spans:
        yield message
    else:
        yield from (message[start:end] for tag, start, _, end in fields(message, 0, len(message)) if tag == UNIT[0])


def _evenly_chosen(messages: list[bytes], max_spans: int) -> Iterator[bytes]:
    """Messages with so many spans together at most, from everywhere in the list; one that has more is not chosen."""
    counts = [_backend.count_spans(message, 0) for message in messages]
    share = min(1.0, max_spans / max(sum(counts), 1))
    n_before = n_chosen = 0
    for message, n_spans in zip(messages, counts, strict=True):
        n_before += n_spans
        if n_chosen + n_spans <= n_before * share and len(message) <= limits.PART_BYTES:
            n_chosen += n_spans
            yield message
