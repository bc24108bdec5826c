"""`gateway users` beside a running server: who there is, and erasing one for good."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.process import GatewayProcess

SETTINGS = {"models": [{"name": "echo", "model": "echo"}], "auth": {"cache_seconds": 0.2}}
REFUSED_WITHIN = 20.0
"""Seconds: the time in which an erased user's key stops to work, and the rest for a slow machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("users"), SETTINGS) as process:
        yield process


def users(server: GatewayProcess) -> dict[str, str]:
    """Ids by name."""
    result = server.command("users", "list", "--json")
    assert result.returncode == 0, result.stderr
    return {user["name"]: user["id"] for user in map(json.loads, result.stdout.splitlines())}


def answered(server: GatewayProcess, answer: str, *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command whose standard input is a terminal, where this is typed."""
    terminal, stdin = os.openpty()
    try:
        os.write(terminal, answer.encode())
        result = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "gateway", *arguments],
            cwd=server.directory,
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(stdin)
    assert result.stdout.strip() == ""  # click ends its question with a space there
    return result.returncode, result.stderr


def test_users_are_listed_for_people_and_for_programs(server: GatewayProcess) -> None:
    server.create_key("ada")
    found = users(server)
    assert {"admin", "user", "ada"} <= found.keys()
    heading, *rows = server.command("users", "list").stdout.splitlines()
    assert heading.split() == ["ID", "NAME", "STATUS", "LIMITS"]
    assert {tuple(row.split()) for row in rows} == {(user_id, name, "active", "-") for name, user_id in found.items()}


def test_an_erased_user_is_gone_within_seconds(server: GatewayProcess) -> None:
    key = server.create_key("bob")
    with server.http(key) as bob:
        session = bob.post("/chat/sessions", json={"session_name": "Harbour"}).json()["session_id"]
        assert bob.get("/v1/models").status_code == 200
        erased = users(server)["bob"]

        result = server.command("users", "erase", "bob", "--yes")

        assert (result.returncode, result.stdout) == (0, "")
        assert f"Erased bob ({erased})" in result.stderr
        deadline = time.monotonic() + REFUSED_WITHIN
        while bob.get("/v1/models").status_code == 200:
            assert time.monotonic() < deadline, "the key still works"
            time.sleep(0.05)
    assert "bob" not in users(server)
    with server.http(server.create_key("root", "--admin")) as admin:
        entries = admin.get("/admin/audit").json()["data"]
        [entry] = [entry for entry in entries if entry["action"] == "user.erase"]
        assert (entry["target"], entry["actor"]) == (erased, None)
    with server.http(server.create_key("bob")) as other:
        assert other.get(f"/chat/sessions/{session}").status_code == 404


def test_without_a_terminal_nothing_is_erased_unasked(server: GatewayProcess) -> None:
    with server.http(server.create_key("eve")) as eve:
        session = eve.post("/chat/sessions").json()["session_id"]
        body = {"model": "echo", "session_id": session, "messages": [{"role": "user", "content": "Hello."}]}
        assert eve.post("/v1/chat/completions", json=body).status_code == 200

        result = server.command("users", "erase", "eve")

        assert (result.returncode, result.stdout) == (1, "")
        for said in ("eve", "Keys: 1", "sessions: 1", "messages: 2", "--yes"):
            assert said in result.stderr
        assert eve.get(f"/chat/sessions/{session}").status_code == 200


@pytest.mark.parametrize("by", ["name", "id"])
def test_at_a_terminal_it_is_asked(server: GatewayProcess, by: str) -> None:
    server.create_key("kim")
    kim = users(server)["kim"]
    named = "kim" if by == "name" else kim

    code, said = answered(server, "n\n", "users", "erase", named)
    assert code == 1
    assert "Nothing was removed" in said
    assert users(server)["kim"] == kim

    code, said = answered(server, "y\n", "users", "erase", named)
    assert (code, "Erased kim" in said) == (0, True)
    assert "kim" not in users(server)


def test_a_user_that_there_is_not(tmp_path: Path) -> None:
    server = GatewayProcess(tmp_path, SETTINGS)
    server.create_key("ada")
    result = server.command("users", "erase", "nobody", "--yes")
    assert result.returncode == 1
    assert "no such user" in result.stderr
    assert users(server).keys() == {"ada"}
