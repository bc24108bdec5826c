"""Import: sessions from the lines that storage/exporting.py writes, or from others like them.

Invariant: nothing of a line is written before all of it has been found right, and a session that was not imported to
its end can be told from a whole one. An import that broke off is put right by running it again.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.auth.issuing import check_user_name
from gateway.domain import IMPORT_MARK, Session, User
from gateway.errors import GatewayError, InvalidRequest, StorageUnavailable
from gateway.ids import new_user_id
from gateway.ports import Store
from gateway.storage.arrivals import Arrival
from gateway.storage.drafts import HISTORY_MESSAGES, check_session_id, check_settings, draft_messages
from gateway.tokens.counter import TokenCounter
from gateway.wire.chat import parse_message

_BATCH = 500
"""Messages written in one transaction."""

_FIELDS = (
    "session_id",
    "user",
    "session_name",
    "model",
    "max_history_messages",
    "metadata",
    "ttl_seconds",
    "created_at",
    "archived_at",
    "messages",
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one line."""

    number: int
    """Of the line, counted from 1."""
    size: int
    """Of the line, in bytes."""
    messages: int = 0
    skipped: bool = False
    """Its session was there already, whole."""
    mistake: str | None = None
    """Why nothing of it was imported."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that is as it should be. `session` has everything but its owner."""

    user: str
    session: Session
    messages: Sequence[Any]
    """Of the conversation, parsed JSON, all of them valid."""


async def import_sessions(store: Store, lines: Iterable[bytes], *, owner: str | None = None) -> AsyncIterator[Imported]:
    """Import line after line, and tell of each as it is done; empty lines are passed over.

    Sessions go to the users that their lines name, who are made where there are none, or all to `owner`. A line that
    is wrong is told with its mistake, and the next one is read. Takes the memory of the longest line.
    """
    counter = TokenCounter()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            messages = await _import(store, _read(line, owner), counter)
        except StorageUnavailable:
            raise
        except GatewayError as exc:
            yield Imported(number, len(line), mistake=exc.message)
        else:
            yield Imported(number, len(line), messages=messages or 0, skipped=messages is None)


async def _import(store: Store, line: _Line, counter: TokenCounter) -> int | None:
    """How many messages were imported; None if the session was there already."""
    user = await store.add_user(User(new_user_id(), line.user))
    there = await store.get_session(user.id, line.session.id)
    if there is not None and IMPORT_MARK not in there.metadata:
        return None
    arrival = Arrival(store, replace(line.session, user_id=user.id))
    try:
        if not await arrival.begin():
            return None
        for start in range(0, len(line.messages), _BATCH):
            batch = [
                parse_message(value, index) for index, value in enumerate(line.messages[start : start + _BATCH], start)
            ]
            await arrival.append(await draft_messages(batch, counter), start)
        await arrival.finish(len(line.messages))
    finally:
        await arrival.let_go()
    return len(line.messages)


def _read(line: bytes, owner: str | None) -> _Line:
    """Check everything about a line before any of it is written. Raises InvalidRequest."""
    fields = _fields(line)
    user = fields.get("user") if owner is None else owner
    if not isinstance(user, str):
        raise InvalidRequest("The line names no user.", code="invalid_value", param="user")
    check_user_name(user)
    messages = fields.get("messages")
    if not isinstance(messages, list):
        raise InvalidRequest("The line has no list of messages.", code="invalid_value", param="messages")
    instructions = _check_messages(messages)
    return _Line(user, _session(fields, instructions), messages[len(instructions) :])


def _fields(line: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise InvalidRequest(f"The line is not valid JSON ({exc.msg} at column {exc.colno}).") from exc
    if not isinstance(fields, dict):
        raise InvalidRequest("The line is not a JSON object.")
    if unknown := sorted(fields.keys() - set(_FIELDS)):
        raise InvalidRequest(f"Unknown field {unknown[0]!r}; known are {', '.join(_FIELDS)}.", param=unknown[0])
    return fields


def _check_messages(messages: Sequence[Any]) -> tuple[bytes, ...]:
    """Returns the pinned instructions at their head. They are parsed once more when it is their turn to be stored:

    holding all of a long session in two forms would take twice the memory.
    """
    instructions: list[bytes] = []
    for index, value in enumerate(messages):
        try:
            message = parse_message(value, index)
        except orjson.JSONEncodeError as exc:
            raise InvalidRequest(f"Invalid 'messages[{index}]': it is nested too deep to be stored.") from exc
        if message.is_instruction and len(instructions) == index:
            instructions.append(message.body)
    return tuple(instructions)


def _session(fields: Mapping[str, Any], instructions: tuple[bytes, ...]) -> Session:
    now = datetime.now(UTC)
    check_session_id(fields.get("session_id"))
    session = Session(
        id=fields["session_id"],
        user_id="",
        name=fields.get("session_name"),
        model=fields.get("model"),
        max_history_messages=fields.get("max_history_messages", HISTORY_MESSAGES),
        instructions=instructions,
        metadata=fields.get("metadata") or {},
        ttl_seconds=fields.get("ttl_seconds"),
        created_at=_moment(fields, "created_at") or now,
        updated_at=now,
        archived_at=_moment(fields, "archived_at"),
    )
    check_settings(session)
    return session


def _moment(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as exc:
        raise InvalidRequest(f"Invalid {name!r}: expected a time such as 2026-01-31T12:00:00Z.", param=name) from exc
    return moment
