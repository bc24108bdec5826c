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


class ReaderEvents:
    """Shapes the chunks of one stream as litellm's own reader of the provider's wire makes them.

    They are true, but not in OpenAI's order: role and usage may be in any of them, and usage in parts.
    """

    def __init__(self) -> None:
        self._blocks = _Blocks()
        self._head: dict[str, Any] = {}
        self._begun: set[int] = set()
        self._usage: dict[str, Any] = {}

    def shape(self, data: Mapping[str, Any], *, finished: bool) -> dict[str, Any] | None:
        """The chunk as an event, None if nothing is left of it. Its usage is kept for the end.

        `finished` says whether the provider gave a finish reason in it: if not, the one in `data` is litellm's.
        """
        event: dict[str, Any] = _cleaned(data)
        self._usage = _merged(self._usage, event.pop("usage", None) or {})
        given = event.get("choices", ())
        told = [{**_finished(choice, finished=finished), "delta": _delta(choice)} for choice in given]
        choices = [self._begun_with_role(choice) for choice in told if _says_something(choice)]
        if not choices:
            return None
        self._head = self._head or {name: event[name] for name in ("id", "created", "model") if name in event}
        return {**event, **self._head, "choices": choices}

    def usage(self) -> dict[str, Any] | None:
        """The event that ends the stream, None if the provider reported no usage."""
        if not self._usage:
            return None
        total = self._usage.get("prompt_tokens", 0) + self._usage.get("completion_tokens", 0)
        usage = {**self._usage, "total_tokens": max(total, self._usage.get("total_tokens", 0))}
        return {"object": "chat.completion.chunk", **self._head, "choices": [], "usage": usage}

    def _begun_with_role(self, choice: dict[str, Any]) -> dict[str, Any]:
        self._blocks.number(choice["delta"])
        if choice["index"] in self._begun:
            return choice
        self._begun.add(choice["index"])
        return {**choice, "delta": {"role": "assistant", **choice["delta"]}}


class WrapperEvents:
    """Shapes the chunks of one stream as litellm's wrapper gives them."""

    def __init__(self) -> None:
        self._blocks = _Blocks()

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
        self._blocks.number(delta)
        return {**_finished(choice, finished=finished), "delta": delta}


class _Blocks:
    """Numbers the fragments of thinking blocks by their block, as OpenAI numbers those of tool calls.

    Without it a fold, such as the one in OpenAI's SDK, cannot join fragments. A block ends with its signature.
    """

    def __init__(self) -> None:
        self._index = 0

    def number(self, delta: Mapping[str, Any]) -> None:
        for block in delta.get("thinking_blocks", ()):
            block["index"] = self._index
            if block.get("signature") or block.get("type") != "thinking":
                self._index += 1


def _finished(choice: Mapping[str, Any], *, finished: bool) -> dict[str, Any]:
    return {**choice, "finish_reason": choice.get("finish_reason") if finished else None}


def _delta(choice: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader's delta says: it has an empty content, and some have a role, in every chunk."""
    delta = choice.get("delta", {})
    return {name: value for name, value in delta.items() if name != "role" and value not in (None, "")}


def _merged(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Usage reported in parts: the latest word on each count, where a 0 may only mean that it is not in this part."""
    merged = dict(before)
    for name, value in now.items():
        if isinstance(value, Mapping):
            merged[name] = _merged(merged.get(name) or {}, value)
        elif value or name not in merged:
            merged[name] = value
    return merged


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
