"""What Prometheus is told: counts and times of requests and turns, by model and outcome, never by session.

A turn or a request leaves one entry in a list; a few times a second all of them are added up and go into
prometheus-client at once, so that nobody who waits for an answer pays for it.

Invariant: `exposition` says everything that was noted in this process before it was called. With several workers, whose
metrics meet in files (sharing.py), it says what the others had noted a quarter of a second before.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.domain import Deployment, LedgerEntry
from gateway.telemetry.by_user import UserMetrics
from gateway.telemetry.gauges import Figures, Gauges
from gateway.telemetry.names import Names
from gateway.telemetry.observing import observe
from gateway.telemetry.sharing import DIRECTORY
from gateway.telemetry.steps import NotedTurn, Steps, durations

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PAUSE = 0.25
"""Seconds between what happened and its being added up."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OVERHEAD = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_PHASE = (0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
"""From the microseconds of a window to the minutes of a provider."""

_TURN = ("model", "provider")

_MOST_MODELS = 100
"""Told by name beside those of the settings: under "*" clients may name any, and each is some sixty series."""

_MOST_ERRORS = 100
"""Told by their codes, which are the providers' to choose."""

_IN_FLIGHT = "gateway_requests_in_flight"

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for


class _Request(NamedTuple):
    method: str
    route: str
    status: int
    seconds: float


class InFlight(NamedTuple):
    """HTTP requests that all workers of this host are answering, and how many workers those are."""

    requests: int
    workers: int


class Metrics:
    """The metrics of this process. Its methods cost well under a microsecond, save `exposition`."""

    def __init__(
        self,
        *,
        models: Iterable[str] = (),
        user_labels: int = 0,
        take_turns: Callable[[Sequence[NotedTurn]], None] | None = None,
    ) -> None:
        """`models`: the settings'. `user_labels`: users told by name. `take_turns`: gets the turns of each pause."""
        self._registry = CollectorRegistry()
        self._gauges = Gauges(self._registry)
        self._models = Names(_MOST_MODELS, models)
        self._error_codes = Names(_MOST_ERRORS)
        self._users = UserMetrics(self._registry, user_labels) if user_labels else None
        self._take_turns = take_turns
        self._turns: list[NotedTurn] = []
        self._requests: list[_Request] = []
        self._retries: list[tuple[str, str, str]] = []
        self._cooldowns: list[tuple[str, str, str]] = []
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None
        self._make_request_metrics()
        self._make_turn_metrics()
        self._retries_total = self._counter(
            "gateway_provider_retries",
            "Attempts at a provider that failed and were followed by another.",
            *_TURN,
            "reason",
        )
        self._cooldowns_total = self._counter(
            "gateway_deployment_cooldowns",
            "Deployments that failed so often that they were left alone.",
            *_TURN,
            "deployment",
        )

    def _make_request_metrics(self) -> None:
        self._in_flight = Gauge(
            _IN_FLIGHT,
            "HTTP requests that are being answered.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._requests_total = self._counter(
            "gateway_requests", "HTTP requests that were answered.", "method", "route", "status"
        )
        self._request_seconds = self._histogram(
            "gateway_request_duration_seconds", "From a request's arrival to the end of its answer.", _SECONDS, "route"
        )

    def _make_turn_metrics(self) -> None:
        self._turns_total = self._counter("gateway_turns", "Turns in the ledger.", *_TURN, "stream", "status")
        self._errors = self._counter("gateway_turn_errors", "Turns that ended in an error.", *_TURN, "error")
        self._tokens = self._counter("gateway_turn_tokens", "Tokens of turns, by kind.", *_TURN, "kind")
        self._cost = self._counter("gateway_turn_cost_dollars", "US dollars of turns with a known price.", *_TURN)
        self._history = self._counter(
            "gateway_history_messages",
            "Stored messages that turns sent along (injected), or left out (trimmed).",
            "fate",
        )
        self._history_tokens = self._counter("gateway_history_tokens", "Tokens of the messages that were sent along.")
        self._trimmed_tokens = self._counter(
            "gateway_history_trimmed_tokens", "Tokens of the stored messages that were left out."
        )
        self._provider_seconds = self._histogram(
            "gateway_provider_duration_seconds", "A provider's call, to the end of its reply.", _SECONDS, *_TURN
        )
        self._first_token_seconds = self._histogram(
            "gateway_time_to_first_token_seconds", "A streamed reply, to its first content.", _SECONDS, *_TURN
        )
        self._overhead_seconds = self._histogram(
            "gateway_turn_overhead_seconds", "The gateway's own time in a turn, until it was closed.", _OVERHEAD
        )
        self._phase_seconds = self._histogram(
            "gateway_turn_phase_seconds", "A turn's way until it was stored, by phase.", _PHASE, "phase"
        )
        self._lock_wait_seconds = self._histogram(
            "gateway_lock_wait_seconds", "Turns that had to wait for others of their session.", _SECONDS
        )
        self._lookups = self._counter(
            "gateway_window_cache_lookups", "Turns of sessions whose window was in memory, or not.", "result"
        )
        self._limited = self._counter("gateway_limited", "Calls that a limit of the gateway refused.", "limit", "of")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    # ── what is noted ────────────────────────────────────────────────────────────────────────────────────────────

    def begin_request(self) -> None:
        self._running += 1
        self._add_up_soon()

    def end_request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """`route`: the path's pattern, so that their number is bounded; None for a path that leads nowhere."""
        self._running -= 1
        self._requests.append(_Request(method, route or "unknown", status, seconds))
        self._add_up_soon()

    def turn(self, entry: LedgerEntry, steps: Steps, user: str) -> None:
        """A turn of this user's, by name, that has been stored."""
        self._turns.append((entry, steps, user))
        self._add_up_soon()

    def watch(self, source: Callable[[], Figures]) -> None:
        """Tell these figures, as they are, from now on: see gauges.py."""
        self._gauges.watch(source)

    def limited(self, limit: str, of: str) -> None:
        """A call that a limit refused: its name, as in the settings, and whose it is, `key` or `user`."""
        self._limited.labels(limit, of).inc()

    def retry(self, model: str, provider: str, reason: str) -> None:
        """An attempt at a turn's call that failed and was followed by another. `reason` is one of few words."""
        self._retries.append((model, provider, reason))
        self._add_up_soon()

    def may_cool_down(self, deployments: Iterable[Deployment], cools_for: Callable[[Deployment], float]) -> None:
        """Tell of these from the start: in a counter that begins with 1, Prometheus sees no increase.

        `cools_for` is asked how many seconds each is still left alone.
        """
        labelled = [(deployment, _labels_of(deployment)) for deployment in deployments]
        for _, labels in labelled:
            self._cooldowns_total.labels(*labels)
        self._gauges.watch_deployments(labelled, cools_for)

    def cooldown(self, deployment: Deployment) -> None:
        """A deployment that was well, and is now left alone for a while."""
        self._cooldowns.append(_labels_of(deployment))
        self._add_up_soon()

    # ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self.add_up()
        if DIRECTORY not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # the package has no types for it
        return generate_latest(together)

    def in_flight(self) -> InFlight:
        """What this process answers now, and what the other workers did when they last added up."""
        directory = os.environ.get(DIRECTORY)
        if directory is None:
            return InFlight(self._running, workers=1)
        # One file a worker has all its gauges of what is live, and goes with it: see sharing.forget_process.
        own = f"gauge_livesum_{os.getpid()}.db"
        files = [str(path) for path in Path(directory).glob("gauge_livesum_*.db") if path.name != own]
        gauges = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # the package has no types for it
        others = sum(s.value for each in gauges for s in each.samples if s.name == _IN_FLIGHT)
        return InFlight(self._running + int(others), workers=1 + len(files))

    def add_up(self) -> None:
        """Have everything that was noted told from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        turns, self._turns = self._turns, []
        requests, self._requests = self._requests, []
        self._in_flight.set(self._running)
        self._add_requests(requests)
        self._add_turns([entry for entry, _, _ in turns])
        self._add_steps([steps for _, steps, _ in turns])
        self._add_attempts()
        if self._users is not None:
            self._users.add(turns)
        if self._take_turns is not None and turns:
            self._take_turns(turns)
        if self._gauges.update():
            self._add_up_soon()

    def _add_attempts(self) -> None:
        for counter, noted in ((self._retries_total, self._retries), (self._cooldowns_total, self._cooldowns)):
            for model, *labels in noted:
                counter.labels(self._models.label(model), *labels).inc()
            noted.clear()

    def _add_up_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self.add_up)

    def _add_requests(self, requests: Sequence[_Request]) -> None:
        for (method, route, status), same in _grouped(requests, _kind_of_request):
            self._requests_total.labels(method, route, status).inc(len(same))
            observe(self._request_seconds.labels(route), [request.seconds for request in same])

    def _add_turns(self, turns: Sequence[LedgerEntry]) -> None:
        for (stream, status), same in _grouped(turns, lambda turn: (turn.stream, turn.status)):
            for of, entries in _grouped(same, self._model_of):
                self._turns_total.labels(*of, str(stream).lower(), str(status)).inc(len(entries))
        for of, entries in _grouped(turns, self._model_of):
            self._add_turns_of(of, entries)
        observe(self._overhead_seconds, [turn.overhead_ms / 1000 for turn in turns if turn.overhead_ms is not None])
        sessions = [turn for turn in turns if turn.session_id is not None]
        self._history.labels("injected").inc(sum([turn.history_messages for turn in sessions]))
        self._history.labels("trimmed").inc(sum([turn.history_trimmed for turn in sessions]))
        self._history_tokens.inc(sum([turn.history_tokens for turn in sessions]))

    def _add_steps(self, turns: Sequence[Steps]) -> None:
        for phase, seconds in durations(turns).items():
            observe(self._phase_seconds.labels(phase), seconds)
        waits = [steps.claim - steps.read for steps in turns if steps.waited and steps.claim is not None]
        observe(self._lock_wait_seconds, waits)
        self._trimmed_tokens.inc(sum([steps.trimmed_tokens for steps in turns]))
        cached = [steps.cached for steps in turns if steps.open is not None]
        self._lookups.labels("hit").inc(sum(cached))
        self._lookups.labels("miss").inc(len(cached) - sum(cached))

    def _model_of(self, turn: LedgerEntry) -> tuple[str, str]:
        return (self._models.label(turn.model), turn.provider)

    def _add_turns_of(self, of: tuple[str, str], turns: Sequence[LedgerEntry]) -> None:
        """Turns of one model and provider."""
        tokens = self._tokens.labels
        tokens(*of, "prompt").inc(sum([turn.usage.prompt_tokens for turn in turns]))
        tokens(*of, "completion").inc(sum([turn.usage.completion_tokens for turn in turns]))
        tokens(*of, "cached").inc(sum([turn.usage.cached_tokens for turn in turns]))
        tokens(*of, "reasoning").inc(sum([turn.usage.reasoning_tokens for turn in turns]))
        self._cost.labels(*of).inc(sum([turn.cost for turn in turns if turn.cost is not None]))
        latencies = [turn.latency_ms / 1000 for turn in turns if turn.latency_ms is not None]
        observe(self._provider_seconds.labels(*of), latencies)
        observe(
            self._first_token_seconds.labels(*of),
            [turn.ttft_ms / 1000 for turn in turns if turn.ttft_ms is not None],
        )
        for turn in turns:
            if turn.error_status is not None:
                code = self._error_codes.label(turn.error_code or str(turn.error_status))
                self._errors.labels(*of, code).inc()


K = TypeVar("K")
T = TypeVar("T")


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> Iterable[tuple[K, list[T]]]:
    """What has a label in common goes into its metric at once: to find a metric by its labels costs most of all."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups.items()


def _kind_of_request(request: _Request) -> tuple[str, str, str]:
    return (request.method if request.method in _METHODS else "other", request.route, str(request.status))


def _labels_of(deployment: Deployment) -> tuple[str, str, str]:
    return deployment.name, deployment.provider, deployment.label or ""
