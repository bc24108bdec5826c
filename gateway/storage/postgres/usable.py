"""Whether a server could work with a database whose schema is current, as this role: one query, in words."""

import asyncpg

_TABLES = (
    "users",
    "api_keys",
    "sessions",
    "messages",
    "turns",
    "turn_queue",
    "search_queue",
    "search_texts",
    "audit_log",
)

_PROBLEMS = """
WITH tables AS (SELECT name, to_regclass(name) AS id FROM unnest($1::text[]) AS name)
SELECT 'It is a read-only standby. Name its primary instead.' AS problem
WHERE pg_is_in_recovery()
UNION ALL
SELECT format('Table %s is missing. Restore a backup.', name) FROM tables WHERE id IS NULL
UNION ALL
SELECT format('%1$s may not %2$s in %3$s. Let an administrator run: GRANT %2$s ON %3$s TO %1$I;',
    current_user, privilege, name)
FROM tables, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
WHERE id IS NOT NULL AND NOT has_table_privilege(id, privilege)
    AND NOT (name = 'audit_log' AND privilege IN ('UPDATE', 'DELETE'))
UNION ALL
SELECT format('%1$s may not use the sequence %2$s. Let an administrator run: GRANT USAGE ON SEQUENCE %2$s TO %1$I;',
    current_user, sequence)
FROM pg_get_serial_sequence('turn_queue', 'ticket') AS sequence
WHERE NOT has_sequence_privilege(sequence, 'USAGE')
"""


async def find_problems(connection: asyncpg.Connection) -> list[str]:
    """What keeps this role from working with it, each with what to do about it."""
    return [record["problem"] for record in await connection.fetch(_PROBLEMS, _TABLES)]
