r"""Many events of a stream read at once, where they differ in nothing but a piece of text.

Nearly all events of a reply are the same bytes around one growing string: `delta.content`, or another text of a delta,
or the arguments of a tool call. A template is learnt from one event that was read in the ordinary way: the bytes before
and after that string. The invariant: **a run of events that a template reads is read, and folded, as it would be event
by event**. Why it holds:

- An event is taken only if it is those bytes, with another JSON string in the string's place, framed by `data: ` and a
  blank line. JSON's grammar does not look into strings, so it parses as the learnt event did, but for that one value:
  no error, no usage, no finish reason and no nesting that the learnt event did not have.
- `_TEXT` lets a quote into a text only behind a backslash, and takes what follows a backslash with it. A JSON
  parser that is given the text between quotes thus ends at the same quote, or refuses it. All texts of a run are given
  to one, each as a string of its own: one that is refused (a bad escape, half a character) makes the run ordinary.
- All that the learnt event says beside its text may be said once or a hundred times: a choice's index, why it ended,
  fields that are null. `Tidy` leaves all of that alone, and a fold joins texts: so one event that says all the texts
  at once is folded as all the events are.

OpenAI adds `obfuscation` to every event, padding of random length: that string may differ too, and says nothing.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.wire.reply import is_fragment

_LONGEST = 4096
"""Bytes of an event that is worth learning: more is no mere frame around a piece of text."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"(?P<is_name>\s*+:)?', re.DOTALL)
_TEXT = re.compile(rb'([^"\\\x00-\x1f]*+(?:\\[^\x00-\x1f][^"\\\x00-\x1f]*+)*+)"').match
"""What stands between a string's opening and closing quote, and the latter."""
_PADDING = re.compile(rb'[ !#-\[\]-~]*+"').match
"""The same of a string that needs no parser to be sure of: ASCII without escapes."""


class Template:
    """The frame around the texts of a run of events: see `learn`.

    Compared as bytes, and not by a regular expression of its own: compiling one would cost as much as it saves.
    """

    def __init__(self, before: bytes, between: bytes | None, after: bytes) -> None:
        """`between` stands between text and padding; None if there is no padding. All with the quotes next to it."""
        self._before = b"data: " + before
        self._between = between
        self._after = after + b"\n\n"
        self._to_next = self._after + self._before

    def read(self, events: bytes, start: int) -> tuple[bytes, int, int]:
        """The run of events that begins at `start`: one event that says what they say, how many they are, their end.

        Nothing, 0 and `start` if there is none. Raises ValueError if a text of the run is no JSON: only texts need a
        parser to find that out, since what `_PADDING` matches is a JSON string.
        """
        texts, end = self._texts(events, start)
        if not texts:
            return b"", 0, start
        orjson.loads(b'["%b"]' % b'","'.join(texts))
        middle = b"" if self._between is None else self._between + b'"'
        return b'%b%b"%b%b' % (self._before, b"".join(texts), middle, self._after), len(texts), end

    def _texts(self, events: bytes, start: int) -> tuple[list[bytes], int]:
        """The texts of the run, and where it ends."""
        texts: list[bytes] = []
        if not events.startswith(self._before, start):
            return texts, start
        at = start + len(self._before)
        while found := _TEXT(events, at):
            rest = found.end() if self._between is None else self._past_padding(events, found.end())
            if not events.startswith(self._to_next, rest):
                if not events.startswith(self._after, rest):
                    break
                return [*texts, found[1]], rest + len(self._after)
            texts.append(found[1])
            at = rest + len(self._to_next)
        return texts, at - len(self._before)

    def _past_padding(self, events: bytes, at: int) -> int:
        """Where the padding has ended that follows a text; where no frame goes on if it does not."""
        assert self._between is not None  # noqa: S101 - else there is no padding
        found = _PADDING(events, at + len(self._between)) if events.startswith(self._between, at) else None
        return len(events) if found is None else found.end()


def learn(payload: bytes, chunk: Mapping[str, Any]) -> Template | None:
    """The template of an event that was read as `chunk`. None if it says more than another piece of one text."""
    if len(payload) > _LONGEST or b"\n" in payload or b"\r" in payload or chunk.get("usage"):
        return None
    if not isinstance(_growing(chunk), str):
        return None
    numbered, values = _numbered(payload)
    begin, end = values[_growing(numbered)]
    if not isinstance(chunk.get("obfuscation"), str):
        return Template(payload[: begin + 1], None, payload[end:])
    padding, padding_end = values[numbered["obfuscation"]]
    if padding < end:
        return None
    return Template(payload[: begin + 1], payload[end : padding + 1], payload[padding_end:])


def _growing(chunk: Mapping[str, Any]) -> Any:
    """What stands where the one choice of a chunk says a piece of text, and its delta nothing else; None for no such.

    Only where a fold joins texts. A call's arguments need its index: without one every event would be a call.
    """
    match chunk:
        case {"choices": [{"delta": dict(delta)}]}:
            name, value = _only(delta)
        case _:
            return None
    if name != "tool_calls":
        return value if is_fragment(name) else None
    match value:
        case [{"index": int(), "function": dict(function), **others}] if all(part is None for part in others.values()):
            name, value = _only(function)
            return value if name == "arguments" else None
    return None


def _only(fields: Mapping[str, Any]) -> tuple[str, Any]:
    """The one field that is not null; ("", None) if there are more or none."""
    said = [(name, value) for name, value in fields.items() if value is not None]
    return said[0] if len(said) == 1 else ("", None)


def _numbered(payload: bytes) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """The event with a number for each string that is a value, and where in the payload the string of a number is.

    Strings become ints, and so what is true or equal changes: "" may be 1 here, and "a" is 0. Of such an event only its
    structure may be asked, and what `is None`.
    """
    parts: list[bytes] = []
    places: list[tuple[int, int]] = []
    done = 0
    for found in _STRING.finditer(payload):
        if not found["is_name"]:
            parts += (payload[done : found.start()], b"%d" % len(places))
            places.append(found.span())
            done = found.end()
    return orjson.loads(b"".join([*parts, payload[done:]])), places
