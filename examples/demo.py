"""Compress a real sample, compare with gzip and zstd, get every byte back, and show a trace: ``make demo``."""

from __future__ import annotations

import gzip
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

import tracezip
from tracezip.convert.otlp_json import to_dict
from tracezip.files import read_messages

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "astronomy.otlp"
MIN_SERVICES = 3  # a trace that stays inside one service makes a dull picture
MAX_LINES = 40


@dataclass(frozen=True)
class Node:
    """What the picture needs of a span; times in nanoseconds."""

    trace_id: str
    span_id: str
    parent_span_id: str
    service: str
    name: str
    start_ns: int
    end_ns: int


def main() -> None:
    sample = SAMPLE.read_bytes()
    messages = list(read_messages(io.BytesIO(sample))[1])
    compressed, n_spans = compress(messages)
    print_sizes(sample, compressed, n_spans)
    with tracezip.open(io.BytesIO(compressed)) as reader:
        restored = list(reader)
    if restored != messages:
        raise SystemExit("the round trip is not exact")
    print(
        f"\nround trip: exact, {len(messages)} of {len(messages)} messages byte for byte ({tracezip.backend} backend)\n"
    )
    print_trace(first_trace(restored))


def compress(messages: list[bytes]) -> tuple[bytes, int]:
    target = io.BytesIO()
    with tracezip.open(target, "wb") as writer:
        for message in messages:
            writer.write(message)
    return target.getvalue(), writer.stats["spans"]


def print_sizes(sample: bytes, compressed: bytes, n_spans: int) -> None:
    sizes = {
        "OTLP protobuf": len(sample),
        "gzip -6": len(gzip.compress(sample, 6)),
        "zstd -3": len(zstandard.ZstdCompressor(level=3).compress(sample)),
        "zstd -19": len(zstandard.ZstdCompressor(level=19).compress(sample)),
        "tracezip": len(compressed),
    }
    print(f"{SAMPLE.name}: {n_spans} spans of the OpenTelemetry demo (samples/README.md)\n")
    print(f"{'':14}{'bytes':>10}{'bytes/span':>13}{'ratio':>8}")
    for name, size in sizes.items():
        print(f"{name:14}{size:10,}{size / n_spans:13.1f}{len(sample) / size:8.1f}")


def first_trace(messages: list[bytes]) -> list[Node]:
    """The first trace, in the order of the sample, whose spans come from several services."""
    traces: dict[str, list[Node]] = defaultdict(list)
    for message in messages:
        for node in nodes(message):
            traces[node.trace_id].append(node)
    return next(trace for trace in traces.values() if len({node.service for node in trace}) >= MIN_SERVICES)


def nodes(message: bytes) -> Iterator[Node]:
    for resource_spans in to_dict(message).get("resourceSpans", []):
        attributes = resource_spans.get("resource", {}).get("attributes", [])
        named = (item["value"].get("stringValue", "?") for item in attributes if item["key"] == "service.name")
        service = next(named, "?")
        for scope_spans in resource_spans.get("scopeSpans", []):
            for span in scope_spans.get("spans", []):
                times = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
                ids = span["traceId"], span["spanId"], span.get("parentSpanId", "")
                yield Node(*ids, service, span["name"], *times)


def print_trace(trace: list[Node]) -> None:
    known = {node.span_id for node in trace}
    children: dict[str, list[Node]] = defaultdict(list)
    for node in sorted(trace, key=lambda node: node.start_ns):
        children[node.parent_span_id if node.parent_span_id in known else ""].append(node)
    print(f"trace {trace[0].trace_id}, {len(trace)} spans")
    lines = list(tree_lines(children, "", 1))
    print(*lines[:MAX_LINES], sep="\n")
    if len(lines) > MAX_LINES:
        print(f"  and {len(lines) - MAX_LINES} more")


def tree_lines(children: dict[str, list[Node]], parent: str, depth: int) -> Iterator[str]:
    for node in children.get(parent, ()):
        label = f"{'  ' * depth}{node.service}: {node.name}"
        yield f"{label:86}{(node.end_ns - node.start_ns) / 1e6:10.3f} ms"
        yield from tree_lines(children, node.span_id, depth + 1)


if __name__ == "__main__":
    main()
