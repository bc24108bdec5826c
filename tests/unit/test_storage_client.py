"""The Python API: it stores what the gateway would store, and gives what the gateway would send."""

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from gateway.domain import LedgerEntry, NewMessage, Session, Status
from gateway.errors import Conflict, ContextLengthExceeded, InvalidRequest, NotFound, StorageUnavailable
from gateway.ports import ClosedTurn
from gateway.storage import SessionStore, open_store
from gateway.storage.memory import InMemoryStore
from gateway.tokens.counter import TokenCounter
from tests import host_tables
from tests.postgresql import PostgreSQL, execute
from tests.unit.histories import call

ENCODING = "o200k_base"
COUNTER = TokenCounter()


@pytest.fixture
def port() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
async def store(port: InMemoryStore) -> AsyncIterator[SessionStore]:
    async with SessionStore(port) as opened:
        yield opened


@pytest.fixture
async def session(store: SessionStore) -> Session:
    return await store.create_session("ada")


def says(role: str, content: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def exchange(number: int) -> list[dict[str, Any]]:
    return [says("user", f"question {number}"), says("assistant", f"answer {number}")]


def tokens(*messages: dict[str, Any], encoding: str = ENCODING) -> int:
    return sum(COUNTER.message(message, encoding) for message in messages)


# ── what it loads ────────────────────────────────────────────────────────────────────────────────────────────────

_WORK = """
import asyncio, sys
from gateway.storage import open_store

async def work():
    async with open_store({url!r}) as store:
        session = await store.create_session("ada", system_prompt="Be brief.")
        await store.add_messages(session, [{{"role": "user", "content": "Hello"}}])
        assert len(await store.get_recent_context(session, 1000)) == 2
        assert (await store.search("ada", "hello")).items

asyncio.run(work())
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def test_only_what_is_used_is_loaded() -> None:
    result = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-c", _WORK.format(url="memory:")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "tiktoken" in loaded
    assert not loaded & {"litellm", "starlette", "uvicorn", "aiohttp", "pydantic", "sqlalchemy", "asyncpg", "aiosqlite"}


def test_a_url_of_no_store_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match="sqlite:///PATH") as refused:
        open_store("mysql://user:secret@host/db")
    assert "secret" not in str(refused.value)


async def test_tables_of_ones_own_are_used(postgresql: PostgreSQL) -> None:
    names = {"messages": "app.Chat_Messages", "sessions": "app.chat_sessions"}
    with postgresql.migrated_database() as url:
        execute(url, *host_tables.DDL)
        async with open_store(url, tables=names) as store:
            session = await store.create_session("alice", name="mine")
        async with open_store(url) as store:
            assert await store.get_session("alice", session.id) is None
        async with open_store(url, tables=names) as store:
            assert await store.get_session("alice", session.id) == session


@pytest.mark.parametrize(
    ("url", "tables"),
    [
        ("memory:", {"messages": "m", "sessions": "s"}),
        ("sqlite:///x.db", {"messages": "m", "sessions": "s"}),
        ("postgresql://host/db", {"messages": "m"}),
        ("postgresql://host/db", {}),
        ("postgresql://host/db", {"messages": 'm"; --', "sessions": "s"}),
    ],
)
def test_tables_that_cannot_be_used_are_refused(url: str, tables: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"tables must name both|are for PostgreSQL|must be letters"):
        open_store(url, tables=tables)


async def test_a_store_is_open_so_long_as_its_block() -> None:
    async with open_store("memory:") as store:
        await store.create_session("ada")
    with pytest.raises(StorageUnavailable):
        await store.create_session("ada")


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_has_the_settings_it_was_given(store: SessionStore) -> None:
    session = await store.create_session(
        "ada",
        session_id="chat-1",
        name="A name",
        model="fast",
        system_prompt="Be brief.",
        max_history_messages=7,
        metadata={"topic": "x"},
        ttl_seconds=600,
    )
    assert await store.get_session("ada", "chat-1") == session
    assert (session.name, session.model, session.max_history_messages) == ("A name", "fast", 7)
    assert (session.metadata, session.ttl_seconds) == ({"topic": "x"}, 600)
    assert [orjson.loads(body) for body in session.instructions] == [says("system", "Be brief.")]


async def test_users_are_those_of_the_gateways_keys(store: SessionStore, port: InMemoryStore) -> None:
    session = await store.create_session("ada")
    [user] = (await port.list_users(limit=10, offset=0)).items
    assert (user.name, user.id) == ("ada", session.user_id)
    assert (await store.create_session("ada")).user_id == session.user_id


async def test_nobody_sees_another_users_sessions(store: SessionStore, session: Session) -> None:
    assert await store.get_session("eve", session.id) is None
    assert not (await store.list_sessions("eve")).items
    with pytest.raises(Conflict) as taken:
        await store.create_session("eve", session_id=session.id)
    assert taken.value.code == "session_exists"


@pytest.mark.parametrize(
    "settings",
    [
        {"session_id": "two words"},
        {"session_id": ""},
        {"name": ""},
        {"name": "n" * 257},
        {"name": "NUL\0"},
        {"name": "half a pair \ud800"},
        {"model": 5},
        {"system_prompt": "half a pair \ud800"},
        {"max_history_messages": -1},
        {"max_history_messages": 1001},
        {"max_history_messages": True},
        {"ttl_seconds": 59},
        {"metadata": {"long": "x" * 16 * 1024}},
        {"metadata": {"not JSON": object()}},
        {"metadata": ["no object"]},
        {"metadata": {"gateway.import": "turn_1"}},
    ],
)
async def test_settings_that_the_gateway_would_refuse(store: SessionStore, settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await store.create_session("ada", **settings)
    assert not (await store.list_sessions("ada")).items


async def test_a_name_that_no_key_could_have_is_no_user(store: SessionStore, port: InMemoryStore) -> None:
    with pytest.raises(InvalidRequest):
        await store.list_sessions("two words")
    assert not (await port.list_users(limit=1, offset=0)).items


async def test_lists_are_paged_and_filtered_newest_first(store: SessionStore) -> None:
    made = [await store.create_session("ada", metadata={"parity": str(n % 2)}) for n in range(5)]
    page = await store.list_sessions("ada", limit=2, offset=1)
    assert [session.id for session in page.items] == [made[3].id, made[2].id]
    assert page.has_more
    odd = await store.list_sessions("ada", metadata={"parity": "1"})
    assert [session.id for session in odd.items] == [made[3].id, made[1].id]


@pytest.mark.parametrize("metadata", ["x", {"a": 1}, {1: "a"}, {str(n): "x" for n in range(17)}], ids=str)
async def test_metadata_that_no_session_is_looked_for_by(store: SessionStore, metadata: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await store.list_sessions("ada", metadata=metadata)
    assert refused.value.param == "metadata"


@pytest.mark.parametrize(
    "paging", [{"limit": 0}, {"offset": -1}, {"limit": 10**30}, {"offset": 10**30}, {"limit": "5"}]
)
async def test_pages_that_are_none(store: SessionStore, session: Session, paging: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await store.list_sessions("ada", **paging)
    with pytest.raises(InvalidRequest):
        await store.get_messages(session, **paging)
    with pytest.raises(InvalidRequest):
        await store.search("ada", "x", **paging)


async def test_an_update_sets_what_it_names(store: SessionStore) -> None:
    session = await store.create_session("ada", name="Old", model="fast", system_prompt="Be brief.")
    changed = await store.update_session(session, name="New", ttl_seconds=60)
    assert (changed.name, changed.model, changed.ttl_seconds) == ("New", "fast", 60)
    assert changed.instructions == session.instructions
    unpinned = await store.update_session(session, system_prompt=None)
    assert unpinned.instructions == ()
    with pytest.raises(InvalidRequest):
        await store.update_session(session, max_history_messages=1001)


async def test_an_archived_session_takes_no_messages_until_it_is_unarchived(
    store: SessionStore, session: Session, port: InMemoryStore
) -> None:
    await store.add_messages(session, exchange(1))
    archived = await store.archive_session(session)
    assert archived.archived_at is not None
    assert (await store.archive_session(session)).archived_at == archived.archived_at
    assert not (await store.list_sessions("ada")).items
    assert [found.id for found in (await store.list_sessions("ada", include_archived=True)).items] == [session.id]
    for attempt in (store.add_messages(session, exchange(2)), store.get_recent_context(session, 1000)):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.code == "session_archived"
    assert await store.get_messages(session) == exchange(1)

    assert (await store.unarchive_session(session)).archived_at is None
    await store.add_messages(session, exchange(2))
    log = (await port.list_audit(limit=10, offset=0)).items
    assert {entry.action for entry in log} == {"session.archive", "session.unarchive"}
    assert len(log) == 2


@pytest.mark.parametrize("purge", [False, True])
async def test_a_deleted_session_is_not_found(
    store: SessionStore, session: Session, port: InMemoryStore, purge: bool
) -> None:
    await store.delete_session(session, purge=purge)
    assert await store.get_session("ada", session.id) is None
    for attempt in (
        store.add_messages(session, exchange(1)),
        store.get_messages(session),
        store.get_recent_context(session, 1000),
        store.update_session(session, name="New"),
        store.archive_session(session),
        store.delete_session(session),
        store.stats(session),
    ):
        with pytest.raises(NotFound) as missing:
            await attempt
        assert missing.value.code == "session_not_found"
    [entry] = (await port.list_audit(limit=10, offset=0)).items
    assert (entry.action, entry.target) == ("session.purge" if purge else "session.delete", session.id)
    assert (await port.purge_session(session.user_id, session.id)) is not purge


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_are_stored_as_the_wire_has_them(store: SessionStore, session: Session) -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [call("c1")], "unheard_of": {"kept": [1, 2]}}
    given = [
        says("user", "What is it?", name="ada"),
        asked,
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        says("assistant", "42 \u0000 and \U0001f600"),
    ]
    ids = await store.add_messages(session, given, model="fast", metadata={"run": 1})
    assert await store.get_messages(session) == given
    assert await store.get_messages(session, 2, 1) == given[1:3]

    page = await store.get_stored_messages(session)
    assert [message.id for message in page.items] == ids
    assert [message.seq for message in page.items] == [1, 2, 3, 4]
    assert [message.model for message in page.items] == [None, "fast", None, "fast"]
    assert [message.tokens for message in page.items] == [tokens(message) for message in given]
    assert {message.turn_id for message in page.items} == {page.items[0].turn_id}
    assert page.items[0].metadata == {"run": 1}
    now = await store.get_session("ada", session.id)
    assert now is not None
    assert (now.message_count, now.total_tokens) == (4, tokens(*given))


async def test_instructions_at_the_head_are_pinned_the_latest_win(store: SessionStore, session: Session) -> None:
    first = [says("system", "Be brief."), says("developer", "Speak Latin.")]
    late = says("system", "Said in between.")
    assert len(await store.add_messages(session, [*first, *exchange(1)])) == 2
    await store.add_messages(session, [says("user", "And?"), late, says("assistant", "So.")])
    context = await store.get_recent_context(session, 1000)
    assert context[:2] == first
    assert late in context[2:]

    await store.add_messages(session, [says("system", "Be long."), *exchange(2)])
    context = await store.get_recent_context(session, 1000)
    assert (context[0], context[1]["role"]) == (says("system", "Be long."), "user")
    assert first[0] not in context
    assert (await store.get_messages(session))[:2] == exchange(1)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([says("user", "x")] * 2049, "messages"),
        (["x"], "messages[0]"),
        ([says("user", "x"), {"role": "nobody", "content": "x"}], "messages[1].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        ([says("user", "half a pair \ud800")], None),
        ([says("user", "x", field=object())], None),
    ],
)
async def test_messages_that_the_wire_would_refuse(
    store: SessionStore, session: Session, messages: list[Any], param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await store.add_messages(session, messages)
    assert refused.value.param == param
    assert await store.get_messages(session) == []


@pytest.mark.parametrize(
    ("noted", "param"),
    [
        ({"metadata": [1, 2]}, "metadata"),
        ({"metadata": "abc"}, "metadata"),
        ({"metadata": {"long": "x" * 16 * 1024}}, "metadata"),
        ({"model": 5}, "model"),
        ({"model": "m" * 257}, "model"),
    ],
)
async def test_notes_that_no_message_takes(
    store: SessionStore, session: Session, noted: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await store.add_messages(session, exchange(1), **noted)
    assert refused.value.param == param
    assert await store.get_messages(session) == []


# ── context ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_context_is_whole_exchanges_within_the_number_of_messages(store: SessionStore) -> None:
    session = await store.create_session("ada", max_history_messages=5)
    for number in range(5):
        await store.add_messages(session, exchange(number))
    assert await store.get_recent_context(session, 10_000) == [*exchange(3), *exchange(4)]
    assert await store.get_recent_context(session, 10_000, max_messages=6) == [*exchange(2), *exchange(3), *exchange(4)]
    assert await store.get_recent_context(session, 10_000, max_messages=1) == []
    with pytest.raises(InvalidRequest):
        await store.get_recent_context(session, 10_000, max_messages=-1)


@pytest.mark.parametrize("number", [-1, 1001, 10**30, "5"])
async def test_a_number_of_messages_that_no_request_could_ask_for(
    store: SessionStore, session: Session, number: Any
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await store.get_recent_context(session, 1000, max_messages=number)
    assert refused.value.param == "max_messages"


async def test_a_context_has_at_most_so_many_tokens_its_instructions_included(store: SessionStore) -> None:
    session = await store.create_session("ada", system_prompt="Be brief.")
    for number in range(3):
        await store.add_messages(session, exchange(number))
    pinned = says("system", "Be brief.")
    newest_two = tokens(pinned, *exchange(1), *exchange(2))
    assert await store.get_recent_context(session, newest_two) == [pinned, *exchange(1), *exchange(2)]
    assert await store.get_recent_context(session, newest_two - 1) == [pinned, *exchange(2)]
    assert await store.get_recent_context(session, tokens(pinned)) == [pinned]
    with pytest.raises(ContextLengthExceeded):
        await store.get_recent_context(session, tokens(pinned) - 1)


async def test_an_exchange_that_waits_for_its_reply_is_always_in(store: SessionStore, session: Session) -> None:
    await store.add_messages(session, exchange(1))
    waiting = [
        says("user", "What is it?"),
        {"role": "assistant", "content": None, "tool_calls": [call("c1"), call("c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
    ]
    await store.add_messages(session, waiting)
    assert await store.get_recent_context(session, 10_000, max_messages=1) == waiting
    assert await store.get_recent_context(session, 10_000, max_messages=6) == [*exchange(1), *waiting]
    assert await store.get_recent_context(session, tokens(*waiting)) == waiting
    with pytest.raises(ContextLengthExceeded):
        await store.get_recent_context(session, tokens(*waiting) - 1)


async def test_calls_without_their_results_are_not_sent(store: SessionStore, session: Session) -> None:
    await store.add_messages(session, exchange(1))
    await store.add_messages(
        session, [says("user", "What is it?"), {"role": "assistant", "content": None, "tool_calls": [call("c1")]}]
    )
    assert await store.get_recent_context(session, 10_000) == [*exchange(1), says("user", "What is it?")]


async def test_a_context_in_another_encoding_is_counted_anew(store: SessionStore, session: Session) -> None:
    foreign = [says("user", "γνῶθι σεαυτόν " * 20), says("assistant", "так и есть " * 20)]
    await store.add_messages(session, foreign)
    ours, theirs = tokens(*foreign), tokens(*foreign, encoding="cl100k_base")
    assert ours < theirs
    assert await store.get_recent_context(session, ours) == foreign
    assert await store.get_recent_context(session, ours, encoding="cl100k_base") == []
    assert await store.get_recent_context(session, theirs, encoding="cl100k_base") == foreign
    with pytest.raises(ValueError, match="no encoding"):
        await store.get_recent_context(session, ours, encoding="klingon")


async def test_what_a_gateway_has_stored_is_remembered_alike(
    store: SessionStore, session: Session, port: InMemoryStore
) -> None:
    await store.add_messages(session, exchange(1))
    await port.close_turn(turn_of(session, "turn_1", Status.FAILED, says("user", "never answered")))
    half = [says("user", "Go on"), says("assistant", "Half", tool_calls=[call("c1")])]
    await port.close_turn(turn_of(session, "turn_2", Status.INCOMPLETE, *half))

    assert len(await store.get_messages(session)) == 5
    context = await store.get_recent_context(session, 10_000)
    assert context == [*exchange(1), says("user", "Go on"), says("assistant", "Half")]
    stats = await store.stats(session)
    assert (stats.message_count, stats.turns, stats.cost) == (5, 2, None)


def turn_of(session: Session, turn_id: str, status: Status, *messages: dict[str, Any]) -> ClosedTurn:
    entry = LedgerEntry(
        turn_id=turn_id,
        request_id="req_1",
        user_id=session.user_id,
        key_id="key_1",
        session_id=session.id,
        model="fast",
        provider="openai",
        provider_model="gpt",
        stream=False,
        status=status,
        created_at=session.created_at,
    )
    drafts = [
        NewMessage(f"msg_{turn_id}_{place}", message["role"], orjson.dumps(message), tokens(message), ENCODING)
        for place, message in enumerate(messages)
    ]
    return ClosedTurn(entry, drafts)


async def test_search_finds_the_users_own(store: SessionStore, session: Session) -> None:
    _, answer = await store.add_messages(session, [says("user", "A café?"), says("assistant", "Two cafes.")])
    await store.create_session("eve", name="cafes of my own")
    found = await store.search("ada", "CAFES")
    assert [(hit.session_id, hit.message_id, hit.role) for hit in found.items] == [(session.id, answer, "assistant")]
    await store.archive_session(session)
    assert not (await store.search("ada", "cafes")).items
    assert (await store.search("ada", "cafes", include_archived=True)).items
