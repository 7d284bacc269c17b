"""Batches to an endpoint: over a link that a thread of its own drives, with a spool behind it."""

from __future__ import annotations

from pathlib import Path

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from tracezip.live.complaints import Complaints
from tracezip.live.delivery import Deliverer, Delivery
from tracezip.live.errors import Delivered
from tracezip.live.http import HttpClient, check_endpoint
from tracezip.live.limits import QUEUE_BYTES
from tracezip.live.link import Link, LinkOptions
from tracezip.live.places import prepared, spool_folder
from tracezip.live.spool import Spool
from tracezip.live.stats import Stats
from tracezip.otel.config import Options
from tracezip.otel.targets import start_level

_QUEUE_SHARE = 8
"""Of a limit of memory, that messages on their way may take; what comes beside them goes to the spool."""


class EndpointTarget:
    """Streams to a gateway, or plain OTLP/HTTP to what is none; what cannot be sent in time waits in the spool."""

    by_service = False

    def __init__(self, options: Options, stats: Stats, complaints: Complaints) -> None:
        assert options.endpoint is not None
        self._client = client = HttpClient(
            headers=options.headers,
            certificate=options.certificate_file,
            client_certificate=options.client_certificate_file,
            client_key=options.client_key_file,
        )
        self._link = Link(check_endpoint(options.endpoint), client, _link_options(options), stats=stats)
        spool = _spool(options, stats, complaints)
        queue_bytes = QUEUE_BYTES if options.memory_limit is None else options.memory_limit // _QUEUE_SHARE
        self._delivery = Delivery(_Uninstrumented(self._link), spool, stats=stats, queue_bytes=queue_bytes)

    def put(self, message: bytes, n_spans: int, service: str | None, timeout: float) -> bool:
        return self._delivery.put(message, n_spans, timeout)

    def flush(self, timeout: float) -> bool:
        return self._delivery.flush(timeout)

    def shutdown(self, timeout: float) -> bool:
        try:
            return self._delivery.shutdown(timeout)
        finally:
            self._client.close()

    def set_level(self, level: int) -> None:
        self._link.set_level(level)


class _Uninstrumented:
    """Sends without making spans: else, where HTTP clients are instrumented, each batch would be a reason for another.

    The SDK says so for the thread that calls the exporter, not for the one that sends.
    """

    def __init__(self, link: Deliverer) -> None:
        self._link = link

    def deliver(self, message: bytes, timeout: float) -> Delivered:
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            return self._link.deliver(message, timeout)
        finally:
            detach(token)


def _link_options(options: Options) -> LinkOptions:
    return LinkOptions(
        level=start_level(options),
        dictionary_threshold=options.dictionary_threshold,
        chained=options.delta_encoding,
        memory_limit=options.stream_memory,
        plain=not options.compression_enabled,
        otlp_compression="gzip" if options.compression_enabled else "none",
        traces_url=options.traces_url,
    )


def _spool(options: Options, stats: Stats, complaints: Complaints) -> Spool | None:
    """None if there shall be none, or if nobody named a folder and the usual one cannot be used."""
    if not options.spool_max_bytes:
        return None
    try:
        folder = Path(options.spool_dir) if options.spool_dir else prepared(spool_folder(str(options.endpoint)))
    except OSError as error:
        complaints.complain("spool", f"there is no spool, spans are lost while the endpoint is away: {error}")
        return None
    return Spool(folder, max_bytes=options.spool_max_bytes, fsync=options.fsync, stats=stats)
