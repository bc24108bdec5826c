"""litellm's streams → runs of events in OpenAI's shape.

litellm wraps every provider's stream in a class of its own, which costs several times what reading the stream does, and
loses things: refusals, the finish reasons of all but one choice, the model's and time's true values. So a stream is
read beneath it where what stands there is known: an upstream on OpenAI's wire, and Anthropic's and Gemini's, whose
events litellm's own readers parse. Any other is read through the wrapper.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import orjson

from gateway.domain import Deployment
from gateway.errors import GatewayError
from gateway.providers.litellm_reply import ReaderEvents, WrapperEvents
from gateway.providers.openai_wire import take
from gateway.wire import sse
from gateway.wire.runs import Reader, Run

if TYPE_CHECKING:
    import httpx

Source = AsyncGenerator[Sequence[Run], None]

_DEEPEST = 5
"""How many layers of generators litellm may have put around a response."""


class LitellmStream:
    """The events of one streamed reply; see `ports.ProviderStream`.

    `response` is what `source` reads from, if it could be found (`response_beneath`).
    """

    def __init__(
        self,
        source: Source,
        wrapper: Any,
        response: "httpx.Response | None",
        *,
        headers: Mapping[str, str],
        deadline: float,
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.headers = headers
        self._source = source
        self._wrapper = wrapper
        self._response = response
        self._deadline = deadline
        self._translated = translated
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Sequence[Run]]:
        return self

    async def __anext__(self) -> Sequence[Run]:
        if self._closed:
            raise StopAsyncIteration
        with self._translated():
            async with asyncio.timeout_at(self._deadline):
                runs = await anext(self._source, None)
        if runs is None:
            raise StopAsyncIteration
        return runs

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(GatewayError), self._translated():
            async with AsyncExitStack() as closing:  # from the last to the first, each whatever the others raise
                if self._response is not None:
                    closing.push_async_callback(self._response.aclose)
                closing.push_async_callback(self._wrapper.aclose)
                closing.push_async_callback(self._source.aclose)


async def read_bytes(response: "httpx.Response", deployment: Deployment) -> Source:
    """From an upstream on OpenAI's wire."""
    reader = Reader()
    async for data in response.aiter_bytes():
        runs, error = take(reader, data, deployment)
        if runs:
            yield runs
        if error is not None:
            raise error
        if reader.is_done:
            return


async def read_events(response: "httpx.Response", reader: Any) -> Source:
    """Through the parser of litellm's own reader of a provider's wire, an event at a time.

    These wires end with the body. [DONE] belongs to neither, but there are proxies that add it.
    """
    events = _Events(reader)
    async for data in response.aiter_bytes():
        runs, error = events.take(data)
        if runs:
            yield runs
        if error is not None:
            raise error
        if events.is_done:
            break
    if last := list(events.end()):
        yield last


class _Events:
    """Reads the bytes of one stream through litellm's reader of its wire. `is_done` is True once it has said [DONE]."""

    def __init__(self, reader: Any) -> None:
        self.is_done = False
        self._reader = reader
        self._decoder = sse.Decoder()
        self._shaper = ReaderEvents()

    def take(self, data: bytes) -> tuple[list[Run], Exception | None]:
        """The runs that `data` completes, up to an error, and the error: as `openai_wire.take`."""
        runs: list[Run] = []
        try:
            for run in self._feed(data):
                runs.append(run)  # noqa: PERF402 - those before an error are kept
        except Exception as exc:  # noqa: BLE001 - litellm's readers raise plain Exceptions; the adapter translates them
            return runs, exc
        return runs, None

    def end(self) -> Iterator[Run]:
        """What the end of the stream completes: an event without its empty line, if it is whole, and the usage."""
        if not self.is_done:
            with suppress(orjson.JSONDecodeError):  # half an event
                yield from self._feed(sse.BLANK)
        if event := self._shaper.usage():
            yield _run(event)

    def _feed(self, data: bytes) -> Iterator[Run]:
        for lines in self._decoder.feed(data).split(sse.BLANK):
            payload = sse.payload(lines + sse.BLANK)
            if payload == sse.DONE:
                self.is_done = True
                return
            if payload and (event := self._parsed(payload)):
                yield _run(event)

    def _parsed(self, payload: bytes) -> dict[str, Any] | None:
        said = orjson.loads(payload)
        chunk = self._reader.chunk_parser(said)
        if chunk is None:
            return None
        candidates = said.get("candidates")  # Gemini's: where one has no finish reason, its reader makes "stop" of that
        finished = not candidates or any(candidate.get("finishReason") for candidate in candidates)
        return self._shaper.shape(chunk.model_dump(warnings=False), finished=finished)


async def read_wrapper(wrapper: Any) -> Source:
    events = WrapperEvents()
    async for chunk in wrapper:
        data = chunk.model_dump(warnings=False)
        if data.get("usage") and not any(getattr(seen, "usage", None) for seen in wrapper.chunks):
            del data["usage"]  # an estimate of litellm's
        finished = (wrapper.received_finish_reason or wrapper.intermittent_finish_reason) is not None
        if event := events.shape(data, finished=finished):
            yield [_run(event)]


def _run(event: dict[str, Any]) -> Run:
    return Run(sse.event(orjson.dumps(event)), event)


def response_beneath(stream: Any, kind: type, depth: int = _DEEPEST) -> Any:
    """The HTTP response that litellm's stream reads from, found through its attributes and its generators' frames.

    litellm keeps no reference to it for some providers, and closing a generator that is not running leaves the
    connection to the garbage collector: too late for a provider that goes on generating, and charging.
    """
    if isinstance(stream, kind) or depth == 0:
        return stream if isinstance(stream, kind) else None
    frame = getattr(stream, "ag_frame", None)
    inner = frame.f_locals if frame is not None else getattr(stream, "__dict__", {})
    for item in inner.values():
        if item is not stream and (isinstance(item, kind) or hasattr(item, "__anext__") or hasattr(item, "ag_frame")):
            found = response_beneath(item, kind, depth - 1)
            if found is not None:
                return found
    return None
