"""The `tracezip` command: what goes in comes back, failures are named and leave nothing behind, 0 / 1 / 2."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import tracezip
from tracezip import files
from tracezip.cli import _info, _progress, main
from tracezip.cli.main import cli

N_MESSAGES = 5
N_SPANS = 4  # in each message

pty = pytest.importorskip("pty") if os.name == "posix" else None
needs_terminal = pytest.mark.skipif(pty is None, reason="pseudo-terminals are POSIX")
needs_full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


def request_bytes(number: int) -> bytes:
    """A small OTLP message, different for each number."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    attribute = resource_spans.resource.attributes.add(key="service.name")
    attribute.value.string_value = "checkout"
    scope_spans = resource_spans.scope_spans.add()
    for i in range(N_SPANS):
        scope_spans.spans.add(
            trace_id=struct.pack(">QQ", 0xA1B2C3D4E5F60718, number + 1),
            span_id=struct.pack(">Q", number * N_SPANS + i + 1),
            name=f"GET /cart/{i % 2}",
            start_time_unix_nano=1_700_000_000_000_000_000 + number * 1_000_000 + i,
            end_time_unix_nano=1_700_000_000_000_500_000 + number * 1_000_000 + i * 7,
        )
    return request.SerializeToString()


MESSAGES = [request_bytes(number) for number in range(N_MESSAGES)]
LENGTH_PREFIXED = b"".join(struct.pack(">I", len(message)) + message for message in MESSAGES)


def json_of(number: int) -> dict[str, object]:
    """The smallest trace in the form the OTLP/JSON specification gives."""
    span = {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": "GET /cart",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000000000500000",
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sample(here: Path) -> Path:
    """a.otlp, length-prefixed as the Collector writes it."""
    path = Path("a.otlp")
    path.write_bytes(LENGTH_PREFIXED)
    return path


@pytest.fixture
def archive(sample: Path) -> Path:
    """a.otlp.tzip, compressed from the sample."""
    invoke("compress", sample.name, status=0)
    return Path("a.otlp.tzip")


def invoke(*arguments: str, status: int | None = None, stdin: bytes = b"") -> Result:
    result = CliRunner().invoke(cli, list(arguments), input=stdin)
    if status is not None:
        assert result.exit_code == status, result.output
    return result


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tracezip.cli.main", *arguments]


def run_process(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command(*arguments), capture_output=True, timeout=60, **options)  # type: ignore[call-overload]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ---- compress and decompress -----------------------------------------------------------------------------------------


def test_an_unknown_backend_is_one_line_and_not_a_traceback(sample: Path) -> None:
    process = run_process("compress", str(sample), env={**os.environ, "TRACEZIP_BACKEND": "other"})
    assert process.returncode == 2
    assert process.stderr.startswith(b"tracezip: TRACEZIP_BACKEND is 'other'; set it to native or reference")
    assert process.stderr.count(b"\n") == 1


def test_compress_writes_beside_the_input_and_keeps_it(sample: Path) -> None:
    invoke("compress", "a.otlp", status=0)
    assert names_in(Path()) == {"a.otlp", "a.otlp.tzip"}
    assert sample.read_bytes() == LENGTH_PREFIXED
    assert tracezip.is_tracezip(Path("a.otlp.tzip").read_bytes())


@pytest.mark.parametrize(
    "content", [MESSAGES[0], LENGTH_PREFIXED, b""], ids=["raw protobuf", "length-prefixed protobuf", "empty"]
)
@pytest.mark.parametrize("wrap", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_protobuf_comes_back_byte_for_byte(here: Path, content: bytes, wrap: Callable[[bytes], bytes]) -> None:
    Path("in").write_bytes(wrap(content))
    invoke("compress", "in", status=0)
    invoke("decompress", "in.tzip", "-o", "out", status=0)
    assert Path("out").read_bytes() == content


def test_json_comes_back_as_the_same_trace(here: Path) -> None:
    Path("a.json").write_text(json.dumps(json_of(0), indent=2))
    invoke("compress", "a.json", status=0)
    invoke("decompress", "-f", "a.json.tzip", status=0)
    assert json.loads(Path("a.json").read_text()) == json_of(0)


def test_json_lines_come_back_line_by_line(here: Path) -> None:
    Path("a.jsonl").write_text("".join(json.dumps(json_of(number)) + "\n" for number in range(3)))
    invoke("compress", "a.jsonl", status=0)
    invoke("decompress", "-f", "a.jsonl.tzip", status=0)
    lines = Path("a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [json_of(number) for number in range(3)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t.otlp", "t.otlp.tzip"),
        ("t.otlp.gz", "t.otlp.tzip"),
        ("t.otlp.zst", "t.otlp.tzip"),
        ("t", "t.tzip"),
        (".gz", ".gz.tzip"),
    ],
)
def test_the_output_is_named_after_the_content(here: Path, name: str, expected: str) -> None:
    Path(name).write_bytes(MESSAGES[0])
    invoke("compress", name, status=0)
    assert names_in(here) == {name, expected}


def test_decompress_takes_the_extension_off(archive: Path, sample: Path) -> None:
    sample.unlink()
    invoke("decompress", archive.name, status=0)
    assert sample.read_bytes() == LENGTH_PREFIXED
    assert archive.exists()


@pytest.mark.parametrize("name", ["traces.bin", ".tzip"])
def test_decompress_of_another_name_wants_an_output(archive: Path, name: str) -> None:
    archive.rename(name)
    result = invoke("decompress", name, status=1)
    assert name in result.stderr
    assert "-o" in result.stderr
    invoke("decompress", name, "-o", "out", status=0)
    assert Path("out").read_bytes() == LENGTH_PREFIXED


def test_files_written_from_python_come_back_length_prefixed(here: Path) -> None:
    with tracezip.open("p.tzip", "wb") as writer:
        for message in MESSAGES:
            writer.write(message)
    invoke("decompress", "p.tzip", status=0)
    assert Path("p").read_bytes() == LENGTH_PREFIXED


def test_another_container_can_be_chosen(archive: Path) -> None:
    invoke("decompress", archive.name, "-o", "out", "--container", "otlp", status=0)
    assert Path("out").read_bytes() == b"".join(MESSAGES)


def test_a_container_of_the_future_is_refused_with_a_way_out(here: Path) -> None:
    with tracezip.open("p.tzip", "wb", metadata={"container": "papyrus"}) as writer:
        writer.write(MESSAGES[0])
    assert "--container" in invoke("decompress", "p.tzip", status=1).stderr
    assert names_in(here) == {"p.tzip"}
    invoke("decompress", "p.tzip", "--container", "length-prefixed", status=0)


def test_every_container_there_is_can_be_chosen() -> None:
    assert main.CONTAINERS == files.CONTAINERS


@pytest.mark.parametrize("level", range(1, 10))
def test_every_level_is_exact(sample: Path, level: int) -> None:
    blob = invoke("compress", "-c", f"-{level}", "a.otlp", status=0).stdout_bytes
    assert invoke("decompress", stdin=blob, status=0).stdout_bytes == LENGTH_PREFIXED


def test_the_level_reaches_the_codec_and_the_last_one_counts(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = []
    real_open = tracezip.open

    def spying_open(file: object, mode: str = "rb", **options: object) -> object:
        levels.append(options.get("level"))
        return real_open(file, mode, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(tracezip, "open", spying_open)
    for options in ([], ["-1"], ["-9"], ["-9", "-2"]):
        invoke("compress", "-c", "a.otlp", *options, status=0)
    assert levels == [3, 1, 9, 2]


def test_compressing_twice_gives_the_same_bytes(sample: Path) -> None:
    first = invoke("compress", "-c", "a.otlp", status=0).stdout_bytes
    assert invoke("compress", "-c", "a.otlp", status=0).stdout_bytes == first


# ---- where the output goes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["-"], ["-o", "-"], ["-c"], ["-", "-o", "-"]])
def test_standard_input_goes_to_standard_output(here: Path, arguments: list[str]) -> None:
    blob = invoke("compress", *arguments, stdin=LENGTH_PREFIXED, status=0).stdout_bytes
    assert invoke("decompress", *arguments, stdin=blob, status=0).stdout_bytes == LENGTH_PREFIXED
    assert names_in(here) == set()


def test_standard_input_goes_to_a_named_output(here: Path) -> None:
    invoke("compress", "-o", "x.tzip", stdin=LENGTH_PREFIXED, status=0)
    invoke("decompress", "x.tzip", status=0)
    assert Path("x").read_bytes() == LENGTH_PREFIXED


def test_several_files_to_standard_output_are_their_concatenation(archive: Path) -> None:
    twice = invoke("compress", "-c", "a.otlp", "a.otlp", status=0).stdout_bytes
    assert twice == archive.read_bytes() * 2
    assert invoke("decompress", stdin=twice, status=0).stdout_bytes == LENGTH_PREFIXED * 2


@pytest.mark.parametrize("name", ["compress", "decompress"])
def test_a_file_that_exists_is_not_overwritten(archive: Path, name: str) -> None:
    source, target = ("a.otlp", "a.otlp.tzip") if name == "compress" else ("a.otlp.tzip", "a.otlp")
    Path(target).write_bytes(b"precious") if name == "decompress" else None
    before = Path(target).read_bytes()
    result = invoke(name, source, status=1)
    assert target in result.stderr
    assert "-f" in result.stderr
    assert Path(target).read_bytes() == before


@pytest.mark.parametrize("force", ["-f", "--force"])
def test_force_overwrites(sample: Path, force: str) -> None:
    Path("a.otlp.tzip").write_bytes(b"old")
    invoke("compress", force, "a.otlp", status=0)
    assert tracezip.is_tracezip(Path("a.otlp.tzip").read_bytes())


def test_the_input_is_never_the_output(sample: Path) -> None:
    Path("link").symlink_to("a.otlp")
    for output in ("a.otlp", "link"):
        assert "same file" in invoke("compress", "-f", "a.otlp", "-o", output, status=1).stderr
    assert sample.read_bytes() == LENGTH_PREFIXED


def test_two_inputs_never_share_an_output(sample: Path) -> None:
    Path("a.otlp.gz").write_bytes(gzip.compress(MESSAGES[0]))
    result = invoke("compress", "-f", "a.otlp", "a.otlp.gz", status=1)
    assert "a.otlp.gz" in result.stderr
    assert invoke("decompress", "-c", "a.otlp.tzip", status=0).stdout_bytes == LENGTH_PREFIXED


def test_a_link_as_output_is_written_through(sample: Path) -> None:
    Path("folder").mkdir()
    Path("x.tzip").symlink_to("folder/real.tzip")
    invoke("compress", "a.otlp", "-o", "x.tzip", status=0)
    assert Path("x.tzip").is_symlink()
    assert names_in(Path("folder")) == {"real.tzip"}


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_the_output_has_the_permissions_of_the_input(sample: Path) -> None:
    sample.chmod(0o600)
    invoke("compress", "a.otlp", status=0)
    assert stat.S_IMODE(Path("a.otlp.tzip").stat().st_mode) == 0o600


def test_a_device_as_output_is_not_replaced(sample: Path) -> None:
    invoke("compress", "a.otlp", "-o", os.devnull, status=0)
    assert not os.path.isfile(os.devnull)


# ---- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["compress", "decompress", "info", "test"])
def test_bad_files_are_named_and_the_others_are_done(archive: Path, name: str) -> None:
    Path("bad").write_bytes(b"\xff no trace, no archive")
    good = "a.otlp" if name == "compress" else archive.name
    options = {"compress": ["-c"], "decompress": ["-c"], "test": ["-v"]}.get(name, [])
    result = invoke(name, *options, "bad", "missing", ".", good, status=1)
    assert [line.split(": ")[1] for line in result.stderr.splitlines()[:3]] == ["bad", "missing", "."]
    assert all(line.startswith("tracezip: ") for line in result.stderr.splitlines()[:3])
    assert result.stdout_bytes or good in result.stderr


def test_a_failed_compression_leaves_nothing(here: Path) -> None:
    Path("a.otlp").write_bytes(LENGTH_PREFIXED[:-3])
    invoke("compress", "a.otlp", status=1)
    assert names_in(here) == {"a.otlp"}


def test_a_failed_decompression_leaves_nothing_but_prints_what_is_whole(here: Path) -> None:
    with tracezip.open("p.tzip", "wb") as writer:
        for message in MESSAGES:
            writer.write(message)
            writer.flush()
    whole = Path("p.tzip").read_bytes()
    Path("p.tzip").write_bytes(whole[: len(whole) * 2 // 3])
    invoke("decompress", "p.tzip", status=1)
    assert names_in(here) == {"p.tzip"}
    printed = invoke("decompress", "-c", "p.tzip", status=1).stdout_bytes
    assert printed
    assert LENGTH_PREFIXED.startswith(printed)


def test_an_archive_is_not_compressed_again(archive: Path) -> None:
    assert archive.name in invoke("compress", archive.name, status=1).stderr
    assert names_in(Path()) == {"a.otlp", "a.otlp.tzip"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["conquer"],
        ["compress", "--no-such-option"],
        ["compress", "a.otlp", "b.otlp", "-o", "x"],
        ["compress", "a.otlp", "-c", "-o", "x"],
        ["decompress", "x.tzip", "--container", "papyrus"],
    ],
)
def test_wrong_usage_is_status_2(here: Path, arguments: list[str]) -> None:
    invoke(*arguments, status=2)
    assert names_in(here) == set()


@needs_full_device
@pytest.mark.parametrize("where", ["-o", "stdout"])
def test_a_full_disk_is_blamed_on_the_output(sample: Path, where: str) -> None:
    with open("/dev/full", "wb") as full:
        arguments = ["-o", "/dev/full"] if where == "-o" else ["-c"]
        stdout = subprocess.DEVNULL if where == "-o" else full
        process = subprocess.run(
            command("compress", "a.otlp", *arguments), stdout=stdout, stderr=subprocess.PIPE, timeout=60
        )
    assert process.returncode == 1
    line = process.stderr.decode().splitlines()
    assert len(line) == 1
    assert ("/dev/full" if where == "-o" else "standard output") in line[0]


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_nothing(here: Path, number: signal.Signals, status: int) -> None:
    process = subprocess.Popen(
        command("compress", "-o", "x.tzip"),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a shell makes what it runs with & deaf to SIGINT
    )
    with process:
        assert process.stdin is not None
        for _ in range(200):
            process.stdin.write(LENGTH_PREFIXED)
        process.stdin.flush()
        _wait_for(lambda: any(name.startswith(".tracezip-") for name in names_in(here)))
        process.send_signal(number)
        assert process.wait(timeout=30) == status
    assert names_in(here) == set()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
@pytest.mark.parametrize("arguments", [["decompress", "-c"], ["info"]])
def test_a_closed_pipe_ends_quietly(archive: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    names = [archive.name] * 20
    process = subprocess.run(command(*arguments, *names), stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert process.returncode == 0
    assert process.stderr == b""


# ---- info and test ---------------------------------------------------------------------------------------------------


def test_info_as_json_is_one_stable_line_per_file(archive: Path) -> None:
    lines = invoke("info", "--json", archive.name, archive.name, status=0).stdout.splitlines()
    assert len(lines) == 2
    record = json.loads(lines[0])
    assert record["version"] == 1
    assert record["file"] == archive.name
    assert (record["messages"], record["spans"], record["traces"]) == (N_MESSAGES, N_MESSAGES * N_SPANS, N_MESSAGES)
    assert record["raw_bytes"] == sum(map(len, MESSAGES))
    assert record["compressed_bytes"] == archive.stat().st_size
    assert record["ratio"] == pytest.approx(record["raw_bytes"] / record["compressed_bytes"], rel=1e-3)
    assert record["compression_ratio"] == pytest.approx(1 - record["compressed_bytes"] / record["raw_bytes"], abs=1e-3)
    assert record["bytes_per_span"] == pytest.approx(record["compressed_bytes"] / record["spans"], rel=1e-3)
    assert record["metadata"]["container"] == "length-prefixed"
    assert record["complete"] is True
    assert {"streams", "groups", "blocks", "bytes_by_part", "writer"} <= record.keys()


def test_info_as_a_table_names_every_fact(archive: Path) -> None:
    table = invoke("info", archive.name, status=0).stdout
    rows = {line[2:20].strip(): line[20:].strip() for line in table.splitlines()}
    assert rows["spans"] == str(N_MESSAGES * N_SPANS)
    assert rows["traces"] == rows["messages"] == str(N_MESSAGES)
    assert rows["complete"] == "yes"
    expected = "streams|restart groups|blocks|OTLP size|compressed size|ratio|compression_ratio|bytes per span|part"
    assert set(expected.split("|")) <= rows.keys()


def test_info_reads_standard_input(archive: Path) -> None:
    result = invoke("info", "--json", stdin=archive.read_bytes(), status=0)
    assert json.loads(result.stdout)["messages"] == N_MESSAGES


def test_info_shows_no_control_characters_of_the_file(here: Path) -> None:
    with tracezip.open("evil.tzip", "wb", metadata={"note\x1b[2J": "\x1b]0;owned\x07"}) as writer:
        writer.write(MESSAGES[0])
    assert "\x1b" not in invoke("info", "evil.tzip", status=0).stdout


def test_info_in_json_survives_what_json_has_not() -> None:
    record = _info.as_json("x", {"compressed_bytes": 3, "spans": 0, "odd": {1: b"\xff", "nan": float("nan")}})
    assert json.loads(record)["odd"] == {"1": "ff", "nan": None}
    assert json.loads(record)["bytes_per_span"] is None


def test_test_accepts_what_is_whole(archive: Path) -> None:
    assert invoke("test", archive.name, status=0).output == ""
    assert str(N_MESSAGES) in invoke("test", "-v", archive.name, status=0).stderr


@pytest.mark.parametrize("damage", ["cut", "flip", "junk"])
def test_test_sees_damage(archive: Path, damage: str) -> None:
    data = bytearray(archive.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0x10
    data = {"cut": data[:-1], "flip": data, "junk": data + b"junk"}[damage]
    archive.write_bytes(data)
    result = invoke("test", archive.name, status=1)
    assert result.stderr.startswith(f"tracezip: {archive.name}: ")
    assert result.stdout == ""


# ---- manners on a terminal -------------------------------------------------------------------------------------------


def on_terminal(arguments: Sequence[str], streams: Sequence[str], **environment: str) -> tuple[int, str]:
    """Runs the command with the given streams on a pseudo-terminal: its status and what the terminal shows."""
    assert pty is not None
    leader, follower = pty.openpty()
    redirected = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    redirected |= dict.fromkeys(streams, follower)
    plain = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    environment = {**plain, "TERM": "xterm", **environment}
    process = subprocess.Popen(command(*arguments), env=environment, **redirected)  # type: ignore[call-overload]
    os.close(follower)
    shown = b"".join(_read_terminal(leader))
    os.close(leader)
    return process.wait(timeout=60), shown.decode(errors="replace")


def _read_terminal(leader: int) -> Iterator[bytes]:
    try:
        while chunk := os.read(leader, 4096):
            yield chunk
    except OSError:  # Linux answers EIO when the other side is closed
        return


@needs_terminal
def test_binary_is_not_written_to_a_terminal(archive: Path) -> None:
    for arguments in (["compress", "-c", "a.otlp"], ["decompress", "-c", archive.name]):
        status, shown = on_terminal(arguments, ["stdout", "stderr"])
        assert status == 2
        assert "terminal" in shown
    assert on_terminal(["compress", "-c", "-f", "a.otlp"], ["stdout"])[0] == 0


@needs_terminal
def test_text_is_written_to_a_terminal(archive: Path) -> None:
    status, shown = on_terminal(["decompress", "-c", archive.name, "--container", "jsonl"], ["stdout"])
    assert status == 0
    assert len([json.loads(line) for line in shown.splitlines()]) == N_MESSAGES


@needs_terminal
@pytest.mark.parametrize("name", ["compress", "decompress", "info", "test"])
def test_nothing_to_read_from_a_terminal_is_wrong_usage(here: Path, name: str) -> None:
    status, shown = on_terminal([name], ["stdin", "stderr"])
    assert status == 2
    assert "FILE" in shown


@needs_terminal
def test_the_summary_is_for_terminals_and_for_those_who_ask(sample: Path) -> None:
    status, shown = on_terminal(["compress", "-f", "a.otlp"], ["stderr"])
    assert status == 0
    assert "ratio" in shown
    assert "bytes per span" in shown
    assert shown.count("\n") == 1
    assert on_terminal(["compress", "-qf", "a.otlp"], ["stderr"]) == (0, "")
    assert invoke("compress", "-f", "a.otlp", status=0).stderr == ""
    assert "bytes per span" in invoke("compress", "-vf", "a.otlp", status=0).stderr


@needs_terminal
def test_colour_is_for_terminals_that_want_it(here: Path) -> None:
    assert "\x1b[" in on_terminal(["test", "missing"], ["stderr"])[1]
    assert "\x1b[" not in on_terminal(["test", "missing"], ["stderr"], NO_COLOR="1")[1]
    assert "\x1b[" not in on_terminal(["test", "missing"], ["stderr"], TERM="dumb")[1]
    assert "\x1b[" not in run_process("test", "missing").stderr.decode()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("n_total", [None, 4])
def test_progress_is_shown_for_long_work_only(monkeypatch: pytest.MonkeyPatch, n_total: int | None) -> None:
    monkeypatch.setattr(_progress, "size_of", lambda source: n_total)
    for delay_s, is_shown in ((1e9, False), (-1.0, True)):
        monkeypatch.setattr(_progress, "_SHOWN_AFTER_S", delay_s)
        monkeypatch.setattr(sys, "stderr", Terminal())
        with _progress.Progress(io.BytesIO(), "a.otlp", wanted=True) as progress:
            assert list(progress.over([b"ab", b"cd"])) == [b"ab", b"cd"]
        assert ("a.otlp" in sys.stderr.getvalue()) is is_shown
        assert progress.n_message_bytes == 4


# ---- start-up --------------------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy() -> None:
    program = "import sys, tracezip.cli.main, tracezip.cli.cat; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60).stdout
    heavy = {"numpy", "zstandard", "msgpack", "xxhash", "tracezip.codec", "tracezip._native", "tracezip.files"}
    assert not heavy & set(modules.decode().split())


def test_help_takes_under_150_ms() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        assert run_process("--help").returncode == 0
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.15


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["compress", "--help"], ["info", "-h"]])
def test_help_is_there(arguments: list[str]) -> None:
    assert "tracezip" in invoke(*arguments, status=0).stdout.lower()
