"""Keys from the first start to the last: made and revoked beside a running server, and never stored in clear."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.acceptance.process import GatewayProcess
from tests.api.composed import refusal

KEY = re.compile(r"sk-gw-[0-9a-z]{42}")
SETTINGS = {"models": [{"name": "echo", "model": "echo"}]}
REFUSED_WITHIN = 6.0
"""Seconds: the five in which a revoked key stops to work, and one for a slow machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("keys"), SETTINGS) as process:
        yield process


def asked(server: GatewayProcess, key: str, path: str = "/v1/models") -> httpx.Response:
    with server.http(key) as client:
        return client.get(path)


def wait_until_refused(server: GatewayProcess, *keys: str) -> None:
    """Return once none of the keys is let in any more."""
    deadline = time.monotonic() + REFUSED_WITHIN
    while any(asked(server, key).status_code == 200 for key in keys):
        assert time.monotonic() < deadline, "the keys still work"
        time.sleep(0.05)


# ── the first start ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_start_shows_two_keys_once(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, SETTINGS) as server:
        shown = KEY.findall(server.log)
        assert len(shown) == len(set(shown)) == 2
        by_name = dict(re.findall(r"(admin|user) +(sk-gw-\w+)", server.log))
        assert set(by_name.values()) == set(shown)
        assert asked(server, by_name["admin"], "/admin/keys").status_code == 200
        assert asked(server, by_name["user"], "/admin/keys").status_code == 403
        assert asked(server, by_name["user"]).status_code == 200

        assert server.stop() == 0
        server.start()
        assert KEY.findall(server.log) == shown
        assert all(asked(server, key).status_code == 200 for key in shown)


def test_a_database_with_keys_is_no_first_start(tmp_path: Path) -> None:
    server = GatewayProcess(tmp_path, SETTINGS)
    made = server.create_key("ada")
    with server:
        assert KEY.findall(server.log) == []
        assert asked(server, made).status_code == 200


# ── making ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_alone_on_standard_output_and_works_at_once(server: GatewayProcess) -> None:
    result = server.command("keys", "create", "--user", "ada", "--name", "laptop", "--expires-in", "30d")

    assert result.returncode == 0
    assert KEY.fullmatch(result.stdout.removesuffix("\n"))
    key = result.stdout.strip()
    assert "ada" in result.stderr
    assert KEY.search(result.stderr) is None
    assert asked(server, key).status_code == 200
    assert refusal(asked(server, key, "/admin/keys"), 403)["code"] == "insufficient_permissions"


def test_an_admins_key_lists_what_the_command_line_made(server: GatewayProcess) -> None:
    admin = server.create_key("root", "--admin")
    server.create_key("eve", "--name", "phone", "--expires-in", "1h")

    [listed] = asked(server, admin, "/admin/keys?user=eve").json()["data"]
    assert (listed["user"], listed["name"], listed["scopes"]) == ("eve", "phone", ["user"])
    assert listed["expires_at"] > listed["created_at"]
    result = server.command("keys", "list", "--user", "eve", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [listed]


def test_an_expired_key_is_turned_away(server: GatewayProcess) -> None:
    admin = server.create_key("root", "--admin")
    with server.http(admin) as client:
        key = client.post("/admin/keys", json={"user": "ada", "expires_in": "1s"}).json()["key"]
    wait_until_refused(server, key)
    error = refusal(asked(server, key), 401)
    assert (error["code"], error["message"]) == ("invalid_api_key", "This API key has been revoked or has expired.")


# ── revoking ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_revoked_beside_the_server_stop_within_seconds(server: GatewayProcess) -> None:
    by_id, by_key, kept = [server.create_key("ada") for _ in range(3)]
    key_id = "key_" + by_id.removeprefix("sk-gw-")[:10]
    for key in (by_id, by_key, kept):
        assert asked(server, key).status_code == 200

    revoked = [server.command("keys", "revoke", name) for name in (key_id, by_key)]

    assert [(result.returncode, result.stdout) for result in revoked] == [(0, ""), (0, "")]
    assert all("Revoked key_" in result.stderr for result in revoked)
    assert all(KEY.search(result.stderr) is None for result in revoked)
    wait_until_refused(server, by_id, by_key)
    assert refusal(asked(server, by_id), 401)["code"] == "invalid_api_key"
    assert asked(server, kept).status_code == 200


def test_a_key_revoked_through_the_server_stops_at_once(server: GatewayProcess) -> None:
    with server.http(server.create_key("root", "--admin")) as admin:
        made = admin.post("/admin/keys", json={"user": "eve"}).json()
        assert asked(server, made["key"]).status_code == 200
        assert admin.delete(f"/admin/keys/{made['key']}").status_code == 200
        assert asked(server, made["key"]).status_code == 401
    assert made["key"] not in server.log
    assert made["id"] in server.log


# ── at rest ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_file_holds_a_key_in_clear(server: GatewayProcess) -> None:
    key = server.create_key("ada")
    assert asked(server, key).status_code == 200
    secret = key.removeprefix("sk-gw-")[10:36].encode()

    files = [path for path in server.directory.rglob("*") if path.is_file()]

    assert any(path.name == "gateway.db" for path in files)
    for path in files:
        assert secret not in path.read_bytes(), path
    with closing(sqlite3.connect(server.directory / "data" / "gateway.db")) as database:
        hashes = [row[0] for row in database.execute("SELECT hash FROM api_keys")]
    assert {len(digest) for digest in hashes} == {32}
