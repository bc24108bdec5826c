"""A `/v1/chat/completions` request: parsed once, validated only where the gateway itself depends on it.

OpenAI's fields and the well-known sampling extras go on to the provider, which judges their values; any other field is
a 400 that names it. What the gateway reads (messages, stream, limits, session) is checked here, so that nothing is
half-done when it turns out wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import InvalidRequest
from gateway.ids import is_id
from gateway.values import value
from gateway.wire.json import dump

OPENAI_PARAMS = frozenset(
    """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens metadata
    modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_retention
    reasoning_effort response_format safety_identifier seed service_tier stop store temperature tool_choice tools
    top_logprobs top_p user verbosity web_search_options
    """.split()
)
SAMPLING_EXTRAS = frozenset(
    """
    best_of chat_template_kwargs enable_thinking guided_choice guided_grammar guided_json guided_regex ignore_eos
    include_reasoning length_penalty min_p min_tokens mirostat mirostat_eta mirostat_tau reasoning repetition_penalty
    skip_special_tokens stop_token_ids thinking top_a top_k typical_p
    """.split()
)
PASSED_PARAMS = OPENAI_PARAMS | SAMPLING_EXTRAS
"""Fields that every model is sent."""

_OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options", "session_id", "max_history_messages"})
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_INSTRUCTIONS = frozenset({"system", "developer"})
_PLAIN_ROLES = ("user", "assistant", "system", "developer")  # not a set: what is compared may be a list
MOST_MESSAGES = 2048


@value
class NewChatMessage:
    """One message of a request: its wire form, parsed and as JSON bytes."""

    role: str
    data: Mapping[str, Any]
    body: bytes

    @property
    def is_instruction(self) -> bool:
        return self.role in _INSTRUCTIONS


@value
class ChatRequest:
    model: str | None
    """None only where a session may name it."""
    session_id: str | None
    instructions: Sequence[NewChatMessage]
    """The system and developer messages at the head of the request."""
    messages: Sequence[NewChatMessage]
    """The rest."""
    params: Mapping[str, Any]
    """What goes on to the provider, next to the messages; a field that needs a model's `allow_params` included."""
    unlisted: frozenset[str]
    """Those of the params that only `allow_params` of the model lets through."""
    stream: bool
    include_usage: bool
    max_history_messages: int | None

    @property
    def answers(self) -> frozenset[str]:
        """Ids of the tool calls that the messages at its start answer."""
        ids = []
        for message in self.messages:
            if message.role != "tool":
                break
            ids.append(message.data["tool_call_id"])
        return frozenset(ids)

    @property
    def max_reply_tokens(self) -> int | None:
        limit: int | None = self.params.get("max_completion_tokens") or self.params.get("max_tokens")
        return limit

    def check_params(self, allowed: frozenset[str]) -> None:
        """Raises InvalidRequest if a field is neither OpenAI's, a known extra nor in the model's `allow_params`."""
        if unknown := sorted(self.unlisted - allowed):
            raise InvalidRequest(
                f"Unrecognized request argument: {unknown[0]}. To let it through to this model, add it to the model's "
                "allow_params in the gateway's settings.",
                code="unknown_parameter",
                param=unknown[0],
            )


def parse_chat(data: dict[str, Any], *, header_session_id: str | None, max_history_limit: int) -> ChatRequest:
    """Validate a parsed body. Raises InvalidRequest with the `param` that is wrong.

    `max_history_limit` is the largest `max_history_messages` that a request may ask for.
    """
    session_id = _session_id(data.get("session_id"), header_session_id)
    instructions, messages = parse_messages(data.get("messages"))
    stream = _boolean(data, "stream")
    _integer(data, "n", 1, 128)
    _integer(data, "max_tokens", 1, None)
    _integer(data, "max_completion_tokens", 1, None)
    params = {name: value for name, value in data.items() if name not in _OWN_FIELDS}
    return ChatRequest(
        model=_model(data.get("model"), optional=session_id is not None),
        session_id=session_id,
        instructions=instructions,
        messages=messages,
        params=params,
        unlisted=frozenset([name for name in params if name not in PASSED_PARAMS]),
        stream=stream,
        include_usage=_include_usage(data.get("stream_options"), stream),
        max_history_messages=_integer(data, "max_history_messages", 0, max_history_limit),
    )


def parse_messages(value: Any) -> tuple[Sequence[NewChatMessage], Sequence[NewChatMessage]]:
    """The instructions at the head of a request's messages, and the rest.

    Raises InvalidRequest with the `param` that is wrong.
    """
    messages = _messages(value)
    head = 0
    while head < len(messages) and messages[head].is_instruction:
        head += 1
    return messages[:head], messages[head:]


def _invalid(param: str, message: str, code: str = "invalid_value") -> InvalidRequest:
    return InvalidRequest(f"Invalid '{param}': {message}", code=code, param=param)


def _session_id(field: Any, header: str | None) -> str | None:
    """The body's field, else the header. A null field counts as none."""
    value = field if field is not None else header
    if value is None:
        return None
    if not isinstance(value, str) or not is_id(value):
        raise _invalid("session_id", "expected 1 to 128 characters out of A-Z, a-z, 0-9 and . _ : -")
    return value


def _model(value: Any, *, optional: bool) -> str | None:
    if value is None and optional:
        return None
    if value is None:
        raise InvalidRequest("you must provide a model parameter", code="missing_required_parameter", param="model")
    if not isinstance(value, str) or not 0 < len(value) <= 256 or "\0" in value:
        raise _invalid("model", "expected a string of 1 to 256 characters, none of them NUL")
    return value


def _messages(value: Any) -> list[NewChatMessage]:
    if value is None:
        raise InvalidRequest(
            "Missing required parameter: 'messages'.", code="missing_required_parameter", param="messages"
        )
    if not isinstance(value, list) or not value:
        raise _invalid("messages", "expected an array with at least one message")
    if len(value) > MOST_MESSAGES:
        raise _invalid("messages", f"expected at most {MOST_MESSAGES} messages, got {len(value)}")
    return [parse_message(item, index) for index, item in enumerate(value)]


def parse_message(value: Any, index: int) -> NewChatMessage:
    """One message, the `index`th of its list. Raises InvalidRequest with the `param` that is wrong."""
    if not _is_plain(value):
        _check_message(value, f"messages[{index}]")
    return NewChatMessage(value["role"], value, dump(value))


def _is_plain(value: Any) -> bool:
    """True for a message of text: all that `_check_message` would look at is right."""
    return (
        isinstance(value, dict)
        and value.get("role") in _PLAIN_ROLES
        and isinstance(value.get("content"), str)
        and "tool_calls" not in value
    )


def _check_message(value: Any, param: str) -> None:
    if not isinstance(value, dict):
        raise _invalid(param, "expected an object with role and content", "invalid_type")
    role = value.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise _invalid(f"{param}.role", f"expected one of {', '.join(sorted(_ROLES))}")
    content = value.get("content")
    if content is not None and not isinstance(content, str):
        _check_parts(content, f"{param}.content")
    if content is None and role in {"system", "developer", "user"}:
        raise _invalid(f"{param}.content", "expected a string or an array of content parts", "invalid_type")
    if role == "tool" and not isinstance(value.get("tool_call_id"), str):
        raise _invalid(f"{param}.tool_call_id", "a tool message must name the call that it answers")
    _check_tool_calls(value.get("tool_calls"), f"{param}.tool_calls")


def _check_parts(content: Any, param: str) -> None:
    if not isinstance(content, list):
        raise _invalid(param, "expected a string or an array of content parts", "invalid_type")
    for index, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise _invalid(f"{param}[{index}]", "expected an object with a type", "invalid_type")


def _check_tool_calls(calls: Any, param: str) -> None:
    """Only their ids matter here: they say which tool messages belong to them."""
    if calls is None:
        return
    if not isinstance(calls, list):
        raise _invalid(param, "expected an array", "invalid_type")
    for index, call in enumerate(calls):
        if not isinstance(call, dict) or not isinstance(call.get("id"), str):
            raise _invalid(f"{param}[{index}].id", "expected a string", "invalid_type")


def _include_usage(options: Any, stream: bool) -> bool:
    if options is None:
        return False
    if not stream:
        raise _invalid("stream_options", "only allowed when stream is true")
    if not isinstance(options, dict):
        raise _invalid("stream_options", "expected an object", "invalid_type")
    for name in options:
        if name not in {"include_usage", "include_obfuscation"}:
            raise _invalid(f"stream_options.{name}", "not a known option", "unknown_parameter")
    return _boolean(options, "include_usage", "stream_options.")


def _boolean(data: Mapping[str, Any], name: str, prefix: str = "") -> bool:
    value = data.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _invalid(prefix + name, "expected true or false", "invalid_type")
    return value


def _integer(data: Mapping[str, Any], name: str, low: int, high: int | None) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _invalid(name, "expected an integer", "invalid_type")
    if value < low or (high is not None and value > high):
        allowed = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise _invalid(name, f"expected an integer {allowed}, got {value}")
    return value
