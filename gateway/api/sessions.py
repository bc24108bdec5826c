"""/chat/sessions: the caller's own stored conversations, from their making to their end."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.body import read_body
from gateway.api.context import actor_of, caller_id, context_of, owner_id, session_id_of
from gateway.api.responses import json_response, list_response, timestamp
from gateway.api.schemas import Deletion, SessionInput, SessionPaging, validate, validate_query
from gateway.auth.audit import audit_entry
from gateway.domain import Session, SessionChanges
from gateway.errors import AuthenticationFailed, model_not_allowed, session_not_found
from gateway.ids import new_session_id
from gateway.ports import Store
from gateway.providers.models import Models
from gateway.settings import Settings
from gateway.storage.archiving import set_archived
from gateway.storage.errors import ConstraintViolated
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
            user_id=caller_id(request),
            name=changes.name,
            model=changes.model,
            max_history_messages=changes.max_history_messages,
            instructions=changes.instructions,
            metadata=changes.metadata,
            created_at=now,
            updated_at=now,
            ttl_seconds=changes.ttl_seconds,
        )
        try:
            await self._store.create_session(session)
        except ConstraintViolated as exc:  # the id is new, so it is the owner who is not there
            raise AuthenticationFailed("The user of this API key has been erased.") from exc
        return json_response(session_output(session), 201)

    async def list(self, request: Request) -> Response:
        paging = validate_query(SessionPaging, request.query_params)
        page = await self._store.list_sessions(
            owner_id(request),
            limit=paging.limit,
            offset=paging.offset,
            include_archived=paging.include_archived,
            metadata=paging.metadata,
        )
        return list_response([session_output(session) for session in page.items], has_more=page.has_more)

    async def get(self, request: Request) -> Response:
        return _found(request, await self._store.get_session(owner_id(request), session_id_of(request)))

    async def replace(self, request: Request) -> Response:
        changes = await self._changes(request)
        return await self._update(request, dataclasses.replace(changes, fields=_ALL))

    async def patch(self, request: Request) -> Response:
        return await self._update(request, await self._changes(request))

    async def archive(self, request: Request) -> Response:
        """Archiving twice keeps the first time."""
        return await self._set_archived(request, datetime.now(UTC))

    async def unarchive(self, request: Request) -> Response:
        return await self._set_archived(request, None)

    async def delete(self, request: Request) -> Response:
        """Hide the session; with `?purge=true` remove it, one that was hidden before too."""
        user_id, session_id = caller_id(request), session_id_of(request)
        purge = validate_query(Deletion, request.query_params).purge
        audit = audit_entry("session.purge" if purge else "session.delete", session_id, actor_of(request))
        if purge:
            found = await self._store.purge_session(user_id, session_id, audit=audit)
        else:
            found = await self._store.delete_session(user_id, session_id, datetime.now(UTC), audit=audit)
        if not found:
            raise session_not_found(session_id)
        return json_response(
            {"object": "chat.session.deleted", "session_id": session_id, "deleted": True, "purged": purge}
        )

    async def _changes(self, request: Request, *, default: bytes | None = None) -> SessionChanges:
        """The validated body. A model that is named must be one that this gateway serves, and the key may use."""
        limit = self._settings.server.max_body_bytes
        body = await read_body(request.scope, request.receive, limit, default=default)
        given = validate(SessionInput, parse_object(body))
        if given.model is not None:
            allowed = context_of(request.scope).caller.allowed_models
            if allowed is not None and given.model not in allowed:
                raise model_not_allowed(given.model, allowed)
            self._models.resolve(given.model)
        most, prompt = given.max_history_messages, given.system_prompt
        return SessionChanges(
            fields=frozenset(_DOMAIN_NAMES.get(name, name) for name in given.model_fields_set),
            name=given.session_name,
            model=given.model,
            max_history_messages=self._settings.sessions.max_history_messages if most is None else most,
            instructions=(dump({"role": "system", "content": prompt}),) if prompt else (),
            metadata=given.metadata or {},
            ttl_seconds=given.ttl_seconds,
        )

    async def _update(self, request: Request, changes: SessionChanges) -> Response:
        now = datetime.now(UTC)
        session = await self._store.update_session(caller_id(request), session_id_of(request), changes, now)
        return _found(request, session)

    async def _set_archived(self, request: Request, at: datetime | None) -> Response:
        user_id, session_id = caller_id(request), session_id_of(request)
        return _found(request, await set_archived(self._store, user_id, session_id, at, actor=actor_of(request)))


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
        "ttl_seconds": session.ttl_seconds,
        "metadata": session.metadata,
        "created_at": timestamp(session.created_at),
        "updated_at": timestamp(session.updated_at),
        "last_message_at": timestamp(session.last_message_at),
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
        raise session_not_found(session_id_of(request))
    return json_response(session_output(session))
