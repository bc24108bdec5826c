"""Limits of keys and users, models that a key may use, when it was last used, disabled users; the ledger's deployment.

Every column may be null: while gateways are replaced one after the other, those of the revision before write on. Tables
are locked in the order in which their statements lock them, turns and keys before users: or some of those, and this
upgrade, would wait for each other, which PostgreSQL ends by failing one of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TIME = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")  # SQLite: microseconds since 1970, UTC
_JSON = sa.Text()  # read and written whole: no query looks inside


def upgrade() -> None:
    op.add_column("turns", sa.Column("deployment", sa.Text))
    op.add_column("api_keys", sa.Column("last_used_at", _TIME))
    op.add_column("api_keys", sa.Column("allowed_models", _JSON))  # an array of names; null: any
    op.add_column("api_keys", sa.Column("limits", _JSON))
    op.add_column("users", sa.Column("limits", _JSON))  # an object of those that are set; null: none
    op.add_column("users", sa.Column("disabled_at", _TIME))
