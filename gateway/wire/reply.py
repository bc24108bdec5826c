"""What a provider's reply says, whole or folded from its stream. Pure: values in, values out, none of them trusted.

Choice 0 is what a session stores; of the other choices only whether they came to an end is kept.
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.domain import Usage

_ABSURD = 2**53
"""Token counts from here on are no counts: neither every JSON parser nor every database could hold them."""

# Fields of a streamed delta that name or place something and so replace; every other string is a fragment that extends.
_REPLACED = frozenset({"role", "id", "type", "index", "format", "signature_type"})


def is_fragment(name: str) -> bool:
    """True if the strings that a delta has under this name are joined to one."""
    return name not in _REPLACED


class Fold:
    """Accumulates the chunks of one stream, which `wire.stream.Tidy` has rid of repetitions.

    `usage` is what the provider reported, `finish_reason` that of choice 0.
    """

    __slots__ = ("_finished", "_message", "_seen", "finish_reason", "has_halves", "usage")

    def __init__(self) -> None:
        self.has_halves = False
        """Set it where an event had to be read by `parse_halves`."""
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self._message: dict[str, Any] | None = None
        self._seen: set[int] = set()
        self._finished: set[int] = set()

    def add(self, chunk: Mapping[str, Any]) -> bool:
        """Take one chunk in. True if it brought part of a reply, False for bookkeeping: roles, usage, filters."""
        brought = False
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                brought = self._add_choice(choice) or brought
        if usage := chunk.get("usage"):
            self.usage = parse_usage(usage) or self.usage
        return brought

    @property
    def message(self) -> dict[str, Any] | None:
        """Choice 0's message so far, None before its first delta."""
        if self._message is None:
            return None
        message = {name: _without_indexes(_settled(value)) for name, value in self._message.items()}
        return joined_halves(message) if self.has_halves else message

    @property
    def is_finished(self) -> bool:
        """True once every choice that was begun has said why it ended."""
        return bool(self._seen) and self._seen == self._finished

    @property
    def has_content(self) -> bool:
        """True if the message holds more than its role and empty or null fields."""
        return self._message is not None and any(value for name, value in self._message.items() if name != "role")

    def _add_choice(self, choice: Mapping[str, Any]) -> bool:
        index, delta, reason = choice.get("index") or 0, choice.get("delta"), choice.get("finish_reason")
        if not isinstance(index, int):
            return False
        if not isinstance(delta, dict):
            delta = {}
        self._seen.add(index)
        if reason and isinstance(reason, str):
            self._finished.add(index)
            if index == 0:
                self.finish_reason = joined_halves(reason)
        if index == 0 and delta:
            if self._message is None:
                self._message = {"role": "assistant", "content": None}
            # Into values of our own, texts as fragments: adding to a string copies it, over and over in a long reply.
            _merge(self._message, delta)
        return any(value for name, value in delta.items() if name != "role")


def _merge(target: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if value is None:
            target.setdefault(name, None)
            continue
        current = target.get(name)
        if isinstance(value, str) and name not in _REPLACED:
            _extend(target, name, value)
        elif isinstance(value, dict) and isinstance(current, dict):
            _merge(current, value)
        elif isinstance(value, list):
            _merge_list(target, name, value)
        elif isinstance(value, dict):
            target[name] = {}
            _merge(target[name], value)
        elif not (name in _REPLACED and value == "" and current):
            target[name] = value


class _Text:
    """A text that is still growing."""

    __slots__ = ("fragments",)

    def __init__(self) -> None:
        self.fragments: list[str] = []

    def __bool__(self) -> bool:
        return any(self.fragments)

    def __str__(self) -> str:
        return "".join(self.fragments)


def _extend(target: dict[str, Any], name: str, fragment: str) -> None:
    text = target.get(name)
    if not isinstance(text, _Text):
        text = target[name] = _Text()
    text.fragments.append(fragment)


def _settled(value: Any) -> Any:
    """The value with its texts as strings."""
    if isinstance(value, _Text):
        return str(value)
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if isinstance(value, dict):
        return {name: _settled(item) for name, item in value.items()}
    return value


def _merge_list(target: dict[str, Any], name: str, items: list[Any]) -> None:
    """Items with an `index` extend the item of that index, wherever the provider starts to count; others are new."""
    merged = target.get(name)
    if not isinstance(merged, list):
        merged = target[name] = []
    for item in items:
        if not isinstance(item, dict):
            merged.append(item)
            continue
        known = _with_index(merged, item.get("index"))
        if known is None:
            known = {}
            merged.append(known)
        _merge(known, item)


def _with_index(items: list[Any], index: Any) -> dict[str, Any] | None:
    if index is None:
        return None
    return next((item for item in items if isinstance(item, dict) and item.get("index") == index), None)


def _without_indexes(value: Any) -> Any:
    """An item's index belongs to the stream: a message that is sent back does not have it."""
    if not isinstance(value, list):
        return value
    return [
        {key: part for key, part in item.items() if key != "index"} if isinstance(item, dict) else item
        for item in value
    ]


def parse_halves(payload: bytes) -> Any:
    """The JSON of an event that may hold half a character; None if it is not JSON all the same.

    Providers that count text in UTF-16 cut an emoji in two, and send `\\ud83d` and `\\ude00` in two events. orjson
    refuses either half; the standard library takes them.
    """
    if b"\\ud" not in payload and b"\\uD" not in payload:
        return None
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def joined_halves(value: Any) -> Any:
    """The value with the halves of characters in its texts joined; a half without its other becomes U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [joined_halves(item) for item in value]
    if isinstance(value, dict):
        return {joined_halves(name): joined_halves(item) for name, item in value.items()}
    return value


def reply_message(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Choice 0's message of a whole reply, None if there is none."""
    choice = _first_choice(data)
    message = choice.get("message") if choice else None
    return message if isinstance(message, dict) else None


def reply_finish_reason(data: Mapping[str, Any]) -> str | None:
    choice = _first_choice(data)
    reason = choice.get("finish_reason") if choice else None
    return reason if isinstance(reason, str) else None


def _first_choice(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return None


def storable(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message as a later call may send it: an assistant's, with content that is text, parts or null.

    Without the sound of an audio reply, since its id is what goes back and megabytes are not text; and without an empty
    list of tool calls, which some providers add to every reply and others refuse.
    """
    stored = {"role": "assistant", "content": None, **message}
    stored["role"] = "assistant"
    if not isinstance(stored["content"], str | list):
        stored["content"] = None
    if not isinstance(stored.get("tool_calls"), list) or not stored["tool_calls"]:
        stored.pop("tool_calls", None)
    audio = stored.get("audio")
    if isinstance(audio, dict):
        stored["audio"] = {name: value for name, value in audio.items() if name != "data"}
    return stored


def parse_usage(usage: Any) -> Usage | None:
    """OpenAI's usage object; None if it is none. A field that is missing or not a number counts as 0."""
    if not isinstance(usage, dict):
        return None
    prompt_details, completion_details = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Usage(
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        cached_tokens=_count(prompt_details, "cached_tokens"),
        reasoning_tokens=_count(completion_details, "reasoning_tokens"),
    )


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if type(value) is int and 0 < value < _ABSURD else 0
