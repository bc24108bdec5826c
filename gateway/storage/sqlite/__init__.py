"""The store on SQLite: WAL, one held writer with group commit, held readers."""

from gateway.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
