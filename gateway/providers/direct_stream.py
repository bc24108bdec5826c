"""A streamed reply of the direct path: the bytes of a response, read as runs of events."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from gateway.domain import Deployment
from gateway.errors import GatewayError
from gateway.providers.connection import Response
from gateway.providers.dialing import Unreachable
from gateway.providers.failures import broken, passed_headers, timed_out
from gateway.providers.openai_wire import take
from gateway.wire.runs import Reader, Run


class DirectStream:
    """The events of one streamed reply; see `ports.ProviderStream`.

    `drain` is given the response once it has said [DONE], if its body has not ended with that.
    """

    def __init__(
        self,
        response: Response,
        deployment: Deployment,
        drain: Callable[[Response], None],
    ) -> None:
        self.headers: Mapping[str, str] = passed_headers(response.headers)
        self._response = response
        self._deployment = deployment
        self._drain = drain
        self._reader = Reader()
        self._ended = False
        self._error: GatewayError | None = None

    def __aiter__(self) -> AsyncIterator[Sequence[Run]]:
        return self

    async def __anext__(self) -> Sequence[Run]:
        while not self._ended:
            try:
                chunk = await self._response.readany()
            except OSError as exc:
                raise failure(self._deployment, exc) from exc
            self._ended = not chunk
            if runs := self._take(chunk):
                return runs
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if not self._ended:
            self._ended = True
            self._response.close()

    def _take(self, chunk: bytes) -> list[Run]:
        """The runs that stand before the end, or before an error, which is raised after they are delivered."""
        runs, self._error = take(self._reader, chunk, self._deployment)
        if self._error is not None:
            self._ended = True
            self._response.close()
        elif self._reader.is_done:
            self._ended = True
            if not self._response.at_eof():
                self._drain(self._response)
        return runs


def failure(deployment: Deployment, exc: OSError) -> GatewayError:
    """What the transport raises → ours."""
    if isinstance(exc, TimeoutError):
        return timed_out(deployment)
    if isinstance(exc, Unreachable):
        return broken(deployment, "cannot be reached")
    return broken(deployment, "broke the connection off, or sent what is not HTTP")
