"""A second decoder of the tracezip format, written from FORMAT.md alone and in its order.

It is slow, and short: an example for somebody who writes a decoder in another language. `decode` gives back the
messages of an archive, with the help of a dictionary if streams of it name one. What is wrong with an archive is a
ValueError that says what, and the offset of the frame at fault.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import deepcopy
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


class Dictionary:
    """An archive whose end is the beginning of other ones."""

    def __init__(self, data: bytes) -> None:
        self.id = checksum(data).to_bytes(4, "little")
        archive = Archive(data, None)
        archive.read(" of the dictionary")
        self.state = archive.taught()


class Stream:
    """What is known of the stream that is being read."""

    def __init__(self, dictionary: Dictionary | None) -> None:
        self.blocks = self.messages = self.spans = self.bytes = 0
        self.open: bytes | None = None  # the parts so far of a message that goes on
        self.dictionary = dictionary
        self.groups = 0
        self.state = State()  # of a stream without blocks, too: it may be a dictionary
        self.group_blocks = self.group_spans = self.group_bytes = 0  # those of the dictionary do not count

    def begin_group(self) -> None:
        self.groups += 1
        self.state = deepcopy(self.dictionary.state) if self.dictionary else State()
        self.group_blocks = self.group_spans = self.group_bytes = 0


def decode(data: bytes, dictionary: bytes | None = None) -> list[bytes]:
    """The messages of all streams of an archive. Any damage, also of the dictionary, raises ValueError."""
    archive = Archive(data, None if dictionary is None else Dictionary(dictionary))
    archive.read("")
    return archive.messages


class Archive:
    def __init__(self, data: bytes, dictionary: Dictionary | None) -> None:
        self.source = Bytes(data, "truncated: the data ends inside a frame")
        self.dictionary = dictionary
        self.messages: list[bytes] = []
        self.streams: list[Stream] = []
        self.stream: Stream | None = None  # the one that has begun and not ended

    def read(self, where: str) -> None:
        offset = 0
        try:
            check(self.source.left() > 0, "truncated: no data")
            while self.source.left():
                offset = self.source.at
                self.read_frame()
            offset = self.source.at
            check(self.stream is None, "truncated: no end record")
        except FormatError as error:
            raise ValueError(f"{error} (offset {offset}{where})") from error

    def read_frame(self) -> None:
        kind, body = read_frame(self.source)
        if kind == HEADER:
            check(self.stream is None, "truncated: a stream begins, and the one before has no end record")
            self.stream = Stream(read_header(Bytes(body, "format: stream header is too short"), self.dictionary))
            self.streams.append(self.stream)
        elif kind == BLOCK:
            if self.stream is None:
                raise FormatError("format: a block outside of a stream")
            self.messages += read_block(self.stream, Bytes(body, "format: block is too short"))
        elif kind == END_RECORD:
            if self.stream is None:
                raise FormatError("format: an end record outside of a stream")
            read_end_record(self.stream, Bytes(body, "format: end record is too short"))
            self.stream = None
        else:
            check(kind & 0x80 != 0, f"unsupported: frame type {kind:02X}")
            check(len(self.streams) > 0, "format: an optional frame before the first stream header")

    def taught(self) -> "State":
        """What a restart group begins with if this archive is its dictionary."""
        fine = len(self.streams) == 1 and self.streams[0].groups <= 1
        if not fine:
            raise ValueError("format: a dictionary is one stream of one restart group (offset 0 of the dictionary)")
        state = self.streams[0].state
        state.forget_traces()
        return state


def read_header(body: Bytes, dictionary: Dictionary | None) -> Dictionary | None:
    """The dictionary with which the restart groups of the stream begin."""
    check(body.uint(1) == 1, "unsupported: format version")
    flags = body.uint(1)
    named = body.take(4) if flags & 1 else None
    check(flags & ~1 == 0, "unsupported: flags of the stream header")
    if body.left():
        check(isinstance(read_fact(body, 0), dict), "format: the facts are not a map")
        check(body.left() == 0, "format: bytes behind the facts")
    known = dictionary.id if dictionary else None
    check(named in (None, known), f"unsupported: without the dictionary {(named or b'').hex()}")
    return dictionary if named else None


def read_end_record(stream: Stream, end: Bytes) -> None:
    told = [end.varint() for _ in range(6)][:4]  # the last two are for readers that begin at the end
    counted = [stream.blocks, stream.messages, stream.spans, stream.bytes]
    check(end.left() == 0, "format: end record is too long")
    check(told == counted, "format: blocks are missing")
    check(stream.open is None, "format: the last part goes on")


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
        stream.begin_group()
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


# ------------------------------------------------------------------------------------------------------ entropy coder


def fresh_starts(m: int) -> list[int]:
    """The starts of the values 1 to 15 of a fresh nibble of m."""
    each = (32_768 - 4 * (16 - m)) // m
    return [i * each if i < m else 32_768 - 4 * (16 - i) for i in range(1, 16)]


FRESH = {m: fresh_starts(m) for m in range(1, 17)}
GOALS = [[4 * i if i <= v else 32_768 - 4 * (16 - i) for i in range(1, 16)] for v in range(16)]


class Context:
    """An array of adaptive nibbles and bits."""

    def __init__(self, nibbles: int, bits: int, m: int) -> None:
        self.starts = [FRESH[m]] * nibbles  # of the values 1 to 15; replaced as a whole, so sharing is fine
        self.seen = [0] * nibbles  # how many values a nibble has seen
        self.p = [1 << 21] * bits  # the probability of a 1, in units of 2^-22
        self.n = [0] * bits  # how many values a bit has seen


class Coded:
    """The decoder of a coded section. Numbers are read in contexts of the state, which are named (family, a, b)."""

    def __init__(self, name: str, data: bytes, state: "State") -> None:
        self.name, self.data, self.state = name, data, state
        n = len(data)
        self.at = n if n <= 4 else 4 - n % 2
        self.x = int.from_bytes(data[: self.at], "little")

    def fill(self) -> None:
        if self.x < 65_536 and self.at < len(self.data):
            self.x = self.x << 16 | self.data[self.at] | self.data[self.at + 1] << 8
            self.at += 2

    def symbol(self, start: int, frequency: int) -> None:
        """Take the symbol that has been found."""
        self.x = frequency * (self.x >> 15) + (self.x & 32_767) - start
        self.fill()

    def bit_at(self, c: Context, i: int) -> int:
        p, n = c.p[i], c.n[i]
        probability = p >> 7 or 1
        bit = int(self.x & 32_767 < probability)
        if bit:
            self.symbol(0, probability)
        else:
            self.symbol(probability, 32_768 - probability)
        rate = 131_072 // (2 * n + 3)
        c.p[i] = p + (((0x3FFFFF if bit else 0) - p) * rate >> 16)
        c.n[i] = min(n + 1, 63)
        return bit

    def nibble_at(self, c: Context, i: int) -> int:
        starts, n = c.starts[i], c.seen[i]
        v = bisect_right(starts, self.x & 32_767)
        start = starts[v - 1] if v else 0
        self.symbol(start, (starts[v] if v < 15 else 32_768) - start)
        rate = 65_536 // (n + 2) if n else 32_767
        c.starts[i] = [s + ((goal - s) * rate >> 16) for s, goal in zip(starts, GOALS[v], strict=True)]
        c.seen[i] = min(n + 1, 62)
        return v

    def raw(self, n: int) -> int:
        """n bits that nothing foretells."""
        value = 0
        while n > 0:
            piece = min(n, 16)
            value = value << piece | self.x & ((1 << piece) - 1)
            self.x >>= piece
            self.fill()
            n -= piece
        return value

    def pair_at(self, c: Context) -> int:
        high = self.nibble_at(c, 0)
        return high << 4 | self.nibble_at(c, 1 + high)

    def bit(self, family: int, a: int = 0, b: int = 0) -> int:
        return self.bit_at(self.state.context(0, 1, family, a, b), 0)

    def nibble(self, family: int, a: int = 0, b: int = 0, m: int = 16) -> int:
        return self.nibble_at(self.state.context(1, 0, family, a, b, m), 0)

    def pair(self, family: int, a: int = 0, b: int = 0) -> int:
        return self.pair_at(self.state.context(17, 0, family, a, b))

    def small(self, family: int, a: int = 0, b: int = 0) -> int:
        c = self.state.context(2, 0, family, a, b)
        v = self.nibble_at(c, 0)
        if v < 15:
            return v
        n = self.nibble_at(c, 1)
        return 14 + (1 << n) + self.raw(n)

    def wide(self, family: int, a: int = 0, b: int = 0) -> int:
        head = self.pair_at(self.state.context(17, 0, family, a, b))
        check(head < 252, 'damaged "number"')
        if head < 4:
            return head
        n = head // 4 - 1
        return (4 + head % 4) << n | self.raw(n)

    def signed(self, family: int, a: int = 0, b: int = 0) -> int:
        """A difference modulo 2^64."""
        c = self.state.context(10, 9, family, a, b)
        v = self.nibble_at(c, 0)
        if v < 7:
            return (0, 1, MASK, 2, MASK - 1, 3, MASK - 2)[v]
        d = self.nibble_at(c, v - 6)
        negative = self.bit_at(c, v - 7)
        if v < 15:
            n = 4 * (v - 7) + d // 4
            s = (4 + d % 4) << n | self.raw(n)
        else:
            check(d < 15, 'damaged "number"')
            n = 34 + 2 * d + self.raw(1)
            s = 1 << n | self.raw(n)
        return -s & MASK if negative else s

    def choice(self, n: int, damaged: str, family: int, a: int = 0, b: int = 0) -> int:
        c = self.state.context(17, 0, family, a, b)  # also if nothing is read
        if n < 2:
            return 0
        k = (n - 1).bit_length()
        t = min(k, 8)
        r = self.nibble_at(c, 1) if t <= 4 else self.pair_at(c)
        r = r << (k - t) | self.raw(k - t)
        check(r < n, f'damaged "{damaged}"')
        return r


# --------------------------------------------------------------------------------------------------------- generators

SPLITMIX, V8_WORDS, V8_DIGITS, MT19937 = range(4)
HALF = {SPLITMIX: 1, V8_WORDS: 2, V8_DIGITS: 16, MT19937: 2}  # from an id of 64 bits to the next


def mix(z: int) -> int:
    z = (z ^ z >> 33) * 0xFF51AFD7ED558CCD & MASK
    z = (z ^ z >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return z ^ z >> 33


@dataclass(eq=False)
class Generator:
    kind: int
    process: int
    told: list[int]  # thread and seed, s0 and s1, or 624 words
    last: int = 0  # the position that was told last
    extent: int = 0
    values: list[int] = field(default_factory=list)  # of V8, as they are handed out

    def value(self, p: int) -> int:
        """A value of V8, 32 bits."""
        while p >= len(self.values):
            s0, s1 = self.told
            made = []
            for _ in range(64):
                made.append(s0 >> 32)
                a = s0 ^ s0 << 23 & MASK
                s0, s1 = s1, a ^ a >> 17 ^ s1 ^ s1 >> 26
            self.told = [s0, s1]
            self.values += reversed(made)
        return self.values[p]

    def word(self, p: int) -> int:
        """A word of MT19937, 32 bits."""
        x = self.told
        while p >= len(x):
            n = len(x) - 624
            y = x[n] & 0x80000000 | x[n + 1] & 0x7FFFFFFF
            x.append(x[n + 397] ^ y >> 1 ^ (0x9908B0DF if y & 1 else 0))
        y = x[p]
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C5680
        y ^= y << 15 & 0xEFC60000
        return y ^ y >> 18

    def id(self, p: int) -> int:
        if self.kind == SPLITMIX:
            thread, seed = self.told
            return mix((seed + p * (0x9E3779B97F4A7C15 + 2 * thread)) & MASK)
        if self.kind == V8_WORDS:
            return self.value(p) << 32 | self.value(p + 1)
        if self.kind == V8_DIGITS:
            return int("".join(f"{self.value(p + i) >> 28:x}" for i in range(16)), 16)
        return self.word(p) | self.word(p + 1) << 32

    def trace_id(self, p: int) -> int:
        halves = self.id(p), self.id((p + HALF[self.kind]) & MASK)
        upper, lower = reversed(halves) if self.kind == MT19937 else halves
        return upper << 64 | lower


Origin = tuple[Generator, int]  # and a position


# ---------------------------------------------------------------------------------------------------------- the state

# Families of contexts and of other named things.
PATH, ANY_PATH, RECENT2, RECENT1 = 0, 5, 10, 15
TRACE, TRACE_BACK, OWN, OWN_RANK, PARENT, PARENT_SEEN, PARENT_RANK = 20, 21, 22, 23, 24, 25, 26
LINK_TRACE, LINK_BACK, LINK_KNOWN, LINK_SEEN, LINK_RANK = 27, 28, 29, 30, 31
GRAIN, START_TIME, EVENT_TIME, LENGTH = 32, 33, 34, 35
OF_TRACE, OF_PATH, OF_VALUE = 36, 37, 38
HOLE, CHOICE, NUMBER, ORDER = 39, 40, 41, 43
EVENTS, LINKS, SPANS, SCOPES, MESSAGE = 44, 45, 46, 47, 48
TEXT, TEXT_LENGTH, SKELETON, FIELD_NUMBER, FIELD_WIDTH, UUID = 49, 50, 51, 52, 54, 55
COUNT, STRING_KNOWN, STRING, CLASS, CLASS_NEW = 56, 57, 58, 59, 60
SLOT_MODE, SLOT_CONDITION, SHAPE, SCHEMA, SAME, ATOM_KNOWN, ATOM, VALUE = 61, 62, 63, 64, 65, 66, 67, 68
GENERATOR, NEW_TRACE_ID, FROM, PROCESS, GENERATOR_RANK, POSITION = 69, 70, 71, 72, 73, 74

HERE = FilePath(__file__).parent
PRESET_FILES = (HERE / "_preset.txt", HERE.parent / "tracezip" / "_preset.txt")
PRESET = next(file for file in PRESET_FILES if file.exists()).read_bytes().split(b"\n")[:-1]

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
    start_costs: list[int] = field(default_factory=lambda: [0] * 7)
    length_costs: list[int] = field(default_factory=lambda: [0] * 4)
    grains: list[int] = field(default_factory=lambda: [0, 0])
    known: bool = False
    met_in: int = 0  # the number of the block in which the clock was met last


@dataclass(eq=False)
class Mention:
    seen: bool
    id: int = 0
    has_children: bool = False
    origin: Origin | None = None  # of its id
    child: Origin | None = None  # of the id of its last child
    start: int = 0
    length: int = 0
    first_start: int = 0
    child_start: int = 0
    child_end: int = 0
    last_end: int = 0


@dataclass(eq=False)
class Trace:
    number: int
    id: int
    next: "Trace | None" = None
    last_start: int = 0
    last_path: int | None = None
    origin: Origin | None = None
    awaited: list[Mention] = field(default_factory=list)  # the front is the end of the list
    seen: list[Mention] = field(default_factory=list)


class State:
    """What lives as long as a restart group."""

    def __init__(self) -> None:
        self.forget_traces()
        self.blocks = 0  # also those of the dictionary
        self.contexts: dict[Name, Context] = {}
        self.shared: dict[tuple[int, int], Context] = {}
        self.size_of_contexts = 0
        self.recents: defaultdict[Name, Recent] = defaultdict(Recent)
        self.series: defaultdict[Name, Series] = defaultdict(Series)
        self.strings = list(PRESET)
        self.skeletons: list[bytes] = []
        self.uuids: list[str] = []  # 32 digits each
        self.last_uuids: dict[tuple[int, int], str] = {}  # by skeleton# and field
        self.classes: list[Class] = []
        self.known_classes: set[Class] = set()
        self.atoms: defaultdict[int, list[Atom]] = defaultdict(list)  # by class#
        self.serials = 0
        self.schemas: list[Schema] = []
        self.known_schemas: set[object] = set()
        self.paths: list[Path] = []
        self.paths_of: list[list[Path]] = [[] for _ in range(5)]  # by kind
        self.known_paths: set[object] = set()
        self.valued_slots = 0
        self.last_grains = [0, 0]
        self.last_span_path = 0

    def forget_traces(self) -> None:
        """Empty what no dictionary leaves: all that is about single traces, and the budget."""
        self.memories: dict[Name, Atom] = {}
        self.generators: list[Generator] = []
        self.processes: list[list[Generator]] = []  # the one that was not used for longest first
        self.extents = 0
        self.traces = [Trace(0, 0)]
        self.last_trace = self.traces[0]
        self.budget = 1 << 21

    def context(self, nibbles: int, bits: int, family: int, a: int, b: int, m: int = 16) -> Context:
        name = (family, a, b)
        if name in self.contexts:
            return self.contexts[name]
        size = 8 * nibbles + bits
        full = self.size_of_contexts + size > 1 << 23
        if full and (family, size) in self.shared:
            return self.shared[family, size]
        context = Context(nibbles, bits, m)
        self.size_of_contexts += size
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
        self.resource_path = 0  # path of the resource spans around
        self.last_resource_path = 0  # 1 + path of the resource spans before, or 0
        self.parts: list[tuple[bytes, bool]] = []

    def decode(self) -> "Block":
        self.state.blocks += 1
        self.state.budget += 8 * self.size
        self.definitions()
        messages = self.messages()
        for plain in self.plain:
            check(plain.left() == 0, plain.short)
        for coded in self.coded:
            check(coded.at == len(coded.data) and coded.x == 0, f'damaged "{coded.name}"')
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
        if kind == 1:
            h = self.uuid(section, skeleton, number)
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

    def uuid(self, section: Coded, skeleton: int, number: int) -> str:
        uuids, last = self.state.uuids, self.state.last_uuids
        told = section.nibble(FIELD_NUMBER, skeleton, number, m=3)
        uuid: str | None = None
        if told == 0:
            version, variant = section.nibble(UUID, 1), section.nibble(UUID, 2)
            h = self.binary.take(15).hex()  # digits 0 to 11, 13, 17, 14 to 15, 18 to 31
            uuid = f"{h[:12]}{version:x}{h[12]}{h[14:16]}{variant:x}{h[13]}{h[16:]}"
            uuids.append(uuid)
        elif told == 1:
            uuid = last.get((skeleton, number))
        elif told == 2 and uuids:
            uuid = uuids[section.choice(len(uuids), "text", UUID, 0)]
        if uuid is None:
            raise FormatError('damaged "text"')
        last[skeleton, number] = uuid
        return uuid

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
            self.define_generator,
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
        kind = self.tree.nibble(SCHEMA, 0, m=5)
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
        state.valued_slots += len(schema.valued)
        check(state.valued_slots <= 1 << 26, 'limit "tree"')
        state.schemas.append(schema)
        self.read_modes(schema)

    def class_after(self, before: int) -> Class:
        state = self.state
        recent = state.recents[CLASS, before, 0]
        told = self.tree.nibble(CLASS, recent.run, m=4)
        number: int | None = None
        if told <= 1:
            number = recent.second if told else recent.first
        elif told == 2 and state.classes:
            number = 1 + self.tree.choice(len(state.classes), "tree", CLASS, 16)
        elif told == 3:
            number = self.new_class()
        if number is None:
            raise FormatError('damaged "tree"')
        recent.learn(number)
        return state.classes[number - 1]

    def new_class(self) -> int:
        state = self.state
        state.spend(4)
        place = self.tree.nibble(CLASS_NEW, 0, m=11)
        op = self.tree.nibble(CLASS_NEW, 1, place, m=11)
        tag = self.tree.wide(CLASS_NEW, 2, 256 * place + op)
        check(place <= 6 and op <= 10 and tag < 1 << 32, 'damaged "tree"')
        key_number, key, any_tag = -1, b"", 0
        if op == ATTRIBUTE:
            key_number = self.defined_string(0, 0)
            key = state.strings[key_number]
            any_tag = self.tree.pair(CLASS_NEW, 3, place)
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
            schema.modes[i] = self.tree.nibble(SLOT_MODE, m=3)
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
        schema = self.chosen_schema(0)
        n = len(schema.classes)
        self.state.spend(4 + n)
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
        schema = self.chosen_schema(1)
        state.spend(4 + len(schema.valued))
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
        check(len(state.paths) < 1 << 24, 'limit "tree"')
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

    def define_generator(self) -> None:
        state = self.state
        check(len(state.generators) < 1_023, 'limit "tree"')
        if not (state.generators and self.tree.bit(GENERATOR, 2)):
            state.processes.append([])
        kind = self.tree.nibble(GENERATOR, 0, m=4)
        check(kind <= 3, 'damaged "tree"')
        if kind == SPLITMIX:
            thread = self.tree.wide(GENERATOR, 1)
            check(thread < 1 << 32, 'damaged "tree"')
            told = [thread, self.id8()]
        elif kind == MT19937:
            words = self.ids.take(4 * 624)
            told = [int.from_bytes(words[i : i + 4], "big") for i in range(0, 4 * 624, 4)]
        else:
            told = [self.id8(), self.id8()]
        generator = Generator(kind, len(state.processes) - 1, told)
        state.generators.append(generator)
        state.processes[-1].append(generator)

    # Generated ids

    def generated(self, role: int, path: int, near: Sequence[Origin | None], halves: int = 1) -> Origin:
        state, section = self.state, self.structure
        told = section.nibble(FROM, role, path, m=4)
        check(told <= 3, 'damaged "structure"')
        if told == 3:
            check(len(state.processes) > 0, 'damaged "structure"')
            process = section.choice(len(state.processes), "structure", PROCESS, role, path)
            generators = state.processes[process]
            generator = generators[section.choice(len(generators), "structure", GENERATOR_RANK, process)]
            base = generator.last
        else:
            origin = near[told]
            if origin is None:
                raise FormatError('damaged "structure"')
            generator, base = origin
        position = (base + section.signed(POSITION, 4 * role + told, path)) & MASK
        if generator.kind != SPLITMIX:
            extent = max(generator.extent, position + halves * HALF[generator.kind])
            state.extents += extent - generator.extent
            generator.extent = extent
            check(state.extents <= 1 << 22 and position <= 1 << 22, 'damaged "ids"')
        generator.last = position
        state.processes[generator.process].remove(generator)
        state.processes[generator.process].append(generator)
        return generator, position

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
        if r2.first is not None:
            r = r2.run
        elif r1.first is not None:
            r = 16 + r1.run
        else:
            r = 32
        told = section.nibble(PATH + kind, r, m=5)
        number: int | None = None
        if told <= 3:
            number = (r2.first, r2.second, r1.first, r1.second)[told]
        elif told == 4 and state.paths_of[kind]:
            paths = state.paths_of[kind]
            number = paths[section.choice(len(paths), "paths", ANY_PATH + kind)].number
        if number is None:
            raise FormatError('damaged "paths"')
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
        self.resource_path = row.path.number
        self.last_resource_path = 1 + self.resource_path
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
        own, own_told = self.own_mention(trace, path) if SPAN_ID in ops else (None, -1)
        parent = self.parent_mention(trace, path, own) if PARENT_ID in ops else None
        if own and own_told <= 2:
            near = (parent.child, parent.origin, trace.origin) if parent else (None, None, trace.origin)
            own.id, own.origin = self.id_value(own_told, trace, 0, path, near)
        if own and parent:
            parent.child = own.origin
        row.span_id, row.parent_id = own.id if own else 0, parent.id if parent else 0
        self.span_times(row, trace, own, parent, sent_before=own_told == 14)
        # The span is learnt.
        trace.last_start, trace.last_path = row.start, path
        if own:
            own.start, own.length = row.start, (row.end - row.start) & MASK
        if parent:
            if not parent.has_children:
                parent.first_start = row.start
            parent.has_children = True
            parent.child_start, parent.child_end = row.start, row.end
            if parent.last_end == 0 or 1 <= (row.end - parent.last_end) & MASK < 1 << 63:
                parent.last_end = row.end
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
        told = section.nibble(TRACE, state.last_span_path)
        if told == 0:
            return last
        if told == 1:
            if last.next is None:
                raise FormatError('damaged "structure"')
            trace = last.next
        elif told == 2:
            trace_id, origin = self.new_trace_id()
            trace = Trace(len(state.traces), trace_id, origin=origin)
            state.traces.append(trace)
        else:
            trace = self.trace_back(told - 3 if told < 15 else 12 + section.wide(TRACE_BACK))
        last.next = trace
        return trace

    def trace_back(self, back: int) -> Trace:
        traces = self.state.traces
        check(back < len(traces), 'damaged "structure"')
        return traces[len(traces) - 1 - back]

    def id8(self) -> int:
        return int.from_bytes(self.ids.take(8), "big")

    def new_trace_id(self) -> tuple[int, Origin | None]:
        told = self.structure.nibble(NEW_TRACE_ID, self.resource_path, m=4)
        check(told <= 3, 'damaged "structure"')
        if told <= 1:
            upper = self.id8() if told == 0 else 0
            return upper << 64 | self.id8(), None
        halves = 2 if told == 2 else 1
        generator, position = self.generated(2, self.resource_path, (None, None, None), halves)
        return generator.trace_id(position) if halves == 2 else generator.id(position), (generator, position)

    # Ids and mentions

    def ranked(self, mentions: list[Mention], rank: int) -> int:
        """The place in the list of the mention of a rank."""
        check(rank <= 255 and rank < len(mentions), 'damaged "structure"')
        return len(mentions) - 1 - rank

    def id_value(
        self, told: int, trace: Trace, role: int, path: int, near: Sequence[Origin | None]
    ) -> tuple[int, Origin | None]:
        """The value of a fresh id, and its origin."""
        if told == 0:
            return self.id8(), None
        if told == 1:
            return trace.id & MASK, trace.origin
        generator, position = self.generated(role, path, near)
        return generator.id(position), (generator, position)

    def own_mention(self, trace: Trace, path: int) -> tuple[Mention, int]:
        """The mention, and how it was told: the value of a fresh id comes later."""
        told = self.structure.nibble(OWN, path)
        if told <= 2:
            mention = Mention(seen=True)
        elif told == 14:
            mention = trace.seen.pop(self.ranked(trace.seen, self.structure.small(OWN_RANK, path, 1)))
        else:
            rank = told - 3 if told < 15 else 11 + self.structure.small(OWN_RANK, path, 0)
            mention = trace.awaited.pop(self.ranked(trace.awaited, rank))
            mention.seen = True
        trace.seen.append(mention)
        return mention, told

    def parent_mention(self, trace: Trace, path: int, own: Mention | None) -> Mention:
        told = self.structure.nibble(PARENT, path)
        if told <= 2:
            mention = Mention(seen=False)
            near = (own.origin, own.child, trace.origin) if own else (None, None, trace.origin)
            mention.id, mention.origin = self.id_value(told, trace, 1, path, near)
            trace.awaited.append(mention)
            return mention
        if told < 15:
            seen, rank = told >= 9, (told - 3) % 6
        else:
            seen = bool(self.structure.bit(PARENT_SEEN, path))
            rank = 6 + self.structure.small(PARENT_RANK, path, int(seen))
        mentions = trace.seen if seen else trace.awaited
        mention = mentions.pop(self.ranked(mentions, rank))
        mentions.append(mention)
        return mention

    # Times

    def read_grains(self, path: Path, n: int) -> None:
        if path.met_in == self.state.blocks:
            return
        path.met_in = self.state.blocks
        for i in range(n):
            guess = path.grains[i] if path.known else self.state.last_grains[i]
            grain = self.times.nibble(GRAIN, i, 2 * guess + path.known, m=10)
            check(grain <= 9, 'damaged "times"')
            path.grains[i] = self.state.last_grains[i] = grain
        path.known = True

    def time(self, family: int, path: Path, costs: list[int], grain: int, bases: list[int | None]) -> int:
        g = int(10**grain)
        divided = [None if base is None else base // g for base in bases]
        v = predicted(costs, divided, lambda base: self.times.signed(family, path.number, base))
        return v * g & MASK

    def span_times(
        self, row: Row, trace: Trace, own: Mention | None, parent: Mention | None, sent_before: bool
    ) -> None:
        path = row.path
        self.read_grains(path, 2)
        if START in path.schema.ops:
            bases = [
                path.last_start,
                None if trace.last_path is None else trace.last_start,
                parent.start if parent and parent.seen else None,
                parent.child_end if parent and parent.has_children else None,
                parent.child_start if parent and parent.has_children else None,
                own.first_start if own and own.has_children else None,
                own.start if own and sent_before else None,
            ]
            row.start = path.last_start = self.time(START_TIME, path, path.start_costs, path.grains[0], bases)
        if END in path.schema.ops:
            bases = [
                0,
                signed64(path.last_length),
                signed64(own.last_end - row.start) if own and own.has_children else None,
                signed64(own.length) if own and sent_before else None,
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
                linked = self.trace_back(self.structure.wide(LINK_BACK, path))
                row.trace_id = linked.id
            else:
                row.trace_id, _ = self.new_trace_id()
        if SPAN_ID in ops:
            if linked and self.structure.bit(LINK_KNOWN, path):
                mentions = linked.seen if self.structure.bit(LINK_SEEN, path) else linked.awaited
                row.span_id = mentions[self.ranked(mentions, self.structure.small(LINK_RANK, path))].id
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
        told = section.nibble(HOLE, s, bool(in_t) + 2 * (in_m is not None and in_m is not in_t), m=4)
        if told == 3:
            return self.new_value(schema, slot, row.path)
        atom: Atom | None = None
        if told <= 1:
            atom = in_m if told else in_t
        elif told == 2 and known:
            atom = known[section.choice(len(known), "values", CHOICE, class_number, 1 + row.path.number)]
        if atom is None:
            raise FormatError('damaged "values"')
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
