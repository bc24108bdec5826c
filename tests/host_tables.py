"""Two tables as a host might have made them for its own ends: in a schema, with columns that nobody told us of."""

from gateway.settings import ExternalTables

TABLES = ExternalTables(messages="app.Chat_Messages", sessions="app.chat_sessions")

DDL = (
    "CREATE SCHEMA app",
    """CREATE TABLE app."Chat_Messages" (
    thread_id text NOT NULL,
    message_id text NOT NULL,
    session_id text,
    user_id text,
    role text NOT NULL,
    created_at timestamptz NOT NULL,
    parts_json jsonb NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    tenant text NOT NULL DEFAULT 'acme',
    PRIMARY KEY (thread_id, message_id)
)""",
    """CREATE TABLE app.chat_sessions (
    session_id text PRIMARY KEY,
    thread_id text,
    sdk_version text,
    state_json jsonb,
    metadata_json jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    tenant text NOT NULL DEFAULT 'acme',
    notes text
)""",
)
