"""Promise 12: metadata names no code, and the library makes no network call."""

from __future__ import annotations

import datetime
import io
import subprocess
import sys

import msgpack
import pytest
from archives import HEADER, archive, frame, frames, pack, read

import tracezip


@pytest.mark.parametrize(
    "value",
    [msgpack.ExtType(1, b"os.system"), msgpack.Timestamp(0), {"deep": [msgpack.ExtType(127, b"")]}],
    ids=["extension", "timestamp", "extension inside"],
)
def test_an_archive_whose_metadata_is_more_than_plain_data_is_refused(value: object) -> None:
    header = frame(HEADER, b"\x01\x00" + msgpack.packb({"metadata": {"a": value}}))
    error = read(header + pack(list(frames(archive()))[1:])).error
    assert isinstance(error, tracezip.FormatError)
    assert "metadata" in str(error)


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value", [object(), len, {1, 2}, datetime.datetime.now(), 1j, range(3), msgpack.ExtType(1, b"")]
)
def test_metadata_that_is_more_than_plain_data_is_not_written(value: object) -> None:
    with pytest.raises(tracezip.InputError, match="metadata"):
        tracezip.open(io.BytesIO(), "wb", metadata={"a": value})


def test_metadata_is_read_as_plain_types_whatever_was_given() -> None:
    with tracezip.open(io.BytesIO(archive(metadata={"a": Text("b"), "c": (1, 2)}))) as reader:
        assert reader.metadata == {"a": "b", "c": [1, 2]}
        assert type(reader.metadata["a"]) is str


PROGRAM = """
import io, sys
refused = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class", "ctypes.dlopen")
def audit(event, arguments):
    if event.startswith(refused):
        raise SystemExit(f"{event} {arguments}")
import tracezip
from archives import MESSAGES, archive, chained, read
tracezip.decompress(tracezip.compress(b""))
sys.addaudithook(audit)
data = archive(metadata={"url": "http://192.0.2.1/", "module": "os"})
assert read(data + b"".join(chained())).messages == MESSAGES * 2
assert tracezip.info(io.BytesIO(data))["complete"]
assert read(data[:-9] + b"x" * 30, skip_damage=True).messages == MESSAGES
"""


def test_compressing_and_reading_call_no_network_and_start_no_program() -> None:
    program = f"import sys; sys.path[:0] = {sys.path!r}\n" + PROGRAM
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert process.returncode == 0, process.stderr.decode()
