"""What is known of one HTTP request while it is served: who asks, for what, since when, and what its log will say."""

import time
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from gateway.auth.audit import Actor
from gateway.domain import Caller
from gateway.errors import AuthenticationFailed, session_not_found
from gateway.ids import is_id, new_request_id

_KEY = "gateway.request"


@dataclass(slots=True)
class RequestContext:
    id: str
    started: float
    """time.perf_counter() at the request's arrival."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the log line says beside the request's own line. Never content, never a key."""
    status: int | None = None
    """The response's; None until it begins."""
    route: str | None = None
    """The pattern of the path; None where it leads nowhere."""
    authenticated: float = field(init=False)
    """time.perf_counter() when the caller was known."""
    _caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            raise AuthenticationFailed("This route needs an API key.")
        return self._caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        self._caller = caller
        self.authenticated = time.perf_counter()
        self.facts["user"] = caller.user_name
        self.facts["key"] = caller.key_id

    @property
    def actor(self) -> Actor:
        return Actor(self.caller.user_id, self.caller.key_id, self.id)


def new_context(scope: Scope) -> RequestContext:
    """Make the request's context and put it into the scope. A caller's own well-formed x-request-id is kept."""
    given = header(scope, b"x-request-id")
    request_id = given if given is not None and is_id(given) else new_request_id()
    context = RequestContext(request_id, time.perf_counter())
    scope[_KEY] = context
    return context


def context_of(scope: Scope) -> RequestContext:
    context: RequestContext = scope[_KEY]
    return context


def header(scope: Scope, name: bytes) -> str | None:
    """A request header by its lower-case name."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None


def caller_id(request: Request) -> str:
    return context_of(request.scope).caller.user_id


def owner_id(request: Request) -> str:
    """Whose sessions the path is about: the user that it names, as paths below /admin alone do, or the caller."""
    user_id: str = request.path_params.get("user_id") or caller_id(request)
    return user_id


def actor_of(request: Request) -> Actor:
    return context_of(request.scope).actor


def session_id_of(request: Request) -> str:
    """The session that the path names. Raises NotFound as for an unknown one if it is not of an id's form."""
    session_id: str = request.path_params["session_id"]
    if not is_id(session_id):
        raise session_not_found(session_id)
    return session_id
