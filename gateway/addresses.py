"""URLs of databases, as far as they may be shown: they may hold a password, so one that is wrong is never quoted."""

from urllib.parse import SplitResult, urlsplit

POSTGRESQL = ("postgresql://", "postgres://")
"""What the URL of a PostgreSQL database begins with."""


def check_postgres_url(url: str) -> None:
    """Raise ValueError, without a word of `url`, if it does not come apart where it was meant to."""
    _split(url)


def shown(url: str) -> str:
    """A URL for messages and logs: without the password, and without the options, which may hold one too."""
    if url.startswith("sqlite:"):
        return url
    try:
        parts = _split(url)
    except ValueError:
        return "postgresql://…"  # who knows which part of it is the password
    user, at, place = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}"


def _split(url: str) -> SplitResult:
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
        raise ValueError(
            "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE: "
            "percent-encode what a URL cannot hold in a password, such as / ? # [ ] @"
        )
    return parts
