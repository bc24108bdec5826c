"""Starting on a PostgreSQL database: from nothing, twice at once, without rights, and not at all."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from gateway.errors import StorageUnavailable
from gateway.storage import inspection
from gateway.storage.errors import SchemaTooNew
from gateway.storage.postgres import PostgresStore
from gateway.storage.postgres.schema import current_revision, upgrade
from gateway.storage.revisions import ddl, known_revisions
from tests.postgresql import PostgreSQL, execute, run
from tests.unit.older_gateway import check_older_writes, older_schema, older_writes

WAITING = """
    SELECT EXISTS (
        SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
        WHERE NOT granted AND datname = current_database()
    )
"""


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.empty_database() as url:
        yield url


def query(url: str, sql: str) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return run(ask())


def tables(url: str) -> set[str]:
    return {row[0] for row in query(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def with_part(url: str, **parts: str) -> str:
    return urlunsplit(urlsplit(url)._replace(**parts))


async def start(url: str) -> None:
    store = PostgresStore(url, timeout=60)
    await store.start()
    await store.ping()
    await store.aclose()


async def test_an_empty_database_gets_every_table(url: str) -> None:
    await start(url)
    assert tables(url) == {
        "gateway_schema_version",
        "api_keys",
        "audit_log",
        "messages",
        "search_queue",
        "search_texts",
        "sessions",
        "turn_queue",
        "turns",
        "users",
    }


async def test_stores_that_start_at_once_on_an_empty_database_all_come_up(url: str) -> None:
    await asyncio.gather(*[start(url) for _ in range(4)])
    assert [row[0] for row in query(url, "SELECT version_num FROM gateway_schema_version")] == known_revisions()[-1:]


async def test_the_current_revision_is_none_before_and_the_newest_afterwards(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        assert await current_revision(connection) is None
        await upgrade(connection)
        assert await current_revision(connection) == known_revisions()[-1]
    finally:
        await connection.close()


async def test_an_older_database_gets_what_it_lacks(url: str) -> None:
    first = ddl("postgresql").split(f"-- Running upgrade {known_revisions()[0]} ")[0]
    execute(url, first)
    execute(url, "INSERT INTO users VALUES ('u', 'u')")
    assert "audit_log" not in tables(url)
    await start(url)
    assert "audit_log" in tables(url)
    assert len(query(url, "SELECT FROM users")) == 1


async def test_what_a_gateway_of_the_revision_before_writes_is_read_whenever_it_was_written(url: str) -> None:
    execute(url, older_schema("postgresql"), older_writes("postgresql", "before"))
    store = PostgresStore(url, timeout=60)
    await store.start()
    execute(url, older_writes("postgresql", "after"))
    for name in ("before", "after"):
        await check_older_writes(store, name)
    await store.aclose()


@pytest.mark.parametrize("first", ["turns", "api_keys"])  # closing a turn, and looking up a key, go on to users
async def test_statements_of_a_gateway_that_serves_and_an_upgrade_never_wait_for_each_other(
    url: str, first: str
) -> None:
    execute(url, older_schema("postgresql"))
    serving = await asyncpg.connect(url)
    try:
        async with serving.transaction():
            await serving.execute(f"LOCK TABLE {first} IN ROW EXCLUSIVE MODE")
            upgrading = asyncio.create_task(start(url))
            async with asyncio.timeout(60):
                while not await serving.fetchval(WAITING):  # noqa: ASYNC110 - it is the server that knows
                    await asyncio.sleep(0.01)
            await serving.execute("LOCK TABLE users IN ACCESS SHARE MODE NOWAIT")
        await upgrading
    finally:
        await serving.close()


async def test_tables_of_somebody_elses_are_left_alone_and_told_of(url: str) -> None:
    execute(url, "CREATE TABLE audit_log (somebody_elses int)")
    with pytest.raises(StorageUnavailable, match=r'relation "audit_log" already exists.*\?search_path=gateway'):
        await start(url)
    assert tables(url) == {"audit_log"}


async def test_the_tables_may_be_in_a_schema_of_their_own(url: str) -> None:
    execute(url, "CREATE SCHEMA gateway", "CREATE TABLE users (somebody_elses int)")
    parts = urlsplit(url)
    theirs = with_part(url, query="&".join(filter(None, [parts.query, "search_path=gateway"])))
    for _ in range(2):  # the second start finds them
        await start(theirs)
    assert tables(url) == {"users"}
    assert await inspection.check(theirs) == []
    assert await inspection.check(url) != []


async def test_a_database_of_a_later_gateway_is_refused_and_not_touched(url: str) -> None:
    execute(
        url,
        "CREATE TABLE gateway_schema_version (version_num text)",
        "INSERT INTO gateway_schema_version VALUES ('9999')",
    )
    with pytest.raises(SchemaTooNew, match=r"has schema 9999; this gateway knows schemas up to \d{4}"):
        await start(url)
    assert tables(url) == {"gateway_schema_version"}


async def test_a_role_without_the_right_to_create_tables_serves_from_those_that_are_there(url: str) -> None:
    role = urlsplit(url).path.removeprefix("/") + "_role"
    execute(
        url, f"CREATE ROLE {role} LOGIN PASSWORD 'secret-of-the-role'", "REVOKE CREATE ON SCHEMA public FROM public"
    )
    theirs = as_role(url, role)
    try:
        with pytest.raises(StorageUnavailable, match="gateway db sql"):
            await start(theirs)
        assert tables(url) == set()
        execute(url, ddl("postgresql"), f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        await start(theirs)
    finally:
        execute(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def as_role(url: str, role: str) -> str:
    _, _, place = urlsplit(url).netloc.rpartition("@")
    return with_part(url, netloc=f"{role}:secret-of-the-role@{place}")


async def test_a_database_that_is_not_there_is_an_outage_that_says_what_to_do(url: str) -> None:
    with pytest.raises(StorageUnavailable, match=r'database "no_such_one" does not exist.*CREATE DATABASE'):
        await start(with_part(url, path="/no_such_one"))


@pytest.fixture
def latin(url: str) -> Iterator[str]:
    """A database that cannot hold every text."""
    name = urlsplit(url).path.removeprefix("/") + "_latin"
    execute(url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    yield with_part(url, path=f"/{name}")
    execute(url, f"DROP DATABASE {name}")


@pytest.mark.parametrize("prepare", [start, inspection.upgrade])
async def test_a_database_of_another_encoding_is_refused(
    prepare: Callable[[str], Coroutine[Any, Any, None]], latin: str
) -> None:
    with pytest.raises(StorageUnavailable, match=r"encoding is LATIN1.*ENCODING 'UTF8'"):
        await prepare(latin)
    assert tables(latin) == set()


async def test_a_database_of_another_encoding_is_not_to_be_upgraded(latin: str) -> None:
    [problem] = await inspection.check(latin)
    assert problem.startswith("The database's encoding is LATIN1")


async def test_an_operator_is_told_of_tables_of_somebody_elses(url: str) -> None:
    execute(url, "CREATE TABLE audit_log (somebody_elses int)")
    with pytest.raises(StorageUnavailable, match="tables of somebody else's"):
        await inspection.upgrade(url)


async def test_an_operator_is_told_how_to_make_a_database_that_is_not_there(url: str) -> None:
    with pytest.raises(StorageUnavailable, match=r'database "no_such_one" does not exist.*CREATE DATABASE'):
        await inspection.upgrade(with_part(url, path="/no_such_one"))


@pytest.mark.parametrize(
    "unreachable",
    [
        "postgresql://alice:hunter2@127.0.0.1:1/x",
        "postgresql://alice:hunter2@/x?host=/no/such/directory",
        "postgresql://alice:hunter2@127.0.0.1:1,127.0.0.1:2/x",
    ],
)
async def test_a_server_that_is_not_there_is_an_outage_and_the_password_is_not_shown(
    unreachable: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(StorageUnavailable) as caught:
        await start(unreachable)
    assert "PostgreSQL cannot be used" in caught.value.message
    assert "hunter2" not in caught.value.message + str(caught.value.__cause__) + caplog.text


@pytest.mark.parametrize("rest", ["127.0.0.1/x?sslmode=hunter2", "/x?host=127.0.0.1:hunter2"])
async def test_a_url_that_the_driver_cannot_read_is_told_without_it(rest: str) -> None:
    with pytest.raises(StorageUnavailable, match=r"driver cannot read storage\.url") as caught:
        await start(f"postgresql://alice:hunter2@{rest}")
    assert "hunter2" not in caught.value.message
    assert caught.value.__cause__ is None


async def test_no_url_is_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await start(url)
    assert "Connected to database" in caplog.text
    assert urlsplit(url).path not in caplog.text


def test_a_database_that_is_up_to_date_is_started_on_without_alembic(url: str) -> None:
    execute(url, ddl("postgresql"))
    program = (
        "import asyncio, sys; from gateway.storage.opening import make_store; "
        f"store = make_store({url!r}); asyncio.run(store.start()); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own text


async def test_a_store_can_be_started_again(url: str) -> None:
    store = PostgresStore(url, timeout=60)
    for _ in range(2):
        await store.start()
        await store.ping()
        await store.aclose()


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_the_ddl_leaves_the_transaction_to_whoever_runs_it(dialect: str) -> None:
    lines = ddl(dialect).upper().splitlines()  # type: ignore[arg-type]  # the two that there are
    assert "BEGIN;" not in lines
    assert "COMMIT;" not in lines
    assert "CREATE TABLE MESSAGES (" in lines


def test_there_is_no_ddl_from_the_newest_revision_on() -> None:
    assert ddl("postgresql", start=known_revisions()[-1]).strip() == ""
