"""/admin/users: who there is, and erasing one with all that is theirs, for admins."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.context import actor_of, caller_id
from gateway.api.responses import json_response, list_response
from gateway.api.schemas import Erasure, Paging, validate_query
from gateway.auth.audit import audit_entry
from gateway.auth.authenticator import Authenticator
from gateway.domain import User
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.ids import is_id
from gateway.ports import Store


class UserRoutes:
    def __init__(self, store: Store, authenticator: Authenticator) -> None:
        self._store = store
        self._authenticator = authenticator

    async def list(self, request: Request) -> Response:
        paging = validate_query(Paging, request.query_params)
        page = await self._store.list_users(limit=paging.limit, offset=paging.offset)
        return list_response([user_output(user) for user in page.items], has_more=page.has_more)

    async def erase(self, request: Request) -> Response:
        user_id: str = request.path_params["user_id"]
        if not validate_query(Erasure, request.query_params).purge:
            raise _unconfirmed()
        if user_id == caller_id(request):
            raise _own()
        audit = audit_entry("user.erase", user_id, actor_of(request))
        if not is_id(user_id) or not await self._store.erase_user(user_id, audit=audit):
            raise NotFound(f"There is no user {user_id!r}.", code="user_not_found", param="user_id")
        self._authenticator.forget_user(user_id)
        return json_response({"object": "user.erased", "id": user_id, "erased": True})


def user_output(user: User) -> dict[str, str]:
    return {"id": user.id, "name": user.name}


def _unconfirmed() -> InvalidRequest:
    return InvalidRequest(
        "This removes the user for good, with all of their keys, sessions and messages, deleted ones too; only their "
        "rows in the ledger stay. Nothing was removed. To do it, ask again with ?purge=true.",
        code="confirmation_required",
        param="purge",
    )


def _own() -> Conflict:
    return Conflict(
        "This is the user of the key that you are using. Erase them with a key of another admin, or with "
        "`gateway users erase`.",
        code="own_user",
        param="user_id",
    )
