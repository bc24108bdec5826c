"""/admin/users/{user_id}/sessions: somebody else's sessions, for admins to read.

The answers are those of /chat/sessions: the same handlers, for which the path names whose sessions it is about. To read
what was said, or a title and instructions, is noted in the audit log before it is shown; an admin's own sessions are
nobody else's.
"""

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.contents import ContentRoutes
from gateway.api.context import actor_of, caller_id, owner_id, session_id_of
from gateway.api.sessions import SessionRoutes
from gateway.auth.audit import audit_entry
from gateway.domain import AuditEntry, User
from gateway.errors import NotFound
from gateway.ports import Store


class OthersRoutes:
    def __init__(self, store: Store, sessions: SessionRoutes, contents: ContentRoutes) -> None:
        self._store = store
        self._sessions = sessions
        self._contents = contents

    async def list(self, request: Request) -> Response:
        """Every page is noted, as of messages: were it the first one alone, nobody need ask for that."""
        owner = await self._owner(request)
        response = await self._sessions.list(request)
        await self._note(request, _entry(request, owner.id, "session.list"))
        return response

    async def get(self, request: Request) -> Response:
        await self._owner(request)
        response = await self._sessions.get(request)
        await self._note(request, _entry(request, session_id_of(request)))
        return response

    async def stats(self, request: Request) -> Response:
        await self._owner(request)
        return await self._contents.stats(request)

    async def messages(self, request: Request) -> Response:
        await self._owner(request)
        response = await self._contents.messages(request)
        await self._note(request, _entry(request, session_id_of(request)))
        return response

    async def search(self, request: Request) -> Response:
        """Noted with the user as its target: it may have read any of their sessions."""
        owner = await self._owner(request)
        response = await self._contents.search(request)
        await self._note(request, _entry(request, owner.id))
        return response

    async def export(self, request: Request) -> Response:
        owner = await self._owner(request)
        if owner.id == caller_id(request):
            return await self._contents.export(request)
        return await self._contents.export_noted(
            request, user=owner.name, audit=_entry(request, session_id_of(request))
        )

    async def _owner(self, request: Request) -> User:
        """Raises NotFound for an unknown user."""
        user_id = owner_id(request)
        user = await self._store.get_user(user_id)
        if user is None:
            raise NotFound(f"There is no user {user_id!r}.", code="user_not_found", param="user_id")
        return user

    async def _note(self, request: Request, entry: AuditEntry) -> None:
        if owner_id(request) != caller_id(request):
            await self._store.add_audit(entry)


def _entry(request: Request, target: str, action: str = "session.read") -> AuditEntry:
    return audit_entry(action, target, actor_of(request), user_id=owner_id(request))
