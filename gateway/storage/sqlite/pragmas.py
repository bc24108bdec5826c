"""What each held connection is set to. `busy_timeout` is not here: it is given when the connection is opened.

On checkpoints. SQLite 3.7.0 to 3.51.2 can corrupt a WAL when one connection's checkpoint follows right upon another
one's while a third commits (https://sqlite.org/wal.html, "the WAL-reset bug"). So of all connections to a database, of
whatever process, one alone copies the WAL back, the keeper's writer, each time right after a commit of its own: no
checkpoint can follow upon another without a commit of the same connection in between, and a commit begins by looking
at the WAL anew. Readers never do, nor do other processes.

The keeper is elected among the processes that serve from one file: it is the one that holds a lock which ends with its
process (holds.py). Another one takes over, within the few seconds between two calls of `renew_holds`. Meanwhile, or
while only commands such as `gateway keys create` write, the WAL grows, and loses nothing.

The checkpoint that SQLite runs when a database's last connection closes is safe by itself: it is run under an
exclusive lock on the file, which nobody gets while any other connection, of whatever process, is open. A store
closes its writer after its readers, so that with one process it is the writer that does it, and lets go of the keeper's
lock after that, so that there is no second keeper before the first one's writer has gone.
"""

_EVERYWHERE = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a COMMIT that has returned is on disk
    "PRAGMA foreign_keys = ON",
)

CHECKPOINTING = "PRAGMA wal_autocheckpoint = 8000"
"""Copies the WAL back whenever it has grown to 8000 pages, 32 MB: a page that many turns wrote is copied once."""

NOT_CHECKPOINTING = "PRAGMA wal_autocheckpoint = 0"

_ANY_WRITER = (*_EVERYWHERE, "PRAGMA secure_delete = ON")  # what is removed is overwritten, in the index too

WRITER = (*_ANY_WRITER, CHECKPOINTING)
"""The keeper's."""

GUEST_WRITER = (*_ANY_WRITER, NOT_CHECKPOINTING)
"""A writer beside the keeper's."""

READER = (*_EVERYWHERE, NOT_CHECKPOINTING, "PRAGMA query_only = ON")
