"""What `tracezip relay` does: it puts a relay together, and runs it until a signal comes."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from tracezip.cli._client import client_of, token_in
from tracezip.cli._session import EXIT_BAD_INPUT, explained
from tracezip.errors import InputError
from tracezip.limits import DEFAULT_LEVEL
from tracezip.live.archives import RotatingArchives
from tracezip.live.http import check_endpoint, shown
from tracezip.live.limits import SPOOL_BYTES
from tracezip.live.link import Link, LinkOptions
from tracezip.live.otlp_http import OtlpSender, traces_url
from tracezip.live.places import prepared, spool_folder
from tracezip.live.spool import Spool
from tracezip.live.stats import Stats
from tracezip.relay.agent import Agent
from tracezip.relay.gateway import Gateway
from tracezip.relay.intake import Service

if TYPE_CHECKING:
    from tracezip.relay.server import ServerOptions

_PROGRAM = "tracezip relay"
_PARTNERS = {
    "archive_size": "archive",
    "archive_age": "archive",
    "fsync": "archive",
    "no_gzip": "to",
    "headers": "to",
    "to_token_file": "to",
    "to_ca_file": "to",
}
_PACKAGES = ("aiohttp", "prometheus_client", "urllib3")


def run_agent(**options: Any) -> None:
    with _usage_errors():
        _check_packages()
        stats, to = Stats(), options["to"]
        server = _server(options, None if options["no_grpc"] or not _has_grpc() else options["grpc_listen"])
        link = Link(
            check_endpoint(to), client_of(options), LinkOptions(level=options["level"] or DEFAULT_LEVEL), stats=stats
        )
        agent = Agent(link, None if options["no_spool"] else _spool(options, stats), stats)
    _run(agent, server, f"sending to {shown(to)}")


def run_gateway(**options: Any) -> None:
    with _usage_errors():
        _check_packages()
        to, archive = options["to"], options["archive"]
        _check_uses(options)
        server = _server(options, None)._replace(takes_streams=True)
        sender = None if to is None else _sender(options)
        gateway = Gateway(sender, None if archive is None else _archives(options), Stats())
    ways = [f"writing {archive}"] if archive else []
    ways += [f"sending to {shown(to)}"] if to else []
    _run(gateway, server, " and ".join(ways))


# --- what a relay is made of ------------------------------------------------------------------------------------------


def _check_uses(options: dict[str, Any]) -> None:
    """An option that would do nothing is a mistake."""
    if options["archive"] == "":
        raise InputError("--archive names no file: give a path such as '/data/{service}/{date}.tzip'")
    source = click.get_current_context().get_parameter_source
    for option, partner in _PARTNERS.items():
        if options[partner] is None and source(option) is not ParameterSource.DEFAULT:
            name = option.rstrip("s").replace("_", "-")
            raise InputError(f"--{name} does nothing without --{partner}")


def _sender(options: dict[str, Any]) -> OtlpSender:
    url = traces_url(options["to"])
    return OtlpSender(url, client_of(options), compression="none" if options["no_gzip"] else "gzip")


def _spool(options: dict[str, Any], stats: Stats) -> Spool:
    folder = options["spool"] or spool_folder(options["to"])
    try:
        prepared(folder)
    except OSError as error:
        raise InputError(f"cannot use the spool {folder}: {error.strerror or error}; name another --spool") from None
    return Spool(folder, max_bytes=options["spool_size"] or SPOOL_BYTES, stats=stats)


def _archives(options: dict[str, Any]) -> RotatingArchives:
    return RotatingArchives(
        options["archive"],
        max_bytes=options["archive_size"],
        max_seconds=options["archive_age"],
        fsync=options["fsync"],
        level=options["level"] or DEFAULT_LEVEL,
        facts={"container": "length-prefixed"},
    )


def _check_next_hop(to: str, server: ServerOptions) -> None:
    """A relay that sends to itself answers success, and delivers nothing."""
    from tracezip.relay.server import Address

    parts = urlsplit(to)
    if parts.port and parts.port == server.http.port and Address(parts.hostname or "", parts.port).is_loopback:
        raise InputError(f"--to {to} is where this relay listens itself: name the next hop, or --listen elsewhere")


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(f"the relay needs {', '.join(missing)}: pip install 'tracezip[relay]'")


def _has_grpc() -> bool:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are said here
    if find_spec("grpc") is None:
        _say("grpcio is not installed, so OTLP/gRPC is off; --no-grpc says that this is meant")
        return False
    return True


def _server(options: dict[str, Any], grpc_address: str | None) -> ServerOptions:
    from tracezip.relay.server import ServerOptions, parse_address, tls_context

    if (options["tls_cert"] is None) != (options["tls_key"] is None):
        raise InputError("--tls-cert and --tls-key belong together: give both")
    server = ServerOptions(
        http=parse_address(options["listen"]),
        grpc=None if grpc_address is None else parse_address(grpc_address),
        token=None if options["token_file"] is None else token_in(options["token_file"]),
        certificate=options["tls_cert"],
        key=options["tls_key"],
        drain_timeout=options["drain_timeout"],
    )
    tls_context(server)
    if options["to"] is not None:
        _check_next_hop(options["to"], server)
    return server


# --- running ----------------------------------------------------------------------------------------------------------


def _run(service: Service, options: ServerOptions, ways: str) -> None:
    from tracezip.relay.server import Server, serve

    logging.basicConfig(stream=sys.stderr, format=f"{_PROGRAM}: %(message)s", level=logging.INFO)
    logging.getLogger("aiohttp.server").addFilter(_is_ours)

    def ready(server: Server) -> None:
        _warn_of_strangers(options)
        grpc = f" and grpc://{server.grpc}" if server.grpc else ""
        _say(f"listening on {server.scheme}://{server.http}{grpc}, {ways}")

    try:
        is_all_safe = serve(service, options, ready)
    except InputError as error:
        service.close(0)
        _say(explained(error))
        is_all_safe = False
    _exit(0 if is_all_safe else EXIT_BAD_INPUT)


def _exit(status: int) -> None:
    """Ends the process, and does not wait for threads that a backend still holds: their clients were told nothing."""
    if any(not each.daemon for each in threading.enumerate() if each is not threading.current_thread()):
        logging.shutdown()
        sys.stderr.flush()
        os._exit(status)
    click.get_current_context().exit(status)


def _is_ours(record: logging.LogRecord) -> bool:
    """What is no HTTP, such as gRPC or a scan of ports, is answered with 400: it is no error here, nor worth a line."""
    from aiohttp.http_exceptions import HttpProcessingError

    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _warn_of_strangers(options: ServerOptions) -> None:
    """Those who can reach an address that is not loopback."""
    addresses = [str(each) for each in (options.http, options.grpc) if each is not None and not each.is_loopback]
    missing = ["--token-file"] if options.token is None else []
    missing += ["--tls-cert"] if options.certificate is None else []
    if addresses and missing:
        where, what = " and ".join(addresses), " and without ".join(missing)
        _say(f"warning: other machines can reach {where}, without {what}")


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except (InputError, OSError) as error:
        raise click.UsageError(explained(error)) from None


def _say(text: str) -> None:
    click.echo(f"{_PROGRAM}: {text}", err=True)
