"""What every request passes through, from the outside in: its log line, its errors, its key.

Pure ASGI, for HTTP alone: app.App lets nothing else through.
"""

import time
from collections.abc import Awaitable
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.context import RequestContext, context_of, header, new_context
from gateway.api.dashboard_files import DASHBOARD_PATHS
from gateway.api.responses import error_response
from gateway.api.same_origin import cookie_of, privately, refuse_other_origins
from gateway.auth.authenticator import Authenticator
from gateway.auth.keys import mask_keys
from gateway.domain import Scope as KeyScope
from gateway.errors import GatewayError, InternalError, MethodNotAllowed, NotFound, PermissionDenied
from gateway.telemetry.metrics import Metrics

PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json"}) | DASHBOARD_PATHS
"""The paths that are answered without a key, whatever the settings say. The dashboard's hold no data."""

METRICS = "/metrics"
"""Answered without a key, too, if `metrics.public` says so."""

_ADMINS = frozenset({"/admin", METRICS})
"""Paths for keys with the admin scope alone, as is everything below /admin."""

_UNTOLD = PUBLIC | {METRICS}
"""What programs ask for every few seconds, and says nothing in a log."""

log = structlog.stdlib.get_logger("gateway")


class RequestLog:
    """Gives the request its id and its context; when it is over, counts it and writes one line."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log.bind()  # what `log` puts together anew for each line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = new_context(scope)
        self._metrics.begin_request()

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", context.id.encode())]
            return send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            status = 500 if context.status is None else context.status
            self._metrics.end_request(scope["method"], context.route, status, time.perf_counter() - context.started)
            if scope["path"] not in _UNTOLD:
                self._log.info("request", fields=_fields(scope, context))


class ErrorResponses:
    """Turns what is raised further in into a response, as long as none has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as exc:  # whatever it is, the client gets OpenAI's shape
            error = _as_gateway_error(exc, scope)
            context = context_of(scope)
            context.facts["error"] = error.code or error.type
            if context.status is not None:
                raise
            await error_response(error)(scope, receive, send)


class Authentication:
    """Lets a request through with a valid key, to /admin with an admin's. `public` is the whole list of exceptions.

    In place of a key, the dashboard's requests have the cookie of a sign-in.
    """

    def __init__(
        self, app: ASGIApp, authenticator: Authenticator, *, public: frozenset[str], takes_cookies: bool
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._public = public
        self._takes_cookies = takes_cookies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in self._public:
            authorization = header(scope, b"authorization")
            cookie = cookie_of(scope) if authorization is None and self._takes_cookies else None
            if cookie is None:
                caller = await self._authenticator.authenticate(authorization)
            else:
                refuse_other_origins(scope)
                send = privately(send)
                caller = await self._authenticator.signed_in(cookie)
            context_of(scope).caller = caller
            path = scope["path"]
            if (path in _ADMINS or path.startswith("/admin/")) and KeyScope.ADMIN not in caller.scopes:
                raise PermissionDenied("This route needs a key with the admin scope.")
        await self._app(scope, receive, send)


def _fields(scope: Scope, context: RequestContext) -> dict[str, Any]:
    """What the request's line says of it."""
    facts = context.facts
    if None in facts.values():
        facts = {name: value for name, value in facts.items() if value is not None}
    return {
        "request_id": context.id,
        "method": scope["method"],
        "path": mask_keys(scope["path"]),
        "status": 500 if context.status is None else context.status,
        **facts,
        "duration_ms": round((time.perf_counter() - context.started) * 1000, 2),
    }


def _as_gateway_error(exc: Exception, scope: Scope) -> GatewayError:
    if isinstance(exc, GatewayError):
        return exc
    if isinstance(exc, HTTPException) and exc.status_code == MethodNotAllowed.status:
        return MethodNotAllowed(f"Not allowed: {scope['method']} {scope['path']}.", headers=dict(exc.headers or {}))
    if isinstance(exc, HTTPException) and exc.status_code == NotFound.status:
        return NotFound(f"Unknown request URL: {scope['method']} {scope['path']}.", code="unknown_url")
    log.error("unexpected error", request_id=context_of(scope).id, path=mask_keys(scope["path"]), exc_info=exc)
    return InternalError()
