"""The options of the commands that send to a server, and the client that they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracezip.cli._options import Command
from tracezip.cli._session import name_of
from tracezip.errors import InputError
from tracezip.relay.limits import MAX_TOKEN_BYTES

if TYPE_CHECKING:
    from tracezip.live.http import HttpClient

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def client_options(command: Command) -> Command:
    """What `client_of` needs."""
    options = (
        click.option("--header", "headers", metavar="NAME=VALUE", multiple=True, help="Send this with each request."),
        click.option("--to-token-file", metavar="FILE", type=FILE, help="Send the bearer token in FILE, too."),
        click.option("--to-ca-file", metavar="FILE", type=FILE, help="Trust the CAs in FILE (PEM), not the system's."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def client_of(options: dict[str, Any]) -> HttpClient:
    """Takes the options of `client_options` out of `options`. Raises InputError, and OSError for files."""
    from tracezip.live.http import HttpClient

    headers = dict(map(_header, options.pop("headers")))
    token_file, ca_file = options.pop("to_token_file"), options.pop("to_ca_file")
    if token_file is not None:
        headers["Authorization"] = f"Bearer {token_in(token_file)}"
    return HttpClient(headers=headers, certificate=None if ca_file is None else str(ca_file))


def _header(text: str) -> tuple[str, str]:
    name, equals, value = (part.strip(" ") for part in text.partition("="))
    if not equals:
        raise InputError(f"--header {text!r} is no NAME=VALUE")
    return name, value


def token_in(path: Path) -> str:
    """The bearer token in a file. Raises InputError if there is none."""
    with open(path, "rb") as file:
        token = file.read(MAX_TOKEN_BYTES + 1).strip()
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii() or len(token.split()) != 1:
        raise InputError(f"{name_of(str(path))} holds no bearer token: one line of ASCII is needed, without spaces")
    return token.decode()
