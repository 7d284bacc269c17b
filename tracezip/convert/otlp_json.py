"""OTLP/JSON: traces as the "JSON Protobuf Encoding" of the OTLP specification has them, from and to OTLP protobuf.

Written: lowerCamelCase keys, ids in lower-case hex, enums as numbers, 64-bit integers as strings, bytes in base64,
NaN and infinities as strings, default values left out, text in UTF-8 as it is. What protobuf tolerates is tolerated:
unknown fields are skipped, fields may come in any order, the last of several counts, messages merge; invalid UTF-8
shows as U+FFFD.

Read: all of that, and also ids in base64, names of enum values, any number as number or as string, the snake_case
keys of the .proto files. Unknown keys are ignored and null means absent, as the specification says. Two values in
one `AnyValue` are an error, not a choice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tracezip.convert.json_text import AttributeTexts, json_pieces
from tracezip.convert.json_values import AttributeBytes, encode_document
from tracezip.errors import InputError

__all__ = ["AttributeBytes", "AttributeTexts", "from_json", "json_lines", "json_pieces", "to_dict", "to_json"]


def to_json(data: bytes, seen: AttributeTexts | None = None) -> str:
    """The OTLP protobuf message `data` as one line of OTLP/JSON.

    `seen` is a dict to pass along from message to message, which makes the next ones faster.
    Raises InputError with the byte offset if `data` is not OTLP protobuf.
    """
    return "".join(json_pieces(data, seen))


def to_dict(data: bytes) -> dict[str, Any]:
    """The OTLP protobuf message `data` as the dict that its OTLP/JSON parses to. Raises as `to_json` does."""
    document: dict[str, Any] = json.loads(to_json(data))
    return document


def json_lines(messages: Iterable[bytes]) -> Iterator[str]:
    """Each OTLP protobuf message as one line of OTLP/JSON, without the newline. Raises as `to_json` does."""
    seen: AttributeTexts = {}
    for message in messages:
        yield to_json(message, seen)


def from_json(document: Mapping[str, Any] | str | bytes, seen: AttributeBytes | None = None) -> bytes:
    """The OTLP protobuf message that an OTLP/JSON document means, canonically encoded.

    `document` is JSON text (bytes are UTF-8), or the dict that it parses to; `seen` is as in `to_json`. Raises
    InputError that names the place: the position in the text if it is not JSON, the path of the key if it is not OTLP.
    """
    return encode_document(parse_json(document) if isinstance(document, str | bytes) else document, seen)


def parse_json(text: str | bytes) -> Any:
    """What JSON text means. Raises InputError, never anything else."""
    with _json_errors():
        return json.loads(_decoded(text))


def parse_documents(text: str | bytes) -> list[Any]:
    """What JSON documents one after the other mean, with any white space or none between them. Raises InputError."""
    documents = []
    with _json_errors():
        text = _decoded(text)
        at = _next_document(text, 0)
        while at < len(text):
            document, at = _DECODER.raw_decode(text, at)
            documents.append(document)
            at = _next_document(text, at)
    return documents


_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def _next_document(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _decoded(text: str | bytes) -> str:
    return text.decode("utf-8-sig") if isinstance(text, bytes) else text


@contextmanager
def _json_errors() -> Iterator[None]:
    """Says as InputError whatever parsing JSON raises. ValueError comes last: it is for integers of absurd length."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"not JSON: not UTF-8 at byte {error.start}", offset=error.start) from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise InputError(f"not JSON: {error.msg} at {line}column {error.colno}") from None
    except RecursionError:
        raise InputError("not OTLP/JSON traces: arrays or objects nested too deep") from None
    except ValueError as error:
        raise InputError(f"not JSON: {error}") from None
