"""`gateway sessions export` and `import`, and the Python API, beside a running server and on its database."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.storage import open_store
from tests.acceptance.process import GatewayProcess
from tests.stubs.openai_wire import OpenAIStub, run_in_thread

if TYPE_CHECKING:
    from tests.postgresql import PostgreSQL

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
MODELS = {"models": [{"name": "echo", "model": "echo"}]}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/gateway.db"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.migrated_database() as database:
        yield database


@pytest.fixture
def gateway(tmp_path: Path, url: str) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path, {**MODELS, "storage": {"url": url}}) as process:
        yield process


@pytest.fixture
def elsewhere(tmp_path: Path) -> GatewayProcess:
    """Another database, of which nobody serves."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    return GatewayProcess(directory, {**MODELS, "storage": {"url": f"sqlite:///{directory}/other.db"}})


def talk(gateway: GatewayProcess, key: str, session: str, *questions: str) -> None:
    with gateway.sdk(key) as client:
        for question in questions:
            client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": question}], extra_body={"session_id": session}
            )


def create_session(gateway: GatewayProcess, key: str, **settings: Any) -> str:
    with gateway.http(key) as http:
        response = http.post("/chat/sessions", json=settings)
    assert response.status_code == 201, response.text
    session_id: str = response.json()["session_id"]
    return session_id


def ran(result: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert result.returncode == 0, result.stderr
    return result


def test_sessions_go_out_and_in_beside_a_running_server(gateway: GatewayProcess, elsewhere: GatewayProcess) -> None:
    ada, bob = gateway.create_key("ada"), gateway.create_key("bob")
    first = create_session(gateway, ada, session_name="First", system_prompt="Be brief.", metadata={"a": [1]})
    talk(gateway, ada, first, "One?", "Two?")
    other = create_session(gateway, bob)
    talk(gateway, bob, other, "Mine.")

    everything = ran(gateway.command("sessions", "export"))
    assert everything.stderr == "Exported 2 sessions.\n"
    lines = [json.loads(line) for line in everything.stdout.splitlines()]
    assert {line["session_id"]: line["user"] for line in lines} == {first: "ada", other: "bob"}
    of_ada = ran(gateway.command("sessions", "export", "--user", "ada")).stdout
    assert of_ada == ran(gateway.command("sessions", "export", "--session", first)).stdout
    with gateway.http(ada) as http:
        assert http.get(f"/chat/sessions/{first}/export").text == of_ada
    assert [message["role"] for message in json.loads(of_ada)["messages"]] == ["system", *["user", "assistant"] * 2]

    file = elsewhere.directory / "all.jsonl"
    ran(gateway.command("sessions", "export", "--output", str(file)))
    assert file.read_text(encoding="utf-8") == everything.stdout
    said = ran(elsewhere.command("sessions", "import", str(file)))
    assert (said.stdout, said.stderr) == (
        "",
        "Imported 2 sessions with 6 messages; 0 were there already; 0 lines could not be imported.\n",
    )
    assert ran(elsewhere.command("sessions", "export")).stdout == everything.stdout
    assert "2 were there already" in ran(elsewhere.command("sessions", "import", str(file))).stderr


def test_what_was_imported_is_remembered_by_the_server(gateway: GatewayProcess) -> None:
    key = gateway.create_key("carol")
    lines = [
        {"session_id": "old", "user": "ada", "messages": [{"role": "user", "content": "My name is Ada."}]},
        {"session_id": "wrong", "user": "ada", "messages": [{"role": "nobody"}]},
    ]
    file = gateway.directory / "old.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))

    said = gateway.command("sessions", "import", str(file), "--user", "carol")
    assert (said.returncode, said.stdout) == (1, "")
    assert "line 2: Invalid 'messages[0].role'" in said.stderr
    assert "Imported 1 session with 1 message; 0 were there already; 1 line could not be imported." in said.stderr

    talk(gateway, key, "old", "And now?")
    with gateway.http(key) as http:
        assert http.get("/chat/sessions/old/messages").json()["data"][2]["content"].startswith("You sent 2 messages")
    with gateway.http(gateway.first_keys["admin"]) as http:
        actions = [entry["action"] for entry in http.get("/admin/audit").json()["data"]]
    assert "data.import" in actions


async def test_a_program_and_a_server_share_a_session(gateway: GatewayProcess, url: str) -> None:
    key = gateway.create_key("ada")
    async with open_store(url, timeout=20) as store:
        session = await store.create_session("ada", system_prompt="Be brief.")
        await store.add_messages(session, [{"role": "user", "content": "One"}, {"role": "assistant", "content": "1"}])
        talk(gateway, key, session.id, "Two")
        context = await store.get_recent_context(session, 10_000)
        assert [message["role"] for message in context] == ["system", *["user", "assistant"] * 2]
        assert "4 messages" in context[-1]["content"]
        await store.add_messages(session, [{"role": "user", "content": "Three"}, {"role": "assistant", "content": "3"}])
        talk(gateway, key, session.id, "Four")
        assert "8 messages" in (await store.get_messages(session))[-1]["content"]
        assert (await store.stats(session)).turns == 2
        assert [hit.seq for hit in (await store.search("ada", "three")).items] == [5]


@pytest.mark.parametrize("options", ["", "--output /dev/full"])
async def test_a_disk_that_is_full(elsewhere: GatewayProcess, options: str) -> None:
    await add_session(elsewhere, "short")
    result = shell(elsewhere, f"sessions export {options} > /dev/full")
    assert result.returncode == 1
    assert result.stderr.endswith(": No space left on device.\n")
    assert result.stderr.count("\n") == 1


async def test_a_reader_that_has_read_enough(elsewhere: GatewayProcess) -> None:
    await add_session(elsewhere, "long" * 100_000)  # more than a pipe holds
    result = shell(elsewhere, "sessions export | head -c 1")
    assert (result.stdout, result.stderr) == ("{", "")


async def add_session(gateway: GatewayProcess, text: str) -> None:
    async with open_store(f"sqlite:///{gateway.directory}/other.db") as store:
        session = await store.create_session("ada")
        await store.add_messages(session, [{"role": "user", "content": text}])


def shell(gateway: GatewayProcess, command: str) -> subprocess.CompletedProcess[str]:
    """A command of the gateway's with redirections."""
    return subprocess.run(  # noqa: S602 - our own text
        f"{sys.executable} -m gateway {command}",
        shell=True,
        cwd=gateway.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "--user", "nobody"], "There is no user 'nobody'."),
        (["export", "--session", "sess_nope"], "There is no session 'sess_nope'."),
        (["export", "--output", "no/such/directory"], "No such file or directory"),
        (["import", "nowhere.jsonl"], "nowhere.jsonl: No such file or directory"),
    ],
)
def test_what_is_not_there(elsewhere: GatewayProcess, arguments: list[str], said: str) -> None:
    result = elsewhere.command("sessions", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_the_agent_of_the_readme(tmp_path: Path) -> None:
    (program,) = [
        code for code in re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE) if "open_store" in code
    ]
    with run_in_thread(OpenAIStub()) as stub:
        result = subprocess.run(
            [sys.executable, "-W", "error", "-"],
            input=program,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "OPENAI_API_KEY": "sk-provider", "OPENAI_BASE_URL": stub.base_url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    first, second = (request.body["messages"] for request in stub.requests)
    assert [message["content"] for message in first] == ["You are brief.", "My name is Ada."]
    assert [message["role"] for message in second] == ["system", "user", "assistant", "user"]
    answers = result.stdout.splitlines()
    assert answers[0] == second[2]["content"]
    assert any(line.startswith("user What is my name?") for line in answers[2:])
