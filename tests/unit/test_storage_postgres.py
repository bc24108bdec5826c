"""What only the PostgreSQL store has: statements that wait for each other, and connections that break."""

import asyncio
from collections import UserDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import asyncpg
import pytest

from gateway.domain import GroupBy, Rotation, Session
from gateway.errors import StorageUnavailable
from gateway.ledger import NO_ACTIVITY, Step, TurnFilter, TurnOrder
from gateway.ports import Cleaning, Hold, Locked, OpenedTurn, Page
from gateway.storage.errors import ConstraintViolated
from gateway.storage.postgres import PostgresStore, turns, users
from gateway.storage.postgres.pool import Link
from gateway.storage.postgres.queries import QUERIES
from gateway.storage.postgres.rows import SESSION_COLUMNS
from tests.contract.store.calls import ANY_CALL
from tests.contract.store.values import ALICE, BOB, at, make_key, make_session, make_turn, opening, seqs
from tests.postgresql import PostgreSQL, execute

HOLD = Hold("turn_1")

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Asked(UserDict[str, str]):
    """The statements, and which of them were asked for."""

    def __init__(self) -> None:
        super().__init__(QUERIES)
        self.names: list[str] = []

    def __getitem__(self, name: str) -> str:
        self.names.append(name)
        return super().__getitem__(name)


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.migrated_database() as url:
        yield url


@pytest.fixture
async def session(url: str) -> Session:
    """A session of Alice's with one turn, in the database."""
    session = make_session()
    async with running(PostgresStore(url)) as store:
        await store.add_key(make_key())
        await store.create_session(session)
        await store.close_turn(make_turn(session))
    return session


@asynccontextmanager
async def running(store: PostgresStore) -> AsyncIterator[PostgresStore]:
    await store.start()
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def with_options(url: str, **options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(options)}"


async def until_waiting(watcher: asyncpg.Connection, connections: int = 1) -> None:
    """Return once so many connections wait for a lock of another one."""
    async with asyncio.timeout(20):
        while await watcher.fetchval(WAITING) != connections:  # noqa: ASYNC110 - it is the server that knows
            await asyncio.sleep(0)


async def test_a_turn_that_waited_for_another_ones_closing_sees_what_it_wrote(url: str, session: Session) -> None:
    """The statement's snapshot is older than the row that it locks: the messages in it must not be believed."""
    async with running(PostgresStore(url, timeout=60)) as store, connected(url) as other, connected(url) as watcher:
        closing = other.transaction()
        await closing.start()
        await turns.close_turn(Link(other, QUERIES), make_turn(session))
        opened = asyncio.create_task(store.open_turn(opening(session, hold=HOLD)))
        await until_waiting(watcher)
        await closing.commit()
        found = await opened
        assert isinstance(found, OpenedTurn)
        assert found.session.last_seq == 4
        assert [message.seq for message in found.messages] == [1, 2, 3, 4]


async def test_a_turn_that_waited_is_held_once_even_if_others_queue_meanwhile(url: str, session: Session) -> None:
    async with running(PostgresStore(url, timeout=60)) as store, connected(url) as other, connected(url) as watcher:
        closing = other.transaction()
        await closing.start()
        await turns.close_turn(Link(other, QUERIES), make_turn(session))
        opened = asyncio.create_task(store.open_turn(opening(session, hold=HOLD)))
        await until_waiting(watcher)
        await turns.queue_turn(Link(watcher, QUERIES), ALICE.id, session.id, 60)
        await closing.commit()
        assert isinstance(await opened, OpenedTurn)


async def test_every_statement_is_asked_for_by_some_call(url: str, session: Session) -> None:
    """A block that nobody asks for is one that nobody tests."""
    asked = Asked()
    async with running(PostgresStore(url, statements=asked)) as store:
        await store.list_sessions(ALICE.id, limit=1, offset=0, metadata={"a": "b"})
        await store.scan_sessions(user_id=ALICE.id, limit=1)
        await store.create_session(replace(make_session(), name="x"))
        await store.search(ALICE.id, "x", limit=1, offset=0)
        await store.close_turn(make_turn(session))
        await store.index_messages(limit=1)
        await store.create_session(make_session("sess_1"))
        await store.purge_session(ALICE.id, "sess_1")
        await store.delete_session(ALICE.id, session.id, at(0))
        await store.clean(Cleaning(at(9), deleted_before=at(9), inactive_before=at(9), ledger_before=at(9)))
        await store.add_key(make_key("key_2", BOB))
        for call in [call for name, call in ANY_CALL.items() if name not in {"add_key", "erase_user"}]:
            await call(store)
        await store.erase_user(ALICE.id)
    of_schema = {"has_schema", "current_revision", "lock_schema"}
    assert set(QUERIES) - set(asked.names) == of_schema


async def test_nothing_need_be_kept_prepared(url: str, session: Session) -> None:
    async with running(PostgresStore(url, statement_cache_size=0)) as store:
        for _ in range(3):
            assert isinstance(await store.open_turn(opening(session, hold=HOLD)), OpenedTurn)
            assert await store.close_turn(make_turn(session, hold=HOLD))
        assert await seqs(store, opening(session, limit=4)) == [5, 6, 7, 8]
        assert len((await store.search(ALICE.id, "hi", limit=10, offset=0)).items) == 8
        assert await store.purge_session(ALICE.id, session.id)
        assert await store.clean(Cleaning(at(0))) is not None


@pytest.mark.parametrize("cache", [0, 100])
async def test_connections_that_the_server_ended_are_replaced(url: str, session: Session, cache: int) -> None:
    async with running(PostgresStore(url, pool_size=2, statement_cache_size=cache)) as store, connected(url) as other:
        await asyncio.gather(*[store.get_session(ALICE.id, session.id) for _ in range(4)])
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        refused = 0
        while True:
            try:
                await store.close_turn(make_turn(session))
                break
            except StorageUnavailable:
                refused += 1
        assert refused <= 2  # at most once a connection
        assert await store.get_session(ALICE.id, session.id) is not None


async def test_a_turn_whose_connection_ends_while_it_waits_is_an_outage(url: str, session: Session) -> None:
    async with running(PostgresStore(url, timeout=60)) as store, connected(url) as other, connected(url) as watcher:
        async with other.transaction():
            await turns.close_turn(Link(other, QUERIES), make_turn(session))
            closed = asyncio.create_task(store.close_turn(make_turn(session)))
            await until_waiting(watcher)
            await watcher.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            with pytest.raises(StorageUnavailable):
                await closed
        assert await store.close_turn(make_turn(session)) == 5


async def test_a_turn_that_cannot_be_opened_in_time_is_given_up_and_its_connection_goes_on(
    url: str, session: Session
) -> None:
    async with running(PostgresStore(url, timeout=2, pool_size=1)) as store, connected(url) as other:
        async with other.transaction():
            await turns.close_turn(Link(other, QUERIES), make_turn(session))
            async with asyncio.timeout(20):
                with pytest.raises(StorageUnavailable):
                    await store.open_turn(opening(session, hold=HOLD))
            await until_waiting(other, 0)  # the server has been told, too
        async with asyncio.timeout(60):
            assert await store.close_turn(make_turn(session)) == 5
        async with running(PostgresStore(url)) as another:
            assert isinstance(await another.open_turn(opening(session, hold=Hold("turn_2"))), OpenedTurn)


async def test_waiting_for_a_free_connection_counts(url: str, session: Session) -> None:
    async with running(PostgresStore(url, timeout=2, pool_size=1)) as store, connected(url) as other:
        async with other.transaction():
            await turns.close_turn(Link(other, QUERIES), make_turn(session))
            closed = asyncio.create_task(store.close_turn(make_turn(session)))
            await until_waiting(other)
            async with asyncio.timeout(20):
                with pytest.raises(StorageUnavailable):
                    await store.get_session(ALICE.id, session.id)
        assert await closed == 5


async def test_figures_show_who_works_and_who_waits(url: str, session: Session) -> None:
    async with running(PostgresStore(url, pool_size=1)) as store, connected(url) as other, connected(url) as watcher:
        async with other.transaction():
            await turns.close_turn(Link(other, QUERIES), make_turn(session))
            closed = asyncio.create_task(store.close_turn(make_turn(session)))
            await until_waiting(watcher)
            read = asyncio.create_task(store.ping())
            await asyncio.sleep(0)
            busy = store.gauges()
        await asyncio.gather(closed, read)
        figures = ("database_pool_size", "database_pool_in_use", "database_pool_waiting")
        assert [busy[name] for name in figures] == [1, 1, 1]
        assert [store.gauges()[name] for name in figures] == [1, 0, 0]


async def test_a_call_that_is_cancelled_leaves_the_store_whole(url: str, session: Session) -> None:
    async with running(PostgresStore(url, pool_size=1)) as store, connected(url) as other, connected(url) as watcher:
        async with other.transaction():
            await turns.close_turn(Link(other, QUERIES), make_turn(session))
            closed = asyncio.create_task(store.close_turn(make_turn(session)))
            await until_waiting(watcher)
            closed.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closed
            await until_waiting(watcher, 0)
        assert await store.close_turn(make_turn(session)) == 5


async def test_a_database_that_takes_no_writes_is_read_all_the_same(url: str, session: Session) -> None:
    """As a replica does; the option goes by the URL, like any other of the server's."""
    async with running(PostgresStore(with_options(url, default_transaction_read_only="on"))) as store:
        assert await seqs(store, opening(session)) == [1, 2]
        with pytest.raises(StorageUnavailable):
            await store.open_turn(opening(session, hold=HOLD))


async def test_a_lapsed_hold_is_anyones(url: str, session: Session) -> None:
    async with running(PostgresStore(url)) as store:
        await store.open_turn(opening(session, hold=HOLD))
        other = opening(session, hold=Hold("turn_2"))
        assert isinstance(await store.open_turn(other), Locked)
        execute(url, "UPDATE sessions SET lock_until = now()")
        assert isinstance(await store.open_turn(other), OpenedTurn)


async def test_renewing_removes_the_tickets_of_those_who_have_gone(url: str, session: Session) -> None:
    async with running(PostgresStore(url)) as store, connected(url) as other:
        gone = await store.queue_turn(ALICE.id, session.id, lease=60)
        kept = await store.queue_turn(ALICE.id, session.id, lease=60)
        await other.execute("UPDATE turn_queue SET expires_at = now()")
        await store.renew_holds([(session.id, Hold("turn_2", kept))], lease=60)
        assert gone != kept
        assert [row[0] for row in await other.fetch("SELECT ticket FROM turn_queue WHERE expires_at > now()")] == [kept]
        assert await other.fetchval("SELECT count(*) FROM turn_queue") == 1


CHOSEN = (at(0), at(1), "u", None, None, None, None, None)
OPEN = ("s", "u", None, 0, -1, "h", None, 30.0, *[None] * SESSION_COLUMNS)


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("open_turn", OPEN, "messages_pkey"),
        ("open_turn", OPEN, "turn_queue_by_session"),
        ("read_messages", ("s", "u", 0, 10), "messages_pkey"),
        ("list_sessions", ("u", False, 10, 0), "sessions_by_user"),
        ("session_stats", ("s", "u"), "turns_by_session"),
        ("usage", ("day", at(0), at(1), "u", 10), "turns_by_user"),
        ("newest_turns", (*CHOSEN, 10, 0), "turns_by_user"),
        ("slowest_turns", (*CHOSEN, 10, 0), "turns_by_user"),
        ("activity", (*CHOSEN, timedelta(hours=1)), "turns_by_user"),
        ("count_errors", (*CHOSEN, 10), "turns_by_user"),
        ("messages_to_index", ("s", 10, 1000), "messages_pkey"),
    ],
)
async def test_statements_go_by_an_index(url: str, name: str, values: tuple[object, ...], index: str) -> None:
    async with connected(url) as connection:
        # An empty table is always scanned, and a small one sorted: whether there is a better way is the question.
        await connection.execute("SET enable_seqscan = off; SET enable_sort = off")
        plan = "\n".join([row[0] for row in await connection.fetch(f"EXPLAIN {QUERIES[name]}", *values)])
    assert index in plan
    assert "Seq Scan" not in plan


async def test_reports_of_usage_leave_a_connection_to_the_turns(url: str) -> None:
    async with (
        running(PostgresStore(url, pool_size=2)) as store,
        connected(url) as other,
        connected(url) as watcher,
    ):
        locking = other.transaction()
        await locking.start()
        await other.execute("LOCK TABLE turns")
        chosen = TurnFilter(at(0), at(1))
        reports = [
            asyncio.create_task(store.usage(GroupBy.DAY, since=at(0), until=at(1), limit=10)),
            asyncio.create_task(store.activity(chosen, step=Step.DAY)),
            asyncio.create_task(store.list_turns(chosen, order=TurnOrder.SLOWEST, limit=10, offset=0)),
        ]
        await until_waiting(watcher)
        await store.ping()
        await locking.rollback()
        assert await asyncio.gather(*reports) == [[], NO_ACTIVITY, Page([], has_more=False)]


async def test_an_urgent_sum_waits_for_no_report(url: str) -> None:
    async with running(PostgresStore(url)) as store, store._accounting, asyncio.timeout(30):
        found = await store.usage(GroupBy.KEY, since=at(0), until=at(1), user_id=ALICE.id, limit=1, is_urgent=True)
    assert found == []


async def test_two_indexers_at_once_are_harmless(url: str, session: Session) -> None:
    async with running(PostgresStore(url)) as store, running(PostgresStore(url)) as other:
        for _ in range(10):
            await store.close_turn(make_turn(session))
        await asyncio.gather(*[one.index_messages(limit=100) for one in (store, other, store, other)])
        assert len((await store.search(ALICE.id, "hi", limit=100, offset=0)).items) == 22
        assert await store.index_messages(limit=100) == 0


async def test_what_was_written_while_a_session_was_indexed_is_indexed_next(url: str, session: Session) -> None:
    async with running(PostgresStore(url)) as store, connected(url) as other:
        link = Link(other, QUERIES)
        ((session_id, version),) = await link.rows("sessions_to_index", 10)
        await store.close_turn(make_turn(session))
        await link.row("end_indexing", session_id, version)
        assert await store.index_messages(limit=100) == 4


async def test_nothing_is_indexed_of_a_session_that_is_being_purged(url: str, session: Session) -> None:
    async with running(PostgresStore(url)) as store, connected(url) as other, connected(url) as watcher:
        purging = other.transaction()
        await purging.start()
        await other.execute(QUERIES["purge_session"].replace("$1", f"'{session.id}'").replace("$2", f"'{ALICE.id}'"))
        indexing = asyncio.create_task(store.index_messages(limit=100))
        await until_waiting(watcher)
        await purging.commit()
        await indexing
        assert await watcher.fetchval("SELECT count(*) FROM search_texts") == 0


async def test_an_audit_log_cannot_be_changed(url: str) -> None:
    for statement in ("DELETE FROM audit_log", "UPDATE audit_log SET action = ''", "TRUNCATE audit_log"):
        async with connected(url) as connection:
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await connection.execute(statement)


async def test_nobody_gets_a_session_while_they_are_being_erased(url: str, session: Session) -> None:
    async with running(PostgresStore(url)) as store, connected(url) as other, connected(url) as watcher:
        async with other.transaction():
            link = Link(other, QUERIES)
            await link.row("lock_user", session.user_id)  # the first thing that erasing does
            created = asyncio.create_task(store.create_session(make_session()))
            await until_waiting(watcher)
            assert await users.erase(link, session.user_id, None)
        with pytest.raises(ConstraintViolated):
            await created
        assert await watcher.fetchval("SELECT count(*) FROM sessions") == 0


async def test_a_key_is_not_rotated_while_its_user_is_being_erased(url: str, session: Session) -> None:
    """Both lock the user, then the key. Were it the other way round here, the two would wait for each other."""
    async with running(PostgresStore(url, timeout=60)) as store, connected(url) as other, connected(url) as watcher:
        erasing = other.transaction()
        await erasing.start()
        link = Link(other, QUERIES)
        await link.row("lock_user", session.user_id)  # the first thing that erasing does
        rotation = Rotation("key_new", b"new", at(1), at(2))
        rotated = asyncio.create_task(store.rotate_key("key_1", rotation))
        await until_waiting(watcher)
        assert await users.erase(link, session.user_id, None)
        await erasing.commit()
        assert await rotated is None
        assert await watcher.fetchval("SELECT count(*) FROM api_keys") == 0
