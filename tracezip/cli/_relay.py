"""The commands that run the relay: relay agent and relay gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tracezip.cli._client import FILE, client_options
from tracezip.cli._options import Command, level_options
from tracezip.cli._units import period, size
from tracezip.relay.limits import AGENT_ADDRESS, AGENT_GRPC_ADDRESS, DRAIN_SECONDS, GATEWAY_ADDRESS

_FSYNC = ("always", "close", "never")
_FOLDER = click.Path(file_okay=False, path_type=Path)
_ADDRESS = "HOST:PORT"


def _option(*names: str, **how: Any) -> Callable[[Command], Command]:
    if how.get("default") is not None:
        how["show_default"] = True
    return click.option(*names, **how)


def _all_of(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_server_options = _all_of(
    _option("--token-file", metavar="FILE", type=FILE, help="Take only requests with the bearer token in FILE."),
    _option("--tls-cert", metavar="FILE", type=FILE, help="Speak TLS with the certificate chain in FILE (PEM)."),
    _option("--tls-key", metavar="FILE", type=FILE, help="The key of --tls-cert (PEM)."),
    _option(
        "--drain-timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=DRAIN_SECONDS,
        help="At SIGTERM, so long to end what was begun and to send what waits.",
    ),
)


@click.group()
def relay() -> None:
    """Take traces from programs in any language, and bring them to any backend, compressed on the way.

    An agent beside the programs takes OTLP and sends it compressed. A gateway takes that, and gives OTLP to a backend,
    writes archives, or both. Both need `pip install 'tracezip[relay]'`.
    """


@relay.command()
@_option("--to", metavar="URL", required=True, help="Send there: to a gateway, or to what takes OTLP/HTTP.")
@_option("--listen", metavar=_ADDRESS, default=AGENT_ADDRESS, help="Take OTLP/HTTP there.")
@_option("--grpc-listen", metavar=_ADDRESS, default=AGENT_GRPC_ADDRESS, help="Take OTLP/gRPC there.")
@_option("--no-grpc", is_flag=True, help="Take OTLP/HTTP only.")
@_option("--spool", metavar="DIR", type=_FOLDER, help="Keep what cannot be sent now in DIR; else in a temporary one.")
@_option("--spool-size", metavar="SIZE", type=size, help="Keep at most SIZE there: 500K, 50M, 2G; else 512M.")
@_option("--no-spool", is_flag=True, help="Keep nothing on disk.")
@client_options
@level_options
@_server_options
def agent(**options: Any) -> None:
    """Take OTLP from programs beside it, and send it, compressed, to a gateway.

    It takes OTLP/HTTP (protobuf and JSON; gzip, zstd, deflate) and OTLP/gRPC, as a Collector does, and answers when the
    traces are delivered or in the spool. If there is no gateway at --to, they go as OTLP/HTTP with gzip.
    """
    if options["no_spool"] and (options["spool"] or options["spool_size"]):
        raise click.UsageError("--no-spool contradicts --spool and --spool-size.")
    _relay_run().run_agent(**options)


@relay.command()
@_option("--to", metavar="URL", help="Forward to the OTLP/HTTP of a backend there: a Collector, Jaeger, Tempo.")
@_option("--no-gzip", is_flag=True, help="Forward without gzip: for less CPU, to a backend nearby.")
@_option("--archive", metavar="PATTERN", help="Write archives: a path with {service}, {date}, {hour} or {pid} in it.")
@_option("--archive-size", metavar="SIZE", type=size, help="Begin a new archive at SIZE: 500K, 50M, 2G.")
@_option("--archive-age", metavar="TIME", type=period, help="Begin a new archive after TIME: 15m, 1h, 1d.")
@_option("--fsync", type=click.Choice(_FSYNC), default="close", help="When to sync archives to the disk.")
@_option("--listen", metavar=_ADDRESS, default=GATEWAY_ADDRESS, help="Take streams and OTLP/HTTP there.")
@client_options
@level_options
@_server_options
def gateway(**options: Any) -> None:
    """Take what agents and exporters send, and pass it on to a backend, to archives, or to both.

    It takes streams of tracezip and OTLP/HTTP, and answers when the traces are in the archive and the backend has taken
    them.
    """
    if options["to"] is None and options["archive"] is None:
        raise click.UsageError("There is nowhere to pass traces on to: give --to URL, --archive PATTERN, or both.")
    _relay_run().run_gateway(**options)


def _relay_run() -> Any:
    """What runs them is imported when it is needed, with all that it needs."""
    from tracezip.cli import _relay_run

    return _relay_run
