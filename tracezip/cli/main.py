"""The `tracezip` command: compress, decompress, info, test, and those that stand in files of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import click

from tracezip.cli import _streams as streams
from tracezip.cli._archives import merge, recover, split
from tracezip.cli._options import (
    PROGRAM,
    Command,
    dictionary_option,
    level_options,
    n_processors,
    names_of,
    new_session,
    talk_options,
    threads_option,
)
from tracezip.cli._progress import Progress
from tracezip.cli._relay import relay
from tracezip.cli._send import send
from tracezip.cli._session import RefusalError, Session, human_bytes, name_of, run, shown, version_option
from tracezip.cli._train import train
from tracezip.cli.view import view
from tracezip.limits import DEFAULT_LEVEL

CONTAINERS = ("otlp", "length-prefixed", "json", "jsonl", "jaeger", "zipkin")
_TEXT_CONTAINERS = ("json", "jsonl", "jaeger", "zipkin")
_DEFAULT_CONTAINER = "length-prefixed"  # of files written from Python, which came out of no container


def _files(command: Command) -> Command:
    return click.argument("files", nargs=-1, metavar="[FILE]...")(command)


def _output_options(command: Command) -> Command:
    out = click.option("-o", "--output", metavar="OUT", help="Write to OUT; - is standard output.")
    stdout = click.option("-c", "--stdout", "to_stdout", is_flag=True, help="The same as -o -.")
    force = click.option("-f", "--force", is_flag=True, help="Overwrite files; write binary to a terminal.")
    return out(stdout(force(command)))


class _Conversion:
    """What compress and decompress have in common: each FILE becomes one output."""

    def __init__(
        self, files: tuple[str, ...], output: str | None, *, to_stdout: bool, force: bool, **talk: Any
    ) -> None:
        if to_stdout and output not in (None, streams.STANDARD):
            raise click.UsageError("-c and -o OUT contradict each other.")
        self.output = streams.STANDARD if to_stdout else output
        self.names = names_of(files)
        if len(self.names) > 1 and self.output not in (None, streams.STANDARD):
            raise click.UsageError("-o OUT takes one FILE; without it each FILE gets an output of its own.")
        self.force = force
        self.session = new_session(**talk)
        self._written: set[str] = set()

    def destination(self, name: str, derive: Callable[[str], str]) -> str:
        """Where the output of a file goes; never twice to the same place, even with --force."""
        if self.output is not None:
            return self.output
        if name == streams.STANDARD:
            return streams.STANDARD
        destination = derive(name)
        if os.path.realpath(destination) in self._written:
            raise RefusalError(
                f"its output, {name_of(destination)}, is already that of another FILE: give it one with -o"
            )
        return destination

    def refuse_terminal(self, destination: str) -> None:
        if destination == streams.STANDARD and not self.force and sys.stdout.isatty():
            raise click.UsageError("Not writing binary data to a terminal: give -o OUT, redirect, or force it with -f.")

    def done(self, destination: str) -> None:
        if destination != streams.STANDARD:
            self._written.add(os.path.realpath(destination))

    def progress(self, source: BinaryIO, name: str, destination: str) -> Progress:
        onto_output = destination == streams.STANDARD and sys.stdout.isatty()
        return _progress(self.session, source, name, wanted=not onto_output)


@click.group(PROGRAM, context_settings={"help_option_names": ["-h", "--help"]})
@version_option(PROGRAM)
def cli() -> None:
    """Compress OpenTelemetry traces, without loss, to a fraction of what general compressors make of them.

    Input is OTLP as raw protobuf, length-prefixed protobuf messages (the Collector's files), JSON or JSON Lines, or
    Jaeger's or Zipkin's JSON, each also inside gzip or zstd. Without FILE, or when FILE is -, standard input is read
    and standard output written.

    Exit status: 0 all is well, 1 some file failed (it is named on standard error, the others are done), 2 usage.
    """


@cli.command()
@_files
@_output_options
@level_options
@threads_option
@dictionary_option
@talk_options
def compress(files: tuple[str, ...], level: int | None, threads: int, **options: Any) -> None:
    """Compress each FILE to FILE.tzip beside it.

    A .gz or .zst at the end of the name is dropped first: it is the content that is compressed. FILE is kept. The
    output appears under its name only when it is complete.
    """
    conversion = _Conversion(files, **options)
    for name in conversion.names:
        if name == streams.STANDARD or conversion.output is not None:
            conversion.refuse_terminal(conversion.output or streams.STANDARD)

    how = {"level": level or DEFAULT_LEVEL, "threads": threads or n_processors()}

    def work(name: str) -> None:
        _compress_file(conversion, name, how)

    conversion.session.each(conversion.names, work)
    conversion.session.finish()


def _compress_file(conversion: _Conversion, name: str, how: dict[str, Any]) -> None:
    import tracezip
    from tracezip.files import read_messages

    destination = conversion.destination(name, streams.compressed_name)
    with streams.open_input(name) as source:
        _refuse_compressed(source)
        container, messages = read_messages(source)
        with (
            streams.open_output(destination, source, force=conversion.force) as file,
            tracezip.open(
                file, "wb", metadata={"container": container}, dictionary=conversion.session.dictionary, **how
            ) as writer,
            conversion.progress(source, name, destination) as progress,
        ):
            for message in progress.over(messages):
                writer.write(message)
    conversion.done(destination)
    conversion.session.note(_compress_summary(name, destination, writer.stats))


def _refuse_compressed(source: BinaryIO) -> None:
    import tracezip

    peek = getattr(source, "peek", None)
    if peek is not None and tracezip.is_tracezip(peek(64)):
        raise RefusalError("is a tracezip file already")


def _compress_summary(name: str, destination: str, stats: dict[str, int]) -> str:
    raw, compressed, spans = stats["raw_bytes"], stats["compressed_bytes"], stats["spans"]
    ratio = f"ratio {raw / compressed:.2f}" if compressed else "empty"
    per_span = f", {compressed / spans:.2f} bytes per span" if spans else ""
    return _arrow(name, raw, compressed, destination, f" ({ratio}{per_span})")


@cli.command()
@_files
@_output_options
@click.option("--container", type=click.Choice(CONTAINERS), help="Write this instead of the container that went in.")
@dictionary_option
@talk_options
def decompress(files: tuple[str, ...], container: str | None, **options: Any) -> None:
    """Give back what each FILE.tzip was made from, as FILE.

    The container is the one that went in (length-prefixed messages for files written from Python), without the gzip or
    zstd that was around it. A FILE with another name needs -o. Of a damaged FILE nothing is left behind, but -c prints
    what stands before the damage, and so does tracezip-cat.
    """
    conversion = _Conversion(files, **options)

    def work(name: str) -> None:
        _decompress_file(conversion, name, container)

    conversion.session.each(conversion.names, work)
    conversion.session.finish()


def _decompress_file(conversion: _Conversion, name: str, container: str | None) -> None:
    import tracezip
    from tracezip.files import write_messages

    destination = conversion.destination(name, streams.decompressed_name)
    with (
        streams.open_input(name) as source,
        tracezip.open(source, dictionary=conversion.session.dictionary) as reader,
    ):
        container = container or _container_of(reader.metadata)
        if container not in _TEXT_CONTAINERS:
            conversion.refuse_terminal(destination)
        with (
            streams.open_output(destination, source, force=conversion.force) as file,
            conversion.progress(source, name, destination) as progress,
        ):
            write_messages(progress.over(reader), file, container)
        n_stored = streams.size_of(source)
    conversion.done(destination)
    conversion.session.note(_arrow(name, n_stored, progress.n_message_bytes, destination))


def _container_of(metadata: dict[str, Any]) -> str:
    """The container that went in. It comes from the file, so it may be anything."""
    container = metadata.get("container", _DEFAULT_CONTAINER)
    if container not in CONTAINERS:
        raise RefusalError("was made from a kind of file this version does not know: upgrade, or choose a --container")
    return str(container)


@cli.command()
@_files
@click.option("--json", "as_json", is_flag=True, help='One line of JSON per FILE, with "version": 1.')
@dictionary_option
def info(files: tuple[str, ...], as_json: bool, dictionary: str | None) -> None:
    """Show what is in each FILE, and what takes how much.

    Blocks, messages, spans, traces, sizes, the bytes of each part, and the versions that wrote it.
    """
    import tracezip
    from tracezip.cli import _info

    session = new_session(dictionary=dictionary)
    names = names_of(files)

    def work(name: str) -> None:
        with streams.open_input(name) as source:
            facts = tracezip.info(source, dictionary=session.dictionary)
        as_text = _info.as_json if as_json else _info.as_table
        with streams.errors_named(streams.STANDARD_OUTPUT):
            click.echo(as_text(name, facts))

    session.each(names, work)
    session.finish()


@cli.command()
@_files
@dictionary_option
@talk_options
def test(files: tuple[str, ...], **options: Any) -> None:
    """Verify each FILE by decoding all of it; nothing is written."""
    session = new_session(**options)
    session.each(names_of(files), lambda name: _test_file(session, name))
    session.finish()


def _test_file(session: Session, name: str) -> None:
    import tracezip

    n_messages = 0
    with (
        streams.open_input(name) as source,
        tracezip.open(source, dictionary=session.dictionary) as reader,
        _progress(session, source, name) as progress,
    ):
        for _ in progress.over(reader):
            n_messages += 1
    session.note(f"{shown(name)}: good, {n_messages:,} messages, {human_bytes(progress.n_message_bytes)} of OTLP")


def _progress(session: Session, source: BinaryIO, name: str, *, wanted: bool = True) -> Progress:
    return Progress(source, os.path.basename(shown(name)), wanted=wanted and session.shows_progress)


def _arrow(name: str, n_before: int | None, n_after: int, destination: str, remark: str = "") -> str:
    before = "" if n_before is None else f"{human_bytes(n_before)} => "
    target = "standard output" if destination == streams.STANDARD else name_of(destination)
    return f"{shown(name)}: {before}{human_bytes(n_after)}{remark}, {target}"


for archive_command in (merge, split, recover, train, view, relay, send):
    cli.add_command(archive_command)


def main() -> None:
    """The entry point `tracezip`."""
    run(cli, PROGRAM)


if __name__ == "__main__":
    main()
