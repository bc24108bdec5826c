"""Ranges of time that a query asks for: from a moment up to, not including, another."""

from datetime import UTC, datetime, time, timedelta

from gateway.api.responses import timestamp
from gateway.errors import InvalidRequest


def half_open(
    since: datetime | None, until: datetime | None, *, end: datetime, length: timedelta
) -> tuple[datetime, datetime]:
    """The range, which ends at `end` and is of that length unless told otherwise. Raises InvalidRequest if empty."""
    until = end if until is None else until
    since = until - length if since is None else since
    if since >= until:
        raise InvalidRequest(
            f"Invalid 'from': {timestamp(since)} is not before 'to', which is {timestamp(until)}.",
            code="invalid_value",
            param="from",
        )
    return since, until


def end_of_today() -> datetime:
    return datetime.combine(datetime.now(UTC), time(), UTC) + timedelta(days=1)
