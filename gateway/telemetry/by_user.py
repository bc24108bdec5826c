"""Turns by user's name, where metrics.user_labels asks for it: for so many users at most, as every one costs series."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from gateway.telemetry.steps import NotedTurn

_OTHERS = "other"


class UserMetrics:
    def __init__(self, registry: CollectorRegistry, most: int) -> None:
        """`most`: so many users, those seen first, have names."""
        self._most = most
        self._names: set[str] = set()
        self._turns = Counter("gateway_user_turns", "Turns, by user.", ("user", "status"), registry=registry)
        self._tokens = Counter("gateway_user_tokens", "Tokens, by user.", ("user", "kind"), registry=registry)
        self._cost = Counter("gateway_user_cost_dollars", "US dollars, by user.", ("user",), registry=registry)

    def add(self, turns: Sequence[NotedTurn]) -> None:
        for entry, _, name in turns:
            user, usage = self._label(name), entry.usage
            self._turns.labels(user, str(entry.status)).inc()
            self._tokens.labels(user, "prompt").inc(usage.prompt_tokens)
            self._tokens.labels(user, "completion").inc(usage.completion_tokens)
            self._tokens.labels(user, "cached").inc(usage.cached_tokens)
            self._tokens.labels(user, "reasoning").inc(usage.reasoning_tokens)
            self._cost.labels(user).inc(entry.cost or 0)

    def _label(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= self._most:
                return _OTHERS
            self._names.add(name)
        return name
