"""Retention and the audit log, in memory."""

from gateway.domain import AuditEntry
from gateway.ports import Cleaned, Cleaning, Page
from gateway.storage.memory.parts.part import Part
from gateway.storage.memory.retention import clean
from gateway.storage.rules import page


class Upkeep(Part):
    """ports.upkeep.Upkeep."""

    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        return clean(self._opened(), cleaning)

    async def add_audit(self, entry: AuditEntry) -> None:
        tables = self._opened()
        tables.check_audit(entry)
        tables.note(entry)

    async def list_audit(self, *, limit: int, offset: int) -> Page[AuditEntry]:
        found = sorted(self._opened().audit.values(), key=lambda entry: (entry.at, entry.id), reverse=True)
        return page(found[offset : offset + limit + 1], limit)
