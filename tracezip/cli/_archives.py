"""The commands that make archives out of archives: merge, split, recover."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from tracezip.cli import _streams as streams
from tracezip.cli._options import (
    dictionary_option,
    level_options,
    n_processors,
    new_session,
    talk_options,
    threads_option,
)
from tracezip.cli._session import RefusalError, Session, explained, human_bytes, name_of, shown
from tracezip.cli._units import period, size
from tracezip.errors import TracezipError
from tracezip.limits import DEFAULT_LEVEL

if TYPE_CHECKING:
    from tracezip.recover import Damage

_EXPANSION = 30
"""How much larger traces are than archives of them, about."""

_force = click.option("-f", "--force", is_flag=True, help="Overwrite what is there.")


# --- merge ------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("out", metavar="OUT")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--sort", "sorts", is_flag=True, help="Regroup the spans by trace, so that searches read less.")
@_force
@level_options
@threads_option
@dictionary_option
@talk_options
def merge(
    out: str, files: tuple[str, ...], sorts: bool, force: bool, level: int | None, threads: int, **options: Any
) -> None:
    """Make one archive OUT of all FILEs, with one index.

    The messages of the FILEs follow each other, in their order. Blocks are copied as they are, which is fast; but a
    FILE of small blocks, as programs write them that flush often, is compressed anew, so that it shrinks, and so is one
    with a dictionary, so that OUT takes none: the level and -T are for those. FILEs must be whole (see recover) and
    must not be pipes. Nothing is left of OUT if anything goes wrong.

    With --sort all is compressed anew: each message of OUT is a trace, and traces come in the order of their root
    span's service and name, those without errors first, then by time. Every span keeps all its fields, its resource and
    its scope, but not the message that it came in; the metadata of OUT says `regrouped`. It takes as much room beside
    OUT as the traces have without compression.
    """
    session = new_session(**options)
    work = _merge_sorted if sorts else _merge
    session.each([out], lambda _: work(session, out, files, force, level or DEFAULT_LEVEL, threads or n_processors()))
    session.finish()


def _merge(session: Session, out: str, files: tuple[str, ...], force: bool, level: int, threads: int) -> None:
    from tracezip.merging import Merger

    _refuse_same(files, out)
    merger = Merger(level, _metadata_of_all(session, files), threads, session.dictionary)
    with (
        closing(merger),
        open(files[0], "rb") as first,
        streams.open_output(out, first, force=force) as sink,
    ):
        n_bytes = sink.write(merger.header)
        for name in files:
            with _errors_naming(name):
                n_bytes += sum(map(sink.write, merger.add(name)))
        n_bytes += sink.write(merger.end())
    n_before = sum(map(os.path.getsize, files))
    how = f"{merger.n_copied} copied, {merger.n_recompressed} compressed anew"
    session.note(f"{len(files)} files ({how}): {human_bytes(n_before)} => {human_bytes(n_bytes)}, {name_of(out)}")


def _merge_sorted(session: Session, out: str, files: tuple[str, ...], force: bool, level: int, threads: int) -> None:
    import tempfile

    import tracezip
    from tracezip.limits import DEFAULT_DICTIONARY_THRESHOLD
    from tracezip.regroup import Regrouper
    from tracezip.writer import Writer

    _refuse_same(files, out)
    how: dict[str, Any] = {"level": level, "threads": threads, "dictionary_threshold": DEFAULT_DICTIONARY_THRESHOLD}
    how["metadata"] = {**_metadata_of_all(session, files), "regrouped": True}
    n_before = sum(map(os.path.getsize, files))
    with (
        open(files[0], "rb") as first,
        streams.open_output(out, first, force=force) as sink,
        tempfile.TemporaryDirectory(prefix=".tracezip-", dir=os.path.dirname(out) or ".") as folder,
        closing(Regrouper(folder, n_before * _EXPANSION)) as regrouper,
        Writer(sink, "w", for_searches=True, **how) as writer,
    ):
        for name in files:
            with _errors_naming(name), tracezip.open(name, dictionary=session.dictionary) as reader:
                for message in reader:
                    regrouper.add(message)
        for message in regrouper.messages():
            writer.write(message)
    n_bytes = writer.stats["compressed_bytes"]
    session.note(f"{len(files)} files, regrouped: {human_bytes(n_before)} => {human_bytes(n_bytes)}, {name_of(out)}")


def _refuse_same(files: tuple[str, ...], out: str) -> None:
    if os.path.exists(out) and any(os.path.samefile(name, out) for name in files):
        raise RefusalError("input and output are the same file")


@contextmanager
def _errors_naming(name: str) -> Iterator[None]:
    """Gives the errors of reading a FILE its name; they are shown with that of the output."""
    try:
        yield
    except TracezipError as problem:
        raise RefusalError(f"{shown(name)}: {explained(problem)}; nothing was written") from problem


def _metadata_of_all(session: Session, files: tuple[str, ...]) -> dict[str, Any]:
    """What the metadata of all files have in common."""
    import tracezip

    found = []
    for name in files:
        with _errors_naming(name), tracezip.open(name, dictionary=session.dictionary) as reader:
            found.append(reader.metadata)
    return {key: value for key, value in found[0].items() if all(key in one and one[key] == value for one in found)}


# --- recover ----------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="OUT", required=True, help="Write what was saved to OUT.")
@click.option("--json", "as_json", is_flag=True, help='The report as one line of JSON, with "version": 1.')
@_force
@level_options
@dictionary_option
def recover(file: str, output: str, as_json: bool, force: bool, level: int | None, dictionary: str | None) -> None:
    """Save what can be read of a damaged FILE, and say exactly what was lost.

    Every message whose blocks are whole is decoded, verified and written to OUT, in order. Each stretch of FILE that
    had to be passed over is reported with its bytes and the reason, on standard error or, with --json, on standard
    output. OUT takes no dictionary, even if FILE does.

    Exit status: 0 nothing was lost, 1 something was.
    """
    session = new_session(dictionary=dictionary)
    session.each([file], lambda _: _recover(session, file, output, as_json, force, level or DEFAULT_LEVEL))
    session.finish()


def _recover(session: Session, name: str, output: str, as_json: bool, force: bool, level: int) -> None:
    import tracezip

    if as_json and output == streams.STANDARD:
        raise click.UsageError("--json and the archive cannot both go to standard output: give -o OUT.")
    with (
        streams.open_input(name) as source,
        tracezip.open(source, skip_damage=True, dictionary=session.dictionary) as reader,
    ):
        with (
            streams.open_output(output, source, force=force) as sink,
            tracezip.open(sink, "wb", level=level, metadata=reader.metadata) as writer,
        ):
            for message in reader:
                writer.write(message)
        stats, damages = writer.stats, reader.damages
    session.failed |= bool(damages)
    report = _as_json if as_json else _as_text
    click.echo(report(name, stats, damages), err=not as_json)


def _as_text(name: str, stats: dict[str, int], damages: list[Damage]) -> str:
    lost = [f"{shown(name)}: {_lost(damage)}" for damage in damages]
    saved = f"{shown(name)}: {stats['messages']:,} messages with {stats['spans']:,} spans saved"
    n_lost = sum(damage.n_bytes for damage in damages)
    return "\n".join([*lost, f"{saved}, {human_bytes(n_lost)} lost" if damages else f"{saved}, nothing lost"])


def _lost(damage: Damage) -> str:
    if not damage.n_bytes:
        return f"something is missing at byte {damage.offset}: {damage.reason}"
    return f"lost bytes {damage.offset} to {damage.end - 1} ({damage.n_bytes:,}): {damage.reason}"


def _as_json(name: str, stats: dict[str, int], damages: list[Damage]) -> str:
    import json

    facts = {"version": 1, "file": name, "messages": stats["messages"], "spans": stats["spans"]}
    lost = [{"offset": damage.offset, "bytes": damage.n_bytes, "reason": damage.reason} for damage in damages]
    return json.dumps({**facts, "lost_bytes": sum(damage.n_bytes for damage in damages), "lost": lost})


# --- split ------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--max-bytes", metavar="SIZE", type=size, help="Archives of at most SIZE: 1000000, 500K, 50M, 2G.")
@click.option("--max-spans", metavar="N", type=click.IntRange(1), help="Archives of at most N spans.")
@click.option("--every", metavar="TIME", type=period, help="An archive for each TIME, as 15m, 1h or 1d, in UTC.")
@click.option("-o", "--output", metavar="PREFIX", help="Begin their names so, and not as FILE does.")
@_force
@level_options
@threads_option
@dictionary_option
@talk_options
def split(
    file: str,
    max_bytes: int | None,
    max_spans: int | None,
    every: int | None,
    output: str | None,
    force: bool,
    level: int | None,
    threads: int,
    **options: Any,
) -> None:
    """Cut FILE into several archives of whole messages, which keep their order.

    By size and by spans their names end in -0001, -0002 and so on; a message that is too large alone makes a larger
    archive. By time a message belongs where its earliest span starts, and names end in that time; messages of which no
    time is known go to an archive that ends in -unknown. FILE is kept. Nothing is left if anything goes wrong. The
    archives take no dictionary, even if FILE does.
    """
    import tracezip
    from tracezip.cli import _split

    if sum(option is not None for option in (max_bytes, max_spans, every)) != 1:
        raise click.UsageError("Give one of --max-bytes, --max-spans and --every.")
    if output is None and file == streams.STANDARD:
        raise click.UsageError("Of standard input, say how the names begin with -o PREFIX.")
    session = new_session(**options)
    prefix = output or streams.decompressed_prefix(file)

    def work(name: str) -> None:
        with (
            streams.open_input(name) as source,
            tracezip.open(source, dictionary=session.dictionary) as reader,
            _split.Outputs(file, prefix, level or DEFAULT_LEVEL, threads or n_processors(), force) as outputs,
        ):
            outputs.metadata = reader.metadata
            if max_bytes is not None:
                _split.by_bytes(reader, outputs, max_bytes)
            elif max_spans is not None:
                _split.by_spans(reader, outputs, max_spans)
            elif every is not None:
                _split.by_time(reader, outputs, every)
        for path in outputs.paths:
            session.note(f"{shown(name)}: {human_bytes(os.path.getsize(path))}, {name_of(path)}")

    session.each([file], work)
    session.finish()
