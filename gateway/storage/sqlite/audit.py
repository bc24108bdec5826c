"""Works on the audit log. It is only ever added to: a trigger refuses everything else."""

import sqlite3

from gateway.domain import AuditEntry
from gateway.ports import Page
from gateway.storage.rules import page
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import from_audit, to_audit


def note(connection: sqlite3.Connection, entry: AuditEntry | None) -> None:
    if entry is not None:
        connection.execute(QUERIES["add_audit"], from_audit(entry))


def list_page(connection: sqlite3.Connection, *, limit: int, offset: int) -> Page[AuditEntry]:
    rows = connection.execute(QUERIES["list_audit"], {"limit": limit + 1, "offset": offset})
    return page([to_audit(row) for row in rows], limit)
