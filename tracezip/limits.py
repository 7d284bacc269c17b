"""Every limit of the format and every default of the writers. FORMAT.md, "Limits", gives the same numbers.

Sizes are in bytes. What comes first and is called MAX_ belongs to the format: a reader refuses what goes over it, a
writer never does. The choices of readers and of writers come after it; files do not depend on them. Imports nothing.
"""

from __future__ import annotations

FORMAT_VERSION = 1

# --- frames ---------------------------------------------------------------------------------------------------------

MAX_FRAME_BYTES = 1 << 28
"""The body of a frame."""
MAX_HEADER_BYTES = 1 << 16
"""The body of a stream header, nearly all of it metadata."""
MAX_END_BYTES = 64
"""The body of an end record."""
MAX_INDEX_BYTES = 1 << 24
"""What an index frame says of its units, before zstd and without the filters; also of how many units at most."""
MAX_METADATA_DEPTH = 16
"""Maps and arrays inside each other in the metadata, the outermost map included."""

# --- blocks and restart groups --------------------------------------------------------------------------------------

MAX_BLOCK_PARTS = 1 << 16
"""Messages, or parts of messages, in one block."""
MAX_GROUP_BLOCKS = 1 << 16
MAX_GROUP_SPANS = 1 << 16
MAX_GROUP_BYTES = 1 << 26
"""OTLP bytes of one restart group, and so of one block."""
MAX_MESSAGE_BYTES = (1 << 31) - 1
"""One OTLP message, the same limit as protobuf's own."""

# --- the byte stage -------------------------------------------------------------------------------------------------

MAX_ZSTD_WINDOW_BYTES = 1 << 23
"""The window a zstd section may ask of its reader."""
ZSTD_MAX_EXPANSION = 1 << 15
"""Output bytes per input byte that a zstd frame can stand for: an RLE block makes 128 KiB out of 4 bytes."""
SECTION_EXPANSION = 4
SECTION_EXTRA_BYTES = 1 << 16
"""The zstd sections of a block, together, hold at most SECTION_EXPANSION times the block's bytes and these."""

# --- defaults of readers --------------------------------------------------------------------------------------------

DEFAULT_MAX_OUTPUT_BYTES = 2 << 30
"""What `decompress` makes at most, unless told otherwise."""
READ_BYTES = 1 << 16
"""As much is read ahead where that needs no waiting."""
READ_STEP_BYTES = 1 << 20
"""Files are read in steps of at most this size: a length is a claim, not a reason to allocate."""
SCAN_EXPANSION = 32
"""Recovery looks at each damaged byte at most this often, whatever false frames stand there."""

# --- choices of writers ---------------------------------------------------------------------------------------------

MIN_LEVEL = 1
MAX_LEVEL = 9
DEFAULT_LEVEL = 3
ZSTD_LEVELS = (1, 2, 3, 5, 7, 9, 12, 15, 19)
"""The zstd level of each level, from MIN_LEVEL on."""
MIN_ZSTD_INPUT_BYTES = 16
"""Shorter sections are stored as they are."""
DEFAULT_DICTIONARY_THRESHOLD = 2
MAX_DICTIONARY_THRESHOLD = (1 << 31) - 1
DICTIONARY_SPANS = 1 << 12
"""As many are learned by a dictionary."""
MAX_THREADS = 64
"""Blocks that are compressed at a time; each costs the memory of a block."""
BLOCK_SPANS = 1 << 14
"""A block is written once it holds so many spans,"""
BLOCK_BYTES = 1 << 25
"""or would hold more OTLP bytes than these,"""
BLOCK_ROWS = 1 << 18
"""or once it holds so many records of all kinds; the kernels allow twice as many."""
LARGE_BLOCKS_LEVEL = 7
"""From this level on a block is as large as its restart group may be: smaller, but slower to read one trace from."""
LARGE_BLOCK_SPANS, LARGE_BLOCK_BYTES, LARGE_BLOCK_ROWS = MAX_GROUP_SPANS, MAX_GROUP_BYTES, 1 << 19
UNIT_SPANS = 1 << 13
"""The index looks at restart groups of so many spans together, at least."""
INDEX_UNITS = 1 << 8
"""So many units are in one index frame, at most."""
INDEX_PART = 50
"""An index frame tells failed spans one by one while it takes no more than one INDEX_PART of its units' bytes,"""
INDEX_SPAN_BITS = 2
"""or no more than so many bits for each of their spans."""
INDEX_FAILED_BYTES = 1 << 16
"""Of a unit whose failed spans would take more, about, they are not even kept until then."""
INDEX_PAIRS = 1 << 8
"""So many pairs of services and names are told of a unit, at most;"""
INDEX_SURE_PAIRS = 1 << 6
"""behind so many, only those that have more than one span of INDEX_RARE."""
INDEX_RARE = 1 << 12
INDEX_TEXT_BYTES = 1 << 8
"""A longer service or name is not told."""
PART_BYTES = 1 << 22
"""A message larger than this is cut, where it can be, into parts of at most this size."""
MAX_PART_BYTES = 1 << 25
"""A part that cannot be cut further (one span) may be so large; what is still larger is kept raw."""
MAX_CONTEXT_BYTES = 1 << 16
"""Parts of a cut message repeat what stands around their spans, if all of it together is no larger than this."""
MIN_MEMORY_LIMIT = 4_000_000
"""The least `memory_limit`: with less, a writer would do without dictionaries."""
