"""What is done to a store beside calls: retention and the audit log."""

from datetime import datetime
from typing import Protocol

from gateway.domain import AuditEntry
from gateway.ports.page import Page
from gateway.values import value


@value
class Cleaning:
    """What retention removes. None for a bound keeps everything."""

    now: datetime
    deleted_before: datetime | None = None
    """Sessions deleted before this are purged."""
    inactive_before: datetime | None = None
    """Sessions whose last message, or creation, was before this are deleted: hidden, to be purged later."""
    ledger_before: datetime | None = None
    """Ledger rows older than this are removed."""
    limit: int = 1000
    """At most so many rows of each kind are removed in one call, so that nobody waits long for its transaction."""


@value
class Cleaned:
    """How many rows one call of `Store.clean` dealt with. A session counts when its last row has gone."""

    purged: int = 0
    deleted: int = 0
    messages: int = 0
    ledger: int = 0

    @property
    def is_done(self) -> bool:
        """True if there was nothing left to do."""
        return not (self.purged or self.deleted or self.messages or self.ledger)


class Upkeep(Protocol):
    """Retention and the audit log: part of Store."""

    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        """One batch of retention: removes what is due. None if another process is at it.

        Sessions that have outlived their `ttl_seconds` are purged, whatever the bounds say.
        """

    async def add_audit(self, entry: AuditEntry) -> None: ...

    async def list_audit(self, *, limit: int, offset: int) -> Page[AuditEntry]:
        """Newest (`at`, then `id`) first."""
