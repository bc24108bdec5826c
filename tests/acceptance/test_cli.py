"""The `gateway` command: results on standard output, words for people on standard error, and exit codes."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway import __version__
from tests.acceptance.process import GatewayProcess

LONG = "a name of many words, which no column of a terminal would hold: " + "word " * 20 + "[/end]"


@pytest.fixture(scope="module")
def gateway_dir(tmp_path_factory: pytest.TempPathFactory) -> GatewayProcess:
    """A place to run commands in; nothing is served."""
    return GatewayProcess(tmp_path_factory.mktemp("cli"), {"models": [{"name": "echo", "model": "echo"}]})


def test_the_version_is_alone_on_standard_output(gateway_dir: GatewayProcess) -> None:
    result = gateway_dir.command("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["--help"], ["serve", "usage", "keys", "users", "sessions", "db", "--version"]),
        (["serve", "--help"], ["--host", "--port", "--workers"]),
        (["db", "--help"], ["upgrade", "current", "check", "sql", "copy"]),
        (["keys", "create", "--help"], ["--user", "--admin", "--expires-in"]),
    ],
)
def test_help_names_what_there_is(gateway_dir: GatewayProcess, command: list[str], words: list[str]) -> None:
    result = gateway_dir.command(*command)
    assert (result.returncode, result.stderr) == (0, "")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    assert all(word in plain for word in words)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--user", "ada", "--expires-in", "soon"], "Expected a duration such as 90s, 15m, 12h, 30d or 4w."),
        (["--user", "ada", "--expires-in", "0d"], "Expected a duration such as 90s, 15m, 12h, 30d or 4w."),
        (["--user", "ada", "--expires-in", "999999w"], "after the year 9999"),
        (["--user", "two words"], "A user's name has 1 to 128 characters"),
        (["--user", "ada", "--name", ""], "A key's name has 1 to 256 characters"),
    ],
)
def test_a_key_that_cannot_be_made(gateway_dir: GatewayProcess, arguments: list[str], said: str) -> None:
    result = gateway_dir.command("keys", "create", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_key_that_cannot_be_revoked(gateway_dir: GatewayProcess) -> None:
    result = gateway_dir.command("keys", "revoke", "key_nope")
    assert (result.returncode, result.stdout) == (1, "")
    assert "There is no such key" in result.stderr


def test_a_piped_list_is_whole(tmp_path: Path) -> None:
    gateway_dir = GatewayProcess(tmp_path, {})
    key = gateway_dir.create_key("u" * 128, "--name", LONG, "--expires-in", "4w", "--admin")
    gateway_dir.command("keys", "revoke", key)
    gateway_dir.create_key("ada")

    result = gateway_dir.command("keys", "list")

    assert (result.returncode, result.stderr) == (0, "")
    heading, first, second = result.stdout.splitlines()
    names = ["ID", "USER", "NAME", "STATUS", "SCOPES", "MODELS", "LIMITS", "CREATED", "EXPIRES", "REVOKED", "LAST USED"]
    assert re.split(r" {2,}", heading.rstrip()) == names
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    name = re.escape(LONG)
    what = rf"{name}  revoked  admin user  any +-  +{time}  {time}  {time}  -"
    assert re.fullmatch(rf"key_\w{{10}}  u{{128}}  {what}", first.rstrip())
    assert re.fullmatch(rf"key_\w{{10}} +ada +- +active +user +any +- +{time} +- +- +-", second.rstrip())
    assert first.index("admin user") == second.index("user") == heading.index("SCOPES")
    assert key not in result.stdout


def test_all_mistakes_in_the_settings_are_told_at_once(tmp_path: Path) -> None:
    gateway_dir = GatewayProcess(tmp_path, {}, {"GATEWAY_STORAGE__TIMEOUT": "soon"})
    settings = {
        "server": {"port": 99_999, "nope": 1},
        "sessions": {"on_disconnect": "explode"},
        "models": [{"name": "fast", "model": "openai/x", "api_key": "${NO_SUCH_VARIABLE}"}],
    }
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(settings))

    result = gateway_dir.command("serve")

    assert (result.returncode, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    for path in (
        "server.port",
        "server.nope: no such setting",
        "sessions.on_disconnect",
        "'cancel' or 'complete'",
        "storage.timeout",
        "NO_SUCH_VARIABLE is not set",
    ):
        assert path in result.stderr


@pytest.mark.parametrize("command", [["serve"], ["keys", "list"]])
def test_settings_that_are_not_there(gateway_dir: GatewayProcess, command: list[str]) -> None:
    result = gateway_dir.command(*command, "--config", "nowhere.yaml")
    assert (result.returncode, result.stdout) == (2, "")
    assert "nowhere.yaml: there is no such file" in result.stderr


def test_models_that_cannot_be_served(tmp_path: Path) -> None:
    models = [{"name": "a", "model": "nobody/x"}, {"name": "b", "model": "hosted_vllm/x"}]
    result = GatewayProcess(tmp_path, {"models": models}).command("serve")
    assert (result.returncode, result.stdout) == (2, "")
    assert "model 'a'" in result.stderr
    assert "model 'b'" in result.stderr


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken(gateway_dir: GatewayProcess, taken_port: int, workers: str) -> None:
    result = gateway_dir.command("serve", "--port", str(taken_port), "--workers", workers)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.lower().count("address already in use") == 1
    assert "Traceback" not in result.stderr


def test_token_encodings_that_are_not_there(tmp_path: Path) -> None:
    result = GatewayProcess(tmp_path, {}, {"TIKTOKEN_CACHE_DIR": str(tmp_path)}).command("serve")
    assert (result.returncode, result.stdout) == (3, "")
    assert "o200k_base cannot be read from" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("This is no database. " * 100)
    gateway_dir = GatewayProcess(tmp_path, {"storage": {"url": "sqlite:///broken.db"}})
    for command in (["serve"], ["keys", "list"]):
        result = gateway_dir.command(*command)
        assert result.returncode not in {0, 2}
        assert result.stdout == ""
        assert "broken.db cannot be opened" in result.stderr
        assert "Traceback" not in result.stderr


def test_keys_of_a_database_in_memory_are_not_the_command_lines(tmp_path: Path) -> None:
    result = GatewayProcess(tmp_path, {"storage": {"url": "memory:"}}).command("keys", "create", "--user", "ada")
    assert (result.returncode, result.stdout) == (1, "")
    assert "Ask the running server over HTTP" in result.stderr
