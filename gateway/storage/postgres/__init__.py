"""The store on PostgreSQL: pooled, one statement to open a turn and one to close it."""

from gateway.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
