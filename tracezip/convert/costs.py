"""What takes how many bytes of OTLP protobuf: each attribute key, and each field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from tracezip.convert.schema import MESSAGES, Field
from tracezip.convert.wire import malformed
from tracezip.walk import fields

_FIELDS = {name: {one.tag: one for one in of} for name, of in MESSAGES.items()}
_SCOPE_OF = {"Span": "span", "Resource": "resource", "InstrumentationScope": "scope", "Event": "event", "Link": "link"}
_OPENED = {"TracesData", "ResourceSpans", "ScopeSpans", *_SCOPE_OF}
"""The messages whose fields are counted one by one; others count as a whole."""
_KEY_TAG = 0x0A


@dataclass(slots=True)
class Cost:
    n_values: int = 0
    n_bytes: int = 0

    def add(self, n_bytes: int) -> None:
        self.n_values += 1
        self.n_bytes += n_bytes


@dataclass(slots=True)
class Costs:
    """Encoded bytes, with tags and lengths, that add up to those of the messages.

    attributes: by what has them (span, resource, scope, event, link) and key. fields: by message and name of a field
    that is no attribute; of a nested message only the tag and length, for what is in it counts where it is;
    `unknown` are fields that this version has no name for.
    """

    n_bytes: int = 0
    n_spans: int = 0
    attributes: dict[tuple[str, str], Cost] = field(default_factory=dict)
    fields: dict[str, Cost] = field(default_factory=dict)

    def add(self, message: bytes) -> None:
        """Counts one OTLP message. Raises InputError where it is none."""
        for name, one, n_bytes, value in list(_walked(message)):  # all of it is good before any of it counts
            self._count(name, one, n_bytes, value)
        self.n_bytes += len(message)

    def _count(self, name: str, one: Field | None, n_bytes: int, value: bytes) -> None:
        if one is not None and one.name == "attributes":
            cost = self.attributes.setdefault((_SCOPE_OF[name], _key(value)), Cost())
        else:
            label = f"{name}.{one.name if one else 'unknown'}"
            cost = self.fields.setdefault(label, Cost())
            self.n_spans += label == "ScopeSpans.spans"
        cost.add(n_bytes)


def _walked(message: bytes) -> Iterator[tuple[str, Field | None, int, bytes]]:
    """Each field of each opened message: the message's name, the field, its size, and its value."""
    pending = [("TracesData", message)]
    while pending:
        name, data = pending.pop()
        for one, n_bytes, value in _fields_of(name, data):
            if one is not None and one.type in _OPENED:
                pending.append((one.type, value))
                n_bytes -= len(value)
            yield name, one, n_bytes, value


def _fields_of(name: str, data: bytes) -> Iterator[tuple[Field | None, int, bytes]]:
    """Each field, its size with tag and length, and its value."""
    known, at = _FIELDS[name], 0
    for tag, start, value, end in fields(data, 0, len(data)):
        yield known.get(tag), end - start, data[value:end]
        at = end
    if at < len(data):
        raise malformed("a field that cannot be read", at)


@lru_cache(4096)
def _key(attribute: bytes) -> str:
    key = b""
    for tag, _, value, end in fields(attribute, 0, len(attribute)):
        if tag == _KEY_TAG:
            key = attribute[value:end]
    return key.decode("utf-8", "replace")
