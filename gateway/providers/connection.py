"""One connection to an upstream, and the answer that comes over it.

A connection carries one call at a time. It serves again only if the answer ended where it said it would, nothing came
after it, and the request had left whole; else it is closed, so that no call is ever given what belongs to another.
"""

import asyncio
from collections.abc import Callable

from httptools import HttpParserError, HttpResponseParser

IDLE_SECONDS = 30.0
"""How long a connection is kept for the next call: less than the 60 and 75 s after which many servers close theirs."""
_MAX_OVERHEAD = 64 * 1024
"""Bytes that may come in a row without one of the body: a head with all that precedes it, or trailers."""
_HIGH_WATER = 256 * 1024
"""Bytes of a body that may wait for their reader before the upstream is made to wait."""


class Response:
    """The answer to one call. Its connection fills it; `close` gives up what has not come yet.

    What waits raises what cut the answer off, when all that came before has been read: TimeoutError or another OSError.
    A reader that is cancelled closes the connection.
    """

    __slots__ = ("_chunks", "_connection", "_ended", "_error", "_waiter", "headers", "size", "status")

    def __init__(self, connection: "Connection") -> None:
        self.status = 0
        """0 until the head is there."""
        self.headers: dict[str, str] = {}
        """Names in lower case. Of a name that comes more than once, the last."""
        self.size = 0
        """Bytes that wait to be read."""
        self._connection: Connection | None = connection
        self._chunks: list[bytes] = []
        self._ended = False
        self._error: OSError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def begun(self) -> None:
        """Return once status and headers are there."""
        while not self.status:
            await self._more()

    async def readany(self) -> bytes:
        """What has come of the body, at least one byte of it; b"" at its end."""
        while not self._chunks:
            if self._ended:
                return b""
            await self._more()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self.size = 0
        if self._connection is not None:
            self._connection.resume()
        return data

    async def read(self) -> bytes:
        """What is left of the body, to its end."""
        chunks = []
        while not self.at_eof():
            chunks.append(await self.readany())
        return b"".join(chunks)

    def at_eof(self) -> bool:
        return self._ended and not self._chunks

    def close(self) -> None:
        """Close the connection, unless the answer has come whole: then it is no longer this call's."""
        if self._connection is not None:
            self._connection.abort()

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self.size += len(chunk)

    def end(self, error: OSError | None) -> None:
        self._connection = None
        self._ended = error is None
        self._error = error
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise


class Connection(asyncio.Protocol):
    """`on_free` is called when a call is over, with the connection open or not; `on_lost` once, when it has closed."""

    def __init__(self, on_free: Callable[["Connection"], None], on_lost: Callable[["Connection"], None]) -> None:
        self._on_free = on_free
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._parser = HttpResponseParser(self)
        # What servers get wrong without harm: bare line feeds, odd characters in headers, a space after a chunk's size.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._response: Response | None = None
        self._deadline = self._silence = 0.0
        self._overhead = 0
        self._until_eof = self._is_complete = self._keeps = self._is_paused = False

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    @property
    def heard_at(self) -> float:
        """The loop's time when the connection was last used."""
        return self._heard_at

    def send(self, head: bytes, body: bytes, *, silence: float, deadline: float) -> Response:
        """Send a request; `silence` is in seconds, `deadline` in the loop's time. The connection is open and idle."""
        self._response = response = Response(self)
        self._silence, self._deadline = silence, deadline
        self._overhead = 0
        self._until_eof = self._is_complete = self._keeps = self._is_paused = False
        self._heard_at = self._loop.time()
        self._arm()
        self._transport.writelines((head, body))
        return response

    def abort(self) -> None:
        """Close at once; a call that is under way fails."""
        if self._response is not None:
            self._finish(ConnectionAbortedError("closed by the gateway"))
        else:
            self._transport.abort()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._heard_at = self._loop.time()
            self._transport.resume_reading()
            self._arm()

    # ── what the event loop calls ────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a TCP or TLS one: it reads and writes
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_at(self._due(), self._watch)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:  # nobody has asked
            self._transport.abort()
            return
        self._heard_at = self._loop.time()
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as exc:
            self._keeps = False
            if not self._is_complete:
                self._finish(_not_http(exc))
                return
        if self._is_complete:
            self._finish(None)
        elif self._overhead > _MAX_OVERHEAD:
            self._finish(_not_http(None))
        else:
            if response.size > _HIGH_WATER and not self._is_paused:
                self._is_paused = True
                self._transport.pause_reading()
            response.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        if self._response is not None:
            ended = self._until_eof and exc is None
            self._finish(None if ended else ConnectionResetError("closed before the answer's end"))
        self._on_lost(self)
        self.lost.set_result(None)

    # ── what the parser calls ────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self._response
        if response is not None and not response.status:  # else a trailer
            response.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:
            raise ValueError("another protocol, which was not asked for")
        if self._response is not None and status >= 200:
            headers = self._response.headers
            self._until_eof = "content-length" not in headers and "transfer-encoding" not in headers
            self._response.status = status

    def on_body(self, chunk: bytes) -> None:
        self._overhead = 0
        if self._response is not None:
            self._response.add(chunk)

    def on_message_complete(self) -> None:
        if self._response is not None and self._response.status:
            self._is_complete = True
            self._keeps = self._parser.should_keep_alive()
        elif self._response is not None:  # 1xx: the answer is still to come
            self._response.headers.clear()

    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _finish(self, error: OSError | None) -> None:
        response, self._response = self._response, None
        if error is not None or not self._keeps or self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._arm()
        if response is not None:
            response.end(error)
            self._on_free(self)

    def _due(self) -> float:
        """When the connection is to be closed if nothing more is heard, in the loop's time."""
        if self._response is None:
            return self._heard_at + IDLE_SECONDS
        return self._deadline if self._is_paused else min(self._deadline, self._heard_at + self._silence)

    def _arm(self) -> None:
        """One timer a connection, which is moved only if it would be late: when it comes early, it is set again."""
        due = self._due()
        if due < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(due, self._watch)

    def _watch(self) -> None:
        now = self._loop.time()
        if self._transport.get_write_buffer_size():  # silence counts from when the request has been sent
            self._heard_at = now
        due = self._due()
        if due > now:
            self._timer = self._loop.call_at(due, self._watch)
        elif self._response is None:
            self._transport.abort()
        else:
            self._finish(TimeoutError())


def _not_http(cause: Exception | None) -> ConnectionError:
    error = ConnectionError("an answer that is not HTTP, or whose head has no end")
    error.__cause__ = cause
    return error
