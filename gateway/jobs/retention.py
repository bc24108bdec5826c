"""Removes what the settings no longer keep, in batches so small that no turn waits for one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta

import structlog

from gateway.domain import AuditEntry
from gateway.ids import new_audit_id
from gateway.ports import Cleaned, Cleaning, Store
from gateway.settings import RetentionSettings

_BATCH = 200
"""Rows of each kind."""

_PAUSE = 0.05
"""Seconds between two batches, in which turns are written."""

log = structlog.stdlib.get_logger("gateway")


def _now() -> datetime:
    return datetime.now(UTC)


class Retention:
    """Every process looks; the store lets one of them clean."""

    name = "retention"

    def __init__(
        self,
        store: Store,
        settings: RetentionSettings,
        *,
        clock: Callable[[], datetime] = _now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._untold = Cleaned()
        """What was removed since the last audit entry: by the look before too, if the database failed in it."""

    async def run(self) -> None:
        while True:
            await self._clean()
            await self._sleep(self._settings.interval)

    async def _clean(self) -> None:
        cleaning = cleaning_at(self._clock(), self._settings)
        while (cleaned := await self._store.clean(cleaning)) is not None and not cleaned.is_done:
            self._untold = _sum(self._untold, cleaned)
            await self._sleep(_PAUSE)
        if not self._untold.is_done:
            await self._tell()

    async def _tell(self) -> None:
        counts = asdict(self._untold)
        await self._store.add_audit(AuditEntry(new_audit_id(), self._clock(), "retention.run", None, details=counts))
        self._untold = Cleaned()
        log.info("retention", **counts)


def cleaning_at(now: datetime, settings: RetentionSettings) -> Cleaning:
    """What is due at a time by these settings."""

    def before(days: float | None) -> datetime | None:
        return None if days is None else now - timedelta(days=days)

    return Cleaning(
        now=now,
        deleted_before=before(settings.deleted_days),
        inactive_before=before(settings.inactive_days),
        ledger_before=before(settings.ledger_days),
        limit=_BATCH,
    )


def _sum(one: Cleaned, other: Cleaned) -> Cleaned:
    return Cleaned(*[getattr(one, each.name) + getattr(other, each.name) for each in fields(Cleaned)])
