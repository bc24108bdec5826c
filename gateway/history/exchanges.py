"""Stored messages as a window needs them, and the exchanges that they form.

Invariant: the body of a Remembered is a message that a provider takes, and differs from the stored bytes only where
those would be refused: half a tool call, the sound of a spoken reply, audio that the provider has forgotten.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import orjson

from gateway.domain import HistoryMessage, NewMessage, Status
from gateway.values import value
from gateway.wire.json import parse_array

_CALL_FIELDS = ("tool_calls", "function_call")

_SIGNS_OF_NOTHING = (b'"content":null', b'"content":""', b'"content":[]')
"""What a reply without content looks like, as this gateway writes JSON."""


class Remembered(NamedTuple):
    """What a window needs of one stored message, derived once."""

    seq: int
    role: str
    body: bytes
    """The wire JSON to send."""
    tokens: int
    encoding: str
    calls: tuple[str, ...] = ()
    """Ids of the tool calls that this message makes."""
    answers: str | None = None
    """Id of the tool call that this message answers."""
    expires_at: float | None = None
    """When the provider forgets the audio that `body` refers to, in seconds since 1970; None if it refers to none."""
    afterwards: bytes | None = None
    """The wire JSON to send from then on; None if nothing of the message is left."""


@value
class Exchange:
    """From one user message up to the next: the unit that goes into a window whole or not at all.

    As a rule its messages are one run of bytes, `body`, and `messages` is empty. Where they may yet have to be sent
    otherwise than as they are (tool calls and their answers, audio that the provider will forget), `messages` holds
    them one by one, and `body` is empty.
    """

    first_seq: int
    """Of the user's message."""
    count: int
    """How many messages it has."""
    tokens: int
    encoding: str | None
    """What `tokens` were counted with; None if that differs between its messages."""
    body: bytes
    """The wire JSON of the messages, with commas between them."""
    messages: tuple[Remembered, ...] = ()

    @property
    def expires_at(self) -> float:
        """When the provider forgets the first of its audio, in seconds since 1970; infinite if there is none."""
        return min((message.expires_at for message in self.messages if message.expires_at is not None), default=inf)

    def parsed(self) -> list[dict[str, Any]]:
        return parse_array([message.body for message in self.messages] or [self.body])

    def renewed(self, now: float) -> "Exchange":
        """The exchange as it is to be sent at `now`: audio that has expired since it was remembered is a transcript."""
        if now < self.expires_at:
            return self
        return exchange_of([aged for message in self.messages if (aged := _aged(message, now)) is not None])

    def recounted(self, tokens: Sequence[int], encoding: str) -> "Exchange":
        """The exchange with other tokens, given for each of its messages."""
        messages = tuple(
            message._replace(tokens=count, encoding=encoding)
            for message, count in zip(self.messages, tokens, strict=False)  # there are none where `body` is all of them
        )
        return replace(self, tokens=sum(tokens), encoding=encoding, messages=messages)

    def continued(self, more: Sequence[Remembered]) -> "Exchange | None":
        """The exchange with these messages after its own, none of them a user's.

        None if they have to be kept one by one and its own were not: then it has to be read again.
        """
        if self.messages:
            return exchange_of([*self.messages, *more])
        if any(_must_be_kept(message) for message in more):
            return None
        return Exchange(
            self.first_seq,
            self.count + len(more),
            self.tokens + sum(message.tokens for message in more),
            self.encoding if all(message.encoding == self.encoding for message in more) else None,
            b",".join([self.body, *[message.body for message in more]]),
        )


# ── one message ──────────────────────────────────────────────────────────────────────────────────────────────────


def remember(message: HistoryMessage, *, now: float) -> Remembered | None:
    """`remember_as` for a message that was read."""
    return remember_as(message, message.seq, message.status, now=now)


def remember_as(message: HistoryMessage | NewMessage, seq: int, status: Status, *, now: float) -> Remembered | None:
    """Make a message that is stored with this `seq` and `status` ready to be sent again; None if nothing of it can be.

    An empty reply cannot. Else the body goes back byte for byte, but for three kinds of reply: one that was cut off
    loses its tool calls, which may be half; audio goes back as its id, which is all that OpenAI takes; and as its
    transcript once `now` (seconds since 1970) has passed the audio's `expires_at`. `tokens` stay those of the stored
    message.
    """
    if status is Status.FAILED:
        return None
    kept = Remembered(seq, message.role, message.body, message.tokens, message.encoding)
    if message.role == "tool":
        return kept._replace(answers=_string(_parse(message.body).get("tool_call_id")))
    if message.role != "assistant":
        return kept
    if status is Status.INCOMPLETE:
        return _incomplete(kept)
    # Bytes are searched before any parsing: most replies are plain text. A hit inside a text only costs the parsing.
    if [True for sign in _SIGNS_OF_NOTHING if sign in message.body] and not _says_anything(_parse(message.body)):
        return None
    if b'"tool_calls"' in message.body:
        kept = kept._replace(calls=_call_ids(_parse(message.body)))
    if b'"audio"' in message.body:
        return _aged(_spoken(kept), now)
    return kept


def without_calls(message: Remembered) -> Remembered | None:
    """The message without its tool calls; None if nothing else of it can be sent."""
    body = _uncalled(message.body)
    if body is None:
        return None
    afterwards = None if message.afterwards is None else _uncalled(message.afterwards)
    return message._replace(body=body, afterwards=afterwards, calls=())


def _incomplete(message: Remembered) -> Remembered | None:
    """A reply that was cut off: its text, without tool calls and without audio that was never finished."""
    reply = _parse(message.body)
    whole = _without_audio({name: value for name, value in reply.items() if name not in _CALL_FIELDS})
    if not _is_sendable(whole):
        return None
    return message if whole == reply else message._replace(body=orjson.dumps(whole))


def _spoken(message: Remembered) -> Remembered:
    """A reply with audio: its id now, its transcript later. Unchanged if `audio` is only a word in its text."""
    reply = _parse(message.body)
    audio = reply.get("audio")
    if not isinstance(audio, dict) or "id" not in audio:
        return message
    reference, expires_at = {"id": audio["id"]}, audio.get("expires_at")
    later = _without_audio(reply)
    return message._replace(
        body=message.body if audio == reference else orjson.dumps({**reply, "audio": reference}),
        expires_at=expires_at if isinstance(expires_at, int | float) else None,
        afterwards=orjson.dumps(later) if _is_sendable(later) else None,
    )


def _aged(message: Remembered, now: float) -> Remembered | None:
    if message.expires_at is None or now < message.expires_at:
        return message
    if message.afterwards is None:
        return None
    return message._replace(body=message.afterwards, expires_at=None, afterwards=None)


def _without_audio(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply with its audio's transcript as content, unless it has content of its own."""
    audio = reply.get("audio")
    if not isinstance(audio, dict):
        return reply
    rest = {name: value for name, value in reply.items() if name != "audio"}
    if not rest.get("content") and audio.get("transcript"):
        rest["content"] = audio["transcript"]
    return rest


def _uncalled(body: bytes) -> bytes | None:
    """The wire JSON without tool calls; None if nothing is left to send."""
    rest = {name: value for name, value in _parse(body).items() if name != "tool_calls"}
    return orjson.dumps(rest) if _says_anything(rest) else None


def _is_sendable(reply: dict[str, Any]) -> bool:
    """An assistant's message without any of these is refused."""
    return any(reply.get(name) for name in ("content", "refusal", *_CALL_FIELDS))


def _says_anything(reply: dict[str, Any]) -> bool:
    """False for a reply that a content filter, say, has left empty: providers refuse to be sent it."""
    return _is_sendable(reply) or bool(reply.get("audio"))


def _call_ids(reply: dict[str, Any]) -> tuple[str, ...]:
    calls = reply.get("tool_calls")
    # A provider's calls, unlike a client's, were never checked: one without an id cannot be answered, nor waited for.
    dicts = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return tuple(call_id for call in dicts if (call_id := _string(call.get("id"))) is not None)


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _parse(body: bytes) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(body)
    return message


# ── exchanges ────────────────────────────────────────────────────────────────────────────────────────────────────


def group(messages: Sequence[Remembered]) -> tuple[Sequence[Remembered], tuple[Exchange, ...]]:
    """The messages before the first user's, which belong to no exchange, and the exchanges of the rest, in order."""
    starts = [index for index, message in enumerate(messages) if message.role == "user"]
    if not starts:
        return messages, ()
    if starts == [0]:  # as a rule: what a turn has added
        return (), (exchange_of(messages),)
    ends = [*starts[1:], len(messages)]
    exchanges = [exchange_of(messages[start:end]) for start, end in zip(starts, ends, strict=True)]
    return messages[: starts[0]], tuple(exchanges)


def exchange_of(messages: Sequence[Remembered]) -> Exchange:
    """The exchange of these messages, the first of which is the user's."""
    first, bodies = messages[0], []
    encoding: str | None = first.encoding
    tokens, is_one_run = 0, True
    for message in messages:  # one pass: every turn makes an exchange
        tokens += message.tokens
        bodies.append(message.body)
        if message.encoding != first.encoding:
            encoding = None
        if _must_be_kept(message):
            is_one_run = False
    if is_one_run:
        return Exchange(first.seq, len(bodies), tokens, encoding, b",".join(bodies))
    return Exchange(first.seq, len(bodies), tokens, encoding, b"", tuple(messages))


def _must_be_kept(message: Remembered) -> bool:
    """True if what is sent of the message may change with the next request, or with time."""
    return bool(message.calls) or message.role == "tool" or message.expires_at is not None
