"""litellm's replies → OpenAI's shape. Pure: dicts in, dicts out.

litellm adds fields of its own: nulls for everything that a provider might have sent, `provider_specific_fields` for
what it has no name for, and at the end of a stream a finish reason and a usage that nobody reported. Clients get what
the provider said, where OpenAI would put it.
"""

from collections.abc import Mapping
from typing import Any

_PRIVATE = "provider_specific_fields"
_NULLABLE = frozenset({"content", "refusal", "finish_reason"})
"""Fields whose null is part of OpenAI's shape."""


def whole_reply(data: Mapping[str, Any]) -> dict[str, Any]:
    reply: dict[str, Any] = _cleaned(data)
    for choice in reply.get("choices", ()):
        for call in choice.get("message", {}).get("tool_calls", ()):
            call.pop("index", None)  # belongs to streams alone
    return reply


class Events:
    """Shapes the chunks of one stream."""

    def __init__(self) -> None:
        self._block = 0

    def shape(self, data: Mapping[str, Any], *, finished: bool) -> dict[str, Any] | None:
        """The chunk as an event, None if nothing is left of it.

        `finished` says whether the provider has given a finish reason: if not, the one in `data` is litellm's.
        """
        event: dict[str, Any] = _cleaned(data)
        choices = [self._choice(choice, finished=finished) for choice in event.get("choices", ())]
        event["choices"] = [choice for choice in choices if _says_something(choice)]
        return event if event["choices"] or "usage" in event else None

    def _choice(self, choice: dict[str, Any], *, finished: bool) -> dict[str, Any]:
        delta = {name: value for name, value in choice.get("delta", {}).items() if value is not None}
        for block in delta.get("thinking_blocks", ()):
            self._number(block)
        return {**choice, "delta": delta, "finish_reason": choice.get("finish_reason") if finished else None}

    def _number(self, block: dict[str, Any]) -> None:
        """Give the fragment of a thinking block its block's index, as OpenAI gives one to that of a tool call.

        Without it a fold, such as the one in OpenAI's SDK, cannot join fragments. A block ends with its signature.
        """
        block["index"] = self._block
        if block.get("signature") or block.get("type") != "thinking":
            self._block += 1


def _says_something(choice: Mapping[str, Any]) -> bool:
    return bool(choice["finish_reason"] or choice.get("logprobs") or choice["delta"])


def _cleaned(value: Any) -> Any:
    """Without nulls that OpenAI would not send, and with a provider's own fields back where it had them."""
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    private = value.get(_PRIVATE)
    lifted = {**private, **value} if isinstance(private, Mapping) else value
    return {
        name: _cleaned(item)
        for name, item in lifted.items()
        if name != _PRIVATE and (item is not None or name in _NULLABLE)
    }
