"""What a session's settings and messages must be, wherever they come from, before a store is given them.

Messages are parsed and counted as those of a request are, so that what is stored does not tell how it came.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.domain import (
    IMPORT_MARK,
    MAX_HISTORY_MESSAGES,
    MAX_METADATA_BYTES,
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    NewMessage,
    Session,
    SessionChanges,
)
from gateway.errors import InvalidRequest
from gateway.ids import is_id, new_message_id
from gateway.storage.texts import check_json, check_texts
from gateway.tokens.counter import TokenCounter
from gateway.wire.chat import NewChatMessage, parse_messages
from gateway.wire.json import dump, parse_object

ENCODING = "o200k_base"
"""What messages are counted with that are not stored for a certain model's turn."""

HISTORY_MESSAGES = 20
"""A session's `max_history_messages` where nobody says."""

_LONGEST_NAME = 256
_LAST_PLACE = 2**31
"""Of a list: no page is longer, none starts later."""

_MOST_PAIRS = 16
"""Of metadata that sessions are looked for by."""


def check_settings(given: Session | SessionChanges) -> None:
    """Raises InvalidRequest unless the settings are such as `POST /chat/sessions` takes."""
    _check_text("name", given.name)
    _check_text("model", given.model)
    _check_integer("max_history_messages", given.max_history_messages, 0, MAX_HISTORY_MESSAGES)
    if given.ttl_seconds is not None:
        _check_integer("ttl_seconds", given.ttl_seconds, MIN_TTL_SECONDS, MAX_TTL_SECONDS)
    _check_metadata(given.metadata)
    if IMPORT_MARK in given.metadata:
        raise _invalid("metadata", f"{IMPORT_MARK!r} marks sessions that are not imported to their end")


def check_session_id(session_id: object) -> None:
    """Raises InvalidRequest unless it is one that a request could name."""
    if not isinstance(session_id, str) or not is_id(session_id):
        raise _invalid("session_id", "expected 1 to 128 characters out of A-Z, a-z, 0-9 and . _ : -")


def check_paging(limit: object, offset: object) -> None:
    """Raises InvalidRequest unless they are numbers that every database takes."""
    _check_integer("limit", limit, 1, _LAST_PLACE)
    _check_integer("offset", offset, 0, _LAST_PLACE)


def check_max_messages(max_messages: object) -> None:
    """Raises InvalidRequest unless a request could ask for so much history."""
    _check_integer("max_messages", max_messages, 0, MAX_HISTORY_MESSAGES)


def check_filter(metadata: object) -> None:
    """Raises InvalidRequest unless it is metadata that sessions can be looked for by."""
    if not isinstance(metadata, Mapping) or len(metadata) > _MOST_PAIRS:
        raise _invalid("metadata", f"expected an object of at most {_MOST_PAIRS} texts")
    if not all(isinstance(text, str) for pair in metadata.items() for text in pair):
        raise _invalid("metadata", "expected keys and values that are texts")


def parse_wire(messages: Sequence[Mapping[str, Any]]) -> tuple[Sequence[NewChatMessage], Sequence[NewChatMessage]]:
    """The instructions at the head of the messages, and the rest, as a request with them would be read.

    Raises InvalidRequest with the `param` that is wrong, and for what JSON cannot carry.
    """
    try:
        body = orjson.dumps({"messages": messages}, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except orjson.JSONEncodeError as exc:
        raise InvalidRequest(f"The messages cannot be written as JSON: {exc}.", code="invalid_json") from exc
    return parse_messages(parse_object(body)["messages"])


def pinned(system_prompt: str | None) -> tuple[bytes, ...]:
    """The instructions that a system prompt comes to. Raises InvalidRequest."""
    if not system_prompt:
        return ()
    instructions, _ = parse_wire([{"role": "system", "content": system_prompt}])
    return tuple(message.body for message in instructions)


async def draft_messages(
    messages: Sequence[NewChatMessage],
    counter: TokenCounter,
    *,
    model: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[NewMessage]:
    """The messages with ids and tokens. `model` is noted with those of the assistant. Raises InvalidRequest."""
    _check_text("model", model)
    if metadata is not None:
        _check_metadata(metadata)
    tokens = await counter.messages([message.data for message in messages], ENCODING)
    return [
        NewMessage(
            id=new_message_id(),
            role=message.role,
            body=message.body,
            tokens=count,
            encoding=ENCODING,
            model=model if message.role == "assistant" else None,
            metadata=metadata,
        )
        for message, count in zip(messages, tokens, strict=True)
    ]


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, Mapping):
        raise _invalid("metadata", "expected a JSON object")
    check_json(metadata)
    if len(dump(metadata)) > MAX_METADATA_BYTES:
        raise _invalid("metadata", f"expected at most {MAX_METADATA_BYTES} bytes of JSON")


def _check_text(param: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise _invalid(param, f"expected a text of 1 to {_LONGEST_NAME} characters")
    check_texts(value)


def _check_integer(param: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _invalid(param, f"expected an integer from {low} to {high}")


def _invalid(param: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid '{param}': {reason}.", code="invalid_value", param=param)
