"""One block: its header, its sections, and the byte stage. FORMAT.md, "Block".

What stands inside a section is the business of the backend.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import zstandard

from tracezip import limits
from tracezip.errors import FormatError, LimitError, UnsupportedError
from tracezip.varint import pack_varint, pack_varints, read_varint

SECTIONS = (
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
)
ZSTD_SECTIONS = frozenset({"text", "literals", "prefixes"})

_RESTART = 1
_CONTINUED = 2
_KNOWN_FLAGS = _RESTART | _CONTINUED


class BlockHeader(NamedTuple):
    """What stands before the sections."""

    chain: int
    """How many blocks of its restart group stand before it; 0 begins a restart group."""
    continued: bool
    """The first part goes on with the message in which the block before it ended."""
    n_parts: int
    n_spans: int
    n_bytes: int
    """OTLP bytes in all parts."""
    checksum: int
    """Of all parts, concatenated."""


class Block(NamedTuple):
    header: BlockHeader
    stored: list[memoryview]
    """The sections that are there, as they are stored."""
    raw_sizes: list[int | None]
    """For each, its size before zstd; None if it was not compressed."""


def pack_block(header: BlockHeader, sections: Sequence[bytes], zstd: ZstdStage) -> list[bytes]:
    """The body of a block frame, in pieces. Empty sections at the end are left out."""
    flags = (0 if header.chain else _RESTART) | (_CONTINUED if header.continued else 0)
    out = [bytes([flags]), pack_varint(header.chain) if header.chain else b""]
    out.append(pack_varints(header.n_parts, header.n_spans, header.n_bytes))
    out.append(header.checksum.to_bytes(4, "little"))
    n_sections = max((i + 1 for i, section in enumerate(sections) if section), default=0)
    entries, stored = zstd.pack(sections[:n_sections], header.n_bytes)
    return [*out, pack_varint(n_sections), *entries, *stored]


def read_block(body: memoryview) -> Block:
    """Raises FormatError, LimitError and UnsupportedError, without the place: the caller knows it."""
    header, at = read_block_header(body)
    entries, at = _read_entries(body, at)
    stored = []
    for size, _ in entries:
        stored.append(body[at : at + size])
        at += size
    if at != len(body):
        raise FormatError("the sizes of the sections do not add up")
    raw_sizes = [raw_size for _, raw_size in entries]
    _check_raw_sizes(stored, raw_sizes, header.n_bytes)
    return Block(header, stored, raw_sizes)


def read_block_header(body: memoryview) -> tuple[BlockHeader, int]:
    """And the position behind it; the body may be cut off there. Raises as `read_block`."""
    flags = body[0] if len(body) else 0
    if flags & ~_KNOWN_FLAGS:
        raise UnsupportedError(f"the block has unknown flags {flags:#04x}")
    chain, at = (0, 1) if flags & _RESTART else read_varint(body, 1)
    if not flags & _RESTART and not chain:
        raise FormatError("the block is the first of its restart group, and not marked so")
    n_parts, at = _read_limited(body, at, "parts", limits.MAX_BLOCK_PARTS)
    n_spans, at = _read_limited(body, at, "spans", limits.MAX_GROUP_SPANS)
    n_bytes, at = _read_limited(body, at, "bytes", limits.MAX_GROUP_BYTES)
    if not n_parts or len(body) < at + 4:
        raise FormatError("the block is empty")
    checksum = int.from_bytes(body[at : at + 4], "little")
    return BlockHeader(chain, bool(flags & _CONTINUED), n_parts, n_spans, n_bytes, checksum), at + 4


def _read_limited(body: memoryview, at: int, what: str, limit: int) -> tuple[int, int]:
    value, at = read_varint(body, at)
    if value > limit:
        raise LimitError(f"the block says it has {value} {what}, the limit is {limit}")
    return value, at


def _read_entries(body: memoryview, at: int) -> tuple[list[tuple[int, int | None]], int]:
    """Stored size and size before zstd (None: not compressed) of each section."""
    n_sections, at = read_varint(body, at)
    if n_sections > len(SECTIONS):
        raise UnsupportedError(f"the block has {n_sections} sections, of which {len(SECTIONS)} are known")
    entries: list[tuple[int, int | None]] = []
    for name in SECTIONS[:n_sections]:
        number, at = read_varint(body, at)
        raw_size = None
        if number & 1:
            if name not in ZSTD_SECTIONS:
                raise FormatError(f"the section {name} cannot be compressed with zstd")
            raw_size, at = read_varint(body, at)
        if number >> 1 > len(body):
            raise FormatError(f"the section {name} says it is larger than the block")
        entries.append((number >> 1, raw_size))
    return entries, at


def _check_raw_sizes(stored: Sequence[memoryview], raw_sizes: Sequence[int | None], n_bytes: int) -> None:
    """Before any memory is taken: no more than the block, and no more than its input, can account for."""
    if sum(size or 0 for size in raw_sizes) > _max_raw_bytes(n_bytes):
        raise LimitError("the sections say they are larger than the block could need")
    for data, raw_size in zip(stored, raw_sizes, strict=True):
        if raw_size is not None and raw_size > len(data) * limits.ZSTD_MAX_EXPANSION:
            raise FormatError("a section says it is larger than its zstd frame can be")


def _max_raw_bytes(n_bytes: int) -> int:
    return n_bytes * limits.SECTION_EXPANSION + limits.SECTION_EXTRA_BYTES


class _OfThread(threading.local):
    """Making a zstd context takes longer than a small block, and no two threads may use one. Those of levels 1 to 3
    stay as long as the thread."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor(
            format=zstandard.FORMAT_ZSTD1_MAGICLESS, max_window_size=limits.MAX_ZSTD_WINDOW_BYTES
        )

    def compressor(self, level: int) -> zstandard.ZstdCompressor:
        if level > limits.DEFAULT_LEVEL:
            return _new_compressor(level)
        if level not in self.compressors:
            self.compressors[level] = _new_compressor(level)
        return self.compressors[level]


def _new_compressor(level: int, n_bytes: int = 0) -> zstandard.ZstdCompressor:
    """One that writes neither magic number, content size, checksum nor dictionary; for input of about that size."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        limits.ZSTD_LEVELS[level - limits.MIN_LEVEL],
        source_size=n_bytes,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        write_content_size=False,
        write_checksum=False,
        write_dict_id=False,
    )
    return zstandard.ZstdCompressor(compression_params=parameters)


_of_thread = _OfThread()


def magicless_compressor(level: int) -> zstandard.ZstdCompressor:
    """One for zstd frames of the format, at a level of the format; it is this thread's own."""
    return _of_thread.compressor(level)


class ZstdStage:
    """The byte stage of writing: one zstd frame for each section.

    `n_bytes`: it has a zstd context of its own, as small as serves sections of this size.
    """

    def __init__(self, level: int, n_bytes: int | None = None) -> None:
        self._level = level
        self._small = None if n_bytes is None else _new_compressor(level, n_bytes)

    @property
    def memory(self) -> int:
        """Bytes of its own context."""
        return self._small.memory_size() if self._small else 0

    def pack(self, sections: Sequence[bytes], n_bytes: int) -> tuple[list[bytes], list[bytes]]:
        """The entries of the sections and the sections as they are stored."""
        allowed = _max_raw_bytes(n_bytes)
        entries, stored = [], []
        for name, raw in zip(SECTIONS, sections, strict=False):
            packed = self._smaller(raw) if name in ZSTD_SECTIONS and len(raw) <= allowed else None
            if packed is None:
                entries.append(pack_varint(len(raw) << 1))
            else:
                allowed -= len(raw)
                entries.append(pack_varints(len(packed) << 1 | 1, len(raw)))
            stored.append(raw if packed is None else packed)
        return entries, stored

    def _smaller(self, raw: bytes) -> bytes | None:
        """The zstd frame if it saves anything, the number that it needs included."""
        if len(raw) < limits.MIN_ZSTD_INPUT_BYTES:
            return None
        packed = (self._small or magicless_compressor(self._level)).compress(raw)
        return packed if len(packed) + len(pack_varint(len(raw))) < len(raw) else None


class UnzstdStage:
    """The byte stage of reading. Trusts neither zstd frames nor the numbers beside them."""

    def sections(self, block: Block) -> list[bytes]:
        """All sections of a block, those that were left out too."""
        sections = [
            bytes(data) if raw_size is None else inflate(f"section {SECTIONS[i]}", bytes(data), raw_size)
            for i, (data, raw_size) in enumerate(zip(block.stored, block.raw_sizes, strict=True))
        ]
        return sections + [b""] * (len(SECTIONS) - len(sections))


def inflate(name: str, data: bytes, raw_size: int) -> bytes:
    """The `raw_size` bytes that a zstd frame of the format stands for. Raises FormatError and LimitError."""
    if not raw_size or len(data) < 3 or data[0]:  # no content size (python-zstandard would believe it) and the like
        raise FormatError(f"the {name} is not a zstd frame of the kind it should be")
    if _window_bytes(data[1]) > limits.MAX_ZSTD_WINDOW_BYTES:
        raise LimitError(f"the {name} asks for a zstd window larger than {limits.MAX_ZSTD_WINDOW_BYTES} bytes")
    try:
        raw = _of_thread.decompressor.decompress(data, max_output_size=raw_size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"the {name} is no good zstd frame: {error}") from None
    if len(raw) != raw_size:
        raise FormatError(f"the {name} has {len(raw)} bytes and not the {raw_size} that it says")
    return raw


def _window_bytes(descriptor: int) -> int:
    """RFC 8878, 3.1.1.1.2."""
    base = 1 << (10 + (descriptor >> 3))
    return base + base // 8 * (descriptor & 7)
