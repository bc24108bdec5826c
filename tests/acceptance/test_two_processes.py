"""Two servers on one database: turns of one session run one after the other, and each sees those before it."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.acceptance.conversation import Announced, Message, Person, beginning, sent
from tests.acceptance.process import GatewayProcess, settings_for
from tests.postgresql import PostgreSQL, run
from tests.stubs.openai_wire import OpenAIStub
from tests.stubs.server import Events, Gate

LEASE = 2.0
"""Seconds: the shortest that the settings allow."""

_PATIENCE = 20.0
"""Seconds that something that is bound to happen may take."""


class Pair:
    """Two servers, one user of both, and a look into their database."""

    def __init__(self, url: str, first: GatewayProcess, second: GatewayProcess) -> None:
        self.url = url
        self.processes = (first, second)
        self.people = [Person(process, first.first_keys["user"]) for process in self.processes]

    def query(self, statement: str) -> Any:
        """The first column of the first row."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
                return connection.execute(statement).fetchone()[0]
        return run(_fetch_value(self.url, statement))

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)

    def wait_for_change(self, statement: str) -> None:
        """Return when a query answers otherwise than now."""
        before = self.query(statement)
        self.wait_until(lambda: self.query(statement) != before)

    def wait_for_waiting(self, session: str, turns: int) -> None:
        """Return when so many turns have a ticket for the session."""
        tickets = f"SELECT count(*) FROM turn_queue WHERE session_id = '{session}'"  # noqa: S608 - the id is ours
        self.wait_until(lambda: self.query(tickets) == turns)

    def revive(self) -> None:
        for process in self.processes:
            if not process.is_running:
                process.start()

    def close(self) -> None:
        for person in self.people:
            person.close()


async def _fetch_value(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes empty databases."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield lambda: f"sqlite:///{tmp_path_factory.mktemp('database')}/gateway.db"
        else:
            server: PostgreSQL = request.getfixturevalue("postgresql")
            yield lambda: stack.enter_context(server.empty_database())


@pytest.fixture(scope="module")
def shared_pair(
    new_url: Callable[[], str], shared_stub: OpenAIStub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    directory, url = tmp_path_factory.mktemp("pair"), new_url()
    with (
        _process(directory / "first", url, shared_stub) as first,
        _process(directory / "second", url, shared_stub) as second,
    ):
        pair = Pair(url, first, second)
        yield pair
        pair.close()


@pytest.fixture
def pair(shared_pair: Pair, stub: OpenAIStub) -> Iterator[Pair]:
    """Two servers that run, and nobody waiting."""
    del stub  # it forgets what other tests asked of it
    yield shared_pair
    shared_pair.revive()


@contextmanager
def _process(directory: Path, url: str, stub: OpenAIStub) -> Iterator[GatewayProcess]:
    directory.mkdir()
    settings = settings_for(stub, storage={"url": url, "timeout": 10}, sessions={"lease": LEASE})
    with GatewayProcess(directory, settings) as process:
        yield process


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as executor:
        yield executor


class Held:
    """A turn whose provider has begun to answer, and goes on when told to."""

    def __init__(self, person: Person, session: str, stub: OpenAIStub, threads: ThreadPoolExecutor) -> None:
        self._gate = Gate()
        behaviour = Announced(Events([*beginning("slow"), self._gate, *_END]))
        stub.reply_with(behaviour)
        self.body: Future[bytes] = threads.submit(person.stream_bytes, session, "0")
        behaviour.wait()
        assert self._gate.wait_reached()

    def let_go(self) -> None:
        self._gate.open()


_END: list[Message] = [
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    }
]


def users(window: list[Message]) -> list[str]:
    return [message["content"] for message in window if message["role"] == "user"]


def test_turns_run_in_the_order_they_arrived_wherever_they_did(
    pair: Pair, stub: OpenAIStub, threads: ThreadPoolExecutor
) -> None:
    here, there = pair.people
    session = here.new_session()
    held = Held(here, session, stub, threads)
    waiting: list[Future[Any]] = []
    for number, person in enumerate([there, here, here, there, there, here], start=1):
        waiting.append(threads.submit(person.say, session, str(number)))
        pair.wait_for_waiting(session, number)
    assert len(stub.requests) == 1
    held.let_go()
    for turn in waiting:
        assert turn.result(_PATIENCE).choices[0].message.content
    assert held.body.result(_PATIENCE).endswith(b"data: [DONE]\n\n")
    assert [users(window) for window in sent(stub)] == [[str(n) for n in range(last + 1)] for last in range(7)]
    pair.wait_for_waiting(session, 0)


def test_many_turns_at_once_are_one_row_of_turns_in_each_session(
    pair: Pair, stub: OpenAIStub, threads: ThreadPoolExecutor
) -> None:
    sessions = [pair.people[0].new_session(max_history_messages=100) for _ in range(3)]
    calls = [
        (person, session, f"{session}/{number}")
        for number in range(8)
        for session in sessions
        for person in pair.people
    ]
    for future in [threads.submit(person.say, session, text) for person, session, text in calls]:
        assert future.result(60).choices
    windows = sent(stub)
    for session in sessions:
        stored = pair.people[1].stored(session)
        assert [message["seq"] for message in stored] == list(range(1, 33))
        texts = [message["content"] for message in stored]
        of_session = [window for window in windows if window[-1]["content"].startswith(session)]
        # Each call was sent exactly what was stored before it: nobody started before the last one had ended.
        assert sorted([message["content"] for message in window] for window in of_session) == sorted(
            texts[: 2 * turn + 1] for turn in range(16)
        )
    asked = Counter(text for _, _, text in calls)
    assert Counter(window[-1]["content"] for window in windows) == asked


def test_a_turn_may_take_longer_than_its_lease(pair: Pair, stub: OpenAIStub, threads: ThreadPoolExecutor) -> None:
    here, there = pair.people
    session = here.new_session()
    held = Held(here, session, stub, threads)
    waiting = threads.submit(there.say, session, "1")
    pair.wait_for_waiting(session, 1)
    if pair.url.startswith("sqlite"):
        # The hold itself is the operating system's, and has no lease.
        expiry = f"SELECT expires_at FROM turn_queue WHERE session_id = '{session}'"  # noqa: S608 - as above
    else:
        expiry = f"SELECT lock_until FROM sessions WHERE id = '{session}'"  # noqa: S608 - as above
    for _ in range(4):  # three renewals are one lease
        pair.wait_for_change(expiry)
    assert len(stub.requests) == 1
    held.let_go()
    waiting.result(_PATIENCE)
    assert [users(window) for window in sent(stub)] == [["0"], ["0", "1"]]


def test_a_session_whose_holder_was_killed_is_free_again(
    pair: Pair, stub: OpenAIStub, threads: ThreadPoolExecutor
) -> None:
    here, there = pair.people
    session = here.new_session()
    here.say(session, "before")
    held = Held(here, session, stub, threads)
    pair.processes[0].kill()
    there.say(session, "after")
    assert users(sent(stub)[-1]) == ["before", "after"]
    assert held.body.exception(_PATIENCE) is not None
    held.let_go()


def test_a_place_in_the_queue_does_not_outlive_its_process(
    pair: Pair, stub: OpenAIStub, threads: ThreadPoolExecutor
) -> None:
    here, there = pair.people
    session = here.new_session()
    held = Held(here, session, stub, threads)
    dying = threads.submit(there.say, session, "never")
    pair.wait_for_waiting(session, 1)
    next_one = threads.submit(here.say, session, "1")
    pair.wait_for_waiting(session, 2)
    pair.processes[1].kill()
    assert dying.exception(_PATIENCE) is not None
    held.let_go()
    next_one.result(_PATIENCE)
    assert [users(window) for window in sent(stub)] == [["0"], ["0", "1"]]


def test_two_servers_that_start_at_once_on_an_empty_database_both_serve(
    new_url: Callable[[], str], stub: OpenAIStub, tmp_path: Path
) -> None:
    url = new_url()
    started: list[Any] = []

    def serve(name: str) -> None:
        with _process(tmp_path / name, url, stub) as process:
            started.append(process.first_keys)

    both = [threading.Thread(target=serve, args=(name,)) for name in ("first", "second")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(started) == 2
    assert sorted(len(keys) for keys in started) == [0, 2], "each first key is made once"
