"""What every adapter decides alike when it opens a turn, closes one, refuses a text or cuts a page. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from gateway.domain import (
    ApiKey,
    AuditEntry,
    HistoryMessage,
    LedgerEntry,
    NewMessage,
    Session,
    SessionStats,
    Status,
    User,
)
from gateway.errors import session_archived
from gateway.ports import Appending, ClosedTurn, OpenedTurn, Page, TurnOpening
from gateway.storage.texts import check_json, check_texts
from gateway.values import value

T = TypeVar("T")

MOST_COUNTED = 10_000
"""Sessions that wait for the search index: to count them all, after a large import, would take as long as a batch."""


def read_after(opening: TurnOpening, session: Session) -> int:
    """The `seq` up to which the caller's cached messages still hold: all of them, or none.

    None if the epoch has changed, or if the session is shorter than what was cached: it is another one of that id then.
    """
    holds = opening.known_epoch == session.epoch and opening.known_seq <= session.last_seq
    return opening.known_seq if holds else 0


def nothing_new(opening: TurnOpening, session: Session) -> OpenedTurn | None:
    """The opened turn, if no message need be read for it; else None."""
    after = read_after(opening, session)
    if after < session.last_seq or session.archived_at is not None:
        return None
    return OpenedTurn(session, (), after)


def most_messages(opening: TurnOpening, session: Session) -> int:
    """An upper bound of how many messages `newest_messages` can keep, known before any of them is read."""
    exchange = session.last_seq - session.exchange_seq + 1 if session.exchange_seq else 0
    return max(_limit(opening, session), exchange)


def newest_messages(
    opening: TurnOpening, session: Session, newest_first: Sequence[HistoryMessage]
) -> Sequence[HistoryMessage]:
    """At most max(limit, length of the newest exchange) of the messages, in the order of `seq`.

    The exchange is counted in messages that are there, not in seqs: failed ones between them do not widen it.
    """
    keep = limit = _limit(opening, session)
    if len(newest_first) > limit and session.exchange_seq:
        keep = max(limit, sum(message.seq >= session.exchange_seq for message in newest_first))
    return newest_first[:keep][::-1]


def _limit(opening: TurnOpening, session: Session) -> int:
    return session.max_history_messages if opening.limit is None else opening.limit


@value
class Growth:
    """By how much a turn makes the counters of its session grow."""

    messages: int
    failed: int
    tokens: int
    exchange: int
    """Which of the new messages, counted from 1, starts the session's newest exchange; 0 if none does."""


def growth(turn: Appending) -> Growth:
    count, tokens, exchange = len(turn.messages), 0, 0
    for place, message in enumerate(turn.messages, start=1):
        tokens += message.tokens
        if message.role == "user":
            exchange = place
    failed = turn.status is Status.FAILED
    return Growth(count, count if failed else 0, tokens, 0 if failed else exchange)


def grown(session: Session, turn: Appending) -> Session:
    """The session once the turn's messages were appended to it."""
    growing = growth(turn)
    return Session(  # every turn makes one, and `replace` would take ten times as long
        id=session.id,
        user_id=session.user_id,
        name=session.name,
        model=session.model,
        max_history_messages=session.max_history_messages,
        instructions=session.instructions if turn.instructions is None else turn.instructions,
        metadata=session.metadata,
        created_at=session.created_at,
        updated_at=turn.created_at,
        message_count=session.message_count + growing.messages,
        failed_count=session.failed_count + growing.failed,
        total_tokens=session.total_tokens + growing.tokens,
        last_seq=session.last_seq + growing.messages,
        exchange_seq=session.last_seq + growing.exchange if growing.exchange else session.exchange_seq,
        epoch=session.epoch,
        last_message_at=turn.created_at,
        archived_at=session.archived_at,
        deleted_at=session.deleted_at,
        ttl_seconds=session.ttl_seconds,
    )


def appending(turn: ClosedTurn) -> Appending:
    """What a turn of a session leaves in it."""
    entry = turn.entry
    return Appending(
        entry.user_id,
        entry.session_id or "",
        entry.turn_id,
        entry.created_at,
        turn.messages,
        turn.instructions,
        entry.status,
        turn.session_created_at,
    )


def is_meant(session: Session, appending: Appending) -> bool:
    """False for another session than the one that was opened, of the same id."""
    return appending.session_created_at in (None, session.created_at)


def without_choices(entry: LedgerEntry) -> LedgerEntry:
    """What is kept of a user who was erased: no text that a client could have chosen."""
    return replace(entry, session_id=None, request_id="")


def refuse_archived(session: Session) -> None:
    """Raises Conflict for a session that takes no messages."""
    if session.archived_at is not None:
        raise session_archived(session.id)


def check_session(session: Session) -> None:
    """Raises InvalidRequest if one of its texts cannot be stored."""
    check_texts(session.id, session.user_id, session.name, session.model)
    check_json(session.metadata)


def check_user(user: User) -> None:
    """Raises InvalidRequest if one of its texts cannot be stored."""
    check_texts(user.id, user.name)


def check_key(key: ApiKey) -> None:
    """Raises InvalidRequest if one of its texts cannot be stored."""
    check_texts(key.id, key.name, *(key.allowed_models or ()))
    check_user(key.user)


def check_turn(turn: ClosedTurn) -> None:
    """Raises InvalidRequest if a text of its ledger row or of a message cannot be stored."""
    entry = turn.entry
    _check_messages(
        turn.messages,
        entry.turn_id,
        entry.request_id,
        entry.user_id,
        entry.key_id,
        entry.session_id,
        entry.model,
        entry.provider,
        entry.provider_model,
        entry.finish_reason,
        entry.error_code,
        entry.deployment,
    )


def check_appending(appending: Appending) -> None:
    """Raises InvalidRequest if a text that comes with the messages cannot be stored."""
    _check_messages(appending.messages, appending.turn_id)


def _check_messages(messages: Sequence[NewMessage], *others: str | None) -> None:
    """With all other texts that are stored beside them: one look is cheaper than many."""
    texts = list(others)
    for message in messages:
        texts += (message.id, message.role, message.encoding, message.model)
        if message.metadata is not None:
            check_json(message.metadata)
    check_texts(*texts)


def check_audit(entry: AuditEntry | None) -> None:
    """Raises InvalidRequest if one of its texts cannot be stored."""
    if entry is not None:
        check_texts(entry.id, entry.action, entry.target, entry.actor_user_id, entry.actor_key_id, entry.request_id)
        check_json(entry.details)


def stats(session: Session, ledger: Sequence[LedgerEntry]) -> SessionStats:
    """What the ledger's rows of a session come to."""
    latencies = sorted(
        entry.latency_ms for entry in ledger if entry.latency_ms is not None and entry.error_status is None
    )
    costs = [entry.cost for entry in ledger if entry.cost is not None]
    return SessionStats(
        message_count=session.message_count,
        total_tokens=session.total_tokens,
        turns=len(ledger),
        prompt_tokens=sum(entry.usage.prompt_tokens for entry in ledger),
        completion_tokens=sum(entry.usage.completion_tokens for entry in ledger),
        cost=math.fsum(costs) if costs else None,
        avg_latency_ms=math.fsum(latencies) / len(latencies) if latencies else None,
        p95_latency_ms=latencies[math.ceil(0.95 * len(latencies)) - 1] if latencies else None,
        started_at=session.created_at,
        last_message_at=session.last_message_at,
    )


def page(items: Sequence[T], limit: int) -> Page[T]:
    """A page of `limit` items, cut from the limit + 1 that were asked for to learn whether there are more."""
    return Page(items[:limit], has_more=len(items) > limit)
