-- The statements of queries.sql that touch sessions or messages, for tables of the host's (storage.schema: external).
-- Same names, same parameters, same columns. What is in braces is put in once, before anything is run: by external.py
-- the names of the two tables from the settings, quoted, and our version; the rest are the fragments of this file.
--
-- A row is ours if it has the key "gateway": a session in state_json, a message in parts_json. Only that key of
-- state_json is ever written, key by key; what else is in it, and columns that are not named here, stay as they are.
-- A message's id begins with its seq in twelve digits: so the order of the primary key is that of the seqs under any
-- collation, and the newest messages are a range at its end.


-- fragment: session_columns
-- A session in the order of rows.py.
session_id AS id,
    state_json -> 'gateway' ->> 'user_id' AS user_id,
    state_json -> 'gateway' ->> 'name' AS name,
    state_json -> 'gateway' ->> 'model' AS model,
    (state_json -> 'gateway' ->> 'max_history_messages')::integer AS max_history_messages,
    state_json -> 'gateway' ->> 'instructions' AS instructions,
    CASE WHEN jsonb_typeof(metadata_json) = 'object' THEN metadata_json ELSE '{}' END AS metadata,
    created_at,
    updated_at,
    (state_json -> 'gateway' ->> 'message_count')::bigint AS message_count,
    (state_json -> 'gateway' ->> 'failed_count')::bigint AS failed_count,
    (state_json -> 'gateway' ->> 'total_tokens')::bigint AS total_tokens,
    (state_json -> 'gateway' ->> 'last_seq')::bigint AS last_seq,
    (state_json -> 'gateway' ->> 'exchange_seq')::bigint AS exchange_seq,
    (state_json -> 'gateway' ->> 'epoch')::bigint AS epoch,
    (state_json -> 'gateway' ->> 'last_message_at')::timestamptz AS last_message_at,
    archived_at,
    (state_json -> 'gateway' ->> 'deleted_at')::timestamptz AS deleted_at,
    (state_json -> 'gateway' ->> 'ttl_seconds')::bigint AS ttl_seconds

-- fragment: message_columns
-- A message in the order of rows.py.
substr(message_id, 14) AS id,
    left(message_id, 12)::bigint AS seq,
    parts_json -> 'gateway' ->> 'turn_id' AS turn_id,
    role,
    parts_json -> 'gateway' ->> 'body' AS body,
    (parts_json -> 'gateway' ->> 'tokens')::integer AS tokens,
    parts_json -> 'gateway' ->> 'status' AS status,
    created_at,
    (parts_json -> 'gateway' ->> 'latency_ms')::float8 AS latency_ms,
    (parts_json -> 'gateway' ->> 'ttft_ms')::float8 AS ttft_ms,
    parts_json -> 'gateway' ->> 'model' AS model,
    parts_json -> 'gateway' ->> 'metadata' AS metadata

-- fragment: refusal
-- To be followed by WHERE. What constraints of our own tables refuse, and the host's may not: one key twice,
-- which no table takes. Its error names this key alone, and nothing that anybody has said.
INSERT INTO turn_queue (ticket, session_id, expires_at)
    SELECT 0, 'refused', now() FROM generate_series(1, 2)


-- name: create_session
-- Its user must exist, and stay until the end of the transaction.
WITH owner AS (
    SELECT id FROM users WHERE id = $2 FOR KEY SHARE
), refused AS (
    {refusal} WHERE NOT EXISTS (SELECT FROM owner)
), created AS (
    INSERT INTO {sessions} (
        session_id, thread_id, sdk_version, metadata_json, created_at, updated_at, archived_at, state_json
    )
    SELECT
        $1, $1, 'llm-history-gateway/{version}', $7::jsonb, $8, $9, $17,
        jsonb_build_object('gateway', jsonb_build_object(
            'user_id', $2, 'name', $3::text, 'model', $4::text, 'max_history_messages', $5::integer,
            'instructions', $6::text, 'message_count', $10::bigint, 'failed_count', $11::bigint,
            'total_tokens', $12::bigint, 'last_seq', $13::bigint, 'exchange_seq', $14::bigint, 'epoch', $15::bigint,
            'last_message_at', $16::timestamptz, 'deleted_at', $18::timestamptz, 'ttl_seconds', $19::bigint
        ))
    FROM owner
    ON CONFLICT (session_id) DO NOTHING
    RETURNING session_id
), queued AS (
    INSERT INTO search_queue (session_id, user_id)
    SELECT session_id, $2 FROM created WHERE $3 IS NOT NULL
    ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
)
SELECT session_id FROM created;

-- name: find_session
SELECT {session_columns}
FROM {sessions}
WHERE
    session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2
    AND state_json -> 'gateway' ->> 'deleted_at' IS NULL;

-- name: list_sessions
SELECT {session_columns}
FROM {sessions}
WHERE
    state_json -> 'gateway' ->> 'user_id' = $1 AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
    AND (archived_at IS NULL OR $2)
ORDER BY created_at DESC, session_id DESC
LIMIT $3 OFFSET $4;

-- name: list_sessions_with_metadata
SELECT {session_columns}
FROM {sessions}
WHERE
    state_json -> 'gateway' ->> 'user_id' = $1 AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
    AND (archived_at IS NULL OR $2) AND metadata_json @> $5
ORDER BY created_at DESC, session_id DESC
LIMIT $3 OFFSET $4;

-- name: scan_sessions
SELECT {session_columns}
FROM {sessions}
WHERE
    session_id > $1 AND state_json -> 'gateway' ? 'user_id' AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
ORDER BY session_id
LIMIT $2;

-- name: scan_sessions_of_user
SELECT {session_columns}
FROM {sessions}
WHERE
    session_id > $1 AND state_json -> 'gateway' ->> 'user_id' = $3
    AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
ORDER BY session_id
LIMIT $2;

-- name: update_session
WITH updated AS (
    UPDATE {sessions} SET
        state_json['gateway'] = (state_json -> 'gateway') || (
            SELECT coalesce(jsonb_object_agg(field, value), '{}')
            FROM (
                VALUES
                    ('name', to_jsonb($5::text)), ('model', to_jsonb($6::text)),
                    ('max_history_messages', to_jsonb($7::integer)), ('instructions', to_jsonb($8::text)),
                    ('ttl_seconds', to_jsonb($10::bigint))
            ) AS changes (field, value)
            WHERE field = ANY ($4::text[])
        ),
        metadata_json = CASE WHEN 'metadata' = ANY ($4) THEN $9::jsonb ELSE metadata_json END,
        archived_at = CASE WHEN 'archived_at' = ANY ($4) THEN $11 ELSE archived_at END,
        updated_at = $3
    WHERE
        session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2
        AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
    RETURNING {session_columns}
), queued AS (
    INSERT INTO search_queue (session_id, user_id)
    SELECT id, user_id FROM updated WHERE 'name' = ANY ($4)
    ON CONFLICT (session_id) DO UPDATE SET version = excluded.version
)
SELECT * FROM updated;

-- name: delete_session
UPDATE {sessions} SET state_json['gateway']['deleted_at'] = to_jsonb($3::timestamptz), updated_at = $3
WHERE
    session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2
    AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
RETURNING session_id;

-- name: purge_session
-- With its messages, lest a foreign key of the host's holds the session back.
WITH purged AS (
    DELETE FROM {sessions} WHERE session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2 RETURNING session_id
), emptied AS (
    DELETE FROM {messages} WHERE thread_id IN (SELECT session_id FROM purged) AND parts_json ? 'gateway'
)
SELECT session_id FROM purged;

-- name: purge_sessions_of_user
WITH purged AS (
    DELETE FROM {sessions} WHERE state_json -> 'gateway' ->> 'user_id' = $1 RETURNING session_id
), emptied AS (
    DELETE FROM {messages} WHERE thread_id IN (SELECT session_id FROM purged) AND parts_json ? 'gateway'
)
SELECT session_id FROM purged;

-- name: forget_sessions
-- Messages too: no foreign key takes those along that came while the session was removed.
WITH emptied AS (
    DELETE FROM {messages} WHERE thread_id = ANY ($1::text[]) AND parts_json ? 'gateway'
), texts AS (
    DELETE FROM search_texts WHERE session_id = ANY ($1)
), queue AS (
    DELETE FROM search_queue WHERE session_id = ANY ($1)
)
DELETE FROM turn_queue WHERE session_id = ANY ($1);

-- name: session_stats
SELECT
    s.message_count, s.total_tokens, t.turns, t.prompt_tokens, t.completion_tokens, t.cost, t.average, t.p95,
    s.created_at, s.last_message_at
FROM (SELECT {session_columns} FROM {sessions} WHERE session_id = $1) AS s, LATERAL (
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
WHERE s.user_id = $2 AND s.deleted_at IS NULL;


-- name: list_messages
SELECT m.*
FROM (
    SELECT session_id
    FROM {sessions}
    WHERE
        session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2
        AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
) AS s
LEFT JOIN LATERAL (
    SELECT {message_columns}
    FROM {messages}
    WHERE thread_id = s.session_id AND parts_json ? 'gateway'
    ORDER BY message_id
    LIMIT (SELECT $3::bigint) OFFSET $4
) AS m ON true
ORDER BY m.seq;

-- name: read_messages
SELECT m.*
FROM (
    SELECT session_id
    FROM {sessions}
    WHERE
        session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2
        AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
) AS s
LEFT JOIN LATERAL (
    SELECT {message_columns}
    FROM {messages}
    WHERE
        thread_id = s.session_id AND message_id >= lpad(($3::bigint + 1)::text, 12, '0') AND parts_json ? 'gateway'
    ORDER BY message_id
    LIMIT (SELECT $4::bigint)
) AS m ON true
ORDER BY m.seq;

-- name: add_messages
-- An id is refused if one of the newest hundred messages has it: to look further would cost more with every message.
-- The message itself is there for the host to read, unless JSONB cannot hold it; the gateway reads its exact bytes.
WITH grown AS (
    UPDATE {sessions} SET
        state_json['gateway'] = (state_json -> 'gateway') || jsonb_build_object(
            'message_count', (state_json -> 'gateway' ->> 'message_count')::bigint + $6::bigint,
            'failed_count', (state_json -> 'gateway' ->> 'failed_count')::bigint + $7::bigint,
            'total_tokens', (state_json -> 'gateway' ->> 'total_tokens')::bigint + $8::bigint,
            'last_seq', (state_json -> 'gateway' ->> 'last_seq')::bigint + $6::bigint,
            'exchange_seq', CASE
                WHEN $9::bigint > 0 THEN (state_json -> 'gateway' ->> 'last_seq')::bigint + $9::bigint
                ELSE (state_json -> 'gateway' ->> 'exchange_seq')::bigint
            END,
            'instructions', coalesce($10::text, state_json -> 'gateway' ->> 'instructions'),
            'last_message_at', $5::timestamptz
        ),
        updated_at = $5
    WHERE
        session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2
        AND state_json -> 'gateway' ->> 'deleted_at' IS NULL AND archived_at IS NULL
    RETURNING (state_json -> 'gateway' ->> 'last_seq')::bigint - $6::bigint AS seq_before
), refused AS (
    {refusal}
    WHERE EXISTS (SELECT FROM grown) AND (
        (SELECT count(DISTINCT id) < count(id) FROM unnest($11::text[]) AS id)
        OR EXISTS (
            SELECT
            FROM (
                SELECT message_id FROM {messages} WHERE thread_id = $1 ORDER BY message_id DESC LIMIT 100
            ) AS newest
            WHERE substr(message_id, 14) = ANY ($11)
        )
    )
), added AS (
    INSERT INTO {messages} (thread_id, message_id, session_id, user_id, role, created_at, parts_json)
    SELECT
        $1, lpad((seq_before + m.place)::text, 12, '0') || '-' || m.id, $1, $2, m.role, $5,
        jsonb_build_object('gateway', jsonb_build_object(
            'turn_id', $3::text, 'body', m.body, 'tokens', m.tokens, 'encoding', m.encoding, 'status', $4::text,
            'latency_ms', m.latency_ms, 'ttft_ms', m.ttft_ms, 'model', m.model, 'metadata', m.metadata
        )) || CASE
            WHEN pg_input_is_valid(m.body, 'jsonb') THEN jsonb_build_object('message', m.body::jsonb) ELSE '{}'
        END
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
WITH found AS (
    SELECT
        s.*,
        CASE WHEN epoch = $5 AND $4 <= last_seq THEN $4::bigint ELSE 0 END AS after,
        greatest(
            coalesce($3, max_history_messages), CASE WHEN exchange_seq > 0 THEN last_seq - exchange_seq + 1 ELSE 0 END
        ) AS most
    FROM (SELECT {session_columns} FROM {sessions} WHERE session_id = $1) AS s
    WHERE user_id = $2 AND deleted_at IS NULL
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
        SELECT {message_columns}, parts_json -> 'gateway' ->> 'encoding' AS encoding
        FROM {messages}
        WHERE
            thread_id = found.id AND message_id >= lpad((found.after + 1)::text, 12, '0')
            AND parts_json -> 'gateway' ->> 'status' <> 'failed'
        ORDER BY message_id DESC
        LIMIT found.most
    ) AS newest_first
) AS newest ON found.archived_at IS NULL;

-- name: open_turn
WITH found AS (
    SELECT
        s.*,
        CASE WHEN epoch = $5 AND $4 <= last_seq THEN $4::bigint ELSE 0 END AS after,
        greatest(
            coalesce($3, max_history_messages), CASE WHEN exchange_seq > 0 THEN last_seq - exchange_seq + 1 ELSE 0 END
        ) AS most
    FROM (SELECT {session_columns} FROM {sessions} WHERE session_id = $1) AS s
    WHERE user_id = $2 AND deleted_at IS NULL
), held AS (
    UPDATE {sessions} SET
        state_json['gateway']['lock_holder'] = to_jsonb($6::text),
        state_json['gateway']['lock_until'] = to_jsonb(now() + make_interval(secs => $8))
    WHERE
        session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2
        AND state_json -> 'gateway' ->> 'deleted_at' IS NULL AND archived_at IS NULL
        AND (
            state_json -> 'gateway' ->> 'lock_holder' = $6
            OR (
                state_json -> 'gateway' ->> 'lock_holder' IS NULL
                OR (state_json -> 'gateway' ->> 'lock_until')::timestamptz < now()
            ) AND NOT EXISTS (
                SELECT FROM turn_queue
                WHERE turn_queue.session_id = $1 AND expires_at > now() AND ($7::bigint IS NULL OR ticket < $7)
            )
        )
    RETURNING
        (state_json -> 'gateway' ->> 'last_seq')::bigint AS last_seq,
        (state_json -> 'gateway' ->> 'epoch')::bigint AS epoch,
        updated_at
), owner AS (
    SELECT id FROM users WHERE id = $10 FOR KEY SHARE
), refused AS (
    {refusal} WHERE $9::text IS NOT NULL AND NOT EXISTS (SELECT FROM found) AND NOT EXISTS (SELECT FROM owner)
), created AS (
    INSERT INTO {sessions} (
        session_id, thread_id, sdk_version, metadata_json, created_at, updated_at, archived_at, state_json
    )
    SELECT
        $9, $9, 'llm-history-gateway/{version}', $15::jsonb, $16, $17, $25,
        jsonb_build_object('gateway', jsonb_build_object(
            'user_id', $10, 'name', $11::text, 'model', $12::text, 'max_history_messages', $13::integer,
            'instructions', $14::text, 'message_count', $18::bigint, 'failed_count', $19::bigint,
            'total_tokens', $20::bigint, 'last_seq', $21::bigint, 'exchange_seq', $22::bigint, 'epoch', $23::bigint,
            'last_message_at', $24::timestamptz, 'deleted_at', $26::timestamptz, 'ttl_seconds', $27::bigint,
            'lock_holder', $6::text, 'lock_until', now() + make_interval(secs => $8)
        ))
    FROM owner
    WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (session_id) DO NOTHING
    RETURNING session_id
), queued AS (
    INSERT INTO search_queue (session_id, user_id)
    SELECT session_id, $10 FROM created WHERE $11 IS NOT NULL
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
        SELECT {message_columns}, parts_json -> 'gateway' ->> 'encoding' AS encoding
        FROM {messages}
        WHERE
            thread_id = found.id AND message_id >= lpad((found.after + 1)::text, 12, '0')
            AND parts_json -> 'gateway' ->> 'status' <> 'failed'
        ORDER BY message_id DESC
        LIMIT found.most
    ) AS newest_first
) AS newest ON held.last_seq IS NOT NULL;

-- name: queue_turn
INSERT INTO turn_queue (session_id, expires_at)
SELECT session_id, now() + make_interval(secs => $3)
FROM {sessions}
WHERE
    session_id = $1 AND state_json -> 'gateway' ->> 'user_id' = $2
    AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
RETURNING ticket;

-- name: renew_holds
WITH hold AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS hold (session_id, holder, ticket)
), free AS (
    SELECT kept.session_id
    FROM {sessions} AS kept
    JOIN hold ON kept.session_id = hold.session_id AND kept.state_json -> 'gateway' ->> 'lock_holder' = hold.holder
    FOR NO KEY UPDATE OF kept SKIP LOCKED
), renewed AS (
    UPDATE {sessions} AS kept SET
        state_json['gateway']['lock_until'] = to_jsonb(now() + make_interval(secs => $4))
    FROM free
    WHERE kept.session_id = free.session_id
    RETURNING kept.session_id
), waiting AS (
    UPDATE turn_queue SET expires_at = now() + make_interval(secs => $4)
    FROM hold
    WHERE turn_queue.ticket = hold.ticket AND (SELECT count(*) FROM renewed) >= 0
)
DELETE FROM turn_queue
WHERE expires_at < now() AND NOT EXISTS (SELECT FROM hold WHERE hold.ticket = turn_queue.ticket);

-- name: release_hold
WITH released AS (
    UPDATE {sessions} SET state_json['gateway']['lock_holder'] = NULL, state_json['gateway']['lock_until'] = NULL
    WHERE session_id = $1 AND state_json -> 'gateway' ->> 'lock_holder' = $2
    RETURNING session_id
)
DELETE FROM turn_queue WHERE ticket = $3 AND (SELECT count(*) FROM released) >= 0;

-- name: close_turn
-- Ids are refused as in add_messages.
WITH grown AS (
    UPDATE {sessions} SET
        state_json['gateway'] = (state_json -> 'gateway') || jsonb_build_object(
            'message_count', (state_json -> 'gateway' ->> 'message_count')::bigint + $28::bigint,
            'failed_count', (state_json -> 'gateway' ->> 'failed_count')::bigint + $29::bigint,
            'total_tokens', (state_json -> 'gateway' ->> 'total_tokens')::bigint + $30::bigint,
            'last_seq', (state_json -> 'gateway' ->> 'last_seq')::bigint + $28::bigint,
            'exchange_seq', CASE
                WHEN $31::bigint > 0 THEN (state_json -> 'gateway' ->> 'last_seq')::bigint + $31::bigint
                ELSE (state_json -> 'gateway' ->> 'exchange_seq')::bigint
            END,
            'instructions', coalesce($32::text, state_json -> 'gateway' ->> 'instructions'),
            'last_message_at', $11::timestamptz
        ) || CASE
            WHEN state_json -> 'gateway' ->> 'lock_holder' = $33::text
            THEN '{"lock_holder": null, "lock_until": null}' ELSE '{}'
        END::jsonb,
        updated_at = $11
    WHERE
        session_id = $5 AND state_json -> 'gateway' ->> 'user_id' = $3 AND created_at = coalesce($44, created_at)
    RETURNING (state_json -> 'gateway' ->> 'last_seq')::bigint - $28::bigint AS seq_before
), refused AS (
    {refusal}
    WHERE EXISTS (SELECT FROM grown) AND (
        (SELECT count(DISTINCT id) < count(id) FROM unnest($35::text[]) AS id)
        OR EXISTS (
            SELECT
            FROM (
                SELECT message_id FROM {messages} WHERE thread_id = $5 ORDER BY message_id DESC LIMIT 100
            ) AS newest
            WHERE substr(message_id, 14) = ANY ($35)
        )
    )
), added AS (
    INSERT INTO {messages} (thread_id, message_id, session_id, user_id, role, created_at, parts_json)
    SELECT
        $5, lpad((seq_before + m.place)::text, 12, '0') || '-' || m.id, $5, $3, m.role, $11,
        jsonb_build_object('gateway', jsonb_build_object(
            'turn_id', $1::text, 'body', m.body, 'tokens', m.tokens, 'encoding', m.encoding, 'status', $10::text,
            'latency_ms', m.latency_ms, 'ttft_ms', m.ttft_ms, 'model', m.model, 'metadata', m.metadata
        )) || CASE
            WHEN pg_input_is_valid(m.body, 'jsonb') THEN jsonb_build_object('message', m.body::jsonb) ELSE '{}'
        END
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
    INSERT INTO turns (
        turn_id, request_id, user_id, key_id, session_id, model, provider, provider_model, stream, status, created_at,
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, usage_estimated, cost, finish_reason,
        error_status, error_code, latency_ms, ttft_ms, overhead_ms, history_messages, history_tokens, history_trimmed,
        deployment
    )
    SELECT
        $1, CASE WHEN is_known THEN $2 ELSE '' END, $3, $4, CASE WHEN is_known THEN $5 END, $6, $7, $8, $9, $10, $11,
        $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27
    FROM (SELECT EXISTS (SELECT FROM users WHERE id = $3)) AS owner (is_known)
)
SELECT seq_before FROM grown;


-- name: search
SELECT
    t.session_id, s.name, t.seq, m.id, m.role, coalesce(m.created_at, s.created_at) AS created_at,
    coalesce(m.body, s.name)
FROM search_texts AS t
JOIN (SELECT {session_columns} FROM {sessions}) AS s ON s.id = t.session_id
LEFT JOIN LATERAL (
    SELECT {message_columns}
    FROM {messages}
    WHERE
        thread_id = t.session_id AND message_id >= lpad(t.seq::text, 12, '0')
        AND message_id < lpad((t.seq + 1)::text, 12, '0') AND parts_json ? 'gateway'
) AS m ON true
WHERE
    t.words @@ $2::text::tsquery AND t.user_id = $1
    AND s.user_id = $1 AND s.deleted_at IS NULL AND (s.archived_at IS NULL OR $4)
ORDER BY ts_rank(t.words, $3::text::tsquery, 2) DESC, created_at DESC, t.session_id, t.seq
LIMIT $5 OFFSET $6;

-- name: title_to_index
SELECT state_json -> 'gateway' ->> 'user_id' AS user_id, state_json -> 'gateway' ->> 'name' AS name, created_at
FROM {sessions}
WHERE session_id = $1 AND state_json -> 'gateway' ? 'user_id';

-- name: messages_to_index
SELECT seq, body
FROM (
    SELECT seq, body, sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body) AS bytes_before
    FROM (
        SELECT left(message_id, 12)::bigint AS seq, parts_json -> 'gateway' ->> 'body' AS body
        FROM {messages}
        WHERE
            thread_id = $1 AND parts_json ? 'gateway'
            AND message_id >= lpad(
                (1 + (SELECT coalesce(max(seq), 0) FROM search_texts WHERE search_texts.session_id = $1))::text,
                12, '0'
            )
        ORDER BY message_id
        LIMIT $2
    ) AS next
) AS counted
WHERE bytes_before < $3::bigint
ORDER BY seq;

-- name: index_texts
INSERT INTO search_texts (session_id, seq, user_id, words)
SELECT s.session_id, t.seq, $2, t.words::tsvector
FROM
    (SELECT session_id FROM {sessions} WHERE session_id = $1 AND created_at = $5 FOR KEY SHARE) AS s,
    unnest($3::bigint[], $4::text[]) AS t (seq, words)
ON CONFLICT (session_id, seq) DO UPDATE SET words = excluded.words;


-- name: hide_due_sessions
UPDATE {sessions} SET
    state_json['gateway']['deleted_at'] =
        to_jsonb(coalesce((state_json -> 'gateway' ->> 'deleted_at')::timestamptz, $1::timestamptz))
WHERE session_id IN (
    SELECT session_id FROM {sessions}
    WHERE
        (
            (state_json -> 'gateway' ->> 'deleted_at')::timestamptz < $2
            OR extract(
                epoch FROM $1 - coalesce((state_json -> 'gateway' ->> 'last_message_at')::timestamptz, created_at)
            ) > (state_json -> 'gateway' ->> 'ttl_seconds')::bigint
        )
        AND coalesce((state_json -> 'gateway' ->> 'lock_until')::timestamptz < now(), true)
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
RETURNING session_id;

-- name: purge_messages
WITH purged AS (
    DELETE FROM {messages}
    WHERE (thread_id, message_id) IN (
        SELECT thread_id, message_id
        FROM {messages}
        WHERE thread_id = ANY ($1::text[]) AND parts_json ? 'gateway'
        LIMIT $2
    )
    RETURNING thread_id, left(message_id, 12)::bigint AS seq
), unindexed AS (
    DELETE FROM search_texts USING purged
    WHERE search_texts.session_id = purged.thread_id AND search_texts.seq = purged.seq
)
SELECT count(*) FROM purged;

-- name: purge_empty_sessions
DELETE FROM {sessions} AS gone
WHERE session_id = ANY ($1::text[]) AND NOT EXISTS (
    SELECT FROM {messages} WHERE thread_id = gone.session_id AND parts_json ? 'gateway'
)
RETURNING session_id;

-- name: delete_idle_sessions
WITH hidden AS (
    UPDATE {sessions} SET state_json['gateway']['deleted_at'] = to_jsonb($1::timestamptz), updated_at = $1
    WHERE session_id IN (
        SELECT session_id FROM {sessions}
        WHERE
            state_json -> 'gateway' ? 'user_id' AND state_json -> 'gateway' ->> 'deleted_at' IS NULL
            AND coalesce((state_json -> 'gateway' ->> 'last_message_at')::timestamptz, created_at) < $2
            AND coalesce((state_json -> 'gateway' ->> 'lock_until')::timestamptz < now(), true)
        LIMIT $3
        FOR UPDATE SKIP LOCKED
    )
    RETURNING session_id
)
SELECT count(*) FROM hidden;

-- name: host_columns
-- $1 and $2 the names of the tables of messages and sessions, quoted. The columns of both, as far as this role may see
-- them: table, name, type, whether an insert may leave it out, its place in the primary key or null.
SELECT
    named.kind,
    c.column_name::text,
    c.data_type::text,
    c.is_nullable = 'YES' OR c.column_default IS NOT NULL OR c.is_identity = 'YES' OR c.is_generated = 'ALWAYS',
    array_position(key.indkey::int2[], c.ordinal_position::int2)
FROM (VALUES ('messages', to_regclass($1)), ('sessions', to_regclass($2))) AS named (kind, id)
JOIN pg_class AS class ON class.oid = named.id
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
JOIN information_schema.columns AS c ON (c.table_schema, c.table_name) = (namespace.nspname, class.relname)
LEFT JOIN pg_index AS key ON key.indrelid = class.oid AND key.indisprimary
ORDER BY c.ordinal_position;
