"""`gateway usage` beside a running server: the figures of its ledger, for people and for programs."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import GatewayProcess

MODELS = [
    {"name": "echo", "model": "echo", "input_cost_per_token": 0.001, "output_cost_per_token": 0.002},
    {"name": "free", "model": "echo"},
]
CALLS = (("ada", "echo"), ("ada", "free"), ("bob", "echo"), ("bob", "echo"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("usage"), {"models": MODELS}) as process:
        keys = {user: process.create_key(user) for user in ("ada", "bob")}
        for user, model in CALLS:
            with process.http(keys[user]) as http:
                body = {"model": model, "messages": [{"role": "user", "content": "Hello."}]}
                assert http.post("/v1/chat/completions", json=body).status_code == 200
        yield process


@pytest.fixture(scope="module")
def report(server: GatewayProcess) -> dict[str, Any]:
    """What the server itself says, by user."""
    with server.http(server.first_keys["admin"]) as admin:
        answer: dict[str, Any] = admin.get("/admin/usage?group_by=user").json()
    return answer


def usage(server: GatewayProcess, *arguments: str) -> str:
    result = server.command("usage", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_a_table_ends_with_its_totals(server: GatewayProcess, report: dict[str, Any]) -> None:
    heading, bob, ada, totals = [line.split() for line in usage(server, "--group-by", "user").splitlines()]
    names = ["TURNS", "FAILED", "PROMPT", "COMPLETION", "CACHED", "REASONING", "COST", "UNPRICED"]
    assert heading == ["USER", "NAME", *names]
    assert [ada[1:4], bob[1:4]] == [["ada", "2", "0"], ["bob", "2", "0"]]
    all_of_it = report["totals"]
    tokens = [str(all_of_it[f"{name}_tokens"]) for name in ("prompt", "completion", "cached", "reasoning")]
    assert totals == ["TOTAL", "4", "0", *tokens, f"{all_of_it['cost']:.6f}", "1"]


def test_by_day_is_what_is_shown_unasked(server: GatewayProcess) -> None:
    heading, *days, totals = [line.split() for line in usage(server).splitlines()]
    assert heading[:2] == ["DAY", "TURNS"]
    assert all(date.fromisoformat(day[0]) <= datetime.now(UTC).date() for day in days)
    assert sum(int(day[1]) for day in days) == 4
    assert totals[:2] == ["TOTAL", "4"]


def test_json_and_csv_say_what_the_server_says(server: GatewayProcess, report: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in usage(server, "--group-by", "user", "--json").splitlines()]
    assert rows == report["data"]
    with server.http(server.first_keys["admin"]) as admin:
        served = admin.get("/admin/usage?group_by=user&format=csv").text
    written = usage(server, "--group-by", "user", "--csv")
    assert list(csv.reader(io.StringIO(written))) == list(csv.reader(io.StringIO(served)))


def test_one_user_and_one_range(server: GatewayProcess) -> None:
    rows = usage(server, "--group-by", "model", "--user", "ada", "--json").splitlines()
    assert {json.loads(row)["group"]: json.loads(row)["turns"] for row in rows} == {"echo": 1, "free": 1}
    heading, totals = usage(server, "--from", "2000-01-01", "--to", "2001-01-01").splitlines()
    assert (heading.split()[0], totals.split()[:2]) == ("DAY", ["TOTAL", "0"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--from", "soon"], 1, "Invalid 'from': expected a date such as 2026-03-01"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], 1, "Invalid 'from'"),
        (["--user", "nobody"], 1, "There is no user 'nobody'"),
        (["--json", "--csv"], 2, "Choose one of --json and --csv"),
    ],
)
def test_what_cannot_be_shown(server: GatewayProcess, arguments: list[str], code: int, said: str) -> None:
    result = server.command("usage", *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith("error: ")
    assert said in result.stderr


def test_a_models_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, {"models": [{"name": "a\x1b[31mb", "model": "echo"}]}) as server:
        with server.http(server.first_keys["user"]) as http:
            body = {"model": "a\x1b[31mb", "messages": [{"role": "user", "content": "Hello."}]}
            assert http.post("/v1/chat/completions", json=body).status_code == 200
        table = usage(server, "--group-by", "model")
    assert re.search(r"^a\\u001b\[31mb +1 ", table, re.MULTILINE)
