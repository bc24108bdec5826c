"""Search, retention, the audit log, and turns that wait for each other across processes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")  # SQLite: microseconds since 1970, UTC


def upgrade() -> None:
    is_postgresql = op.get_context().dialect.name == "postgresql"
    _change_sessions()
    _create_queues()
    _create_audit_log()
    op.create_index("turns_by_session", "turns", ["session_id"])
    for statement in _POSTGRESQL if is_postgresql else _SQLITE:
        op.execute(statement)
    op.execute("INSERT INTO search_queue (session_id, user_id, version) SELECT id, user_id, 1 FROM sessions")


def _change_sessions() -> None:
    op.add_column("sessions", sa.Column("deleted_at", _TIME))
    op.execute("UPDATE sessions SET deleted_at = updated_at WHERE NOT is_active")
    op.drop_column("sessions", "is_active")
    op.add_column("sessions", sa.Column("ttl_seconds", sa.BigInteger))
    for column in ("deleted_at", "ttl_seconds"):
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"sessions_by_{column}", "sessions", [column], postgresql_where=there, sqlite_where=there)


def _create_queues() -> None:
    """None of them refers to `sessions`: that may be a table of the host's (storage.schema: external)."""
    op.create_table(
        "turn_queue",  # turns that wait for a session, in the order of their tickets
        # A BIGINT of SQLite's is no alias of its rowid, and counts nothing.
        sa.Column("ticket", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sqlite_autoincrement=True,  # a ticket's number must not come again after the newest one was handed back
    )
    op.create_index("turn_queue_by_session", "turn_queue", ["session_id", "ticket"])
    op.create_table(
        "search_queue",  # sessions with something that the search index does not have yet
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),  # of the last change: done is what it was read with
    )
    op.create_index("search_queue_by_user", "search_queue", ["user_id"])


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("actor_user_id", sa.Text),
        sa.Column("actor_key_id", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("details", sa.Text, nullable=False),  # JSON
    )
    op.create_index("audit_log_by_time", "audit_log", ["at", "id"])


_SQLITE = (
    "CREATE INDEX turns_by_time ON turns (created_at)",
    # The index's words (storage/words.py) with what they belong to. seq 0 is the session's title.
    """CREATE TABLE search_texts (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    owner TEXT NOT NULL,
    words TEXT NOT NULL,
    UNIQUE (session_id, seq)
)""",
    # The tokenizer `ascii` keeps whatever is not ASCII within words: it splits at the spaces between ours alone.
    """CREATE VIRTUAL TABLE search_index USING fts5 (
    owner, words, content = 'search_texts', content_rowid = 'id', tokenize = 'ascii'
)""",
    """CREATE TRIGGER search_texts_added AFTER INSERT ON search_texts BEGIN
    INSERT INTO search_index (rowid, owner, words) VALUES (new.id, new.owner, new.words);
END""",
    """CREATE TRIGGER search_texts_removed AFTER DELETE ON search_texts BEGIN
    INSERT INTO search_index (search_index, rowid, owner, words) VALUES ('delete', old.id, old.owner, old.words);
END""",
    """CREATE TRIGGER search_texts_changed AFTER UPDATE ON search_texts BEGIN
    INSERT INTO search_index (search_index, rowid, owner, words) VALUES ('delete', old.id, old.owner, old.words);
    INSERT INTO search_index (rowid, owner, words) VALUES (new.id, new.owner, new.words);
END""",
    """CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END""",
    """CREATE TRIGGER audit_log_unchanged BEFORE UPDATE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END""",
)

_POSTGRESQL = (
    # A number that no earlier change of the same session had, even if its row was removed in between.
    "ALTER TABLE search_queue ALTER COLUMN version SET DEFAULT pg_current_xact_id()::text::bigint",
    # Which turn holds the session, and until when unless it says that it still lives.
    "ALTER TABLE sessions ADD COLUMN lock_holder TEXT, ADD COLUMN lock_until TIMESTAMPTZ",
    # Room for the new versions of a row beside the old ones: no index need learn of a turn.
    "ALTER TABLE sessions SET (fillfactor = 70)",
    "CREATE INDEX sessions_by_metadata ON sessions USING gin (metadata jsonb_path_ops)",
    "CREATE INDEX turns_by_time ON turns USING brin (created_at)",
    """CREATE TABLE search_texts (
    session_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    words TSVECTOR NOT NULL,
    PRIMARY KEY (session_id, seq)
)""",
    "CREATE INDEX search_index ON search_texts USING gin (words)",
    """CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only';
END
$$""",
    """CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()""",
)
