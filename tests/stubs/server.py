"""A loopback HTTP server that plays a provider: what it answers is scripted, what it was sent is recorded.

    async with OpenAIStub() as stub:                   # inside a test's own event loop
        stub.reply_with(Json(completion("Hello.")), Hang())
        …                                              # the first request gets the completion, the second no answer
        assert stub.requests[0].body["messages"] == …

    with run_in_thread(OpenAIStub()) as stub:          # from a synchronous test, on a thread of its own
        …

Requests beyond the script get the stub's default: a sensible completion that says what it was sent.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from aiohttp import web


class Gate:
    """A place in a stream where the server waits. `open` and `wait_reached` may be called from any thread."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._reached = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Let the server go on. Only once it has reached the gate."""
        assert self._loop is not None, "the server has not come to this gate yet"
        self._loop.call_soon_threadsafe(self._opened.set)

    def wait_reached(self, timeout: float = 10.0) -> bool:
        """Block until everything in front of the gate has been sent. False after `timeout` seconds."""
        return self._reached.wait(timeout)

    async def reached(self) -> bool:
        return await asyncio.to_thread(self.wait_reached)

    async def _pass(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reached.set()
        await self._opened.wait()


@dataclass(frozen=True)
class Json:
    """A whole answer."""

    data: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Any bytes as a whole answer: garbage, HTML, half a JSON document."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Events:
    """A stream: dicts are sent as events, bytes as they are; the server waits at each Gate.

    ending: `done` ends it as the protocol wants, `eof` ends the body without that, `cut` resets the connection.
    """

    items: Sequence[Mapping[str, Any] | bytes | Gate]
    ending: Literal["done", "eof", "cut"] = "done"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """No answer, ever. With `status_sent` the status and headers come, and then nothing."""

    status_sent: bool = False


Behaviour = Json | Raw | Events | Hang


@dataclass
class Recorded:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    raw: bytes
    body: Any
    """`raw` parsed, None if it is not JSON."""
    peer: tuple[str, int]
    """The client's address: equal for requests on one connection."""
    _client_gone: threading.Event = field(default_factory=threading.Event)

    def wait_client_gone(self, timeout: float = 1.0) -> bool:
        """Block until the client closed its connection with the answer unfinished. False after `timeout` seconds."""
        return self._client_gone.wait(timeout)

    async def client_gone(self, timeout: float = 1.0) -> bool:  # noqa: ASYNC109 - waits on a thread's event
        return await asyncio.to_thread(self.wait_client_gone, timeout)


Script = Behaviour | Callable[[Recorded], Behaviour]


class StubServer:
    """Serves one path; subclasses say which, what the default answer is, and how an event is written."""

    path = "/"
    end_of_stream = b""

    def __init__(self, default: Script | None = None) -> None:
        self.requests: list[Recorded] = []
        self._script: deque[Script] = deque()
        self._awaited: list[asyncio.Future[Recorded]] = []
        self._default = default
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def reply_with(self, *script: Script) -> None:
        """Answer the coming requests, one each, with these behaviours, or with what these callables make of them."""
        self._script.extend(script)

    def next_request(self) -> Awaitable[Recorded]:
        """Resolves as soon as another request has come in. For tests in the server's own event loop."""
        future: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._awaited.append(future)
        return future

    def default_for(self, request: Recorded) -> Behaviour:
        raise NotImplementedError

    def encode(self, event: Mapping[str, Any]) -> bytes:
        raise NotImplementedError

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post(self.path, self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        recorded = await _record(request)
        self.requests.append(recorded)
        while self._awaited:
            self._awaited.pop().set_result(recorded)
        script = self._script.popleft() if self._script else self._default or self.default_for
        behaviour = script(recorded) if callable(script) else script
        try:
            return await self._answer(request, behaviour)
        except (asyncio.CancelledError, ConnectionError):
            recorded._client_gone.set()
            raise

    async def _answer(self, request: web.Request, behaviour: Behaviour) -> web.StreamResponse:
        match behaviour:
            case Json():
                body = json.dumps(behaviour.data).encode()
                return _whole(body, behaviour.status, "application/json", behaviour.headers)
            case Raw():
                return _whole(behaviour.body, behaviour.status, behaviour.content_type, behaviour.headers)
            case Hang():
                if behaviour.status_sent:
                    await _begin(request, {})
                await asyncio.Event().wait()
                raise AssertionError("unreachable: nobody sets that event")
            case Events():
                return await self._stream(request, behaviour)

    async def _stream(self, request: web.Request, events: Events) -> web.StreamResponse:
        response = await _begin(request, events.headers)
        for item in events.items:
            if isinstance(item, Gate):
                await item._pass()
            else:
                await response.write(item if isinstance(item, bytes) else self.encode(item))
        if events.ending == "done":
            await response.write(self.end_of_stream)
        elif events.ending == "cut" and request.transport is not None:
            request.transport.abort()
        return response


StubT = TypeVar("StubT", bound=StubServer)


@contextmanager
def run_in_thread(stub: StubT) -> Iterator[StubT]:
    """Serve on a thread with an event loop of its own, for tests that are not async or drive another process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=type(stub).__name__, daemon=True)
    thread.start()

    def run(awaitable: Awaitable[None]) -> None:
        asyncio.run_coroutine_threadsafe(_awaited(awaitable), loop).result(timeout=10)

    try:
        run(stub.start())
        yield stub
    finally:
        run(stub.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


async def _record(request: web.Request) -> Recorded:
    raw = await request.read()
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    headers = {name.lower(): value for name, value in request.headers.items()}
    peer = request.transport.get_extra_info("peername") if request.transport is not None else ("", 0)
    return Recorded(path=request.path_qs, headers=headers, raw=raw, body=body, peer=peer)


def _whole(body: bytes, status: int, content_type: str, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=body, status=status, content_type=content_type, headers=headers)


async def _begin(request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream", **headers})
    await response.prepare(request)
    return response
