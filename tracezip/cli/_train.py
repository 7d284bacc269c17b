"""The command that makes dictionaries: train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from tracezip.cli import _streams as streams
from tracezip.cli._options import dictionary_option, names_of, new_session, talk_options
from tracezip.cli._session import Session, human_bytes, name_of
from tracezip.limits import BLOCK_SPANS, DICTIONARY_SPANS


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("-o", "--output", metavar="DICT", required=True, help="Write the dictionary to DICT.")
@click.option("-f", "--force", is_flag=True, help="Overwrite DICT.")
@click.option(
    "--spans",
    metavar="N",
    type=click.IntRange(1, BLOCK_SPANS),
    default=DICTIONARY_SPANS,
    show_default=True,
    help="Learn about so many spans, evenly chosen.",
)
@dictionary_option
@talk_options
def train(files: tuple[str, ...], output: str, force: bool, spans: int, **options: Any) -> None:
    """Make a dictionary of the traces in the FILEs, for small messages like them.

    FILEs are what `compress` takes, or archives; each of their messages is a sample. With the dictionary (-D of
    `compress`, `dictionary=` in Python) a message of a few spans takes a fraction of its size without. What was
    compressed with a dictionary can only be read with it, as -D of all commands: keep it as long as that.
    """
    session = new_session(**options)
    names, samples = names_of(files), list[bytes]()
    session.each(names, lambda name: samples.extend(_messages_of(session, name)))
    if not session.failed:
        session.each([output], lambda _: _train(session, samples, names[0], output, force, spans))
    session.finish()


def _train(session: Session, samples: list[bytes], name: str, output: str, force: bool, spans: int) -> None:
    import tracezip

    dictionary = tracezip.train_dictionary(samples, max_spans=spans)
    with streams.open_input(name) as source, streams.open_output(output, source, force=force) as sink:
        sink.write(dictionary.data)
    n_bytes = human_bytes(len(dictionary.data))
    session.note(f"{name_of(output)}: the dictionary {dictionary.id.hex()}, {n_bytes}")


def _messages_of(session: Session, name: str) -> Iterator[bytes]:
    import tracezip
    from tracezip.files import read_messages

    with streams.open_input(name) as source:
        peek = getattr(source, "peek", None)
        if peek is not None and tracezip.is_tracezip(peek(64)):
            yield from tracezip.open(source, dictionary=session.dictionary)
        else:
            yield from read_messages(source)[1]
