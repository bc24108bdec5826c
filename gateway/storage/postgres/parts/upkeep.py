"""Retention and the audit log, as works on a connection."""

from gateway.domain import AuditEntry
from gateway.ports import Cleaned, Cleaning, Page
from gateway.storage.postgres import retention, users
from gateway.storage.postgres.parts.part import Part


class Upkeep(Part):
    """ports.upkeep.Upkeep."""

    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        return await self._write(lambda link: retention.clean(link, cleaning))

    async def add_audit(self, entry: AuditEntry) -> None:
        await self._write(lambda link: users.note(link, entry))

    async def list_audit(self, *, limit: int, offset: int) -> Page[AuditEntry]:
        return await self._read(lambda link: users.list_audit(link, limit=limit, offset=offset))
