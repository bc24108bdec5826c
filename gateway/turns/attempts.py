"""Step 6 once more: a call that failed before anything of its reply was sent is made again, there or elsewhere.

First at the model's other deployments, then at the same one after a pause, as often as `routing.retries` says; then so
at each model that may stand in for it. Never after the client has been sent anything, has left or the server is
stopping, and never beyond the time that one call may take in all.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import structlog

from gateway.domain import Deployment
from gateway.errors import GatewayError, InvalidRequest, ProviderBroken, ProviderError, ProviderTimeout
from gateway.providers.failures import is_passing, is_the_deployments, retry_after
from gateway.providers.health import Health
from gateway.providers.routing import Router
from gateway.settings import RoutingSettings
from gateway.telemetry.metrics import Metrics
from gateway.turns.flights import Flight, Interrupted
from gateway.turns.opening import Opener
from gateway.turns.turn import Outcome, Turn

log = structlog.stdlib.get_logger("gateway")

Call = Callable[[Turn, float], Awaitable[Outcome]]
"""Makes the turn's call; the number is the milliseconds that were lost on others before it."""

_LONGEST_PAUSE = 8.0
"""Seconds that `routing.backoff` grows to, unless the provider itself asks for more."""
_JITTER = 0.25
"""By how much a pause may be shorter, so that calls which failed together do not come back together."""


class Attempts:
    """Makes the calls of turns, and what goes on when one fails."""

    def __init__(
        self, *, opener: Opener, router: Router, health: Health, settings: RoutingSettings, metrics: Metrics
    ) -> None:
        self.opener = opener
        self.router = router
        self.health = health
        self.settings = settings
        self.metrics = metrics

    async def make(self, flight: Flight[Any], turn: Turn, call: Call) -> tuple[Turn, Outcome]:
        """The outcome, and the turn as it was when it came to that: perhaps at another deployment."""
        outcome = await self.call(turn, call, 0.0)
        if outcome.error is None or outcome.streaming:
            return turn, outcome
        return await _Recovery(self, flight, turn, outcome, call).run()

    async def call(self, turn: Turn, call: Call, lost_ms: float) -> Outcome:
        deployment = turn.deployment
        self.health.asked(deployment)
        outcome = await call(turn, lost_ms)
        error = outcome.error
        if error is None:
            self.health.answered(deployment)
        elif is_the_deployments(error):
            if self.health.failed(deployment, error):
                reason = _reason(error)
                log.warning("deployment cools down", model=deployment.name, deployment=deployment.id, error=reason)
                self.metrics.cooldown(deployment)
        elif outcome.streaming or _is_providers(error):  # else it was cut short, perhaps too soon to be answered
            self.health.answered(deployment)
        return outcome

    def tell(self, turn: Turn, error: GatewayError, attempt: int) -> None:
        """That an attempt failed, of which the client may never hear."""
        log.warning(
            "provider attempt failed",
            request_id=turn.inbound.request_id,
            model=turn.model,
            deployment=turn.deployment.id,
            provider=turn.deployment.provider,
            status=error.status,
            error=error.code or error.type,
            attempt=attempt,
        )


class _Step(NamedTuple):
    deployment: Deployment
    pause: float
    """Seconds to wait first."""


class _Recovery:
    """One turn whose first attempt has failed."""

    def __init__(self, attempts: Attempts, flight: Flight[Any], turn: Turn, outcome: Outcome, call: Call) -> None:
        self._attempts = attempts
        self._flight = flight
        self._call = call
        self._only = turn.deployment
        self._turn = turn
        self._outcome = outcome
        self._own: tuple[Turn, Outcome] | None = None
        """The last attempt at the model that was asked for."""
        self._ready: dict[str, float] = {}
        """From when on a deployment that was tried may be asked again."""
        self._made: Counter[str] = Counter()
        """Attempts, by model."""
        self._pauses = 0
        self._waited_ms = 0.0
        """On providers, and between them."""
        self._deadline = time.perf_counter() - outcome.provider_ms / 1000 + turn.deployment.timeouts.total
        self._take_in(turn, outcome)

    async def run(self) -> tuple[Turn, Outcome]:
        while self._may_go_on() and (step := self._next()) is not None:
            await self._pause(step.pause)
            if not self._is_interrupted:
                await self._attempt(step.deployment)
        return self._result()

    def _take_in(self, turn: Turn, outcome: Outcome) -> None:
        self._turn, self._outcome = turn, outcome
        self._waited_ms += outcome.provider_ms
        self._made[turn.deployment.name] += 1
        if turn.stood_in is None:
            self._own = turn, outcome
        if (error := outcome.error) is not None:
            pause = retry_after(error) if is_passing(error) else inf
            self._ready[turn.deployment.id] = time.perf_counter() + pause

    @property
    def _is_interrupted(self) -> bool:
        return self._outcome.error is not None and not _is_providers(self._outcome.error)

    def _may_go_on(self) -> bool:
        error = self._outcome.error
        if error is None or self._outcome.streaming or time.perf_counter() >= self._deadline:
            return False
        # What a model that stands in refuses, the one that was asked for would perhaps have taken.
        return is_the_deployments(error) or (self._turn.stood_in is not None and _is_providers(error))

    def _next(self) -> _Step | None:
        turn, retries = self._turn, self._attempts.settings.retries
        candidates = self._attempts.router.candidates(turn.model, turn.request.session_id) or (self._only,)
        candidates = [each for each in candidates if self._made[each.name] <= retries]
        fresh = [each for each in candidates if each.id not in self._ready]
        here = turn.deployment.name
        well = [each for each in fresh if each.name == here and not self._attempts.health.cools_for(each)]
        if well:
            return _Step(well[0], 0.0)
        return self._again([each for each in candidates if each.name == here]) or (
            _Step(fresh[0], 0.0) if fresh else None
        )

    def _again(self, deployments: Sequence[Deployment]) -> _Step | None:
        """The first of these that was tried, and may be asked again after a pause."""
        settings, now = self._attempts.settings, time.perf_counter()
        backoff = min(settings.backoff * 2**self._pauses, _LONGEST_PAUSE)
        backoff *= 1 - _JITTER * random.random()  # noqa: S311 - no secret
        for deployment in deployments:
            asked_for = self._ready.get(deployment.id, inf) - now
            pause = max(backoff, asked_for)
            is_well = self._attempts.health.cools_for(deployment) <= pause
            if is_well and asked_for <= settings.retry_after_max and now + pause < self._deadline:
                return _Step(deployment, pause)
        return None

    async def _pause(self, seconds: float) -> None:
        if not seconds:
            return
        self._pauses += 1
        began = time.perf_counter()
        try:
            async with self._flight.waiting():
                await asyncio.sleep(seconds)
        except Interrupted as exc:
            self._outcome = replace(self._outcome, error=exc.reason)
        self._waited_ms += (time.perf_counter() - began) * 1000

    async def _attempt(self, deployment: Deployment) -> None:
        failed, error = self._turn, self._outcome.error
        left = replace(deployment.timeouts, total=self._deadline - time.perf_counter())
        try:
            turn = await self._attempts.opener.redirect(failed, replace(deployment, timeouts=left))
        except InvalidRequest:  # it has no room for the request, or does not take one of its fields
            self._ready[deployment.id] = inf
            return
        assert error is not None  # noqa: S101 - else there would be nothing to go on about
        self._attempts.tell(failed, error, self._made.total())
        self._attempts.metrics.retry(turn.model, failed.deployment.provider, _reason(error))
        self._take_in(turn, await self._attempts.call(turn, self._call, self._waited_ms))

    def _result(self) -> tuple[Turn, Outcome]:
        """The last attempt; but where all have failed, the last at the model that the client knows."""
        turn, outcome = self._turn, self._outcome
        error = outcome.error
        if error is not None and not outcome.streaming and _is_providers(error) and self._own is not None:
            if turn is not self._own[0]:
                self._attempts.tell(turn, error, self._made.total())
            turn, outcome = self._own
        return turn, replace(outcome, lost_ms=self._waited_ms - outcome.provider_ms)


def _is_providers(error: GatewayError) -> bool:
    """True for what a provider, or the adapter to it, has said; not for a client's leaving or the server's end."""
    return isinstance(error, ProviderError | ProviderBroken | ProviderTimeout | InvalidRequest)


def _reason(error: GatewayError) -> str:
    """For a metric's label: one of few words, and none of the provider's."""
    return str(error.status) if isinstance(error, ProviderError) else error.code or error.type
