"""Makes the golden files: `python tests/golden/make.py`. Tests never run this; they read what is there.

A recipe is a function whose docstring is its sentence in README.md. Files of a published version of the format are kept
for ever: then recipes are added, and none is changed.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from archives import (  # noqa: E402
    BLOCK,
    END,
    HEADER,
    INDEX,
    MARKER,
    MESSAGES,
    Frame,
    archive,
    chained,
    field,
    frame,
    frames,
    message,
    pack,
    span,
    varint,
)
from full_trace import full_trace  # noqa: E402
from id_makers import (  # noqa: E402
    GO,
    JAVA,
    JAVASCRIPT,
    RUBY,
    GoRand,
    Row,
    browser_page,
    go_int63,
    go_reader,
    java_thread,
    merged,
    node_process,
    python_process,
    ruby_process,
    spans,
)
from otlp_maker import Maker, fixed64, overlong  # noqa: E402

import tracezip  # noqa: E402
from tracezip import limits  # noqa: E402

README_HEAD = """# Golden files

Made by `make.py` from readable recipes; never by a test, and never to make a test pass. What they hold is read for
ever.

- `good/NAME.tzip` decodes to the messages of `good/NAME.messages`, each behind its length (4 bytes, big-endian).
- `taught/NAME.tzip` does likewise, with `good/dictionary.tzip` as its dictionary.
- `bad/NAME.tzip` and `unsupported/NAME.tzip` end in the error that `errors.json` names: its class, its code, and the
  offset of the frame at fault.
"""

TITLES = {
    "good": "Good: what is read",
    "taught": "Taught: what is read with a dictionary",
    "bad": "Bad: what is refused",
    "unsupported": "Unsupported: what a newer version may read",
}


class Good(NamedTuple):
    messages: Sequence[bytes]
    data: bytes


class Bad(NamedTuple):
    error: str
    code: str
    offset: int
    data: bytes


Recipe = TypeVar("Recipe", bound=Callable[[], Good | Bad])
recipes: dict[str, Callable[[], Good | Bad]] = {}


def into(folder: str) -> Callable[[Recipe], Recipe]:
    def register(recipe: Recipe) -> Recipe:
        recipes[f"{folder}/{recipe.__name__}"] = recipe
        return recipe

    return register


@contextmanager
def small_parts() -> Iterator[None]:
    """Messages are cut, and blocks are written, at a few hundred bytes."""
    with mock.patch.multiple(limits, PART_BYTES=300, BLOCK_BYTES=300):
        yield


def wrapped(*spans: bytes) -> bytes:
    resource = field(1, field(1, field(1, "service.name") + field(2, field(1, "checkout"))))
    return field(1, resource + field(2, field(1, field(1, "tests")) + b"".join(field(2, one) for one in spans)))


def text_attribute(key: str, value: str) -> bytes:
    return field(9, field(1, key) + field(2, field(1, value)))


# --- good -------------------------------------------------------------------------------------------------------------


@into("good")
def no_messages() -> Good:
    """A stream header and an end record, and no message between them."""
    return Good([], tracezip.Compressor().finish())


@into("good")
def empty_messages() -> Good:
    """Three messages of no bytes: in a block there are parts, but no records."""
    return Good([b""] * 3, archive([b""] * 3, flush=False))


@into("good")
def one_span() -> Good:
    """One small message in one block: a span with ids, a name and a start."""
    return Good([message(0, 1)], tracezip.compress(message(0, 1)))


@into("good")
def every_field() -> Good:
    """Every field of the protocol, the newest included, in a message that occurs twice."""
    content = full_trace().SerializeToString(deterministic=True)
    return Good([content, content], archive([content, content], flush=False))


@into("good")
def empty_sub_messages() -> Good:
    """Resource, scope and status that are there and empty, as Go's encoder writes them."""
    spans = b"".join(field(2, span(number) + field(15, b"")) for number in range(4))
    content = field(1, field(1, b"") + field(2, field(1, b"") + spans))
    return Good([content], tracezip.compress(content))


@into("good")
def odd_wire() -> Good:
    """Legal and odd: other orders, doubled and unknown fields, long varints, odd ids, invalid UTF-8, NaN payloads."""
    first = span(1)
    odd = [
        fixed64(7, 5) + first,
        first + field(5, b"\xff\xfe") * 2,
        first + varint(99 << 3) + varint(7),
        first + b"\x30" + overlong(2),
        field(1, b"short") + field(2, b""),
        first + field(9, field(1, "x") + field(2, fixed64(4, 0x7FF8 << 48 | 1))),
        first + varint(99 << 3 | 3) + varint(99 << 3 | 4),
        first + field(9, field(1, "a") + field(2, field(5, field(1, field(6, field(1, field(1, "b")))))))
        + fixed64(8, (1 << 64) - 1),
    ]  # fmt: skip
    return Good([wrapped(*odd)], tracezip.compress(wrapped(*odd)))


@into("good")
def no_protobuf() -> Good:
    """Bytes that are no protobuf: text, noise, a message that is cut off, a length that is too large."""
    noise = random.Random(1).randbytes(40)
    contents = [
        b"no protobuf at all",
        noise,
        MESSAGES[0][:-3],
        b"\x0a\x7f",
        b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    ]
    return Good(contents, archive(contents, flush=False))


@into("good")
def texts() -> Good:
    """Texts with decimal, hexadecimal and UUID fields, which are kept in binary, and texts that only look like it."""
    r = random.Random(2)
    spans = []
    for number in range(24):
        uuid = f"{r.getrandbits(32):08x}-4567-e89b-12d3-{r.getrandbits(48):012x}"
        values = (
            f"user/{number}",
            f"order {9 * number:06}",
            uuid,
            f"{r.getrandbits(128):032x}",
            f"{2**64 - 2 + number % 3}",
        )
        spans.append(span(number) + b"".join(map(text_attribute, "abcde", values)))
    return Good([wrapped(*spans)], tracezip.compress(wrapped(*spans)))


@into("good")
def events_and_links() -> Good:
    """Spans with parents, events and links; some of them refer to spans of an earlier message of the restart group."""
    maker, contents = Maker(4, 0), []
    for _ in range(3):
        contents.append(b"".join(field(1, maker.resource_spans()) for _ in range(3)))
    return Good(contents, b"".join(chained(contents)))


@into("good")
def uuids() -> Good:
    """UUIDs that are new, that come again in the same field, and that other fields have had."""
    r = random.Random(6)
    users = [str(uuid.UUID(int=r.getrandbits(128), version=4)) for _ in range(3)]
    odd = "00000000-0000-0000-0000-00000000000f"
    values = [f"/users/{user}/carts/{cart}" for user in users for cart in (users[0], odd, user)]
    attributes = [text_attribute("path", value) + text_attribute("id", value[7:43]) for value in values]
    messages = [wrapped(*(span(i) + attribute for i, attribute in enumerate(attributes)))] * 2
    return Good(messages, archive(messages, dictionary_threshold=5))


@into("good")
def spans_sent_again() -> Good:
    """A message that comes twice in a restart group, and one of its spans a third time, later and longer."""
    parent, child = span(4), span(5) + field(4, struct.pack(">Q", 5))
    again = child + b"\x41" + struct.pack("<Q", 10**18 + 700)
    messages = [wrapped(child, parent), wrapped(child, parent), wrapped(again)]
    return Good(messages, b"".join(chained(messages)))


def with_ids(rows: Sequence[Row]) -> bytes:
    """A message of one resource whose spans have these ids and starts; a trace id of zeros is left out."""

    def of(row: Row) -> bytes:
        trace_id = field(1, struct.pack(">QQ", row.hi, row.lo)) if row.lo else b""
        parent = field(4, struct.pack(">Q", row.parent)) if row.parent else b""
        return trace_id + field(2, struct.pack(">Q", row.id)) + parent + b"\x39" + struct.pack("<Q", row.start)

    return wrapped(*map(of, rows))


@into("good")
def ids_of_java() -> Good:
    """Ids of four threads of a JVM and of one of Java 17, in two blocks of a restart group; some traces of 64 bits."""
    threads = [spans(0, java_thread(i), 24, JAVA, begin=i) for i in range(3)]
    threads += [spans(0, java_thread(3), 24, ("lo", "id"), begin=3), spans(0, java_thread(4, 77), 24, JAVA, begin=4)]
    rows = merged(*threads)
    messages = [with_ids(rows[:80]), with_ids(rows[80:])]
    return Good(messages, b"".join(chained(messages)))


@into("good")
def ids_of_javascript() -> Good:
    """Ids of a Node.js process with other draws between them, and of three browser pages."""
    node = spans(0, node_process(1, 0.3), 60, JAVASCRIPT)
    pages = merged(*(spans(1, browser_page(i), 8, JAVASCRIPT, begin=i) for i in range(3)))
    messages = [with_ids(node), with_ids(pages), with_ids(node[::-1])]
    return Good(messages, b"".join(chained(messages, level=9)))


@into("good")
def ids_of_python() -> Good:
    """Ids of a CPython process: once enough of them have come, the others are told by its MT19937."""
    process = python_process(1)
    rows = [Row(10 * i, process.draw(), 1, 0, 0, 0) for i in range(1_500)]
    messages = [with_ids(rows[:1_000]), with_ids(rows[1_000:])]
    return Good(messages, b"".join(chained(messages)))


@into("good")
def ids_of_ruby() -> Good:
    """Ids of a Ruby process, of which the bytes are those of the words of MT19937."""
    rows = spans(0, ruby_process(1), 1_500, RUBY, in_trace=50)
    messages = [with_ids(rows[:1_100]), with_ids(rows[1_100:])]
    return Good(messages, b"".join(chained(messages)))


@into("good")
def ids_of_go() -> Good:
    """Ids of two Go processes, told by their seeds: bytes of Read, and numbers of Int63 with traces of 64 bits."""
    read = spans(0, go_reader(1, 700), 900, GO, in_trace=9)
    int63 = [row._replace(hi=0) for row in spans(1, go_int63(2), 900, ("lo", "id"))]
    messages = [with_ids(read[:800]), with_ids(int63[:800]), with_ids(read[800:]), with_ids(int63[800:])]
    return Good(messages, b"".join(chained(messages)))


@into("good")
def ids_of_go_without_a_seed() -> Good:
    """Ids of a Go process that has drawn so many before that its words are told."""
    source = GoRand(3)
    source.register[5] ^= 1  # as far from every seed as if it had
    rows = [Row(10 * i, source.int63(), 1, 0, 0, 0) for i in range(1_500)]
    messages = [with_ids(rows[:1_000]), with_ids(rows[1_000:])]
    return Good(messages, b"".join(chained(messages)))


@into("good")
def muddle() -> Good:
    """Thirty generated messages in which a third of everything is unusual, the first ten in blocks of their own."""
    maker = Maker(5, 33)
    contents = [maker.message() for _ in range(30)]
    return Good(contents, archive(contents[:10]) + archive(contents[10:], flush=False))


@into("good")
def compressed_sections() -> Good:
    """Long texts, so that sections are compressed with zstd."""
    statement = (
        "select id, name, price from products where category = 'telescopes' and price < 100 order by name limit "
    )
    spans = [span(i) + text_attribute(f"statement {i}", f"{statement}{i}; -- {statement.upper()}") for i in range(6)]
    return Good([wrapped(*spans)], tracezip.compress(wrapped(*spans), 9))


@into("good")
def chained_blocks() -> Good:
    """Six messages in one restart group of six blocks that build on each other."""
    return Good(MESSAGES, b"".join(chained()))


@into("good")
def restart_groups() -> Good:
    """Two restart groups of three blocks each in one stream."""
    with mock.patch.object(limits, "MAX_GROUP_BLOCKS", 3):
        return Good(MESSAGES, b"".join(chained()))


@into("good")
def blocks_that_stand_alone() -> Good:
    """Six messages in six blocks, each of them a restart group, with every string in the dictionary."""
    return Good(MESSAGES, archive(dictionary_threshold=1))


@into("good")
def message_in_parts() -> Good:
    """A message that goes on through several blocks, between two that do not, and noise that is cut anywhere."""
    contents = [MESSAGES[0], b"".join(MESSAGES), MESSAGES[1], random.Random(3).randbytes(1000)]
    with small_parts():
        return Good(contents, archive(contents, flush=False))


@into("good")
def wrapped_parts() -> Good:
    """A ResourceSpans that is cut between its spans: parts whose resource and scope are told but not given out."""
    content = message(0, 20)
    with small_parts():
        return Good([content], tracezip.compress(content))


@into("good")
def concatenated_with_metadata() -> Good:
    """Three archives one after the other, each with other facts in its header."""
    both = archive(MESSAGES[:2], metadata={"container": "json", "n": [1, -1.5, None, True, b"\xff", {"k": "v"}]})
    return Good(MESSAGES[:4], both + tracezip.Compressor().finish() + archive(MESSAGES[2:4], metadata={"other": 1}))


@contextmanager
def small_units() -> Iterator[None]:
    """Blocks, units and index frames are written after a few spans."""
    with mock.patch.multiple(limits, BLOCK_SPANS=3, UNIT_SPANS=5, INDEX_UNITS=2):
        yield


@into("good")
def index() -> Good:
    """Two index frames, which tell of units of two blocks each; one unit has a raw span and so no summary."""
    contents = [message(number, 2, f"GET /{number % 5}") for number in range(10)]
    contents[3] = wrapped(b"\xff" * 9)
    with small_units():
        return Good(contents, archive(contents, flush=False))


@into("good")
def index_of_noise() -> Good:
    """An index frame that holds noise, and an end record that gives a wrong place for it: both are for seekers only."""
    with small_units():
        parts = list(frames(archive(MESSAGES, flush=False)))
    noise = Frame(INDEX, random.Random(3).randbytes(90), 0, 0)
    counts = (3, 6, 12, sum(map(len, MESSAGES)))
    end = Frame(END, b"".join(map(varint, (*counts, 7, 9))), 0, 0)
    return Good(MESSAGES, pack([*(noise if part.kind == INDEX else part for part in parts[:-1]), end]))


@into("good")
def unknown_optional_parts() -> Good:
    """Optional frames of kinds that do not exist yet, everywhere but in front."""
    extra = Frame(0x80 | ord("x"), b"from the future", 0, 0)
    data = pack(part for known in frames(archive(MESSAGES[:3])) for part in (known, extra, extra))
    return Good(MESSAGES[:3], data)


@into("good")
def unknown_facts() -> Good:
    """A header with facts that do not exist yet."""
    body = b"\x01\x00\x82\xa5later\x92\x01\x81\xa1x\xc4\x01y\xa8metadata\x80"
    return Good(MESSAGES[:2], pack([Frame(HEADER, body, 0, 0), *list(frames(archive(MESSAGES[:2])))[1:]]))


@into("good")
def dictionary() -> Good:
    """A dictionary, which is an archive too: twenty generated messages in one block, some of them unusual."""
    maker = Maker(11, oddity=3)
    contents = [*MESSAGES, *(maker.message() for _ in range(20))]
    return Good(contents, archive(contents, flush=False))


# --- taught -----------------------------------------------------------------------------------------------------------


@into("taught")
def messages_like_the_samples() -> Good:
    """Messages like those of the dictionary, and one of them again, in blocks that stand alone."""
    maker = Maker(11, oddity=3)
    contents = [*[maker.message() for _ in range(26)][20:], MESSAGES[1]]
    return Good(contents, archive(contents, dictionary=tracezip.Dictionary(dictionary().data)))


@into("taught")
def stream_that_begins_taught() -> Good:
    """Two restart groups of blocks that build on each other; both begin with the dictionary."""
    taught = tracezip.Dictionary(dictionary().data)
    with mock.patch.object(limits, "MAX_GROUP_BLOCKS", 3):
        return Good(MESSAGES, b"".join(chained(dictionary=taught)))


@into("taught")
def with_and_without() -> Good:
    """Two archives one after the other, of which only the second needs the dictionary."""
    taught = tracezip.Dictionary(dictionary().data)
    return Good(MESSAGES[:2], tracezip.compress(MESSAGES[0]) + tracezip.compress(MESSAGES[1], dictionary=taught))


# --- bad --------------------------------------------------------------------------------------------------------------

PARTS = list(frames(archive(MESSAGES[:3])))
DATA = pack(PARTS)
BEGIN = frame(HEADER, b"\x01\x00")


def with_body(index: int, change: Callable[[bytearray], object]) -> bytes:
    """The small archive with one frame's body changed, under a right checksum."""
    body = bytearray(PARTS[index].body)
    change(body)
    return pack([*PARTS[:index], PARTS[index]._replace(body=bytes(body)), *PARTS[index + 1 :]])


def flip(at: int) -> Callable[[bytearray], object]:
    return lambda body: body.__setitem__(at, body[at] ^ 1)


def block(n_parts: int = 1, n_spans: int = 0, n_bytes: int = 0, sections: bytes = b"\x00") -> bytes:
    numbers = varint(n_parts) + varint(n_spans) + varint(n_bytes)
    return frame(BLOCK, b"\x01" + numbers + bytes(4) + sections)


@into("bad")
def nothing() -> Bad:
    """A file of no bytes."""
    return Bad("TruncatedError", "truncated", 0, b"")


@into("bad")
def no_archive() -> Bad:
    """A file of another kind."""
    return Bad("FormatError", "format", 0, b"PK\x03\x04" + bytes(40))


@into("bad")
def cut_in_a_frame() -> Bad:
    """An archive that ends inside its second block."""
    return Bad("TruncatedError", "truncated", PARTS[2].offset, DATA[: PARTS[2].end - 1])


@into("bad")
def cut_between_frames() -> Bad:
    """An archive that ends behind a block, without end record."""
    return Bad("TruncatedError", "truncated", PARTS[2].end, DATA[: PARTS[2].end])


@into("bad")
def second_stream_cut() -> Bad:
    """Two streams, of which the first has no end record."""
    return Bad("TruncatedError", "truncated", PARTS[-1].offset, DATA[: PARTS[-1].offset] + DATA)


@into("bad")
def flipped_bit() -> Bad:
    """One bit of the second block is another."""
    data = bytearray(DATA)
    data[PARTS[2].offset + 12] ^= 1
    return Bad("ChecksumError", "checksum", PARTS[2].offset, bytes(data))


@into("bad")
def wrong_checksum_of_parts() -> Bad:
    """A block whose frame is whole and whose parts do not match their checksum."""
    header = 1 + 1 + 1 + len(varint(len(MESSAGES[0])))
    return Bad("ChecksumError", "checksum", PARTS[1].offset, with_body(1, flip(header)))


@into("bad")
def missing_block() -> Bad:
    """Blocks that build on each other, one of which is not there."""
    header, first, _, *rest = frames(b"".join(chained(MESSAGES[:3])))
    return Bad("FormatError", "format", first.end, pack([header, first, *rest]))


@into("bad")
def missing_block_of_its_own() -> Bad:
    """Blocks that stand alone, one of which is not there: only the end record knows."""
    data = pack(PARTS[:2] + PARTS[3:])
    return Bad("FormatError", "format", list(frames(data))[-1].offset, data)


@into("bad")
def wrong_count() -> Bad:
    """An end record that counts one message more."""
    return Bad("FormatError", "format", PARTS[-1].offset, with_body(-1 % len(PARTS), flip(1)))


@into("bad")
def block_without_stream() -> Bad:
    """A block in front of which there is no stream header."""
    return Bad("FormatError", "format", 0, DATA[PARTS[1].offset :])


@into("bad")
def bytes_behind_the_end() -> Bad:
    """An archive with something behind it that is no frame."""
    return Bad("FormatError", "format", len(DATA), DATA + b"something else")


@into("bad")
def facts_that_are_no_map() -> Bad:
    """A stream header whose facts are an array."""
    return Bad("FormatError", "format", 0, frame(HEADER, b"\x01\x00\x90") + DATA[PARTS[0].end :])


@into("bad")
def long_varint() -> Bad:
    """A block header with a number that is not in its shortest form."""
    body = bytearray(PARTS[1].body)
    body[1:2] = bytes([body[1] | 0x80, 0])
    return Bad("FormatError", "format", PARTS[0].end, pack([PARTS[0], PARTS[1]._replace(body=bytes(body)), *PARTS[2:]]))


@into("bad")
def section_with_a_byte_left() -> Bad:
    """A block with a byte more in its last section than is used."""
    body = bytearray(block(sections=varint(11) + bytes(10) + varint(1 << 1) + b"x"))
    return Bad("FormatError", "section", len(BEGIN), BEGIN + bytes(body))


@into("bad")
def coded_section_compressed() -> Bad:
    """A block that says that a coded section is compressed with zstd."""
    return Bad("FormatError", "format", len(BEGIN), BEGIN + block(sections=b"\x01\x03\x01x"))


@into("bad")
def message_that_never_ends() -> Bad:
    """A stream that ends inside a message: its last part says that it goes on."""
    content = random.Random(6).randbytes(1000)
    with small_parts():
        parts = list(frames(archive([content], flush=False)))
    last = len(parts) - 2
    n_bytes = varint(len(content)) if last == 1 else varint(300 * (last - 1))
    end = Frame(END, varint(last - 1) + b"\x00\x00" + n_bytes + b"\x00\x00", 0, 0)
    return Bad("FormatError", "format", parts[last].offset, pack([*parts[:last], end]))


@into("bad")
def frame_beyond_the_limit() -> Bad:
    """A frame that says that it is larger than frames may be."""
    return Bad("LimitError", "limit", len(BEGIN), BEGIN + MARKER + b"B" + varint(limits.MAX_FRAME_BYTES + 1))


@into("bad")
def parts_beyond_the_limit() -> Bad:
    """A block that says that it has more parts than blocks may have."""
    return Bad("LimitError", "limit", len(BEGIN), BEGIN + block(n_parts=limits.MAX_BLOCK_PARTS + 1))


@into("bad")
def bytes_beyond_the_limit() -> Bad:
    """A block that says that it stands for more bytes than restart groups may."""
    return Bad("LimitError", "limit", len(BEGIN), BEGIN + block(n_bytes=limits.MAX_GROUP_BYTES + 1))


@into("bad")
def small_for_what_it_claims() -> Bad:
    """A section of five bytes that says that it becomes 200 MiB."""
    sections = b"\x02\x00" + varint(5 << 1 | 1) + varint(200 << 20) + bytes(5)
    return Bad("FormatError", "format", len(BEGIN), BEGIN + block(n_bytes=64 << 20, sections=sections))


# --- unsupported ------------------------------------------------------------------------------------------------------


def unsupported(index: int, data: bytes) -> Bad:
    return Bad("UnsupportedError", "unsupported", list(frames(data))[index].offset, data)


@into("unsupported")
def later_version() -> Bad:
    """A stream header of format version 2."""
    return unsupported(0, with_body(0, lambda body: body.__setitem__(0, 2)))


@into("unsupported")
def flag_of_the_header() -> Bad:
    """A reserved bit in a stream header."""
    return unsupported(0, with_body(0, lambda body: body.__setitem__(1, 2)))


@into("unsupported")
def without_its_dictionary() -> Bad:
    """Two archives, the second of which needs a dictionary that is not given; the first is read."""
    first = tracezip.compress(MESSAGES[0])
    return Bad("UnsupportedError", "dictionary", len(first), with_and_without().data)


@into("unsupported")
def flag_of_a_block() -> Bad:
    """A reserved bit in the second block's header; the first message is read."""
    return unsupported(2, with_body(2, lambda body: body.__setitem__(0, body[0] | 0x40)))


@into("unsupported")
def critical_part() -> Bad:
    """A frame of a kind that does not exist yet and must not be skipped."""
    return unsupported(2, pack([*PARTS[:2], Frame(ord("x"), b"from the future", 0, 0), *PARTS[2:]]))


@into("unsupported")
def more_sections() -> Bad:
    """A block with twelve sections."""
    return unsupported(1, BEGIN + block(sections=b"\x0c" + bytes(12)))


# --- making -----------------------------------------------------------------------------------------------------------


def check(name: str, made: Good | Bad) -> None:
    """The recipe and the codec must agree, or nothing is written."""
    taught = tracezip.Dictionary(dictionary().data) if name.startswith("taught/") else None
    try:
        with tracezip.open(io.BytesIO(made.data), dictionary=taught) as reader:
            messages = list(reader)
    except tracezip.TracezipError as error:
        found = type(error).__name__, error.code, error.offset
        if isinstance(made, Good) or found != made[:3]:
            raise SystemExit(f"{name} should be {made[:-1]}, and ends in {found}: {error}") from error
    else:
        if isinstance(made, Bad) or messages != list(made.messages):
            raise SystemExit(f"{name} should be {made[:-1]}, and gives {messages}")


def length_prefixed(messages: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(content)) + content for content in messages)


def sentence(recipe: Callable[[], Good | Bad]) -> str:
    return " ".join((recipe.__doc__ or "").split())


def readme(sizes: dict[str, int]) -> str:
    text = README_HEAD
    for folder, title in TITLES.items():
        text += f"\n## {title}\n\n| file | bytes | |\n|---|---:|---|\n"
        for name, recipe in recipes.items():
            if name.startswith(f"{folder}/"):
                text += f"| {name.partition('/')[2]} | {sizes[name]:,} | {sentence(recipe)} |\n"
    return text


def main() -> None:
    made = {name: recipe() for name, recipe in recipes.items()}
    for name, file in made.items():
        check(name, file)
    for folder in TITLES:
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    for name, file in made.items():
        (HERE / f"{name}.tzip").write_bytes(file.data)
        if isinstance(file, Good):
            (HERE / f"{name}.messages").write_bytes(length_prefixed(file.messages))
    errors = {
        name: dict(zip(Bad._fields, file[:3], strict=False)) for name, file in made.items() if isinstance(file, Bad)
    }
    (HERE / "errors.json").write_text(json.dumps(errors, indent=2) + "\n")
    (HERE / "README.md").write_text(readme({name: len(file.data) for name, file in made.items()}))
    print(f"{len(made)} files, {sum(len(file.data) for file in made.values()):,} bytes")


if __name__ == "__main__":
    main()
