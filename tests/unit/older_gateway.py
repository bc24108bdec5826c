"""What a gateway of revision 0003 writes of users, keys and turns, and what one of today makes of it.

While gateways are replaced one after the other, both are at work on one database.
"""

from gateway.domain import UNLIMITED, ApiKey, LedgerEntry, Limits, Scope, Status, Usage, User
from gateway.ports import Store
from gateway.storage.revisions import Dialect, ddl
from tests.contract.store.values import START, ledger_of

_WRITES = """
    INSERT INTO users (id, name) VALUES ('user_NAME', 'NAME');
    INSERT INTO api_keys (id, user_id, name, scopes, hash, created_at, expires_at, revoked_at)
        VALUES ('key_NAME', 'user_NAME', 'laptop', 'user', HASH, WHEN, NULL, NULL);
    INSERT INTO turns (
        turn_id, request_id, user_id, key_id, session_id, model, provider, provider_model, stream, status, created_at,
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, usage_estimated, cost, finish_reason,
        error_status, error_code, latency_ms, ttft_ms, overhead_ms, history_messages, history_tokens, history_trimmed
    ) VALUES (
        'turn_NAME', 'req', 'user_NAME', 'key_NAME', NULL, 'fast', 'openai', 'm', FALSE, 'complete', WHEN, 1, 2, 0, 0,
        FALSE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0
    );
"""

_LITERALS = {
    "sqlite": {"HASH": "x'00ff'", "WHEN": "1772366400123456"},
    "postgresql": {"HASH": "'\\x00ff'", "WHEN": "'2026-03-01T12:00:00.123456Z'"},
}


def older_schema(dialect: Dialect) -> str:
    return ddl(dialect).split("-- Running upgrade 0003 -> 0004")[0]


def older_writes(dialect: Dialect, name: str) -> str:
    """A user of that name, a key and a turn of theirs."""
    sql = _WRITES.replace("NAME", name)
    for word, literal in _LITERALS[dialect].items():
        sql = sql.replace(word, literal)
    return sql


async def check_older_writes(store: Store, name: str) -> None:
    """They are there, and neither limited nor disabled."""
    user = User(f"user_{name}", name, UNLIMITED, None)
    key = ApiKey(f"key_{name}", user, "laptop", frozenset({Scope.USER}), b"\x00\xff", START)
    assert await store.find_key(key.id) == key
    assert (key.allowed_models, key.limits, key.last_used_at) == (None, Limits(), None)
    assert await store.get_user(user.id) == user
    assert await ledger_of(store, user.id) == [
        LedgerEntry(
            turn_id=f"turn_{name}",
            request_id="req",
            user_id=user.id,
            key_id=key.id,
            session_id=None,
            model="fast",
            provider="openai",
            provider_model="m",
            stream=False,
            status=Status.COMPLETE,
            created_at=START,
            usage=Usage(1, 2),
        )
    ]
