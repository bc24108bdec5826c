"""Settings as they are shown: nothing secret in them, and, where nothing was, the same when they are read again."""

from pathlib import Path

import pytest
import yaml

from gateway.addresses import MASK
from gateway.cli.effective import as_yaml, without_secrets
from gateway.settings import Settings, load_settings, parse_settings

OF_EVERY_KIND = {
    "server": {"host": "::1", "shutdown_timeout": 0.5},
    "storage": {
        "url": "postgresql://db.test/chat",
        "schema": "external",
        "tables": {"messages": "app.messages", "sessions": "app.sessions"},
    },
    "retention": {"deleted_days": None, "ledger_days": 90},
    "models": [
        {
            "name": "größe: # 1",
            "model": "openai/a",
            "api_base": "http://127.0.0.1:8080/v1",
            "input_cost_per_token": 1e-07,
            "allow_params": ["top_k", "guided_json", "min_p"],
        },
        {"name": "*", "model": "*"},
    ],
}


@pytest.mark.parametrize("content", [{}, OF_EVERY_KIND], ids=["defaults", "of every kind"])
def test_what_is_shown_can_be_loaded_again(content: dict[str, object], tmp_path: Path) -> None:
    settings = parse_settings(content)
    shown = tmp_path / "shown.yaml"
    shown.write_text(as_yaml(without_secrets(settings)), encoding="utf-8")
    assert load_settings(shown) == settings


def test_settings_are_shown_in_their_order_and_by_their_names_in_the_file() -> None:
    shown = yaml.safe_load(as_yaml(without_secrets(parse_settings(OF_EVERY_KIND))))
    assert list(shown) == list(Settings.model_fields)
    assert list(shown["storage"])[-2:] == ["schema", "tables"]
    assert shown["models"][0]["allow_params"] == ["guided_json", "min_p", "top_k"]


def test_a_secret_is_masked_and_the_lack_of_one_is_shown() -> None:
    models = [{"name": "a", "model": "a", "api_key": "sk-1"}, {"name": "b", "model": "b"}]
    shown = without_secrets(parse_settings({"auth": {"pepper": "p"}, "models": models}))
    assert shown["auth"]["pepper"] == MASK
    assert [model["api_key"] for model in shown["models"]] == [MASK, None]
