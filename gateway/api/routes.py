"""Every route, once: the router and /openapi.json are both made from this table."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api import answers, schemas
from gateway.api.audit import AuditRoutes
from gateway.api.chat import ChatCompletions
from gateway.api.contents import ContentRoutes
from gateway.api.context import context_of
from gateway.api.keys import KeyRoutes
from gateway.api.ledger import LedgerRoutes
from gateway.api.operations import OperationRoutes
from gateway.api.others import OthersRoutes
from gateway.api.responses import json_response
from gateway.api.sessions import SessionRoutes
from gateway.api.usage import UsageRoutes
from gateway.api.users import UserRoutes

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
    media_type: str = "application/json"
    other_media_type: str | None = None
    """In which it answers if asked to."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """Whose methods the routes lead to."""

    chat: ChatCompletions
    sessions: SessionRoutes
    contents: ContentRoutes
    keys: KeyRoutes
    users: UserRoutes
    usage: UsageRoutes
    ledger: LedgerRoutes
    others: OthersRoutes
    audit: AuditRoutes
    operations: OperationRoutes


def endpoints(handlers: Handlers) -> list[Endpoint]:
    """All routes. Of two paths that match, the first one here is taken."""
    operations, model = handlers.operations, answers.ModelOutput
    return [
        Endpoint("POST", "/v1/chat/completions", handlers.chat, "Answer a chat, with a session's history in front"),
        Endpoint("GET", "/v1/models", operations.list_models, "Models", response=model, is_list=True),
        Endpoint("GET", "/v1/models/{model:path}", operations.get_model, "One model", response=model),
        *_content_endpoints(handlers.contents),
        *_session_endpoints(handlers.sessions),
        *_key_endpoints(handlers.keys),
        *_user_endpoints(handlers.users),
        *_usage_endpoints(handlers.usage),
        *_ledger_endpoints(handlers.ledger),
        *_others_endpoints(handlers.others),
        Endpoint(
            "GET",
            "/admin/audit",
            handlers.audit.list,
            "What was done to keys and stored data, newest first",
            schemas.AuditPaging,
            response=answers.AuditOutput,
            is_list=True,
        ),
        Endpoint(
            "GET", "/admin/live", operations.live, "What is running now on this host", response=answers.LiveOutput
        ),
        Endpoint("GET", "/metrics", operations.metrics, "Metrics in Prometheus' text format", media_type="text/plain"),
        Endpoint("GET", "/healthz", operations.alive, "Whether the process lives"),
        Endpoint("GET", "/readyz", operations.ready, "Whether turns can be served"),
    ]


_SESSIONS, _SESSION = "/chat/sessions", "/chat/sessions/{session_id}"


def _content_endpoints(contents: ContentRoutes) -> list[Endpoint]:
    message, hit, stats = answers.MessageOutput, answers.HitOutput, answers.StatsOutput
    return [
        Endpoint(
            "GET",
            f"{_SESSIONS}/search",
            contents.search,
            "Own messages and session titles with all of these words, the best first",
            schemas.SearchPaging,
            response=hit,
            is_list=True,
        ),
        Endpoint(
            "GET",
            f"{_SESSION}/messages",
            contents.messages,
            "Its messages, oldest first",
            schemas.MessagePaging,
            response=message,
            is_list=True,
        ),
        Endpoint("GET", f"{_SESSION}/stats", contents.stats, "What its turns came to", response=stats),
        Endpoint(
            "GET",
            f"{_SESSION}/export",
            contents.export,
            "The session and its messages as one line of JSON, which `gateway sessions import` takes",
            media_type="application/x-ndjson",
        ),
    ]


def _session_endpoints(sessions: SessionRoutes) -> list[Endpoint]:
    every, one = _SESSIONS, _SESSION
    given, shown, deleted = schemas.SessionInput, answers.SessionOutput, answers.DeletedSessionOutput
    return [
        Endpoint(
            "POST", every, sessions.create, "Create a session", None, given, shown, status=201, is_body_optional=True
        ),
        Endpoint(
            "GET", every, sessions.list, "Own sessions, newest first", schemas.SessionPaging, None, shown, is_list=True
        ),
        Endpoint("GET", one, sessions.get, "One session", response=shown),
        Endpoint("PUT", one, sessions.replace, "Set all settings of a session", body=given, response=shown),
        Endpoint("PATCH", one, sessions.patch, "Set some settings of a session", body=given, response=shown),
        Endpoint("DELETE", one, sessions.delete, "Hide a session, or purge it", schemas.Deletion, response=deleted),
        Endpoint("POST", f"{one}/archive", sessions.archive, "Leave a session out of lists and turns", response=shown),
        Endpoint("POST", f"{one}/unarchive", sessions.unarchive, "Take a session up again", response=shown),
    ]


def _key_endpoints(keys: KeyRoutes) -> list[Endpoint]:
    every, one = "/admin/keys", "/admin/keys/{key_id}"
    given, new, shown = schemas.KeyInput, answers.NewKeyOutput, answers.KeyOutput
    return [
        Endpoint("POST", every, keys.create, "Create an API key", body=given, response=new, status=201),
        Endpoint("GET", every, keys.list, "All API keys", schemas.KeyFilter, response=shown, is_list=True),
        Endpoint("GET", one, keys.get, "One API key", response=shown),
        Endpoint("PATCH", one, keys.patch, "Change an API key", body=schemas.KeyPatch, response=shown),
        Endpoint("DELETE", one, keys.revoke, "Revoke an API key", response=shown),
        Endpoint(
            "POST",
            f"{one}/rotate",
            keys.rotate,
            "Create a key in the place of one, which stays valid for a while",
            body=schemas.RotationInput,
            response=new,
            status=201,
            is_body_optional=True,
        ),
        Endpoint("GET", "/v1/keys", keys.own, "Own API keys", response=shown, is_list=True),
    ]


def _user_endpoints(users: UserRoutes) -> list[Endpoint]:
    every, one = "/admin/users", "/admin/users/{user_id}"
    shown, erased = answers.UserOutput, answers.ErasedUserOutput
    return [
        Endpoint("POST", every, users.create, "Create a user", body=schemas.UserInput, response=shown, status=201),
        Endpoint("GET", every, users.list, "All users, oldest first", schemas.Paging, response=shown, is_list=True),
        Endpoint("GET", one, users.get, "One user", response=shown),
        Endpoint("PATCH", one, users.patch, "Disable or limit a user", body=schemas.UserPatch, response=shown),
        Endpoint("DELETE", one, users.erase, "Remove a user and all that is theirs", schemas.Erasure, response=erased),
    ]


def _usage_endpoints(usage: UsageRoutes) -> list[Endpoint]:
    shown, csv = answers.UsageOutput, "text/csv"
    return [
        Endpoint(
            "GET",
            "/v1/usage",
            usage.own,
            "What own turns came to",
            schemas.OwnUsageQuery,
            response=shown,
            other_media_type=csv,
        ),
        Endpoint(
            "GET",
            "/admin/usage",
            usage.everyones,
            "What everyone's turns came to",
            schemas.UsageQuery,
            response=shown,
            other_media_type=csv,
        ),
    ]


def _ledger_endpoints(ledger: LedgerRoutes) -> list[Endpoint]:
    shown, turn = answers.ActivityOutput, answers.TurnOutput
    own, every = schemas.OwnActivityQuery, schemas.ActivityQuery
    return [
        Endpoint("GET", "/v1/activity", ledger.own_activity, "How own turns went over time", own, response=shown),
        Endpoint(
            "GET",
            "/admin/activity",
            ledger.everyones_activity,
            "How everyone's turns went over time",
            every,
            response=shown,
        ),
        Endpoint(
            "GET",
            "/v1/turns",
            ledger.own_turns,
            "Own turns, the newest or the slowest first",
            schemas.OwnTurnsQuery,
            response=turn,
            is_list=True,
        ),
        Endpoint(
            "GET",
            "/admin/turns",
            ledger.everyones_turns,
            "Everyone's turns, the newest or the slowest first",
            schemas.TurnsQuery,
            response=turn,
            is_list=True,
        ),
    ]


def _others_endpoints(others: OthersRoutes) -> list[Endpoint]:
    """For reading alone: each is an endpoint of /chat/sessions for another user."""
    every, one = "/admin/users/{user_id}/sessions", "/admin/users/{user_id}/sessions/{session_id}"
    shown, hit, message, stats = (
        answers.SessionOutput,
        answers.HitOutput,
        answers.MessageOutput,
        answers.StatsOutput,
    )
    searched, paged = schemas.SearchPaging, schemas.MessagePaging
    return [
        Endpoint("GET", every, others.list, "A user's sessions", schemas.SessionPaging, response=shown, is_list=True),
        Endpoint(
            "GET", f"{every}/search", others.search, "Search a user's sessions", searched, response=hit, is_list=True
        ),
        Endpoint("GET", one, others.get, "One session of a user", response=shown),
        Endpoint("GET", f"{one}/messages", others.messages, "Its messages", paged, response=message, is_list=True),
        Endpoint("GET", f"{one}/stats", others.stats, "What its turns came to", response=stats),
        Endpoint(
            "GET",
            f"{one}/export",
            others.export,
            "The session and its messages as one line of JSON",
            media_type="application/x-ndjson",
        ),
    ]


def build_router(table: Sequence[Endpoint], document: Callable[[], dict[str, Any]]) -> ASGIApp:
    """A router over the table, and over the OpenAPI document of it, which is made when somebody asks for it."""

    made = cache(document)

    async def openapi(request: Request) -> Response:
        del request
        return json_response(await asyncio.to_thread(made))  # some 70 ms the first time: not while turns wait

    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in (*table, Endpoint("GET", "/openapi.json", openapi, "This document")):
        by_path.setdefault(endpoint.path, []).append(endpoint)
    apps: dict[str, ASGIApp] = {path: _Methods(path, group) for path, group in by_path.items()}
    router = Router([Route(path, app) for path, app in apps.items()], redirect_slashes=False)
    router.default = _unknown
    # A path without parameters is found by its name: trying one pattern after another costs as much as parsing.
    named = {path: app for path, app in apps.items() if "{" not in path}

    def route(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return named.get(scope["path"], router)(scope, receive, send)

    return route


class _Methods:
    """The endpoints of one path, by method; any other method is a 405 that names those there are."""

    def __init__(self, path: str, group: Sequence[Endpoint]) -> None:
        self._path = path
        self._apps = {endpoint.method: _as_app(endpoint.handler) for endpoint in group}
        if "GET" in self._apps:
            self._apps["HEAD"] = self._apps["GET"]  # the server leaves the body out

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        context_of(scope).route = self._path
        app = self._apps.get(scope["method"])
        if app is None:
            raise HTTPException(405, headers={"allow": ", ".join(self._apps)})
        return app(scope, receive, send)


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
