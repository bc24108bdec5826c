"""Whole replies on Anthropic's and Gemini's wires, by litellm's transformations without the call around them.

A call of nothing but texts, with parameters that are known to come out the same, goes through the functions that
`litellm.acompletion` ends in, and over the gateway's own transport; every other call is `acompletion`'s. Where it goes
and with which headers is noted once for each deployment, from a call of `acompletion` that does not leave the process.

tests/contract/test_provider_unwrapped.py compares both ways: it fails with a litellm that changes one of them alone.
Imported only once litellm is, whose libraries it names.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import orjson

from gateway.domain import Deployment
from gateway.ports import ProviderCall
from gateway.providers.dialing import Upstream, upstream_of
from gateway.providers.direct_stream import failure
from gateway.providers.failures import error_from_answer
from gateway.providers.litellm_warming import ANTHROPIC, GEMINI
from gateway.providers.transport import Transport

_PARAMS = frozenset({"temperature", "top_p", "max_tokens", "max_completion_tokens", "stop"})
_ROLES = ("system", "user", "assistant")
_OF_ONE_REQUEST = frozenset({"host", "connection", "content-length", "transfer-encoding"})
_REMEMBERED = 256

_Acompletion = Callable[[dict[str, Any]], Awaitable[Any]]


class _Wire(NamedTuple):
    """litellm's functions for a provider, and the parameters that no other function of its has a say in."""

    params: frozenset[str]
    optional: Callable[..., dict[str, Any]]
    body: Callable[..., dict[str, Any]]
    reply: Callable[..., Any]
    client: Callable[..., Any]
    blank: Callable[[], Any]
    """What `reply` fills."""
    sample: Mapping[str, Any]
    """A reply of the provider's."""


class WholeReplies:
    """`acompletion` is litellm's as the adapter calls it, with its arguments as a dict: `given`, below."""

    def __init__(self, litellm: Any, acompletion: _Acompletion, transport: Transport) -> None:
        self._acompletion = acompletion
        self._transport = transport
        self._wires = wires(litellm)
        self._upstreams: dict[tuple[str | None, ...], Upstream] = {}

    def can_take(self, call: ProviderCall, given: Mapping[str, Any]) -> bool:
        wire = self._wires.get(call.deployment.provider)
        return (
            wire is not None
            and bool(call.deployment.api_key)
            and all(name in wire.params for name in call.params if name in given)
            and all(map(_is_plain, given["messages"]))
        )

    async def complete(self, call: ProviderCall, given: dict[str, Any]) -> Any:
        """litellm's reply. Raises its exceptions, and errors of ours."""
        deployment = call.deployment
        wire, model = self._wires[deployment.provider], deployment.model.removeprefix(f"{deployment.provider}/")
        messages = [{**message} for message in given["messages"]]  # litellm takes the system prompt out
        named = {name: given[name] for name in call.params if given.get(name) is not None}
        optional = wire.optional(named, {}, model, drop_params=False)
        asked = {"model": model, "messages": messages, "optional_params": optional, "litellm_params": {}}
        data = wire.body(**asked)
        response = await self._post(wire, deployment, given, orjson.dumps(data))
        if response.has_redirect_location:
            return await self._acompletion(given)  # which follows it
        if not response.is_success:
            raise error_from_answer(deployment, response.status_code, response.content, response.headers)
        return wire.reply(
            **asked,
            raw_response=response,
            model_response=wire.blank(),
            logging_obj=SimpleNamespace(optional_params=optional, post_call=_ignore),
            request_data=data,
            encoding=None,
        )

    async def _post(self, wire: _Wire, deployment: Deployment, given: dict[str, Any], body: bytes) -> httpx.Response:
        try:
            upstream = await self._upstream(wire, deployment, given)
            head = b"%bcontent-length: %d\r\n\r\n" % (upstream.head, len(body))
            answer = await self._transport.post(upstream.route, head, body, deployment.timeouts)
            content = await answer.read()
        except OSError as exc:
            raise failure(deployment, exc) from exc
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, content=content)

    async def _upstream(self, wire: _Wire, deployment: Deployment, given: dict[str, Any]) -> Upstream:
        key = (deployment.model, deployment.api_base, deployment.api_key)
        if key not in self._upstreams:
            request = await self._noted(wire, given)
            headers = {name: value for name, value in request.headers.items() if name not in _OF_ONE_REQUEST}
            if len(self._upstreams) >= _REMEMBERED:
                self._upstreams.clear()
            self._upstreams[key] = upstream_of(str(request.url), {**headers, "accept-encoding": "identity"})
        return self._upstreams[key]

    async def _noted(self, wire: _Wire, given: dict[str, Any]) -> httpx.Request:
        """The request that `acompletion` would send. Raises what it raises if it sends none."""
        requests: list[httpx.Request] = []

        def note(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            return httpx.Response(200, json=wire.sample)

        client = wire.client(transport=httpx.MockTransport(note))
        try:
            await self._acompletion({**given, "client": client})
        finally:
            await client.close()
        return requests[0]


def wires(litellm: Any) -> Mapping[str, _Wire]:
    """By provider. None if litellm has not all that is needed: then everything is left to `acompletion`."""
    try:
        claude, studio = litellm.AnthropicConfig(), litellm.GoogleAIStudioGeminiConfig()
        gemini = partial(litellm.llms.vertex_ai.gemini.transformation.transform_request_body, cached_content=None)
        makers = litellm.llms.custom_httpx.http_handler.AsyncHTTPHandler, litellm.ModelResponse
        return {
            "anthropic": _Wire(
                _PARAMS,
                claude.map_openai_params,
                lambda **asked: claude.transform_request(**asked, headers={}),
                claude.transform_response,
                *makers,
                ANTHROPIC,
            ),
            "gemini": _Wire(
                _PARAMS | {"n", "seed", "presence_penalty", "frequency_penalty"},
                studio.map_openai_params,
                partial(gemini, custom_llm_provider="gemini"),
                litellm.VertexGeminiConfig().transform_response,
                *makers,
                GEMINI,
            ),
        }
    except AttributeError:
        return {}


def _is_plain(message: Mapping[str, Any]) -> bool:
    return len(message) == 2 and message.get("role") in _ROLES and isinstance(message.get("content"), str)


def _ignore(**_: Any) -> None:
    """For what litellm would note of a call."""
