"""Rows become domain objects, and domain objects parameters, here and nowhere else.

All depends on the order of the columns in queries.sql, save writes that name their parameters. SQLite has neither times
nor booleans: they are microseconds since 1970, exactly, and 0 or 1.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from gateway.domain import (
    ApiKey,
    AuditEntry,
    HistoryMessage,
    LedgerEntry,
    NewMessage,
    Scope,
    Session,
    SessionStats,
    Status,
    StoredMessage,
    Usage,
    UsageRow,
    UsageSums,
    User,
)
from gateway.ports import Appending
from gateway.storage.key_rules import from_limits, from_models, to_limits, to_models
from gateway.storage.rules import Growth

Row = tuple[Any, ...]
Parameters = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────


def from_time(time: datetime) -> int:
    """Microseconds since 1970; whole ones, which a float of seconds would not keep."""
    return (time - _EPOCH) // _MICROSECOND


def to_time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def from_time_or_none(time: datetime | None) -> int | None:
    return None if time is None else from_time(time)


def _to_time_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else to_time(microseconds)


def from_instructions(instructions: tuple[bytes, ...]) -> str:
    """A JSON array of strings, each a message's wire JSON: as an array of objects its bytes would not survive."""
    return orjson.dumps([body.decode() for body in instructions]).decode() if instructions else "[]"


def _to_instructions(text: str) -> tuple[bytes, ...]:
    return () if text == "[]" else tuple([body.encode() for body in orjson.loads(text)])


def from_metadata(metadata: Mapping[str, Any]) -> str:
    return orjson.dumps(dict(metadata)).decode() if metadata else "{}"


def _to_metadata(text: str) -> Mapping[str, Any]:
    return {} if text == "{}" else orjson.loads(text)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def to_user(row: Row) -> User:
    user_id, name, limits, disabled_at = row
    return User(user_id, name, to_limits(limits), _to_time_or_none(disabled_at))


def to_key(row: Row) -> ApiKey:
    return ApiKey(
        id=row[0],
        user=to_user(row[1:5]),
        name=row[5],
        scopes=frozenset(map(Scope, row[6].split())),
        hash=row[7],
        created_at=to_time(row[8]),
        expires_at=_to_time_or_none(row[9]),
        revoked_at=_to_time_or_none(row[10]),
        last_used_at=_to_time_or_none(row[11]),
        allowed_models=to_models(row[12]),
        limits=to_limits(row[13]),
    )


def to_session(row: Row) -> Session:
    return Session(
        id=row[0],
        user_id=row[1],
        name=row[2],
        model=row[3],
        max_history_messages=row[4],
        instructions=_to_instructions(row[5]),
        metadata=_to_metadata(row[6]),
        created_at=to_time(row[7]),
        updated_at=to_time(row[8]),
        message_count=row[9],
        failed_count=row[10],
        total_tokens=row[11],
        last_seq=row[12],
        exchange_seq=row[13],
        epoch=row[14],
        last_message_at=_to_time_or_none(row[15]),
        archived_at=_to_time_or_none(row[16]),
        deleted_at=_to_time_or_none(row[17]),
        ttl_seconds=row[18],
    )


def to_stats(session: Session, sums: Row, p95_latency_ms: float | None) -> SessionStats:
    turns, prompt_tokens, completion_tokens, cost, avg_latency_ms, _ = sums
    return SessionStats(
        message_count=session.message_count,
        total_tokens=session.total_tokens,
        turns=turns,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost=cost,
        avg_latency_ms=avg_latency_ms,
        p95_latency_ms=p95_latency_ms,
        started_at=session.created_at,
        last_message_at=session.last_message_at,
    )


def to_history_message(row: Row) -> HistoryMessage:
    seq, role, body, tokens, encoding, status = row
    return HistoryMessage(seq, role, body, tokens, encoding, Status(status))


def to_stored_message(row: Row) -> StoredMessage:
    message_id, seq, turn_id, role, body, tokens, status, created_at, latency_ms, ttft_ms, model, metadata = row
    return StoredMessage(
        id=message_id,
        seq=seq,
        turn_id=turn_id,
        role=role,
        body=body,
        tokens=tokens,
        status=Status(status),
        created_at=to_time(created_at),
        latency_ms=latency_ms,
        ttft_ms=ttft_ms,
        model=model,
        metadata=None if metadata is None else _to_metadata(metadata),
    )


def to_ledger_entry(row: Row) -> LedgerEntry:
    return LedgerEntry(
        turn_id=row[0],
        request_id=row[1],
        user_id=row[2],
        key_id=row[3],
        session_id=row[4],
        model=row[5],
        provider=row[6],
        provider_model=row[7],
        stream=bool(row[8]),
        status=Status(row[9]),
        created_at=to_time(row[10]),
        usage=Usage(row[11], row[12], row[13], row[14], estimated=bool(row[15])),
        cost=row[16],
        finish_reason=row[17],
        error_status=row[18],
        error_code=row[19],
        latency_ms=row[20],
        ttft_ms=row[21],
        overhead_ms=row[22],
        history_messages=row[23],
        history_tokens=row[24],
        history_trimmed=row[25],
        deployment=row[26],
    )


def to_usage_row(row: Row) -> UsageRow:
    group, name, *sums = row
    return UsageRow(group, name, UsageSums(*sums))


def to_audit(row: Row) -> AuditEntry:
    entry_id, at, action, target, actor_user_id, actor_key_id, request_id, details = row
    return AuditEntry(
        entry_id, to_time(at), action, target, actor_user_id, actor_key_id, request_id, _to_metadata(details)
    )


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def from_user(user: User) -> Parameters:
    return {
        "id": user.id,
        "name": user.name,
        "limits": from_limits(user.limits),
        "disabled_at": from_time_or_none(user.disabled_at),
    }


def from_key(key: ApiKey, user: User) -> Parameters:
    return {
        "id": key.id,
        "user_id": user.id,
        "name": key.name,
        "scopes": " ".join(sorted(key.scopes)),
        "hash": key.hash,
        "created_at": from_time(key.created_at),
        "expires_at": from_time_or_none(key.expires_at),
        "revoked_at": from_time_or_none(key.revoked_at),
        "last_used_at": from_time_or_none(key.last_used_at),
        "allowed_models": from_models(key.allowed_models),
        "limits": from_limits(key.limits),
    }


def from_session(session: Session) -> Parameters:
    return {
        "id": session.id,
        "user_id": session.user_id,
        "name": session.name,
        "model": session.model,
        "max_history_messages": session.max_history_messages,
        "instructions": from_instructions(session.instructions),
        "metadata": from_metadata(session.metadata),
        "created_at": from_time(session.created_at),
        "updated_at": from_time(session.updated_at),
        "message_count": session.message_count,
        "failed_count": session.failed_count,
        "total_tokens": session.total_tokens,
        "last_seq": session.last_seq,
        "exchange_seq": session.exchange_seq,
        "epoch": session.epoch,
        "last_message_at": from_time_or_none(session.last_message_at),
        "archived_at": from_time_or_none(session.archived_at),
        "deleted_at": from_time_or_none(session.deleted_at),
        "ttl_seconds": session.ttl_seconds,
    }


def from_message(message: NewMessage, turn: Appending, seq: int) -> Row:
    return (
        turn.session_id,
        seq,
        message.id,
        turn.turn_id,
        message.role,
        message.body,
        message.tokens,
        message.encoding,
        turn.status,
        from_time(turn.created_at),
        message.latency_ms,
        message.ttft_ms,
        message.model,
        None if message.metadata is None else from_metadata(message.metadata),
    )


def from_growth(turn: Appending, growth: Growth) -> Row:
    instructions = None if turn.instructions is None else from_instructions(turn.instructions)
    return (
        turn.session_id,
        turn.user_id,
        from_time_or_none(turn.session_created_at),
        growth.messages,
        growth.failed,
        growth.tokens,
        growth.exchange,
        instructions,
        from_time(turn.created_at),
    )


def from_ledger_entry(entry: LedgerEntry) -> Row:
    usage = entry.usage
    return (
        entry.turn_id,
        entry.request_id,
        entry.user_id,
        entry.key_id,
        entry.session_id,
        entry.model,
        entry.provider,
        entry.provider_model,
        entry.stream,
        entry.status,
        from_time(entry.created_at),
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
        usage.estimated,
        entry.cost,
        entry.finish_reason,
        entry.error_status,
        entry.error_code,
        entry.latency_ms,
        entry.ttft_ms,
        entry.overhead_ms,
        entry.history_messages,
        entry.history_tokens,
        entry.history_trimmed,
        entry.deployment,
    )


def from_audit(entry: AuditEntry) -> Parameters:
    return {
        "id": entry.id,
        "at": from_time(entry.at),
        "action": entry.action,
        "target": entry.target,
        "actor_user_id": entry.actor_user_id,
        "actor_key_id": entry.actor_key_id,
        "request_id": entry.request_id,
        "details": from_metadata(entry.details),
    }
