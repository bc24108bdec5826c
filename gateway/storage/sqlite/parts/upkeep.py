"""Retention and the audit log, as works for the lanes."""

from functools import partial

from gateway.domain import AuditEntry
from gateway.ports import Cleaned, Cleaning, Page
from gateway.storage.rules import check_audit
from gateway.storage.sqlite import audit as audits
from gateway.storage.sqlite import upkeep
from gateway.storage.sqlite.parts.part import Part


class Upkeep(Part):
    """ports.upkeep.Upkeep."""

    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        await self._lanes.keep()
        if not self._lanes.is_keeper:
            return None
        found = await self._lanes.search(lambda connection: upkeep.list_candidates(connection, cleaning))
        with self._lanes.holds.keeping([*found.due, *found.idle]) as free, self._changing():
            return await self._lanes.write(partial(upkeep.clean, cleaning=cleaning, candidates=found.among(free)))

    async def add_audit(self, entry: AuditEntry) -> None:
        check_audit(entry)
        await self._lanes.write(lambda connection: audits.note(connection, entry))

    async def list_audit(self, *, limit: int, offset: int) -> Page[AuditEntry]:
        return await self._lanes.read(lambda connection: audits.list_page(connection, limit=limit, offset=offset))
