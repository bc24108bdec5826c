"""/admin/keys: issuing, listing and revoking API keys, for admins."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.body import read_body
from gateway.api.context import actor_of
from gateway.api.responses import json_response, list_response, timestamp
from gateway.api.schemas import KeyFilter, KeyInput, validate, validate_query
from gateway.auth.authenticator import Authenticator
from gateway.auth.issuing import issue_key, revoke_key
from gateway.domain import ApiKey
from gateway.errors import NotFound
from gateway.ids import is_id
from gateway.ports import Store
from gateway.settings import Settings
from gateway.wire.json import parse_object


class KeyRoutes:
    def __init__(self, store: Store, authenticator: Authenticator, settings: Settings) -> None:
        self._store = store
        self._authenticator = authenticator
        self._settings = settings

    async def create(self, request: Request) -> Response:
        body = await read_body(request.scope, request.receive, self._settings.server.max_body_bytes)
        given = validate(KeyInput, parse_object(body))
        key, text = await issue_key(
            self._store,
            user_name=given.user,
            pepper=self._settings.auth.pepper_text,
            admin=given.admin,
            name=given.name,
            expires_in=given.expires_in,
            actor=actor_of(request),
        )
        return json_response({**key_output(key), "key": text}, 201)

    async def list(self, request: Request) -> Response:
        given = validate_query(KeyFilter, request.query_params)
        keys = await self._store.list_keys(user_name=given.user)
        return list_response([key_output(key) for key in keys], has_more=False)

    async def revoke(self, request: Request) -> Response:
        key_id: str = request.path_params["key_id"]
        key = await revoke_key(self._store, key_id, actor=actor_of(request)) if is_id(key_id) else None
        if key is None:
            raise NotFound(f"There is no key {key_id!r}.", code="key_not_found", param="key_id")
        self._authenticator.forget(key)
        return json_response(key_output(key))


def key_output(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "user": key.user.name,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp(key.expires_at),
        "revoked_at": timestamp(key.revoked_at),
    }
