"""Turns by user's name, where metrics.user_labels asks for it: for so many users at most, as every one costs series."""

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from gateway.domain import LedgerEntry
from gateway.telemetry.names import Names
from gateway.telemetry.steps import NotedTurn


class UserMetrics:
    def __init__(self, registry: CollectorRegistry, most: int) -> None:
        """`most`: so many users, those seen first, have names."""
        self._names = Names(most)
        self._turns = Counter("gateway_user_turns", "Turns, by user.", ("user", "status"), registry=registry)
        self._tokens = Counter("gateway_user_tokens", "Tokens, by user.", ("user", "kind"), registry=registry)
        self._cost = Counter("gateway_user_cost_dollars", "US dollars, by user.", ("user",), registry=registry)

    def add(self, turns: Sequence[NotedTurn]) -> None:
        by_user: dict[str, list[LedgerEntry]] = {}
        for entry, _, name in turns:
            by_user.setdefault(self._names.label(name), []).append(entry)
        for user, entries in by_user.items():
            self._add_turns_of(user, entries)

    def _add_turns_of(self, user: str, entries: Sequence[LedgerEntry]) -> None:
        for status, count in Tally([entry.status for entry in entries]).items():
            self._turns.labels(user, str(status)).inc(count)
        tokens = self._tokens.labels
        tokens(user, "prompt").inc(sum([entry.usage.prompt_tokens for entry in entries]))
        tokens(user, "completion").inc(sum([entry.usage.completion_tokens for entry in entries]))
        tokens(user, "cached").inc(sum([entry.usage.cached_tokens for entry in entries]))
        tokens(user, "reasoning").inc(sum([entry.usage.reasoning_tokens for entry in entries]))
        self._cost.labels(user).inc(sum([entry.cost for entry in entries if entry.cost is not None]))
