"""What litellm's map says about models: context windows, output limits and prices.

The map is a file in litellm's wheel. It is read without importing litellm, once, when it is first asked for, and only
the facts about chat models are kept of its 3 MB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from gateway.domain import Prices

_FILE = "model_prices_and_context_window_backup.json"
_FAMILIES = {"bedrock_converse": "bedrock"}
"""Names that the map uses for parts of one provider, beside `vertex_ai-…`."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Sizes in tokens; None where the map is silent."""

    provider: str
    context_window: int | None
    max_output_tokens: int | None
    prices: Prices | None


class Catalog:
    def __init__(self, path: Path | None = None) -> None:
        """`path` is another file of the same form; by default litellm's own."""
        self._path = path

    def find(self, provider: str, model: str) -> ModelFacts | None:
        """The facts about the provider's `model`, an id without the provider's prefix."""
        if facts := self._facts.get(f"{provider}/{model}"):
            return facts
        facts = self._facts.get(model)
        return facts if facts is not None and facts.provider == provider else None

    def provider_of(self, model: str) -> str | None:
        """Who serves a bare id such as `gpt-4o-mini`."""
        facts = self._facts.get(model)
        return facts.provider if facts is not None else None

    @cached_property
    def providers(self) -> frozenset[str]:
        return frozenset(facts.provider for facts in self._facts.values())

    @cached_property
    def _facts(self) -> dict[str, ModelFacts]:
        return _read(self._path or _locate())


@cache
def _read(path: Path) -> dict[str, ModelFacts]:
    """Once a process, however many ask: it takes some 50 ms."""
    content = orjson.loads(path.read_bytes())
    return {name: _facts(entry) for name, entry in content.items() if entry.get("mode") == "chat"}


def _locate() -> Path:
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("litellm, a dependency of the gateway, is not installed")
    return Path(spec.origin).with_name(_FILE)


def _facts(entry: Mapping[str, Any]) -> ModelFacts:
    family = str(entry.get("litellm_provider", ""))
    provider = "vertex_ai" if family.startswith("vertex_ai") else _FAMILIES.get(family, family)
    return ModelFacts(
        provider=provider,
        context_window=_size(entry.get("max_input_tokens")) or _size(entry.get("max_tokens")),
        max_output_tokens=_size(entry.get("max_output_tokens")),
        prices=_prices(entry),
    )


def _size(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None


def _prices(entry: Mapping[str, Any]) -> Prices | None:
    given, made = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if given is None or made is None:
        return None
    cached = entry.get("cache_read_input_token_cost")
    return Prices(input=float(given), output=float(made), cached_input=None if cached is None else float(cached))
