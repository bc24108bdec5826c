"""What each held connection is set to. `busy_timeout` is not here: it is given when the connection is opened.

On checkpoints. SQLite 3.7.0 to 3.51.2 can corrupt a WAL when one connection's checkpoint follows right upon another
one's while a third commits (https://sqlite.org/wal.html, "the WAL-reset bug"). So one connection alone copies the WAL
back, the server's writer, after commits of its own: no second checkpoint can follow upon its first without a commit
of the same connection in between, which is what the bug needs. Readers never do, nor do other processes such as
`gateway keys create`.

The checkpoint that SQLite runs when a database's last connection closes is safe by itself: it is run under an
exclusive lock on the file, which nobody gets while any other connection, of whatever process, is open. A store
closes its writer last, so that with one process it is the writer that does it.
"""

_EVERYWHERE = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a COMMIT that has returned is on disk
    "PRAGMA foreign_keys = ON",
)

WRITER = (*_EVERYWHERE, "PRAGMA wal_autocheckpoint = 1000")
"""The one writer of the serving process: copies the WAL back whenever it has grown to 1000 pages, 4 MB."""

GUEST_WRITER = (*_EVERYWHERE, "PRAGMA wal_autocheckpoint = 0")
"""A writer beside a serving process."""

READER = (*_EVERYWHERE, "PRAGMA wal_autocheckpoint = 0", "PRAGMA query_only = ON")
