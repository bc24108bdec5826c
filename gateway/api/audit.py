"""/admin/audit: what was done to keys and stored data, for admins."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.responses import list_response, timestamp
from gateway.api.schemas import AuditPaging, validate_query
from gateway.domain import AuditEntry
from gateway.ports import Store


class AuditRoutes:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, request: Request) -> Response:
        paging = validate_query(AuditPaging, request.query_params)
        page = await self._store.list_audit(limit=paging.limit, offset=paging.offset)
        return list_response([_output(entry) for entry in page.items], has_more=page.has_more)


def _output(entry: AuditEntry) -> dict[str, Any]:
    has_actor = entry.actor_user_id is not None
    return {
        "id": entry.id,
        "at": timestamp(entry.at),
        "action": entry.action,
        "target": entry.target,
        "actor": {"user_id": entry.actor_user_id, "key_id": entry.actor_key_id} if has_actor else None,
        "request_id": entry.request_id,
        "details": entry.details,
    }
