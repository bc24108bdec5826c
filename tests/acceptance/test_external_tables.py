"""docs/storage.md, "Bring your own tables": its DDL and its settings, with a real gateway on a real PostgreSQL."""

import re
from pathlib import Path
from typing import Any

import asyncpg
import yaml

from gateway.settings import ExternalTables
from gateway.storage.postgres.external import statements
from tests.acceptance.conversation import person_at
from tests.acceptance.process import GatewayProcess
from tests.postgresql import PostgreSQL, execute, run

SECTION = (
    (Path(__file__).parents[2] / "docs" / "storage.md")
    .read_text(encoding="utf-8")
    .split("## Bring your own tables\n")[1]
    .split("\n## ")[0]
)


def block(language: str) -> str:
    """The one code block of this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
    return str(found)


def settings(url: str) -> dict[str, Any]:
    documented = yaml.safe_load(block("yaml"))
    return {"storage": {**documented["storage"], "url": url}}


def test_a_gateway_on_the_documented_tables_remembers(postgresql: PostgreSQL, tmp_path: Path) -> None:
    with postgresql.empty_database() as url:
        gateway = GatewayProcess(tmp_path, settings(url))
        assert gateway.command("db", "upgrade").returncode == 0
        checked = gateway.command("db", "check")
        assert checked.returncode == 1
        assert re.findall(r"app_chat_\w+(?=: there is no such table)", checked.stderr) == [
            "app_chat_messages",
            "app_chat_sessions",
        ]

        execute(url, block("sql"))
        assert gateway.command("db", "check").returncode == 0
        with gateway, person_at(gateway) as person:
            session = person.new_session()
            person.say(session, "My name is Ada.", model="echo")
            reply = person.say(session, "What is my name?", model="echo")
        assert "3 messages" in (reply.choices[0].message.content or "")
        kept = run(
            fetch(url, "SELECT parts_json -> 'message' ->> 'content' FROM app_chat_messages ORDER BY message_id")
        )
        assert kept[::2] == ["My name is Ada.", "What is my name?"]


def test_the_documented_index_serves_the_list_of_a_users_sessions(postgresql: PostgreSQL) -> None:
    with postgresql.empty_database() as url:
        execute(url, block("sql"), FILL, "ANALYZE app_chat_sessions")
        list_sessions = statements(ExternalTables(**settings(url)["storage"]["tables"]))["list_sessions"]
        plan = "\n".join(run(fetch(url, f"EXPLAIN {list_sessions}", "user_7", False, 20, 0)))
    assert "app_chat_sessions_expr_created_at_session_id_idx" in plan
    assert "Seq Scan" not in plan


FILL = """INSERT INTO app_chat_sessions (session_id, state_json, created_at)
SELECT n::text, jsonb_build_object('gateway', jsonb_build_object('user_id', 'user_' || n % 50)), to_timestamp(n)
FROM generate_series(1, 5000) AS n"""


async def fetch(url: str, query: str, *values: Any) -> list[Any]:
    """The first column."""
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()
