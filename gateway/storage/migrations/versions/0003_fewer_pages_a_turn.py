"""SQLite: what made each turn write more pages than it needs.

The ledger's index by session took a page a turn, far from those of other turns. Only a session's stats asked for it,
and find its turns by its messages. The foreign key of messages made SQLite copy every page that a statement of several
rows changes, so that it could undo that statement: looked at when the transaction is committed, it does not.

PostgreSQL keeps both: there a page that a turn changes is written long after it was answered.
"""

from contextlib import suppress

from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if op.get_context().dialect.name != "sqlite":
        return
    # The way that SQLite's documentation of ALTER TABLE gives for changes of no byte of a table's rows: to make the
    # table anew would take as long as it is large. Removing the index tells other connections to read the schema again.
    op.execute("PRAGMA writable_schema = ON")
    with suppress(OperationalError):  # a library that is always defensive, such as macOS' own: turns cost more there
        op.execute(
            "UPDATE sqlite_master SET "
            "sql = replace(sql, 'ON DELETE CASCADE', 'ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED') "
            "WHERE type = 'table' AND name = 'messages'"
        )
    op.execute("PRAGMA writable_schema = RESET")
    op.drop_index("turns_by_session", "turns")
