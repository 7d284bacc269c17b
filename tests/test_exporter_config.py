"""Wrong arguments are refused with a reason; wrong variables never stop an application."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

import tracezip
from tests.test_exporter import made_spans
from tests.trace_servers import gateway, names_in
from tracezip.errors import InputError
from tracezip.otel import config
from tracezip.otel.auto_level import BUSY_BYTES, CALM_SECONDS, WINDOW_SECONDS, AutoLevel
from tracezip.otel.config import PREFIX, resolve

TRACES, ALL = "OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"


@pytest.fixture(autouse=True)
def _without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith((ALL, PREFIX)):
            monkeypatch.delenv(name)


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"endpoint": "http://collector:4317"}, "port 4317.*gRPC.*4318"),
        ({"endpoint": "http://localhost:4318", "path": "t.tzip"}, "not both"),
        ({"endpoint": "localhost:4318"}, "http://"),
        ({"endpoint": "http://localhost:x"}, "no URL"),
        ({"path": "t.tzip", "level": 10}, "level must be auto or a whole number from 1 to 9, not 10"),
        ({"path": "t.tzip", "level": "fast"}, "level must be auto"),
        ({"path": "t.tzip", "max_file_bytes": "ten"}, "max_file_bytes must be bytes or a size such as .* not 'ten'"),
        ({"path": "t.tzip", "max_file_bytes": 100}, "at least 4096"),
        ({"path": "t.tzip", "spool_max_bytes": -1}, "spool_max_bytes"),
        ({"path": "t.tzip", "memory_limit": "1MB"}, "memory_limit must be from"),
        ({"path": "t.tzip", "batch_size": 0}, "batch_size must be from 1"),
        ({"path": "t.tzip", "batch_timeout": "soon"}, "batch_timeout must be seconds"),
        ({"path": "t.tzip", "batch_timeout": float("nan")}, "batch_timeout must be seconds"),
        ({"path": "t.tzip", "fsync": "maybe"}, "fsync must be always, close or never"),
        ({"path": "t.tzip", "delta_encoding": "sometimes"}, "delta_encoding must be true or false"),
        ({"path": "t.tzip", "headers": 3}, "headers must be a dict"),
        ({"path": 3}, "path must be a path, not a int"),
        ({"path": "{user}.tzip"}, "there is no {user}"),
        ({"path": os.sep}, "is a folder"),
        ({"path": f"{__file__}/t.tzip"}, "is not a folder"),
        ({"endpoint": "http://localhost:4318", "certificate_file": "/nowhere.pem"}, "there is no file /nowhere.pem"),
        ({"endpoint": "http://localhost:4318", "spool_dir": f"{__file__}/spool"}, "cannot use the spool"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_reason(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        tracezip.TracezipExporter(**options)
    assert caught.value.code == "argument"


def test_what_is_not_given_has_its_default() -> None:
    options = resolve({}, {})
    assert options.endpoint == "http://localhost:4318"
    assert (options.path, options.level, options.batch_size, options.batch_timeout) == (None, 3, 1000, 5)
    assert options.compression_enabled
    assert options.delta_encoding
    assert options.dictionary_threshold == 2


# --- the environment --------------------------------------------------------------------------------------------------


def test_options_come_from_variables_and_arguments_go_before_them() -> None:
    environment = {
        f"{PREFIX}BATCH_SIZE": "200",
        f"{PREFIX}LEVEL": "auto",
        f"{PREFIX}DELTA_ENCODING": "False",
        f"{PREFIX}SPOOL_MAX_BYTES": "1MiB",
    }
    options = resolve({"batch_size": 7, "memory_limit": "10MB"}, environment)
    assert (options.batch_size, options.level, options.delta_encoding) == (7, "auto", False)
    assert (options.spool_max_bytes, options.memory_limit) == (1 << 20, 10**7)


def test_every_option_has_a_variable_that_is_documented() -> None:
    text = (Path(__file__).parent.parent / "docs" / "EXPORTER.md").read_text()
    for name, option in config.OPTIONS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` | `{PREFIX}{name.upper()}` |")]
        default = row.split("|")[3].strip()
        if option.default is not None:
            assert option.check(name, default) == option.default, name


def test_the_endpoint_is_that_of_the_other_otlp_exporters() -> None:
    assert resolve({}, {f"{ALL}ENDPOINT": "http://a:4318"}).endpoint == "http://a:4318"
    both = resolve({}, {f"{ALL}ENDPOINT": "http://a:4318", f"{TRACES}ENDPOINT": "http://b/x"})
    assert (both.endpoint, both.traces_url) == ("http://b/x", "http://b/x")
    assert resolve({"endpoint": "http://c"}, {f"{TRACES}ENDPOINT": "http://b/x"}).traces_url is None


def test_a_path_in_the_environment_goes_before_an_endpoint_there_and_behind_one_that_is_given() -> None:
    environment = {f"{PREFIX}PATH": "t.tzip", f"{ALL}ENDPOINT": "http://a:4318"}
    assert resolve({}, environment).path == os.path.abspath("t.tzip")
    given = resolve({"endpoint": "http://b:4318"}, environment)
    assert (given.endpoint, given.path) == ("http://b:4318", None)


def test_headers_and_certificates_are_those_of_the_other_otlp_exporters() -> None:
    environment = {f"{ALL}HEADERS": "a=1", f"{TRACES}HEADERS": "b=x%20y,c=3", f"{ALL}CERTIFICATE": "/ca.pem"}
    options = resolve({}, environment)
    assert options.headers == {"b": "x y", "c": "3"}
    assert options.certificate_file == "/ca.pem"


def test_a_wrong_variable_is_told_and_passed_over(caplog: Any) -> None:
    options = resolve({}, {f"{PREFIX}BATCH_SIZE": "many", f"{PREFIX}LEVEL": "12"})
    assert (options.batch_size, options.level) == (1000, 3)
    assert [record.message for record in caplog.records] == [
        "TRACEZIP_EXPORTER_BATCH_SIZE must be a whole number from 1 to 65536, not 'many'; it is passed over, "
        "for the default: 1000",
        "TRACEZIP_EXPORTER_LEVEL must be auto or a whole number from 1 to 9, not '12'; it is passed over, for the "
        "default: 3",
    ]


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("TRACEZIP_EXPORTER_BATCHSIZE", "TRACEZIP_EXPORTER_BATCH_SIZE"),
        ("TRACEZIP_EXPORTER_SPOOL_MAX", "TRACEZIP_EXPORTER_SPOOL_MAX_BYTES"),
        ("TRACEZIP_EXPORTER_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("OTEL_EXPORTER_TRACEZIP_LEVEL", "TRACEZIP_EXPORTER_LEVEL"),
        ("OTEL_EXPORTER_TRACEZIP_ENDPONT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("TRACEZIP_EXPORT_LEVEL", "TRACEZIP_EXPORTER_LEVEL"),
        ("TRACEZIP_SPOOL_DIR", "TRACEZIP_EXPORTER_SPOOL_DIR"),
    ],
)
def test_a_misspelt_variable_is_told_once_with_the_closest_one(name: str, closest: str, caplog: Any) -> None:
    for _ in range(2):
        resolve({}, {name: "1"})
    (record,) = caplog.records
    assert record.message == f"{name} is no variable of the exporter, it is passed over; the closest is {closest}"


def test_variables_that_are_read_and_those_of_others_are_not_told_of(caplog: Any) -> None:
    others = ("TRACEZIP_BACKEND", "TRACEZIP_DATA", "TRACEZIP_PORT", "TRACEZIP_SERVICE_HOST", "TRACEZIP_GATEWAY_PORT")
    resolve({}, dict.fromkeys((*others, f"{ALL}ENDPOINT", f"{PREFIX}LEVEL", "TRACEZIP_PORT_4318_TCP_ADDR"), "5"))
    assert not caplog.records


def test_a_wrong_spool_in_the_environment_is_passed_over_for_the_usual_one(caplog: Any) -> None:
    assert resolve({}, {f"{PREFIX}SPOOL_DIR": f"{__file__}/spool"}).spool_dir is None
    assert "cannot use the spool" in caplog.text


@pytest.mark.parametrize("name", ["BATCH_SIZE", "BATCH_TIMEOUT", "LEVEL", "SPOOL_MAX_BYTES", "MEMORY_LIMIT"])
def test_a_number_beyond_all_bounds_is_a_wrong_variable_like_others(name: str) -> None:
    assert resolve({}, {PREFIX + name: "9" * 5000}) == resolve({}, {})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (f"{ALL}ENDPOINT", "http://collector:4317", "gRPC"),
        (f"{ALL}ENDPOINT", "collector", "no URL"),
        (f"{ALL}CERTIFICATE", "/nowhere.pem", "certificates"),
        (f"{PREFIX}PATH", f"{__file__}/t.tzip", "is not a folder"),
        (f"{PREFIX}PATH", f"/tmp/{'x' * 300}/t.tzip", "too long"),
    ],
)
def test_a_destination_of_the_environment_that_cannot_be_used_does_not_stop_the_application(
    name: str, value: str, text: str, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setenv(name, value)
    exporter = tracezip.TracezipExporter()
    assert exporter.export(made_spans(3)) is SpanExportResult.FAILURE
    assert exporter.get_tracezip_stats()["dropped_spans"] == {"configuration": 3}
    assert exporter.force_flush()
    exporter.shutdown()
    (record,) = [record for record in caplog.records if "no spans are exported" in record.message]
    assert text in record.message


# --- the SDK's ways to make one ---------------------------------------------------------------------------------------


CONFIGURED = (
    "from opentelemetry.sdk._configuration import _OTelSDKConfigurator\n"
    "_OTelSDKConfigurator().configure()\n"
    "from opentelemetry import trace\n"
    "for number in range(3): trace.get_tracer('app').start_span(f'span {number}').end()\n"
)


def run_configured(tmp_path: Path, **variables: str) -> str:
    environment = {**os.environ, "TMPDIR": str(tmp_path), **variables}
    process = subprocess.run(
        [sys.executable, "-c", CONFIGURED], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return process.stderr


def test_a_variable_is_enough_to_export_to_an_endpoint(tmp_path: Path) -> None:
    with gateway() as server:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}
        assert run_configured(tmp_path, OTEL_TRACES_EXPORTER="tracezip", **endpoint) == ""
        assert server.names() == ["span 0", "span 1", "span 2"]
        assert server.requests[0][0].startswith("/v1/tracezip/")


def test_a_variable_is_enough_to_export_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.tzip"
    run_configured(tmp_path, OTEL_TRACES_EXPORTER="tracezip", TRACEZIP_EXPORTER_PATH=str(path))
    assert names_in([tracezip.decompress(path.read_bytes())]) == ["span 0", "span 1", "span 2"]


def test_a_wrong_endpoint_is_logged_and_the_application_runs(tmp_path: Path) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317"}
    errors = run_configured(tmp_path, OTEL_TRACES_EXPORTER="tracezip", **endpoint)
    assert errors.count("no spans are exported") == 1
    assert "Traceback" not in errors


def test_a_configuration_file_names_the_options(tmp_path: Path) -> None:
    path, file = tmp_path / "t.tzip", tmp_path / "otel.yaml"
    file.write_text(
        "file_format: '1.0'\n"
        "tracer_provider:\n"
        "  processors:\n"
        "    - batch:\n"
        "        exporter:\n"
        "          tracezip:\n"
        f"            path: {path}\n"
        "            batch_size: 2\n"
        "            level: auto\n"
        "            max_file_bytes: 1MB\n"
    )
    run_configured(tmp_path, OTEL_CONFIG_FILE=str(file))
    with tracezip.open(path) as reader:
        assert [names_in([message]) for message in reader] == [["span 0", "span 1"], ["span 2"]]


# --- the automatic level ----------------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_automatic_level_falls_while_bytes_wait_and_rises_after_a_while() -> None:
    clock = Clock()
    level = AutoLevel(clock)
    assert level.choose(0, 0) == 3
    assert level.choose(0, BUSY_BYTES) == 1
    assert level.choose(0, BUSY_BYTES // 2) == 1
    assert level.choose(0, 0) == 1
    clock.now += CALM_SECONDS
    assert level.choose(0, 0) == 3


def test_the_automatic_level_falls_when_compressing_takes_a_large_part_of_the_time() -> None:
    clock = Clock()
    level = AutoLevel(clock)
    clock.now = WINDOW_SECONDS
    assert level.choose(0.2 * WINDOW_SECONDS, 0) == 3
    clock.now = 2 * WINDOW_SECONDS
    assert level.choose(0.5 * WINDOW_SECONDS, 0) == 1
