"""URLs, as far as they may be shown: they may hold a password, so one that is wrong is never quoted."""

from urllib.parse import SplitResult, urlsplit

POSTGRESQL = ("postgresql://", "postgres://")
"""What the URL of a PostgreSQL database begins with."""

_REDIS = ("redis://", "rediss://")

MASK = "********"
"""Stands where a secret was left out. No setting takes it."""


def check_postgres_url(url: str) -> None:
    """Raise ValueError, without a word of `url`, if it does not come apart where it was meant to."""
    _split(url)


def check_redis_url(url: str) -> None:
    """Raise ValueError, without a word of `url`, if it is not one of a Redis server, or does not come apart so."""
    form = "redis://USER:PASSWORD@HOST:PORT/NUMBER"
    if not url.startswith(_REDIS):
        raise ValueError(f"must be memory:, {form}, or rediss://… for TLS")
    if not _split(url, form).hostname:
        raise ValueError(f"must be {form}: it names no host")


def shown(url: str) -> str:
    """A URL for messages and logs: without the password, and without the options, which may hold one too."""
    if _is_plain(url):
        return url
    try:
        parts = _split(url)
    except ValueError:
        return "postgresql://…"  # who knows which part of it is the password
    user, at, place = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}"


def masked(url: str) -> str:
    """A URL with MASK in place of its password and of the values of its options, any of which may be secret.

    So is the user of an http URL: it is often a token. A URL that does not come apart where it was meant to is MASK.
    """
    if _is_plain(url):
        return url
    try:
        parts = _split(url)
    except ValueError:
        return MASK
    if not parts.scheme:
        return MASK
    login, at, place = parts.netloc.rpartition("@")
    options = "?" + "&".join(map(_masked_option, parts.query.split("&"))) if parts.query else ""
    return f"{parts.scheme}://{_masked_login(parts.scheme, login)}{at}{place}{parts.path}{options}"


def _masked_login(scheme: str, login: str) -> str:
    if scheme in {"http", "https"}:
        return MASK if login else ""
    user, colon, _ = login.partition(":")
    return f"{user}:{MASK}" if colon else user


def _masked_option(option: str) -> str:
    name, equals, _ = option.partition("=")
    return f"{name}={MASK}" if equals else MASK


def _is_plain(url: str) -> bool:
    """True for databases whose URL has no place for a secret."""
    return url.startswith("sqlite:") or url == "memory:"


def _split(url: str, form: str = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE") -> SplitResult:
    """The parts. Raises ValueError if a password seems to have spilled out of its place into the port or what follows.

    The place may name several hosts, each with a port.
    """
    try:
        parts = urlsplit(url)
        is_whole = "@" not in parts.path + parts.query + parts.fragment
        for place in parts.netloc.rpartition("@")[2].split(","):
            _ = urlsplit(f"//{place}").port
    except ValueError:  # its own text quotes the URL
        is_whole = False
    if not is_whole:
        raise ValueError(f"must be {form}: percent-encode what a URL cannot hold in a password, such as / ? # [ ] @")
    return parts
