"""docs/langgraph.md: its graph, pasted as it is, against a gateway and a checkpointer in one PostgreSQL database."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import yaml
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from gateway.storage.postgres.schema import current_revision, upgrade
from gateway.storage.revisions import known_revisions
from tests.acceptance.conversation import Person, person_at
from tests.acceptance.process import GatewayProcess
from tests.postgresql import PostgreSQL

DOCUMENT = (Path(__file__).parents[2] / "docs" / "langgraph.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"
QUESTIONS = ["My name is Ada.", "What is my name?"]
REPLIES = [
    'You sent 1 message. It says: "My name is Ada.".',
    'You sent 3 messages. The first says: "My name is Ada.". The last says: "What is my name?".',
]
CONVERSATION = [QUESTIONS[0], REPLIES[0], QUESTIONS[1], REPLIES[1]]


def block(language: str) -> str:
    """The last code block of this language."""
    return str(re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)[-1])


class Application:
    """The document's agent.py in a directory of its own, with a gateway to talk to."""

    def __init__(self, directory: Path, database: str, gateway: GatewayProcess) -> None:
        self.directory = directory
        self.database = database
        self.gateway = gateway
        (directory / "agent.py").write_text(block("python"), encoding="utf-8")

    def run(self, script: str) -> str:
        """The standard output of bash; python3 is the interpreter of these tests, which has LangGraph."""
        environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "KEY": self.gateway.first_keys["user"],
            "DATABASE_URL": self.database,
            "GATEWAY_URL": self.gateway.url,
        }
        result = subprocess.run(
            ["bash", "-eu", "-o", "pipefail"],  # noqa: S607 - whichever bash a reader has
            input=script,
            cwd=self.directory,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.fixture(scope="module")
def application(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    directory = tmp_path_factory.mktemp("langgraph")
    settings = yaml.safe_load(block("yaml"))
    with (
        postgresql.empty_database() as database,
        GatewayProcess(directory, {**settings, "storage": {"url": database}}) as gateway,
    ):
        yield Application(directory, database, gateway)


@pytest.fixture
def person(application: Application) -> Iterator[Person]:
    with person_at(application.gateway) as somebody:
        yield somebody


async def test_a_session_made_first_is_a_thread(application: Application, person: Person) -> None:
    output = application.run(block("sh").replace(ADDRESS, application.gateway.url))
    assert output.splitlines() == REPLIES
    (session,) = [
        session for session in person.http.get("/chat/sessions").json()["data"] if session["session_name"] == "A thread"
    ]
    assert [message["content"] for message in person.stored(session["session_id"])] == CONVERSATION
    assert await checkpointed(application.database, session["session_id"]) == CONVERSATION


async def test_a_thread_of_the_applications_own_is_carried_on_by_another_process(
    application: Application, person: Person
) -> None:
    output = [application.run(f"python3 agent.py thread-1 '{question}'").strip() for question in QUESTIONS]
    assert output == REPLIES
    assert [message["content"] for message in person.stored("thread-1")] == CONVERSATION
    assert await checkpointed(application.database, "thread-1") == CONVERSATION


async def test_the_tables_stand_side_by_side(postgresql: PostgreSQL) -> None:
    with postgresql.migrated_database() as ours, postgresql.empty_database() as theirs:
        await set_up_checkpointer(theirs)
        both = await tables(ours) | await tables(theirs)
        assert all(name.startswith("checkpoint") for name in await tables(theirs))
        assert not any(name.startswith("checkpoint") for name in await tables(ours))

        await set_up_checkpointer(ours)
        await upgrade_schema(theirs)
        for url in (ours, theirs):
            assert await tables(url) == both
            assert await revision(url) == known_revisions()[-1]
        await set_up_checkpointer(theirs)
        await upgrade_schema(ours)


@pytest.mark.parametrize(
    ("messages", "new"),
    [
        (["human"], ["human"]),
        (["human", "ai", "human"], ["human"]),
        (["human", "ai", "tool", "tool"], ["tool", "tool"]),
        (["human", "ai", "tool", "ai"], []),
    ],
)
def test_only_what_is_new_is_sent(
    messages: list[str], new: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_URL", ADDRESS)
    monkeypatch.setenv("KEY", "sk-gw-none")
    (tmp_path / "agent.py").write_text(block("python"), encoding="utf-8")
    new_messages = runpy.run_path(str(tmp_path / "agent.py"))["new_messages"]
    assert [message.type for message in new_messages([MESSAGES[kind] for kind in messages])] == new


MESSAGES: dict[str, AnyMessage] = {
    "human": HumanMessage("Is it raining?"),
    "ai": AIMessage("I shall look."),
    "tool": ToolMessage("It is.", tool_call_id="call_1"),
}


async def checkpointed(url: str, thread_id: str) -> list[str]:
    """The texts of the messages in the thread's state."""
    async with AsyncPostgresSaver.from_conn_string(url) as checkpointer:
        saved = await checkpointer.aget_tuple({"configurable": {"thread_id": thread_id}})
    assert saved is not None
    return [message.content for message in saved.checkpoint["channel_values"]["messages"]]


async def set_up_checkpointer(url: str) -> None:
    async with AsyncPostgresSaver.from_conn_string(url) as checkpointer:
        await checkpointer.setup()


async def tables(url: str) -> set[str]:
    async with connected(url) as connection:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def revision(url: str) -> str | None:
    async with connected(url) as connection:
        return await current_revision(connection)


async def upgrade_schema(url: str) -> None:
    async with connected(url) as connection:
        await upgrade(connection)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
