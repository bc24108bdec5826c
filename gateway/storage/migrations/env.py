"""What Alembic runs to get at the database: the connection, and its transaction, are those of storage/schema.py.

In offline mode there is no connection: the statements are written out for a dialect, see storage/revisions.py.
It configures no logging: an embedded migration has no business with that of the process around it.

A PostgreSQL database may be shared with an application that has an `alembic_version` of its own.
"""

from alembic import context

_attributes = context.config.attributes

if context.is_offline_mode():
    # Without transactional_ddl no BEGIN and COMMIT are written: the transaction is that of whoever runs the statements.
    dialect = _attributes["dialect"]
    version_table = "gateway_schema_version" if dialect == "postgresql" else "alembic_version"
    context.configure(dialect_name=dialect, transactional_ddl=False, version_table=version_table)
else:
    context.configure(connection=_attributes["connection"])
context.run_migrations()
