"""The span exporter for the OpenTelemetry SDK."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

try:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
except ImportError as error:
    raise ImportError("tracezip.TracezipExporter needs the OpenTelemetry SDK: pip install 'tracezip[otel]'") from error

from tracezip.convert.sdk import encode_spans
from tracezip.errors import InputError
from tracezip.live.complaints import Complaints
from tracezip.live.limits import MAX_OTLP_BYTES
from tracezip.otel.auto_level import AutoLevel
from tracezip.otel.config import Options, resolve
from tracezip.otel.endpoint import EndpointTarget
from tracezip.otel.metrics import ExporterMetrics, Operation, ReportedStats
from tracezip.otel.targets import FileTarget, Nowhere, Target
from tracezip.otel.totals import registry

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

_log = logging.getLogger(__name__)

_DESTINATION = (
    "endpoint",
    "path",
    "headers",
    "certificate_file",
    "client_key_file",
    "client_certificate_file",
    "spool_dir",
)
"""An argument of these says that a destination that cannot be used is the caller's error."""
_SDK_METRICS = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"


class TracezipExporter(SpanExporter):
    """Exports spans to an endpoint or to a file, compressed: `BatchSpanProcessor(TracezipExporter(...))`.

    Without code: OTEL_TRACES_EXPORTER=tracezip. An argument that is None comes from the environment, as
    TRACEZIP_EXPORTER_<NAME>, or is the default; docs/EXPORTER.md has the table.

    endpoint: the URL of a tracezip gateway, or of anything that takes OTLP/HTTP; a receiver that does not know tracezip
    gets plain OTLP with gzip. Else OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, or
    http://localhost:4318. path: the file to write instead, in which {service}, {date}, {hour} and {pid} are replaced;
    a name that is taken gets a number.
    compression_enabled (True): else the endpoint gets plain OTLP without compression, and the file length-prefixed OTLP
    messages. dictionary_threshold (2): strings seen so often go into the dictionary. delta_encoding (True): batches
    build on those before them; else each one stands on its own. level (3): 1 to 9, or "auto": 3, but 1 while
    compressing takes a quarter of the time, or 8 MiB wait.
    batch_size (1000): the most spans in one message. batch_timeout (5): so many seconds `export` waits for the network
    at most; what has not arrived then goes to the spool.
    headers, certificate_file, client_key_file, client_certificate_file: as of the SDK's own exporters, with their
    variables. spool_dir: a folder for what waits to be sent, by default one for user and endpoint below the system's
    folder for temporary files; spool_max_bytes (512 MiB): 0 is no spool. fsync ("close"): when files and spool are
    forced to the disk: "always" with each batch, at "close", or "never". max_file_bytes (256 MiB), max_file_seconds
    (0): a new file is begun then; 0 is no limit. memory_limit, such as "10MB", at least 8 MB: what the
    exporter adds to the process, at a cost in the size of its output. meter_provider: else the global one.

    Raises InputError for a wrong argument, and for a destination named by arguments that cannot be used. Wrong
    variables never stop the application: they are logged and passed over; if the destination itself is wrong, nothing
    is exported, and all spans are counted as dropped. Any thread may call any method; a forked child goes on with
    files, connections and counters of its own.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        path: str | os.PathLike[str] | None = None,
        compression_enabled: bool | None = None,
        dictionary_threshold: int | None = None,
        delta_encoding: bool | None = None,
        batch_size: int | None = None,
        batch_timeout: float | None = None,
        *,
        level: int | Literal["auto"] | None = None,
        headers: Mapping[str, str] | None = None,
        certificate_file: str | None = None,
        client_key_file: str | None = None,
        client_certificate_file: str | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_max_bytes: int | str | None = None,
        fsync: str | None = None,
        max_file_bytes: int | str | None = None,
        max_file_seconds: float | None = None,
        memory_limit: int | str | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "meter_provider")}
        options = resolve(given)
        switch = os.environ.get(_SDK_METRICS, "").strip().lower() == "true"
        self._metrics = ExporterMetrics(
            meter_provider, options.endpoint, is_enabled=switch or meter_provider is not None
        )
        self._stats = ReportedStats(meter_provider, self._metrics.attributes)
        self._complaints = Complaints(_log)
        self._batch_size, self._batch_timeout = options.batch_size, options.batch_timeout
        self._auto_level = AutoLevel() if options.level == "auto" else None
        self._is_over = False
        is_named = any(given[name] is not None for name in _DESTINATION)
        self._target = self._new_target(options, is_named=is_named)
        registry.add(self._stats)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """SUCCESS once every span has arrived, or is in the file or the spool; takes about `batch_timeout` at most.

        Never raises: what is lost is counted and logged, and the answer is FAILURE.
        """
        try:
            with self._metrics.operation(len(spans)) as operation:
                self._guarded(spans, operation)
        except Exception as error:  # of the metrics, or it is no sequence at all
            self._complaints.complain("export", f"an export failed: {error!r}")
            return SpanExportResult.FAILURE
        return SpanExportResult.FAILURE if operation.n_lost else SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Tries at once to send what waits; whether all of it has arrived in time."""
        try:
            return self._target.flush(timeout_millis / 1000)
        except Exception as error:
            self._complaints.complain("flush", f"spans cannot be flushed: {error!r}")
            return False

    def shutdown(self, timeout_millis: int = 30_000) -> None:
        """Sends what waits as far as the time allows, and keeps the rest in the spool, for the next process."""
        if self._is_over:
            return
        self._is_over = True
        try:
            self._target.shutdown(timeout_millis / 1000)
        except Exception as error:
            self._complaints.complain("shutdown", f"the exporter cannot be shut down properly: {error!r}")

    def get_tracezip_stats(self) -> dict[str, Any]:
        """What this exporter has done so far in this process: the counters of `tracezip.live.stats.Stats.snapshot`."""
        return self._stats.snapshot()

    def _new_target(self, options: Options, *, is_named: bool) -> Target:
        try:
            if options.path is not None:
                return FileTarget(options, self._stats, self._complaints)
            return EndpointTarget(options, self._stats, self._complaints)
        except InputError as error:
            if is_named:
                raise
            _log.error("no spans are exported, all are dropped: %s", error)
            return Nowhere(self._stats)

    def _guarded(self, spans: Sequence[ReadableSpan], operation: Operation) -> None:
        try:
            self._export(spans, operation)
        except Exception as error:
            self._lose(len(spans) - operation.n_lost - operation.n_kept, "error", repr(error), operation)

    def _export(self, spans: Sequence[ReadableSpan], operation: Operation) -> None:
        if self._is_over:
            self._lose(len(spans), "shutdown", "they came after the exporter was shut down", operation)
            return
        if self._auto_level is not None:
            counts = self._stats.snapshot()
            self._target.set_level(self._auto_level.choose(counts["compress_seconds"], counts["queue_bytes"]))
        deadline = time.monotonic() + self._batch_timeout
        for service, group in self._by_service(spans):
            for start in range(0, len(group), self._batch_size):
                for message, n_spans in self._messages(group[start : start + self._batch_size], operation):
                    timeout = max(deadline - time.monotonic(), 0.0)
                    if self._target.put(message, n_spans, service, timeout):
                        operation.n_kept += n_spans
                    else:
                        operation.n_lost += n_spans

    def _by_service(self, spans: Sequence[ReadableSpan]) -> Iterator[tuple[str | None, Sequence[ReadableSpan]]]:
        if not self._target.by_service:
            yield None, spans
            return
        groups: dict[str | None, list[ReadableSpan]] = {}
        for span in spans:
            name = span.resource.attributes.get("service.name")
            groups.setdefault(None if name is None else str(name), []).append(span)
        yield from groups.items()

    def _messages(self, spans: Sequence[ReadableSpan], operation: Operation) -> Iterator[tuple[bytes, int]]:
        """OTLP messages and their numbers of spans: one, but for spans that are very large or cannot be expressed."""
        try:
            message = encode_spans(spans)
        except Exception as error:
            if len(spans) == 1:
                self._lose(1, "unencodable", str(error), operation)
                return
        else:
            if len(message) <= MAX_OTLP_BYTES or len(spans) == 1:
                yield message, len(spans)
                return
        middle = len(spans) // 2
        yield from self._messages(spans[:middle], operation)
        yield from self._messages(spans[middle:], operation)

    def _lose(self, n_spans: int, reason: str, text: str, operation: Operation) -> None:
        operation.n_lost += n_spans
        operation.error_type = reason
        self._stats.drop(reason, n_spans)
        self._complaints.complain(reason, f"{n_spans} spans are lost: {text}")
