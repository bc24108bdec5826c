-- Every statement of the PostgreSQL adapter. A block starts with its name and says what it does.
-- A fragment is a part of statements, which have its name in braces.
-- rows.py depends on the order of the columns, the works on that of the parameters.
-- Statements that change several tables do so in CTEs: one round trip, one transaction. All parts of such a statement
-- see the database as it was before it; what one part is to know of another comes by RETURNING.


-- name: has_schema
-- Whether a gateway has ever made its tables here. Locking pg_class, to read it, is what makes the server look whether
-- others have made tables since the transaction began; to_regclass alone believes its cache.
SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('gateway_schema_version'));

-- name: current_revision
-- Which revision of the schema the database is at.
SELECT version_num FROM gateway_schema_version;

-- name: lock_schema
-- Wait until no other process upgrades this database; until the end of the transaction no other one will.
SELECT pg_advisory_xact_lock(7092113025110447204);

-- name: ping
-- Read from a table, so that the answer is the database's and not only the server's.
SELECT EXISTS (SELECT FROM api_keys);


-- name: lock_first_keys
-- Until the end of the transaction no other process adds the first keys.
SELECT pg_advisory_xact_lock(7092113025110447206);

-- name: has_keys
-- Whether any key was ever created; keys are revoked, never removed but with their user.
SELECT EXISTS (SELECT FROM api_keys);

-- name: add_user
-- $1 id, $2 name, $3 limits, $4 disabled since. Make a user, unless the name is taken: then the stored user keeps its
-- id. Answers only if one was made.
INSERT INTO users (id, name, limits, disabled_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING RETURNING id;

-- name: find_user_by_name
-- $1 name.
SELECT id, name, limits, disabled_at FROM users WHERE name = $1;

-- name: find_user
-- $1 user.
SELECT id, name, limits, disabled_at FROM users WHERE id = $1;

-- name: update_user
-- $1 user, $2 limits, $3 disabled since: all that can be changed, in the transaction that locked the user.
UPDATE users SET limits = $2, disabled_at = $3 WHERE id = $1;

-- name: list_users
-- $1 limit, $2 offset. Oldest first.
SELECT id, name, limits, disabled_at FROM users ORDER BY id LIMIT $1 OFFSET $2;

-- name: lock_user
-- $1 user. Let nobody change the user, or give them a key or a session, until the transaction ends.
SELECT id, name, limits, disabled_at FROM users WHERE id = $1 FOR UPDATE;

-- name: lock_owner
-- $1 key. Let nobody erase the key's user until the transaction ends: to be locked before the key, as by who erases.
SELECT u.id FROM users AS u JOIN api_keys AS k ON k.user_id = u.id WHERE k.id = $1 FOR KEY SHARE OF u;

-- name: erase_user
-- $1 user. What is left of a user without sessions. Ledger rows stay, without what clients can choose.
WITH keys AS (
    DELETE FROM api_keys WHERE user_id = $1
), ledger AS (
    UPDATE turns SET session_id = NULL, request_id = '' WHERE user_id = $1
)
DELETE FROM users WHERE id = $1;

-- name: add_key
-- $1 id, $2 the user's name, $3 name, $4 scopes, $5 hash, $6 created, $7 expires, $8 revoked, $9 last used, $10 allowed
-- models, $11 limits.
INSERT INTO api_keys (
    id, user_id, name, scopes, hash, created_at, expires_at, revoked_at, last_used_at, allowed_models, limits
)
SELECT $1, users.id, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM users WHERE users.name = $2;

-- name: find_key
-- $1 key. One key with its user.
SELECT
    k.id, u.id, u.name, u.limits, u.disabled_at, k.name, k.scopes, k.hash, k.created_at, k.expires_at, k.revoked_at,
    k.last_used_at, k.allowed_models, k.limits
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE k.id = $1;

-- name: list_keys
-- $1 a user's name, or null for everyone's. Oldest first.
SELECT
    k.id, u.id, u.name, u.limits, u.disabled_at, k.name, k.scopes, k.hash, k.created_at, k.expires_at, k.revoked_at,
    k.last_used_at, k.allowed_models, k.limits
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE $1::text IS NULL OR u.name = $1
ORDER BY k.created_at, k.id;

-- name: revoke_key
-- $1 key, $2 when. Answers only the first time.
UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id;

-- name: lock_key
-- $1 key. As find_key; nobody else changes the key until the transaction ends.
SELECT
    k.id, u.id, u.name, u.limits, u.disabled_at, k.name, k.scopes, k.hash, k.created_at, k.expires_at, k.revoked_at,
    k.last_used_at, k.allowed_models, k.limits
FROM api_keys AS k JOIN users AS u ON u.id = k.user_id
WHERE k.id = $1
FOR NO KEY UPDATE OF k;

-- name: update_key
-- $1 key, $2 name, $3 scopes, $4 allowed models, $5 limits, $6 expires: all that can be changed, in the transaction that
-- locked it.
UPDATE api_keys SET name = $2, scopes = $3, allowed_models = $4, limits = $5, expires_at = $6 WHERE id = $1;

-- name: note_key_uses
-- $1 keys, $2 when each was last used. A key whose row somebody has locked is left: so nobody can wait in a circle.
WITH free AS (
    SELECT k.id, used.at
    FROM api_keys AS k JOIN unnest($1::text[], $2::timestamptz[]) AS used (id, at) ON used.id = k.id
    WHERE k.last_used_at IS NULL OR k.last_used_at < used.at
    FOR NO KEY UPDATE OF k SKIP LOCKED
)
UPDATE api_keys SET last_used_at = free.at FROM free WHERE api_keys.id = free.id;


-- name: create_session
-- $1 to $19 the session's columns. Store a session, unless its id is taken, by whomever. Answers with the id if it was
-- free.
WITH created AS (
    INSERT INTO sessions (
        id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
        failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at,
        ttl_seconds
    ) VALUES (
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
    ) ON CONFLICT (id) DO NOTHING
    RETURNING id, user_id, name
), queued AS (
    INSERT INTO search_queue (session_id, user_id)
    SELECT id, user_id FROM created WHERE name IS NOT NULL
    ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
)
SELECT id FROM created;

-- name: find_session
-- $1 session, $2 user.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL;

-- name: list_sessions
-- $1 user, $2 with archived ones, $3 limit, $4 offset. Newest first.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE user_id = $1 AND deleted_at IS NULL AND (archived_at IS NULL OR $2)
ORDER BY created_at DESC, id DESC
LIMIT $3 OFFSET $4;

-- name: list_sessions_with_metadata
-- As list_sessions; $5 the metadata that they must have, which another index can look for.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE user_id = $1 AND deleted_at IS NULL AND (archived_at IS NULL OR $2) AND metadata @> $5
ORDER BY created_at DESC, id DESC
LIMIT $3 OFFSET $4;

-- name: scan_sessions
-- $1 after which id, $2 limit.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE id > $1 AND deleted_at IS NULL
ORDER BY id
LIMIT $2;

-- name: scan_sessions_of_user
-- As scan_sessions; $3 user.
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM sessions
WHERE id > $1 AND deleted_at IS NULL AND user_id = $3
ORDER BY id
LIMIT $2;

-- name: update_session
-- $1 session, $2 user, $3 when, $4 names of the fields to set, $5 to $11 their values. The others keep theirs.
WITH updated AS (
    UPDATE sessions SET
        name = CASE WHEN 'name' = ANY ($4::text[]) THEN $5 ELSE name END,
        model = CASE WHEN 'model' = ANY ($4) THEN $6 ELSE model END,
        max_history_messages = CASE WHEN 'max_history_messages' = ANY ($4) THEN $7 ELSE max_history_messages END,
        instructions = CASE WHEN 'instructions' = ANY ($4) THEN $8 ELSE instructions END,
        metadata = CASE WHEN 'metadata' = ANY ($4) THEN $9 ELSE metadata END,
        ttl_seconds = CASE WHEN 'ttl_seconds' = ANY ($4) THEN $10 ELSE ttl_seconds END,
        archived_at = CASE WHEN 'archived_at' = ANY ($4) THEN $11 ELSE archived_at END,
        updated_at = $3
    WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
    RETURNING *
), queued AS (
    INSERT INTO search_queue (session_id, user_id)
    SELECT id, user_id FROM updated WHERE 'name' = ANY ($4)
    ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
)
SELECT
    id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
    failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at, ttl_seconds
FROM updated;

-- name: delete_session
-- $1 session, $2 user, $3 when. Hide a session.
UPDATE sessions SET deleted_at = $3, updated_at = $3
WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
RETURNING id;

-- name: purge_session
-- $1 session, $2 user. Remove a session, deleted or not; its messages leave with it.
DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING id;

-- name: purge_sessions_of_user
-- $1 user.
DELETE FROM sessions WHERE user_id = $1 RETURNING id;

-- name: forget_sessions
-- $1 ids of sessions that were removed. To be run after that, in the same transaction: what was written beside them
-- by somebody who came first can then be seen.
WITH texts AS (
    DELETE FROM search_texts WHERE session_id = ANY ($1::text[])
), queue AS (
    DELETE FROM search_queue WHERE session_id = ANY ($1)
)
DELETE FROM turn_queue WHERE session_id = ANY ($1);

-- name: session_stats
-- $1 session, $2 user.
SELECT
    s.message_count, s.total_tokens, t.turns, t.prompt_tokens, t.completion_tokens, t.cost, t.average, t.p95,
    s.created_at, s.last_message_at
FROM sessions AS s, LATERAL (
    SELECT
        count(*) AS turns,
        coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
        coalesce(sum(completion_tokens), 0) AS completion_tokens,
        sum(cost) AS cost,
        avg(latency_ms) FILTER (WHERE error_status IS NULL) AS average,
        percentile_disc(0.95) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE error_status IS NULL) AS p95
    FROM turns
    WHERE session_id = s.id AND user_id = s.user_id
) AS t
WHERE s.id = $1 AND s.user_id = $2 AND s.deleted_at IS NULL;


-- name: list_messages
-- $1 session, $2 user, $3 limit, $4 offset. Oldest first. The limit is hidden from the planner, which would sort the
-- whole session for one that it knows. One row of nulls for a session without such messages, none
-- for no session.
SELECT m.*
FROM (SELECT id FROM sessions WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL) AS s
LEFT JOIN LATERAL (
    SELECT id, seq, turn_id, role, body, tokens, status, created_at, latency_ms, ttft_ms, model, metadata
    FROM messages
    WHERE session_id = s.id
    ORDER BY seq
    LIMIT (SELECT $3::bigint) OFFSET $4
) AS m ON true
ORDER BY m.seq;

-- name: read_messages
-- $1 session, $2 user, $3 after which seq, $4 limit. Otherwise as list_messages.
SELECT m.*
FROM (SELECT id FROM sessions WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL) AS s
LEFT JOIN LATERAL (
    SELECT id, seq, turn_id, role, body, tokens, status, created_at, latency_ms, ttft_ms, model, metadata
    FROM messages
    WHERE session_id = s.id AND seq > $3
    ORDER BY seq
    LIMIT (SELECT $4::bigint)
) AS m ON true
ORDER BY m.seq;

-- name: add_messages
-- $1 session, $2 user, $3 turn, $4 status, $5 when; $6 to $10 by how much the session grows: messages, failed ones,
-- tokens, the place of the newest exchange among them or 0, instructions or null; $11 to $19 the messages' columns.
-- Answers with the session's last seq before them; not at all if there is no session that takes them.
WITH grown AS (
    UPDATE sessions SET
        message_count = message_count + $6::bigint,
        failed_count = failed_count + $7::bigint,
        total_tokens = total_tokens + $8::bigint,
        last_seq = last_seq + $6::bigint,
        exchange_seq = CASE WHEN $9::bigint > 0 THEN last_seq + $9::bigint ELSE exchange_seq END,
        instructions = coalesce($10, instructions),
        last_message_at = $5,
        updated_at = $5
    WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL AND archived_at IS NULL
    RETURNING last_seq - $6::bigint AS seq_before
), added AS (
    INSERT INTO messages (
        session_id, seq, id, turn_id, role, body, tokens, encoding, status, created_at, latency_ms, ttft_ms, model,
        metadata
    )
    SELECT
        $1, seq_before + m.place, m.id, $3, m.role, m.body, m.tokens, m.encoding, $4, $5, m.latency_ms,
        m.ttft_ms, m.model, m.metadata
    FROM grown, unnest(
        $11::text[], $12::text[], $13::text[], $14::integer[], $15::text[],
        $16::float8[], $17::float8[], $18::text[], $19::text[]
    ) WITH ORDINALITY AS m (id, role, body, tokens, encoding, latency_ms, ttft_ms, model, metadata, place)
), queued AS (
    INSERT INTO search_queue (session_id, user_id)
    SELECT $1, $2 FROM grown WHERE $6 > 0
    ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
)
SELECT seq_before FROM grown;


-- name: read_turn
-- $1 session, $2 user, $3 limit or null for the session's own, $4 known seq, $5 known epoch. The session, the seq up to
-- which the caller's messages hold (rules.read_after), and the newest messages after it, at most so many as can be
-- wanted (rules.most_messages): newest first, an array a column. A range at the end of the primary key, so that the
-- cost does not depend on what lies before it.
WITH found AS (
    SELECT
        sessions.*,
        CASE WHEN epoch = $5 AND $4 <= last_seq THEN $4::bigint ELSE 0 END AS after,
        greatest(
            coalesce($3, max_history_messages), CASE WHEN exchange_seq > 0 THEN last_seq - exchange_seq + 1 ELSE 0 END
        ) AS most
    FROM sessions
    WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
)
SELECT
    found.id, found.user_id, found.name, found.model, found.max_history_messages, found.instructions, found.metadata,
    found.created_at, found.updated_at, found.message_count, found.failed_count, found.total_tokens, found.last_seq,
    found.exchange_seq, found.epoch, found.last_message_at, found.archived_at, found.deleted_at, found.ttl_seconds,
    found.after, newest.seqs, newest.roles, newest.bodies, newest.tokens, newest.encodings, newest.statuses
FROM found
LEFT JOIN LATERAL (
    SELECT
        array_agg(seq) AS seqs, array_agg(role) AS roles, array_agg(body) AS bodies, array_agg(tokens) AS tokens,
        array_agg(encoding) AS encodings, array_agg(status) AS statuses
    FROM (
        SELECT seq, role, body, tokens, encoding, status
        FROM messages
        WHERE session_id = found.id AND seq > found.after AND status <> 'failed'
        ORDER BY seq DESC
        LIMIT found.most
    ) AS newest_first
) AS newest ON found.archived_at IS NULL;

-- name: open_turn
-- As read_turn; $6 who wants to hold the session, $7 its ticket or null, $8 for how many seconds, $9 to $27 the columns
-- of the session to make and hold if there is none of that id, or nulls. Always answers with one row; with nulls where
-- no session was found. Its last columns are whether one was made, and what a session that was found is like as it is
-- held, null if it is not. These three may be newer than the rest: the UPDATE waits for others to finish with the row
-- and then works on what they left, while all else is as it was at the beginning.
WITH found AS (
    SELECT
        sessions.*,
        CASE WHEN epoch = $5 AND $4 <= last_seq THEN $4::bigint ELSE 0 END AS after,
        greatest(
            coalesce($3, max_history_messages), CASE WHEN exchange_seq > 0 THEN last_seq - exchange_seq + 1 ELSE 0 END
        ) AS most
    FROM sessions
    WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
), held AS (
    UPDATE sessions SET lock_holder = $6, lock_until = now() + make_interval(secs => $8)
    WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL AND archived_at IS NULL AND (
        lock_holder = $6
        OR (lock_holder IS NULL OR lock_until < now()) AND NOT EXISTS (
            SELECT FROM turn_queue
            WHERE session_id = $1 AND expires_at > now() AND ($7::bigint IS NULL OR ticket < $7)
        )
    )
    RETURNING last_seq, epoch, updated_at
), created AS (
    INSERT INTO sessions (
        id, user_id, name, model, max_history_messages, instructions, metadata, created_at, updated_at, message_count,
        failed_count, total_tokens, last_seq, exchange_seq, epoch, last_message_at, archived_at, deleted_at,
        ttl_seconds, lock_holder, lock_until
    )
    SELECT
        $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $6,
        now() + make_interval(secs => $8)
    WHERE $9::text IS NOT NULL AND NOT EXISTS (SELECT FROM found)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, user_id, name
), queued AS (
    INSERT INTO search_queue (session_id, user_id)
    SELECT id, user_id FROM created WHERE name IS NOT NULL
    ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
)
SELECT
    found.id, found.user_id, found.name, found.model, found.max_history_messages, found.instructions, found.metadata,
    found.created_at, found.updated_at, found.message_count, found.failed_count, found.total_tokens, found.last_seq,
    found.exchange_seq, found.epoch, found.last_message_at, found.archived_at, found.deleted_at, found.ttl_seconds,
    found.after, newest.seqs, newest.roles, newest.bodies, newest.tokens, newest.encodings, newest.statuses,
    creation.is_done, held.last_seq, held.epoch, held.updated_at
FROM (SELECT EXISTS (SELECT FROM created) AS is_done) AS creation
LEFT JOIN found ON true
LEFT JOIN held ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(seq) AS seqs, array_agg(role) AS roles, array_agg(body) AS bodies, array_agg(tokens) AS tokens,
        array_agg(encoding) AS encodings, array_agg(status) AS statuses
    FROM (
        SELECT seq, role, body, tokens, encoding, status
        FROM messages
        WHERE session_id = found.id AND seq > found.after AND status <> 'failed'
        ORDER BY seq DESC
        LIMIT found.most
    ) AS newest_first
) AS newest ON held.last_seq IS NOT NULL;

-- name: queue_turn
-- $1 session, $2 user, $3 for how many seconds. Answers with the ticket.
INSERT INTO turn_queue (session_id, expires_at)
SELECT id, now() + make_interval(secs => $3) FROM sessions WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
RETURNING ticket;

-- name: renew_holds
-- $1 sessions, $2 their holders, $3 their tickets, $4 for how many seconds. Also removes tickets that have lapsed.
-- Sessions first, then tickets, as in every statement that locks both: so none of them can wait in a circle. A session
-- whose row somebody has locked is left for the next time, lest it keep the others from being renewed.
WITH hold AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS hold (session_id, holder, ticket)
), free AS (
    SELECT sessions.id
    FROM sessions JOIN hold ON sessions.id = hold.session_id AND sessions.lock_holder = hold.holder
    FOR NO KEY UPDATE OF sessions SKIP LOCKED
), renewed AS (
    UPDATE sessions SET lock_until = now() + make_interval(secs => $4)
    FROM free
    WHERE sessions.id = free.id
    RETURNING sessions.id
), waiting AS (
    UPDATE turn_queue SET expires_at = now() + make_interval(secs => $4)
    FROM hold
    WHERE turn_queue.ticket = hold.ticket AND (SELECT count(*) FROM renewed) >= 0
)
DELETE FROM turn_queue
WHERE expires_at < now() AND NOT EXISTS (SELECT FROM hold WHERE hold.ticket = turn_queue.ticket);

-- name: release_hold
-- $1 session, $2 holder, $3 ticket or null.
WITH released AS (
    UPDATE sessions SET lock_holder = NULL, lock_until = NULL WHERE id = $1 AND lock_holder = $2 RETURNING id
)
DELETE FROM turn_queue WHERE ticket = $3 AND (SELECT count(*) FROM released) >= 0;

-- fragment: ledger_columns
-- A row of the ledger in the order of rows.py.
turn_id, request_id, user_id, key_id, session_id, model, provider, provider_model, stream, status, created_at,
    prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, usage_estimated, cost, finish_reason,
    error_status, error_code, latency_ms, ttft_ms, overhead_ms, history_messages, history_tokens, history_trimmed,
    deployment

-- name: close_turn
-- $1 to $27 the ledger row, of which $3 is the user, $5 the session, $10 the status and $11 the time; $28 to $32 by how
-- much the session grows, as in add_messages; $33 its holder and $34 the ticket, or null; $35 to $43 the messages'
-- columns; $44 when the session was created, or null for any of that id. Answers with the session's last seq before
-- them; not at all if the session is gone: then the ledger row is all that is written. A session that was deleted
-- meanwhile still takes the turn that had begun before. That seqs have no gaps and no doubles rests on there being one
-- UPDATE, which waits for those of others.
WITH grown AS (
    UPDATE sessions SET
        message_count = message_count + $28::bigint,
        failed_count = failed_count + $29::bigint,
        total_tokens = total_tokens + $30::bigint,
        last_seq = last_seq + $28::bigint,
        exchange_seq = CASE WHEN $31::bigint > 0 THEN last_seq + $31::bigint ELSE exchange_seq END,
        instructions = coalesce($32, instructions),
        last_message_at = $11,
        updated_at = $11,
        lock_until = CASE WHEN lock_holder = $33 THEN NULL ELSE lock_until END,
        lock_holder = nullif(lock_holder, $33)
    WHERE id = $5 AND user_id = $3 AND created_at = coalesce($44, created_at)
    RETURNING last_seq - $28::bigint AS seq_before
), added AS (
    INSERT INTO messages (
        session_id, seq, id, turn_id, role, body, tokens, encoding, status, created_at, latency_ms, ttft_ms, model,
        metadata
    )
    SELECT
        $5, seq_before + m.place, m.id, $1, m.role, m.body, m.tokens, m.encoding, $10, $11, m.latency_ms,
        m.ttft_ms, m.model, m.metadata
    FROM grown, unnest(
        $35::text[], $36::text[], $37::text[], $38::integer[], $39::text[],
        $40::float8[], $41::float8[], $42::text[], $43::text[]
    ) WITH ORDINALITY AS m (id, role, body, tokens, encoding, latency_ms, ttft_ms, model, metadata, place)
), queued AS (
    INSERT INTO search_queue (session_id, user_id)
    SELECT $5, $3 FROM grown WHERE $28 > 0
    ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
), unqueued AS (
    DELETE FROM turn_queue WHERE ticket = $34 AND (SELECT count(*) FROM grown) >= 0
), logged AS (
    INSERT INTO turns ({ledger_columns})
    SELECT
        $1, CASE WHEN is_known THEN $2 ELSE '' END, $3, $4, CASE WHEN is_known THEN $5 END, $6, $7, $8, $9, $10, $11,
        $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27
    FROM (SELECT EXISTS (SELECT FROM users WHERE id = $3)) AS owner (is_known)
)
SELECT seq_before FROM grown;

-- name: add_ledger_entry
-- $1 to $27 the ledger row. A turn without a session leaves nothing else. As in close_turn, a user who was erased
-- meanwhile leaves no text that a client could have chosen.
INSERT INTO turns ({ledger_columns})
SELECT
    $1, CASE WHEN is_known THEN $2 ELSE '' END, $3, $4, CASE WHEN is_known THEN $5 END, $6, $7, $8, $9, $10, $11, $12,
    $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27
FROM (SELECT EXISTS (SELECT FROM users WHERE id = $3)) AS owner (is_known);


-- name: usage
-- $1 what to group by, $2 since, $3 until, $4 user or null for everyone, $5 limit. In no order. Whichever branch is
-- meant, it goes by an index, and the other reads nothing.
SELECT
    grouped,
    CASE $1::text
        WHEN 'user' THEN (SELECT name FROM users WHERE id = grouped)
        WHEN 'key' THEN (SELECT name FROM api_keys WHERE id = grouped)
    END,
    turns, failed_turns, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, cost, unpriced_turns
FROM (
    SELECT
        CASE $1::text
            WHEN 'user' THEN user_id
            WHEN 'key' THEN key_id
            WHEN 'model' THEN model
            WHEN 'session' THEN session_id
            WHEN 'day' THEN to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
            WHEN 'hour' THEN to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":00:00Z"')
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
        WHERE $4::text IS NULL AND created_at >= $2 AND created_at < $3
        UNION ALL
        SELECT
            user_id, key_id, session_id, model, status, created_at, prompt_tokens, completion_tokens, cached_tokens,
            reasoning_tokens, cost
        FROM turns
        WHERE user_id = $4 AND created_at >= $2 AND created_at < $3
    ) AS chosen
    GROUP BY 1
    LIMIT $5
) AS sums;


-- fragment: is_chosen
-- What a TurnFilter says beyond user and time, by which an index finds turns: $4 to $8 of newest_turns.
($4::text IS NULL OR key_id = $4)
    AND ($5::text IS NULL OR session_id = $5)
    AND ($6::text IS NULL OR model = $6)
    AND ($7::text IS NULL OR status = $7)
    AND ($8::text IS NULL OR error_code = $8 OR error_status::text = $8)

-- name: newest_turns
-- $1 since, $2 until, $3 user or null for everyone, $4 key, $5 session, $6 model, $7 status, $8 an error's code or its
-- HTTP status, each of them null for any, $9 limit, $10 offset. Each row has its user's name in front. Whichever branch
-- is meant, it goes by an index, and the other reads nothing.
SELECT
    (SELECT name FROM users WHERE id = turns.user_id),
    {ledger_columns}
FROM (
    SELECT {ledger_columns}
    FROM turns
    WHERE $3::text IS NULL AND created_at >= $1 AND created_at < $2
    UNION ALL
    SELECT {ledger_columns}
    FROM turns
    WHERE user_id = $3 AND created_at >= $1 AND created_at < $2
) AS turns
WHERE {is_chosen}
ORDER BY created_at DESC, turn_id DESC
LIMIT $9 OFFSET $10;

-- name: slowest_turns
-- As newest_turns. Turns without a latency come last.
SELECT
    (SELECT name FROM users WHERE id = turns.user_id),
    {ledger_columns}
FROM (
    SELECT {ledger_columns}
    FROM turns
    WHERE $3::text IS NULL AND created_at >= $1 AND created_at < $2
    UNION ALL
    SELECT {ledger_columns}
    FROM turns
    WHERE user_id = $3 AND created_at >= $1 AND created_at < $2
) AS turns
WHERE {is_chosen}
ORDER BY latency_ms DESC NULLS LAST, turn_id DESC
LIMIT $9 OFFSET $10;

-- name: activity
-- $1 to $8 as for newest_turns, $9 the step. What turns came to in each step of time, and, with null for its start,
-- what all of them did. Of each duration: what half, 95 % and 99 % of the turns do not exceed.
SELECT
    start, count(*), count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'incomplete'),
    coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), sum(cost),
    percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE error_status IS NULL),
    percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY ttft_ms) FILTER (WHERE error_status IS NULL),
    percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY overhead_ms)
FROM (
    SELECT
        date_bin($9, created_at, timestamptz '1970-01-01 00:00:00+00') AS start, key_id, session_id, model, status,
        prompt_tokens, completion_tokens, cost, error_status, error_code, latency_ms, ttft_ms, overhead_ms
    FROM turns
    WHERE $3::text IS NULL AND created_at >= $1 AND created_at < $2
    UNION ALL
    SELECT
        date_bin($9, created_at, timestamptz '1970-01-01 00:00:00+00') AS start, key_id, session_id, model, status,
        prompt_tokens, completion_tokens, cost, error_status, error_code, latency_ms, ttft_ms, overhead_ms
    FROM turns
    WHERE user_id = $3 AND created_at >= $1 AND created_at < $2
) AS turns
WHERE {is_chosen}
GROUP BY GROUPING SETS ((start), ())
ORDER BY start NULLS LAST;

-- name: count_errors
-- $1 to $8 as for newest_turns, $9 limit. The most frequent errors.
SELECT error_code, error_status, count(*)
FROM (
    SELECT
        key_id, session_id, model, status, error_status, error_code
    FROM turns
    WHERE $3::text IS NULL AND created_at >= $1 AND created_at < $2
    UNION ALL
    SELECT
        key_id, session_id, model, status, error_status, error_code
    FROM turns
    WHERE user_id = $3 AND created_at >= $1 AND created_at < $2
) AS turns
WHERE {is_chosen}
    AND error_status IS NOT NULL
GROUP BY error_status, error_code
ORDER BY count(*) DESC, error_status, coalesce(error_code, '') COLLATE "C"
LIMIT $9;


-- name: search
-- $1 user, $2 what to look for, as a tsquery, $3 the same without the user, by which is ranked, $4 with archived ones,
-- $5 limit, $6 offset. The best first, then the newest. The share of the words that were looked for is what counts: 2
-- divides by the length of the text.
SELECT
    t.session_id, s.name, t.seq, m.id, m.role, coalesce(m.created_at, s.created_at) AS created_at,
    coalesce(m.body, s.name)
FROM search_texts AS t
JOIN sessions AS s ON s.id = t.session_id
LEFT JOIN messages AS m ON m.session_id = t.session_id AND m.seq = t.seq
WHERE
    t.words @@ $2::text::tsquery AND t.user_id = $1
    AND s.user_id = $1 AND s.deleted_at IS NULL AND (s.archived_at IS NULL OR $4)
ORDER BY ts_rank(t.words, $3::text::tsquery, 2) DESC, created_at DESC, t.session_id, t.seq
LIMIT $5 OFFSET $6;

-- name: sessions_to_index
-- $1 limit. Sessions with something that the search index does not have, and the version that they are read at.
SELECT session_id, version FROM search_queue LIMIT $1;

-- name: sessions_of_user_to_index
-- $1 limit, $2 user.
SELECT session_id, version FROM search_queue WHERE user_id = $2 LIMIT $1;

-- name: count_sessions_to_index
-- $1 limit.
SELECT count(*) FROM (SELECT 1 FROM search_queue LIMIT $1) AS waiting;

-- name: title_to_index
-- $1 session.
SELECT user_id, name, created_at FROM sessions WHERE id = $1;

-- name: messages_to_index
-- $1 session, $2 limit, $3 bytes, which the last of them may exceed. In the order of seq, from the first that is not in
-- the index: every message gets a row there.
SELECT seq, body
FROM (
    SELECT seq, body, sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body) AS bytes_before
    FROM (
        SELECT seq, body
        FROM messages
        WHERE
            session_id = $1
            AND seq > (SELECT coalesce(max(seq), 0) FROM search_texts WHERE session_id = $1)
        ORDER BY seq
        LIMIT $2
    ) AS next
) AS counted
WHERE bytes_before < $3::bigint
ORDER BY seq;

-- name: index_texts
-- $1 session, $2 user, $3 seqs, $4 their texts as tsvectors, $5 when the session was created. Nothing is added for a
-- session that has gone, even if there is another one of that id: its row is locked, so that whoever removes it comes
-- after this, and finds what is to be removed with it.
INSERT INTO search_texts (session_id, seq, user_id, words)
SELECT s.id, t.seq, $2, t.words::tsvector
FROM
    (SELECT id FROM sessions WHERE id = $1 AND created_at = $5 FOR KEY SHARE) AS s,
    unnest($3::bigint[], $4::text[]) AS t (seq, words)
ON CONFLICT (session_id, seq) DO UPDATE SET words = excluded.words;

-- name: end_indexing
-- $1 session, $2 version. Unless something has come since it was read.
DELETE FROM search_queue WHERE session_id = $1 AND version = $2;


-- name: lock_cleaning
-- Whether no other process is cleaning; until the end of the transaction no other one will.
SELECT pg_try_advisory_xact_lock(7092113025110447205);

-- name: hide_due_sessions
-- $1 now, $2 those deleted before this, or null, $3 limit. Sessions to be purged; from now on nobody sees them.
-- One that has a turn stays until it is closed.
UPDATE sessions SET deleted_at = coalesce(deleted_at, $1)
WHERE id IN (
    SELECT id FROM sessions
    WHERE
        (
            deleted_at < $2
            OR ttl_seconds IS NOT NULL
            AND extract(epoch FROM $1 - coalesce(last_message_at, created_at)) > ttl_seconds
        )
        AND (lock_until IS NULL OR lock_until < now())
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: purge_messages
-- $1 ids of sessions, $2 limit. Removes so many of their messages, and says how many.
WITH purged AS (
    DELETE FROM messages
    WHERE (session_id, seq) IN (
        SELECT session_id, seq FROM messages WHERE session_id = ANY ($1::text[]) LIMIT $2
    )
    RETURNING session_id, seq
), unindexed AS (
    DELETE FROM search_texts USING purged
    WHERE search_texts.session_id = purged.session_id AND search_texts.seq = purged.seq
)
SELECT count(*) FROM purged;

-- name: purge_empty_sessions
-- $1 ids of sessions. Removes those whose messages have all gone.
DELETE FROM sessions
WHERE id = ANY ($1::text[]) AND NOT EXISTS (SELECT FROM messages WHERE session_id = sessions.id)
RETURNING id;

-- name: delete_idle_sessions
-- $1 now, $2 those not used since this, $3 limit. Hides them, and says how many.
WITH hidden AS (
    UPDATE sessions SET deleted_at = $1, updated_at = $1
    WHERE id IN (
        SELECT id FROM sessions
        WHERE
            deleted_at IS NULL AND coalesce(last_message_at, created_at) < $2
            AND (lock_until IS NULL OR lock_until < now())
        LIMIT $3
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id
)
SELECT count(*) FROM hidden;

-- name: clean_ledger
-- $1 rows older than this, $2 limit. Removes them, and says how many.
WITH removed AS (
    DELETE FROM turns WHERE turn_id IN (SELECT turn_id FROM turns WHERE created_at < $1 LIMIT $2) RETURNING turn_id
)
SELECT count(*) FROM removed;

-- name: add_audit
-- $1 to $8 the entry's columns.
INSERT INTO audit_log (
    id, at, action, target, actor_user_id, actor_key_id, request_id, details
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: list_audit
-- $1 limit, $2 offset. Newest first.
SELECT id, at, action, target, actor_user_id, actor_key_id, request_id, details
FROM audit_log
ORDER BY at DESC, id DESC
LIMIT $1 OFFSET $2;
