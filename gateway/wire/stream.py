"""What a stream says again, taken out.

OpenAI says a role, a tool call's id, its type and its function's name once. Some providers say them with every chunk,
and whoever joins fragments, OpenAI's SDK and our own fold alike, would then read `assistantassistant`.
"""

from typing import Any

_Place = tuple[int, ...]


class Tidy:
    """Tidies the chunks of one stream, in order."""

    def __init__(self) -> None:
        self._said: dict[tuple[_Place, str], Any] = {}

    def take_out(self, chunk: dict[str, Any]) -> bool:
        """Take out, in place, what was said before. True if there was anything."""
        changed = False
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or not isinstance(index := choice.get("index") or 0, int):
                continue
            if isinstance(delta := choice.get("delta"), dict):
                changed = self._is_repeated(delta, "role", (index,)) or changed
                changed = self._tidy_calls(delta.get("tool_calls"), index) or changed
        return changed

    def _tidy_calls(self, calls: Any, choice: int) -> bool:
        changed = False
        for call in calls if isinstance(calls, list) else ():
            if not isinstance(call, dict) or not isinstance(index := call.get("index"), int):
                continue
            function = call.get("function")
            named = function if isinstance(function, dict) else {}
            for holder, name in ((call, "id"), (call, "type"), (named, "name")):
                changed = self._is_repeated(holder, name, (choice, index)) or changed
        return changed

    def _is_repeated(self, holder: dict[str, Any], name: str, place: _Place) -> bool:
        """Take the field out if it is what was said first at this place: another value is a fragment, and stays."""
        value = holder.get(name)
        if not value:
            return False
        if (place, name) not in self._said:
            self._said[place, name] = value
            return False
        if self._said[place, name] != value:
            return False
        del holder[name]
        return True
