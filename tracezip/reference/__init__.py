"""The specification read aloud: FORMAT.md, "Block", in plain Python, both directions, the same bytes as the kernels.

The same names as tracezip._native; tracezip/_backend.py describes them. Slow, and meant to be read: begin with rows.py.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Sequence

from tracezip.errors import UsageError, damaged_section
from tracezip.reference import look, weight
from tracezip.reference.coder import CoderReader, CoderWriter, PlainReader, PlainWriter
from tracezip.reference.define import Plan, PlannedGenerator, code_definitions
from tracezip.reference.filter import find_in_filter, make_filter
from tracezip.reference.format_limits import BUDGET_OF_BYTE
from tracezip.reference.parse import Parser
from tracezip.reference.plan import Planner
from tracezip.reference.plan_ids import IdKnowledge, IdPlanner
from tracezip.reference.rows import EnoughError, code_rows
from tracezip.reference.state import State
from tracezip.reference.state_copy import state_copied
from tracezip.reference.summary import summarize
from tracezip.reference.tables import KINDS, Kind, Message, Record
from tracezip.reference.write import Writer
from tracezip.walk import count_spans, other_fields, run_end

__all__ = ["NAME", "Decoder", "Encoder", "count_spans", "find_in_filter", "make_filter", "other_fields", "run_end"]

NAME = "reference"

_SECTIONS = {
    "tree": "coded",
    "text": "plain",
    "envelope": "coded",
    "structure": "coded",
    "paths": "coded",
    "times": "coded",
    "values": "coded",
    "ids": "plain",
    "binary": "plain",
    "literals": "plain",
    "prefixes": "plain",
}


def _by_kind(message: Message) -> list[list[Record]]:
    """All records of a message, of each kind in order."""
    rows: list[list[Record]] = [[] for _ in KINDS]
    rows[Kind.RESOURCE_SPANS] = message.resources
    rows[Kind.SCOPE_SPANS] = [scope for record in message.resources for scope in record.children[0]]
    rows[Kind.SPAN] = [span for record in rows[Kind.SCOPE_SPANS] for span in record.children[0]]
    rows[Kind.EVENT] = [event for record in rows[Kind.SPAN] for event in record.children[0]]
    rows[Kind.LINK] = [link for record in rows[Kind.SPAN] for link in record.children[1]]
    return rows


def _statistics(s: State, n_messages: int) -> dict[str, int]:
    """Of the pending, or last, block: rows, spans, messages. Of the restart group: the others."""
    return {
        "rows": sum(map(len, s.rows)),
        "spans": len(s.rows[Kind.SPAN]),
        "messages": n_messages,
        "traces": max(len(s.traces) - 1, 0),
        "paths": s.n_paths,
        "schemas": len(s.schemas),
        "strings": len(s.strings) - s.n_preset,
        "atoms": s.n_serials,
        "contexts": len(s.contexts),
    }


class Encoder(look.RowReader):
    """Messages of OTLP protobuf to the sections of blocks; its dictionaries live until `reset`.

    preset: the preset strings. dictionary_threshold: how often a string is seen before it is remembered.
    level: 1 (fastest) to 9 (smallest). of_same_stream: another encoder, with which it shares what is known of ids.
    halvings: how often the tables for finding generators of ids are halved.
    """

    def __init__(
        self,
        preset: Sequence[bytes],
        dictionary_threshold: int,
        level: int,
        of_same_stream: Encoder | None = None,
        halvings: int = 0,
    ) -> None:
        self._preset = preset
        self._threshold = dictionary_threshold
        self._knowledge: IdKnowledge = of_same_stream._knowledge if of_same_stream else IdKnowledge(level, halvings)
        self.reset()

    def trim(self) -> None:
        self.reset()

    def reset(self, like: Encoder | None = None) -> None:
        super().__init__()
        if like is None:
            self._s = State(self._preset, writing=True)
            self._parser = Parser(self._s.strings)
            self._planner = Planner(self._s, self._threshold)
        else:
            self._s, (self._parser, self._planner) = state_copied(like._s, like._parser, like._planner)
            self._planner.threshold = self._threshold
        self._id_planner = IdPlanner(self._s, self._knowledge)
        self._generators: list[PlannedGenerator] | None = None
        self._messages: list[Message] = []

    def add(
        self,
        message: bytes | memoryview,
        prefix: bytes = b"",
        skip: int = 0,
        continues: bool = False,
        most_spans: int = sys.maxsize,
    ) -> bool:
        if skip > len(message):
            raise ValueError(f"skip is {skip}, the message has {len(message)} bytes")
        if len(message) // 2 > most_spans and count_spans(bytes(message), 0) > most_spans:
            return False
        parsed = self._parser.parse(bytes(message), prefix, skip, continues)
        self._messages.append(parsed)
        for kind, rows in zip(KINDS, _by_kind(parsed), strict=True):
            self._s.rows[kind] += rows
        return True

    def plan_ids(self) -> None:
        self._generators = self._id_planner.plan()

    def encode(self) -> tuple[bytes, ...]:
        if self._generators is None:
            self.plan_ids()
        s = self._s
        s.block += 1
        coders = {name: CoderWriter() for name, kind in _SECTIONS.items() if kind == "coded"}
        plains = {name: PlainWriter() for name, kind in _SECTIONS.items() if kind == "plain"}
        s.coders, s.plains = {**coders}, {**plains}
        plan = self._planner.plan()
        plan.generators, self._generators = self._generators or [], None
        code_definitions(s, plan)
        code_rows(s, self._messages)
        self._messages = []
        s.rows = [[] for _ in KINDS]
        return tuple((coders.get(name) or plains[name]).end() for name in _SECTIONS)

    def summary(self) -> tuple[tuple[int, int, int, int], list[bytes], bytes, bytes, bytes, bytes | None] | None:
        return summarize(self._messages)

    @property
    def n_rows(self) -> int:
        return sum(map(len, self._s.rows))

    @property
    def n_spans(self) -> int:
        return len(self._s.rows[Kind.SPAN])

    @property
    def n_messages(self) -> int:
        return len(self._messages)

    @property
    def memory(self) -> int:
        """An estimate."""
        return weight.memory(self._s)

    @property
    def weight(self) -> int:
        return weight.weight(self._s)

    def statistics(self) -> dict[str, int]:
        return _statistics(self._s, len(self._messages))

    def span(self, row: int) -> bytes:
        """A pending span as it was added: one OTLP Span message."""
        return self.records(Kind.SPAN, memoryview(array.array("I", [row])))[0]


class Decoder(look.RowReader):
    """The sections of blocks to messages; its dictionaries live until `reset`."""

    skipped = 0

    def __init__(self, preset: Sequence[bytes]) -> None:
        self._preset = preset
        self.reset()

    def reset(self, like: Decoder | None = None) -> None:
        super().__init__()
        self._s: State = state_copied(like._s)[0] if like else State(self._preset, writing=False)
        self._messages: list[Message] = []
        self._n_bytes = 0
        self._is_partial = self._is_dead = False

    def decode(self, sections: Sequence[bytes], n_bytes: int) -> tuple[list[bytes], list[bool]]:
        self.read(sections, n_bytes)
        return self.parts()

    def decode_messages(
        self, sections: Sequence[bytes], n_bytes: int, begun: list[bytes]
    ) -> tuple[list[bytes], int, bool]:
        parts, continues = self.decode(sections, n_bytes)
        messages: list[bytes] = []
        goes_on = False
        for part, more in zip(parts, continues, strict=True):
            before = messages.pop() if goes_on else begun.pop() if begun else b""
            messages.append(before + part)
            goes_on = more
        return messages, len(parts), goes_on

    def read(
        self,
        sections: Sequence[bytes],
        n_bytes: int,
        most_spans: int = sys.maxsize,
        skips: int = 0,
        asked: Sequence[tuple[int, int, bytes | None]] = (),
    ) -> None:
        """It leaves nothing out."""
        self._check_alive()
        if self._is_partial:
            raise UsageError("this decoder has left a block unread; reset it")
        if len(sections) != len(_SECTIONS):
            raise ValueError(f"a block has {len(_SECTIONS)} sections, not {len(sections)}")
        self._is_dead = True
        self._n_bytes = n_bytes
        self._read(sections, n_bytes, most_spans)
        self._is_dead = False
        self._is_partial = len(self._s.rows[Kind.SPAN]) >= most_spans

    def parts(self) -> tuple[list[bytes], list[bool]]:
        self._check_alive()
        if self._is_partial:
            raise UsageError("this decoder has left a block unread, and has no messages of it")
        self._is_dead = True
        writer = Writer()
        parts = [writer.message(message) for message in self._messages]
        if sum(map(len, parts)) != self._n_bytes:
            raise damaged_section("size")
        self._is_dead = False
        return parts, [message.continues for message in self._messages]

    @property
    def memory(self) -> int:
        """An estimate."""
        return weight.memory(self._s)

    def outline(self) -> tuple[bytes, bytes]:
        self._check_alive()
        return look.outline(self._messages)

    def statistics(self) -> dict[str, int]:
        self._check_alive()
        return _statistics(self._s, len(self._messages))

    def _check_alive(self) -> None:
        if self._is_dead:
            raise UsageError("this decoder has failed before; reset it")

    def _read(self, sections: Sequence[bytes], n_bytes: int, most_spans: int) -> None:
        s = self._s
        s.most_spans = most_spans
        s.block += 1
        s.budget += BUDGET_OF_BYTE * n_bytes
        s.rows = [[] for _ in KINDS]
        named = list(zip(_SECTIONS.items(), map(bytes, sections), strict=True))
        coders = {name: CoderReader(data) for (name, kind), data in named if kind == "coded"}
        plains = {name: PlainReader(name, data) for (name, kind), data in named if kind == "plain"}
        s.coders, s.plains = {**coders}, {**plains}
        code_definitions(s, Plan())
        self._messages = []
        try:
            code_rows(s, self._messages)
        except EnoughError:
            return
        left = [name for name, plain in plains.items() if not plain.is_used_up]
        left += [name for name, coder in coders.items() if not coder.is_used_up]
        if left:
            raise damaged_section(left[0])
