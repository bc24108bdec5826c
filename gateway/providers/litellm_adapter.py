"""Every provider that does not speak OpenAI's wire, through litellm, which is imported when it is first needed.

Importing takes seconds, so it is done on a thread. litellm is kept to translating: no retries, callbacks, telemetry,
remote price map, .env file or log lines, and none of a client's fields among its own switches.
"""

import asyncio
import logging
import os
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from gateway.domain import Deployment, Timeouts
from gateway.errors import InvalidRequest
from gateway.ports import ProviderCall, ProviderReply
from gateway.providers.failures import passed_headers
from gateway.providers.litellm_reply import Events, whole_reply
from gateway.providers.litellm_request import Support, arguments

if TYPE_CHECKING:
    import httpx

_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",  # in DEV it loads .env
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
}
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
_HEADER_PREFIX = "llm_provider-"
_MODELS_REMEMBERED = 256
_DEEPEST = 5
"""How many layers of generators litellm may have put around a response."""


class LitellmProvider:
    """One per process: litellm keeps its clients in a module, and `aclose` closes them all."""

    def __init__(self) -> None:
        self._library: _Library | None = None

    async def start(self) -> None:
        """Import litellm now, so that no call has to wait for it."""
        await self._loaded()

    async def complete(self, call: ProviderCall) -> ProviderReply:
        library = await self._loaded()
        given = library.arguments(call, stream=False)
        with library.translated(call.deployment):
            async with asyncio.timeout(call.deployment.timeouts.total):
                response = await library.litellm.acompletion(**given)
        data = whole_reply(response.model_dump(warnings=False))
        return ProviderReply(body=orjson.dumps(data), data=data, headers=_headers(response))

    async def stream(self, call: ProviderCall) -> "LitellmStream":
        library = await self._loaded()
        given = library.arguments(call, stream=True)
        total = call.deployment.timeouts.total
        deadline = asyncio.get_running_loop().time() + total
        with library.translated(call.deployment):
            async with asyncio.timeout_at(deadline):
                wrapper = await library.litellm.acompletion(**given)
        stream = LitellmStream(wrapper, call.deployment, library, deadline)
        if not stream.keeps_choices_apart and call.params.get("n") not in (None, 1):
            await stream.aclose()
            raise InvalidRequest(
                f"Model {call.deployment.name!r} cannot stream several choices: set 'n' to 1 or 'stream' to false.",
                code="unsupported_value",
                param="n",
            )
        return stream

    async def aclose(self) -> None:
        if self._library is not None:
            await self._library.aclose()

    async def _loaded(self) -> "_Library":
        if self._library is None:
            self._library = await asyncio.to_thread(_Library)
        return self._library


class LitellmStream:
    """The events of one streamed reply; see `ports.ProviderStream`.

    OpenAI's own SDK is read beneath litellm's wrapper where litellm uses it: the wrapper drops refusals, the finish
    reasons of all but one choice, and the model's and time's true values.
    """

    def __init__(self, wrapper: Any, deployment: Deployment, library: "_Library", deadline: float) -> None:
        self.headers: Mapping[str, str] = _headers(wrapper)
        self.keeps_choices_apart = isinstance(wrapper.completion_stream, library.openai.AsyncStream)
        self._wrapper = wrapper
        self._source = aiter(wrapper.completion_stream if self.keeps_choices_apart else wrapper)
        self._deployment = deployment
        self._library = library
        self._deadline = deadline
        self._events = Events()
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Sequence[bytes]]:
        return self

    async def __anext__(self) -> Sequence[bytes]:
        while not self._closed:
            with self._library.translated(self._deployment, streaming=True):
                async with asyncio.timeout_at(self._deadline):
                    chunk = await anext(self._source, None)
            if chunk is None:
                break
            if event := self._shaped(chunk):
                return [orjson.dumps(event)]
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        response = _response_beneath(self._wrapper.completion_stream, self._library.httpx.Response)
        await self._wrapper.aclose()
        if response is not None:
            with suppress(self._library.httpx.HTTPError):
                await response.aclose()

    def _shaped(self, chunk: Any) -> dict[str, Any] | None:
        if self.keeps_choices_apart:
            data: dict[str, Any] = chunk.model_dump(exclude_unset=True, warnings=False)
            return data
        wrapper = self._wrapper
        data = chunk.model_dump(warnings=False)
        if data.get("usage") and not any(getattr(seen, "usage", None) for seen in wrapper.chunks):
            del data["usage"]
        finished = (wrapper.received_finish_reason or wrapper.intermittent_finish_reason) is not None
        return self._events.shape(data, finished=finished)


class _Library:
    """litellm, imported and calmed down, and what the adapter needs of the libraries that it brings."""

    def __init__(self) -> None:
        os.environ.update(_ENVIRONMENT)
        import httpx  # noqa: PLC0415 - with litellm, which brings it
        import litellm  # noqa: PLC0415 - takes seconds: only when a model needs it
        import openai  # noqa: PLC0415 - with litellm, which brings it

        from gateway.providers import litellm_failures  # noqa: PLC0415 - imports what litellm brings

        self.litellm: Any = litellm
        self.httpx = httpx
        self.openai = openai
        self._translate = litellm_failures.translate
        self._support = lru_cache(_MODELS_REMEMBERED)(self._find_support)
        _calm(litellm)
        _build_models(litellm)

    def arguments(self, call: ProviderCall, *, stream: bool) -> dict[str, Any]:
        deployment = call.deployment
        support = self._support(deployment.provider, deployment.model)
        return arguments(call, support, timeout=self._timeout(deployment.timeouts), stream=stream)

    @contextmanager
    def translated(self, deployment: Deployment, *, streaming: bool = False) -> Iterator[None]:
        try:
            yield
        except Exception as exc:  # litellm raises plain Exceptions too
            raise self._translate(exc, deployment, streaming=streaming) from exc

    async def aclose(self) -> None:
        """Close the connections of all clients: those in litellm's cache, and the one that is an attribute of its own.

        Of the latter only the transport, which opens again when it is used: litellm never makes another client there.
        """
        await self.litellm.close_litellm_async_clients()
        self.litellm.in_memory_llm_clients_cache.flush_cache()
        if shared := vars(self.litellm).get("module_level_aclient"):
            await shared.client._transport.aclose()  # noqa: SLF001 - closing the client itself would be for good

    def _timeout(self, timeouts: Timeouts) -> "httpx.Timeout":
        return self.httpx.Timeout(timeouts.read, connect=timeouts.connect)

    def _find_support(self, provider: str, model: str) -> Support:
        litellm = self.litellm
        bare = model.removeprefix(f"{provider}/")
        known = provider in set(litellm.LlmProviders)
        config = (
            litellm.ProviderConfigManager.get_provider_chat_config(model=bare, provider=litellm.LlmProviders(provider))
            if known
            else None
        )
        return Support(
            openai_wire=provider in {"openai", "azure", *litellm.openai_compatible_providers},
            params=frozenset(litellm.get_supported_openai_params(bare, provider) or ()),
            native=frozenset(getattr(type(config), "__annotations__", ())),
            reserved=frozenset(litellm.types.utils.all_litellm_params) | {"metadata", "extra_headers", "extra_body"},
            content_types=frozenset(litellm.types.llms.openai.ValidUserMessageContentTypes),
        )


def _calm(litellm: Any) -> None:
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = False
    litellm.modify_params = False
    litellm.user_url_validation = True  # it fetches some image URLs of clients itself: never from private addresses
    litellm.num_retries = None
    litellm.redact_messages_in_exceptions = True
    for callbacks in (litellm.callbacks, litellm.success_callback, litellm.failure_callback):
        callbacks.clear()
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.disabled = True  # its warnings quote requests and replies


def _build_models(litellm: Any) -> None:
    """litellm leaves building its models to their first use: here it is done on a thread.

    pydantic warns of a qualifier that litellm uses; litellm's filter against it does not hold where filters are reset.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier")
        for model in (litellm.ModelResponse, litellm.ModelResponseStream):
            model()


def _headers(response: Any) -> dict[str, str]:
    given = response._hidden_params.get("additional_headers") or {}  # noqa: SLF001 - where litellm documents them
    return passed_headers({name.removeprefix(_HEADER_PREFIX): str(value) for name, value in given.items()})


def _response_beneath(stream: Any, kind: type, depth: int = _DEEPEST) -> Any:
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
            found = _response_beneath(item, kind, depth - 1)
            if found is not None:
                return found
    return None
