"""Group commit, seen from the connection: what it traces, while its thread is held up."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import StorageUnavailable
from gateway.storage.errors import ConstraintViolated
from gateway.storage.sqlite import pragmas
from gateway.storage.sqlite.batches import Batch, Work, read_batch, write_batch
from gateway.storage.sqlite.lane import Lane


class HeldUp:
    """A work that keeps the lane's thread busy until it is let go."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self._go = threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, _connection: sqlite3.Connection) -> str:
        self._loop.call_soon_threadsafe(self.began.set)
        self._go.wait()
        return "held up"

    def let_go(self) -> None:
        self._go.set()


async def open_lane(directory: Path, batch: Batch, *, busy_timeout: float = 2.0) -> Lane:
    url = f"sqlite:///{directory / 'lane.db'}"
    lane = await Lane.open(url, pragmas=pragmas.WRITER, batch=batch, busy_timeout=busy_timeout)
    await lane.run(lambda connection: connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER UNIQUE)").close())
    return lane


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Lane]:
    lane = await open_lane(tmp_path, write_batch)
    yield lane
    await lane.aclose()


@pytest.fixture
async def reader(tmp_path: Path, writer: Lane) -> AsyncIterator[Lane]:
    del writer  # has made the table
    lane = await Lane.open(
        f"sqlite:///{tmp_path / 'lane.db'}", pragmas=pragmas.READER, batch=read_batch, busy_timeout=2.0
    )
    yield lane
    await lane.aclose()


def insert(number: int) -> Work[int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return work


def stored(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]


async def trace(lane: Lane) -> list[str]:
    """From now on, every statement of the lane's connection."""
    seen: list[str] = []
    await lane.run(lambda connection: connection.set_trace_callback(seen.append))
    seen.clear()
    return seen


async def while_busy(lane: Lane, *works: Work[int]) -> list[int | BaseException]:
    """Hand works in while the lane's thread is busy, so that they make one batch."""
    held_up = HeldUp()
    first = asyncio.create_task(lane.run(held_up))
    await held_up.began.wait()
    tasks = [asyncio.create_task(lane.run(work)) for work in works]
    await asyncio.sleep(0)  # lets each task hand its work in
    assert lane.load == 1 + len(works)
    held_up.let_go()
    assert await first == "held up"
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_work_that_finds_the_thread_idle_is_a_transaction_of_its_own(writer: Lane) -> None:
    seen = await trace(writer)
    assert await writer.run(insert(1)) == 1
    assert seen == ["BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)", "COMMIT"]


async def test_works_that_arrive_in_one_pass_of_the_loop_share_one_commit(writer: Lane) -> None:
    seen = await trace(writer)
    assert await asyncio.gather(*[writer.run(insert(number)) for number in range(4)]) == [0, 1, 2, 3]
    assert (seen.count("BEGIN IMMEDIATE"), seen.count("COMMIT")) == (1, 1)


async def test_a_lane_that_is_closed_at_once_still_does_what_was_asked_of_it(tmp_path: Path) -> None:
    lane = await open_lane(tmp_path, write_batch)
    asked, given_up = asyncio.create_task(lane.run(insert(1))), asyncio.create_task(lane.run(insert(2)))
    await asyncio.sleep(0)
    given_up.cancel()
    await lane.aclose()
    assert await asked == 1
    lane = await open_lane(tmp_path, write_batch)
    assert await lane.run(stored) == [1]
    await lane.aclose()


async def test_works_that_arrive_while_the_thread_is_busy_share_one_commit(writer: Lane) -> None:
    seen = await trace(writer)
    assert await while_busy(writer, *[insert(number) for number in range(10)]) == list(range(10))
    assert seen.count("COMMIT") == 2  # of the work that held the thread up, and of the ten
    assert seen.count("BEGIN IMMEDIATE") == 2


async def test_one_bad_work_is_rolled_back_alone(writer: Lane) -> None:
    def insert_and_fail(connection: sqlite3.Connection) -> int:
        insert(99)(connection)
        raise LookupError("a bug of this one")

    one, bug, double, two = await while_busy(writer, insert(1), insert_and_fail, insert(1), insert(2))
    assert (one, two) == (1, 2)
    assert isinstance(bug, LookupError)
    assert isinstance(double, ConstraintViolated)
    assert await writer.run(stored) == [1, 2]


async def test_results_are_given_only_after_the_commit(writer: Lane, tmp_path: Path) -> None:
    seen: list[list[int]] = []

    def look_from_outside(task: asyncio.Task[int]) -> None:
        task.result()
        with closing(sqlite3.connect(tmp_path / "lane.db")) as other:
            seen.append(stored(other))

    task = asyncio.create_task(writer.run(insert(1)))
    task.add_done_callback(look_from_outside)
    await task
    await asyncio.sleep(0)  # lets the callback run
    assert seen == [[1]]


async def test_a_commit_that_fails_is_nobodys_success(writer: Lane) -> None:
    def break_commit(connection: sqlite3.Connection) -> int:
        connection.execute("CREATE TABLE child (n INTEGER REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)")
        connection.execute("INSERT INTO child VALUES (404)")
        return 0

    good, bad = await while_busy(writer, insert(1), break_commit)
    assert good == 1
    assert isinstance(bad, ConstraintViolated)
    assert await writer.run(stored) == [1]


async def test_a_waiter_cancelled_in_the_line_disturbs_nobody_and_its_work_is_not_run(writer: Lane) -> None:
    held_up = HeldUp()
    first = asyncio.create_task(writer.run(held_up))
    await held_up.began.wait()
    tasks = [asyncio.create_task(writer.run(insert(number))) for number in range(3)]
    await asyncio.sleep(0)  # lets each task hand its work in
    tasks[1].cancel()
    first.cancel()
    await asyncio.wait([first, tasks[1]])
    held_up.let_go()
    assert [await tasks[0], await tasks[2]] == [0, 2]
    assert await writer.run(stored) == [0, 2]


async def test_a_waiter_cancelled_while_its_work_runs_leaves_the_lane_working(writer: Lane) -> None:
    held_up = HeldUp()
    task = asyncio.create_task(writer.run(held_up))
    await held_up.began.wait()
    task.cancel()
    await asyncio.wait([task])
    held_up.let_go()
    assert await writer.run(insert(1)) == 1


async def test_a_thread_that_does_not_answer_is_given_up_at_the_deadline(reader: Lane) -> None:
    held_up = HeldUp()
    first = asyncio.create_task(reader.run(held_up))
    await held_up.began.wait()
    with pytest.raises(StorageUnavailable):
        await reader.run(stored, deadline=asyncio.get_running_loop().time() + 0.01)
    held_up.let_go()
    assert await first == "held up"
    assert await reader.run(stored, deadline=asyncio.get_running_loop().time() + 60) == []


async def test_reads_of_one_batch_see_one_snapshot_and_fail_alone(reader: Lane, writer: Lane) -> None:
    held_up = HeldUp()

    def look(connection: sqlite3.Connection) -> list[int]:
        before = stored(connection)
        held_up(connection)
        return before

    def fail(_connection: sqlite3.Connection) -> list[int]:
        raise LookupError

    blocker = HeldUp()
    first = asyncio.create_task(reader.run(blocker))
    await blocker.began.wait()
    tasks = [asyncio.create_task(reader.run(work)) for work in (look, fail, stored)]
    await asyncio.sleep(0)  # lets each task hand its work in
    blocker.let_go()
    await first
    await held_up.began.wait()
    await writer.run(insert(1))
    held_up.let_go()
    looked, failed, later = await asyncio.gather(*tasks, return_exceptions=True)
    assert [looked, later] == [[], []]
    assert isinstance(failed, LookupError)
    assert await reader.run(stored) == [1]


@pytest.mark.parametrize("batch", [read_batch, write_batch])
async def test_a_bug_in_a_statement_is_no_outage(tmp_path: Path, batch: Batch) -> None:
    lane = await open_lane(tmp_path, batch)
    with pytest.raises(sqlite3.ProgrammingError):
        await lane.run(lambda connection: connection.execute("SELECT ?", ()))
    await lane.aclose()


async def test_a_lock_that_is_not_to_be_had_fails_the_whole_batch_at_once(tmp_path: Path) -> None:
    lane = await open_lane(tmp_path, write_batch, busy_timeout=0.01)
    seen = await trace(lane)
    with closing(sqlite3.connect(tmp_path / "lane.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(*[lane.run(insert(number)) for number in range(5)], return_exceptions=True)
        other.execute("ROLLBACK")
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 5
    assert seen.count("BEGIN IMMEDIATE") == 1
    assert await lane.run(insert(1)) == 1
    await lane.aclose()


async def test_an_outage_keeps_its_cause(tmp_path: Path, unused_work: Callable[[sqlite3.Connection], None]) -> None:
    lane = await open_lane(tmp_path, write_batch)
    with pytest.raises(StorageUnavailable) as caught:
        await lane.run(unused_work)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    await lane.aclose()


@pytest.fixture
def unused_work() -> Callable[[sqlite3.Connection], None]:
    def work(_connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    return work
