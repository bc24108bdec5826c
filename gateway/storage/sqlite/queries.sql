-- Every statement of the SQLite adapter. A block starts with its name and says what it does.
-- A fragment is a part of statements, which have its name in braces.
-- rows.py depends on the order of the columns. Times are microseconds since 1970 in UTC, booleans 0 and 1.
-- Bodies of messages are kept as TEXT, so that people and LIKE can read them, and go in and out as BLOBs, so that
-- the bytes are never decoded: a CAST between the two copies them as they are.
-- A line that is nothing but a row of question marks stands for as many rows as there are: see queries.py.
-- OR ROLLBACK in what every turn runs: for a statement that might have to undo a part of itself, SQLite keeps a copy of
-- each page that it changes, soon in a file. Whoever fails has the whole transaction undone anyhow (batches.py).

-- name: ping
-- Read from the database file itself: a constant would be answered without looking.
SELECT name FROM sqlite_master LIMIT 1;


-- name: has_keys
-- Whether there is a key: they are revoked, and removed only with their user.
SELECT EXISTS (SELECT 1 FROM api_keys);

-- name: add_user
-- Make a user, unless the name is taken: then the stored user keeps its id.
INSERT INTO users (id, name, limits, disabled_at) VALUES (:id, :name, :limits, :disabled_at)
ON CONFLICT (name) DO NOTHING;

-- name: find_user_by_name
-- One user.
SELECT id, name, limits, disabled_at FROM users WHERE name = :name;

-- name: find_user
-- One user.
SELECT id, name, limits, disabled_at FROM users WHERE id = :id;

-- name: update_user
-- Set all that can be changed of a user, in the transaction that read the rest.
UPDATE users SET limits = :limits, disabled_at = :disabled_at WHERE id = :id;

-- name: list_users
-- One page of all users, in the order of their ids.
SELECT id, name, limits, disabled_at FROM users ORDER BY id LIMIT :limit OFFSET :offset;

-- name: has_user
-- Whether there is such a user.
SELECT EXISTS (SELECT 1 FROM users WHERE id = :user_id);

-- name: add_key
-- Store a key.
INSERT INTO api_keys (
    id, user_id, name, scopes, hash, created_at, expires_at, revoked_at, last_used_at, allowed_models, limits
) VALUES (
    :id, :user_id, :name, :scopes, :hash, :created_at, :expires_at, :revoked_at, :last_used_at, :allowed_models, :limits
);

-- name: find_key
-- One key with its user.
SELECT
    k.id, u.id, u.name, u.limits, u.disabled_at, k.name, k.scopes, k.hash, k.created_at, k.expires_at, k.revoked_at,
    k.last_used_at, k.allowed_models, k.limits
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE k.id = :id;

-- name: list_keys
-- The keys of everyone or of one user, oldest first.
SELECT
    k.id, u.id, u.name, u.limits, u.disabled_at, k.name, k.scopes, k.hash, k.created_at, k.expires_at, k.revoked_at,
    k.last_used_at, k.allowed_models, k.limits
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE :user_name IS NULL OR u.name = :user_name
ORDER BY k.created_at, k.id;

-- name: revoke_key
-- Mark a key as revoked; a second time changes nothing.
UPDATE api_keys SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL;

-- name: update_key
-- Set all that can be changed of a key, in the transaction that read the rest.
UPDATE api_keys
SET name = :name, scopes = :scopes, allowed_models = :allowed_models, limits = :limits, expires_at = :expires_at
WHERE id = :id;

-- name: note_key_uses
-- Given as a JSON object: times by ids.
UPDATE api_keys SET last_used_at = used.value
FROM json_each(:uses) AS used
WHERE api_keys.id = used.key AND coalesce(last_used_at < used.value, TRUE);


-- name: blank_texts_of_user
-- Overwrite the words of a user's texts with as many NULs, which are no words.
UPDATE search_texts SET words = CAST(zeroblob(length(CAST(words AS BLOB))) AS TEXT)
WHERE session_id IN (SELECT id FROM sessions WHERE user_id = :user_id);

-- name: blank_messages_of_user
-- Overwrite the texts of a user's messages with as many NULs: rows of the same size stay where they are.
UPDATE messages SET
    body = CAST(zeroblob(length(CAST(body AS BLOB))) AS TEXT),
    metadata = CASE WHEN metadata IS NOT NULL THEN CAST(zeroblob(length(CAST(metadata AS BLOB))) AS TEXT) END
WHERE session_id IN (SELECT id FROM sessions WHERE user_id = :user_id);

-- name: blank_sessions_of_user
-- Overwrite the texts of a user's sessions.
UPDATE sessions SET
    name = CASE WHEN name IS NOT NULL THEN CAST(zeroblob(length(CAST(name AS BLOB))) AS TEXT) END,
    instructions = CAST(zeroblob(length(CAST(instructions AS BLOB))) AS TEXT),
    metadata = CAST(zeroblob(length(CAST(metadata AS BLOB))) AS TEXT)
WHERE user_id = :user_id;

-- name: remove_texts_of_user
-- Remove what is searched; a trigger tells the index.
DELETE FROM search_texts WHERE session_id IN (SELECT id FROM sessions WHERE user_id = :user_id);

-- name: remove_from_search_queue_of_user
-- There is nothing left to be indexed.
DELETE FROM search_queue WHERE user_id = :user_id;

-- name: remove_from_turn_queue_of_user
-- There is nothing left to wait for.
DELETE FROM turn_queue WHERE session_id IN (SELECT id FROM sessions WHERE user_id = :user_id);

-- name: remove_sessions_of_user
-- Remove sessions, and by their foreign key messages.
DELETE FROM sessions WHERE user_id = :user_id;

-- name: remove_keys_of_user
-- Remove keys.
DELETE FROM api_keys WHERE user_id = :user_id;

-- name: blank_ledger_of_user
-- Take what clients can choose out of the ledger; the accounts stay.
UPDATE turns SET session_id = NULL, request_id = '' WHERE user_id = :user_id;

-- name: remove_user
-- Remove the user, to whom nothing refers any longer.
DELETE FROM users WHERE id = :user_id;


-- name: add_session
-- Store a session, unless its id is taken, by whomever.
INSERT INTO sessions (
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
) VALUES (
    :id, :user_id, :name, :model, :max_history_messages, :instructions, :metadata, :created_at, :updated_at,
    :message_count, :failed_count, :total_tokens, :last_seq, :exchange_seq, :epoch, :last_message_at, :archived_at,
    :deleted_at, :ttl_seconds
) ON CONFLICT (id) DO NOTHING;

-- name: find_session
-- One session of one user.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE id = :id AND user_id = :user_id AND deleted_at IS NULL;

-- name: glance_at_session
-- As find_session; last, whether somebody waits for the session, as has_earlier_ticket says. One statement is one
-- snapshot, and needs no transaction.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds,
    EXISTS (
        SELECT 1 FROM turn_queue
        WHERE session_id = :id AND expires_at > :now AND (:ticket IS NULL OR ticket < :ticket)
    )
FROM sessions
WHERE id = :id AND user_id = :user_id AND deleted_at IS NULL;

-- name: list_sessions
-- One page of a user's sessions, newest first.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE user_id = :user_id AND deleted_at IS NULL AND (archived_at IS NULL OR :include_archived)
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset;

-- name: list_sessions_by_metadata
-- As list_sessions, of those only in whose metadata every wanted pair stands, as text.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE user_id = :user_id AND deleted_at IS NULL AND (archived_at IS NULL OR :include_archived)
    AND NOT EXISTS (
        SELECT 1 FROM json_each(:metadata) AS wanted
        WHERE NOT EXISTS (
            SELECT 1 FROM json_each(sessions.metadata) AS pair
            WHERE pair.key = wanted.key AND pair.value = wanted.value AND pair.type = 'text'
        )
    )
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset;

-- name: scan_sessions
-- The sessions that follow an id, in the order of ids.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE id > :after AND deleted_at IS NULL
ORDER BY id
LIMIT :limit;

-- name: scan_sessions_of_user
-- As scan_sessions, of one user. The unary plus keeps to the index by user: others may have very many sessions.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE +id > :after AND user_id = :user_id AND deleted_at IS NULL
ORDER BY +id
LIMIT :limit;

-- name: update_session
-- Set all that can be changed of a session, in the transaction that read the rest.
UPDATE sessions SET
    name = :name,
    model = :model,
    max_history_messages = :max_history_messages,
    instructions = :instructions,
    metadata = :metadata,
    ttl_seconds = :ttl_seconds,
    archived_at = :archived_at,
    updated_at = :updated_at
WHERE id = :id;

-- name: delete_session
-- Hide a session.
UPDATE sessions SET deleted_at = :at, updated_at = :at WHERE id = :id;

-- name: owns_session
-- Whether the user has such a session, deleted ones too.
SELECT EXISTS (SELECT 1 FROM sessions WHERE id = :id AND user_id = :user_id);

-- name: remove_texts
-- Remove what is searched of a session; a trigger tells the index.
DELETE FROM search_texts WHERE session_id = :session_id;

-- name: remove_from_search_queue
-- There is nothing left to be indexed.
DELETE FROM search_queue WHERE session_id = :session_id;

-- name: remove_from_turn_queue
-- There is nothing left to wait for.
DELETE FROM turn_queue WHERE session_id = :session_id;

-- name: remove_session
-- Remove a session, and by their foreign key its messages.
DELETE FROM sessions WHERE id = :session_id;

-- name: sum_turns
-- What the user's turns of a session come to. Last: how many of those that the provider answered have a latency.
-- They are found by the session's messages, which spares each turn an index to write. The unary plus keeps to that:
-- the user may have many more turns.
SELECT
    count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), sum(cost),
    avg(latency_ms) FILTER (WHERE error_status IS NULL), count(latency_ms) FILTER (WHERE error_status IS NULL)
FROM turns
WHERE turn_id IN (SELECT turn_id FROM messages WHERE session_id = :session_id)
    AND session_id = :session_id AND +user_id = :user_id;

-- name: nth_latency
-- Of the latencies that sum_turns counts, the shortest with so many before it.
SELECT latency_ms FROM turns
WHERE turn_id IN (SELECT turn_id FROM messages WHERE session_id = :session_id)
    AND session_id = :session_id AND +user_id = :user_id AND error_status IS NULL AND latency_ms IS NOT NULL
ORDER BY latency_ms
LIMIT 1 OFFSET :before;

-- name: list_messages
-- One page of a session's messages, oldest first.
SELECT
    id, seq, turn_id, role, CAST(body AS BLOB), tokens, status, created_at, latency_ms, ttft_ms, model, metadata
FROM messages
WHERE session_id = :session_id
ORDER BY seq
LIMIT :limit OFFSET :offset;

-- name: read_messages
-- The messages that follow one, oldest first: a range of the primary key.
SELECT
    id, seq, turn_id, role, CAST(body AS BLOB), tokens, status, created_at, latency_ms, ttft_ms, model, metadata
FROM messages
WHERE session_id = :session_id AND seq > :after
ORDER BY seq
LIMIT :limit;


-- name: newest_messages
-- The newest messages of a session that can be injected, newest first: a range at the end of the primary key, so
-- that the cost does not depend on what lies before it.
SELECT seq, role, CAST(body AS BLOB), tokens, encoding, status
FROM messages
WHERE session_id = :session_id AND seq > :after AND status <> 'failed'
ORDER BY seq DESC
LIMIT :limit;

-- name: grow_sessions
-- Make room for the messages of turns, each of another session, and count them. A session that was deleted meanwhile
-- still takes the turn that had begun before.
WITH turn (id, user_id, created_at, messages, failed, tokens, exchange, instructions, at) AS (VALUES
    (?, ?, ?, ?, ?, ?, ?, ?, ?)
)
UPDATE OR ROLLBACK sessions SET
    message_count = message_count + turn.messages,
    failed_count = failed_count + turn.failed,
    total_tokens = total_tokens + turn.tokens,
    last_seq = last_seq + turn.messages,
    exchange_seq = CASE WHEN turn.exchange THEN last_seq + turn.exchange ELSE exchange_seq END,
    instructions = coalesce(turn.instructions, sessions.instructions),
    last_message_at = turn.at,
    updated_at = turn.at
FROM turn
WHERE sessions.id = turn.id AND sessions.user_id = turn.user_id
    AND sessions.created_at = coalesce(turn.created_at, sessions.created_at);

-- name: last_seqs
-- The seqs of the last messages of the sessions that grow_sessions found, by id: one value, since each row would be a
-- step of its own.
WITH turn (id, user_id, created_at) AS (VALUES
    (?, ?, ?)
)
SELECT json_group_object(s.id, s.last_seq)
FROM turn AS t JOIN sessions AS s ON s.id = t.id
WHERE s.user_id = t.user_id AND s.created_at = coalesce(t.created_at, s.created_at);

-- name: add_messages
-- Append messages.
INSERT OR ROLLBACK INTO messages (
    session_id, seq, id, turn_id, role, body, tokens, encoding, status, created_at, latency_ms, ttft_ms, model, metadata
) VALUES
    (?, ?, ?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?, ?)
;

-- fragment: ledger_columns
-- A row of the ledger in the order of rows.py.
turn_id, request_id, user_id, key_id, session_id, model, provider, provider_model, stream, status, created_at,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, usage_estimated, cost, finish_reason,
    error_status, error_code, latency_ms, ttft_ms, overhead_ms, history_messages, history_tokens, history_trimmed,
    deployment

-- name: add_ledger_entries
-- Write rows of the ledger; without what a client could have chosen if the user was erased meanwhile.
WITH entry ({ledger_columns}) AS (VALUES
    (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
)
INSERT OR ROLLBACK INTO turns ({ledger_columns})
SELECT
    turn_id, CASE WHEN u.id IS NULL THEN '' ELSE request_id END, user_id, key_id,
    CASE WHEN u.id IS NOT NULL THEN session_id END, model, provider, provider_model, stream, status, created_at,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, usage_estimated, cost, finish_reason,
    error_status, error_code, latency_ms, ttft_ms, overhead_ms, history_messages, history_tokens, history_trimmed,
    deployment
FROM entry LEFT JOIN users AS u ON u.id = entry.user_id;


-- name: usage
-- What turns came to, of one user, or of everyone if that is null; in no order. Whichever branch is meant, it goes by
-- an index, and the other reads nothing.
SELECT
    grouped,
    CASE :group_by
        WHEN 'user' THEN (SELECT name FROM users WHERE id = grouped)
        WHEN 'key' THEN (SELECT name FROM api_keys WHERE id = grouped)
    END,
    turns, failed_turns, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, cost, unpriced_turns
FROM (
    SELECT
        CASE :group_by
            WHEN 'user' THEN user_id
            WHEN 'key' THEN key_id
            WHEN 'model' THEN model
            WHEN 'session' THEN session_id
            WHEN 'day' THEN strftime('%Y-%m-%d', created_at / 1000000, 'unixepoch')
            WHEN 'hour' THEN strftime('%Y-%m-%dT%H:00:00Z', created_at / 1000000, 'unixepoch')
        END AS grouped,
        count(*) AS turns,
        count(*) FILTER (WHERE status = 'failed') AS failed_turns,
        sum(prompt_tokens) AS prompt_tokens,
        sum(completion_tokens) AS completion_tokens,
        sum(cached_tokens) AS cached_tokens,
        sum(reasoning_tokens) AS reasoning_tokens,
        sum(cost) AS cost,
        count(*) - count(cost) AS unpriced_turns
    FROM (
        SELECT
            user_id, key_id, session_id, model, status, created_at, prompt_tokens, completion_tokens, cached_tokens,
            reasoning_tokens, cost
        FROM turns
        WHERE :user_id IS NULL AND created_at >= :since AND created_at < :until
        UNION ALL
        SELECT
            user_id, key_id, session_id, model, status, created_at, prompt_tokens, completion_tokens, cached_tokens,
            reasoning_tokens, cost
        FROM turns
        WHERE user_id = :user_id AND created_at >= :since AND created_at < :until
    )
    GROUP BY 1
    LIMIT :limit
);


-- fragment: is_chosen
-- What a TurnFilter says beyond user and time, by which an index finds turns.
(:key_id IS NULL OR key_id = :key_id)
    AND (:session_id IS NULL OR session_id = :session_id)
    AND (:model IS NULL OR model = :model)
    AND (:status IS NULL OR status = :status)
    AND (:error IS NULL OR error_code = :error OR CAST(error_status AS TEXT) = :error)

-- name: newest_turns
-- One page of everyone's ledger, each row with its user's name in front.
SELECT
    (SELECT name FROM users WHERE id = turns.user_id),
    {ledger_columns}
FROM turns
WHERE created_at >= :since AND created_at < :until
    AND {is_chosen}
ORDER BY created_at DESC, turn_id DESC
LIMIT :limit OFFSET :offset;

-- name: newest_turns_of_user
-- One page of a user's ledger, otherwise as newest_turns.
SELECT
    (SELECT name FROM users WHERE id = turns.user_id),
    {ledger_columns}
FROM turns
WHERE user_id = :user_id AND created_at >= :since AND created_at < :until
    AND {is_chosen}
ORDER BY created_at DESC, turn_id DESC
LIMIT :limit OFFSET :offset;

-- name: slowest_turns
-- As newest_turns, of one user, or of everyone if that is null. Whichever branch is meant, it goes by an index, and the
-- other reads nothing. Turns without a latency come last.
SELECT
    (SELECT name FROM users WHERE id = turns.user_id),
    {ledger_columns}
FROM (
    SELECT {ledger_columns}
    FROM turns
    WHERE :user_id IS NULL AND created_at >= :since AND created_at < :until
    UNION ALL
    SELECT {ledger_columns}
    FROM turns
    WHERE user_id = :user_id AND created_at >= :since AND created_at < :until
) AS turns
WHERE {is_chosen}
ORDER BY latency_ms DESC, turn_id DESC
LIMIT :limit OFFSET :offset;

-- name: activity
-- What turns came to in each step of time, with their durations; otherwise as slowest_turns. The turns of a step come
-- in parts of no more than a few thousand, by where they lie in the table, so that no list of durations is very long.
SELECT
    created_at / :step, count(*), count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'incomplete'), sum(prompt_tokens), sum(completion_tokens), sum(cost),
    json_group_array(latency_ms) FILTER (WHERE latency_ms IS NOT NULL AND error_status IS NULL),
    json_group_array(ttft_ms) FILTER (WHERE ttft_ms IS NOT NULL AND error_status IS NULL),
    json_group_array(overhead_ms) FILTER (WHERE overhead_ms IS NOT NULL)
FROM (
    SELECT
        rowid AS place, key_id, session_id, model, status, created_at, prompt_tokens, completion_tokens,
        cost, error_status, error_code, latency_ms, ttft_ms, overhead_ms
    FROM turns
    WHERE :user_id IS NULL AND created_at >= :since AND created_at < :until
    UNION ALL
    SELECT
        rowid AS place, key_id, session_id, model, status, created_at, prompt_tokens, completion_tokens,
        cost, error_status, error_code, latency_ms, ttft_ms, overhead_ms
    FROM turns
    WHERE user_id = :user_id AND created_at >= :since AND created_at < :until
) AS chosen
WHERE {is_chosen}
GROUP BY created_at / :step, place / 4096;

-- name: count_errors
-- The most frequent errors of turns; otherwise as slowest_turns.
SELECT error_code, error_status, count(*)
FROM (
    SELECT
        key_id, session_id, model, status, error_status, error_code
    FROM turns
    WHERE :user_id IS NULL AND created_at >= :since AND created_at < :until
    UNION ALL
    SELECT
        key_id, session_id, model, status, error_status, error_code
    FROM turns
    WHERE user_id = :user_id AND created_at >= :since AND created_at < :until
) AS chosen
WHERE {is_chosen}
    AND error_status IS NOT NULL
GROUP BY error_status, error_code
ORDER BY count(*) DESC, error_status, coalesce(error_code, '')
LIMIT :limit;


-- name: has_earlier_ticket
-- Whether somebody waits for the session with an earlier ticket than this one; anybody, if this is none.
SELECT EXISTS (
    SELECT 1 FROM turn_queue
    WHERE session_id = :session_id AND expires_at > :now AND (:ticket IS NULL OR ticket < :ticket)
);

-- name: add_ticket
-- Wait for a session.
INSERT INTO turn_queue (session_id, expires_at) VALUES (:session_id, :expires_at) RETURNING ticket;

-- name: renew_tickets
-- Let these tickets, given as a JSON array, last.
UPDATE turn_queue SET expires_at = :expires_at WHERE ticket IN (SELECT value FROM json_each(:tickets));

-- name: remove_lapsed_tickets
-- Tickets of processes that have died.
DELETE FROM turn_queue WHERE expires_at <= :now;

-- name: remove_ticket
-- Wait no longer.
DELETE FROM turn_queue WHERE ticket = :ticket;


-- name: queue_title
-- Say that the index lacks a session's title. A version is a random number: another one for each title, and never again
-- one that somebody has read before.
INSERT INTO search_queue (session_id, user_id, version) VALUES (:session_id, :user_id, random())
ON CONFLICT (session_id) DO UPDATE SET version = excluded.version;

-- name: queue_messages
-- Say that the index lacks messages of sessions: nothing to be written for those that are queued already. That there
-- are more of them than somebody has read shows in the session's last_seq.
INSERT INTO search_queue (session_id, user_id, version) VALUES
    (?, ?, random())
ON CONFLICT (session_id) DO NOTHING;

-- name: list_search_queue
-- Sessions of which the index lacks something.
SELECT q.session_id, q.user_id, q.version, s.created_at, s.last_seq, s.name
FROM search_queue AS q JOIN sessions AS s ON s.id = q.session_id
LIMIT :limit;

-- name: list_search_queue_of_user
-- As list_search_queue, of one user.
SELECT q.session_id, q.user_id, q.version, s.created_at, s.last_seq, s.name
FROM search_queue AS q JOIN sessions AS s ON s.id = q.session_id
WHERE q.user_id = :user_id
LIMIT :limit;

-- name: count_search_queue
-- How many sessions those are, but no more than are asked for.
SELECT count(*) FROM (SELECT 1 FROM search_queue LIMIT :limit);

-- name: list_unindexed_messages
-- The messages of a session that follow the last one in the index: they come there in their order.
SELECT seq, CAST(body AS BLOB) FROM messages
WHERE session_id = :session_id
    AND seq > (SELECT coalesce(max(seq), 0) FROM search_texts WHERE session_id = :session_id)
ORDER BY seq
LIMIT :limit;

-- name: is_same_session
-- Whether the session is still the one that was read: its id may have been given anew.
SELECT EXISTS (
    SELECT 1 FROM sessions WHERE id = :session_id AND user_id = :user_id AND created_at = :created_at
);

-- name: add_text
-- Put the words of a message into the index, unless somebody else was faster.
INSERT INTO search_texts (session_id, seq, owner, words) VALUES (:session_id, :seq, :user_id, :words)
ON CONFLICT (session_id, seq) DO NOTHING;

-- name: set_title
-- Put the words of a title into the index, in place of those that were there.
INSERT INTO search_texts (session_id, seq, owner, words) VALUES (:session_id, :seq, :user_id, :words)
ON CONFLICT (session_id, seq) DO UPDATE SET words = excluded.words;

-- name: remove_title
-- The session has none any longer.
DELETE FROM search_texts WHERE session_id = :session_id AND seq = :seq;

-- name: leave_search_queue
-- The index has all of the session, unless that has got another title or more messages since it was read.
DELETE FROM search_queue
WHERE session_id = :session_id AND version = :version
    AND :last_seq = (SELECT last_seq FROM sessions WHERE id = :session_id);

-- name: search
-- One page of a user's texts that match, the best first, of equals the newest. Bodies are read last, of that page only.
WITH found AS (
    SELECT
        t.session_id, t.seq, s.name, coalesce(m.created_at, s.created_at) AS created_at,
        bm25(search_index, 0.0, 1.0) AS rank
    FROM search_index
    JOIN search_texts AS t ON t.id = search_index.rowid
    JOIN sessions AS s ON s.id = t.session_id
    LEFT JOIN messages AS m ON m.session_id = t.session_id AND m.seq = t.seq
    WHERE search_index MATCH :match
        AND s.user_id = :user_id AND s.deleted_at IS NULL AND (s.archived_at IS NULL OR :include_archived)
    ORDER BY rank, created_at DESC, t.session_id, t.seq
    LIMIT :limit OFFSET :offset
)
SELECT f.session_id, f.name, f.seq, m.id, m.role, CAST(m.body AS BLOB), f.created_at
FROM found AS f LEFT JOIN messages AS m ON m.session_id = f.session_id AND m.seq = f.seq
ORDER BY f.rank, f.created_at DESC, f.session_id, f.seq;


-- name: list_due_sessions
-- Sessions to be purged: those that were deleted long ago, and those that have outlived their time.
SELECT user_id, id FROM sessions WHERE deleted_at < :deleted_before
UNION ALL
SELECT user_id, id FROM sessions
WHERE ttl_seconds IS NOT NULL AND coalesce(last_message_at, created_at) + ttl_seconds * 1000000 < :now
    AND NOT coalesce(deleted_at < :deleted_before, FALSE)
LIMIT :limit;

-- name: is_due
-- Whether one of them still is.
SELECT EXISTS (
    SELECT 1 FROM sessions
    WHERE id = :session_id
        AND (
            deleted_at < :deleted_before
            OR coalesce(last_message_at, created_at) + ttl_seconds * 1000000 < :now
        )
);

-- name: last_of_oldest
-- The seq of the last of so many messages, counted from the oldest.
SELECT max(seq) FROM (SELECT seq FROM messages WHERE session_id = :session_id ORDER BY seq LIMIT :limit);

-- name: remove_texts_through
-- Remove what is searched of the oldest messages.
DELETE FROM search_texts WHERE session_id = :session_id AND seq <= :seq;

-- name: remove_messages_through
-- Remove the oldest messages.
DELETE FROM messages WHERE session_id = :session_id AND seq <= :seq;

-- name: has_messages
-- Whether the session has any messages left.
SELECT EXISTS (SELECT 1 FROM messages WHERE session_id = :session_id);

-- name: hide_session
-- Hide a session that is being purged.
UPDATE sessions SET deleted_at = coalesce(deleted_at, :now) WHERE id = :session_id;

-- name: list_idle_sessions
-- Sessions that have not been used for long.
SELECT user_id, id FROM sessions
WHERE deleted_at IS NULL AND coalesce(last_message_at, created_at) < :inactive_before
LIMIT :limit;

-- name: delete_idle_session
-- Hide one of them, if it still is one.
UPDATE sessions SET deleted_at = :now, updated_at = :now
WHERE id = :session_id AND deleted_at IS NULL AND coalesce(last_message_at, created_at) < :inactive_before;

-- name: remove_old_turns
-- Remove old rows of the ledger, the oldest first.
DELETE FROM turns
WHERE rowid IN (SELECT rowid FROM turns WHERE created_at < :ledger_before ORDER BY created_at LIMIT :limit);

-- name: merge_search_index
-- One step of writing the index anew, of at most so many pages.
INSERT INTO search_index (search_index, rank) VALUES ('merge', :pages);


-- name: add_audit
-- Note one operation.
INSERT INTO audit_log (id, at, action, target, actor_user_id, actor_key_id, request_id, details)
VALUES (:id, :at, :action, :target, :actor_user_id, :actor_key_id, :request_id, :details);

-- name: list_audit
-- One page of what was done, newest first.
SELECT id, at, action, target, actor_user_id, actor_key_id, request_id, details
FROM audit_log
ORDER BY at DESC, id DESC
LIMIT :limit OFFSET :offset;
