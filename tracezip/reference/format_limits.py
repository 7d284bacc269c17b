"""The limits of a block. FORMAT.md, "Limits of a block"; csrc/format_limits.h has the same numbers."""

from __future__ import annotations

MAX_FIELDS = 1024
"""Fields of one record; a record with more is kept raw."""
MAX_CONTEXT_CELLS = 1 << 23
"""Size of all contexts of one restart group, beyond which contexts are shared."""
MAX_REACH = 255
"""How far down a trace's list of ids a reference looks."""
MAX_ROWS = 1 << 20
"""Records of all kinds in one block."""
MAX_MESSAGES = 1 << 16
"""Messages, or parts of them, in one block."""
MAX_SPANS = 1 << 16
"""Spans of one block."""
MAX_SLOTS = 1 << 26
"""Slots with values of all schemas of one restart group."""
MAX_PATHS = 1 << 24
"""Paths of one restart group."""
MAX_GENERATORS = 1023
"""Generators of ids of one restart group."""
MAX_VALUES = 1 << 22
"""Values of all of them that ids are made of."""
MAX_SKIPPED = 1 << 23
"""And batches of words that generators of Go skip, all of them together."""
MAX_GENERATED = 1 << 28
"""Bytes that the records of one block make, skipped ones included."""
BUDGET_START = 1 << 21
"""What a reader lets a restart group ask for: at its beginning,"""
BUDGET_OF_BYTE = 8
"""and for each byte of its messages."""
MAX_PART_ROWS = 1 << 19
"""Records of one message; one with more is kept as it is."""
MAX_RUN = 1 << 17
"""Events, or links, of one span; one with more is kept raw."""
MAX_GROUP_FIELDS = 250
"""Fields of resource spans or scope spans; a message with more is kept as it is."""
MAX_LEAF_FIELDS = 64
"""Fields of an event or a link; one with more is kept raw."""
