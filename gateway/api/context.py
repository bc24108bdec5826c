"""What is known of one HTTP request while it is served: who asks, since when, and what its log line will say."""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from gateway.domain import Caller
from gateway.errors import AuthenticationFailed
from gateway.ids import new_request_id

_KEY = "gateway.request"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(slots=True)
class RequestContext:
    id: str
    started: float
    """time.perf_counter() at the request's arrival."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the log line says beside the request's own line. Never content, never a key."""
    _caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            raise AuthenticationFailed("This route needs an API key.")
        return self._caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        self._caller = caller
        self.facts["user"] = caller.user_name
        self.facts["key"] = caller.key_id


def new_context(scope: Scope) -> RequestContext:
    """Make the request's context and put it into the scope. A caller's own well-formed x-request-id is kept."""
    given = header(scope, b"x-request-id")
    request_id = given if given is not None and _REQUEST_ID.fullmatch(given) else new_request_id()
    context = RequestContext(request_id, time.perf_counter())
    scope[_KEY] = context
    return context


def context_of(scope: Scope) -> RequestContext:
    context: RequestContext = scope[_KEY]
    return context


def header(scope: Scope, name: bytes) -> str | None:
    """A request header by its lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
