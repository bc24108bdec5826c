"""`gateway keys` and `gateway users` beside a running server: what keys may do, rotating them, disabling users."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.acceptance.pages import Page, run
from tests.acceptance.process import GatewayProcess

KEY = re.compile(r"sk-gw-[0-9a-z]{42}")
MODELS = [{"name": "echo", "model": "echo"}, {"name": "other", "model": "echo"}]
SETTINGS = {"models": MODELS, "auth": {"cache_seconds": 0.2}}
COUNTS_WITHIN = 20.0
"""Seconds: the time in which a change counts, and the rest for a slow machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("managing"), SETTINGS) as process:
        yield process


def done(server: GatewayProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    result = server.command(*arguments)
    assert result.returncode == 0, result.stderr
    return result


def listed(server: GatewayProcess, what: str, **wanted: str) -> dict[str, Any]:
    """The one key or user of which all this is true."""
    rows = [json.loads(line) for line in done(server, what, "list", "--json").stdout.splitlines()]
    [row] = [row for row in rows if wanted.items() <= row.items()]
    return dict(row)


def id_of(key: str) -> str:
    return "key_" + key.removeprefix("sk-gw-")[:10]


def said(server: GatewayProcess, key: str, model: str = "echo") -> int:
    """The status of one chat call."""
    try:
        server.sdk(key).chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello."}])
    except openai.APIStatusError as exc:
        return exc.status_code
    return 200


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + COUNTS_WITHIN
    while not is_so():
        assert time.monotonic() < deadline, "it does not come to count"
        time.sleep(0.05)


def test_a_key_for_some_models_and_with_limits(server: GatewayProcess) -> None:
    options = [
        "--model",
        "echo",
        "--model",
        "x/y",
        "--limit",
        "requests_per_minute=60",
        "--limit",
        "dollars_per_day=2.5",
    ]
    key = server.create_key("eve", *options)
    shown = listed(server, "keys", id=id_of(key))
    assert shown["allowed_models"] == ["echo", "x/y"]
    assert shown["limits"] == {"requests_per_minute": 60, "dollars_per_day": 2.5}
    assert [said(server, key), said(server, key, "other")] == [200, 403]
    heading, *rows = done(server, "keys", "list", "--user", "eve").stdout.splitlines()
    assert heading.endswith("LAST USED")
    assert "  echo x/y  requests_per_minute=60 dollars_per_day=2.5  " in rows[0]


def test_a_key_is_changed(server: GatewayProcess) -> None:
    key = server.create_key("ada", "--model", "echo", "--limit", "parallel_calls=2", "--expires-in", "1h")
    assert said(server, key, "other") == 403
    limits = ["--limit", "parallel_calls=none", "--limit", "tokens_per_day=1000000"]
    result = done(server, "keys", "update", id_of(key), "--name", "phone", "--any-model", "--no-expiry", *limits)
    assert (result.stdout, id_of(key) in result.stderr) == ("", True)
    shown = listed(server, "keys", id=id_of(key))
    assert (shown["name"], shown["allowed_models"], shown["expires_at"]) == ("phone", None, None)
    assert shown["limits"] == {"tokens_per_day": 1_000_000}
    wait_until(lambda: said(server, key, "other") == 200)
    done(server, "keys", "update", key, "--model", "other", "--expires-in", "30d")
    shown = listed(server, "keys", id=id_of(key))
    assert (shown["allowed_models"], shown["expires_at"] > shown["created_at"]) == (["other"], True)
    done(server, "keys", "update", key, "--no-name")
    shown = listed(server, "keys", id=id_of(key))
    assert (shown["name"], shown["allowed_models"]) == (None, ["other"])


def test_a_key_is_an_admins_and_no_longer_as_the_page_says(server: GatewayProcess) -> None:
    key, heading = server.create_key("ada"), "Making an admin of a key, and no longer one"
    environ = {"KEY_ID": id_of(key), "GATEWAY_URL": server.url, "ADMIN_KEY": server.first_keys["admin"]}
    with Page("keys.md") as page, server.http(key) as http:
        given, taken = page.take(heading).splitlines()
        run(given, server.directory, environ)
        wait_until(lambda: http.get("/admin/keys").status_code == 200)
        run(taken, server.directory, environ)
        wait_until(lambda: http.get("/admin/keys").status_code == 403)
        assert listed(server, "keys", id=id_of(key))["scopes"] == ["user"]
        assert '"scopes":["admin","user"]' in run(page.take(heading), server.directory, environ).stdout


def test_the_only_admin_gives_up_and_the_command_line_makes_another(server: GatewayProcess) -> None:
    key = server.create_key("olga", "--admin")
    done(server, "keys", "update", key, "--no-admin", "--name", "as anybody")
    assert listed(server, "keys", id=id_of(key))["scopes"] == ["user"]
    done(server, "keys", "update", key, "--name", "still")
    assert listed(server, "keys", id=id_of(key))["scopes"] == ["user"]
    done(server, "keys", "update", key, "--admin")
    done(server, "keys", "update", key, "--name", "again")
    assert listed(server, "keys", id=id_of(key))["scopes"] == ["admin", "user"]


def test_a_key_is_rotated(server: GatewayProcess) -> None:
    old = server.create_key("ada", "--name", "server", "--model", "echo")
    result = done(server, "keys", "rotate", id_of(old), "--overlap", "1h")
    new = result.stdout.removesuffix("\n")
    assert KEY.fullmatch(new)
    assert KEY.search(result.stderr) is None
    assert [said(server, key) for key in (old, new)] == [200, 200]
    before, after = [listed(server, "keys", id=id_of(key)) for key in (old, new)]
    assert before["expires_at"] is not None
    assert f"{id_of(old)} is valid until {before['expires_at']}." in result.stderr
    assert (after["name"], after["allowed_models"], after["expires_at"]) == ("server", ["echo"], None)
    done(server, "keys", "rotate", new, "--overlap", "0s")
    wait_until(lambda: said(server, new) == 401)
    assert said(server, old) == 200


def test_keys_are_made_and_rotated_under_the_pepper_of_the_settings(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, {**SETTINGS, "auth": {"pepper": "salt and"}}) as server:
        key = server.create_key("ada", "--model", "echo", "--model", "\x1b[2J")
        new = done(server, "keys", "rotate", key).stdout.strip()
        assert [said(server, key), said(server, new)] == [200, 200]
        rows = done(server, "keys", "list", "--user", "ada").stdout
        assert ("\\u001b[2J echo" in rows, "\x1b" in rows) == (True, False)


def test_a_user_is_made_limited_disabled_and_enabled(server: GatewayProcess) -> None:
    user_id = done(server, "users", "create", "carol", "--limit", "requests_per_minute=600").stdout.strip()
    key = server.create_key("carol")
    assert said(server, key) == 200
    assert listed(server, "users", name="carol") == {
        "id": user_id,
        "name": "carol",
        "status": "active",
        "limits": {"requests_per_minute": 600},
        "disabled_at": None,
    }
    done(server, "users", "update", "carol", "--limit", "dollars_per_month=9.5", "--limit", "requests_per_minute=none")
    assert listed(server, "users", id=user_id)["limits"] == {"dollars_per_month": 9.5}
    [row] = [row for row in done(server, "users", "list").stdout.splitlines() if row.startswith(user_id)]
    assert row.split() == [user_id, "carol", "active", "dollars_per_month=9.5"]
    assert done(server, "users", "disable", "carol").stdout == ""
    wait_until(lambda: said(server, key) == 401)
    assert listed(server, "keys", id=id_of(key))["status"] == "disabled"
    done(server, "users", "enable", user_id)
    wait_until(lambda: said(server, key) == 200)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["keys", "create", "--user", "ada", "--limit", "requests=5"], 1, "known are requests_per_minute"),
        (["keys", "create", "--user", "ada", "--limit", "parallel_calls=x"], 1, "expected an integer from 1"),
        (["keys", "create", "--user", "ada", "--limit", "parallel_calls"], 2, "NAME=NUMBER"),
        (["keys", "create", "--user", "ada", "--model", ""], 1, "allowed_models.0"),
        (["keys", "update", "key_nope", "--name", "x"], 1, "no such key"),
        (["keys", "update", "key_nope"], 2, "--any-model"),
        (["keys", "update", "key_nope", "--admin", "--no-admin"], 1, "no such key"),
        (["keys", "update", "key_nope", "--model", "echo", "--any-model"], 2, "Choose one"),
        (["keys", "update", "key_nope", "--name", "x", "--expires-in", ""], 1, "90s, 15m"),
        (["keys", "update", "key_nope", "--no-expiry", "--expires-in", ""], 2, "Choose one"),
        (["keys", "update", "key_nope", "--name", "x", "--no-name"], 2, "Choose one"),
        (["keys", "update", "key_nope", "--admin", "--name", ""], 1, "Invalid 'name'"),
        (["keys", "rotate", "key_nope"], 1, "no such key"),
        (["keys", "rotate", "key_nope", "--overlap", "soon"], 1, "90s, 15m"),
        (["users", "create", "user"], 1, "There is a user 'user' already"),
        (["users", "create", "with space"], 1, "starts with a letter or a digit"),
        (["users", "update", "user"], 2, "--limit NAME=NUMBER"),
        (["users", "update", "user", "--limit", "dollars_per_day=0"], 1, "greater than 0"),
        (["users", "disable", "nobody"], 1, "no such user"),
    ],
)
def test_what_a_command_says_of_a_mistake(server: GatewayProcess, arguments: list[str], code: int, words: str) -> None:
    result = server.command(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in " ".join(result.stderr.split())


def test_the_last_use_of_a_key_is_stored_when_the_server_stops(server: GatewayProcess) -> None:
    key = server.create_key("dora")
    assert said(server, key) == 200
    assert server.stop() == 0
    used = listed(server, "keys", id=id_of(key))["last_used_at"]
    server.start()
    assert used is not None
    assert [row.split()[-1] for row in done(server, "keys", "list", "--user", "dora").stdout.splitlines()[1:]] == [
        used[:19] + "Z"
    ]
