"""A provider's stream as runs: what goes on to the client, with what it says.

As a rule a run is one event. Where many events arrive together and differ in nothing but a piece of text
(`wire.template`), it is all of them, as cheap to pass on and to fold as one.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from gateway.wire import sse
from gateway.wire.json import is_too_deep
from gateway.wire.reply import parse_halves
from gateway.wire.template import Template, learn

_COST = 8
"""Learning a template takes about as long as reading so many events without one."""


class NotAChunk(ValueError):
    """An event that is not a JSON object, or one that could not be written again."""


class Run(NamedTuple):
    """One event, or several in a row."""

    framed: bytes
    """The events as they are sent, each as `sse.event` frames it. Never [DONE]."""
    chunk: dict[str, Any]
    """What they say: of several, one chunk with all their texts joined. Whoever holds the run may change it."""
    has_halves: bool = False
    """True if it had to be read by `parse_halves`."""

    def rewritten(self) -> bytes:
        """The chunk as an event, for one that was changed. Halves of characters go as they came: as escapes."""
        return sse.event(json.dumps(self.chunk).encode() if self.has_halves else orjson.dumps(self.chunk))


def read(payload: bytes) -> Run:
    """The run of the event that has this payload. Raises NotAChunk."""
    chunk, has_halves = _parsed(payload)
    return Run(sse.event(payload), chunk, has_halves)


class Reader:
    """Reads the bytes of one stream. `is_done` is True once it has said [DONE]: nothing is read after that."""

    def __init__(self) -> None:
        self.is_done = False
        self._decoder = sse.Decoder()
        self._template: Template | None = None
        self._credit = 4 * _COST
        """Events' worth of work that may still be in vain, spent by learning and by runs that are refused.

        A stream of ever new shapes is soon read plainly, and one text that is refused makes no long chunk quadratic.
        """

    def feed(self, chunk: bytes) -> Iterator[Run]:
        """The runs of all events that `chunk` completes, in order. Raises NotAChunk where one stands that is none."""
        events, start = self._decoder.feed(chunk), 0
        while (blank := events.find(sse.BLANK, start)) >= 0:  # after the last there may be one more empty line
            end = blank + len(sse.BLANK)
            are_several = end < len(events)
            if are_several and (run := self._similar(events, start)):
                start += len(run.framed)
                yield run
                continue
            payload = sse.payload(events[start:end])
            start = end
            if payload == sse.DONE:
                self.is_done = True
                return
            if payload:
                run = read(payload)
                if are_several and not run.has_halves:
                    self._learn(payload, run.chunk)
                yield run

    def _similar(self, events: bytes, start: int) -> Run | None:
        """The run that begins at `start`, by the template learnt last."""
        if self._template is None:
            return None
        try:
            event, number, end = self._template.read(events, start)
        except ValueError:  # would only be found again and again
            self._template = None
            self._credit -= events.count(sse.BLANK, start)  # at least what was looked at in vain
            return None
        if not number:
            return None
        self._credit += number
        return Run(events[start:end], orjson.loads(sse.payload(event)))

    def _learn(self, payload: bytes, chunk: dict[str, Any]) -> None:
        if self._credit < _COST:
            return
        if (template := learn(payload, chunk)) is None:
            self._credit -= 1
        else:
            self._credit -= _COST
            self._template = template


def _parsed(payload: bytes) -> tuple[dict[str, Any], bool]:
    """The chunk, and whether it holds half a character."""
    has_halves = False
    try:
        chunk = orjson.loads(payload)
    except orjson.JSONDecodeError:
        chunk = parse_halves(payload)
        has_halves = True
    if not isinstance(chunk, dict) or is_too_deep(payload, chunk):
        raise NotAChunk
    return chunk, has_halves
