"""The revisions of the schema, and the SQL that brings a database from one to another.

The SQL comes from Alembic's offline mode, which needs no connection and no driver: it is run by whoever can reach the
database, the PostgreSQL adapter or an administrator. Alembic is imported (0.3 s) only by those who ask for SQL.
"""

import io
import threading
from pathlib import Path
from typing import Literal

from gateway.storage.errors import SchemaTooNew

Dialect = Literal["postgresql", "sqlite"]

ONE_AT_A_TIME = threading.Lock()
"""alembic.context is one object for the whole process: two runs at once would each use the other's configuration."""

_VERSIONS = Path(__file__).with_name("migrations") / "versions"


def known_revisions() -> list[str]:
    """The ids of the revisions in versions/, oldest first: the numbers that their files' names begin with."""
    return sorted(path.name.split("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


def refuse_unknown(revision: str | None, place: str) -> None:
    """Raises SchemaTooNew for a revision that a later gateway has brought the database to; `place` says which one."""
    known = known_revisions()
    if revision is not None and revision not in known:
        raise SchemaTooNew(
            f"{place} has schema {revision}; this gateway knows schemas up to {known[-1]}. "
            "Run the gateway that upgraded it, or a later one."
        )


def ddl(dialect: Dialect, *, start: str | None = None) -> str:
    """The statements that bring a database from revision `start`, or from nothing, to the newest one.

    They hold no BEGIN and no COMMIT: whoever runs them decides what else belongs to the transaction. Blocks.
    """
    from alembic import command  # noqa: PLC0415 - 0.3 s that most starts need not spend
    from alembic.config import Config  # noqa: PLC0415

    sql = io.StringIO()
    config = Config(output_buffer=sql)
    config.set_main_option("script_location", "gateway.storage:migrations")
    config.attributes["dialect"] = dialect
    with ONE_AT_A_TIME:
        command.upgrade(config, f"{start}:head" if start else "head", sql=True)
    return sql.getvalue()
