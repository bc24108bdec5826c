-- Every statement of the SQLite adapter. A block starts with its name and says what it does.
-- rows.py depends on the order of the columns. Times are microseconds since 1970 in UTC, booleans 0 and 1.
-- Bodies of messages are kept as TEXT, so that people and LIKE can read them, and go in and out as BLOBs, so that
-- the bytes are never decoded: a CAST between the two copies them as they are.

-- name: ping
-- Read from the database file itself: a constant would be answered without looking.
SELECT name FROM sqlite_master LIMIT 1;


-- name: has_keys
-- Whether any key was ever created; keys are revoked, never removed.
SELECT EXISTS (SELECT 1 FROM api_keys);

-- name: add_user
-- Make a user, unless the name is taken: then the stored user keeps its id.
INSERT INTO users (id, name) VALUES (:id, :name) ON CONFLICT (name) DO NOTHING;

-- name: add_key
-- Give a key to the user of that name.
INSERT INTO api_keys (id, user_id, name, scopes, hash, created_at, expires_at, revoked_at)
SELECT :id, users.id, :name, :scopes, :hash, :created_at, :expires_at, :revoked_at
FROM users WHERE users.name = :user_name;

-- name: find_key
-- One key with its user.
SELECT k.id, u.id, u.name, k.name, k.scopes, k.hash, k.created_at, k.expires_at, k.revoked_at
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE k.id = :id;

-- name: list_keys
-- The keys of everyone or of one user, oldest first.
SELECT k.id, u.id, u.name, k.name, k.scopes, k.hash, k.created_at, k.expires_at, k.revoked_at
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE :user_name IS NULL OR u.name = :user_name
ORDER BY k.created_at, k.id;

-- name: revoke_key
-- Mark a key as revoked; a second time changes nothing.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, :at) WHERE id = :id;


-- name: add_session
-- Store a session, unless its id is taken, by whomever.
INSERT INTO sessions (
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, is_active
) VALUES (
    :id, :user_id, :name, :model, :max_history_messages, :instructions, :metadata, :created_at, :updated_at,
    :message_count, :failed_count, :total_tokens, :last_seq, :exchange_seq, :epoch, :last_message_at, :archived_at,
    :is_active
) ON CONFLICT (id) DO NOTHING;

-- name: find_session
-- One session of one user.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, is_active
FROM sessions
WHERE id = :id AND user_id = :user_id AND is_active;

-- name: list_sessions
-- One page of a user's sessions, newest first.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, is_active
FROM sessions
WHERE user_id = :user_id AND is_active AND (archived_at IS NULL OR :include_archived)
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset;

-- name: update_session
-- Set those fields of a session that its change names; the others keep their values.
UPDATE sessions SET
    name = CASE WHEN :set_name THEN :name ELSE name END,
    model = CASE WHEN :set_model THEN :model ELSE model END,
    max_history_messages =
        CASE WHEN :set_max_history_messages THEN :max_history_messages ELSE max_history_messages END,
    instructions = CASE WHEN :set_instructions THEN :instructions ELSE instructions END,
    metadata = CASE WHEN :set_metadata THEN :metadata ELSE metadata END,
    updated_at = :at
WHERE id = :id AND user_id = :user_id AND is_active;

-- name: delete_session
-- Hide a session.
UPDATE sessions SET is_active = 0, updated_at = :at WHERE id = :id AND user_id = :user_id AND is_active;

-- name: list_messages
-- One page of a session's messages, oldest first.
SELECT
    id, seq, turn_id, role, CAST(body AS BLOB), tokens, status, created_at, latency_ms, ttft_ms, model, metadata
FROM messages
WHERE session_id = :session_id
ORDER BY seq
LIMIT :limit OFFSET :offset;


-- name: newest_messages
-- The newest messages of a session that can be injected, newest first: a range at the end of the primary key, so
-- that the cost does not depend on what lies before it.
SELECT seq, role, CAST(body AS BLOB), tokens, encoding, status
FROM messages
WHERE session_id = :session_id AND seq > :after AND status <> 'failed'
ORDER BY seq DESC
LIMIT :limit;

-- name: grow_session
-- Make room for the messages of a turn and count them. Answers with the seq of the last of them. A session that was
-- deleted meanwhile still takes the turn that had begun before.
UPDATE sessions SET
    message_count = message_count + :messages,
    failed_count = failed_count + :failed,
    total_tokens = total_tokens + :tokens,
    last_seq = last_seq + :messages,
    exchange_seq = CASE WHEN :exchange THEN last_seq + :exchange ELSE exchange_seq END,
    instructions = coalesce(:instructions, instructions),
    last_message_at = :at,
    updated_at = :at
WHERE id = :id AND user_id = :user_id
RETURNING last_seq;

-- name: add_message
-- Append one message.
INSERT INTO messages (
    session_id, seq, id, turn_id, role, body, tokens, encoding, status, created_at, latency_ms, ttft_ms, model, metadata
) VALUES (
    :session_id, :seq, :id, :turn_id, :role, CAST(:body AS TEXT), :tokens, :encoding, :status, :created_at,
    :latency_ms, :ttft_ms, :model, :metadata
);

-- name: add_ledger_entry
-- Write one row of the ledger.
INSERT INTO turns (
    turn_id, request_id, user_id, key_id, session_id, model, provider, provider_model, stream, status, created_at,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, usage_estimated, cost, finish_reason,
    error_status, error_code, latency_ms, ttft_ms, overhead_ms, history_messages, history_tokens, history_trimmed
) VALUES (
    :turn_id, :request_id, :user_id, :key_id, :session_id, :model, :provider, :provider_model, :stream, :status,
    :created_at, :prompt_tokens, :completion_tokens, :cached_tokens, :reasoning_tokens, :usage_estimated, :cost,
    :finish_reason, :error_status, :error_code, :latency_ms, :ttft_ms, :overhead_ms, :history_messages,
    :history_tokens, :history_trimmed
);

-- name: list_ledger
-- One page of a user's ledger, newest first.
SELECT
    turn_id, request_id, user_id, key_id, session_id, model, provider, provider_model, stream, status, created_at,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, usage_estimated, cost, finish_reason,
    error_status, error_code, latency_ms, ttft_ms, overhead_ms, history_messages, history_tokens, history_trimmed
FROM turns
WHERE user_id = :user_id
ORDER BY created_at DESC, turn_id DESC
LIMIT :limit OFFSET :offset;
