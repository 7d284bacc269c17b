"""HTTP requests as a sender of traces makes them: no redirects, no retries, no long answers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from tracezip import __version__
from tracezip.errors import InputError
from tracezip.live.errors import Unreachable
from tracezip.live.limits import MAX_ANSWER_BYTES, REQUEST_SECONDS

if TYPE_CHECKING:
    import ssl

    import urllib3

_MAX_CONNECTIONS = 64
"""That are kept open to one server; threads beyond that make one for each request."""
_READ_BYTES = 1 << 14
_GRPC_PORT = 4317
_OBJECT = re.compile(r"^(?:<[^>]*>|HTTPS?Connection(?:Pool)?\([^)]*\)): ")
"""An object as urllib3 writes it before a reason, in angle brackets or, as 2.8 does, without."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """Looked up in any case of letters."""
    body: bytes
    """The first MAX_ANSWER_BYTES of it."""


class HttpClient:
    """Sends POST requests over connections that it keeps. Threads may share it, and a forked child makes its own.

    certificate: a file of CAs to trust instead of the system's; client_certificate, client_key: files in PEM. Proxies
    are those of the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY). Raises InputError for files that are
    no certificates, and ImportError without urllib3.
    """

    def __init__(
        self,
        *,
        timeout: float = REQUEST_SECONDS,
        headers: Mapping[str, str] | None = None,
        certificate: str | None = None,
        client_certificate: str | None = None,
        client_key: str | None = None,
        user_agent: str = f"tracezip/{__version__}",
    ) -> None:
        self._timeout = timeout
        self._headers = _merged({"User-Agent": user_agent, "Accept-Encoding": "identity"}, headers)
        _check_headers(self._headers)
        self._tls = _tls_context(certificate, client_certificate, client_key)
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._pools: dict[str | None, urllib3.PoolManager] = {}  # by the proxy's URL

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> Response:
        """The answer, whatever it is. Raises Unreachable if none comes in time."""
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        if self._process != os.getpid():
            self._begin()  # the parent goes on with its connections
        seconds = self._timeout if timeout is None else max(timeout, 0.001)
        parts = urlsplit(url)
        try:
            answer = self._pool(parts).request(
                "POST",
                url,
                body=body,
                headers=_merged(_login(parts), self._headers, headers),
                timeout=Timeout(total=seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            return Response(answer.status, answer.headers, _read(answer))
        except (HTTPError, OSError) as error:
            raise Unreachable(f"no answer from {shown(url)}: {_reason(error)}") from error

    def close(self) -> None:
        """Ends the connections that are kept. The next post makes new ones.

        Those that were first made at the end of the process must go before the modules do: urllib3 fails to end them
        after that.
        """
        if self._process == os.getpid():
            for pool in list(self._pools.values()):
                pool.clear()
            self._pools.clear()

    def _pool(self, parts: SplitResult) -> urllib3.PoolManager:
        proxy = _proxy_of(parts)
        pool = self._pools.get(proxy)
        if pool is None:
            pool = self._pools[proxy] = self._new_pool(proxy)
        return pool

    def _new_pool(self, proxy: str | None) -> urllib3.PoolManager:
        import urllib3

        from tracezip.live.deadlines import POOLS

        options: dict[str, Any] = {"ssl_context": self._tls, "maxsize": _MAX_CONNECTIONS}
        if proxy is None:
            pool = urllib3.PoolManager(**options)
        else:
            login = {f"Proxy-{name}": value for name, value in _login(urlsplit(proxy)).items()}
            pool = urllib3.ProxyManager(proxy, proxy_headers=login, proxy_ssl_context=self._tls, **options)
        pool.pool_classes_by_scheme = POOLS
        return pool


def check_url(url: str) -> str:
    """The URL without a slash at its end. Raises InputError if nothing can be posted there."""
    parts = urlsplit(url)
    try:
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        is_good = False
    if not is_good:
        raise InputError(
            f"{url!r} is no URL to send to: give one like http://localhost:4318, with http:// or https://",
            code="argument",
        )
    return url.rstrip("/")


def shown(url: str) -> str:
    """The URL for people: without a password, and what may be one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts)}{parts.path}"


def _merged(*headers: Mapping[str, str] | None) -> dict[str, str]:
    """The later ones count, in whatever case they are written."""
    found = {name.lower(): (name, value) for some in headers for name, value in (some or {}).items()}
    return dict(found.values())


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise InputError(
                f"the header {name!r} cannot be sent: a name is letters, digits and dashes, a value one line of "
                "ISO 8859-1 text",
                code="argument",
            )


def check_endpoint(url: str) -> str:
    """The same, and raises InputError if nobody speaks HTTP there."""
    checked = check_url(url)
    parts = urlsplit(checked)
    if parts.port == _GRPC_PORT:
        raise InputError(
            f"the endpoint on {parts.hostname} has port {_GRPC_PORT}, where receivers speak gRPC, and tracezip speaks "
            "HTTP: give port 4318 for OTLP/HTTP, or the port of a tracezip gateway",
            code="argument",
        )
    return checked


def _tls_context(certificate: str | None, client_certificate: str | None, client_key: str | None) -> ssl.SSLContext:
    try:
        from urllib3.util import create_urllib3_context
    except ImportError as error:
        raise ImportError("sending traces over HTTP needs urllib3: pip install 'tracezip[otel]'") from error
    context = create_urllib3_context()
    if client_key and not client_certificate:
        raise InputError(f"the client key {client_key} needs the client certificate it belongs to", code="argument")
    try:
        if certificate:
            context.load_verify_locations(cafile=certificate)
        else:
            context.load_default_certs()
        if client_certificate:
            context.load_cert_chain(client_certificate, client_key)
    except OSError as error:  # which SSLError is too
        files = ", ".join(name for name in (certificate, client_certificate, client_key) if name)
        missing = [name for name in files.split(", ") if name and not Path(name).exists()]
        what = f"there is no file {missing[0]}" if missing else f"{error} in {files}"
        raise InputError(f"cannot use the certificates: {what}; give files in PEM", code="argument") from error
    return context


def _proxy_of(parts: SplitResult) -> str | None:
    """The proxy that the environment names for a URL."""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(_host(parts)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _host(parts: SplitResult) -> str:
    """Host and port, without a name and password before them."""
    return parts.netloc.rpartition("@")[2]


def _login(parts: SplitResult) -> dict[str, str]:
    """The Authorization that a name and password in the URL are, as other clients take them."""
    from urllib3.util import make_headers

    if parts.username is None:
        return {}
    made = make_headers(basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    return {"Authorization": made["authorization"]}


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """The first bytes of the body. The connection is of further use only if that was all of it."""
    body = b""
    while len(body) < MAX_ANSWER_BYTES:
        piece = answer.read1(min(_READ_BYTES, MAX_ANSWER_BYTES - len(body)))
        if not piece:
            answer.release_conn()
            return body
        body += piece
    answer.close()
    return body


def _reason(error: BaseException) -> str:
    """What went wrong, without the names of objects that urllib3 puts before it."""
    text = _OBJECT.sub("", str(error))
    return f"{type(error).__name__}: {text}"[:500]
