"""The direct path: upstreams that speak OpenAI's wire get the bytes over one pool of kept connections.

Messages and replies pass through as the bytes that they came in: a message is never parsed here, a whole reply once.
"""

import asyncio
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

import orjson

from gateway import __version__
from gateway.domain import Deployment
from gateway.errors import GatewayError
from gateway.ports import ProviderCall, ProviderReply
from gateway.providers.connection import Response
from gateway.providers.dialing import Upstream, basic, upstream_of
from gateway.providers.direct_stream import DirectStream, failure
from gateway.providers.failures import broken, error_from_answer, error_in_reply, passed_headers
from gateway.providers.transport import Transport

_USER_AGENT = f"llm-history-gateway/{__version__}"
_ACCEPT_JSON = b"accept: application/json\r\n"
_ACCEPT_EVENTS = b"accept: text/event-stream\r\n"
_DRAIN_SECONDS = 1.0
"""How long a finished stream may take to end its body before its connection is given up."""


class DirectProvider:
    """`aclose` closes the transport, which others may be using too."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._upstreams: dict[tuple[str, str | None], Upstream] = {}
        self._drains: set[asyncio.Task[None]] = set()

    async def complete(self, call: ProviderCall) -> ProviderReply:
        deployment = call.deployment
        try:
            with closing(await self._post(call, stream=False)) as response:
                body = await response.read()
        except OSError as exc:
            raise failure(deployment, exc) from exc
        data = _parsed(deployment, body)
        if error := error_in_reply(deployment, data):
            raise error
        if not isinstance(data, dict) or not isinstance(data.get("choices"), list):
            raise broken(deployment, "answered with something that is not a chat completion")
        return ProviderReply(body=body, data=data, headers=passed_headers(response.headers))

    async def stream(self, call: ProviderCall) -> DirectStream:
        deployment = call.deployment
        try:
            response = await self._post(call, stream=True)
            if response.content_type in {"application/json", "text/html"}:
                with closing(response):
                    raise _no_stream(deployment, await response.read())
        except OSError as exc:
            raise failure(deployment, exc) from exc
        return DirectStream(response, deployment, self._drain)

    async def aclose(self) -> None:
        for task in self._drains:
            task.cancel()
        await asyncio.gather(*self._drains, return_exceptions=True)
        await self._transport.aclose()

    async def _post(self, call: ProviderCall, *, stream: bool) -> Response:
        """The response to the call, once its status is 200; raises what any other status means."""
        deployment = call.deployment
        upstream = self._upstream(deployment)
        body = _body(call, stream=stream)
        response = await self._transport.post(
            upstream.route, _head(upstream, call, body, stream=stream), body, deployment.timeouts
        )
        if response.status == 200 and response.headers.get("content-encoding") in {None, "identity"}:
            return response
        with closing(response):
            if response.status == 200:
                raise broken(deployment, "compressed its answer, which it was not asked to")
            if response.status < 400:
                raise broken(deployment, f"answered with status {response.status}, which is no chat completion")
            raise error_from_answer(deployment, response.status, await response.read(), response.headers)

    def _upstream(self, deployment: Deployment) -> Upstream:
        """Made by the first call to it: the environment's proxies are looked up no more than once."""
        key = (deployment.api_base or "", deployment.api_key)
        if key not in self._upstreams:
            self._upstreams[key] = _upstream(*key)
        return self._upstreams[key]

    def _drain(self, response: Response) -> None:
        task = asyncio.create_task(_read_to_end(response))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)


def _upstream(api_base: str, api_key: str | None) -> Upstream:
    headers = {"user-agent": _USER_AGENT, "content-type": "application/json", "accept-encoding": "identity"}
    if authorization := f"Bearer {api_key}" if api_key else basic(urlsplit(api_base)):
        headers["authorization"] = authorization
    return upstream_of(f"{api_base.rstrip('/')}/chat/completions", headers)


def _head(upstream: Upstream, call: ProviderCall, body: bytes, *, stream: bool) -> bytes:
    accept = _ACCEPT_EVENTS if stream else _ACCEPT_JSON
    request_id = call.request_id.encode()
    return b"%b%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (upstream.head, accept, request_id, len(body))


def _body(call: ProviderCall, *, stream: bool) -> bytes:
    """The request's JSON, with the messages last: a long window is copied once, by the join, and never read."""
    fields: dict[str, Any] = {**call.params, "model": call.deployment.model}
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    pieces = [*call.messages]
    pieces[0] = b'%b,"messages":[%b' % (orjson.dumps(fields)[:-1], pieces[0])
    pieces[-1] += b"]}"
    return b",".join(pieces)


def _parsed(deployment: Deployment, body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise broken(deployment, "answered with something that is not JSON") from exc


def _no_stream(deployment: Deployment, body: bytes) -> GatewayError:
    """What a whole body means where a stream was asked for."""
    error = error_in_reply(deployment, _parsed(deployment, body))
    return error or broken(deployment, "sent one whole answer where a stream was asked for")


async def _read_to_end(response: Response) -> None:
    """After [DONE] the body's end is often a packet of its own: once it is read, the connection can serve again."""
    with suppress(OSError):  # a TimeoutError is one; by then the connection is closed
        async with asyncio.timeout(_DRAIN_SECONDS):
            await response.read()
