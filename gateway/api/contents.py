"""What a user's sessions hold: messages, found and taken out, and what they came to. context.owner_id says whose."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.api.context import actor_of, context_of, owner_id, session_id_of
from gateway.api.responses import json_response, list_response, timestamp
from gateway.api.schemas import MessagePaging, SearchPaging, validate_query
from gateway.auth.audit import audit_entry
from gateway.domain import AuditEntry, SearchHit, SessionStats, StoredMessage
from gateway.errors import session_not_found
from gateway.ports import Store
from gateway.storage.exporting import export_session


class ContentRoutes:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def messages(self, request: Request) -> Response:
        session_id = session_id_of(request)
        paging = validate_query(MessagePaging, request.query_params)
        page = await self._store.list_messages(owner_id(request), session_id, limit=paging.limit, offset=paging.offset)
        if page is None:
            raise session_not_found(session_id)
        return list_response([message_output(message) for message in page.items], has_more=page.has_more)

    async def search(self, request: Request) -> Response:
        asked = validate_query(SearchPaging, request.query_params)
        page = await self._store.search(
            owner_id(request),
            asked.q,
            limit=asked.limit,
            offset=asked.offset,
            include_archived=asked.include_archived,
        )
        return list_response([_hit_output(hit) for hit in page.items], has_more=page.has_more)

    async def stats(self, request: Request) -> Response:
        session_id = session_id_of(request)
        stats = await self._store.session_stats(owner_id(request), session_id)
        if stats is None:
            raise session_not_found(session_id)
        return json_response(_stats_output(session_id, stats))

    async def export(self, request: Request) -> Response:
        """The session as one line of JSON, which `gateway sessions import` takes. Sent as it is read."""
        audit = audit_entry("session.export", session_id_of(request), actor_of(request))
        return await self.export_noted(request, user=context_of(request.scope).caller.user_name, audit=audit)

    async def export_noted(self, request: Request, *, user: str, audit: AuditEntry) -> Response:
        """With the name of the user whose session it is."""
        session_id = session_id_of(request)
        session = await self._store.get_session(owner_id(request), session_id)
        if session is None:
            raise session_not_found(session_id)
        chunks = export_session(self._store, session, user=user)
        first = await anext(chunks)  # what fails until here is still an error response
        await self._store.add_audit(audit)
        headers = {"content-disposition": f'attachment; filename="{session_id}.jsonl"'}
        return StreamingResponse(_joined(first, chunks), headers=headers, media_type="application/x-ndjson")


def message_output(message: StoredMessage) -> dict[str, Any]:
    """The wire form, then what the gateway knows: where names meet, the gateway's counts."""
    body = orjson.loads(message.body)
    return {
        "content": None,
        **body,
        "id": message.id,
        "seq": message.seq,
        "turn_id": message.turn_id,
        "role": message.role,
        "tokens": message.tokens,
        "latency_ms": _rounded(message.latency_ms),
        "ttft_ms": _rounded(message.ttft_ms),
        "model": message.model,
        "status": message.status,
        "metadata": message.metadata,
        "created_at": timestamp(message.created_at),
    }


def _hit_output(hit: SearchHit) -> dict[str, Any]:
    return {
        "session_id": hit.session_id,
        "session_name": hit.session_name,
        "message_id": hit.message_id,
        "seq": hit.seq,
        "role": hit.role,
        "snippet": hit.snippet,
        "created_at": timestamp(hit.created_at),
    }


def _stats_output(session_id: str, stats: SessionStats) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "message_count": stats.message_count,
        "total_tokens": stats.total_tokens,
        "turns": stats.turns,
        "prompt_tokens": stats.prompt_tokens,
        "completion_tokens": stats.completion_tokens,
        "cost": stats.cost,
        "avg_latency_ms": _rounded(stats.avg_latency_ms),
        "p95_latency_ms": _rounded(stats.p95_latency_ms),
        "started_at": timestamp(stats.started_at),
        "last_message_at": timestamp(stats.last_message_at),
    }


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
