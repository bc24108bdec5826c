"""/admin/keys: issuing, changing, rotating and revoking API keys, for admins; /v1/keys: one's own, to look at."""

from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.body import read_body
from gateway.api.context import actor_of, context_of
from gateway.api.limits import limits_of, named_limits
from gateway.api.responses import json_response, list_response, timestamp
from gateway.api.schemas import KeyFilter, KeyInput, KeyPatch, RotationInput, validate, validate_query
from gateway.auth.authenticator import Authenticator
from gateway.auth.changing import rotate_key, update_key
from gateway.auth.issuing import expiry, issue_key, revoke_key, scopes_of
from gateway.auth.keys import parse_key
from gateway.domain import ApiKey, KeyChanges
from gateway.errors import NotFound
from gateway.ids import is_id
from gateway.ports import Store
from gateway.settings import Settings
from gateway.storage.key_rules import set_limits
from gateway.wire.json import parse_object

T = TypeVar("T")


class KeyRoutes:
    def __init__(self, store: Store, authenticator: Authenticator, settings: Settings) -> None:
        self._store = store
        self._authenticator = authenticator
        self._settings = settings

    async def create(self, request: Request) -> Response:
        given = validate(KeyInput, await self._body(request))
        key, text = await issue_key(
            self._store,
            user_name=given.user,
            pepper=self._settings.auth.pepper_text,
            admin=given.admin,
            name=given.name,
            expires_in=given.expires_in,
            allowed_models=None if given.allowed_models is None else frozenset(given.allowed_models),
            limits=limits_of(given.limits),
            actor=actor_of(request),
        )
        return json_response({**key_output(key), "key": text}, 201)

    async def list(self, request: Request) -> Response:
        given = validate_query(KeyFilter, request.query_params)
        keys = await self._store.list_keys(user_name=given.user)
        return list_response([key_output(key) for key in keys], has_more=False)

    async def own(self, request: Request) -> Response:
        caller = context_of(request.scope).caller
        keys = await self._store.list_keys(user_name=caller.user_name)
        # Of the id too: somebody else may have got the name since the caller was found valid.
        return list_response([key_output(key) for key in keys if key.user.id == caller.user_id], has_more=False)

    async def get(self, request: Request) -> Response:
        key_id = _key_id(request)
        return json_response(key_output(_found(await self._store.find_key(key_id), key_id)))

    async def patch(self, request: Request) -> Response:
        key_id = _key_id(request)
        changes = key_changes(validate(KeyPatch, await self._body(request)))
        key = _found(await update_key(self._store, key_id, changes, actor=actor_of(request)), key_id)
        self._authenticator.forget(key)
        return json_response(key_output(key))

    async def rotate(self, request: Request) -> Response:
        key_id = _key_id(request)
        given = validate(RotationInput, await self._body(request, default=b"{}"))
        pepper = self._settings.auth.pepper_text
        rotated = await rotate_key(self._store, key_id, overlap=given.overlap, pepper=pepper, actor=actor_of(request))
        old, new, text = _found(rotated, key_id)
        self._authenticator.forget(old)
        return json_response({**key_output(new), "key": text}, 201)

    async def revoke(self, request: Request) -> Response:
        key_id = _key_id(request)
        key = _found(await revoke_key(self._store, key_id, actor=actor_of(request)), key_id)
        self._authenticator.forget(key)
        return json_response(key_output(key))

    async def _body(self, request: Request, *, default: bytes | None = None) -> dict[str, Any]:
        limit = self._settings.server.max_body_bytes
        return parse_object(await read_body(request.scope, request.receive, limit, default=default))


def _key_id(request: Request) -> str:
    """The key that the path names, by its id or by itself. Raises NotFound for what is of neither's form."""
    named: str = request.path_params["key_id"]
    if not is_id(named):
        raise _not_found(named)
    return parse_key(named) or named


def _found(found: T | None, key_id: str) -> T:
    if found is None:
        raise _not_found(key_id)
    return found


def _not_found(key_id: str) -> NotFound:
    return NotFound(f"There is no key {key_id!r}.", code="key_not_found", param="key_id")


def key_changes(given: KeyPatch) -> KeyChanges:
    """Raises InvalidRequest for what is no duration."""
    named = given.model_fields_set
    models, expires_in = given.allowed_models, given.expires_in
    fields = (named & {"name", "allowed_models"}) | named_limits(given)
    if "expires_in" in named:
        fields = fields | {"expires_at"}
    if "admin" in named:
        fields = fields | {"scopes"}
    return KeyChanges(
        frozenset(fields),
        name=given.name,
        scopes=scopes_of(admin=given.admin),
        allowed_models=None if models is None else frozenset(models),
        limits=limits_of(given.limits),
        expires_at=None if expires_in is None else expiry(datetime.now(UTC), expires_in),
    )


def key_output(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "user": key.user.name,
        "user_id": key.user.id,
        "name": key.name,
        "status": _status(key),
        "scopes": sorted(key.scopes),
        "allowed_models": None if key.allowed_models is None else sorted(key.allowed_models),
        "limits": set_limits(key.limits),
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp(key.expires_at),
        "revoked_at": timestamp(key.revoked_at),
        "last_used_at": timestamp(key.last_used_at),
    }


def _status(key: ApiKey) -> str:
    """`active` if it is valid; else the first reason why it is not."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return "expired"
    return "active" if key.user.disabled_at is None else "disabled"
