"""`gateway config`: what is wrong with the settings before anything is served, and what they come to."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.process import GatewayProcess

ECHO = {"models": [{"name": "echo", "model": "echo"}]}
SECRETS = {
    "auth": {"pepper": "secret-in-the-file"},
    "storage": {"url": "postgresql://alice:secret-password@db.test:5432/chat?sslmode=secret-option"},
    "models": [
        {"name": "a", "model": "openai/a", "api_key": "secret-key", "api_base": "https://secret-user@a.test/v1"},
        {"name": "b", "model": "openai/b", "api_key": "${SECRET}", "api_base": "https://b.test/v1?key=secret-query"},
    ],
}
ENVIRON = {"SECRET": "secret-in-a-name", "GATEWAY_AUTH__PEPPER": "secret-in-a-variable"}


def gateway_dir(
    directory: Path, content: str | dict[str, Any], environ: dict[str, str] | None = None
) -> GatewayProcess:
    """A place to run commands in, with this gateway.yaml."""
    place = GatewayProcess(directory, {}, environ)
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (directory / "gateway.yaml").write_text(text, encoding="utf-8")
    return place


def test_settings_that_can_be_served_are_said_to_be_so_and_nothing_is_opened(tmp_path: Path) -> None:
    result = gateway_dir(tmp_path, ECHO).command("config", "check")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "gateway.yaml is valid. Models: 1, storage: sqlite:///./data/gateway.db.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.yaml"]


def test_the_check_names_the_file_and_the_database_without_its_password(tmp_path: Path) -> None:
    place = gateway_dir(tmp_path, ECHO, ENVIRON)
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(SECRETS))
    result = place.command("config", "check", "--config", "other.yaml")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "other.yaml is valid. Models: 2, storage: postgresql://alice@db.test:5432/chat.\n"


def test_the_check_cautions_about_limits_that_do_not_hold_what_they_seem_to(tmp_path: Path) -> None:
    limits = {"key": {"requests_per_minute": 5}, "user": {"dollars_per_day": 1}}
    models = [{"name": "free", "model": "openai/nobody-knows-it", "api_base": "https://a.test/v1"}]
    place = gateway_dir(tmp_path, {"limits": limits, "models": models, "server": {"workers": 2}})
    result = place.command("config", "check")
    assert (result.returncode, result.stdout) == (0, "")
    assert "Caution: each of the 2 workers counts limits for itself" in result.stderr
    assert "Caution: no prices are known for free," in result.stderr


def test_without_a_file_the_defaults_are_checked(tmp_path: Path) -> None:
    place = gateway_dir(tmp_path, ECHO)
    (tmp_path / "gateway.yaml").unlink()
    result = place.command("config", "check")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.startswith("There is no settings file; defaults and GATEWAY_ variables are valid. Models: 2,")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"server": {"port": 99_999, "nope": 1}}, ["server.port: ", "65535", "server.nope: no such setting"]),
        ({"auth": {"pepper": "${NOT_SET}"}}, ["auth.pepper: the environment variable NOT_SET is not set"]),
        ("server: {port: 1\n", ["gateway.yaml, line 2, column 1: this is not YAML"]),
        (
            {"models": [{"name": "a", "model": "nobody/x"}, {"name": "b", "model": "hosted_vllm/x"}]},
            ["model 'a': ", "model 'b': set its api_base"],
        ),
        ({"server": {"workers": 2}, "storage": {"url": "memory:"}}, ["server.workers must be 1"]),
    ],
    ids=["mistakes", "not set", "not YAML", "models", "workers"],
)
def test_what_is_wrong_is_told_as_serve_tells_it(
    content: str | dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    place = gateway_dir(tmp_path, content)
    checked, served = place.command("config", "check"), place.command("serve")
    assert (checked.returncode, checked.stdout, checked.stderr) == (2, "", served.stderr)
    assert served.returncode == 2
    assert all(words in checked.stderr for words in said)


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_file_that_was_named_must_be_there(command: str, tmp_path: Path) -> None:
    result = gateway_dir(tmp_path, ECHO).command("config", command, "--config", "nowhere.yaml")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: nowhere.yaml: there is no such file\n"


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["YAML", "JSON"])
def test_no_secret_is_shown(options: list[str], tmp_path: Path) -> None:
    result = gateway_dir(tmp_path, SECRETS, ENVIRON).command("config", "show", *options)
    assert result.returncode == 0
    assert "secret-" not in result.stdout + result.stderr
    shown = yaml.safe_load(result.stdout)
    assert shown["auth"]["pepper"] == shown["models"][0]["api_key"] == shown["models"][1]["api_key"] == "********"
    assert shown["storage"]["url"] == "postgresql://alice:********@db.test:5432/chat?sslmode=********"
    bases = [model["api_base"] for model in shown["models"]]
    assert bases == ["https://********@a.test/v1", "https://b.test/v1?key=********"]


def test_what_is_shown_as_yaml_is_what_is_in_force_and_can_be_served(tmp_path: Path) -> None:
    content = {**ECHO, "server": {"host": "::1", "port": 8001}}
    place = gateway_dir(tmp_path, content, {"GATEWAY_SERVER__PORT": "9000"})
    result = place.command("config", "show")
    assert (result.returncode, result.stderr) == (0, "")
    file, masks, *_ = result.stdout.splitlines()
    assert file.startswith("# In force: gateway.yaml, ")
    assert masks.startswith("# Secrets are masked with ********")
    server = yaml.safe_load(result.stdout)["server"]
    assert (server["host"], server["port"], server["workers"]) == ("::1", 9000, 1)
    (tmp_path / "shown.yaml").write_text(result.stdout, encoding="utf-8")
    assert place.command("config", "check", "--config", "shown.yaml").returncode == 0


def test_what_is_shown_as_json_is_one_object_alone_on_standard_output(tmp_path: Path) -> None:
    result = gateway_dir(tmp_path, ECHO).command("config", "show", "--json")
    assert result.returncode == 0
    [line] = result.stdout.splitlines()
    assert json.loads(line)["models"][0]["name"] == "echo"
    assert "In force: gateway.yaml, " in result.stderr


def test_a_mask_that_was_not_replaced_cannot_be_served(tmp_path: Path) -> None:
    place = gateway_dir(tmp_path, SECRETS, {"SECRET": "secret-in-a-name"})
    (tmp_path / "shown.yaml").write_text(place.command("config", "show").stdout, encoding="utf-8")
    result = place.command("config", "check", "--config", "shown.yaml")
    assert (result.returncode, result.stdout) == (2, "")
    for path in ("auth.pepper", "storage.url", "models.0.api_key", "models.0.api_base", "models.1.api_base"):
        assert f"{path}: ******** is where `gateway config show` left out a secret" in result.stderr


def test_the_reference_is_alone_on_standard_output(tmp_path: Path) -> None:
    result = gateway_dir(tmp_path, ECHO).command("config", "reference")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
