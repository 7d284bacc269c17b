"""`tracezip-cat`: which spans and traces it gives, in which form."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

import tracezip
from benchmarks.data import SAMPLES, read_file
from tracezip.cli import _outputs
from tracezip.cli.cat import cli
from tracezip.convert.costs import Costs
from tracezip.convert.formats import FORMATS
from tracezip.convert.select import join_spans
from tracezip.convert.spans import encoded_spans, read_spans

S = 1_000_000_000
START = 1_700_000_000 * S


def message_of(*spans: dict[str, Any], service: str = "shop") -> bytes:
    """One OTLP message; of each span its trace, its number, and what else it has."""
    data = TracesData()
    resource_spans = data.resource_spans.add(schema_url="https://resource")
    resource_spans.resource.attributes.add(key="service.name").value.string_value = service
    resource_spans.resource.attributes.add(key="zone").value.string_value = "eu-1"
    scope_spans = resource_spans.scope_spans.add(schema_url="https://scope")
    scope_spans.scope.name = "library"
    for values in spans:
        more = dict(values)
        trace, number, start, n_ms = more.pop("trace"), more.pop("number"), more.pop("start", 0), more.pop("ms", 1)
        attributes, parent, failed = more.pop("attributes", {}), more.pop("parent", 0), more.pop("failed", False)
        span = scope_spans.spans.add(
            trace_id=struct.pack(">QQ", trace << 56, 7),
            span_id=struct.pack(">Q", number),
            parent_span_id=struct.pack(">Q", parent) if parent else b"",
            start_time_unix_nano=START + start * S,
            end_time_unix_nano=START + start * S + n_ms * 1_000_000,
            **more,
        )
        span.status.code = 2 if failed else 0
        for key, value in attributes.items():
            field = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
            setattr(span.attributes.add(key=key).value, field, value)
    return data.SerializeToString()


MESSAGES = [
    message_of(
        {"trace": 0xA1, "number": 1, "name": "GET /", "ms": 500}, {"trace": 0xB2, "number": 2, "name": "GET /x"}
    ),
    message_of(
        {"trace": 0xA1, "number": 3, "parent": 1, "name": "charge", "failed": True, "ms": 300},
        {
            "trace": 0xA1,
            "number": 4,
            "parent": 1,
            "name": "look",
            "attributes": {"n": 3, "route": "/", "up": True},
        },
        service="bank",
    ),
    message_of({"trace": 0xC3, "number": 5, "name": "late", "start": 3600, "attributes": {"n": "3", "f": 2.5}}),
]


@pytest.fixture(autouse=True)
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    with tracezip.open("a.tzip", "wb") as writer:
        for message in MESSAGES:
            writer.write(message)
    return "a.tzip"


def cat(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == status, result.output
    return result


def span_ids(line: str) -> list[int]:
    """Those in a line of OTLP JSON."""
    return [
        int(span["spanId"], 16)
        for outer in json.loads(line)["resourceSpans"]
        for inner in outer["scopeSpans"]
        for span in inner["spans"]
    ]


def numbers(*arguments: str) -> list[list[int]]:
    """The span ids in each line of JSON."""
    return [span_ids(line) for line in cat(*arguments, "a.tzip").stdout.splitlines()]


# --- which ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [[1, 2], [3, 4], [5]]),
        (["--trace", "a1"], [[1, 3, 4]]),
        (["--trace", "B2" + "0" * 14 + "0" * 15 + "7"], [[2]]),
        (["--service", "bank"], [[3, 4]]),
        (["--service", "bank", "--service", "shop"], [[1, 2, 5, 3, 4]]),
        (["--name", "look"], [[4]]),
        (["--error"], [[3]]),
        (["--min-duration", "300ms"], [[1, 3]]),
        (["--since", "2023-11-14T23:00:00Z"], [[5]]),
        (["--until", "2023-11-14T23:00:00Z"], [[1, 2, 3, 4]]),
        (["--attr", "n=3"], [[4, 5]]),
        (["--attr", "f=2.5"], [[5]]),
        (["--attr", "up=true"], [[4]]),
        (["--attr", "n"], [[4, 5]]),
        (["--attr", "zone=eu-1", "--attr", "route=/"], [[4]]),
        (["--where", 'name =~ "GET.*" && duration > 1ms'], [[1]]),
        (["--error", "--service", "shop"], []),
        (["--error", "--whole"], [[1, 3, 4]]),
        (["--head", "2"], [[1, 3, 4], [2]]),
        (["--head", "0"], []),
        (["--head", "1", "--since", "2023-11-14T23:00:00Z"], [[5]]),
        (["--matching", "--head", "1", "--error"], [[3]]),
    ],
)
def test_filters_choose_the_spans_for_which_all_of_them_hold(options: list[str], expected: list[list[int]]) -> None:
    assert numbers(*options) == expected
    n_spans = sum(map(len, expected))
    assert cat("--count", *options, "a.tzip").stdout == f"{n_spans}\n"


def test_what_shows_traces_gives_whole_ones_with_a_matching_span() -> None:
    output = cat("--to", "tree", "--error", "a.tzip").stdout
    assert output.count("trace ") == 1
    assert "shop GET /" in output
    assert "✗ bank charge" in output
    assert "bank look" in output
    assert "look" not in cat("--to", "tree", "--error", "--matching", "a.tzip").stdout


def test_a_trace_over_several_files_is_one_trace() -> None:
    for n, message in enumerate(MESSAGES):
        with tracezip.open(f"{n}.tzip", "wb") as writer:
            writer.write(message)
    assert cat("-l", "0.tzip", "1.tzip", "2.tzip").stdout == cat("-l", "a.tzip").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--min-duration", "long"], "--min-duration: 'long' is no duration"),
        (["--since", "noon"], "--since: 'noon' is no time"),
        (["--trace", "xyz"], "--trace: ids are hexadecimal"),
        (["--where", "name ="], "--where: where, column 7"),
        (["--to", "tree", "-l"], "--to says how"),
    ],
)
def test_wrong_filters_are_named_with_status_2(options: list[str], said: str) -> None:
    assert said in cat(*options, "a.tzip", status=2).stderr


def test_chosen_spans_keep_their_bytes_and_what_is_around_them() -> None:
    for message in [*MESSAGES, *read_file(SAMPLES / "astronomy.otlp").messages]:
        spans = list(encoded_spans(message))
        joined = join_spans(spans)
        assert list(encoded_spans(joined)) == spans
        assert list(read_spans(joined)) == list(read_spans(message))


def test_a_message_that_is_no_trace_is_named_and_the_others_are_shown() -> None:
    with tracezip.open("odd.tzip", "wb") as writer:
        for message in (MESSAGES[0], b"\xff\xff not otlp", MESSAGES[2]):
            writer.write(message)
    for options in (["--to", "tree"], ["--count"], ["--to", "otlp-json"], ["--stats"], ["--to", "jaeger"]):
        result = cat(*options, "odd.tzip", status=1)
        assert "odd.tzip: message 2 is left out" in result.stderr
    assert cat("-l", "odd.tzip", status=1).stdout.count("\n") == 3


@pytest.mark.parametrize(
    "options", [["--error"], ["--error", "--whole"], ["--trace", "a1"], ["--head", "2"], ["-l", "--error"]]
)
def test_a_search_in_a_file_gives_what_reading_it_gives(options: list[str]) -> None:
    searched = cat(*options, "a.tzip").stdout
    read = CliRunner().invoke(cli, options, input=Path("a.tzip").read_bytes()).stdout
    if options[0] == "-l":
        assert searched == read
    else:
        assert [i for line in searched.splitlines() for i in span_ids(line)] == [
            i for line in read.splitlines() for i in span_ids(line)
        ]


def test_a_search_names_the_damage_it_meets_and_gives_the_rest() -> None:
    with tracezip.open("a.tzip", "wb") as writer:
        for message in MESSAGES:
            writer.write(message)
            writer.flush()
    data = bytearray(Path("a.tzip").read_bytes())
    data[len(data) // 2] ^= 0xFF
    Path("bad.tzip").write_bytes(data)
    result = cat("-l", "--where", "duration > 0", "bad.tzip", status=1)
    assert result.stderr.startswith("tracezip-cat: bad.tzip: ")
    assert 0 < result.stdout.count("\n") <= 3


def test_what_stands_before_the_damage_is_shown() -> None:
    data = Path("a.tzip").read_bytes()
    Path("cut.tzip").write_bytes(data[:-3])
    result = cat("-l", "cut.tzip", "a.tzip", status=1)
    assert result.stderr.startswith("tracezip-cat: cut.tzip: ")
    assert result.stdout.count("\n") == 3


# --- in which form ----------------------------------------------------------------------------------------------------


def test_there_is_a_form_for_every_writer_of_the_table() -> None:
    assert set(_outputs.FORMATS) == set(FORMATS)
    assert set(_outputs.FORMATS) & _outputs.WHOLE >= {name for name, of in FORMATS.items() if of.needs_whole_traces}


def test_otlp_comes_as_lines_as_one_document_or_as_protobuf() -> None:
    document = json.loads(cat("--to", "otlp-json", "a.tzip").stdout)
    assert len(document["resourceSpans"]) == 3
    assert cat("--to", "otlp-proto", "a.tzip").stdout_bytes == b"".join(MESSAGES)
    assert cat("--to", "otlp-jsonl", "a.tzip").stdout == cat("a.tzip").stdout


def test_other_formats_come_from_the_table() -> None:
    jaeger = json.loads(cat("--to", "jaeger", "--error", "a.tzip").stdout)
    assert [len(trace["spans"]) for trace in jaeger["data"]] == [3]
    assert len(json.loads(cat("--to", "zipkin", "a.tzip").stdout)) == 5
    assert json.loads(cat("--to", "perfetto", "a.tzip").stdout)["traceEvents"]
    rows = list(csv.DictReader(io.StringIO(cat("--to", "csv", "--error", "a.tzip").stdout)))
    assert [row["span_name"] for row in rows] == ["charge"]


def test_a_list_has_a_line_for_each_trace() -> None:
    lines = cat("-l", "a.tzip").stdout.splitlines()
    assert len(lines) == 3
    assert lines[0] == f"a1{'0' * 29}7  2023-11-14 22:13:20.000     500 ms       3       1  shop GET /"
    facts = [json.loads(line) for line in cat("-l", "--json", "a.tzip").stdout.splitlines()]
    assert facts[0] == {
        "version": 1,
        "trace_id": "a1" + "0" * 29 + "7",
        "start": "2023-11-14T22:13:20.000000000Z",
        "duration_ns": 500_000_000,
        "spans": 3,
        "errors": 1,
        "services": ["bank", "shop"],
        "root_service": "shop",
        "root_name": "GET /",
    }


def test_counts_are_of_each_file() -> None:
    assert cat("--count", "a.tzip", "a.tzip").stdout == "a.tzip:5\na.tzip:5\n"
    assert json.loads(cat("--count", "--json", "a.tzip").stdout) == {"version": 1, "file": "a.tzip", "spans": 5}


def test_testing_writes_nothing_and_names_bad_files() -> None:
    Path("bad.tzip").write_bytes(Path("a.tzip").read_bytes()[:-3])
    result = cat("-t", "a.tzip", "bad.tzip", status=1)
    assert result.stdout == ""
    assert result.stderr.startswith("tracezip-cat: bad.tzip: ")
    good, bad = (json.loads(line) for line in cat("-t", "--json", "a.tzip", "bad.tzip", status=1).stdout.splitlines())
    assert good["good"]
    assert good["messages"] == 3
    assert not bad["good"]
    assert bad["problem"]


def test_costs_of_attributes_and_fields_add_up_to_the_bytes_of_the_messages() -> None:
    for messages in (MESSAGES, read_file(SAMPLES / "astronomy.otlp").messages):
        costs = Costs()
        for message in messages:
            costs.add(message)
        parts = [*costs.attributes.values(), *costs.fields.values()]
        assert sum(cost.n_bytes for cost in parts) == costs.n_bytes == sum(map(len, messages))
        assert costs.n_spans == sum(1 for message in messages for _ in read_spans(message))


def test_stats_say_what_each_key_and_each_part_costs() -> None:
    stats = json.loads(cat("--stats", "--json", "a.tzip").stdout)
    by_key = {(one["of"], one["key"]): (one["values"], one["bytes"]) for one in stats["attributes"]}
    assert by_key["resource", "service.name"] == (3, 3 * (2 + 2 + len("service.name") + 2 + 2 + len("shop")))
    assert by_key["span", "n"] == (2, (2 + 3 + 2 + 2) + (2 + 3 + 2 + 3))
    assert sum(stats["archive_bytes_by_part"].values()) == os.path.getsize("a.tzip")
    assert stats["otlp_bytes"] == sum(map(len, MESSAGES))
    assert "resource              service.name" in cat("--stats", "a.tzip").stdout
    filtered = json.loads(cat("--stats", "--json", "--error", "a.tzip").stdout)
    assert filtered["spans"] == 1
    assert filtered["archive_bytes_by_part"] == {}


# --- on a terminal ----------------------------------------------------------------------------------------------------

pty = pytest.importorskip("pty") if os.name == "posix" else None
needs_terminal = pytest.mark.skipif(pty is None, reason="pseudo-terminals are POSIX")


def on_terminal(*arguments: str, **environment: str) -> str:
    """What the command writes to a terminal of 100 columns."""
    assert pty is not None
    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    variables |= {"COLUMNS": "100", "TERM": "xterm", "PYTHONUTF8": "1", **environment}
    program = [sys.executable, "-m", "tracezip.cli.cat", *arguments]
    with subprocess.Popen(
        program, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=variables
    ) as run:
        os.close(theirs)
        output = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # Linux says so when the other side is closed
                break
            if not chunk:
                break
            output += chunk
        assert run.wait(timeout=60) == 0
    os.close(ours)
    return output.decode().replace("\r\n", "\n")


@needs_terminal
def test_a_terminal_gets_a_tree_in_colour() -> None:
    output = on_terminal("a.tzip")
    assert output.count("trace ") == 3
    assert "\x1b[31m✗ \x1b[0m" in output
    assert "\x1b" not in on_terminal("a.tzip", NO_COLOR="1")
    assert "\x1b" not in on_terminal("a.tzip", "--color", "never")
    assert on_terminal("--to", "otlp-jsonl", "a.tzip").startswith("{")


@needs_terminal
def test_a_list_on_a_terminal_has_a_heading() -> None:
    assert on_terminal("-l", "a.tzip", NO_COLOR="1").startswith("trace id ")


def test_colour_is_given_to_a_pipe_only_if_it_is_asked_for() -> None:
    assert "\x1b" not in cat("--to", "tree", "a.tzip").stdout
    program = [sys.executable, "-m", "tracezip.cli.cat", "--to", "waterfall", "--color", "always", "a.tzip"]
    assert b"\x1b[31m" in subprocess.run(program, check=True, capture_output=True, timeout=60).stdout


def test_what_an_encoding_lacks_is_written_in_ascii() -> None:
    program = [sys.executable, "-m", "tracezip.cli.cat", "--to", "tree", "a.tzip"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert subprocess.run(program, check=True, capture_output=True, timeout=60, env=environment).stdout.isascii()
