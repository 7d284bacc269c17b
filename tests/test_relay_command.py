"""`tracezip relay` as a process: how it starts, what it says, and what is there after its end."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from archives import MESSAGES, read
from click.testing import CliRunner
from relays import Backend, backend, post

import tracezip
from tracezip.cli import _relay_run
from tracezip.cli.main import cli
from tracezip.live.places import spool_folder

pytest.importorskip("aiohttp")
PROGRAM = [sys.executable, "-m", "tracezip.cli.main", "relay"]
LISTENING = re.compile(r"listening on (https?://\S+?)[, ]")


class Process:
    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen([*PROGRAM, *arguments], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.lines: list[str] = []
        for line in self.process.stderr:
            self.lines.append(line)
            if found := LISTENING.search(line):
                self.url = found[1]
                break
        else:
            raise AssertionError(self.lines)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def process(*arguments: str) -> Iterator[Process]:
    started = Process(*arguments)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=30)


# --- the end of a gateway ---------------------------------------------------------------------------------------------


def test_after_sigterm_the_archive_is_whole(tmp_path: Path) -> None:
    with process("gateway", "--archive", f"{tmp_path}/{{service}}.tzip", "--listen", "127.0.0.1:0") as relay:
        assert f"writing {tmp_path}/{{service}}.tzip" in relay.lines[-1]
        assert [post(relay.url, each).status for each in MESSAGES] == [200] * len(MESSAGES)
        assert relay.end(signal.SIGTERM) == 0
    archive = tmp_path / "checkout.tzip"
    assert read(archive.read_bytes()) == (MESSAGES, None)  # its end included


def test_after_a_kill_everything_that_was_acknowledged_can_be_read(tmp_path: Path) -> None:
    with process("gateway", "--archive", str(tmp_path / "a.tzip"), "--listen", "127.0.0.1:0") as relay:
        assert [post(relay.url, each).status for each in MESSAGES] == [200] * len(MESSAGES)
        assert relay.end(signal.SIGKILL) == -signal.SIGKILL
    found = read((tmp_path / "a.tzip").read_bytes())
    assert found.messages == MESSAGES
    assert isinstance(found.error, tracezip.TruncatedError)


def test_a_second_signal_ends_a_drain_at_once(tmp_path: Path) -> None:
    with backend() as end, process("gateway", "--to", end.url, "--listen", "127.0.0.1:0") as relay:
        end.may_answer.clear()
        client = subprocess.Popen([sys.executable, "-c", POST, relay.url, MESSAGES[0].hex()])
        try:
            assert end.was_asked.wait(20)
            relay.process.send_signal(signal.SIGTERM)
            assert relay.process.stderr is not None
            assert "draining" in relay.process.stderr.readline()
            assert relay.end(signal.SIGTERM) == -signal.SIGTERM
        finally:
            end.may_answer.set()
            client.wait(20)


def test_a_backend_that_hangs_does_not_hold_up_the_end_beyond_the_drain_timeout(tmp_path: Path) -> None:
    archive = tmp_path / "a.tzip"
    arguments = ("gateway", "--to", "{}", "--archive", str(archive), "--listen", "127.0.0.1:0", "--drain-timeout", "1")
    with backend() as end, process(*(each.format(end.url) for each in arguments)) as relay:
        end.may_answer.clear()
        client = subprocess.Popen([sys.executable, "-c", POST, relay.url, MESSAGES[0].hex()])
        try:
            assert end.was_asked.wait(20)
            began = time.monotonic()
            assert relay.end(signal.SIGTERM) == 0
            assert time.monotonic() - began < 4  # 1, but for the time that a busy machine takes
        finally:
            end.may_answer.set()
            client.wait(20)
    assert read(archive.read_bytes()) == (MESSAGES[:1], None)


POST = """
import sys, urllib.request
headers = {"Content-Type": "application/x-protobuf"}
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/v1/traces", bytes.fromhex(sys.argv[2]), headers))
except OSError:
    pass
"""


# --- the end of an agent ----------------------------------------------------------------------------------------------


def agent_arguments(end: Backend, spool: Path) -> list[str]:
    return ["agent", "--to", end.url, "--listen", "127.0.0.1:0", "--no-grpc", "--spool", str(spool)]


def test_what_an_agent_could_not_send_is_sent_by_the_next(tmp_path: Path) -> None:
    with backend() as end:
        end.answers.extend([503] * 1000)
        with process(*agent_arguments(end, tmp_path), "--drain-timeout", "0.2") as relay:
            statuses: list[int] = []
            client = threading.Thread(target=lambda: statuses.append(post(relay.url, MESSAGES[0]).status))
            client.start()
            assert end.was_asked.wait(20)
            assert relay.end(signal.SIGTERM) == 0
            client.join()
            assert statuses == [200]
        end.answers.clear()
        with process(*agent_arguments(end, tmp_path)):
            assert end.wait_for(1)
        assert end.messages == MESSAGES[:1]


def test_what_is_in_the_spool_of_a_killed_agent_is_sent_by_the_next(tmp_path: Path) -> None:
    with backend() as end:
        end.answers.extend([503] * 1000)
        with process(*agent_arguments(end, tmp_path)) as relay:
            assert [post(relay.url, each).status for each in MESSAGES] == [200] * len(MESSAGES)
            assert relay.end(signal.SIGKILL) == -signal.SIGKILL
        assert not end.messages
        end.answers.clear()
        with process(*agent_arguments(end, tmp_path)):
            assert end.wait_for(len(MESSAGES))
        assert end.messages == MESSAGES


def test_an_agent_takes_grpc_and_says_where(tmp_path: Path) -> None:
    grpc = pytest.importorskip("grpc")
    with backend() as end:
        arguments = ["agent", "--to", end.url, "--no-spool", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"]
        with process(*arguments) as relay:
            found = re.search(r" and grpc://(\S+), sending to", relay.lines[-1])
            assert found
            with grpc.insecure_channel(found[1]) as channel:
                call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
                assert call(MESSAGES[0], timeout=20) == b""
            assert relay.end(signal.SIGINT) == 0
        assert end.messages == MESSAGES[:1]


# --- the start --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["gateway"], "nowhere to pass traces on to"),
        (["agent"], "--to"),
        (["agent", "--to", "localhost"], "no URL to send to"),
        (["agent", "--to", "http://localhost", "--listen", "4318"], "HOST:PORT"),
        (["agent", "--to", "http://localhost", "--header", "x"], "NAME=VALUE"),
        (["agent", "--to", "http://localhost", "--no-spool", "--spool", "x"], "contradicts"),
        (["gateway", "--archive", "{nothing}.tzip"], "there is no {nothing}"),
        (["gateway", "--archive", "a.tzip", "--tls-cert", __file__], "--tls-key"),
        (
            ["gateway", "--archive", "a.tzip", "--tls-cert", __file__, "--tls-key", __file__],
            "cannot use the certificate",
        ),
    ],
)
def test_what_makes_no_sense_is_said(arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(cli, ["relay", *arguments])
    assert result.exit_code == 2
    assert text in result.output


def test_an_empty_token_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    arguments = ["relay", "gateway", "--archive", "a.tzip", "--token-file", str(tmp_path / "token")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "holds no bearer token" in result.output


def test_an_address_that_is_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        gateway = run("gateway", "--archive", str(tmp_path / "a.tzip"), "--listen", address)
        assert gateway.returncode == 1
        assert gateway.stderr.startswith(f"tracezip relay: cannot listen on {address}: the address is in use")
        assert len(gateway.stderr.splitlines()) == 1
        pytest.importorskip("grpc")
        anywhere = ["--listen", "127.0.0.1:0", "--grpc-listen", address]
        agent = run("agent", "--to", "http://localhost", "--no-spool", *anywhere)
        assert (agent.returncode, len(agent.stderr.splitlines())) == (1, 1)
        assert f"cannot listen on {address} for gRPC: the address is in use" in agent.stderr


def test_other_machines_are_warned_of(tmp_path: Path) -> None:
    arguments = ["gateway", "--archive", str(tmp_path / "a.tzip"), "--listen", "0.0.0.0:0"]
    with process(*arguments) as relay:
        (warning, _) = relay.lines
        assert "other machines can reach 0.0.0.0:0, without --token-file and without --tls-cert" in warning


def test_without_grpcio_it_says_once_that_grpc_is_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_relay_run, "find_spec", lambda name: None)
    assert not _relay_run._has_grpc()
    assert "OTLP/gRPC is off" in capsys.readouterr().err
    result = CliRunner().invoke(cli, ["relay", "agent", "--to", "http://localhost"])
    assert (result.exit_code, "pip install 'tracezip[relay]'" in result.output) == (2, True)


def test_asking_for_help_loads_no_server() -> None:
    program = "import sys; import tracezip.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not {"aiohttp", "grpc", "prometheus_client", "urllib3", "asyncio", "ssl"} & set(loaded)


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_streams_and_grpc_go_over_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with openssl, which is not installed")
    grpc = pytest.importorskip("grpc")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*make, "-keyout", key, "-out", certificate, *names], check=True, capture_output=True)
    (tmp_path / "token").write_text("secret\n")
    tls = ["--tls-cert", certificate, "--tls-key", key, "--token-file", str(tmp_path / "token")]
    client = ["--to-ca-file", certificate, "--to-token-file", str(tmp_path / "token"), "--no-spool"]
    anywhere = ["--listen", "127.0.0.1:0"]
    with (
        process("gateway", "--archive", str(tmp_path / "a.tzip"), *anywhere, *tls) as gateway,
        process("agent", "--to", gateway.url, *client, *anywhere, *tls, "--grpc-listen", "127.0.0.1:0") as agent,
    ):
        assert agent.url.startswith("https://")
        found = re.search(r"grpc://(\S+),", agent.lines[-1])
        assert found
        credentials = grpc.ssl_channel_credentials(Path(certificate).read_bytes())
        with grpc.secure_channel(found[1], credentials) as channel:
            call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
            assert call(MESSAGES[0], timeout=20, metadata=[("authorization", "Bearer secret")]) == b""
        assert agent.end(signal.SIGTERM) == 0
        assert gateway.end(signal.SIGTERM) == 0
    assert read((tmp_path / "a.tzip").read_bytes()) == (MESSAGES[:1], None)


# --- the spool --------------------------------------------------------------------------------------------------------


def test_without_a_folder_the_spool_is_one_of_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, other = spool_folder("http://a:4318"), spool_folder("http://b:4318")
    (top,) = tmp_path.iterdir()
    assert one != other
    assert one.parent == other.parent == top / "spool"
    assert top.stat().st_mode & 0o777 == 0o700
    top.chmod(0o777)
    with pytest.raises(PermissionError, match="of this user alone"):
        spool_folder("http://a:4318")
