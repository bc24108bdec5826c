"""Model names → deployments. Configured entries are resolved once, at start; names under `"*"` when first asked for.

The latter come from clients, so what is remembered of them is bounded. Providers, base URLs and credentials come from
the settings and the environment alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from tiktoken.model import encoding_name_for_model

from gateway.domain import Deployment, Prices, Timeouts, Via
from gateway.errors import NotFound
from gateway.providers.catalog import Catalog, ModelFacts
from gateway.providers.endpoints import DIRECT, OPENAI_LIKE, credential_names, key_names
from gateway.providers.routing import Route
from gateway.settings import DeploymentSettings, ModelSettings, Settings, SettingsError

DEFAULT_CONTEXT_WINDOW = 32_768
"""Tokens, for a model of which neither the settings nor litellm's map say anything."""

_STAR = "*"
_ECHO = "echo"
_ECHO_CONTEXT_WINDOW = 8_192
_DEFAULT_RESERVE = 4_096
_ESTIMATE = "o200k_base"
_BUNDLED = frozenset({"o200k_base", "cl100k_base", "p50k_base"})
_OPENAIS = frozenset({"openai", "azure"})
_STARS_REMEMBERED = 256
_NO_KEY = "none"
"""For litellm, which would look into the environment itself if it were given no key at all."""
_MODEL_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._:@+/-]{0,255}")
"""What a client may name under "*": litellm puts some providers' ids into the path of a URL."""


class Models:
    """Raises SettingsError for entries that cannot be served, one line each."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], catalog: Catalog | None = None) -> None:
        self._catalog = catalog or Catalog()
        self._environ = environ
        providers = settings.providers
        self._timeouts = Timeouts(providers.connect_timeout, providers.read_timeout, providers.total_timeout)
        self._unknown_windows: list[str] = []
        self._star = next((entry for entry in settings.models if entry.name == _STAR), None)
        self._resolve_star = lru_cache(_STARS_REMEMBERED)(self._find_star)
        entries = [entry for entry in settings.models if entry.name != _STAR]
        self._names = [entry.name for entry in entries]
        self._deployments = self._resolve_all(entries)
        self._entries = {name: deployments[0] for name, deployments in self._deployments.items()}
        self.routes: Mapping[str, Route] = {
            entry.name: Route(tuple([self._deployments_of(name) for name in (entry.name, *entry.fallbacks)]))
            for entry in entries
            if entry.deployments or entry.fallbacks
        }
        """Of the models that more than one deployment can answer for."""

    def resolve(self, name: str) -> Deployment:
        """The model's deployment, or the first of several.

        Raises NotFound `model_not_found`, which says what there is or what is missing.
        """
        return self._entries.get(name) or self._resolve_star(name)

    def names(self) -> list[str]:
        """Of the configured entries, in their order; what `"*"` opens is not listed."""
        return list(self._names)

    @property
    def needs_litellm(self) -> bool:
        """True if a configured entry is served through litellm, so that it is better imported at start."""
        return any(deployment.via is Via.LITELLM for deployment in self.configured())

    @property
    def encodings(self) -> Set[str]:
        """Those that the configured entries count with; what most models under `"*"` do, if there is none."""
        return {deployment.encoding for deployment in self.configured()} or {_ESTIMATE}

    @property
    def unknown_windows(self) -> Sequence[str]:
        """The configured entries that DEFAULT_CONTEXT_WINDOW had to be assumed for."""
        return tuple(self._unknown_windows)

    @property
    def unpriced(self) -> Sequence[str]:
        """The configured entries that cost money, for all that is known, but not how much."""
        unknown = (one for one in self.configured() if one.prices is None and one.via is not Via.ECHO)
        return tuple(dict.fromkeys(one.name for one in unknown))

    def configured(self) -> Iterator[Deployment]:
        """The deployments of all entries; those that `"*"` makes are not among them."""
        return (deployment for deployments in self._deployments.values() for deployment in deployments)

    def _resolve_all(self, entries: Sequence[ModelSettings]) -> dict[str, tuple[Deployment, ...]]:
        """By model, each with one deployment or more."""
        found: dict[str, list[Deployment]] = {entry.name: [] for entry in entries}
        problems = []
        for entry in entries:
            for part in entry.deployments or (None,):
                try:
                    found[entry.name].append(self._part(entry, part))
                except SettingsError as exc:
                    which = "" if part is None else f", deployment {part.label!r}"
                    problems.append(f"  model {entry.name!r}{which}: {exc}")
            problems += [
                f'  model {entry.name!r}: the fallback {name!r} is no model here, and not to be had under "*" either'
                for name in entry.fallbacks
                if name not in found and not self._is_star(name)
            ]
        if problems:
            raise SettingsError("\n".join(["These models cannot be served:", *problems]))
        return {name: tuple(deployments) for name, deployments in found.items()}

    def _is_star(self, name: str) -> bool:
        """True for a name that "*" serves."""
        try:
            self._resolve_star(name)
        except NotFound:
            return False
        return True

    def _deployments_of(self, name: str) -> tuple[Deployment, ...]:
        return self._deployments.get(name) or (self._resolve_star(name),)

    def _part(self, entry: ModelSettings, part: DeploymentSettings | None) -> Deployment:
        """The entry's deployment, or this part of it as one of several."""
        if part is None:
            return self._configured(entry, entry.name)
        given = part.model_dump(exclude={"name", "weight"}, exclude_none=True)
        deployment = self._configured(entry.model_copy(update=given), f"{entry.name}, {part.label}")
        return replace(deployment, label=part.label, weight=part.weight)

    def _configured(self, entry: ModelSettings, called: str) -> Deployment:
        """`called`: what the log is to call it."""
        assert entry.model is not None  # noqa: S101 - settings: an entry has a model, or deployments that have
        if entry.model == _ECHO:
            return self._deployment(entry, Via.ECHO, _ECHO, _ECHO, None)
        provider, model = self._split(entry.model)
        if provider is None or (entry.via != "litellm" and not self._is_known(provider)):
            raise SettingsError(
                f"{entry.model!r} names no provider that is known here; write openai/… for an upstream that speaks "
                "OpenAI's wire, PROVIDER/… with via: litellm for any other"
            )
        facts = self._catalog.find(provider, model)
        deployment = self._deployment(entry, self._via(entry, provider), provider, model, facts)
        if deployment.window_assumed:
            self._unknown_windows.append(called)
        return deployment

    def _via(self, entry: ModelSettings, provider: str) -> Via:
        speaks = provider in DIRECT or provider in OPENAI_LIKE
        if entry.via == "litellm" or (entry.via == "auto" and not speaks):
            return Via.LITELLM
        if self._base(entry, provider) is None:
            raise SettingsError("set its api_base, or via: litellm")
        return Via.DIRECT

    def _deployment(
        self, entry: ModelSettings, via: Via, provider: str, model: str, facts: ModelFacts | None
    ) -> Deployment:
        known = _known_window(entry, via, facts)
        window = known or DEFAULT_CONTEXT_WINDOW
        encoding, exact = _encoding(entry, provider, model)
        return Deployment(
            name=entry.name,
            via=via,
            provider=provider,
            model=f"{provider}/{model}" if via is Via.LITELLM else model,
            context_window=window,
            window_assumed=known is None,
            reply_reserve=_reserve(entry, window, facts),
            encoding=encoding,
            exact=exact,
            api_base=self._base(entry, provider),
            api_key=None if via is Via.ECHO else self._key(entry, provider, via),
            prices=_prices(entry, facts),
            allow_params=entry.allow_params,
            timeouts=self._timeouts,
        )

    def _base(self, entry: ModelSettings, provider: str) -> str | None:
        if entry.api_base is not None or provider not in DIRECT:
            return entry.api_base
        return self._first(DIRECT[provider].bases) or DIRECT[provider].base

    def _key(self, entry: ModelSettings, provider: str, via: Via) -> str | None:
        """None where the upstream wants no key, or where litellm has to find more than a key.

        A provider's key in the environment is for that provider: an entry that says `openai/…` only for the wire, and
        names a host of its own, is not sent OpenAI's key.
        """
        if entry.api_key is not None:
            return entry.api_key.get_secret_value()
        if entry.api_base is not None and provider in DIRECT:
            return _NO_KEY if via is Via.LITELLM else None
        return self._first(key_names(provider))

    def _first(self, names: tuple[str, ...]) -> str | None:
        return next((value for name in names if (value := self._environ.get(name))), None)

    def _split(self, model: str) -> tuple[str | None, str]:
        """The provider and its own id of the model: `openai/gpt-4o-mini`, or a bare id that the map knows."""
        provider, slash, rest = model.partition("/")
        if slash and rest and (self._is_known(provider) or self._catalog.provider_of(model) is None):
            return provider, rest
        return self._catalog.provider_of(model), model

    def _is_known(self, provider: str) -> bool:
        return provider in DIRECT or provider in OPENAI_LIKE or provider in self._catalog.providers

    def _find_star(self, name: str) -> Deployment:
        if self._star is None or _MODEL_ID.fullmatch(name) is None:
            raise self._not_found(name)
        provider, model = self._split(name)
        if provider is None or not self._is_known(provider) or provider in OPENAI_LIKE:
            raise self._not_found(name)
        entry = self._star.model_copy(update={"name": name, "model": name})
        if missing := self._missing(entry, provider):
            raise NotFound(
                f"The model {name!r} can be used once {missing} is set in the gateway's environment.",
                code="model_not_found",
                param="model",
            )
        return self._deployment(entry, self._via(entry, provider), provider, model, self._catalog.find(provider, model))

    def _missing(self, entry: ModelSettings, provider: str) -> str | None:
        """The environment variable without which the provider cannot be called."""
        endpoint = DIRECT.get(provider)
        if endpoint is not None and not endpoint.needs_key:
            return None if self._first(endpoint.bases) or entry.api_base else endpoint.bases[0]
        names = credential_names(provider)
        return None if self._first(names) or entry.api_key else names[0]

    def _not_found(self, name: str) -> NotFound:
        known = ", ".join(self._names) or "none"
        star = ', and any "provider/model" whose provider\'s key is in the environment' if self._star else ""
        return NotFound(
            f"The model {name[:64]!r} does not exist. Models here: {known}{star}.",
            code="model_not_found",
            param="model",
        )


def _known_window(entry: ModelSettings, via: Via, facts: ModelFacts | None) -> int | None:
    if entry.context_window is not None:
        return entry.context_window
    if via is Via.ECHO:
        return _ECHO_CONTEXT_WINDOW
    return facts.context_window if facts is not None else None


def _reserve(entry: ModelSettings, window: int, facts: ModelFacts | None) -> int:
    if entry.reply_reserve is not None:
        return entry.reply_reserve
    most = (facts and facts.max_output_tokens) or _DEFAULT_RESERVE
    return min(_DEFAULT_RESERVE, most, window // 4)


def _encoding(entry: ModelSettings, provider: str, model: str) -> tuple[str, bool]:
    """The encoding's name, and whether it is the model's own: tiktoken knows, without a download, for OpenAI's."""
    known = None
    if provider in _OPENAIS:
        with suppress(KeyError):  # a model newer than tiktoken
            known = encoding_name_for_model(model)
    own = known if known in _BUNDLED else None
    if entry.encoding is not None:
        return entry.encoding, entry.encoding == own
    return own or _ESTIMATE, own is not None


def _prices(entry: ModelSettings, facts: ModelFacts | None) -> Prices | None:
    known = facts.prices if facts else None
    given, made = entry.input_cost_per_token, entry.output_cost_per_token
    if given is None and made is None:
        return known
    return Prices(
        input=given if given is not None else (known.input if known else 0.0),
        output=made if made is not None else (known.output if known else 0.0),
        cached_input=known.cached_input if known and given is None else None,
    )
