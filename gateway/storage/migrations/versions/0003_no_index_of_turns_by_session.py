"""In SQLite the ledger has no index by session: each turn wrote a page for it, far from those of other turns.

Only a session's stats asked for it, and find its turns by its messages. In PostgreSQL, where stats are one statement
and a turn writes no pages before it is answered, it stays.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.drop_index("turns_by_session", "turns")
