"""/admin/users: who there is, what they may use, disabling one, and erasing one with all that is theirs, for admins."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.body import read_body
from gateway.api.context import actor_of, caller_id
from gateway.api.limits import limits_of, named_limits
from gateway.api.responses import json_response, list_response, timestamp
from gateway.api.schemas import Erasure, Paging, UserInput, UserPatch, validate, validate_query
from gateway.auth.audit import audit_entry
from gateway.auth.authenticator import Authenticator
from gateway.auth.changing import create_user, set_disabled, update_user
from gateway.domain import User, UserChanges
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.ids import is_id
from gateway.ports import Store
from gateway.settings import Settings
from gateway.storage.key_rules import set_limits
from gateway.wire.json import parse_object


class UserRoutes:
    def __init__(self, store: Store, authenticator: Authenticator, settings: Settings) -> None:
        self._store = store
        self._authenticator = authenticator
        self._settings = settings

    async def create(self, request: Request) -> Response:
        given = validate(UserInput, await self._body(request))
        user = await create_user(self._store, given.name, limits_of(given.limits), actor=actor_of(request))
        return json_response(user_output(user), 201)

    async def get(self, request: Request) -> Response:
        user_id = _user_id(request)
        return json_response(user_output(_found(await self._store.get_user(user_id), user_id)))

    async def patch(self, request: Request) -> Response:
        user_id = _user_id(request)
        given = validate(UserPatch, await self._body(request))
        if given.disabled and user_id == caller_id(request):
            raise _own("Disable", "gateway users disable")
        changes = UserChanges(frozenset(named_limits(given)), limits=limits_of(given.limits))
        # With no changes it is found all the same.
        user = _found(await update_user(self._store, user_id, changes, actor=actor_of(request)), user_id)
        if given.disabled is not None:
            disabled = await set_disabled(self._store, user_id, given.disabled, actor=actor_of(request))
            user = _found(disabled, user_id)
        self._authenticator.forget_user(user_id)
        return json_response(user_output(user))

    async def list(self, request: Request) -> Response:
        paging = validate_query(Paging, request.query_params)
        page = await self._store.list_users(limit=paging.limit, offset=paging.offset)
        return list_response([user_output(user) for user in page.items], has_more=page.has_more)

    async def erase(self, request: Request) -> Response:
        user_id = _user_id(request)
        if not validate_query(Erasure, request.query_params).purge:
            raise _unconfirmed()
        if user_id == caller_id(request):
            raise _own("Erase", "gateway users erase")
        audit = audit_entry("user.erase", user_id, actor_of(request))
        if not await self._store.erase_user(user_id, audit=audit):
            raise _not_found(user_id)
        self._authenticator.forget_user(user_id)
        return json_response({"object": "user.erased", "id": user_id, "erased": True})

    async def _body(self, request: Request) -> dict[str, Any]:
        return parse_object(await read_body(request.scope, request.receive, self._settings.server.max_body_bytes))


def user_output(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "status": "active" if user.disabled_at is None else "disabled",
        "limits": set_limits(user.limits),
        "disabled_at": timestamp(user.disabled_at),
    }


def _user_id(request: Request) -> str:
    """The user that the path names. Raises NotFound for what is not of an id's form."""
    user_id: str = request.path_params["user_id"]
    if not is_id(user_id):
        raise _not_found(user_id)
    return user_id


def _found(user: User | None, user_id: str) -> User:
    if user is None:
        raise _not_found(user_id)
    return user


def _not_found(user_id: str) -> NotFound:
    return NotFound(f"There is no user {user_id!r}.", code="user_not_found", param="user_id")


def _unconfirmed() -> InvalidRequest:
    return InvalidRequest(
        "This removes the user for good, with all of their keys, sessions and messages, deleted ones too; only their "
        "rows in the ledger stay. Nothing was removed. To do it, ask again with ?purge=true.",
        code="confirmation_required",
        param="purge",
    )


def _own(verb: str, command: str) -> Conflict:
    return Conflict(
        f"This is the user of the key that you are using. {verb} them with a key of another admin, or with "
        f"`{command}`.",
        code="own_user",
        param="user_id",
    )
