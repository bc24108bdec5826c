"""/chat/sessions: the caller's own stored conversations."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.body import read_body
from gateway.api.context import context_of
from gateway.api.responses import json_response, list_response, timestamp
from gateway.api.schemas import MessagePaging, SessionInput, SessionPaging, validate
from gateway.domain import Session, SessionChanges, StoredMessage
from gateway.errors import session_not_found
from gateway.ids import new_session_id
from gateway.ports import Store
from gateway.providers.models import Models
from gateway.settings import Settings
from gateway.wire.json import dump, parse_object


class SessionRoutes:
    def __init__(self, store: Store, models: Models, settings: Settings) -> None:
        self._store = store
        self._models = models
        self._settings = settings

    async def create(self, request: Request) -> Response:
        changes = await self._changes(request, default=b"{}")
        now = datetime.now(UTC)
        session = Session(
            id=new_session_id(),
            user_id=_user_id(request),
            name=changes.name,
            model=changes.model,
            max_history_messages=changes.max_history_messages,
            instructions=changes.instructions,
            metadata=changes.metadata,
            created_at=now,
            updated_at=now,
        )
        await self._store.create_session(session)
        return json_response(session_output(session), 201)

    async def list(self, request: Request) -> Response:
        paging = validate(SessionPaging, dict(request.query_params))
        page = await self._store.list_sessions(
            _user_id(request), limit=paging.limit, offset=paging.offset, include_archived=paging.include_archived
        )
        return list_response([session_output(session) for session in page.items], has_more=page.has_more)

    async def get(self, request: Request) -> Response:
        return _found(request, await self._store.get_session(_user_id(request), _session_id(request)))

    async def replace(self, request: Request) -> Response:
        changes = await self._changes(request)
        return await self._update(request, dataclasses.replace(changes, fields=_ALL))

    async def patch(self, request: Request) -> Response:
        return await self._update(request, await self._changes(request))

    async def delete(self, request: Request) -> Response:
        session_id = _session_id(request)
        if not await self._store.delete_session(_user_id(request), session_id, datetime.now(UTC)):
            raise session_not_found(session_id)
        return json_response({"object": "chat.session.deleted", "session_id": session_id, "deleted": True})

    async def messages(self, request: Request) -> Response:
        paging = validate(MessagePaging, dict(request.query_params))
        session_id = _session_id(request)
        page = await self._store.list_messages(_user_id(request), session_id, limit=paging.limit, offset=paging.offset)
        if page is None:
            raise session_not_found(session_id)
        return list_response([message_output(message) for message in page.items], has_more=page.has_more)

    async def _changes(self, request: Request, *, default: bytes | None = None) -> SessionChanges:
        """The validated body. A model that is named must be one that this gateway serves."""
        limit = self._settings.server.max_body_bytes
        body = await read_body(request.scope, request.receive, limit, default=default)
        given = validate(SessionInput, parse_object(body))
        if given.model is not None:
            self._models.resolve(given.model)
        most, prompt = given.max_history_messages, given.system_prompt
        return SessionChanges(
            fields=frozenset(_DOMAIN_NAMES.get(name, name) for name in given.model_fields_set),
            name=given.session_name,
            model=given.model,
            max_history_messages=self._settings.sessions.max_history_messages if most is None else most,
            instructions=(dump({"role": "system", "content": prompt}),) if prompt else (),
            metadata=given.metadata or {},
        )

    async def _update(self, request: Request, changes: SessionChanges) -> Response:
        now = datetime.now(UTC)
        session = await self._store.update_session(_user_id(request), _session_id(request), changes, now)
        return _found(request, session)


# A field of the API → the domain's name for it.
_DOMAIN_NAMES = {"session_name": "name", "system_prompt": "instructions"}
_ALL = frozenset(_DOMAIN_NAMES.get(name, name) for name in SessionInput.model_fields)


def session_output(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.id,
        "session_name": session.name,
        "model": session.model,
        "system_prompt": _system_prompt(session),
        "max_history_messages": session.max_history_messages,
        "message_count": session.message_count,
        "total_tokens": session.total_tokens,
        "is_active": session.is_active,
        "archived_at": timestamp(session.archived_at),
        "metadata": session.metadata,
        "created_at": timestamp(session.created_at),
        "updated_at": timestamp(session.updated_at),
        "last_message_at": timestamp(session.last_message_at),
    }


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


def _system_prompt(session: Session) -> str | None:
    """The pinned instructions as one text; what is not text in them is left out here, and only here."""
    texts: list[str] = []
    for body in session.instructions:
        content = orjson.loads(body).get("content")
        parts = [{"text": content}] if isinstance(content, str) else content or []
        texts.extend(part["text"] for part in parts if isinstance(part.get("text"), str))
    return "\n\n".join(texts) or None


def _found(request: Request, session: Session | None) -> Response:
    if session is None:
        raise session_not_found(_session_id(request))
    return json_response(session_output(session))


def _user_id(request: Request) -> str:
    return context_of(request.scope).caller.user_id


def _session_id(request: Request) -> str:
    session_id: str = request.path_params["session_id"]
    return session_id


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
