"""The life of a relay: it listens, serves until a signal comes, and drains."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import signal
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from tracezip.errors import InputError, TracezipError
from tracezip.relay import limits
from tracezip.relay.http import HttpServer
from tracezip.relay.intake import Intake, Service

if TYPE_CHECKING:
    from tracezip.relay.rpc import RpcServer

_log = logging.getLogger("tracezip.relay")


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class ServerOptions(NamedTuple):
    http: Address
    grpc: Address | None = None
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    drain_timeout: float = limits.DRAIN_SECONDS
    takes_streams: bool = False


def parse_address(text: str) -> Address:
    """HOST:PORT, with an IPv6 address in brackets. Raises InputError."""
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise InputError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:4318 or [::1]:4318", code="argument")
    if ":" in host and not is_bracketed:
        raise InputError(f"{text!r}: an IPv6 address needs brackets, as in [::1]:4318", code="argument")
    return Address(host[1:-1] if is_bracketed else host, int(port))


class Server:
    """Both servers of a relay, around one service."""

    def __init__(self, service: Service, options: ServerOptions) -> None:
        self._service = service
        self._options = options
        self._intake = Intake(service, options.token)
        http = HttpServer(self._intake, takes_streams=options.takes_streams)
        self._runner, self._connections = http.runner(), http.connections
        self._rpc: RpcServer | None = None
        self._chores: asyncio.Task[None] | None = None
        self.http = options.http
        """Where it listens, with the port that it got."""
        self.grpc = options.grpc

    @property
    def scheme(self) -> str:
        return "https" if self._options.certificate else "http"

    async def start(self) -> None:
        """Raises InputError if it cannot listen where it should; then nothing is left of it."""
        try:
            await self._start_http()
            if self._options.grpc is not None:
                await self._start_grpc(self._options.grpc)
        except BaseException:
            await self._stop()
            raise
        self._chores = asyncio.create_task(self._do_chores())

    async def drain(self) -> bool:
        """Ends what was begun and closes the service, all in the time there is for it; what comes meanwhile is told to
        come again. False if something that was acknowledged is lost.
        """
        loop = asyncio.get_running_loop()
        seconds = max(self._options.drain_timeout - 2 * limits.CLOSE_SECONDS, 0.0)
        deadline = loop.time() + seconds
        await self._intake.drain(seconds)
        if self._chores is not None:
            self._chores.cancel()
            with suppress(asyncio.CancelledError):
                await self._chores
        try:
            return await asyncio.to_thread(self._service.close, max(deadline - loop.time(), 0.0))
        finally:
            await self._stop()

    async def _stop(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._runner.cleanup())
            if self._rpc is not None:
                both.create_task(self._rpc.stop(limits.CLOSE_SECONDS))
        self._intake.close()

    async def _start_http(self) -> None:
        host, port = self._options.http
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=tls_context(self._options))
        try:
            await site.start()
        except OSError as error:
            raise InputError(f"cannot listen on {self._options.http}: {_reason(error)}", code="argument") from None
        self.http = Address(host, self._runner.addresses[0][1])

    async def _start_grpc(self, address: Address) -> None:
        from tracezip.relay.rpc import RpcServer

        server = RpcServer(self._intake)
        try:
            port = await server.start(str(address), _pem_files(self._options))
        except RuntimeError as error:
            await server.stop(0)
            why = _reason(_bind_error(address) or OSError(str(error)))
            raise InputError(f"cannot listen on {address} for gRPC: {why}", code="argument") from None
        self._rpc, self.grpc = server, Address(address.host, port)

    async def _do_chores(self) -> None:
        while True:
            await asyncio.sleep(limits.CHORE_SECONDS)
            try:
                if self._runner.server is not None:
                    self._connections.end_late(self._runner.server.connections)
                await self._intake.in_thread(self._service.do_chores)
            except (TracezipError, OSError) as problem:
                _log.error("%s", problem)
            except Exception:
                _log.exception("an error in the relay; it goes on")


def serve(service: Service, options: ServerOptions, ready: Callable[[Server], None]) -> bool:
    """Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once.

    `ready` is called when it listens. False if something that was acknowledged is lost. Raises InputError as `start`.
    """
    return asyncio.run(_serve(service, options, ready))


async def _serve(service: Service, options: ServerOptions, ready: Callable[[Server], None]) -> bool:
    server = Server(service, options)
    await server.start()
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def stop_once(number: signal.Signals) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        _log.warning("%s: draining; a second signal ends at once", number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_once, number)
    ready(server)
    await stop.wait()
    return await server.drain()


def tls_context(options: ServerOptions) -> ssl.SSLContext | None:
    """None without a certificate. Raises InputError if it cannot be used."""
    if options.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.key)
    except OSError as error:  # which SSLError is too
        raise InputError(
            f"cannot use the certificate {options.certificate} with the key {options.key}: {error}; give files in PEM",
            code="argument",
        ) from None
    return context


def _pem_files(options: ServerOptions) -> tuple[bytes, bytes] | None:
    """The key and the chain, as gRPC wants them. HTTP has them loaded already."""
    if options.certificate is None or options.key is None:
        return None
    return options.key.read_bytes(), options.certificate.read_bytes()


def _bind_error(address: Address) -> OSError | None:
    """What the system says of an address, since gRPC does not say it."""
    import socket

    try:
        with socket.create_server(tuple(address), family=socket.AF_INET6 if ":" in address.host else socket.AF_INET):
            return None
    except OSError as error:
        return error


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use, maybe by a Collector or another relay; stop that, or choose another address"
    if error.errno == errno.EACCES:
        return "that is not permitted; choose a port above 1023"
    return error.strerror or str(error)
