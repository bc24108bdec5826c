"""`gateway db copy` as an operator runs it: what it says, its exit code, and what is left of it when it is killed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.storage.copying.tables import TURNS
from tests.acceptance.process import GatewayProcess
from tests.postgresql import PostgreSQL, execute
from tests.unit.copied_rows import ROWS, add, fill, query

_PATIENCE = 30


@pytest.fixture
def directory(tmp_path: Path) -> GatewayProcess:
    """A place to run commands in, with a filled source.db."""
    fill(tmp_path / "source.db")
    return GatewayProcess(tmp_path, {"models": [{"name": "echo", "model": "echo"}]})


@pytest.fixture
def target(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.empty_database() as url:
        yield url


def test_a_copy_says_what_it_did(directory: GatewayProcess, target: str) -> None:
    first = directory.command("db", "copy", "--from", "sqlite:///source.db", "--to", target)
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    assert "Rows added: 14." in first.stderr
    summary = [line.split() for line in first.stderr.splitlines() if line.startswith("messages ")]
    assert [cells[:3] for cells in summary] == [["messages", "3", "3"]]
    assert summary[0][3] == summary[0][4]

    again = directory.command("db", "copy", "--from", "sqlite:///source.db", "--to", target)
    assert (again.returncode, again.stdout) == (0, ""), again.stderr
    assert "Rows added: 0." in again.stderr


def test_a_copied_key_opens_the_copied_sessions(directory: GatewayProcess, target: str) -> None:
    source = GatewayProcess(directory.directory, {"storage": {"url": "sqlite:///source.db"}})
    key = source.create_key("ada")
    directory.command("db", "copy", "--from", "sqlite:///source.db", "--to", target)
    with GatewayProcess(directory.directory, {"storage": {"url": target}}) as moved, moved.http(key) as ada:
        sessions = ada.get("/chat/sessions").json()["data"]
        messages = ada.get("/chat/sessions/B/messages").json()["data"]
    assert [session["session_id"] for session in sessions] == ["a"]  # B is archived
    assert [message["seq"] for message in messages] == [1, 3]


def test_a_conflict_is_told_at_the_end(directory: GatewayProcess, target: str) -> None:
    directory.command("db", "copy", "--from", "sqlite:///source.db", "--to", target)
    execute(target, "UPDATE messages SET body = 'other' WHERE id = 'msg_3'")
    result = directory.command("db", "copy", "--from", "sqlite:///source.db", "--to", target)
    assert (result.returncode, result.stdout) == (1, "")
    assert "1 rows of messages have another row under their key in the target: ä/1099511627776." in result.stderr
    assert "The copy is not complete." in result.stderr


@pytest.mark.parametrize(
    ("source", "target", "code", "said"),
    [
        ("sqlite:///source.db", "sqlite:///./source.db", 1, "are the same database"),
        ("sqlite:///nowhere.db", "sqlite:///new.db", 1, "nowhere.db to copy from."),
        ("memory:", "sqlite:///new.db", 2, "--from must be sqlite:///PATH or postgresql://"),
        ("sqlite:///source.db", "mysql://ada:secret@host/db", 2, "--to must be sqlite:///PATH or postgresql://"),
        ("sqlite:///source.db", "postgresql://ada:top/secret@127.0.0.1/db", 2, "Percent-encode what a URL cannot hold"),
        ("postgresql://ada:top#secret@127.0.0.1/db", "sqlite:///new.db", 2, "Percent-encode what a URL cannot hold"),
        ("sqlite:///source.db", "postgresql://ada:secret@127.0.0.1:1/db", 1, "postgresql://ada@127.0.0.1:1/db says"),
    ],
)
def test_what_cannot_be_copied(directory: GatewayProcess, source: str, target: str, code: int, said: str) -> None:
    result = directory.command("db", "copy", "--from", source, "--to", target)
    assert (result.returncode, result.stdout) == (code, "")
    assert said in result.stderr
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr
    assert not (directory.directory / "new.db").exists()


async def test_a_copy_that_was_killed_is_finished_by_the_next(directory: GatewayProcess, target: str) -> None:
    """It is killed in the middle of a table, where it waits for a row that somebody else is about to write."""
    turns = [(f"turn_{number:05}", *ROWS[TURNS][0][1:]) for number in range(9_000)]
    add(directory.directory / "source.db", TURNS, turns)
    command = ("db", "copy", "--from", "sqlite:///source.db", "--to", target)
    assert directory.command(*command).returncode == 0
    execute(target, "CREATE TABLE saved AS SELECT * FROM turns WHERE turn_id = 'turn_08500'", "DELETE FROM turns")

    async with _transaction(target, "INSERT INTO turns SELECT * FROM saved"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *command, cwd=directory.directory, stderr=asyncio.subprocess.DEVNULL
        )
        await _until_somebody_waits(target)
        process.kill()
        await process.wait()

    (count,) = (await query(target, "SELECT count(*) FROM turns"))[0]
    assert 0 < count < 9_002
    again = directory.command(*command)
    assert again.returncode == 0, again.stderr
    assert f"Rows added: {9_002 - count:,}." in again.stderr


@asynccontextmanager
async def _transaction(url: str, statement: str) -> AsyncIterator[None]:
    """Somebody who has written, and who at the end changes his mind."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN")
        await connection.execute(statement)
        yield
        await connection.execute("ROLLBACK")
    finally:
        await connection.close()


async def _until_somebody_waits(url: str) -> None:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(_PATIENCE):
        while not await query(url, waiting):  # noqa: ASYNC110 - it is another process's, in the database
            await asyncio.sleep(0.05)
