"""The benchmarks measure on the spans that the file has, all of them, in order."""

from __future__ import annotations

from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from benchmarks.data import BATCH_SPANS, SAMPLES, TraceFile, read_file
from benchmarks.measure import Measurement
from benchmarks.report import FileReport, as_markdown

SAMPLE = read_file(SAMPLES / "astronomy.otlp")


def spans(messages: list[bytes]) -> list[tuple[bytes, bytes, Span]]:
    return [
        (resource_spans.resource.SerializeToString(), scope_spans.scope.SerializeToString(), span)
        for message in messages
        for resource_spans in TracesData.FromString(message).resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def test_batches_hold_the_same_spans_under_the_same_resource_and_scope() -> None:
    assert spans(SAMPLE.batches) == spans(SAMPLE.messages)
    assert [len(spans([batch])) for batch in SAMPLE.batches] == [BATCH_SPANS, SAMPLE.n_spans - BATCH_SPANS]


def test_prefix_is_whole_messages_within_the_limit() -> None:
    part = SAMPLE.prefix(100_000)
    assert part.messages == SAMPLE.messages[: len(part.messages)]
    assert 0 < part.n_bytes <= 100_000
    assert SAMPLE.prefix(1 << 30) is SAMPLE


def test_prefix_of_one_huge_message_is_whole_batches() -> None:
    huge = TraceFile("huge", [b"".join(SAMPLE.messages)])
    part = huge.prefix(300_000)
    assert part.messages == huge.batches[:1]


def test_table_marks_what_was_measured_on_a_prefix_only() -> None:
    report = FileReport("a", 1, 1000, 100_000, 250_000)
    report.measurements.append(Measurement("a", "xz -9", "file", 500, 50_000, 5_000, 0.5, 0.1, is_prefix=True))
    assert "| xz -9 * | file |      10.00 | 10.00 |         25.00 |" in as_markdown([report], [])
