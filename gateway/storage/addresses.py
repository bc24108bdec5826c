"""URLs of databases, as far as they may be shown."""

from urllib.parse import urlsplit


def shown(url: str) -> str:
    """A URL for messages and logs: without the password, and without the options, which may hold one too."""
    if url.startswith("sqlite:"):
        return url
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}"
