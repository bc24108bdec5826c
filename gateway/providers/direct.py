"""The direct path: upstreams that speak OpenAI's wire get the bytes over one pool of kept connections.

Messages and replies pass through as the bytes that they came in: a message is never parsed here, a whole reply once.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from gateway import __version__
from gateway.domain import Deployment
from gateway.errors import GatewayError
from gateway.ports import ProviderCall, ProviderReply
from gateway.providers.direct_stream import DirectStream, failure
from gateway.providers.failures import broken, error_from_answer, error_in_reply, passed_headers

_USER_AGENT = f"llm-history-gateway/{__version__}"
_DNS_SECONDS = 60
_DRAIN_SECONDS = 1.0
"""How long a finished stream may take to end its body before its connection is given up."""


class DirectProvider:
    """`max_connections` bounds the open connections to all upstreams together; further calls wait for one."""

    def __init__(self, *, max_connections: int) -> None:
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}
        self._drains: set[asyncio.Task[None]] = set()

    async def complete(self, call: ProviderCall) -> ProviderReply:
        deployment = call.deployment
        with _translated(deployment):
            async with await self._post(call, stream=False) as response:
                body = await response.read()
                headers = passed_headers(response.headers)
        data = _parsed(deployment, body)
        if error := error_in_reply(deployment, data):
            raise error
        if not isinstance(data, dict) or not isinstance(data.get("choices"), list):
            raise broken(deployment, "answered with something that is not a chat completion")
        return ProviderReply(body=body, data=data, headers=headers)

    async def stream(self, call: ProviderCall) -> DirectStream:
        deployment = call.deployment
        with _translated(deployment):
            response = await self._post(call, stream=True)
            if response.content_type in {"application/json", "text/html"}:
                async with response:
                    raise _no_stream(deployment, await response.read())
        return DirectStream(response, deployment, self._drain)

    async def aclose(self) -> None:
        for task in self._drains:
            task.cancel()
        await asyncio.gather(*self._drains, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, call: ProviderCall, *, stream: bool) -> aiohttp.ClientResponse:
        """The response to the call, once its status is 200; raises what any other status means."""
        deployment = call.deployment
        timeouts = deployment.timeouts
        response = await self._open_session().post(
            f"{(deployment.api_base or '').rstrip('/')}/chat/completions",
            data=_body(call, stream=stream),
            headers=_headers(call, stream=stream),
            timeout=aiohttp.ClientTimeout(total=timeouts.total, sock_connect=timeouts.connect, sock_read=timeouts.read),
            allow_redirects=False,
            proxy=self._proxy(deployment.api_base or ""),
        )
        if response.status == 200:
            return response
        async with response:
            if response.status < 400:
                raise broken(deployment, f"answered with status {response.status}, which is no chat completion")
            body = await response.read()
            raise error_from_answer(deployment, response.status, body, response.headers)

    def _open_session(self) -> aiohttp.ClientSession:
        """Opened by the first call: a session belongs to the event loop that it was made in."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections, ttl_dns_cache=_DNS_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _proxy(self, api_base: str) -> str | None:
        """The environment's proxy for an upstream, looked up once.

        aiohttp's own `trust_env` would read .netrc on a thread at every call, and send what it finds there.
        """
        if api_base not in self._proxies:
            url = urlsplit(api_base)
            bypassed = proxy_bypass(url.netloc.rpartition("@")[2])
            self._proxies[api_base] = None if bypassed else getproxies().get(url.scheme)
        return self._proxies[api_base]

    def _drain(self, response: aiohttp.ClientResponse) -> None:
        task = asyncio.create_task(_read_to_end(response))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)


def _body(call: ProviderCall, *, stream: bool) -> bytes:
    body: dict[str, Any] = {
        **call.params,
        "model": call.deployment.model,
        "messages": [orjson.Fragment(message) for message in call.messages],
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(body)


def _headers(call: ProviderCall, *, stream: bool) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "user-agent": _USER_AGENT,
        "x-request-id": call.request_id,
    }
    if call.deployment.api_key:
        headers["authorization"] = f"Bearer {call.deployment.api_key}"
    return headers


@contextmanager
def _translated(deployment: Deployment) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as exc:
        raise failure(deployment, exc) from exc


def _parsed(deployment: Deployment, body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise broken(deployment, "answered with something that is not JSON") from exc


def _no_stream(deployment: Deployment, body: bytes) -> GatewayError:
    """What a whole body means where a stream was asked for."""
    error = error_in_reply(deployment, _parsed(deployment, body))
    return error or broken(deployment, "sent one whole answer where a stream was asked for")


async def _read_to_end(response: aiohttp.ClientResponse) -> None:
    """After [DONE] the body's end is often a packet of its own: once it is read, the connection can serve again."""
    try:
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await response.read()
    finally:
        response.close()  # does nothing to a connection that has gone back to the pool
