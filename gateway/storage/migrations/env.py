"""What Alembic runs to get at the database: the connection, and its transaction, are those of storage/schema.py.

It configures no logging: an embedded migration has no business with that of the process around it.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
