"""tracezip: OpenTelemetry traces, compressed without loss. FORMAT.md says how, README.md how well.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tracezip._info import info
    from tracezip.codec import Compressor, Decompressor, compress, decompress, is_tracezip, open
    from tracezip.dictionary import Dictionary, train_dictionary
    from tracezip.errors import (
        ChecksumError,
        FormatError,
        InputError,
        LimitError,
        TracezipError,
        TruncatedError,
        UnsupportedError,
        UsageError,
    )
    from tracezip.otel.exporter import TracezipExporter as TracezipExporter
    from tracezip.otel.id_generator import IdGenerator as IdGenerator
    from tracezip.reader import Reader
    from tracezip.srt import SpanRetrievalTree
    from tracezip.writer import Writer

    backend: str

__all__ = [
    "ChecksumError",
    "Compressor",
    "Decompressor",
    "Dictionary",
    "FormatError",
    "InputError",
    "LimitError",
    "Reader",
    "SpanRetrievalTree",
    "TracezipError",
    "TruncatedError",
    "UnsupportedError",
    "UsageError",
    "Writer",
    "__version__",
    "backend",
    "compress",
    "decompress",
    "info",
    "is_tracezip",
    "open",
    "train_dictionary",
]

_OF_THE_SDK = ("IdGenerator", "TracezipExporter")
"""Names that need the extra `otel`: not in __all__, so that nothing that looks at all names fails without it."""

_HOMES = {
    "Compressor": "codec",
    "Decompressor": "codec",
    "Dictionary": "dictionary",
    "IdGenerator": "otel.id_generator",
    "Reader": "reader",
    "SpanRetrievalTree": "srt",
    "TracezipExporter": "otel.exporter",
    "Writer": "writer",
    "compress": "codec",
    "decompress": "codec",
    "info": "_info",
    "is_tracezip": "codec",
    "open": "codec",
    "train_dictionary": "dictionary",
}
"""Where each name is found when it is first asked for; all others are errors."""


def __getattr__(name: str) -> Any:
    if name == "backend":
        value: Any = importlib.import_module("tracezip._backend").NAME
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"tracezip.{_HOMES[name]}"), name)
    elif name in __all__:
        value = getattr(importlib.import_module("tracezip.errors"), name)
    else:
        raise AttributeError(f"module 'tracezip' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *(_OF_THE_SDK if importlib.util.find_spec("opentelemetry") else ())})
