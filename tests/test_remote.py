"""Archives that are far away, through fsspec: a query fetches the end of the file and the blocks that it needs."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

import pytest
from archives import BLOCK, archive, field, frames

import tracezip
from tracezip import limits
from tracezip.convert.spans import read_spans
from tracezip.index import read_units

fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'tracezip[test]'")

N_SPANS = 400
END_BYTES = 200
"""End record, the heads of frames that stand beside it, and the header of the stream take no more."""


@pytest.fixture(scope="module")
def data() -> bytes:
    """Eight blocks, each a unit; span i has the trace id i + 1, and noise that cannot be compressed."""
    r = random.Random(1)
    messages = [field(1, field(2, field(2, span(i, r)))) for i in range(N_SPANS)]
    with mock.patch.multiple(limits, BLOCK_SPANS=50, UNIT_SPANS=50, INDEX_SPAN_BITS=64):
        return archive(messages, flush=False)


def span(i: int, r: random.Random) -> bytes:
    ids = field(1, (i + 1).to_bytes(16)) + field(2, (i + 1).to_bytes(8))
    times = b"\x39" + i.to_bytes(8, "little") + b"\x41" + (i + 7).to_bytes(8, "little")
    status = field(15, b"\x18\x02") if i % 100 == 60 else b""
    return ids + times + field(5, f"name {i // 50}") + status + field(9, field(1, "noise") + field(2, noise(r)))


def noise(r: random.Random) -> bytes:
    return field(7, r.randbytes(200))


class Store:
    """What was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    @property
    def n_bytes(self) -> int:
        return sum(stop - first for first, stop in self.asked)

    def blocks(self) -> list[int]:
        """The numbers of the blocks of which more than the head was asked for."""
        blocks = [part for part in frames(self.data) if part.kind == BLOCK]
        return [i for i, block in enumerate(blocks) if sum(map(block_bytes(block), self.asked)) > 100]


def block_bytes(block: Any) -> Any:
    return lambda asked: max(0, min(asked[1], block.end) - max(asked[0], block.offset))


@pytest.fixture
def store(data: bytes) -> Iterator[tuple[Store, str]]:
    """A web server with one file, of which parts can be had."""
    store = Store(data)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()

        def do_GET(self) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            first, stop = (int(wanted[1]), int(wanted[2]) + 1) if wanted else (0, len(data))
            store.asked.append((first, min(stop, len(data))))
            body = data[first:stop]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield store, f"http://127.0.0.1:{server.server_address[1]}/a.tzip"
    server.shutdown()
    server.server_close()


def index_bytes(data: bytes) -> int:
    return sum(part.end - part.offset for part in frames(data) if part.kind not in (BLOCK, 0x45))


def opened(url: str) -> Any:
    """Without a cache of its own, which would read ahead."""
    return fsspec.open(url, "rb", cache_type="none")


def test_a_trace_far_away_costs_the_end_of_the_file_and_its_block(store: tuple[Store, str]) -> None:
    asked, url = store
    with opened(url) as file, tracezip.open(file) as reader:
        message = reader.trace((123).to_bytes(16))
    assert message is not None
    assert [one.span_id for one in read_spans(message)] == [(123).to_bytes(8)]
    assert asked.blocks() == [122 // 50]
    block = [part for part in frames(asked.data) if part.kind == BLOCK][122 // 50]
    assert asked.n_bytes < index_bytes(asked.data) + block.end - block.offset + END_BYTES < len(asked.data) / 4


def test_a_search_far_away_costs_the_blocks_that_may_have_what_is_asked_for(store: tuple[Store, str]) -> None:
    asked, url = store
    with opened(url) as file, tracezip.open(file) as reader:
        found = [one.span_id for one in reader.spans('name = "name 3" || name = "name 6"')]
    assert found == [(i + 1).to_bytes(8) for i in range(N_SPANS) if i // 50 in (3, 6)]
    assert asked.blocks() == [3, 6]


def test_a_search_for_failed_spans_far_away_costs_the_end_of_the_file(store: tuple[Store, str]) -> None:
    asked, url = store
    with opened(url) as file, tracezip.open(file) as reader:
        batches = list(reader.scan("status = error && duration >= 7ns", ["span_id"]))
    found = [text for batch in batches for text in batch["span_id"]]
    assert found == [f"{i + 1:016x}" for i in range(60, N_SPANS, 100)]
    assert asked.blocks() == []
    assert asked.n_bytes < index_bytes(asked.data) + END_BYTES


def test_a_file_in_memory_of_fsspec_is_asked_like_any_other(data: bytes) -> None:
    with fsspec.open("memory://a.tzip", "wb") as file:
        file.write(data)
    with fsspec.open("memory://a.tzip", "rb") as file:
        assert len(read_units(file)) == N_SPANS // 50
        file.seek(0)
        with tracezip.open(file) as reader:
            assert sum(map(len, reader.scan("", ["span_id"]))) == N_SPANS
