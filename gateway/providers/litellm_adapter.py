"""Every provider that does not speak OpenAI's wire, through litellm, which is imported when it is first needed.

Importing takes seconds, so it is done on a thread, and so that the event loop goes on meanwhile (`uncollected`,
`yielding`); with it goes what litellm leaves to its first call (`litellm_warming`). litellm is kept to translating: no
retries, callbacks, telemetry, remote price map, .env file or log lines, and none of a client's fields among its own
switches.
"""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import orjson

from gateway.domain import Deployment, Timeouts
from gateway.errors import GatewayError, InvalidRequest
from gateway.ports import ProviderCall, ProviderReply
from gateway.providers.failures import passed_headers
from gateway.providers.litellm_reply import whole_reply
from gateway.providers.litellm_request import Support, arguments
from gateway.providers.litellm_stream import (
    LitellmStream,
    Source,
    read_bytes,
    read_events,
    read_wrapper,
    response_beneath,
)
from gateway.providers.transport import Transport

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
_SWITCH_SECONDS = 0.0005


class LitellmProvider:
    """One per process: litellm keeps its clients in a module, and `aclose` closes them all, and the transport.

    The transport is for calls that are made without `litellm.acompletion` (`litellm_whole`). With `wrapped` none is.
    """

    def __init__(self, transport: Transport, *, wrapped: bool = False) -> None:
        self._transport = transport
        self._wrapped = wrapped
        self._library: _Library | None = None
        self._importing = asyncio.Lock()

    async def start(self) -> None:
        """Import litellm now, so that no call has to wait for it."""
        await self._loaded()

    async def complete(self, call: ProviderCall) -> ProviderReply:
        library = await self._loaded()
        given = library.arguments(call, stream=False)
        with library.translated(call.deployment):
            async with asyncio.timeout(call.deployment.timeouts.total):
                if not self._wrapped and library.whole.can_take(call, given):
                    response = await library.whole.complete(call, given)
                else:
                    response = await library.acompletion(given)
        data = whole_reply(response.model_dump(warnings=False))
        return ProviderReply(body=orjson.dumps(data), data=data, headers=_headers(response))

    async def stream(self, call: ProviderCall) -> LitellmStream:
        library = await self._loaded()
        given = library.arguments(call, stream=True)
        deadline = asyncio.get_running_loop().time() + call.deployment.timeouts.total
        with library.translated(call.deployment):
            async with asyncio.timeout_at(deadline):
                wrapper = await library.acompletion(given)
                beneath = wrapper.completion_stream or await wrapper.fetch_stream()
        response = response_beneath(beneath, library.httpx.Response)
        stream = LitellmStream(
            library.source(wrapper, beneath, response, call.deployment),
            wrapper,
            response,
            headers=_headers(wrapper),
            deadline=deadline,
            translated=partial(library.translated, call.deployment, streaming=True),
        )
        if call.params.get("n") not in (None, 1) and not library.keeps_choices_apart(beneath):
            await stream.aclose()
            raise InvalidRequest(
                f"Model {call.deployment.name!r} cannot stream several choices: set 'n' to 1 or 'stream' to false.",
                code="unsupported_value",
                param="n",
            )
        return stream

    async def aclose(self) -> None:
        await self._transport.aclose()
        if self._library is not None:
            await self._library.aclose()

    async def _loaded(self) -> "_Library":
        if self._library is not None:
            return self._library
        async with self._importing:
            if self._library is None:
                self._library = await asyncio.to_thread(_import, self._transport)
            return self._library


class _Library:
    """litellm, imported and calmed down, and what the adapter needs of the libraries that it brings."""

    def __init__(self, transport: Transport) -> None:
        os.environ.update(_ENVIRONMENT)
        import httpx  # noqa: PLC0415 - with litellm, which brings it
        import litellm  # noqa: PLC0415 - takes seconds: only when a model needs it
        import openai  # noqa: PLC0415 - with litellm, which brings it
        from litellm._internal_context import is_internal_call  # noqa: PLC0415 - as the rest of it
        from litellm.llms.anthropic.chat import handler as anthropic  # noqa: PLC0415 - as the rest of it
        from litellm.llms.vertex_ai.gemini import (  # noqa: PLC0415 - as the rest of it
            vertex_and_google_ai_studio_gemini as gemini,
        )

        from gateway.providers import (  # noqa: PLC0415 - import what litellm brings
            litellm_failures,
            litellm_warming,
            litellm_whole,
        )

        self.litellm: Any = litellm
        self.httpx = httpx
        self._openai_stream = openai.AsyncStream
        self._readers = (anthropic.ModelResponseIterator, gemini.ModelResponseIterator)
        self._unlogged = is_internal_call
        self._translate = litellm_failures.translate
        self._support = lru_cache(_MODELS_REMEMBERED)(self._find_support)
        self.whole = litellm_whole.WholeReplies(litellm, self.acompletion, transport)
        calm(litellm)
        litellm_warming.warm(litellm, self.acompletion)

    def arguments(self, call: ProviderCall, *, stream: bool) -> dict[str, Any]:
        deployment = call.deployment
        support = self._support(deployment.provider, deployment.model)
        return arguments(call, support, timeout=self._timeout(deployment.timeouts), stream=stream)

    async def acompletion(self, given: dict[str, Any]) -> Any:
        """Without what litellm does about a call after it: cost, log records, callbacks; nobody here asks for them."""
        token = self._unlogged.set(True)
        try:
            return await self.litellm.acompletion(**given)
        finally:
            self._unlogged.reset(token)

    def source(self, wrapper: Any, beneath: Any, response: "httpx.Response | None", deployment: Deployment) -> Source:
        if response is None:
            return read_wrapper(wrapper)
        if self.keeps_choices_apart(beneath):
            return read_bytes(response, deployment)
        if type(beneath) in self._readers and not wrapper.is_function_call:  # `functions` the wrapper alone knows
            return read_events(response, beneath)
        return read_wrapper(wrapper)

    def keeps_choices_apart(self, beneath: Any) -> bool:
        return isinstance(beneath, self._openai_stream)

    @contextmanager
    def translated(self, deployment: Deployment, *, streaming: bool = False) -> Iterator[None]:
        try:
            yield
        except GatewayError:
            raise
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


def _import(transport: Transport) -> _Library:
    with uncollected(), yielding():
        return _Library(transport)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector from what is made inside, then and later.

    An import makes hundreds of thousands of objects that stay, and every full collection goes through all of them with
    all threads stopped: several times during the import, and once more with the first collection after it.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


@contextmanager
def yielding() -> Iterator[None]:
    """Let other threads have the interpreter after 0.5 ms instead of 5: the event loop asks for it at each wake-up."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def calm(litellm: Any) -> None:
    """The gateway's settings of litellm's module: it translates, and does nothing else."""
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = False
    litellm.modify_params = False
    litellm.user_url_validation = True  # it fetches some image URLs of clients itself: never from private addresses
    litellm.num_retries = None
    litellm.response_cost_calculator = _no_cost
    litellm.redact_messages_in_exceptions = True
    for callbacks in (litellm.callbacks, litellm.success_callback, litellm.failure_callback):
        callbacks.clear()
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.disabled = True  # its warnings quote requests and replies


def _no_cost(**_: Any) -> None:
    """litellm prices every reply, which takes a tenth of a call; the ledger's price comes from the catalog."""


def _headers(response: Any) -> dict[str, str]:
    given = response._hidden_params.get("additional_headers") or {}  # noqa: SLF001 - where litellm documents them
    return passed_headers({name.removeprefix(_HEADER_PREFIX): str(value) for name, value in given.items()})
