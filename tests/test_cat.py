"""`tracezip-cat`: OTLP JSON Lines on standard output, with zstdcat's manners."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import tracezip
from tracezip.cli.cat import cli

NOT_OTLP = b"\xff\xff\xff any bytes can be compressed"


def request_bytes(number: int, name: str = "GET /") -> bytes:
    """A small OTLP message of one span, different for each number."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name=name)
    span.trace_id = struct.pack(">QQ", 0xA1B2C3D4E5F60718, number)
    span.span_id = struct.pack(">Q", number + 1)
    span.start_time_unix_nano = 1_700_000_000_000_000_000 + number
    return request.SerializeToString()


def write_archive(path: str, messages: Sequence[bytes]) -> None:
    """An archive that can be decoded up to each of its messages."""
    with tracezip.open(path, "wb") as writer:
        for message in messages:
            writer.write(message)
            writer.flush()


def cat(*arguments: str, status: int = 0, stdin: bytes = b"") -> Result:
    result = CliRunner().invoke(cli, list(arguments), input=stdin)
    assert result.exit_code == status, result.output
    return result


def spans(output: str) -> list[dict[str, Any]]:
    """The one span of each line."""
    documents = [json.loads(line) for line in output.splitlines()]
    return [document["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for document in documents]


def numbers(output: str) -> list[int]:
    return [int(span["traceId"], 16) & 0xFFFF for span in spans(output)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def archive() -> str:
    """a.tzip with messages 0 to 9."""
    write_archive("a.tzip", [request_bytes(number) for number in range(10)])
    return "a.tzip"


def test_each_message_is_a_line_with_ids_in_hex(archive: str) -> None:
    output = cat(archive).stdout
    assert len(output.splitlines()) == 10
    assert spans(output)[3]["traceId"] == "a1b2c3d4e5f607180000000000000003"
    assert spans(output)[3]["spanId"] == "0000000000000004"
    assert spans(output)[3]["startTimeUnixNano"] == "1700000000000000003"
    assert numbers(output) == list(range(10))


def test_several_files_are_printed_in_order(archive: str) -> None:
    write_archive("b.tzip", [request_bytes(77)])
    assert numbers(cat("b.tzip", archive, "b.tzip").stdout) == [77, *range(10), 77]


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_standard_input_is_read(archive: str, arguments: list[str]) -> None:
    assert numbers(cat(*arguments, stdin=Path(archive).read_bytes()).stdout) == list(range(10))


def test_concatenated_files_are_one(archive: str) -> None:
    data = Path(archive).read_bytes()
    assert numbers(cat("-", stdin=data + data).stdout) == [*range(10), *range(10)]


def test_bad_files_are_named_and_the_others_are_printed(archive: str) -> None:
    Path("bad.tzip").write_bytes(b"not an archive at all")
    result = cat("bad.tzip", "missing.tzip", ".", archive, status=1)
    assert numbers(result.stdout) == list(range(10))
    named = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert named == [["tracezip-cat", name] for name in ("bad.tzip", "missing.tzip", ".")]


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_what_stands_before_the_damage_is_printed(archive: str, damage: str) -> None:
    data = bytearray(Path(archive).read_bytes())
    middle = len(data) // 2
    data[middle] ^= 0xFF
    Path("bad.tzip").write_bytes(data[:middle] if damage == "cut" else data)
    result = cat("bad.tzip", archive, status=1)
    printed = numbers(result.stdout)
    n_saved = len(printed) - 10
    assert 0 < n_saved < 10
    assert printed[0] == 0
    assert printed[-10:] == list(range(10))
    assert result.stderr.startswith("tracezip-cat: bad.tzip: ")


def test_a_file_cut_anywhere_is_named(archive: str) -> None:
    data = Path(archive).read_bytes()
    for n_bytes in range(0, len(data), 7):
        result = cat("-", stdin=data[:n_bytes], status=1)
        assert "standard input" in result.stderr
        assert numbers(result.stdout) == list(range(len(result.stdout.splitlines())))


def test_a_message_that_is_no_trace_is_named_and_the_next_is_printed() -> None:
    write_archive("odd.tzip", [request_bytes(1), NOT_OTLP, request_bytes(3)])
    result = cat("odd.tzip", status=1)
    assert numbers(result.stdout) == [1, 3]
    assert "odd.tzip" in result.stderr
    assert "message 2" in result.stderr


def test_line_breaks_in_names_do_not_break_lines() -> None:
    write_archive("n.tzip", [request_bytes(0, "a\nb\u2028c\r\x85d")])
    lines = cat("n.tzip").stdout_bytes.split(b"\n")
    assert len(lines) == 2
    assert spans(lines[0].decode().replace("\u2028", "\\u2028").replace("\x85", "\\u0085"))[0]["name"].startswith(
        "a\nb"
    )


def test_an_archive_without_messages_prints_nothing() -> None:
    write_archive("e.tzip", [])
    assert cat("e.tzip").stdout_bytes == b""


def test_wrong_usage_is_status_2() -> None:
    cat("--no-such-option", status=2)


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_a_closed_pipe_ends_quietly() -> None:
    write_archive("big.tzip", [request_bytes(number, "x" * 1000) for number in range(500)])
    program = [sys.executable, "-m", "tracezip.cli.cat", "big.tzip", "big.tzip"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert numbers(process.stdout.readline().decode()) == [0]
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_blamed_on_the_output(archive: str) -> None:
    with open("/dev/full", "wb") as full:
        program = [sys.executable, "-m", "tracezip.cli.cat", archive]
        process = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert process.returncode == 1
    assert process.stderr.decode().startswith("tracezip-cat: standard output: ")
    assert len(process.stderr.splitlines()) == 1
