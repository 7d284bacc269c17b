"""What is in an archive, without giving it out."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from tracezip.block import SECTIONS
from tracezip.container import INDEX, read_frame
from tracezip.errors import TruncatedError
from tracezip.source import Source, is_path
from tracezip.stream.decoder import StreamDecoder

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary

_INDEX_PART = "index"


def info(file: Any, *, dictionary: Dictionary | None = None) -> dict[str, Any]:
    """What is in an archive: counts, sizes in bytes, what takes how much, and which versions wrote it.

    file: a path or a binary file object, which is read from where it stands to its end and decoded. `traces` is summed
    over restart groups, so that a trace which is in two of them counts twice. `bytes_by_part` adds up to
    `compressed_bytes`. `compression_ratio` is the fraction saved, `ratio` is raw / compressed. `complete` is False for
    an archive that is cut short or still being written; the counts are then those of what is whole. dictionary: the
    one that it was written with, if with any.

    Raises as `open` and the reader do, but for an archive that begins well and is cut short.
    """
    if not is_path(file):
        return _facts(Source(file), dictionary)
    with builtins.open(file, "rb") as opened:
        return _facts(Source(opened), dictionary)


def _facts(source: Source, dictionary: Dictionary | None) -> dict[str, Any]:
    decoder = StreamDecoder(None, counts_traces=True, dictionary=dictionary)
    complete = _read_all(source, decoder)
    totals = decoder.totals
    n_raw, n_compressed = totals.n_bytes, source.offset + source.n_ahead
    return {
        "version": 1,
        "streams": decoder.n_streams,
        "blocks": totals.n_blocks,
        "groups": decoder.n_groups,
        "messages": totals.n_messages,
        "spans": totals.n_spans,
        "traces": decoder.n_traces,
        "raw_bytes": n_raw,
        "compressed_bytes": n_compressed,
        "bytes_by_part": _bytes_by_part(decoder, n_compressed),
        "metadata": decoder.fact("metadata"),
        "compression_ratio": 1 - n_compressed / n_raw if n_raw else 0.0,
        "ratio": n_raw / n_compressed,
        "complete": complete,
        "writer": decoder.fact("writer"),
    }


def _read_all(source: Source, decoder: StreamDecoder) -> bool:
    """Whether the archive is complete."""
    try:
        while (frame := read_frame(source)) is not None:
            decoder.feed(frame)
            if frame.kind == INDEX:
                decoder.section_bytes[_INDEX_PART] += frame.n_bytes
        decoder.finish(source.offset)
    except TruncatedError:
        if decoder.facts is None:
            raise
        return False
    return True


def _bytes_by_part(decoder: StreamDecoder, n_compressed: int) -> dict[str, int]:
    """The sections, the index, and `container` for all that is around them."""
    parts = {name: decoder.section_bytes[name] for name in (*SECTIONS, _INDEX_PART)}
    return {**parts, "container": n_compressed - sum(parts.values())}
