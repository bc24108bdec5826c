"""Works of retention, and those that leave nothing of what was removed in the files."""

import sqlite3
from collections.abc import Sequence, Set
from dataclasses import dataclass

from gateway.ports import Cleaned, Cleaning
from gateway.storage.sqlite import pragmas, sessions, turns
from gateway.storage.sqlite.queries import QUERIES
from gateway.storage.sqlite.rows import Parameters, from_time, from_time_or_none

_MERGED_PAGES = 500
"""Of the search index, in one transaction: about 10 ms."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Sessions, by their user's id and their own, that were found to be due.

    To be looked at again before anything is done to them, and only while no turn holds them.
    """

    due: Sequence[tuple[str, str]]
    """To be purged."""
    idle: Sequence[tuple[str, str]]
    """To be deleted."""

    def among(self, free: Set[tuple[str, str]]) -> "Candidates":
        return Candidates([each for each in self.due if each in free], [each for each in self.idle if each in free])


def list_candidates(connection: sqlite3.Connection, cleaning: Cleaning) -> Candidates:
    """May have to look at every session, which is for a reader to do: others wait for the writer."""
    due, idle = (
        connection.execute(QUERIES[name], _bounds(cleaning)).fetchall()
        for name in ("list_due_sessions", "list_idle_sessions")
    )
    return Candidates(due, idle)


def clean(connection: sqlite3.Connection, *, cleaning: Cleaning, candidates: Candidates) -> Cleaned:
    """One batch."""
    turns.remove_lapsed_tickets(connection)
    bounds = _bounds(cleaning)
    purged, messages = _purge_due(connection, candidates.due, bounds)
    rows = [{**bounds, "session_id": session_id} for _, session_id in candidates.idle]
    deleted = connection.executemany(QUERIES["delete_idle_session"], rows).rowcount if rows else 0
    return Cleaned(purged, deleted, messages, connection.execute(QUERIES["remove_old_turns"], bounds).rowcount)


def _bounds(cleaning: Cleaning) -> Parameters:
    return {
        "now": from_time(cleaning.now),
        "deleted_before": from_time_or_none(cleaning.deleted_before),
        "inactive_before": from_time_or_none(cleaning.inactive_before),
        "ledger_before": from_time_or_none(cleaning.ledger_before),
        "limit": cleaning.limit,
    }


def _purge_due(connection: sqlite3.Connection, due: Sequence[tuple[str, str]], bounds: Parameters) -> tuple[int, int]:
    """How many sessions and messages. One that is too long for a batch is hidden before it loses its first message."""
    purged, left = 0, bounds["limit"]
    for _, session_id in due:
        if not connection.execute(QUERIES["is_due"], {**bounds, "session_id": session_id}).fetchone()[0]:
            continue
        left -= _remove_oldest(connection, session_id, left)
        if connection.execute(QUERIES["has_messages"], {"session_id": session_id}).fetchone()[0]:
            connection.execute(QUERIES["hide_session"], {**bounds, "session_id": session_id})
            break
        sessions.remove(connection, session_id)
        purged += 1
    return purged, bounds["limit"] - left


def _remove_oldest(connection: sqlite3.Connection, session_id: str, limit: int) -> int:
    asked = {"session_id": session_id, "limit": limit}
    row = connection.execute(QUERIES["last_of_oldest"], asked).fetchone()
    through = {"session_id": session_id, "seq": row[0] or 0}
    connection.execute(QUERIES["remove_texts_through"], through)
    return connection.execute(QUERIES["remove_messages_through"], through).rowcount


# ── nothing left in the files ────────────────────────────────────────────────────────────────────────────────────


def begin_merging(connection: sqlite3.Connection) -> bool:
    """Begin to write the search index anew, without the words of texts that were removed. See `merge_on`.

    FTS5 only notes that a text has gone, until the segments with its words are merged. All of them at once, as its
    'optimize' does, would keep everybody waiting for the writer.
    """
    return _merge(connection, -_MERGED_PAGES)  # less than nothing: all segments, not only those that are due


def merge_on(connection: sqlite3.Connection) -> bool:
    """One more step; False if there was nothing left to do."""
    return _merge(connection, _MERGED_PAGES)


def _merge(connection: sqlite3.Connection, pages: int) -> bool:
    before = connection.total_changes
    connection.execute(QUERIES["merge_search_index"], {"pages": pages})
    return connection.total_changes - before > 1  # as FTS5's documentation says: a merge that does nothing changes one


def empty_wal(connection: sqlite3.Connection) -> None:
    """Copy the whole WAL back and cut it to nothing: it has the pages as they were. For the keeper's writer alone.

    Right after a commit, as every checkpoint must come: see pragmas.py. So that this commit itself does not bring one,
    SQLite's own checkpoints are off meanwhile. If another process reads for longer than `busy_timeout`, the WAL stays
    as it is until the next one.
    """
    connection.execute(pragmas.NOT_CHECKPOINTING)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "PRAGMA user_version = 0"
        )  # writes a page, though nothing changes: else nothing is committed
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(pragmas.CHECKPOINTING)
