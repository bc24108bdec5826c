"""The work that removes what is due, a batch at a time."""

from datetime import datetime

from gateway.ports import Cleaned, Cleaning
from gateway.storage.postgres.pool import Link


async def clean(link: Link, cleaning: Cleaning) -> Cleaned | None:
    async with link.transaction():
        if not await link.value("lock_cleaning"):
            return None
        purged, messages = await _purge(link, cleaning)
        deleted = await _remove(link, "delete_idle_sessions", cleaning, cleaning.inactive_before, cleaning.now)
        ledger = await _remove(link, "clean_ledger", cleaning, cleaning.ledger_before)
        return Cleaned(purged, deleted, messages, ledger)


async def _purge(link: Link, cleaning: Cleaning) -> tuple[int, int]:
    """How many sessions went, and how many messages."""
    due = [
        row[0] for row in await link.rows("hide_due_sessions", cleaning.now, cleaning.deleted_before, cleaning.limit)
    ]
    if not due:
        return 0, 0
    messages = await link.value("purge_messages", due, cleaning.limit)
    purged = [row[0] for row in await link.rows("purge_empty_sessions", due)]
    await link.row("forget_sessions", purged)
    return len(purged), int(messages)


async def _remove(link: Link, name: str, cleaning: Cleaning, before: datetime | None, *now: datetime) -> int:
    """How many rows older than `before` were dealt with; none if it is None."""
    return 0 if before is None else int(await link.value(name, *now, before, cleaning.limit))
