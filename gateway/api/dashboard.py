"""/dashboard: the page and its parts, which hold no data, and signing in to it. What it shows, it asks the API for."""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.body import read_body
from gateway.api.context import context_of, header
from gateway.api.dashboard_files import FILES, PAGE
from gateway.api.responses import json_response
from gateway.api.routes import Endpoint
from gateway.api.same_origin import PRIVATE, cookie_of, refuse_other_origins, set_cookie
from gateway.api.schemas import SignInInput, validate
from gateway.auth.authenticator import Authenticator
from gateway.domain import Caller
from gateway.errors import AuthenticationFailed, NotFound
from gateway.wire.json import parse_object

_MAX_BODY = 4096

_DIRECTORY = Path(__file__).parent.parent / "dashboard"

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",  # asked for again every time, and answered with 304 while it is the same
}


def dashboard_endpoints(dashboard: "DashboardRoutes") -> list[Endpoint]:
    """For browsers, and so no part of the OpenAPI document."""
    page, sign_in = "/dashboard", "/dashboard/session"
    return [
        Endpoint("GET", page, dashboard.page, "The dashboard", media_type="text/html"),
        Endpoint("GET", sign_in, dashboard.who, "Who is signed in"),
        Endpoint("POST", sign_in, dashboard.sign_in, "Sign in", body=SignInInput, status=204),
        Endpoint("DELETE", sign_in, dashboard.sign_out, "Sign out", status=204),
        Endpoint("GET", f"{page}/{{name}}", dashboard.part, "A part of the page"),
    ]


class DashboardRoutes:
    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._files = {name: _File(name, media_type) for name, media_type in FILES.items()}

    async def page(self, request: Request) -> Response:
        return self._files[PAGE].response(request)

    async def part(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise NotFound(f"The dashboard has no part {name!r}.", code="unknown_url")
        return self._files[name].response(request)

    async def sign_in(self, request: Request) -> Response:
        """204 with a cookie that stands for the key in the body."""
        refuse_other_origins(request.scope)
        body = await read_body(request.scope, request.receive, _MAX_BODY)
        given = validate(SignInInput, parse_object(body))
        caller, sign_in = await self._authenticator.sign_in(given.key)
        context_of(request.scope).caller = caller
        return Response(status_code=204, headers={**PRIVATE, "set-cookie": set_cookie(request.scope, str(sign_in))})

    async def who(self, request: Request) -> Response:
        """Whose sign-in the cookie is; a user of null if it is nobody's."""
        refuse_other_origins(request.scope)
        caller = await self._caller(cookie_of(request.scope))
        if caller is None:
            return json_response({"user": None, "user_id": None, "key": None, "scopes": []}, headers=PRIVATE)
        scopes = sorted(caller.scopes)
        who = {"user": caller.user_name, "user_id": caller.user_id, "key": caller.key_id, "scopes": scopes}
        return json_response(who, headers=PRIVATE)

    async def sign_out(self, request: Request) -> Response:
        refuse_other_origins(request.scope)
        return Response(status_code=204, headers={**PRIVATE, "set-cookie": set_cookie(request.scope, None)})

    async def _caller(self, cookie: str | None) -> Caller | None:
        try:
            return None if cookie is None else await self._authenticator.signed_in(cookie)
        except AuthenticationFailed:
            return None


class _File:
    """One file of the page, read once."""

    def __init__(self, name: str, media_type: str) -> None:
        self._body = (_DIRECTORY / name).read_bytes()
        etag = f'"{hashlib.sha256(self._body).hexdigest()[:32]}"'
        self._headers = {**_HEADERS, "etag": etag, "content-type": media_type}
        self._etag = etag

    def response(self, request: Request) -> Response:
        if header(request.scope, b"if-none-match") in {self._etag, f"W/{self._etag}"}:
            return Response(status_code=304, headers=self._headers)
        return Response(self._body, headers=self._headers)
