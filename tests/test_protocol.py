"""PROTOCOL.md: what goes over the wire, and what each side does whatever happens to it on the way."""

from __future__ import annotations

import json
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import xxhash
from archives import MESSAGES
from archives import message as otlp_message

from tracezip.codec import Compressor, Decompressor
from tracezip.errors import FormatError, InputError, UnsupportedError
from tracezip.live import limits
from tracezip.live.errors import Delivered, Refused, TryLater
from tracezip.live.protocol import Envelope, first_digest, next_digest, pack, parse_stream_id, unpack
from tracezip.live.receiving import Answer, Receiver
from tracezip.live.sending import SendingStream

TEXT = (Path(__file__).parent.parent / "PROTOCOL.md").read_text()
ID = bytes(range(16))

# --- envelope ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sequence", [0, 1, 2**64 - 1])
def test_an_envelope_comes_back_as_it_was(sequence: int) -> None:
    envelope = Envelope(sequence, b"digest 8", b"frames")
    assert unpack(pack(envelope)) == envelope
    assert pack(envelope)[:4] == b"TZS\x01"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", FormatError),
        (b"TZ", FormatError),
        (b"TZX\x01" + bytes(16), FormatError),
        (b"TZS", FormatError),
        (b"TZS\x01" + bytes(15), FormatError),
        (b"TZS\x02", UnsupportedError),
        (b"TZS\x00" + bytes(16), UnsupportedError),
    ],
)
def test_a_body_that_is_no_envelope_is_an_error(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        unpack(body)
    answer = Receiver(lambda message: Delivered()).receive(ID, body)
    assert answer.status == 400
    assert answer.body["versions"] == [1]


def test_digests_are_as_specified() -> None:
    assert first_digest(ID) == xxhash.xxh3_64_intdigest(ID).to_bytes(8, "little")
    assert next_digest(b"8 bytes!", b"abc") == xxhash.xxh3_64_intdigest(b"8 bytes!abc").to_bytes(8, "little")


@pytest.mark.parametrize(
    "text", ["", "00" * 15, "00" * 17, "0g" + "00" * 15, "0 " * 16, " " + "00" * 15 + "0", "\u0660" * 32]
)
def test_only_32_hexadecimal_digits_are_the_id_of_a_stream(text: str) -> None:
    assert parse_stream_id(ID.hex()) == ID
    with pytest.raises(FormatError):
        parse_stream_id(text)


def test_the_example_of_protocol_md_is_what_both_sides_do() -> None:
    indented = re.findall(r"(?:^(?:    .*)?\n)+", TEXT.split("## Example")[1], re.MULTILINE)
    blocks = [block for text in indented for block in text.split("\n\n")]
    hex_lines = [re.findall(r"^    ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  |$)", block, re.MULTILINE) for block in blocks]
    requests = [bytes.fromhex("".join(lines)) for lines in hex_lines if lines]
    answers = [json.loads(block) for block in blocks if block.strip().startswith("{")]
    backend = Backend()
    receiver = Receiver(backend.deliver)
    assert [receiver.receive(ID, body).body for body in requests] == answers[:2]
    assert backend.got == [b"hello", b"hello again"]
    assert new_receiver().receive(ID, requests[1]) == Answer(409, answers[2], {"Tracezip-Version": "1"})
    assert [body[4:20] for body in requests] == [body[4:20] for body in Client(ID).bodies(b"hello", b"hello again")]


@pytest.mark.parametrize(
    "number",
    [
        limits.MAX_BODY_BYTES,
        limits.MAX_DECODED_BYTES,
        limits.MAX_ANSWER_BYTES,
        limits.MAX_REASON_CHARS,
        limits.MAX_STREAMS,
        limits.MAX_STREAM_MEMORY_BYTES,
        int(limits.IDLE_SECONDS),
        limits.MAX_REQUESTS_OF_STREAM,
    ],
)
def test_protocol_md_gives_the_limits(number: int) -> None:
    assert f"| {number:,} |" in TEXT.split("## Limits")[1].split("## ")[0]


# --- what a server does -----------------------------------------------------------------------------------------------


class Backend:
    """Takes what a server delivers; says and raises what it is told to, then that all is well."""

    def __init__(self, *outcomes: Delivered | Exception) -> None:
        self.outcomes = list(outcomes)
        self.got: list[bytes] = []

    def deliver(self, message: bytes) -> Delivered:
        outcome = self.outcomes.pop(0) if self.outcomes else Delivered()
        if isinstance(outcome, Exception):
            raise outcome
        self.got.append(message)
        return outcome


def new_receiver(*outcomes: Delivered | Exception, **options: Any) -> Receiver:
    return Receiver(Backend(*outcomes).deliver, **options)


class Client:
    """Makes the bodies of a stream without waiting for answers."""

    def __init__(self, stream_id: bytes) -> None:
        self.compressor = Compressor()
        self.digest = first_digest(stream_id)
        self.sequence = 0

    def bodies(self, *messages: bytes) -> list[bytes]:
        return [self.body(message) for message in messages]

    def body(self, message: bytes) -> bytes:
        frames = self.compressor.compress(message)
        body = pack(Envelope(self.sequence, self.digest, frames))
        self.digest = next_digest(self.digest, frames)
        self.sequence += 1
        return body


def test_a_request_that_is_due_is_delivered_and_acknowledged() -> None:
    backend, client = Backend(), Client(ID)
    receiver = Receiver(backend.deliver)
    for sequence, message in enumerate([b"one", b"", b"three"]):
        answer = receiver.receive(ID, client.body(message))
        assert answer.status == 200
        assert answer.body == {"acknowledged": sequence, "digest": client.digest.hex()}
        assert answer.headers == {"Tracezip-Version": "1"}
    assert backend.got == [b"one", b"three"]  # nobody is bothered with an empty one


def test_a_repeated_request_gets_the_same_answer_and_is_not_delivered_again() -> None:
    backend, client = Backend(Delivered(2, "two were bad"), Refused("no")), Client(ID)
    receiver = Receiver(backend.deliver)
    bodies = client.bodies(b"one", b"two", b"three")
    answers = [receiver.receive(ID, body) for body in bodies]
    assert [answer.status for answer in answers] == [200, 422, 200]
    assert answers[0].body["rejected_spans"] == 2
    assert answers[0].body["message"] == "two were bad"
    assert answers[1].body == {"refused": "no"}
    assert [receiver.receive(ID, body) for body in bodies] == answers
    assert backend.got == [b"one", b"three"]


def test_a_request_that_was_repeated_too_late_is_not_delivered_again() -> None:
    backend, client = Backend(), Client(ID)
    receiver = Receiver(backend.deliver)
    bodies = client.bodies(*[b"%d" % number for number in range(limits.N_REMEMBERED_ANSWERS + 1)])
    for body in bodies:
        receiver.receive(ID, body)
    assert receiver.receive(ID, bodies[0]).status == 409
    assert receiver.receive(ID, bodies[1]).status == 200
    assert len(backend.got) == len(bodies)


def test_what_is_not_delivered_yet_is_pending_and_decoded_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    n_decoded = []
    decompress = Decompressor.decompress
    monkeypatch.setattr(Decompressor, "decompress", lambda *args: n_decoded.append(1) or decompress(*args))
    backend, client = Backend(TryLater(7.4, "busy"), TryLater(None, "busy")), Client(ID)
    receiver = Receiver(backend.deliver)
    body = client.body(b"one")
    answers = [receiver.receive(ID, body) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["8", "1", None]
    assert backend.got == [b"one"]
    assert n_decoded == [1]
    assert receiver.receive(ID, client.body(b"two")).status == 200


def changed(body: bytes, **fields: Any) -> bytes:
    return pack(unpack(body)._replace(**fields))


def other_frames() -> bytes:
    return Compressor().compress(b"something else")


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "a sequence number that is not due yet": lambda body: changed(body, sequence=2),
    "the wrong digest": lambda body: changed(body, digest=bytes(8)),
    "an earlier sequence number with other frames": lambda body: changed(body, sequence=0),
    "damaged frames": lambda body: body[:-1] + bytes([body[-1] ^ 1]),
    "frames that are cut off": lambda body: body[:-1],
    "frames of another stream": lambda body: changed(body, frames=other_frames()),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_request_that_is_out_of_step_begins_a_new_stream(wrong: Callable[[bytes], bytes]) -> None:
    backend, client = Backend(), Client(ID)
    receiver = Receiver(backend.deliver)
    receiver.receive(ID, client.body(b"one"))
    answer = receiver.receive(ID, wrong(client.body(b"two")))
    assert answer.status == 409
    assert answer.body["restart"]
    assert backend.got == [b"one"]


def test_only_its_own_stream_dies_of_a_frame_that_does_not_decode() -> None:
    backend, client, other = Backend(), Client(ID), Client(b"other stream id!")
    receiver = Receiver(backend.deliver)
    receiver.receive(ID, client.body(b"one"))
    receiver.receive(b"other stream id!", other.body(b"1"))
    body = client.body(b"two")
    assert receiver.receive(ID, body[:-1]).status == 409
    assert receiver.receive(ID, body).status == 409
    assert receiver.receive(b"other stream id!", other.body(b"2")).status == 200
    assert receiver.n_streams == 1
    assert receiver.memory < 4 << 20


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_gets_an_answer(seed: int) -> None:
    source = random.Random(seed)
    receiver = new_receiver()
    for number in range(30):
        bodies = [bytearray(body) for body in Client(ID).bodies(*MESSAGES[:3])]
        for body in bodies:
            for _ in range(source.choice([0, 0, 1, 3])):
                body[source.randrange(len(body))] = source.randrange(256)
            cut_off = bytes(body[: source.choice([len(body), source.randrange(len(body))])])
            answer = receiver.receive(ID if number % 2 else source.randbytes(16), cut_off)
            assert answer.status in (200, 400, 409, 413)
            assert json.dumps(answer.body)


def test_a_block_with_the_right_checksum_that_does_not_decode_costs_its_stream_and_nothing_else() -> None:
    client, receiver = Client(ID), new_receiver()
    first, second = client.bodies(*MESSAGES[:2])
    assert receiver.receive(ID, first).status == 200
    block = second.rindex(b"\x8eTZB") + 3
    forged = second[: len(second) - 24] + bytes(20)
    answer = receiver.receive(ID, forged + xxhash.xxh3_64_intdigest(forged[block:]).to_bytes(8, "little")[:4])
    assert (answer.status, answer.body.keys()) == (409, {"restart"})
    assert (receiver.n_streams, receiver.memory) == (0, 0)


def test_other_frames_under_the_number_of_a_pending_message_are_not_taken() -> None:
    backend, client = Backend(TryLater(None, "busy")), Client(ID)
    receiver = Receiver(backend.deliver)
    body = client.body(b"one")
    assert receiver.receive(ID, body).status == 503
    assert receiver.receive(ID, changed(body, frames=other_frames())).status == 409
    assert receiver.receive(ID, body).status == 200
    assert backend.got == [b"one"]


def test_a_stream_that_is_not_known_can_only_begin() -> None:
    bodies = Client(ID).bodies(b"one", b"two")
    receiver = new_receiver()
    assert receiver.receive(ID, bodies[1]).status == 409
    assert receiver.n_streams == 0
    assert receiver.receive(ID, bodies[0]).status == 200


def test_what_is_over_a_limit_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DECODED_BYTES", 1000)
    monkeypatch.setattr(limits, "MAX_BODY_BYTES", 500)
    receiver = new_receiver()
    assert receiver.receive(ID, Client(ID).body(bytes(1001))).status == 413
    assert receiver.receive(ID, bytes(501)).status == 413
    assert receiver.receive(ID, Client(ID).body(bytes(1000))).status == 200


def test_frames_of_a_newer_format_are_not_understood() -> None:
    body = Client(ID).body(b"one")
    frames = unpack(body).frames
    unknown = b"\x8eTZ\x01\x00" + xxhash.xxh3_64_intdigest(b"\x01\x00").to_bytes(8, "little")[:4]
    answer = new_receiver().receive(ID, changed(body, frames=frames + unknown))
    assert answer.status == 400
    assert answer.body["versions"] == [1]


def test_a_server_that_fails_for_a_reason_of_its_own_goes_on_where_it_was() -> None:
    backend, client = Backend(RuntimeError("a bug")), Client(ID)
    receiver = Receiver(backend.deliver)
    body = client.body(b"one")
    with pytest.raises(RuntimeError, match="a bug"):
        receiver.receive(ID, body)
    assert receiver.receive(ID, body).status == 200
    assert backend.got == [b"one"]


# --- how much a server keeps ------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def stream_ids(n_streams: int) -> list[bytes]:
    return [bytes([number]) * 16 for number in range(n_streams)]


def test_a_stream_that_is_not_used_is_forgotten() -> None:
    clock = Clock()
    receiver = new_receiver(idle_seconds=10, clock=clock)
    client = Client(ID)
    receiver.receive(ID, client.body(b"one"))
    clock.now = 9
    assert receiver.evict_idle() == 0
    assert receiver.receive(ID, client.body(b"two")).status == 200
    clock.now = 20
    assert receiver.evict_idle() == 1
    assert (receiver.n_streams, receiver.memory) == (0, 0)
    assert receiver.receive(ID, client.body(b"three")).status == 409


def test_the_stream_that_was_used_longest_ago_is_forgotten_for_a_new_one() -> None:
    receiver = new_receiver(max_streams=2)
    first, second, third = stream_ids(3)
    clients = {stream_id: Client(stream_id) for stream_id in (first, second, third)}
    for stream_id in (first, second, first, third):
        assert receiver.receive(stream_id, clients[stream_id].body(b"message")).status == 200
    assert receiver.n_streams == 2
    assert receiver.receive(second, clients[second].body(b"message")).status == 409
    assert receiver.receive(first, clients[first].body(b"message")).status == 200


def memory_of_one_stream(message: bytes) -> int:
    receiver = new_receiver()
    receiver.receive(ID, Client(ID).body(message))
    return receiver.memory


def test_streams_are_forgotten_when_all_of_them_hold_too_much() -> None:
    max_memory = 5 * memory_of_one_stream(bytes(1000)) + 1000
    receiver = new_receiver(max_memory=max_memory)
    for stream_id in stream_ids(10):
        assert receiver.receive(stream_id, Client(stream_id).body(bytes(1000))).status == 200
        assert receiver.memory <= max_memory
    assert receiver.n_streams == 5


def test_a_stream_that_holds_too_much_does_not_push_out_the_others() -> None:
    large = b"".join(otlp_message(number, n_spans=500) for number in range(4))
    receiver = new_receiver(max_memory=3 * memory_of_one_stream(large))
    small, other = Client(ID), stream_ids(1)[0]
    receiver.receive(ID, small.body(b"one"))
    assert receiver.receive(other, Client(other).body(large)).status == 200
    assert receiver.n_streams == 1
    assert receiver.receive(ID, small.body(b"two")).status == 200


def test_a_pending_message_counts_as_memory() -> None:
    receiver = new_receiver(TryLater(None, "busy"))
    body = Client(ID).body(bytes(1 << 20))
    receiver.receive(ID, body)
    pending = receiver.memory
    receiver.receive(ID, body)
    assert receiver.memory == pending - (1 << 20)


class Gate(Backend):
    """A backend that is entered, and goes on when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def deliver(self, message: bytes) -> Delivered:
        self.entered.release()
        assert self.open.wait(30)
        return super().deliver(message)


def test_what_is_being_delivered_has_room_or_is_told_to_come_again() -> None:
    """A few bytes can stand for a large message: how large is known only when it is decoded."""
    gate, large, ids = Gate(), bytes(1 << 20), [bytes([number]) * 16 for number in range(3)]
    bodies = {each: Client(each).body(large) for each in ids}
    receiver = Receiver(gate.deliver, max_memory=5 * (memory_of_one_stream(large) + len(large)) // 2)
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda one=each: answers.append(receiver.receive(one, bodies[one]))) for each in ids[:2]
    ]
    for thread in threads:
        thread.start()
        assert gate.entered.acquire(timeout=20)
    refused = receiver.receive(ids[2], bodies[ids[2]])
    assert (refused.status, refused.headers["Retry-After"], receiver.n_streams) == (503, "1", 2)
    gate.open.set()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]
    assert receiver.receive(ids[2], bodies[ids[2]]).status == 200


def in_threads(receiver: Receiver, requests: list[tuple[bytes, bytes]]) -> tuple[list[threading.Thread], list[Answer]]:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda r=r: answers.append(receiver.receive(*r))) for r in requests]
    for thread in threads:
        thread.start()
    return threads, answers


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(3000):
        if is_so():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_a_request_that_comes_again_during_delivery_waits_and_gets_the_same_answer() -> None:
    gate = Gate()
    receiver = Receiver(gate.deliver)
    body = Client(ID).body(b"one")
    threads, answers = in_threads(receiver, [(ID, body)] * limits.MAX_REQUESTS_OF_STREAM)
    gate.entered.acquire(timeout=30)
    wait_until(lambda: receiver._streams[ID].n_requests == limits.MAX_REQUESTS_OF_STREAM)
    refused = receiver.receive(ID, body)
    gate.open.set()
    for thread in threads:
        thread.join(30)
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "1"
    assert len(answers) == limits.MAX_REQUESTS_OF_STREAM
    assert all(answer == answers[0] and answer.status == 200 for answer in answers)
    assert gate.got == [b"one"]


def test_streams_do_not_wait_for_each_other_and_those_in_use_are_not_forgotten() -> None:
    gate = Gate()
    receiver = Receiver(gate.deliver, max_streams=2)
    first, second, third = stream_ids(3)
    threads, answers = in_threads(receiver, [(one, Client(one).body(b"message")) for one in (first, second)])
    assert gate.entered.acquire(timeout=30)
    assert gate.entered.acquire(timeout=30)
    busy = receiver.receive(third, Client(third).body(b"message"))
    gate.open.set()
    for thread in threads:
        thread.join(30)
    assert busy.status == 503
    assert [answer.status for answer in answers] == [200, 200]
    assert receiver.receive(third, Client(third).body(b"message")).status == 200


# --- what a client does -----------------------------------------------------------------------------------------------


def test_the_same_body_is_sent_until_it_is_settled() -> None:
    stream = SendingStream()
    body = stream.frame(b"one")
    assert stream.frame(b"one") is body
    stream.acknowledged()
    assert unpack(stream.frame(b"one")).sequence == stream.sequence == 1


def test_a_message_that_was_given_up_ends_its_stream() -> None:
    stream = SendingStream()
    stream_id = stream.stream_id
    stream.frame(b"one")
    assert unpack(stream.frame(b"two")).sequence == 0
    assert stream.stream_id != stream_id


def test_messages_cost_less_when_they_build_on_each_other() -> None:
    sizes = {}
    for chained in (True, False):
        stream = SendingStream(chained=chained)
        for _ in range(2):
            sizes[chained] = len(stream.frame(b"".join(MESSAGES)))
            stream.acknowledged()
    assert sizes[True] < sizes[False] / 2


def test_a_batch_that_stands_on_its_own_needs_nothing_but_the_header() -> None:
    stream = SendingStream(chained=False)
    header_and_first = unpack(stream.frame(b"one")).frames
    stream.acknowledged()
    stream.frame(b"two")
    stream.acknowledged()
    third = unpack(stream.frame(b"three")).frames
    header = header_and_first[: header_and_first.index(b"\x8eTZB")]
    assert Decompressor().decompress(header + third) == b"three"


def test_a_stream_keeps_within_its_memory_limit_and_goes_on() -> None:
    stream = SendingStream(memory_limit=4_000_000)
    backend = Backend()
    receiver = Receiver(backend.deliver)
    sent = [otlp_message(number, n_spans=200, name=f"name {number}") for number in range(60)]
    for one in sent:
        assert receiver.receive(stream.stream_id, stream.frame(one)).status == 200
        stream.acknowledged()
        assert stream.memory <= 4_000_000
    assert backend.got == sent
    assert stream.sequence == len(sent)


def test_an_error_in_the_compressor_begins_a_new_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SendingStream()
    receiver = new_receiver()
    receiver.receive(stream.stream_id, stream.frame(b"one"))
    stream.acknowledged()
    with monkeypatch.context() as patch:
        patch.setattr("tracezip.limits.MAX_MESSAGE_BYTES", 10)
        with pytest.raises(InputError):
            stream.frame(b"eleven bytes")
    body = stream.frame(b"two")
    assert unpack(body).sequence == 0
    assert receiver.receive(stream.stream_id, body).status == 200


def test_a_forked_child_begins_a_new_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SendingStream()
    stream_id, body = stream.stream_id, stream.frame(b"one")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert stream.frame(b"one") != body
    assert stream.stream_id != stream_id


# --- both, over a network ---------------------------------------------------------------------------------------------


class Chances(NamedTuple):
    """Of each thing that can happen to one request."""

    lost: float = 0.0
    answer_lost: float = 0.0
    again: float = 0.0
    """A copy of the request arrives later, behind others."""
    other_server: float = 0.0
    server_restarts: float = 0.0
    client_restarts: float = 0.0
    backend_busy: float = 0.0
    backend_refuses: float = 0.0


class Network:
    """One client and some servers; what happens between them is drawn at random."""

    def __init__(self, seed: int, n_servers: int, chances: Chances) -> None:
        self.random = random.Random(seed)
        self.chances = chances
        self.client = SendingStream(chained=self.random.random() < 0.8)
        self.servers = [Server(self) for _ in range(n_servers)]
        self.delivered: list[bytes] = []
        self.late: list[tuple[bytes, bytes]] = []
        self.n_unheard: Counter[bytes] = Counter()
        """How often a message was delivered and the client did not hear of it."""

    def happens(self, what: str) -> bool:
        return self.random.random() < getattr(self.chances, what)

    def send(self, message: bytes) -> int:
        """The status that settles the message; 0 if the client gave it up by itself."""
        for _ in range(1000):
            self.disturb()
            answer = self.request(message)
            if answer is None or answer.status == 503:
                continue
            if answer.status == 409:
                self.client.restart()
                continue
            if answer.status == 200:
                expected = {"acknowledged": self.client.sequence, "digest": self.client.digest_after.hex()}
                assert answer.body == expected
            self.client.acknowledged()
            return answer.status
        raise AssertionError("it never arrives")

    def disturb(self) -> None:
        for number in range(len(self.servers)):
            if self.happens("server_restarts"):
                self.servers[number] = Server(self)
        if self.happens("client_restarts"):
            self.client.restart()
        while self.late and self.random.random() < 0.3:
            request = self.late.pop(self.random.randrange(len(self.late)))
            self.arrive(request, is_heard=False)

    def request(self, message: bytes) -> Answer | None:
        request = (self.client_id(message), self.client.frame(message))
        if self.happens("again"):
            self.late.append(request)
        if self.happens("lost"):
            return None
        is_heard = not self.happens("answer_lost")
        answer = self.arrive(request, is_heard=is_heard)
        return answer if is_heard else None

    def client_id(self, message: bytes) -> bytes:
        self.client.frame(message)
        return self.client.stream_id

    def arrive(self, request: tuple[bytes, bytes], *, is_heard: bool) -> Answer:
        number = request[0][0] % len(self.servers)
        if self.happens("other_server"):
            number = self.random.randrange(len(self.servers))
        n_before = len(self.delivered)
        answer = self.servers[number].receiver.receive(*request)
        if not is_heard:
            self.n_unheard.update(self.delivered[n_before:])
        return answer


class Server:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.receiver = Receiver(self.deliver, max_streams=4)

    def deliver(self, message: bytes) -> Delivered:
        if self.network.happens("backend_busy"):
            raise TryLater(1, "busy")
        if self.network.happens("backend_refuses"):
            raise Refused("no")
        self.network.delivered.append(message)
        return Delivered()


def messages(seed: int) -> list[bytes]:
    """Each one only once."""
    source = random.Random(seed)
    return [b"%d:" % number + source.randbytes(source.choice([0, 5, 40])) for number in range(25)]


ROUGH = Chances(0.2, 0.2, 0.3, 0.1, 0.05, 0.05, 0.2, 0.05)


@pytest.mark.parametrize("n_servers", [1, 2])
@pytest.mark.parametrize("seed", range(30))
def test_over_any_network_what_is_acknowledged_was_delivered_exactly(seed: int, n_servers: int) -> None:
    network = Network(seed, n_servers, ROUGH)
    sent = messages(seed)
    statuses = {message: network.send(message) for message in sent}
    acknowledged = [message for message in sent if statuses[message] == 200]
    first_times = list(dict.fromkeys(network.delivered))
    assert set(first_times) <= set(sent)
    assert [message for message in first_times if statuses[message] == 200] == acknowledged
    for message, n_times in Counter(network.delivered).items():
        assert n_times <= max(1, network.n_unheard[message] + (statuses[message] == 200))


@pytest.mark.parametrize("seed", range(20))
def test_without_a_lost_stream_each_message_is_delivered_once(seed: int) -> None:
    network = Network(seed, 1, ROUGH._replace(server_restarts=0, client_restarts=0, backend_refuses=0))
    for message in messages(seed):
        assert network.send(message) == 200
    assert network.delivered == messages(seed)


@pytest.mark.parametrize("seed", range(20))
def test_without_a_lost_answer_each_message_is_delivered_once(seed: int) -> None:
    network = Network(seed, 2, ROUGH._replace(answer_lost=0, again=0, backend_refuses=0))
    for message in messages(seed):
        assert network.send(message) == 200
    assert network.delivered == messages(seed)
