"""One connection, fed byte by byte: what is an answer, what is none, and which connection may serve again."""

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.connection import IDLE_SECONDS, Connection, Response

REQUEST = (b"POST / HTTP/1.1\r\n\r\n", b"{}")


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.unsent = 0
        self.is_aborted = False
        self.is_paused = False

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.sent += b"".join(list_of_data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Line:
    """A connection over a fake transport, with one call under way."""

    def __init__(self, *, silence: float = 10, total: float = 100) -> None:
        self.freed: list[bool] = []
        """Of each call that is over, whether it left the connection open."""
        self.lost = 0
        self.transport = FakeTransport()
        self.connection = Connection(lambda free: self.freed.append(free.is_open), self._lose)
        self.connection.connection_made(self.transport)
        self.response = self.send(silence=silence, total=total)

    def send(self, *, silence: float = 10, total: float = 100) -> Response:
        deadline = asyncio.get_running_loop().time() + total
        return self.connection.send(*REQUEST, silence=silence, deadline=deadline)

    def feed(self, *pieces: bytes) -> None:
        """As the event loop does it: nothing is heard any more from a transport that is closed."""
        for piece in pieces:
            if not self.transport.is_aborted:
                self.connection.data_received(piece)

    def hang_up(self, exc: Exception | None = None) -> None:
        if not self.lost:
            self.transport.abort()
            self.connection.connection_lost(exc)

    def _lose(self, _: Connection) -> None:
        self.lost += 1


@dataclass(frozen=True)
class Answer:
    wire: bytes
    body: bytes = b"hello"
    status: int = 200
    is_kept: bool = True
    by_eof: bool = False


ANSWERS = {
    "length": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    "empty": Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    "no body": Answer(b"HTTP/1.1 204 No Content\r\n\r\n", b"", 204),
    "no reason": Answer(b"HTTP/1.1 429 \r\ncontent-length: 5\r\n\r\nhello", status=429),
    "chunked": Answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;note=x\r\nllo\r\n0\r\nstatus: no\r\n\r\n"
    ),
    "space after a chunk's size": Answer(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"
    ),
    "odd characters": Answer(b"HTTP/1.1 200 OK\r\nx-a: a\x01b\r\ncontent-length: 5\r\n\r\nhello"),
    "bare line feeds": Answer(b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello"),
    "to the end": Answer(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nhello", is_kept=False, by_eof=True),
    "1.0": Answer(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", is_kept=False),
    "1.0, kept": Answer(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello"),
    "closing": Answer(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", is_kept=False),
    "announces h2": Answer(b"HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello"),
    "1xx": Answer(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nstatus: no\r\n\r\n"
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    ),
}

NO_ANSWERS = {
    "garbage": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "no chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n",
    "longer than its chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "another protocol, unnamed": b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello",
}

KB = b"x" * 1024


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer(answer: Answer) -> None:
    await reads(answer, [answer.wire])


@given(st.data(), st.sampled_from(list(ANSWERS.values())))
async def test_an_answer_reads_alike_however_it_is_cut(data: st.DataObject, answer: Answer) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer.wire) - 1))))
    await reads(answer, [answer.wire[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)])


async def reads(answer: Answer, pieces: Iterable[bytes]) -> None:
    line = Line()
    line.feed(*pieces)
    if answer.by_eof:
        assert not line.freed
        line.hang_up()
    await line.response.begun()
    assert (line.response.status, await line.response.read()) == (answer.status, answer.body)
    assert "status" not in line.response.headers
    assert line.response.at_eof()
    assert line.freed == [answer.is_kept]
    line.hang_up()


@pytest.mark.parametrize("wire", NO_ANSWERS.values(), ids=NO_ANSWERS)
@pytest.mark.parametrize("by_byte", [False, True])
async def test_what_is_no_answer_closes_the_connection(wire: bytes, by_byte: bool) -> None:
    line = Line()
    line.feed(*([bytes([byte]) for byte in wire] if by_byte else [wire]))
    with pytest.raises(ConnectionError):
        await line.response.read()
    assert line.freed == [False]
    line.hang_up()


@pytest.mark.parametrize(
    "piece",
    [b"x-a: " + KB + b"\r\n", KB, b"x: y\r\n" * 200, b"\r\nHTTP/1.1 100 Continue\r\n" + KB],
    ids=["many headers", "one header", "short headers", "many 1xx"],
)
async def test_a_head_without_end(piece: bytes) -> None:
    line = Line()
    line.feed(b"HTTP/1.1 200 OK\r\nx: ", *[piece] * 70)
    with pytest.raises(ConnectionError):
        await line.response.begun()
    assert line.freed == [False]
    line.hang_up()


async def test_trailers_without_end() -> None:
    line = Line()
    line.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: ", *[KB] * 70)
    assert await line.response.readany() == b"hello"
    with pytest.raises(ConnectionError):
        await line.response.readany()
    line.hang_up()


async def test_a_long_body_is_no_long_head() -> None:
    line = Line()
    line.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 102400\r\n\r\n", *[KB] * 100)
    assert await line.response.read() == KB * 100
    assert line.freed == [True]
    line.hang_up()


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
    ids=["nothing", "half a head", "short", "no last chunk"],
)
async def test_an_answer_cut_off(wire: bytes) -> None:
    line = Line()
    line.feed(wire)
    line.hang_up()
    with pytest.raises(ConnectionError):
        await line.response.read()
    assert (line.freed, line.lost) == ([False], 1)
    assert line.connection._timer.cancelled()


async def test_a_reset_is_no_end() -> None:
    line = Line()
    line.feed(b"HTTP/1.1 200 OK\r\n\r\nhello")
    line.hang_up(ConnectionResetError())
    assert await line.response.readany() == b"hello"
    with pytest.raises(ConnectionError):
        await line.response.readany()


@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"], ids=["bytes", "answer"])
@pytest.mark.parametrize("with_the_answer", [True, False])
async def test_what_comes_after_an_answer_closes_the_connection(surplus: bytes, with_the_answer: bool) -> None:
    line = Line()
    wire = ANSWERS["length"].wire
    line.feed(*([wire + surplus] if with_the_answer else [wire, surplus]))
    assert await line.response.read() == b"hello"
    assert not line.connection.is_open
    line.hang_up()


async def test_a_connection_carries_one_call_after_the_other() -> None:
    line = Line()
    for answer in ("length", "chunked", "1xx", "no body"):
        line.feed(ANSWERS[answer].wire)
        assert await line.response.read() == ANSWERS[answer].body
        line.response = line.send()
    assert line.freed == [True] * 4
    assert line.transport.sent == b"".join(REQUEST) * 5
    line.hang_up()


async def test_the_heads_of_many_answers_are_not_one_long_head() -> None:
    line = Line()
    for _ in range(70):
        line.feed(b"HTTP/1.1 204 No Content\r\nx: " + KB + b"\r\n\r\n")
        assert await line.response.read() == b""
        line.response = line.send()
    line.hang_up()


async def test_a_body_can_be_read_as_it_comes() -> None:
    line = Line()
    line.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    for piece in (b"he", b"ll"):
        reader = asyncio.create_task(line.response.readany())
        await asyncio.sleep(0)
        line.feed(piece)
        assert await asyncio.wait_for(reader, 10) == piece
    assert not line.freed
    line.hang_up()


async def test_an_answer_before_the_request_had_left_whole() -> None:
    line = Line()
    line.transport.unsent = 1
    line.feed(ANSWERS["length"].wire)
    assert await line.response.read() == b"hello"
    assert line.freed == [False]
    line.hang_up()


async def test_headers() -> None:
    line = Line()
    line.feed(b"HTTP/1.1 200 OK\r\nX-A:  one \r\nx-a: tw\xf6\r\nContent-Type: Text/HTML; charset=x\r\n\r\n")
    await line.response.begun()
    assert line.response.headers == {"x-a": "tw\xf6", "content-type": "Text/HTML; charset=x"}
    assert line.response.content_type == "text/html"
    line.hang_up()


async def test_a_slow_reader_makes_the_upstream_wait() -> None:
    line = Line()
    line.feed(b"HTTP/1.1 200 OK\r\n\r\n", *[KB] * 256)
    paused = [line.transport.is_paused]
    line.feed(KB)
    paused.append(line.transport.is_paused)
    assert len(await line.response.readany()) == 257 * 1024
    assert [*paused, line.transport.is_paused] == [False, True, False]
    line.hang_up()


async def test_a_reader_that_is_cancelled_closes_the_connection() -> None:
    for wire in (b"", b"HTTP/1.1 200 OK\r\n\r\n"):
        line = Line()
        line.feed(wire)
        reader = asyncio.create_task(line.response.readany())
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert line.freed == [False]
        line.hang_up()


async def test_closing_an_answer_that_has_come_leaves_the_connection_to_the_next_call() -> None:
    line = Line()
    line.feed(ANSWERS["length"].wire)
    following = line.send()
    line.response.close()
    assert line.connection.is_open
    following.close()
    assert line.freed == [True, False]
    line.hang_up()


# ── time, which passes when the test says so ─────────────────────────────────────────────────────────────────────


class Clock(asyncio.SelectorEventLoop):
    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


async def after(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Clock)
    loop.skipped += seconds
    for _ in range(3):
        await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(scenario)


def test_silence() -> None:
    async def scenario() -> None:
        line = Line(silence=10, total=100)
        for piece in (b"HTTP/1.1 200 OK\r\n", b"\r\n", b"hello"):
            await after(9)
            line.feed(piece)
        await after(9)
        assert line.connection.is_open
        await after(2)
        assert await line.response.readany() == b"hello"
        with pytest.raises(TimeoutError):
            await line.response.readany()
        assert line.freed == [False]
        line.hang_up()

    run(scenario())


def test_total() -> None:
    async def scenario() -> None:
        line = Line(silence=10, total=25)
        for piece in (b"HTTP/1.1 200 OK\r\n\r\n", b"hello"):
            await after(9)
            line.feed(piece)
        await after(8)
        assert line.freed == [False]
        assert await line.response.readany() == b"hello"
        with pytest.raises(TimeoutError):
            await line.response.readany()
        line.hang_up()

    run(scenario())


def test_a_request_on_its_way_is_no_silence() -> None:
    async def scenario() -> None:
        line = Line(silence=10, total=100)
        line.transport.unsent = 1
        for _ in range(3):
            await after(11)
        assert not line.freed
        line.transport.unsent = 0
        await after(11)
        assert line.freed == [False]
        line.hang_up()

    run(scenario())


def test_an_upstream_that_is_made_to_wait_is_not_silent() -> None:
    async def scenario() -> None:
        line = Line(silence=10, total=100)
        line.feed(b"HTTP/1.1 200 OK\r\n\r\n", *[KB] * 257)
        await after(50)
        assert not line.freed
        await line.response.readany()
        await after(9)
        assert not line.freed
        await after(2)
        assert line.freed == [False]
        line.hang_up()

    run(scenario())


def test_a_call_may_be_less_patient_than_the_one_before() -> None:
    async def scenario() -> None:
        line = Line(silence=100, total=100)
        line.feed(ANSWERS["length"].wire)
        line.send(silence=1, total=100)
        await after(2)
        assert line.freed == [True, False]
        line.hang_up()

    run(scenario())


def test_an_idle_connection_is_closed() -> None:
    async def scenario() -> None:
        line = Line(silence=100, total=100)
        await after(IDLE_SECONDS)
        line.feed(ANSWERS["length"].wire)
        await after(IDLE_SECONDS - 1)
        was_open = line.connection.is_open
        await after(2)
        assert (was_open, line.connection.is_open) == (True, False)
        assert line.freed == [True]
        line.hang_up()

    run(scenario())
