"""The options of `tracezip-cat` that say which spans, as one expression of `tracezip.where`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from tracezip.errors import InputError

if TYPE_CHECKING:
    from tracezip.expression import Expression

Command = Callable[..., None]

_OPTIONS = (
    click.option("--trace", "trace_id", metavar="ID", help="Of this trace; the first digits of its id are enough."),
    click.option("--service", multiple=True, metavar="NAME", help="Of this service; several: of any of them."),
    click.option("--name", multiple=True, metavar="NAME", help="With this name; several: with any of them."),
    click.option("--error", is_flag=True, help="With the status error."),
    click.option("--min-duration", metavar="TIME", help="That take at least so long: 200ms, 1.5s, 2m."),
    click.option("--since", metavar="TIME", help="That start then or later: 2026-11-24T12:00:00Z, 2026-11-24."),
    click.option("--until", metavar="TIME", help="That start before then."),
    click.option(
        "--attr",
        multiple=True,
        metavar="KEY[=VALUE]",
        help="With this attribute, their own or else their resource's; several: with all of them.",
    ),
    click.option("--where", metavar="EXPR", help="For which this holds; tracezip-cat --help has the language."),
)


def filter_options(command: Command) -> Command:
    """All options that say which spans."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def expression_of(options: dict[str, Any]) -> Expression:
    """What all given options ask for together. Takes them out of `options`. Raises a usage error that names one."""
    from tracezip.expression import And

    terms = tuple(_terms(**{name: options.pop(name) for name in _NAMES}))
    return terms[0] if len(terms) == 1 else And(terms)


_NAMES = ("trace_id", "service", "name", "error", "min_duration", "since", "until", "attr", "where")


def _terms(
    trace_id: str | None,
    service: tuple[str, ...],
    name: tuple[str, ...],
    error: bool,
    min_duration: str | None,
    since: str | None,
    until: str | None,
    attr: tuple[str, ...],
    where: str | None,
) -> Iterator[Expression]:
    from tracezip.expression import Comparison, Field

    if trace_id:
        yield _parsed("--trace", f"trace_id ^= {_quoted(trace_id)}")
    if service:
        yield Comparison(Field("", "service"), "in", service)
    if name:
        yield Comparison(Field("", "name"), "in", name)
    if error:
        yield _parsed("--error", "status = error")
    if min_duration is not None:
        yield _parsed("--min-duration", f"duration >= {_quoted(min_duration)}")
    if since is not None:
        yield _parsed("--since", f"start >= {_quoted(since)}")
    if until is not None:
        yield _parsed("--until", f"start < {_quoted(until)}")
    for pair in attr:
        yield _attribute(pair)
    if where is not None:
        yield _parsed("--where", where)


def _attribute(pair: str) -> Expression:
    """KEY alone: it is there. VALUE is text, or what a number or a boolean would say so."""
    from tracezip.expression import EITHER, Comparison, Field, Or

    key, has_value, text = pair.partition("=")
    field = Field(EITHER, key)
    if not has_value:
        return Comparison(field, "!=", None)
    as_text = Comparison(field, "=", text)
    other = {"true": True, "false": False}.get(text, _number(text))
    return as_text if other is None else Or((as_text, Comparison(field, "=", other)))


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _parsed(option: str, text: str) -> Expression:
    from tracezip.where import parse

    try:
        return parse(text)
    except InputError as error:
        said = str(error) if option == "--where" else str(error).rpartition(": ")[2]
        raise click.BadParameter(said, param_hint=option) from None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
