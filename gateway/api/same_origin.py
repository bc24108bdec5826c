"""The dashboard's cookie, and which requests may use it: those that the dashboard itself makes.

A browser sends a cookie with requests that other pages cause, too. SameSite=Strict keeps most of those back; here the
rest is refused, also of other origins of the same site. What changes something must carry a header that a page of
another origin cannot send without asking first, which this gateway never allows.
"""

from collections.abc import Awaitable

from starlette.types import Message, Scope, Send

from gateway.api.context import header
from gateway.api.responses import raw_headers
from gateway.auth.sign_in import LIFETIME
from gateway.errors import PermissionDenied

COOKIE = "gateway_session"

PRIVATE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""Headers of what the cookie opens. Shared caches leave alone what answers an `Authorization` header, and not this; the
browser's own would still have it after signing out."""

_RAW_PRIVATE = raw_headers(PRIVATE)

_SAFE_METHODS = frozenset({"GET", "HEAD"})


def cookie_of(scope: Scope) -> str | None:
    """What the request's cookie says; None if it has none."""
    for pair in (header(scope, b"cookie") or "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def set_cookie(scope: Scope, value: str | None) -> str:
    """The `set-cookie` header that keeps a value, or that forgets it.

    The page's own address says whether it came by https: a proxy in front may end TLS, and Origin passes through.
    """
    is_secure = scope["scheme"] == "https" or (header(scope, b"origin") or "").startswith("https://")
    age = 0 if value is None else LIFETIME
    attributes = f"Max-Age={age}; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if is_secure else "")
    return f"{COOKIE}={value or ''}; {attributes}"


def refuse_other_origins(scope: Scope) -> None:
    """Raises PermissionDenied for a request that the dashboard has not made."""
    site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    is_safe = scope["method"] in _SAFE_METHODS
    # "none" is a person's own doing, such as opening a download in a tab of its own.
    is_ours = site in {None, "same-origin"} or (site == "none" and is_safe)
    if origin is not None:  # compared as it is: anything may stand there that is no address
        host = header(scope, b"host")
        is_ours = is_ours and origin in {f"http://{host}", f"https://{host}"}
    if not is_safe:
        is_ours = is_ours and header(scope, b"x-gateway-dashboard") == "1"
    if not is_ours:
        raise PermissionDenied(
            "The dashboard's cookie is for requests of the dashboard alone. Use an API key.", code="cross_origin"
        )


def privately(send: Send) -> Send:
    """`send` for an answer to the cookie."""

    def send_private(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_RAW_PRIVATE]
        return send(message)

    return send_private
