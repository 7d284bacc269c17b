"""The Span Retrieval Tree: takes spans one by one, keeps them compressed, gives each back by its number.

What spans have in common is a path from the root of the tree to a leaf; a span is a leaf and its own values. Source:
"Tracezip: Trace Compression on the Fly" (ISSTA 2025), which names it. It is the tree of the codec: what is added goes
through the encoder of the backend into columns and is given back from there; a block that is full is encoded as it
would be in a file, and given back by the decoder.
"""

from __future__ import annotations

import operator
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, cast

import xxhash

from tracezip import _backend, limits
from tracezip._backend import BlockEncoder
from tracezip.begin import preset
from tracezip.block import SECTIONS, BlockHeader, UnzstdStage, ZstdStage, pack_block, read_block
from tracezip.container import checksum_of
from tracezip.errors import ChecksumError, InputError, LimitError
from tracezip.guard import Guard
from tracezip.options import checked_option
from tracezip.varint import pack_varint
from tracezip.walk import UNIT, fields

_SPAN_MESSAGE = "opentelemetry.proto.trace.v1.Span"
_CONTEXT, _SCHEMA_URL = 0x0A, 0x1A
"""Tags in a ResourceSpans and in a ScopeSpans: resource or scope, and their schema URLs."""
_COUNTED = ("traces", "paths", "schemas", "strings", "atoms", "contexts")


class SpanRetrievalTree:
    """Spans, compressed, each to be had back by its number. It belongs to one thread at a time.

    dictionary_threshold: strings seen so often go into the dictionary. level: 1 (fastest) to 9 (smallest). Raises
    InputError if one of them is out of range.

    The last 16,384 spans at most are kept in columns and given back from there. Those before are in blocks of that
    size, of which up to 4 build on each other; to give back one of them, they are decoded, and kept until a span of
    others is asked for: spans in their order, or near each other, are cheap.
    """

    def __init__(
        self,
        *,
        dictionary_threshold: int = limits.DEFAULT_DICTIONARY_THRESHOLD,
        level: int = limits.DEFAULT_LEVEL,
    ) -> None:
        level = checked_option("level", level, limits.MIN_LEVEL, limits.MAX_LEVEL)
        threshold = checked_option("dictionary_threshold", dictionary_threshold, 1, limits.MAX_DICTIONARY_THRESHOLD)
        self._guard = Guard("tree")
        self._blocks = _Blocks(level, threshold)
        self._forms = _Forms()
        self._form_of = array("I")  # of each span

    def add_span(self, span: Any) -> int:
        """Takes a span and returns its number, counted from 0.

        span: the bytes of an OTLP `Span` message (any bytes: they are never validated), a protobuf `Span`, or a
        ReadableSpan of the OpenTelemetry SDK, which brings its resource and its scope along. Raises InputError for
        anything else, and LimitError for a span of more than 32 MiB; the tree then goes on as before.
        """
        form, given = self._forms.given(span)
        if len(given.message) > limits.MAX_PART_BYTES:
            raise LimitError(
                f"the span has {len(given.message)} bytes with what stands around it, a tree takes up to "
                f"{limits.MAX_PART_BYTES}: leave it out"
            )
        with self._guard:
            self._blocks.add(given)
            self._form_of.append(form)
            return len(self._form_of) - 1

    def retrieve_span(self, number: int) -> Any:
        """The span with that number, in the form in which it was given.

        Bytes are the same bytes. A protobuf `Span` is an equal object of the same class. A ReadableSpan is a new one
        with equal values, as far as OTLP has them: see `tracezip.convert.to_sdk`. Raises IndexError if there is no
        such span.
        """
        number = operator.index(number)
        if not 0 <= number < len(self):
            raise IndexError(f"there is no span {number}: the tree has {len(self)}, numbered from 0")
        with self._guard:
            found = self._blocks.find(number)
        return self._forms.restore(self._form_of[number], found)

    def __len__(self) -> int:
        return len(self._form_of)

    def __iter__(self) -> Iterator[Any]:
        """The spans in the order of their numbers, those too that are added meanwhile."""
        number = 0
        while number < len(self):
            yield self.retrieve_span(number)
            number += 1

    def get_compression_stats(self) -> dict[str, Any]:
        """How small the spans became; all sizes in bytes.

        `raw_bytes` are the OTLP `Span` messages alone, without resources and scopes, though these are in
        `compressed_bytes` if they were given. `compression_ratio` is the fraction saved, 1 - compressed / raw, and
        `ratio` is raw / compressed. `bytes_by_part` adds up to `compressed_bytes`. `traces`, `paths`, `schemas`,
        `strings`, `atoms` and `contexts` (of the numeric coder) are summed over groups of blocks that build on each
        other: what is in two groups counts twice.

        The spans that are still in columns are encoded for it, as a block of their own. All spans keep their numbers
        and can be had back as before, and later ones build on what the tree knows. A block has some bytes of its own:
        ask now and then, not for every span.
        """
        with self._guard:
            self._blocks.seal()
            return {"spans": len(self), **self._blocks.statistics()}


# --- forms ------------------------------------------------------------------------------------------------------------


class SpanInContext(NamedTuple):
    """A span and what stands around it, as they are encoded: messages as bytes, schema URLs in UTF-8."""

    span: bytes
    resource: bytes = b""
    resource_schema_url: bytes = b""
    scope: bytes = b""
    scope_schema_url: bytes = b""


class _Given(NamedTuple):
    """A span that was given, in the message that the encoder takes."""

    message: bytes
    content: SpanInContext
    """What is in the message."""


class _Forms:
    """In which forms spans were given, by number, and the way back from bytes. Classes of protobuf are added as met."""

    _BYTES, _READABLE = 0, 1

    def __init__(self) -> None:
        self._restore: list[Callable[[SpanInContext], Any]] = [_span_bytes, _readable_span]
        self._classes: dict[type, int] = {}

    def given(self, span: Any) -> tuple[int, _Given]:
        """The number of the form, and the span to be added."""
        if isinstance(span, bytes | bytearray | memoryview):
            return self._BYTES, _wrapped(_copied(span))
        if hasattr(span, "SerializeToString"):
            return self._of_class(span), _wrapped(_serialized(span))
        if hasattr(span, "get_span_context"):
            return self._READABLE, _encoded(span)
        raise InputError(
            f"a {type(span).__name__} is not a span; give the bytes of an OTLP Span, a protobuf Span or a ReadableSpan"
        )

    def restore(self, form: int, found: SpanInContext) -> Any:
        return self._restore[form](found)

    def _of_class(self, span: Any) -> int:
        kind = type(span)
        form = self._classes.get(kind)
        if form is None:
            _check_message(span)
            form = self._classes[kind] = len(self._restore)
            self._restore.append(lambda found: kind.FromString(found.span))
        return form


def _check_message(span: Any) -> None:
    name = getattr(getattr(span, "DESCRIPTOR", None), "full_name", type(span).__name__)
    if name != _SPAN_MESSAGE or not hasattr(type(span), "FromString"):
        raise InputError(f"a {name} is not a span; give messages of {_SPAN_MESSAGE}, each on its own")


def _span_bytes(found: SpanInContext) -> bytes:
    return found.span


def _readable_span(found: SpanInContext) -> Any:
    from tracezip.convert.to_sdk import readable_span

    return readable_span(*found)


def _copied(span: bytes | bytearray | memoryview) -> bytes:
    try:
        return bytes(span)
    except ValueError as error:
        raise InputError(f"the memoryview cannot be read: {error}") from error


def _serialized(span: Any) -> bytes:
    try:
        return bytes(span.SerializeToString())
    except Exception as error:
        raise InputError(f"the protobuf span cannot be serialized: {error}") from error


def _encoded(span: Any) -> _Given:
    from tracezip.convert.sdk import encode_spans

    message = encode_spans([span])
    return _Given(message, _unwrapped(message))


def _wrapped(span: bytes) -> _Given:
    """The span in a message without resource and scope."""
    message = span
    for tag in reversed(UNIT):
        message = bytes([tag]) + pack_varint(len(message)) + message
    return _Given(message, SpanInContext(span))


def _unwrapped(message: bytes) -> SpanInContext:
    """The span in a message that `_wrapped` or `encode_spans` made of one span."""
    resource_spans = _values(_values(message)[UNIT[0]])
    scope_spans = _values(resource_spans[UNIT[1]])
    return SpanInContext(
        scope_spans[UNIT[2]],
        resource_spans.get(_CONTEXT, b""),
        resource_spans.get(_SCHEMA_URL, b""),
        scope_spans.get(_CONTEXT, b""),
        scope_spans.get(_SCHEMA_URL, b""),
    )


def _values(data: bytes) -> dict[int, bytes]:
    return {tag: data[value:end] for tag, _, value, end in fields(data, 0, len(data))}


# --- blocks -----------------------------------------------------------------------------------------------------------


class _TreeEncoder(BlockEncoder, Protocol):
    def span(self, row: int) -> bytes:
        """A pending span as it was added: the bytes of its `Span` message."""


class _Sealed(NamedTuple):
    """A block that is encoded."""

    first: int
    """The number of its first span."""
    chain: int
    """How many blocks of its restart group stand before it."""
    body: bytes


class _Pending(NamedTuple):
    """A span that is not encoded yet."""

    row: int | None
    """Where its columns are; None if the parser keeps the message as it is."""
    content: SpanInContext
    """Without the span if that is in columns."""


class _Blocks:
    """The spans in order: those in blocks, then those in columns. Each is a message of its own to the encoder."""

    def __init__(self, level: int, threshold: int) -> None:
        self._encoder = cast(_TreeEncoder, _backend.Encoder(preset(), threshold, level))
        self._zstd = ZstdStage(level)
        self._sealed: list[_Sealed] = []
        self._group = _DecodedGroup()
        self._n_sealed = 0  # spans
        self._n_raw_bytes = 0
        self._n_groups = 1
        self._section_bytes: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()  # of the groups that are complete
        self._chain = self._n_group_bytes = self._n_group_spans = 0  # without what is pending
        self._begin_block()

    def _begin_block(self) -> None:
        self._pending: list[_Pending] = []
        self._contexts: dict[SpanInContext, SpanInContext] = {}  # of pending spans, each once
        self._n_bytes = 0
        self._hash = xxhash.xxh3_64()

    def add(self, given: _Given) -> None:
        self._make_room(len(given.message))
        row = self._encoder.n_spans
        self._encoder.add(given.message)
        self._hash.update(given.message)
        self._n_bytes += len(given.message)
        self._n_raw_bytes += len(given.content.span)
        if self._encoder.n_spans > row:
            context = given.content._replace(span=b"")
            self._pending.append(_Pending(row, self._contexts.setdefault(context, context)))
        else:
            self._pending.append(_Pending(None, given.content))
        if len(self._pending) >= limits.BLOCK_SPANS or self._encoder.n_rows >= limits.BLOCK_ROWS:
            self.seal()

    def find(self, number: int) -> SpanInContext:
        if number >= self._n_sealed:
            row, content = self._pending[number - self._n_sealed]
            return content if row is None else content._replace(span=self._encoder.span(row))
        block = bisect_right(self._sealed, number, key=lambda sealed: sealed.first) - 1
        return _unwrapped(self._group.message(self._sealed, block, number - self._sealed[block].first))

    def seal(self) -> None:
        """Encodes what is pending, if anything is."""
        if not self._pending:
            return
        n_spans, checksum = self._encoder.n_spans, self._hash.intdigest() & 0xFFFFFFFF
        header = BlockHeader(self._chain, False, len(self._pending), n_spans, self._n_bytes, checksum)
        body = b"".join(pack_block(header, self._encoder.encode(), self._zstd))
        self._section_bytes.update(_section_bytes(body))
        self._sealed.append(_Sealed(self._n_sealed, self._chain, body))
        self._n_sealed += len(self._pending)
        self._chain += 1
        self._n_group_spans += len(self._pending)
        self._n_group_bytes += self._n_bytes
        self._begin_block()

    def statistics(self) -> dict[str, Any]:
        """Of what is encoded."""
        n_raw = self._n_raw_bytes
        n_compressed = sum(len(sealed.body) for sealed in self._sealed)
        counts = self._encoder.statistics()
        return {
            "blocks": len(self._sealed),
            "groups": self._n_groups if self._sealed else 0,
            "raw_bytes": n_raw,
            "compressed_bytes": n_compressed,
            "compression_ratio": 1 - n_compressed / n_raw if n_raw else 0.0,
            "ratio": n_raw / n_compressed if n_compressed else 0.0,
            "bytes_per_span": n_compressed / self._n_sealed if self._n_sealed else 0.0,
            **{name: self._counts[name] + counts[name] for name in _COUNTED},
            "bytes_by_part": self._bytes_by_part(n_compressed),
        }

    def _bytes_by_part(self, n_compressed: int) -> dict[str, int]:
        """The sections, and `container` for what is around them."""
        sections = {name: self._section_bytes[name] for name in SECTIONS}
        return {**sections, "container": n_compressed - sum(sections.values())}

    def _make_room(self, n_bytes: int) -> None:
        """Ends the block if so many bytes would not fit into it, and the group if they would not fit into that."""
        if self._n_bytes + n_bytes > limits.BLOCK_BYTES:
            self.seal()
        n_group_spans = self._n_group_spans + len(self._pending)
        n_group_bytes = self._n_group_bytes + self._n_bytes + n_bytes
        fits = n_group_spans < limits.MAX_GROUP_SPANS and n_group_bytes <= limits.MAX_GROUP_BYTES
        if not fits or self._chain >= limits.MAX_GROUP_BLOCKS:
            self.seal()
            self._new_group()

    def _new_group(self) -> None:
        counts = self._encoder.statistics()
        self._counts.update({name: counts[name] for name in _COUNTED})
        self._encoder.reset()
        self._n_groups += 1
        self._chain = self._n_group_spans = self._n_group_bytes = 0


class _DecodedGroup:
    """The messages of the restart group that was last asked for, decoded as far as was needed; at most 64 MiB."""

    def __init__(self) -> None:
        self._decoder = _backend.Decoder(preset())
        self._unzstd = UnzstdStage()
        self._first = -1  # block
        self._blocks: list[list[bytes]] = []  # the messages of each

    def message(self, sealed: list[_Sealed], block: int, index: int) -> bytes:
        """The message with that index in a block."""
        first = block - sealed[block].chain
        if first != self._first:
            self._decoder.reset()
            self._first, self._blocks = first, []
        while first + len(self._blocks) <= block:
            self._blocks.append(self._decoded(sealed[first + len(self._blocks)].body))
        return self._blocks[block - first][index]

    def _decoded(self, body: bytes) -> list[bytes]:
        block = read_block(memoryview(body))
        parts, _ = self._decoder.decode(self._unzstd.sections(block), block.header.n_bytes)
        if checksum_of(*parts) != block.header.checksum:
            raise ChecksumError("spans of the tree do not match their checksum: the memory of the process was damaged")
        return parts


def _section_bytes(body: bytes) -> dict[str, int]:
    return {name: len(data) for name, data in zip(SECTIONS, read_block(memoryview(body)).stored, strict=False)}
