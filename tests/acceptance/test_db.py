"""`gateway db`: the schema of a database, on SQLite and PostgreSQL, as an operator sees it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from gateway.storage import inspection
from gateway.storage.revisions import known_revisions
from tests.acceptance.process import GatewayProcess
from tests.postgresql import PostgreSQL, execute
from tests.unit.copied_rows import write

NEWEST = known_revisions()[-1]
PASSWORD = "correct-horse"


def _gateway(directory: Path, url: str) -> GatewayProcess:
    return GatewayProcess(directory, {"storage": {"url": url}, "models": [{"name": "echo", "model": "echo"}]})


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database in which there is nothing yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'some where' / 'gateway.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.empty_database() as url:
        yield url


def _change(url: str, statement: str) -> None:
    if url.startswith("sqlite:"):
        write(Path(url.removeprefix("sqlite:///")), statement)
    else:
        execute(url, statement)


def test_a_schema_from_nothing_to_the_newest(url: str, tmp_path: Path) -> None:
    gateway = _gateway(tmp_path, url)
    for command in ("current", "check"):
        result = gateway.command("db", command)
        assert (result.returncode, result.stdout) == (1, "")
        assert "has no tables of the gateway's. Run `gateway db upgrade`" in result.stderr

    first = gateway.command("db", "upgrade")
    again = gateway.command("db", "upgrade")

    assert (first.returncode, first.stdout) == (0, "")
    assert f"upgraded from nothing to revision {NEWEST}" in first.stderr
    assert (again.returncode, again.stdout) == (0, "")
    assert f"is at revision {NEWEST} already" in again.stderr
    current = gateway.command("db", "current")
    assert (current.returncode, current.stdout, current.stderr) == (0, f"{NEWEST}\n", "")
    check = gateway.command("db", "check")
    assert (check.returncode, check.stdout) == (0, "")
    assert f"is at revision {NEWEST}, and can be used" in check.stderr


@pytest.mark.parametrize(
    ("revision", "said"),
    [("0001", f"behind {NEWEST}. Run `gateway db upgrade`"), ("9999", "Use the gateway that upgraded it")],
)
async def test_a_schema_that_this_gateway_cannot_use(url: str, revision: str, said: str) -> None:
    await inspection.upgrade(url)
    table = "alembic_version" if url.startswith("sqlite:") else "gateway_schema_version"
    _change(url, f"UPDATE {table} SET version_num = '{revision}'")  # noqa: S608 - ours
    (problem,) = await inspection.check(url)
    assert f"is at revision {revision}" in problem
    assert said in problem


async def test_a_damaged_file(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'gateway.db'}", tmp_path / "gateway.db"
    await inspection.upgrade(url)
    write(path, "INSERT INTO api_keys (id, user_id, scopes, hash, created_at) VALUES ('k', 'gone', '', '', 0)")
    (problem,) = await inspection.check(url)
    assert "Row 1 of api_keys refers to a row of users that is not there" in problem

    write(path, "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET rootpage = 2 WHERE name = 'turns_by_user'")
    assert any("The file is damaged" in problem for problem in await inspection.check(url))


async def test_a_table_that_is_gone(postgresql: PostgreSQL) -> None:
    with postgresql.migrated_database() as url:
        execute(url, "DROP TABLE audit_log")
        assert await inspection.check(url) == ["Table audit_log is missing. Restore a backup."]


async def test_more_that_might_be_wrong(postgresql: PostgreSQL) -> None:
    async def probe(connection: asyncpg.Connection) -> list[str]:
        return [f"{await connection.fetchval('SELECT 6 * 7')} columns are missing"]

    with postgresql.migrated_database() as url:
        assert await inspection.check(url) == []
        assert await inspection.check(url, probe=probe) == ["42 columns are missing"]
        execute(url, "DROP TABLE gateway_schema_version")
        ours, theirs = await inspection.check(url, probe=probe)
        assert "Run `gateway db upgrade`" in ours
        assert theirs == "42 columns are missing"


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("This is no database. " * 100)
    result = _gateway(tmp_path, "sqlite:///broken.db").command("db", "check")
    assert (result.returncode, result.stdout) == (1, "")
    assert "file is not a database" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("options", ["", "?sslmode=bogus"])
def test_a_server_that_is_not_there(tmp_path: Path, options: str) -> None:
    result = _gateway(tmp_path, f"postgresql://ada:{PASSWORD}@127.0.0.1:1/nowhere{options}").command("db", "check")
    assert (result.returncode, result.stdout) == (1, "")
    assert "The database postgresql://ada@127.0.0.1:1/nowhere" in result.stderr
    assert PASSWORD not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("db", "check"), ("keys", "list"), ("serve",)])
def test_a_password_that_is_not_encoded(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = _gateway(tmp_path, f"postgresql://ada:top/{PASSWORD}@127.0.0.1:1/nowhere").command(*command)
    assert (result.returncode, result.stdout) == (2, "")
    assert "storage.url: must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE: percent-encode" in result.stderr
    assert PASSWORD not in result.stderr
    assert "Traceback" not in result.stderr


def test_memory_has_no_schema(tmp_path: Path) -> None:
    result = _gateway(tmp_path, "memory:").command("db", "upgrade")
    assert (result.returncode, result.stdout) == (1, "")
    assert "memory: which has no schema" in result.stderr


def test_a_revision_that_there_is_none_of(tmp_path: Path) -> None:
    result = _gateway(tmp_path, "memory:").command("db", "sql", "--from", "0815")
    assert (result.returncode, result.stdout) == (2, "")
    assert "There is no revision 0815: --from takes 0001" in result.stderr


def test_the_sql_for_a_sqlite_file(tmp_path: Path) -> None:
    gateway = _gateway(tmp_path, "sqlite:///gateway.db")
    newer = gateway.command("db", "sql", "--dialect", "sqlite", "--from", "0001")
    assert (newer.returncode, newer.stderr) == (0, "")
    assert "CREATE TABLE users" not in newer.stdout
    assert "CREATE TABLE audit_log" in newer.stdout
    _run_script(tmp_path / "gateway.db", gateway.command("db", "sql", "--dialect", "sqlite").stdout)
    assert gateway.command("db", "check").returncode == 0


def _run_script(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(script)


@pytest.fixture
def clerk(postgresql: PostgreSQL) -> Iterator[tuple[str, str]]:
    """A database that an administrator has prepared with `gateway db sql`, and the URL of a role without DDL rights."""
    with postgresql.empty_database() as admin:
        role = "clerk_" + urlsplit(admin).path.removeprefix("/")
        execute(admin, f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        try:
            yield admin, _as_role(admin, role)
        finally:
            execute(admin, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def _as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{PASSWORD}@{place}"))


def test_a_role_without_the_right_to_create_tables(clerk: tuple[str, str], tmp_path: Path) -> None:
    admin, url = clerk
    role = urlsplit(url).username
    gateway = _gateway(tmp_path, url)
    refused = gateway.command("db", "upgrade")
    assert refused.returncode == 1
    assert "permission denied" in refused.stderr
    assert "have the output of `gateway db sql` run by a role that may" in refused.stderr
    execute(admin, gateway.command("db", "sql").stdout, f"GRANT SELECT ON gateway_schema_version TO {role}")

    check = gateway.command("db", "check")
    assert check.returncode == 1
    grants = [line.partition(" run: ")[2] for line in check.stderr.splitlines()]
    assert f"GRANT INSERT ON messages TO {role};" in grants
    assert f"GRANT DELETE ON audit_log TO {role};" not in grants
    execute(admin, *grants)

    assert gateway.command("db", "check").returncode == 0
    with gateway, gateway.http(gateway.first_keys["user"]) as user:
        session = user.post("/chat/sessions", json={})
    assert session.status_code == 201, session.text
    assert PASSWORD not in gateway.log
