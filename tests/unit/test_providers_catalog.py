import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.domain import Prices
from gateway.providers.catalog import Catalog, ModelFacts

ENTRIES = {
    "sample_spec": {"mode": "one of: chat, …", "max_input_tokens": "a text"},
    "small": {
        "mode": "chat",
        "litellm_provider": "openai",
        "max_input_tokens": 1000,
        "max_output_tokens": 100,
        "max_tokens": 100,
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
        "cache_read_input_token_cost": 5e-7,
    },
    "groq/small": {"mode": "chat", "litellm_provider": "groq", "max_tokens": 500},
    "claude-on-bedrock": {"mode": "chat", "litellm_provider": "bedrock_converse", "max_input_tokens": 9},
    "gemini-on-vertex": {"mode": "chat", "litellm_provider": "vertex_ai-language-models"},
    "embedder": {"mode": "embedding", "litellm_provider": "openai", "max_input_tokens": 8191},
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(ENTRIES))
    return Catalog(path)


def test_facts_about_a_model(catalog: Catalog) -> None:
    assert catalog.find("openai", "small") == ModelFacts(
        provider="openai",
        context_window=1000,
        max_output_tokens=100,
        prices=Prices(input=1e-6, output=2e-6, cached_input=5e-7),
    )


def test_where_the_map_is_silent(catalog: Catalog) -> None:
    assert catalog.find("groq", "small") == ModelFacts(
        provider="groq", context_window=500, max_output_tokens=None, prices=None
    )
    assert catalog.find("xai", "small") is None
    assert catalog.find("openai", "embedder") is None


def test_bare_ids_have_a_provider(catalog: Catalog) -> None:
    names = ["small", "claude-on-bedrock", "gemini-on-vertex", "nonesuch", "embedder"]
    assert [catalog.provider_of(name) for name in names] == ["openai", "bedrock", "vertex_ai", None, None]
    assert catalog.providers == {"openai", "groq", "bedrock", "vertex_ai"}


def test_litellms_own_map() -> None:
    facts = Catalog().find("openai", "gpt-4o-mini")
    assert facts is not None
    assert facts.context_window == 128_000
    assert facts.prices == Prices(input=1.5e-07, output=6e-07, cached_input=7.5e-08)
    assert Catalog().provider_of("claude-sonnet-4-5") == "anthropic"


def test_the_map_is_read_without_importing_litellm() -> None:
    code = (
        "import sys; from gateway.providers.catalog import Catalog; "
        "assert Catalog().find('openai', 'gpt-4o'); assert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - our own interpreter and text
