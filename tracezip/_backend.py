"""Which implementation of the narrow waist runs, decided once: TRACEZIP_BACKEND is `native` (default) or `reference`.

There is no fallback: a backend that cannot be imported is an ImportError, never the other one.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Protocol, Self

VARIABLE = "TRACEZIP_BACKEND"
_MODULES = {"native": "tracezip._native", "reference": "tracezip.reference"}


BlockSummary = tuple[tuple[int, int, int, int], list[bytes], bytes, bytes, bytes, bytes | None]
"""Of the spans of a block, in the order in which they come, numbers in the byte order of this machine:

0: least start, largest end, least and largest duration (ns; 0 if a span ends before it starts).
1: strings.
2: for each pair of service.name and span name two numbers of strings, spans, spans with status ERROR (uint32), the
largest duration of all and of those with ERROR (uint64).
3, 4: for each trace id its hash (uint64; FORMAT.md, "Index") and the row of its last span (uint32).
5: for each span with status ERROR the two halves of its trace id, its span id, its duration (uint64), its row and the
number of its pair (uint32). None if one has not all ids and times, or ends before it starts.
"""


FieldName = tuple[int, int, bytes | None]
"""Place, tag and key: see BlockRows.fields."""


class BlockRows(Protocol):
    """What a query takes of records: of those that an encoder has pending, or that a decoder has read last."""

    def columns(self, names: Sequence[str] = ...) -> dict[str, bytes]:
        """Columns by name: bytes of this machine's uint64, uint32 those that begin with `n_`.

        trace_hi, trace_lo, span_id, parent_id, start and end of the spans, event_time of the events; and the numbers of
        children, n_scopes, n_spans, n_events and n_links.
        """

    def fields(self, place: int, tag: int, key: bytes | None = None) -> bytes | None:
        """What each record in which a place is has of a field: bytes of uint32; None if that was left out.

        0: it has none, or one without a value. `FIELD_MANY`: it came more than once, or only the bytes of the record
        can tell. Else a number for `atoms`. Places, and their tags of attributes, are those of FORMAT.md; with a key it
        is an attribute. The fields that have columns are only found where they are not as they should be.
        """

    def atoms(self, numbers: memoryview) -> list[bytes]:
        """The encoded fields with these numbers, uint32."""

    def records(self, kind: int, rows: memoryview) -> list[bytes]:
        """The bytes of records of kind 0, 1 or 2 (resource spans, scope spans, spans), rows ascending, uint32.

        Spans are whole; the others without their children. Raises IndexError if one is not there.
        """


class BlockEncoder(BlockRows, Protocol):
    """What the encoders of both backends can do. Their dictionaries live as long as a restart group."""

    n_rows: int
    """Records of all kinds that were added and are not encoded yet."""
    n_spans: int
    """Spans among them."""
    n_messages: int
    """Messages, or parts of them, that were added and are not encoded yet."""
    memory: int
    """Bytes that it holds: tables, columns and buffers, also where they are empty now. The reference estimates them."""
    weight: int
    """Bytes that what the restart group knows may take, the same number in both backends: what a writer that bounds
    its memory goes by."""

    def add(
        self,
        message: bytes | memoryview,
        prefix: bytes = b"",
        skip: int = 0,
        continues: bool = False,
        most_spans: int = sys.maxsize,
    ) -> bool:
        """One part: `prefix`, then `message` but for its first `skip` bytes; `continues` if more of it follows.

        False, and nothing is added, if `count_spans` of the message is more than `most_spans`.
        """

    def plan_ids(self) -> None:
        """Finds out where the ids of what was added come from, as `encode` does otherwise.

        Of encoders that share what is known of ids, one may do this at a time, in the order of their blocks.
        """

    def encode(self) -> tuple[bytes, ...]:
        """The sections, in the order of `block.SECTIONS`, of all that was added; then nothing is pending."""

    def summary(self) -> BlockSummary | None:
        """What was added, summed up; None if the meaning of some of it is not known. Before `encode`."""

    def trim(self) -> None:
        """As `reset`, and gives back the memory of tables and buffers, which it keeps otherwise."""

    def reset(self, like: Self | None = None) -> None:
        """Begins a restart group: all dictionaries are forgotten. Only with nothing pending.

        like: an encoder with the same preset strings and nothing pending; what it knows is known to this one then.
        """

    def statistics(self) -> dict[str, int]:
        """Counts of the restart group so far."""


class BlockDecoder(BlockRows, Protocol):
    """What the decoders of both backends can do. One that has raised is dead until `reset`.

    A block is either decoded to messages, or its rows are read, from which a query takes what it needs.
    """

    memory: int
    """As of an encoder."""

    def decode(self, sections: Sequence[bytes], n_bytes: int) -> tuple[list[bytes], list[bool]]:
        """The parts of a block, and whether each continues in the next.

        Raises FormatError if `n_bytes` is not the size of the parts, or the sections are not what they should be.
        """

    def decode_messages(
        self, sections: Sequence[bytes], n_bytes: int, begun: list[bytes]
    ) -> tuple[list[bytes], int, bool]:
        """As `decode`, with the parts of each message joined; how many parts there are; whether the last one continues.

        `begun`: nothing, or the beginning of the first message, which is taken out: it grows where it is, without a
        copy.
        """

    skipped: int
    """What the last `read` left out."""

    def read(
        self,
        sections: Sequence[bytes],
        n_bytes: int,
        most_spans: int = sys.maxsize,
        skips: int = 0,
        asked: Sequence[FieldName] = (),
    ) -> None:
        """The rows of a block.

        skips: `SKIP_TIMES`, `SKIP_VALUES`, or both: they may be left out of the first block after `reset`, which takes
        less time. Then there are no starts and ends, or not all fields; no records and no parts; and until `reset` no
        other block can be read. Values are only left out if the fields that are `asked` for can be told without.

        After `most_spans` spans it stops: what comes behind them is neither there nor checked, and until `reset` no
        other block can be read. Raises as `decode` does, but does not look whether `n_bytes` is right: `parts` does.
        """

    def parts(self) -> tuple[list[bytes], list[bool]]:
        """What `decode` gives."""

    def outline(self) -> tuple[bytes, bytes]:
        """Of each part, the number of its resource spans, as uint32, and a byte: bit 0 is set if the part is not the
        bytes of its resource spans alone, bit 1 if it continues in the next part."""

    def reset(self, like: Self | None = None) -> None:
        """Begins a restart group: all dictionaries are forgotten. `like` as for an encoder."""

    def statistics(self) -> dict[str, int]:
        """Counts of the restart group so far, `spans` and `traces` among them."""


SKIP_TIMES, SKIP_VALUES = 1, 2
"""See BlockDecoder.read."""

FIELD_MANY = 0xFFFFFFFF
"""See BlockDecoder.fields."""


def _load() -> ModuleType:
    chosen = os.environ.get(VARIABLE, "native")
    if chosen not in _MODULES:
        raise ImportError(f"{VARIABLE} is {chosen!r}; set it to native or reference, or unset it for native")
    try:
        module = importlib.import_module(_MODULES[chosen])
    except ImportError as error:
        raise ImportError(_unusable(chosen, str(error)), name=error.name, path=error.path) from error
    if chosen != module.NAME:
        raise ImportError(_unusable(chosen, f"{_MODULES[chosen]} says that it is {module.NAME!r}"))
    return module


def _unusable(chosen: str, reason: str) -> str:
    other = " or choose the slow one with TRACEZIP_BACKEND=reference" if chosen == "native" else ""
    return f"the {chosen} backend of tracezip cannot be imported: {reason}; install tracezip again{other}"


_module = _load()

NAME: str = _module.NAME
Encoder: Callable[..., BlockEncoder] = _module.Encoder
"""Encoder(preset strings, dictionary_threshold, level, another encoder of the stream or nothing, halvings): of the
tables for finding generators of ids, 0 if it is left out."""
Decoder: Callable[[Sequence[bytes]], BlockDecoder] = _module.Decoder
"""Decoder(preset strings)."""
count_spans: Callable[[bytes | memoryview, int], int] = _module.count_spans
"""The spans in the fields of a message (level 0), a ResourceSpans (1) or a ScopeSpans (2); never too few."""
other_fields: Callable[[bytes | memoryview, int, int], list[tuple[int, int]] | None] = _module.other_fields
"""Start and end of each field of a message that has not a tag, as far as it can be walked; None if there are more than
so many, at most 1,024."""
run_end: Callable[[bytes | memoryview, int, int], int] = _module.run_end
"""The end of the run of whole fields that begins at a position of a message: of so many bytes at most, or of one field
that is larger. That position itself if no field there can be walked."""
make_filter: Callable[[list[tuple[int, bytes, bytes]], int, int, int, int], tuple[int, bytes]] = _module.make_filter
"""make_filter(blocks, spans, high_bits, low_bits, place_bits): number of entries, and bytes, of the filter of a unit.

Of each block: how many spans of the unit stand before it, and 3 and 4 of its BlockSummary."""
find_in_filter: Callable[[bytes | memoryview, int, int, int, int, int], int] = _module.find_in_filter
"""find_in_filter(filter, entries, high_bits, low_bits, place_bits, hash): the place of a trace id with this hash, + 1;
0 if it is not there. Of bytes that are no filter the answer may be wrong."""
