"""Every route, once: the router and /openapi.json are both made from this table."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api import schemas
from gateway.api.chat import ChatCompletions
from gateway.api.keys import KeyRoutes
from gateway.api.operations import OperationRoutes
from gateway.api.responses import json_response
from gateway.api.sessions import SessionRoutes

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    path: str
    handler: Handler | ChatCompletions
    summary: str
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    is_list: bool = False
    status: int = 200
    is_body_optional: bool = False


def endpoints(
    chat: ChatCompletions, sessions: SessionRoutes, keys: KeyRoutes, operations: OperationRoutes
) -> list[Endpoint]:
    openais = [
        Endpoint("POST", "/v1/chat/completions", chat, "Answer a chat, with a session's history in front"),
        Endpoint("GET", "/v1/models", operations.list_models, "Models", response=schemas.ModelOutput, is_list=True),
        Endpoint("GET", "/v1/models/{model:path}", operations.get_model, "One model", response=schemas.ModelOutput),
    ]
    probes = [
        Endpoint("GET", "/healthz", operations.alive, "Whether the process lives"),
        Endpoint("GET", "/readyz", operations.ready, "Whether turns can be served"),
    ]
    return [*openais, *_session_endpoints(sessions), *_key_endpoints(keys), *probes]


def _session_endpoints(sessions: SessionRoutes) -> list[Endpoint]:
    every, one = "/chat/sessions", "/chat/sessions/{session_id}"
    given, shown = schemas.SessionInput, schemas.SessionOutput
    paging, messages = schemas.MessagePaging, schemas.MessageOutput
    return [
        Endpoint(
            "POST", every, sessions.create, "Create a session", None, given, shown, status=201, is_body_optional=True
        ),
        Endpoint("GET", every, sessions.list, "Own sessions", schemas.SessionPaging, response=shown, is_list=True),
        Endpoint("GET", one, sessions.get, "One session", response=shown),
        Endpoint("PUT", one, sessions.replace, "Set all settings of a session", body=given, response=shown),
        Endpoint("PATCH", one, sessions.patch, "Set some settings of a session", body=given, response=shown),
        Endpoint("DELETE", one, sessions.delete, "Delete a session"),
        Endpoint("GET", f"{one}/messages", sessions.messages, "Its messages", paging, response=messages, is_list=True),
    ]


def _key_endpoints(keys: KeyRoutes) -> list[Endpoint]:
    every, one = "/admin/keys", "/admin/keys/{key_id}"
    given, new, shown = schemas.KeyInput, schemas.NewKeyOutput, schemas.KeyOutput
    return [
        Endpoint("POST", every, keys.create, "Create an API key", body=given, response=new, status=201),
        Endpoint("GET", every, keys.list, "All API keys", schemas.KeyFilter, response=shown, is_list=True),
        Endpoint("DELETE", one, keys.revoke, "Revoke an API key", response=shown),
    ]


def build_router(table: Sequence[Endpoint], document: dict[str, Any]) -> ASGIApp:
    """A router over the table and the OpenAPI document of it."""

    async def openapi(request: Request) -> Response:
        del request
        return json_response(document)

    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in (*table, Endpoint("GET", "/openapi.json", openapi, "This document")):
        by_path.setdefault(endpoint.path, []).append(endpoint)
    routes = [Route(path, _Methods(group)) for path, group in by_path.items()]
    router = Router(routes, redirect_slashes=False)
    router.default = _unknown
    return router


class _Methods:
    """The endpoints of one path, by method; any other method is a 405 that names those there are."""

    def __init__(self, group: Sequence[Endpoint]) -> None:
        self._apps = {endpoint.method: _as_app(endpoint.handler) for endpoint in group}
        if "GET" in self._apps:
            self._apps["HEAD"] = self._apps["GET"]  # the server leaves the body out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._apps.get(scope["method"])
        if app is None:
            raise HTTPException(405, headers={"allow": ", ".join(self._apps)})
        await app(scope, receive, send)


def _as_app(handler: Handler | ChatCompletions) -> ASGIApp:
    if isinstance(handler, ChatCompletions):
        return handler

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise HTTPException(404)
