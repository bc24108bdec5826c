"""Users, keys, sessions, messages and the ledger."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_TIME = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")  # SQLite: microseconds since 1970, UTC
_JSON = sa.Text()  # read and written whole: its bytes matter, and no query looks inside
_QUERIED_JSON = sa.Text().with_variant(JSONB(), "postgresql")
_MONEY: sa.Double[float] = sa.Double()  # US dollars
_MILLISECONDS: sa.Double[float] = sa.Double()


def upgrade() -> None:
    _create_users_and_keys()
    _create_sessions()
    _create_messages()
    _create_ledger()


def _create_users_and_keys() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("scopes", sa.Text, nullable=False),  # separated by spaces
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("max_history_messages", sa.Integer, nullable=False),
        sa.Column("instructions", _JSON, nullable=False),  # an array of strings, each a message as JSON
        sa.Column("metadata", _QUERIED_JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("message_count", sa.BigInteger, nullable=False),
        sa.Column("failed_count", sa.BigInteger, nullable=False),
        sa.Column("total_tokens", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("exchange_seq", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("last_message_at", _TIME),
        sa.Column("archived_at", _TIME),
        sa.Column("is_active", sa.Boolean, nullable=False),
    )
    op.create_index("sessions_by_user", "sessions", ["user_id", "created_at", "id"])


def _create_messages() -> None:
    # A table that is partitioned or distributed by session can hold ids unique within a session, and no further.
    is_postgresql = op.get_context().dialect.name == "postgresql"
    op.create_table(
        "messages",
        sa.Column("session_id", sa.Text, sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False, unique=not is_postgresql),
        sa.Column("turn_id", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("body", _JSON, nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("encoding", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("latency_ms", _MILLISECONDS),
        sa.Column("ttft_ms", _MILLISECONDS),
        sa.Column("model", sa.Text),
        sa.Column("metadata", _JSON),
        *([sa.UniqueConstraint("session_id", "id")] if is_postgresql else []),
    )


def _create_ledger() -> None:
    """The ledger refers to nothing by foreign key: it outlives the users, keys and sessions that it speaks of."""
    op.create_table(
        "turns",
        sa.Column("turn_id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("provider_model", sa.Text, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        sa.Column("cached_tokens", sa.Integer, nullable=False),
        sa.Column("reasoning_tokens", sa.Integer, nullable=False),
        sa.Column("usage_estimated", sa.Boolean, nullable=False),
        sa.Column("cost", _MONEY),
        sa.Column("finish_reason", sa.Text),
        sa.Column("error_status", sa.Integer),
        sa.Column("error_code", sa.Text),
        sa.Column("latency_ms", _MILLISECONDS),
        sa.Column("ttft_ms", _MILLISECONDS),
        sa.Column("overhead_ms", _MILLISECONDS),
        sa.Column("history_messages", sa.Integer, nullable=False),
        sa.Column("history_tokens", sa.Integer, nullable=False),
        sa.Column("history_trimmed", sa.Integer, nullable=False),
    )
    op.create_index("turns_by_user", "turns", ["user_id", "created_at", "turn_id"])
