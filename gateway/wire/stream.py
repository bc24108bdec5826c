"""What clients of a stream must not be sent, although providers send it.

OpenAI says a role, an id and a function's name once, and its SDK's `.stream()` joins what it is told again:
`assistantassistant`. And usage is for clients that asked for it, on the finishing chunk of some providers too.
"""

from typing import Any


class Tidy:
    """Tidies the chunks of one stream, in order."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._roles: set[int] = set()
        self._calls: set[tuple[int, int]] = set()

    def take_out(self, chunk: dict[str, Any]) -> bool:
        """Take out, in place, what does not belong in the chunk. True if there was anything."""
        changed = False
        if not self._include_usage and chunk.get("usage"):
            del chunk["usage"]
            changed = True
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and isinstance(delta := choice.get("delta"), dict):
                changed = self._tidy_delta(delta, choice.get("index") or 0) or changed
        return changed

    def _tidy_delta(self, delta: dict[str, Any], choice: int) -> bool:
        changed = False
        if delta.get("role"):
            if choice in self._roles:
                del delta["role"]
                changed = True
            self._roles.add(choice)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(index := call.get("index"), int):
                changed = self._tidy_call(call, (choice, index)) or changed
        return changed

    def _tidy_call(self, call: dict[str, Any], key: tuple[int, int]) -> bool:
        if key not in self._calls:
            if call.get("id"):
                self._calls.add(key)
            return False
        function = call.get("function")
        holders = [(call, "id"), (call, "type"), (function if isinstance(function, dict) else {}, "name")]
        repeated = [(holder, name) for holder, name in holders if name in holder]
        for holder, name in repeated:
            del holder[name]
        return bool(repeated)
