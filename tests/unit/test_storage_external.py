"""Tables of the host's: what is the host's stays so, and what is wrong with them is said at once.

That they hold everything that our own do is for the contract suite to say.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from gateway.domain import Status
from gateway.errors import StorageUnavailable
from gateway.ports import Cleaning, Hold
from gateway.settings import ExternalTables, SettingsError, parse_settings
from gateway.storage.errors import ConstraintViolated
from gateway.storage.postgres.external import ExternalStore, problems, statements
from gateway.storage.postgres.queries import QUERIES
from gateway.storage.postgres.rows import SESSION_COLUMNS
from tests import host_tables
from tests.contract.store.values import (
    ALICE,
    BOB,
    at,
    make_appending,
    make_key,
    make_message,
    make_session,
    make_text,
    make_turn,
    messages,
    opened,
    opening,
)
from tests.postgresql import PostgreSQL, execute

HOST_SESSION = """INSERT INTO app.chat_sessions (session_id, thread_id, state_json, created_at, updated_at, notes)
VALUES ('host_1', 'host_1', {state}, '2020-01-01Z', '2020-01-01Z', 'ours')"""
HOST_MESSAGE = """INSERT INTO app."Chat_Messages" (thread_id, message_id, role, created_at, parts_json)
VALUES ('sess_1', '{id}', 'user', '2020-01-01Z', '{{"text": "of the host"}}')"""


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.migrated_database() as url:
        execute(url, *host_tables.DDL)
        yield url


@pytest.fixture
async def host(url: str) -> AsyncIterator[asyncpg.Connection]:
    """The host's own connection to its tables."""
    connection = await asyncpg.connect(url)
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    yield connection
    await connection.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[ExternalStore]:
    store = ExternalStore(url, host_tables.TABLES, timeout=60)
    await store.start()
    await store.add_key(make_key())
    yield store
    await store.aclose()


SESSION = make_session("sess_1", name="Lisbon", metadata={"trip": "1"})


# ── the statements ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_statement_on_sessions_or_messages_is_rewritten() -> None:
    rewritten = statements(host_tables.TABLES)
    ours = {name for name, text in QUERIES.items() if re.search(r"(?m)^(?!--).*\b(sessions|messages)\b", text)}
    assert ours
    assert [name for name in ours if rewritten[name] == QUERIES[name]] == []
    assert [name for name, text in rewritten.items() if re.search(r"\{\w+\}", text)] == []


async def test_a_rewritten_statement_has_the_parameters_and_columns_of_the_other(host: asyncpg.Connection) -> None:
    rewritten = statements(host_tables.TABLES)
    for name, ours in QUERIES.items():
        assert await shape(host, rewritten[name]) == await shape(host, ours), name


async def shape(host: asyncpg.Connection, statement: str) -> tuple[list[str], list[str]]:
    prepared = await host.prepare(statement)
    return [kind.name for kind in prepared.get_parameters()], [each.type.name for each in prepared.get_attributes()]


def test_names_are_quoted_whatever_they_hold() -> None:
    hostile = ExternalTables.model_construct(messages='m" CASCADE; --', sessions="s.'; DROP TABLE users")
    found = statements(hostile)["purge_session"]
    assert 'DELETE FROM "m"" CASCADE; --" WHERE' in found
    assert 'DELETE FROM "s"."\'; DROP TABLE users" WHERE' in found


@pytest.mark.parametrize("name", ['a"b', "a b", "a;b", "a.b.c", ".a", "a.", "", "1a", "ä", "a\n", "a" * 64])
def test_settings_take_plain_names_only(name: str) -> None:
    storage = {"url": "postgresql://db/app", "schema": "external", "tables": {"messages": name, "sessions": "s"}}
    with pytest.raises(SettingsError, match=r"storage\.tables\.messages"):
        parse_settings({"storage": storage})


def test_both_tables_must_be_named() -> None:
    with pytest.raises(ValueError, match="must be named"):
        statements(ExternalTables(messages="m"))


async def test_the_newest_messages_are_read_from_the_end_of_the_primary_key(
    store: ExternalStore, host: asyncpg.Connection
) -> None:
    await store.create_session(SESSION)
    await store.add_messages(make_appending(SESSION, *[make_message() for _ in range(3000)]))
    await host.execute('ANALYZE app."Chat_Messages"')
    for name, held in (("read_turn", ()), ("open_turn", ("hold_1", None, 30.0, *[None] * SESSION_COLUMNS))):
        sql = statements(host_tables.TABLES)[name]
        plan = await host.fetch(f"EXPLAIN {sql}", "sess_1", ALICE.id, 20, 0, -1, *held)
        text = "\n".join(row[0] for row in plan)
        assert 'Index Scan Backward using "Chat_Messages_pkey"' in text
        assert re.search(r"Index Cond: .*thread_id = .*message_id >= ", text)
        assert "Sort" not in text


# ── what is the host's ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_turn_is_kept_in_the_hosts_tables_and_none_of_it_in_ours(
    store: ExternalStore, host: asyncpg.Connection
) -> None:
    await store.create_session(SESSION)
    await store.close_turn(make_turn(SESSION))
    session = await host.fetchrow("SELECT * FROM app.chat_sessions")
    assert session is not None
    assert (session["session_id"], session["thread_id"], session["tenant"]) == ("sess_1", "sess_1", "acme")
    assert session["sdk_version"].startswith("llm-history-gateway/")
    assert session["metadata_json"] == {"trip": "1"}
    kept = await host.fetch('SELECT * FROM app."Chat_Messages" ORDER BY message_id')
    assert [message["message_id"][:13] for message in kept] == ["000000000001-", "000000000002-"]
    assert {(message["thread_id"], message["session_id"], message["user_id"]) for message in kept} == {
        ("sess_1", "sess_1", ALICE.id)
    }
    assert [message["role"] for message in kept] == ["user", "assistant"]
    assert kept[0]["parts_json"]["message"] == {"role": "user", "content": "hi"}
    assert {message["tenant"] for message in kept} == {"acme"}
    assert await host.fetchval("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM messages)") == 0


@pytest.mark.parametrize(
    "body",
    [
        rb'{"role":"user","content":"a\u0000b"}',
        rb'{"role":"user","content":"\ud800"}',
        b'{"role":"user","content":1e999999}',
    ],
)
async def test_a_message_that_jsonb_cannot_hold_is_kept_byte_for_byte(
    store: ExternalStore, host: asyncpg.Connection, body: bytes
) -> None:
    await store.create_session(SESSION)
    await store.add_messages(make_appending(SESSION, make_message(body=body)))
    (kept,) = await messages(store, SESSION)
    assert kept.body == body
    assert list(await host.fetchval('SELECT parts_json FROM app."Chat_Messages"')) == ["gateway"]


async def test_what_the_host_keeps_in_a_session_of_ours_stays(store: ExternalStore, host: asyncpg.Connection) -> None:
    await store.create_session(SESSION)
    theirs = {"theme": "dark", "nested": {"gateway": [1]}}
    await host.execute(
        "UPDATE app.chat_sessions SET state_json = state_json || $1::jsonb, notes = 'mine', tenant = 'other'", theirs
    )
    await opened(store, opening(SESSION, hold=Hold("hold_1")))
    await store.renew_holds([(SESSION.id, Hold("hold_1"))], lease=30)
    await store.close_turn(make_turn(SESSION, hold=Hold("hold_1")))
    await store.release_hold(SESSION.id, Hold("hold_1"))
    await store.add_messages(make_appending(SESSION, make_message()))
    await store.delete_session(ALICE.id, SESSION.id, at(9))
    await store.clean(Cleaning(now=at(10), inactive_before=at(10)))
    row = await host.fetchrow("SELECT state_json - 'gateway' AS state, notes, tenant FROM app.chat_sessions")
    assert row is not None
    assert tuple(row) == (theirs, "mine", "other")


@pytest.mark.parametrize("state", ["NULL", "'{}'", "'[]'", "'\"gateway\"'", """'{"gateway": 1, "ttl_seconds": 1}'"""])
async def test_a_session_of_the_hosts_is_out_of_sight_and_stays(
    store: ExternalStore, host: asyncpg.Connection, state: str
) -> None:
    await host.execute(HOST_SESSION.format(state=state))
    before = await host.fetch("SELECT * FROM app.chat_sessions")
    theirs = make_session("host_1")
    assert await store.get_session(ALICE.id, "host_1") is None
    assert await store.open_turn(opening(theirs, create=theirs, hold=Hold("hold_1"))) is None
    with pytest.raises(ConstraintViolated):
        await store.create_session(theirs)
    assert await store.scan_sessions(limit=10) == []
    assert await store.close_turn(make_turn(theirs)) is None
    assert not await store.purge_session(ALICE.id, "host_1")
    everything_due = Cleaning(now=at(10), inactive_before=at(10), deleted_before=at(10))
    await store.clean(everything_due)
    await store.erase_user(ALICE.id)
    assert await host.fetch("SELECT * FROM app.chat_sessions") == before


async def test_messages_of_the_hosts_in_a_session_of_ours_are_out_of_sight_and_stay(
    store: ExternalStore, host: asyncpg.Connection
) -> None:
    await store.create_session(SESSION)
    for message_id in ("-", "000000000001", "user-1"):
        await host.execute(HOST_MESSAGE.format(id=message_id))
    await store.add_messages(make_appending(SESSION, make_text("of ours")))
    assert [message.seq for message in await messages(store, SESSION)] == [1]
    assert [message.seq for message in (await opened(store, opening(SESSION))).messages] == [1]
    assert len((await store.search(ALICE.id, "of", limit=10, offset=0)).items) == 1
    assert await store.purge_session(ALICE.id, SESSION.id)
    assert await host.fetchval('SELECT count(*) FROM app."Chat_Messages"') == 3


async def test_a_host_archives_by_itself(store: ExternalStore, host: asyncpg.Connection) -> None:
    await store.create_session(SESSION)
    await host.execute("UPDATE app.chat_sessions SET archived_at = $1", at(5))
    assert (await store.list_sessions(ALICE.id, limit=10, offset=0)).items == []
    found = await store.get_session(ALICE.id, SESSION.id)
    assert found is not None
    assert found.archived_at == at(5)
    assert (await opened(store, opening(SESSION, hold=Hold("hold_1")))).session == found


@pytest.mark.parametrize("metadata", [None, [], "text"])
async def test_metadata_that_the_host_made_something_else_of_is_empty(
    store: ExternalStore, host: asyncpg.Connection, metadata: Any
) -> None:
    await store.create_session(SESSION)
    await host.execute("UPDATE app.chat_sessions SET metadata_json = $1", metadata)
    found = await store.get_session(ALICE.id, SESSION.id)
    assert found is not None
    assert found.metadata == {}


async def test_a_foreign_key_of_the_hosts_holds_nothing_back(store: ExternalStore, host: asyncpg.Connection) -> None:
    await host.execute(
        'ALTER TABLE app."Chat_Messages" ADD FOREIGN KEY (session_id) REFERENCES app.chat_sessions (session_id)'
    )
    kept = make_session("sess_2", ttl_seconds=1)
    for session in (SESSION, kept):
        await store.create_session(session)
        await store.close_turn(make_turn(session))
    assert await store.purge_session(ALICE.id, SESSION.id)
    cleaned = await store.clean(Cleaning(now=at(10)))
    assert cleaned is not None
    assert (cleaned.purged, cleaned.messages) == (1, 2)
    assert await host.fetchval('SELECT count(*) FROM app."Chat_Messages"') == 0


async def test_a_refused_message_is_not_told(store: ExternalStore) -> None:
    """What PostgreSQL says of a broken constraint may quote the row, and goes into the log."""
    await store.create_session(SESSION)
    secret = make_text("my secret")
    await store.add_messages(make_appending(SESSION, secret))
    with pytest.raises(ConstraintViolated) as again:
        await store.add_messages(make_appending(SESSION, secret))
    of_nobody = make_session(user=BOB, name="my secret")
    with pytest.raises(ConstraintViolated) as nobody:
        await store.open_turn(opening(of_nobody, create=of_nobody))
    assert "secret" not in f"{again.value} {nobody.value}"
    assert [message.status for message in await messages(store, SESSION)] == [Status.COMPLETE]


# ── what is wrong with the tables ────────────────────────────────────────────────────────────────────────────────


async def test_tables_as_they_must_be_have_no_problems(host: asyncpg.Connection) -> None:
    assert await problems(host, host_tables.TABLES) == []


async def test_everything_that_is_wrong_is_said_at_once(url: str, host: asyncpg.Connection) -> None:
    await host.execute(
        """ALTER TABLE app."Chat_Messages" DROP CONSTRAINT "Chat_Messages_pkey", DROP COLUMN parts_json,
            DROP COLUMN role, ALTER COLUMN created_at TYPE timestamp;
        ALTER TABLE app.chat_sessions ALTER COLUMN state_json TYPE json, ALTER COLUMN thread_id TYPE varchar(36),
            ADD COLUMN owner text NOT NULL, DROP COLUMN archived_at"""
    )
    expected = [
        "app.Chat_Messages.role is missing: it must be text.",
        "app.Chat_Messages.created_at is timestamp without time zone: it must be timestamp with time zone.",
        "app.Chat_Messages.parts_json is missing: it must be jsonb.",
        "app.Chat_Messages: its primary key must be (thread_id, message_id).",
        "app.chat_sessions.thread_id is character varying: it must be text.",
        "app.chat_sessions.state_json is json: it must be jsonb.",
        "app.chat_sessions.archived_at is missing: it must be timestamp with time zone.",
        "app.chat_sessions.owner must be nullable or have a default: the gateway does not know it.",
    ]
    assert await problems(host, host_tables.TABLES) == expected
    store = ExternalStore(url, host_tables.TABLES, timeout=60)
    with pytest.raises(StorageUnavailable) as refused:
        await store.start()
    assert refused.value.message.splitlines() == ["The tables under storage.tables cannot be used:", *expected]


@pytest.mark.parametrize("sessions", ["chat_sessions", "nowhere.chat_sessions", "app.Chat_Sessions"])
async def test_a_table_that_is_not_there_is_said_once(host: asyncpg.Connection, sessions: str) -> None:
    tables = ExternalTables(messages="app.Chat_Messages", sessions=sessions)
    assert await problems(host, tables) == [f"{sessions}: there is no such table, or this role has no right to it."]


async def test_the_order_of_the_primary_key_counts(host: asyncpg.Connection) -> None:
    await host.execute(
        'ALTER TABLE app."Chat_Messages" DROP CONSTRAINT "Chat_Messages_pkey", ADD PRIMARY KEY (message_id, thread_id)'
    )
    assert await problems(host, host_tables.TABLES) == [
        "app.Chat_Messages: its primary key must be (thread_id, message_id)."
    ]


async def test_a_server_that_is_too_old_is_said(host: asyncpg.Connection) -> None:
    class OldServer:
        fetch = host.fetch

        def get_server_version(self) -> SimpleNamespace:
            return SimpleNamespace(major=15)

    assert await problems(cast("asyncpg.Connection", OldServer()), host_tables.TABLES) == [
        "PostgreSQL 15 is too old for them: it must be 16 or later."
    ]
