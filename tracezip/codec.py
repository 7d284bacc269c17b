"""The public functions and the stateful codec."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, overload

from tracezip.container import MAGIC, peek_frame
from tracezip.convert import to_otlp
from tracezip.errors import InputError, TruncatedError
from tracezip.guard import Guard
from tracezip.limits import DEFAULT_DICTIONARY_THRESHOLD, DEFAULT_LEVEL, DEFAULT_MAX_OUTPUT_BYTES
from tracezip.reader import Reader
from tracezip.source import Source
from tracezip.stream.decoder import StreamDecoder
from tracezip.stream.encoder import StreamEncoder
from tracezip.writer import Writer

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary

_MODES = {"r": "r", "rb": "r", "w": "w", "wb": "w", "a": "a", "ab": "a", "x": "x", "xb": "x"}


def compress(
    trace: Any,
    level: int = DEFAULT_LEVEL,
    *,
    dictionary_threshold: int = DEFAULT_DICTIONARY_THRESHOLD,
    dictionary: Dictionary | None = None,
) -> bytes:
    """The trace as one small archive, from which `decompress` makes the same OTLP bytes.

    trace: OTLP protobuf bytes (any bytes: they are never validated), a protobuf message, OTLP/JSON (dict or str), or a
    sequence of the SDK's ReadableSpan. level: 1 (fastest) to 9 (smallest). dictionary_threshold: strings seen so often
    go into the dictionary of the archive. dictionary: of `train_dictionary`, for small traces; it is needed again to
    decompress. Raises InputError.
    """
    message = to_otlp(trace)
    stream = StreamEncoder(level, dictionary_threshold, dictionary=dictionary)
    return b"".join([stream.header, *stream.add(message), stream.end()])


def decompress(
    data: bytes | bytearray | memoryview,
    *,
    max_output_size: int | None = DEFAULT_MAX_OUTPUT_BYTES,
    dictionary: Dictionary | None = None,
) -> bytes:
    """The OTLP protobuf bytes of an archive: all its messages, which concatenated are one.

    dictionary: the one it was compressed with, if with any. Raises FormatError if the data is damaged or no archive
    (TruncatedError if it is cut short), UnsupportedError if it needs a newer version or another dictionary, and
    LimitError before more than `max_output_size` bytes are made; None is no limit.
    """
    return b"".join(Reader(_stream_of(data), max_output_size=max_output_size, dictionary=dictionary))


def is_tracezip(data: bytes | bytearray | memoryview) -> bool:
    """Whether data that begins so is an archive, by its first 4 bytes."""
    return bytes(data[: len(MAGIC)]) == MAGIC


@overload
def open(
    file: Any,
    mode: Literal["r", "rb"] = "rb",
    *,
    max_output_size: int | None = None,
    skip_damage: bool = False,
    dictionary: Dictionary | None = None,
) -> Reader: ...


@overload
def open(
    file: Any,
    mode: Literal["w", "wb", "a", "ab", "x", "xb"],
    *,
    level: int = DEFAULT_LEVEL,
    dictionary_threshold: int = DEFAULT_DICTIONARY_THRESHOLD,
    metadata: Mapping[str, Any] | None = None,
    threads: int = 1,
    dictionary: Dictionary | None = None,
    memory_limit: int | str | None = None,
) -> Writer: ...


def open(
    file: Any,
    mode: str = "rb",
    *,
    level: int = DEFAULT_LEVEL,
    dictionary_threshold: int = DEFAULT_DICTIONARY_THRESHOLD,
    metadata: Mapping[str, Any] | None = None,
    threads: int = 1,
    max_output_size: int | None = None,
    skip_damage: bool = False,
    dictionary: Dictionary | None = None,
    memory_limit: int | str | None = None,
) -> Reader | Writer:
    """An archive to read ("rb") or to write ("wb" anew, "xb" only if there is none, "ab" behind what is there).

    file: a path, or a binary file object, of which only `read`, or `write` and if it is there `flush`, is needed. "ab"
    of a file object writes a stream where it stands. For writing: `level` and `dictionary_threshold` as for `compress`;
    `metadata`, a small dict of plain values kept in the file; `threads`, how many blocks are compressed at a time (the
    file is the same, if there is no limit of memory); `memory_limit`, bytes or text such as "10MB" that tree,
    dictionaries and blocks stay below: the file becomes larger. For reading: `max_output_size` in bytes (None: no
    limit); `skip_damage` reads on behind damaged parts. For both: `dictionary`, of `train_dictionary`, which makes a
    difference to small files only. Raises TracezipError, and OSError as it comes from the file.
    """
    chosen = _MODES.get(mode)
    if chosen is None:
        raise InputError(f"the mode is {mode!r}, it must be one of {', '.join(_MODES)}", code="argument")
    if chosen == "r":
        return Reader(file, max_output_size=max_output_size, skip_damage=skip_damage, dictionary=dictionary)
    return Writer(
        file,
        chosen,
        level=level,
        dictionary_threshold=dictionary_threshold,
        metadata=metadata,
        threads=threads,
        dictionary=dictionary,
        memory_limit=memory_limit,
    )


class Compressor:
    """Compresses traces one after the other; each one builds on those before it and costs less.

    What the calls return is, concatenated, an archive. A receiver gives it to a `Decompressor`, call by call, in order.
    With a `dictionary` of `train_dictionary` the first calls are small already. memory_limit: bytes, or text such as
    "10MB", that tree, dictionaries and buffers stay below, at the receiver as well; what is learned is then forgotten
    more often, and calls return more.
    """

    def __init__(
        self,
        level: int = DEFAULT_LEVEL,
        *,
        dictionary_threshold: int = DEFAULT_DICTIONARY_THRESHOLD,
        dictionary: Dictionary | None = None,
        memory_limit: int | str | None = None,
    ) -> None:
        self._guard = Guard("compressor")
        self._stream = StreamEncoder(
            level, dictionary_threshold, chained=True, dictionary=dictionary, memory_limit=memory_limit
        )
        self._header = self._stream.header

    def compress(self, trace: Any) -> bytes:
        """The frames of one trace (any form that `compress` takes). Raises InputError, and then goes on as before."""
        message = to_otlp(trace)
        with self._guard:
            return self._headed(b"".join([*self._stream.add(message), self._stream.flush()]))

    @property
    def memory(self) -> int:
        """Bytes that it holds now."""
        return self._stream.memory

    def finish(self) -> bytes:
        """The end record; after it the compressor is closed."""
        with self._guard:
            end = self._headed(self._stream.end())
            self._guard.end("is finished")
            return end

    def _headed(self, frames: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + frames


class Decompressor:
    """Takes what a `Compressor` returned, call by call, in order. Limits each call's output to `max_output_size`."""

    def __init__(
        self, *, max_output_size: int | None = DEFAULT_MAX_OUTPUT_BYTES, dictionary: Dictionary | None = None
    ) -> None:
        self._guard = Guard("decompressor")
        self._decoder = StreamDecoder(max_output_size, dictionary=dictionary)
        self._n_bytes = 0  # taken so far

    def decompress(self, frame: bytes | bytearray | memoryview) -> bytes:
        """The OTLP bytes of one call of `Compressor.compress`; nothing for those of `finish`.

        Raises as the function `decompress` does; a frame that is missing is a FormatError. The object is then dead.
        """
        stream = _stream_of(frame)
        with self._guard:
            return b"".join(self._messages(Source(stream, self._n_bytes)))

    @property
    def memory(self) -> int:
        """Bytes that it holds now."""
        return self._decoder.memory

    def _messages(self, source: Source) -> list[bytes]:
        messages: list[bytes] = []
        self._decoder.begin_output()
        while (frame := peek_frame(source)) is not None:
            messages += self._decoder.feed(frame)
            source.skip(frame.n_bytes)
        if self._decoder.is_inside_message:
            raise TruncatedError(f"a message goes on behind byte {source.offset}: give all that one call returned")
        self._n_bytes = source.offset
        return messages


def _stream_of(data: bytes | bytearray | memoryview) -> BinaryIO:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(f"compressed data is bytes, not {type(data).__name__}", code="argument")
    return io.BytesIO(bytes(data))
