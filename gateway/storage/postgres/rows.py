"""Rows become domain objects, and domain objects parameters, here and nowhere else.

Reads depend on the order of the columns in queries.sql, writes on that of the parameters. JSON is text on both ways:
as the driver gives and takes it, and because of a message's every byte counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.domain import (
    ApiKey,
    AuditEntry,
    HistoryMessage,
    LedgerEntry,
    NewMessage,
    Scope,
    SearchHit,
    Session,
    SessionStats,
    Status,
    StoredMessage,
    Usage,
    UsageRow,
    UsageSums,
    User,
)
from gateway.storage.key_rules import from_limits, from_models, to_limits, to_models

Row = Any
"""asyncpg.Record, or a part of one: values by place."""

SESSION_COLUMNS = 19


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────


def from_instructions(instructions: tuple[bytes, ...]) -> str:
    """A JSON array of strings, each a message's wire JSON: as an array of objects its bytes would not survive."""
    return orjson.dumps([body.decode() for body in instructions]).decode() if instructions else "[]"


def _to_instructions(text: str) -> tuple[bytes, ...]:
    return () if text == "[]" else tuple([body.encode() for body in orjson.loads(text)])


def from_json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(dict(value)).decode() if value else "{}"


def _to_json(text: str) -> Mapping[str, Any]:
    return {} if text == "{}" else orjson.loads(text)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def to_user(row: Row) -> User:
    user_id, name, limits, disabled_at = row
    return User(user_id, name, to_limits(limits), disabled_at)


def to_key(row: Row) -> ApiKey:
    return ApiKey(
        id=row[0],
        user=to_user(row[1:5]),
        name=row[5],
        scopes=frozenset(map(Scope, row[6].split())),
        hash=row[7],
        created_at=row[8],
        expires_at=row[9],
        revoked_at=row[10],
        last_used_at=row[11],
        allowed_models=to_models(row[12]),
        limits=to_limits(row[13]),
    )


def to_session(row: Row) -> Session:
    """From the first SESSION_COLUMNS of a row."""
    return Session(
        id=row[0],
        user_id=row[1],
        name=row[2],
        model=row[3],
        max_history_messages=row[4],
        instructions=_to_instructions(row[5]),
        metadata=_to_json(row[6]),
        created_at=row[7],
        updated_at=row[8],
        message_count=row[9],
        failed_count=row[10],
        total_tokens=row[11],
        last_seq=row[12],
        exchange_seq=row[13],
        epoch=row[14],
        last_message_at=row[15],
        archived_at=row[16],
        deleted_at=row[17],
        ttl_seconds=row[18],
    )


def to_history_messages(columns: Sequence[Sequence[Any] | None]) -> list[HistoryMessage]:
    """From one array a column, each None if there is no message."""
    return [
        HistoryMessage(seq, role, body.encode(), tokens, encoding, Status(status))
        for seq, role, body, tokens, encoding, status in zip(*[column or () for column in columns], strict=True)
    ]


def to_stored_message(row: Row) -> StoredMessage:
    message_id, seq, turn_id, role, body, tokens, status, created_at, latency_ms, ttft_ms, model, metadata = row
    return StoredMessage(
        id=message_id,
        seq=seq,
        turn_id=turn_id,
        role=role,
        body=body.encode(),
        tokens=tokens,
        status=Status(status),
        created_at=created_at,
        latency_ms=latency_ms,
        ttft_ms=ttft_ms,
        model=model,
        metadata=None if metadata is None else _to_json(metadata),
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
        stream=row[8],
        status=Status(row[9]),
        created_at=row[10],
        usage=Usage(row[11], row[12], row[13], row[14], estimated=row[15]),
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


def to_stats(row: Row) -> SessionStats:
    return SessionStats(*row)


def to_hit(row: Row, snippet: str) -> SearchHit:
    """Without the row's last column, the text, of which `snippet` is what is shown."""
    session_id, session_name, seq, message_id, role, created_at, _ = row
    return SearchHit(session_id, session_name, seq, message_id, role, snippet, created_at)


def to_audit_entry(row: Row) -> AuditEntry:
    entry_id, at, action, target, actor_user_id, actor_key_id, request_id, details = row
    return AuditEntry(entry_id, at, action, target, actor_user_id, actor_key_id, request_id, _to_json(details))


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def from_user(user: User) -> tuple[Any, ...]:
    return user.id, user.name, from_limits(user.limits), user.disabled_at


def from_key(key: ApiKey) -> tuple[Any, ...]:
    return (
        key.id,
        key.user.name,
        key.name,
        _from_scopes(key.scopes),
        key.hash,
        key.created_at,
        key.expires_at,
        key.revoked_at,
        key.last_used_at,
        from_models(key.allowed_models),
        from_limits(key.limits),
    )


def from_changed_key(key: ApiKey) -> tuple[Any, ...]:
    """What can be changed of it."""
    models, limits = from_models(key.allowed_models), from_limits(key.limits)
    return key.id, key.name, _from_scopes(key.scopes), models, limits, key.expires_at


def _from_scopes(scopes: frozenset[Scope]) -> str:
    return " ".join(sorted(scopes))


def from_session(session: Session) -> tuple[Any, ...]:
    return (
        session.id,
        session.user_id,
        session.name,
        session.model,
        session.max_history_messages,
        from_instructions(session.instructions),
        from_json(session.metadata),
        session.created_at,
        session.updated_at,
        session.message_count,
        session.failed_count,
        session.total_tokens,
        session.last_seq,
        session.exchange_seq,
        session.epoch,
        session.last_message_at,
        session.archived_at,
        session.deleted_at,
        session.ttl_seconds,
    )


def from_messages(messages: Sequence[NewMessage]) -> tuple[list[Any], ...]:
    """One array a column."""
    return (
        [message.id for message in messages],
        [message.role for message in messages],
        [message.body.decode() for message in messages],
        [message.tokens for message in messages],
        [message.encoding for message in messages],
        [message.latency_ms for message in messages],
        [message.ttft_ms for message in messages],
        [message.model for message in messages],
        [None if message.metadata is None else from_json(message.metadata) for message in messages],
    )


def from_ledger_entry(entry: LedgerEntry) -> tuple[Any, ...]:
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
        entry.created_at,
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


def from_audit_entry(entry: AuditEntry) -> tuple[Any, ...]:
    return (
        entry.id,
        entry.at,
        entry.action,
        entry.target,
        entry.actor_user_id,
        entry.actor_key_id,
        entry.request_id,
        from_json(entry.details),
    )
