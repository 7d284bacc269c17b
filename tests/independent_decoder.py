"""A second decoder of the tracezip format, written from FORMAT.md alone and in its order.

It is slow, and short: an example for somebody who writes a decoder in another language. `decode` gives back the
messages of an archive. What is wrong with one is a ValueError that says what, and the offset of the frame at fault.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import xxhash
import zstandard

MASK = 2**64 - 1


class FormatError(ValueError):
    """What is wrong, without where."""


def check(fine: bool, what: str) -> None:
    if not fine:
        raise FormatError(what)


# ---------------------------------------------------------------------------------------------------------- container


class Bytes:
    """A string of bytes from which the next ones are taken: a frame, a block header, a plain section."""

    def __init__(self, data: bytes, short: str) -> None:
        self.data, self.at, self.short = data, 0, short

    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, n: int) -> bytes:
        check(n <= self.left(), self.short)
        self.at += n
        return self.data[self.at - n : self.at]

    def uint(self, n: int) -> int:
        return int.from_bytes(self.take(n), "little")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.uint(1)
            value |= (byte & 127) << shift
            if byte < 128:
                check(byte > 0 or shift == 0, "format: a varint is not in its shortest form")
                check(value <= MASK, "format: a varint is 2^64 or more")
                return value
        raise FormatError("format: a varint has more than ten bytes")


def checksum(data: bytes) -> int:
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


MARKER = b"\x8e\x54\x5a"
HEADER, BLOCK, END_RECORD = 0x48, 0x42, 0x45
LIMITS = {HEADER: 65_536, END_RECORD: 64}


def read_frame(data: Bytes) -> tuple[int, bytes]:
    """Type and body of the frame that begins here."""
    start = data.data[data.at : data.at + 3]
    check(MARKER.startswith(start), "format: no marker")
    data.take(3)
    checked = data.at
    kind = data.uint(1)
    begin = data.at
    size = data.varint()
    check(data.at - begin <= 5, "format: length of a frame")
    check(size <= LIMITS.get(kind, 268_435_456), "limit: length of a frame")
    body = data.take(size)
    check(checksum(data.data[checked : data.at]) == data.uint(4), "checksum: frame")
    return kind, body


class Stream:
    """What is known of the stream that is being read."""

    def __init__(self) -> None:
        self.blocks = self.messages = self.spans = self.bytes = 0
        self.open: bytes | None = None  # the parts so far of a message that goes on
        self.state = State()
        self.group_blocks = self.group_spans = self.group_bytes = 0


def decode(data: bytes) -> list[bytes]:
    """The messages of all streams of an archive. Any damage raises ValueError."""
    messages: list[bytes] = []
    source = Bytes(data, "truncated: the data ends inside a frame")
    stream: Stream | None = None
    begun = False
    offset = 0
    try:
        check(len(data) > 0, "truncated: no data")
        while source.left():
            offset = source.at
            kind, body = read_frame(source)
            if kind == HEADER:
                check(stream is None, "truncated: a stream begins, and the one before has no end record")
                read_header(Bytes(body, "format: stream header is too short"))
                stream, begun = Stream(), True
            elif kind == BLOCK:
                if stream is None:
                    raise FormatError("format: a block outside of a stream")
                messages += read_block(stream, Bytes(body, "format: block is too short"))
            elif kind == END_RECORD:
                if stream is None:
                    raise FormatError("format: an end record outside of a stream")
                end = Bytes(body, "format: end record is too short")
                told = [end.varint() for _ in range(4)]
                counted = [stream.blocks, stream.messages, stream.spans, stream.bytes]
                check(end.left() == 0, "format: end record is too long")
                check(told == counted, "format: blocks are missing")
                check(stream.open is None, "format: the last part goes on")
                stream = None
            else:
                check(kind & 0x80 != 0, f"unsupported: frame type {kind:02X}")
                check(begun, "format: an optional frame before the first stream header")
        offset = len(data)
        check(stream is None, "truncated: no end record")
    except FormatError as error:
        raise ValueError(f"{error} (offset {offset})") from error
    return messages


def read_header(body: Bytes) -> None:
    check(body.uint(1) == 1, "unsupported: format version")
    check(body.uint(1) == 0, "unsupported: flags of the stream header")
    if body.left():
        check(isinstance(read_fact(body, 0), dict), "format: the facts are not a map")
        check(body.left() == 0, "format: bytes behind the facts")


def read_fact(body: Bytes, depth: int) -> object:
    """A value in MessagePack. The facts change nothing here; reading them is checking them."""

    def number(n: int) -> int:
        return int.from_bytes(body.take(n), "big")

    def string(n: int) -> str:
        try:
            return body.take(n).decode()
        except UnicodeDecodeError as error:
            raise FormatError("format: a fact is not UTF-8") from error

    def items(n: int, is_map: bool) -> object:
        check(depth < 16, "format: nesting of the facts")
        if not is_map:
            return [read_fact(body, depth + 1) for _ in range(n)]
        result = {}
        for _ in range(n):
            key = read_fact(body, depth + 1)
            check(isinstance(key, str), "format: a key in the facts is not a string")
            result[key] = read_fact(body, depth + 1)
        return result

    code = number(1)
    if code <= 0x7F or code >= 0xE0:
        return code if code <= 0x7F else code - 256
    if code <= 0x9F:
        return items(code & 15, is_map=code <= 0x8F)
    if code <= 0xBF:
        return string(code & 31)
    if code in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[code]
    if 0xC4 <= code <= 0xC6:  # binary
        return body.take(number(1 << (code - 0xC4)))
    if code in (0xCA, 0xCB):  # floats
        return body.take(4 if code == 0xCA else 8)
    if 0xCC <= code <= 0xD3:  # unsigned and signed integers; signs do not matter here
        return number(1 << (code & 3))
    if 0xD9 <= code <= 0xDB:
        return string(number(1 << (code - 0xD9)))
    if 0xDC <= code <= 0xDF:
        return items(number(2 if code in (0xDC, 0xDE) else 4), is_map=code >= 0xDE)
    raise FormatError("format: a type that facts cannot have")


SECTIONS = [
    "tree",
    "text",
    "envelope",
    "structure",
    "paths",
    "times",
    "values",
    "ids",
    "binary",
    "literals",
    "prefixes",
]
MAY_BE_COMPRESSED = {"text", "literals", "prefixes"}


def read_block(stream: Stream, body: Bytes) -> list[bytes]:
    """The messages that end in this block."""
    flags = body.uint(1)
    check(flags & ~3 == 0, "unsupported: flags of the block")
    if flags & 1:
        stream.state = State()
        stream.group_blocks = stream.group_spans = stream.group_bytes = 0
    else:
        chain = body.varint()
        check(chain >= 1 and chain == stream.group_blocks, "format: a block is missing")
    parts, spans, size = body.varint(), body.varint(), body.varint()
    stream.group_blocks += 1
    stream.group_spans += spans
    stream.group_bytes += size
    check(parts >= 1, "format: no parts")
    check(parts <= 65_536, "limit: parts in a block")
    check(stream.group_blocks <= 65_536, "limit: blocks in a restart group")
    check(stream.group_spans <= 65_536, "limit: spans in a restart group")
    check(stream.group_bytes <= 67_108_864, "limit: bytes in a restart group")
    parts_checksum = body.uint(4)
    sections = read_sections(body, size)

    decoded = Block(stream.state, sections, size).decode()
    check(len(decoded.parts) == parts, "format: number of parts")
    check(decoded.spans == spans, "format: number of spans")
    check(checksum(b"".join(part for part, _ in decoded.parts)) == parts_checksum, "checksum: parts")

    check(bool(flags & 2) == (stream.open is not None), "format: flag 'continued'")
    messages = []
    for part, continues in decoded.parts:
        message = (stream.open or b"") + part
        check(len(message) <= 2_147_483_647, "limit: size of a message")
        stream.open = message if continues else None
        if not continues:
            messages.append(message)
    stream.blocks += 1
    stream.messages += len(messages)
    stream.spans += spans
    stream.bytes += size
    return messages


def read_sections(body: Bytes, size: int) -> list[bytes]:
    """The byte stage."""
    number = body.varint()
    check(number <= len(SECTIONS), "unsupported: number of sections")
    entries: list[tuple[int, int | None]] = []  # stored size, and the size before if it is compressed
    for name in SECTIONS[:number]:
        entry = body.varint()
        check(entry & 1 == 0 or name in MAY_BE_COMPRESSED, f"format: section {name} is compressed")
        entries.append((entry >> 1, body.varint() if entry & 1 else None))
    check(sum(stored for stored, _ in entries) == body.left(), "format: sizes of the sections")
    check(sum(before or 0 for _, before in entries) <= 4 * size + 65_536, "limit: size of compressed sections")
    for stored, before in entries:
        check(before != 0, "format: a compressed section is empty")
        check((before or 0) <= 32_768 * stored, "format: size of a compressed section")
    sections = [body.take(n) if before is None else unzstd(body.take(n), before) for n, before in entries]
    return sections + [b""] * (len(SECTIONS) - number)


def unzstd(frame: bytes, size: int) -> bytes:
    check(len(frame) >= 2 and frame[0] == 0, "format: descriptor of a zstd frame")
    exponent, mantissa = frame[1] >> 3, frame[1] & 7
    check((1024 << exponent) // 8 * (8 + mantissa) <= 8_388_608, "limit: window of a zstd frame")
    decompressor = zstandard.ZstdDecompressor(max_window_size=8_388_608)
    try:
        data = decompressor.decompress(b"\x28\xb5\x2f\xfd" + frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"format: {error}") from error
    check(len(data) == size, "format: size of a compressed section")
    return data


# -------------------------------------------------------------------------------------------------------- range coder


class Context:
    """An array of adaptive bits."""

    def __init__(self, size: int) -> None:
        self.p = array("I", [1 << 21]) * size  # the probability of a 1, in units of 2^-22
        self.n = bytearray(size)  # how many bits it has seen


class Coded:
    """The decoder of a coded section. Numbers are read in contexts of the state, which are named (family, a, b)."""

    def __init__(self, name: str, data: bytes, state: "State") -> None:
        self.name, self.data, self.state = name, data, state
        self.range = 0xFFFFFFFF
        self.code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self.at = 4

    def fill(self) -> None:
        while self.range < 1 << 24:
            self.range = self.range << 8 & 0xFFFFFFFF
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.code = (self.code << 8 | byte) & 0xFFFFFFFF
            self.at += 1

    def adaptive(self, c: Context, i: int) -> int:
        p, n = c.p[i], c.n[i]
        bound = (self.range >> 15) * (p >> 7 or 1)
        if self.code < bound:
            bit = 1
            self.range = bound
        else:
            bit = 0
            self.code -= bound
            self.range -= bound
        rate = 131072 // (2 * n + 3)
        c.p[i] = p + (((0x3FFFFF if bit else 0) - p) * rate >> 16)
        c.n[i] = min(n + 1, 63)
        self.fill()
        return bit

    def raw(self, n: int) -> int:
        value = 0
        while n > 0:
            piece = min(n, 16)
            self.range >>= piece
            v = self.code // self.range
            check(v < 1 << piece, f'damaged "{self.name}"')
            self.code -= v * self.range
            self.fill()
            value = value << piece | v
            n -= piece
        return value

    def tree_at(self, c: Context, offset: int, n: int) -> int:
        node = 1
        for _ in range(n):
            node = 2 * node + self.adaptive(c, offset + node)
        return node - (1 << n)

    def bit(self, family: int, a: int = 0, b: int = 0) -> int:
        return self.adaptive(self.state.context(1, family, a, b), 0)

    def tree(self, n: int, family: int, a: int = 0, b: int = 0) -> int:
        return self.tree_at(self.state.context(1 << n, family, a, b), 0, n)

    def small(self, family: int, a: int = 0, b: int = 0) -> int:
        c = self.state.context(64, family, a, b)
        i = 0
        while i < 32 and self.adaptive(c, i):
            i += 1
        check(i < 32, 'damaged "number"')
        return (1 << i) + (self.tree_at(c, 32, i) if i <= 4 else self.raw(i)) - 1

    def wide_at(self, c: Context) -> int:
        e = self.tree_at(c, 0, 6)
        if e == 63:
            return self.raw(64)
        if e < 2:
            return e
        t = min(2, e - 1)
        value = 1 << t | self.tree_at(c, 64 + 4 * e, t)
        return value << (e - 1 - t) | self.raw(e - 1 - t)

    def wide(self, family: int, a: int = 0, b: int = 0) -> int:
        return self.wide_at(self.state.context(320, family, a, b))

    def signed(self, family: int, a: int = 0, b: int = 0) -> int:
        """A difference modulo 2^64."""
        c = self.state.context(384, family, a, b)
        s = self.wide_at(c)
        if s and self.adaptive(c, 320 + min(s.bit_length(), 63)):
            return -s & MASK
        return s

    def choice(self, n: int, damaged: str, family: int, a: int = 0, b: int = 0) -> int:
        c = self.state.context(256, family, a, b)  # also if nothing is read
        if n < 2:
            return 0
        k = (n - 1).bit_length()
        t = min(k, 8)
        r = self.tree_at(c, 0, t)
        r = r << (k - t) | self.raw(k - t)
        check(r < n, f'damaged "{damaged}"')
        return r


# ---------------------------------------------------------------------------------------------------------- the state

PATH2, PATH1, PATH0, RECENT2, RECENT1 = 0, 5, 10, 15, 20
TRACE_HALF, TRACE_SAME, TRACE_NEXT, TRACE_NEW, TRACE_BACK = 25, 26, 27, 28, 29
ID_OF_TRACE, OWN_AWAITED, OWN_RANK = 30, 31, 32
PARENT_KNOWN, PARENT_SEEN, PARENT_RANK, PARENT_RANK_SEEN = 33, 34, 35, 36
LINK_TRACE, LINK_BACK, LINK_KNOWN, LINK_SEEN, LINK_RANK = 37, 38, 39, 40, 41
GRAIN, START_TIME, EVENT_TIME, LENGTH = 42, 43, 44, 45
OF_TRACE, OF_PATH, OF_VALUE = 46, 47, 48
HIT1, HIT2, KNOWN, CHOICE, NUMBER, ORDER = 49, 50, 51, 52, 53, 55
EVENTS, LINKS, SPANS, SCOPES, MESSAGE = 56, 57, 58, 59, 60
TEXT, TEXT_LENGTH, SKELETON, FIELD_NUMBER, FIELD_WIDTH = 61, 62, 63, 64, 66
COUNT, STRING_KNOWN, STRING, CLASS, CLASS_NEW = 67, 68, 69, 70, 71
SLOT_MODE, SLOT_CONDITION, SHAPE, SCHEMA, SAME, ATOM_KNOWN, ATOM, VALUE = 72, 73, 74, 75, 76, 77, 78, 79

PRESET = (FilePath(__file__).parents[1] / "tracezip" / "_preset.txt").read_bytes().split(b"\n")[:-1]

TRACE_ID, SPAN_ID, PARENT_ID, START, END, CHILDREN, OPEN, CLOSE, FIELD, ATTRIBUTE, RAW = range(11)  # ops of classes
BY_PATH, DICTIONARY, NUMERIC = range(3)  # modes of slots
RESOURCE, SCOPE, SPAN, EVENT, LINK = range(5)  # kinds of records

Name = tuple[int, int, int]


class Recent:
    def __init__(self) -> None:
        self.first: int | None = None
        self.second: int | None = None
        self.run = 0

    def learn(self, v: int) -> None:
        if v == self.first:
            self.run = min(self.run + 1, 15)
        else:
            self.second, self.first, self.run = self.first, v, 0

    def ask(self, section: Coded, family: int, a: int = 0, without: Collection[int | None] = ()) -> int | None:
        def is_it(thing: int | None, offset: int) -> bool:
            if thing is None or thing in without:
                return False
            return bool(section.adaptive(section.state.context(32, family, a, 0), offset + self.run))

        if is_it(self.first, 0):
            return self.first
        return self.second if is_it(self.second, 16) else None


def predicted(costs: list[int], bases: Sequence[int | None], difference: Callable[[int], int]) -> int:
    """A number as its difference to the base that has cost least so far; None is a base that is not available."""
    _, chosen, nearest = min((costs[i], i, base) for i, base in enumerate(bases) if base is not None)
    v = (nearest + difference(chosen)) & MASK
    for i, base in enumerate(bases):
        if base is not None:
            d = (v - base) & MASK
            d = min(d, 2**64 - d)
            costs[i] += (16 * d.bit_length() - costs[i]) >> 3
    return v


class Series:
    def __init__(self) -> None:
        self.last, self.costs = 0, [0, 0]


@dataclass(frozen=True)
class Class:
    """What a field is."""

    place: int
    op: int
    tag: int
    key_number: int
    any: int
    key: bytes = field(compare=False)
    number: int = field(compare=False)  # class#

    @property
    def wire(self) -> int | None:
        """The wire type of the value; None if it has none."""
        if self.op == RAW:
            return 2
        if self.op == FIELD:
            return self.tag & 7
        return self.any & 7 if self.op == ATTRIBUTE and self.any >= 8 else None


@dataclass
class Atom:
    value: bytes | int
    serial: int  # 0: not defined


@dataclass
class Schema:
    number: int
    kind: int
    classes: list[Class]
    modes: list[int] = field(default_factory=list)
    conditions: list[int] = field(default_factory=list)
    shapes: list[list[int]] = field(default_factory=list)  # slots, all of them counted, as they stand in the record
    last_path: "Path | None" = None

    def __post_init__(self) -> None:
        self.valued = [c for c in self.classes if c.wire is not None]
        self.modes = [BY_PATH] * len(self.valued)
        self.conditions = [0] * len(self.valued)
        self.ops = {c.op for c in self.classes}
        runs = {c.tag for c in self.classes if c.op == CHILDREN}
        self.children = [bool(runs - {0x6A}), 0x6A in runs]


@dataclass
class Path:
    number: int  # among all kinds
    schema: Schema
    atoms: list[Atom | None]  # of the valued slots; None is a hole
    # the clock
    last_start: int = 0
    last_length: int = 0
    start_costs: list[int] = field(default_factory=lambda: [0] * 6)
    length_costs: list[int] = field(default_factory=lambda: [0] * 3)
    grains: list[int] = field(default_factory=lambda: [0, 0])
    known: bool = False
    met_in: object = None  # the block in which the clock was met last


@dataclass(eq=False)
class Mention:
    id: int
    seen: bool
    has_children: bool = False
    start: int = 0
    first_start: int = 0
    child_start: int = 0
    child_end: int = 0


@dataclass(eq=False)
class Trace:
    number: int
    id: int
    next: "Trace | None" = None
    last_start: int = 0
    last_path: int | None = None
    awaited: list[Mention] = field(default_factory=list)  # the front is the end of the list
    seen: list[Mention] = field(default_factory=list)


class State:
    """What lives as long as a restart group."""

    def __init__(self) -> None:
        self.contexts: dict[Name, Context] = {}
        self.shared: dict[tuple[int, int], Context] = {}
        self.adaptive_bits = 0
        self.recents: defaultdict[Name, Recent] = defaultdict(Recent)
        self.series: defaultdict[Name, Series] = defaultdict(Series)
        self.memories: dict[Name, Atom] = {}
        self.budget = 1 << 21
        self.strings = list(PRESET)
        self.skeletons: list[bytes] = []
        self.classes: list[Class] = []
        self.known_classes: set[Class] = set()
        self.atoms: defaultdict[int, list[Atom]] = defaultdict(list)  # by class#
        self.serials = 0
        self.schemas: list[Schema] = []
        self.known_schemas: set[object] = set()
        self.paths: list[Path] = []
        self.paths_of: list[list[Path]] = [[] for _ in range(5)]  # by kind
        self.known_paths: set[object] = set()
        self.last_grains = [0, 0]
        self.traces = [Trace(0, 0)]
        self.last_trace = self.traces[0]
        self.last_span_path = 0

    def context(self, size: int, family: int, a: int, b: int) -> Context:
        name = (family, a, b)
        if name in self.contexts:
            return self.contexts[name]
        full = self.adaptive_bits + size > 1 << 23
        if full and (family, size) in self.shared:
            return self.shared[family, size]
        context = Context(size)
        self.adaptive_bits += size
        if full:
            self.shared[family, size] = context
        else:
            self.contexts[name] = context
        return context

    def spend(self, n: int) -> None:
        check(n <= self.budget, 'limit "text"')
        self.budget -= n


# ------------------------------------------------------------------------------------------------------------- blocks


@dataclass
class Row:
    """A record."""

    path: Path
    shape: list[int]
    values: list[Atom] = field(default_factory=list)  # of all valued slots
    trace_id: int = 0
    span_id: int = 0
    parent_id: int = 0
    start: int = 0
    end: int = 0
    children: list[list["Row"]] = field(default_factory=lambda: [[], []])


@dataclass
class Message:
    prefix: bytes
    skip: int
    continues: bool
    rows: list[Row]


class Block:
    def __init__(self, state: State, sections: list[bytes], size: int) -> None:
        self.state, self.size = state, size
        self.tree, self.envelope, self.structure, self.paths, self.times, self.values = self.coded = [
            Coded(SECTIONS[i], sections[i], state) for i in (0, 2, 3, 4, 5, 6)
        ]
        self.text, self.ids, self.binary, self.literals, self.prefixes = self.plain = [
            Bytes(sections[i], f'damaged "{SECTIONS[i]}"') for i in (1, 7, 8, 9, 10)
        ]
        self.records = self.spans = 0
        self.last_resource_path = 0  # 1 + path of the resource spans before, or 0
        self.parts: list[tuple[bytes, bool]] = []

    def decode(self) -> "Block":
        self.state.budget += 8 * self.size
        self.definitions()
        messages = self.messages()
        for plain in self.plain:
            check(plain.left() == 0, plain.short)
        for coded in self.coded:
            check(coded.at >= len(coded.data), f'damaged "{coded.name}"')
        total = 0
        for m in messages:
            rows = b"".join(child_to_bytes(0x0A, row) for row in m.rows)
            total += len(rows)
            check(total <= 1 << 28, 'limit "size"')
            check(m.skip <= len(rows), 'damaged "envelope"')
            self.parts.append((m.prefix + rows[m.skip :], m.continues))
        check(sum(len(part) for part, _ in self.parts) == self.size, 'damaged "size"')
        return self

    # Strings and skeletons

    def new_text(self, section: Coded, plain: Bytes, class_number: int) -> bytes:
        state = self.state
        if not section.bit(TEXT, class_number):
            n = section.wide(TEXT_LENGTH, class_number)
            state.spend(n)
            return plain.take(n)
        check(len(state.skeletons) > 0, 'damaged "text"')
        skeleton = section.choice(len(state.skeletons), "text", SKELETON, class_number)
        text = b""
        number = 0
        for byte in state.skeletons[skeleton]:
            if 1 <= byte <= 4:
                text += self.skeleton_field(section, byte, skeleton + 1, number).encode()
                number += 1
            else:
                text += bytes([byte])
        state.spend(len(text))
        return text

    def skeleton_field(self, section: Coded, kind: int, skeleton: int, number: int) -> str:
        if kind == 1:  # UUID
            h = self.binary.take(16).hex()
            return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
        if kind == 2:  # hexadecimal
            n = 8 + section.small(FIELD_WIDTH, skeleton, number)
            check(n <= 128, 'damaged "text"')
            digits = self.binary.take((n + 1) // 2).hex()
            return digits[len(digits) - n :]
        if kind == 3:  # decimal
            return str(self.series(section, FIELD_NUMBER, skeleton, number))
        n = 1 + section.small(FIELD_WIDTH, skeleton, number)  # padded
        check(n <= 19, 'damaged "text"')
        return f"{self.series(section, FIELD_NUMBER, skeleton, number) % 10**n:0{n}}"

    def series(self, section: Coded, family: int, a: int, b: int) -> int:
        series = self.state.series[family, a, b]
        series.last = predicted(series.costs, [0, series.last], lambda base: section.signed(family + base, a, b))
        return series.last

    # Definitions

    def definitions(self) -> None:
        lists = [
            self.define_skeleton,
            self.define_schema,
            self.define_modes_again,
            self.define_shape,
            self.define_path,
            self.define_atom_of_hole,
        ]
        for i, define in enumerate(lists):
            n = self.tree.wide(COUNT, i)
            check(n <= 1 << 20, 'limit "tree"')
            self.class_before = 0
            for _ in range(n):
                define()

    def define_skeleton(self) -> None:
        n = self.tree.wide(TEXT_LENGTH, 0, 1)
        self.state.spend(n)
        skeleton = self.text.take(n)
        check(1 <= sum(1 <= byte <= 4 for byte in skeleton) <= 16, 'damaged "tree"')
        self.state.skeletons.append(skeleton)

    def define_schema(self) -> None:
        state = self.state
        state.spend(4)
        kind = self.tree.tree(3, SCHEMA, 0)
        n = self.tree.small(SCHEMA, 1, kind)
        check(kind <= 4 and n <= 1024, 'damaged "tree"')
        state.spend(n)
        classes: list[Class] = []
        for _ in range(n):
            classes.append(self.class_after(classes[-1].number if classes else 0))
        name = (kind, tuple(classes))
        check(orderly(kind, classes) and name not in state.known_schemas, 'damaged "tree"')
        state.known_schemas.add(name)
        schema = Schema(len(state.schemas) + 1, kind, classes)
        state.schemas.append(schema)
        self.read_modes(schema)

    def class_after(self, before: int) -> Class:
        state = self.state
        recent = state.recents[CLASS, before, 0]
        number = recent.ask(self.tree, CLASS, 1)
        if number is None:
            if state.classes and self.tree.bit(CLASS, 0):
                number = 1 + self.tree.choice(len(state.classes), "tree", CLASS, 2)
            else:
                number = self.new_class()
        recent.learn(number)
        return state.classes[number - 1]

    def new_class(self) -> int:
        state = self.state
        state.spend(4)
        place = self.tree.tree(3, CLASS_NEW, 0)
        op = self.tree.tree(4, CLASS_NEW, 1, place)
        tag = self.tree.wide(CLASS_NEW, 2, 256 * place + op)
        check(place <= 6 and op <= 10 and tag < 1 << 32, 'damaged "tree"')
        key_number, key, any_tag = -1, b"", 0
        if op == ATTRIBUTE:
            key_number = self.defined_string(0, 0)
            key = state.strings[key_number]
            any_tag = self.tree.tree(8, CLASS_NEW, 3, place)
        c = Class(place, op, tag, key_number, any_tag, key, len(state.classes) + 1)
        check(allowed(c) and c not in state.known_classes, 'damaged "tree"')
        state.known_classes.add(c)
        state.classes.append(c)
        return c.number

    def defined_string(self, f: int, class_number: int) -> int:
        strings = self.state.strings
        if self.tree.bit(STRING_KNOWN, f, class_number):
            number = self.tree.wide(STRING, f)
            check(number < len(strings), 'damaged "tree"')
            return number
        strings.append(self.new_text(self.tree, self.text, class_number))
        return len(strings) - 1

    def read_modes(self, schema: Schema) -> None:
        for i in range(len(schema.valued)):
            schema.modes[i] = self.tree.tree(2, SLOT_MODE)
            check(schema.modes[i] <= 2, 'damaged "tree"')
            if schema.modes[i] == DICTIONARY:
                schema.conditions[i] = self.tree.small(SLOT_CONDITION)
                check(schema.conditions[i] <= min(i, 255), 'damaged "tree"')

    def chosen_schema(self, what: int) -> Schema:
        schemas = self.state.schemas
        check(len(schemas) > 0, 'damaged "tree"')
        return schemas[self.tree.choice(len(schemas), "tree", SHAPE, what, 1)]

    def define_modes_again(self) -> None:
        schema = self.chosen_schema(2)
        self.state.spend(len(schema.valued))
        self.read_modes(schema)

    def define_shape(self) -> None:
        self.state.spend(4)
        schema = self.chosen_schema(0)
        n = len(schema.classes)
        self.state.spend(n)
        left = list(range(n))
        if self.tree.bit(SHAPE, 1):
            shape = left
        else:
            shape = []
            for _ in range(n):
                over = self.tree.small(SHAPE, 2)
                check(over < len(left), 'damaged "tree"')
                shape.append(left.pop(over))
        check(orderly(schema.kind, [schema.classes[slot] for slot in shape]), 'damaged "tree"')
        schema.shapes.append(shape)

    def define_path(self) -> None:
        state = self.state
        state.spend(4)
        schema = self.chosen_schema(1)
        state.spend(len(schema.valued))
        last = schema.last_path.atoms if schema.last_path else [None] * len(schema.valued)
        atoms: list[Atom | None] = []
        for slot, c in enumerate(schema.valued):
            if schema.modes[slot] != BY_PATH:
                atoms.append(None)
            elif last[slot] is not None and self.tree.bit(SAME, schema.number, slot):
                atoms.append(last[slot])
            else:
                known = state.atoms[c.number]
                if known and self.tree.bit(ATOM_KNOWN, c.number):
                    atoms.append(known[self.tree.choice(len(known), "tree", ATOM, c.number)])
                else:
                    atoms.append(self.define_atom(c))
        name = (schema.number, tuple(atom and atom.serial for atom in atoms))
        check(name not in state.known_paths, 'damaged "tree"')
        state.known_paths.add(name)
        path = Path(len(state.paths), schema, atoms)
        schema.last_path = path
        state.paths.append(path)
        state.paths_of[schema.kind].append(path)

    def define_atom(self, c: Class) -> Atom:
        if c.wire == 2:
            value: bytes | int = self.state.strings[self.defined_string(1, c.number)]
        else:
            value = self.tree.wide(VALUE, c.number)
        self.state.serials += 1
        atom = self.made_atom(c, value, self.state.serials)
        self.state.atoms[c.number].append(atom)
        return atom

    def made_atom(self, c: Class, value: bytes | int, serial: int) -> Atom:
        check(isinstance(value, bytes) or c.wire != 5 or value < 1 << 32, 'damaged "values"')
        self.state.spend(8 + len(c.key) + (len(value) if isinstance(value, bytes) else 0))
        return Atom(value, serial)

    def define_atom_of_hole(self) -> None:
        c = self.class_after(self.class_before)
        self.class_before = c.number
        check(c.wire is not None, 'damaged "tree"')
        self.define_atom(c)

    # Rows

    def messages(self) -> list[Message]:
        n = self.envelope.wide(MESSAGE, 4)
        check(n <= 65_536, 'limit "envelope"')
        messages = []
        for _ in range(n):
            continues = bool(self.envelope.bit(MESSAGE, 0))
            length, skip = self.envelope.wide(MESSAGE, 1), self.envelope.wide(MESSAGE, 2)
            prefix = self.prefixes.take(length)
            resources = self.envelope.wide(MESSAGE, 3)
            check(resources <= 1 << 20, 'damaged "envelope"')
            messages.append(Message(prefix, skip, continues, [self.resource_spans() for _ in range(resources)]))
        return messages

    def row(self, kind: int, a: int, b: int) -> Row:
        """Path and shape of a row."""
        state = self.state
        section = self.envelope if kind <= SCOPE else self.paths
        r2, r1 = state.recents[RECENT2 + kind, a, b], state.recents[RECENT1 + kind, a, 0]
        number = r2.ask(section, PATH2 + kind)
        if number is None:
            number = r1.ask(section, PATH1 + kind, without=(r2.first, r2.second))
        if number is None:
            paths = state.paths_of[kind]
            check(len(paths) > 0, 'damaged "paths"')
            number = paths[section.choice(len(paths), "paths", PATH0 + kind)].number
        r2.learn(number)
        r1.learn(number)
        path = state.paths[number]
        shapes = path.schema.shapes
        check(len(shapes) > 0, 'damaged "paths"')
        if len(shapes) == 1:
            return Row(path, shapes[0])
        return Row(path, shapes[section.choice(len(shapes), "paths", ORDER, path.schema.number)])

    def number_of_children(self, row: Row, which: int, section: Coded, family: int) -> int:
        if not row.path.schema.children[which]:
            return 0
        n = section.wide(family, row.path.number)
        check(n < 1 << 20, 'damaged "envelope"')
        return 1 + n

    def count(self, records: int, spans: int) -> None:
        self.records += records
        self.spans += spans
        check(self.records <= 1 << 20 and self.spans <= 65_536, 'limit "rows"')

    def resource_spans(self) -> Row:
        row = self.row(RESOURCE, self.last_resource_path, 0)
        self.last_resource_path = 1 + row.path.number
        self.read_values(row, None)
        before = 0
        for _ in range(self.number_of_children(row, 0, self.envelope, SCOPES)):
            scope = self.scope_spans(row.path.number, before)
            row.children[0].append(scope)
            before = 1 + scope.path.number
        self.count(1, 0)
        return row

    def scope_spans(self, resource_path: int, before: int) -> Row:
        row = self.row(SCOPE, resource_path, before)
        self.read_values(row, None)
        a = (1 << 27) + row.path.number
        for _ in range(self.number_of_children(row, 0, self.envelope, SPANS)):
            span = self.span(a)
            row.children[0].append(span)
            a = span.path.number
        self.count(1, 0)
        return row

    def span(self, a: int) -> Row:
        state = self.state
        trace = self.trace()
        row = self.row(SPAN, a, 0 if trace.last_path is None else 1 + trace.last_path)
        path, ops = row.path.number, row.path.schema.ops
        row.trace_id = trace.id
        own = self.own_mention(trace, path) if SPAN_ID in ops else None
        parent = self.parent_mention(trace, path) if PARENT_ID in ops else None
        row.span_id, row.parent_id = own.id if own else 0, parent.id if parent else 0
        self.span_times(row, trace, own, parent)
        # The span is learnt.
        trace.last_start, trace.last_path = row.start, path
        if own:
            own.start = row.start
        if parent:
            if not parent.has_children:
                parent.first_start = row.start
            parent.has_children = True
            parent.child_start, parent.child_end = row.start, row.end
        state.last_trace, state.last_span_path = trace, path

        self.read_values(row, trace)
        before, event_time = 0, row.start
        for _ in range(self.number_of_children(row, 0, self.paths, EVENTS)):
            event = self.row(EVENT, path, before)
            if START in event.path.schema.ops:
                self.event_time(event, event_time if before else None, row)
                event_time = event.start
            self.read_values(event, trace)
            row.children[0].append(event)
            before = 1 + event.path.number
        for _ in range(self.number_of_children(row, 1, self.paths, LINKS)):
            row.children[1].append(self.link(path, trace))
        self.count(1 + len(row.children[0]) + len(row.children[1]), 1)
        return row

    # Traces

    def trace(self) -> Trace:
        state, section = self.state, self.structure
        last = state.last_trace
        if section.bit(TRACE_SAME, state.last_span_path):
            return last
        if last.next and section.bit(TRACE_NEXT):
            trace = last.next
        elif section.bit(TRACE_NEW, 1 if last.next else 0):
            trace = Trace(len(state.traces), self.new_trace_id())
            state.traces.append(trace)
        else:
            trace = self.trace_back(TRACE_BACK, 0)
        last.next = trace
        return trace

    def trace_back(self, family: int, a: int) -> Trace:
        traces = self.state.traces
        back = self.structure.wide(family, a)
        check(back < len(traces), 'damaged "structure"')
        return traces[len(traces) - 1 - back]

    def id8(self) -> int:
        return int.from_bytes(self.ids.take(8), "big")

    def new_trace_id(self) -> int:
        upper = 0 if self.structure.bit(TRACE_HALF) else self.id8()
        return upper << 64 | self.id8()

    # Ids and mentions

    def ranked(self, mentions: list[Mention], family: int, path: int) -> int:
        """The place in the list of the mention of a rank."""
        rank = self.structure.small(family, path)
        check(rank <= 255 and rank < len(mentions), 'damaged "structure"')
        return len(mentions) - 1 - rank

    def fresh_id(self, trace: Trace, path: int) -> int:
        return trace.id & MASK if self.structure.bit(ID_OF_TRACE, path) else self.id8()

    def own_mention(self, trace: Trace, path: int) -> Mention:
        if trace.awaited and self.structure.bit(OWN_AWAITED, path):
            mention = trace.awaited.pop(self.ranked(trace.awaited, OWN_RANK, path))
            mention.seen = True
        else:
            mention = Mention(self.fresh_id(trace, path), seen=True)
        trace.seen.append(mention)
        return mention

    def parent_mention(self, trace: Trace, path: int) -> Mention:
        if not self.structure.bit(PARENT_KNOWN, path):
            mention = Mention(self.fresh_id(trace, path), seen=False)
            trace.awaited.append(mention)
            return mention
        seen = self.structure.bit(PARENT_SEEN, path)
        mentions = trace.seen if seen else trace.awaited
        mention = mentions.pop(self.ranked(mentions, PARENT_RANK_SEEN if seen else PARENT_RANK, path))
        mentions.append(mention)
        return mention

    # Times

    def read_grains(self, path: Path, n: int) -> None:
        if path.met_in is self:
            return
        path.met_in = self
        for i in range(n):
            guess = path.grains[i] if path.known else self.state.last_grains[i]
            grain = self.times.tree(4, GRAIN, i, 2 * guess + path.known)
            check(grain <= 9, 'damaged "times"')
            path.grains[i] = self.state.last_grains[i] = grain
        path.known = True

    def time(self, family: int, path: Path, costs: list[int], grain: int, bases: list[int | None]) -> int:
        g = int(10**grain)
        divided = [None if base is None else base // g for base in bases]
        v = predicted(costs, divided, lambda base: self.times.signed(family, path.number, base))
        return v * g & MASK

    def span_times(self, row: Row, trace: Trace, own: Mention | None, parent: Mention | None) -> None:
        path = row.path
        self.read_grains(path, 2)
        if START in path.schema.ops:
            bases = [
                path.last_start,
                trace.last_start,
                parent.start if parent and parent.seen else None,
                parent.child_end if parent and parent.has_children else None,
                parent.child_start if parent and parent.has_children else None,
                own.first_start if own and own.has_children else None,
            ]
            row.start = path.last_start = self.time(START_TIME, path, path.start_costs, path.grains[0], bases)
        if END in path.schema.ops:
            bases = [
                0,
                signed64(path.last_length),
                signed64(own.child_end - row.start) if own and own.has_children else None,
            ]
            path.last_length = self.time(LENGTH, path, path.length_costs, path.grains[1], bases)
            row.end = (row.start + path.last_length) & MASK

    def event_time(self, event: Row, before: int | None, span: Row) -> None:
        path = event.path
        self.read_grains(path, 1)
        event.start = self.time(EVENT_TIME, path, path.start_costs, path.grains[0], [before, span.start, span.end])

    # Links

    def link(self, span_path: int, trace: Trace) -> Row:
        row = self.row(LINK, span_path, 0)
        path, ops = row.path.number, row.path.schema.ops
        linked: Trace | None = None
        if TRACE_ID in ops:
            if self.structure.bit(LINK_TRACE, path):
                linked = self.trace_back(LINK_BACK, path)
                row.trace_id = linked.id
            else:
                row.trace_id = self.new_trace_id()
        if SPAN_ID in ops:
            if linked and self.structure.bit(LINK_KNOWN, path):
                mentions = linked.seen if self.structure.bit(LINK_SEEN, path) else linked.awaited
                row.span_id = mentions[self.ranked(mentions, LINK_RANK, path)].id
            else:
                row.span_id = self.id8()
        self.read_values(row, trace)
        return row

    # Values

    def read_values(self, row: Row, trace: Trace | None) -> None:
        path, schema = row.path, row.path.schema
        for slot, atom in enumerate(path.atoms):
            if atom is None:
                self.state.spend(1)
                if schema.modes[slot] == NUMERIC:
                    atom = self.new_value(schema, slot, path)
                else:
                    atom = self.dictionary_value(row, slot, trace)
            row.values.append(atom)

    def dictionary_value(self, row: Row, slot: int, trace: Trace | None) -> Atom:
        schema, memories, section = row.path.schema, self.state.memories, self.values
        class_number = schema.valued[slot].number
        s = slot_name(schema, slot)
        t = (OF_TRACE, class_number, trace.number) if trace else None
        condition = schema.conditions[slot]
        foretelling = row.values[condition - 1].serial if condition else 0
        m = (OF_VALUE, s, foretelling) if foretelling else (OF_PATH, s, row.path.number)
        in_t, in_m = memories.get(t) if t else None, memories.get(m)
        known = self.state.atoms[class_number]
        if in_t and section.bit(HIT1, s):
            atom = in_t
        elif in_m and in_m is not in_t and section.bit(HIT2, s, 1 if in_t else 0):
            atom = in_m
        elif known and section.bit(KNOWN, s):
            atom = known[section.choice(len(known), "values", CHOICE, class_number)]
        else:
            return self.new_value(schema, slot, row.path)
        if t:
            memories[t] = atom
        memories[m] = atom
        return atom

    def new_value(self, schema: Schema, slot: int, path: Path) -> Atom:
        c = schema.valued[slot]
        if c.wire == 2:
            return self.made_atom(c, self.new_text(self.values, self.literals, c.number), 0)
        return self.made_atom(c, self.series(self.values, NUMBER, slot_name(schema, slot), path.number), 0)


def slot_name(schema: Schema, slot: int) -> int:
    """S, the pair of a schema and a slot as one number."""
    return 1024 * schema.number + slot


def signed64(v: int) -> int:
    v &= MASK
    return v - 2**64 if v >= 2**63 else v


WIRE_TYPES = (0, 1, 2, 5)
ATTRIBUTE_TAGS = {2: 0x4A, 3: 0x1A, 4: 0x22, 5: 0x0A, 6: 0x1A}  # by place
COLUMN_TAGS = {  # by op and place
    TRACE_ID: {2: [0x0A], 4: [0x0A]},
    SPAN_ID: {2: [0x12], 4: [0x12]},
    PARENT_ID: {2: [0x22]},
    START: {2: [0x39], 3: [0x09]},
    END: {2: [0x41]},
    CHILDREN: {0: [0x12], 1: [0x12], 2: [0x5A, 0x6A]},
    OPEN: {0: [0x0A], 1: [0x0A]},
    CLOSE: {0: [0x0A], 1: [0x0A]},
    RAW: {2: [0], 3: [0], 4: [0]},
}


def allowed(c: Class) -> bool:
    if c.op == FIELD:
        return c.tag >= 8 and c.tag & 7 in WIRE_TYPES
    if c.op == ATTRIBUTE:
        value = c.any < 2 or (8 <= c.any <= 127 and c.any & 7 in WIRE_TYPES)
        return value and c.tag == ATTRIBUTE_TAGS.get(c.place)
    return c.tag in COLUMN_TAGS[c.op].get(c.place, [])


def orderly(kind: int, classes: list[Class]) -> bool:
    is_open = False
    columns = set()
    for c in classes:
        if c.op <= CHILDREN:
            column = (c.op, c.tag == 0x6A)
            if column in columns:
                return False
            columns.add(column)
        if c.op == RAW and len(classes) > 1:
            return False
        if is_open:
            if c.op == CLOSE:
                is_open = False
            elif c.place != (5 if kind == RESOURCE else 6) or c.op not in (FIELD, ATTRIBUTE, RAW):
                return False
        else:
            if c.place != kind or c.op == CLOSE:
                return False
            is_open = c.op == OPEN
    return not is_open


# --------------------------------------------------------------------------------------------------- records to bytes


def varint(v: int) -> bytes:
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def sized(data: bytes) -> bytes:
    return varint(len(data)) + data


def value_to_bytes(wire: int | None, value: bytes | int) -> bytes:
    if isinstance(value, bytes):
        return sized(value)
    return varint(value) if wire == 0 else value.to_bytes(8 if wire == 1 else 4, "little")


def child_to_bytes(tag: int, row: Row) -> bytes:
    return bytes([tag]) + sized(row_to_bytes(row))


def row_to_bytes(row: Row) -> bytes:
    values: list[bytes | int] = []  # of all slots, also those without a value
    told = iter(row.values)
    for c in row.path.schema.classes:
        values.append(b"" if c.wire is None else next(told).value)
    out = outside = bytearray()
    for slot in row.shape:
        c, value = row.path.schema.classes[slot], values[slot]
        if c.op == TRACE_ID:
            out += bytes([c.tag, 16]) + row.trace_id.to_bytes(16, "big")
        elif c.op in (SPAN_ID, PARENT_ID):
            out += bytes([c.tag, 8]) + (row.span_id if c.op == SPAN_ID else row.parent_id).to_bytes(8, "big")
        elif c.op in (START, END):
            out += bytes([c.tag]) + (row.start if c.op == START else row.end).to_bytes(8, "little")
        elif c.op == CHILDREN:
            for child in row.children[c.tag == 0x6A]:
                out += child_to_bytes(c.tag, child)
        elif c.op == OPEN:
            out = bytearray()
        elif c.op == CLOSE:
            outside += b"\x0a" + sized(bytes(out))
            out = outside
        elif c.op == FIELD:
            out += varint(c.tag) + value_to_bytes(c.wire, value)
        elif c.op == ATTRIBUTE:
            key_value = b"\x0a" + sized(c.key)
            if c.any:
                key_value += b"\x12" + sized(bytes([c.any]) + value_to_bytes(c.wire, value) if c.any >= 8 else b"")
            out += varint(c.tag) + sized(key_value)
        elif isinstance(value, bytes):  # RAW
            out += value
    return bytes(out)
