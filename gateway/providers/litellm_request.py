"""A call → the keyword arguments of `litellm.acompletion`.

litellm takes its own switches (base URL, credential, mocks, callbacks, …) and the model's parameters in one namespace.
So a client's field becomes an argument only if litellm knows it as a parameter of that very model; for upstreams on
OpenAI's wire any other field goes into the body untouched (`extra_body`), and for the rest it is refused by name:
what a client asks for is never dropped in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain import Deployment
from gateway.errors import InvalidRequest
from gateway.ports import ProviderCall
from gateway.wire.json import parse_array

_NEEDS_NO_SUPPORT = {"n": 1, "logprobs": False, "store": False, "presence_penalty": 0, "frequency_penalty": 0}
"""Parameters that say nothing at this value: SDKs send them, and litellm would refuse them for lack of support."""


@dataclass(frozen=True, slots=True)
class Support:
    """What litellm can pass on to one model."""

    openai_wire: bool
    """True if the upstream speaks OpenAI's wire, so that fields unknown to litellm may go into the body."""
    params: frozenset[str]
    """OpenAI's parameters that litellm translates for the model."""
    native: frozenset[str]
    """The provider's own parameters that litellm passes on."""
    reserved: frozenset[str]
    """litellm's own switches, which no client may reach."""
    content_types: frozenset[str]
    """Types of content parts that litellm lets through in a user's message."""


def arguments(call: ProviderCall, support: Support, *, timeout: Any, stream: bool) -> dict[str, Any]:
    """Raises InvalidRequest, with the `param`, for what cannot be passed on."""
    deployment = call.deployment
    messages = parse_array(call.messages)
    _check_parts(messages, deployment, support)
    given: dict[str, Any] = {
        **_params(call.params, deployment, support),
        "model": deployment.model,
        "messages": messages,
        "api_base": deployment.api_base,
        "api_key": deployment.api_key,
        "timeout": timeout,
        "max_retries": 0,
        "num_retries": 0,
        "drop_params": False,
        "_skip_mcp_handler": True,  # which would run tools itself, and needs a package that is not there
        "stream": stream,
    }
    if stream:
        given["stream_options"] = {"include_usage": True}
    return given


def _params(params: Mapping[str, Any], deployment: Deployment, support: Support) -> dict[str, Any]:
    named: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for name, value in params.items():
        if name in support.params and name not in support.reserved:
            named[name] = value
        elif support.openai_wire:
            body[name] = value
        elif value is None or (name in _NEEDS_NO_SUPPORT and value == _NEEDS_NO_SUPPORT[name]):
            continue
        elif name not in support.reserved and name in support.native | deployment.allow_params:
            named[name] = value
        else:
            raise _unsupported(name, deployment)
    return {**named, "extra_body": body} if body else named


def _unsupported(name: str, deployment: Deployment) -> InvalidRequest:
    return InvalidRequest(
        f"Model {deployment.name!r} does not support the parameter {name!r}.",
        code="unsupported_parameter",
        param=name,
    )


def _check_parts(messages: Sequence[Mapping[str, Any]], deployment: Deployment, support: Support) -> None:
    """litellm fails on a user's content part of a type that it does not know, without saying which."""
    for message in messages:
        content = message.get("content")
        if message.get("role") != "user" or not isinstance(content, list):
            continue
        for part in content:
            if isinstance(part, dict) and part.get("type") not in support.content_types:
                raise InvalidRequest(
                    f"Model {deployment.name!r} does not take content parts of type {part.get('type')!r}.",
                    code="unsupported_content_part",
                    param="messages",
                )
