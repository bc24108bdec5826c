"""Which deployments have failed of late, and are left alone for a while.

In the memory of one process: each finds out for itself, which costs it a few calls that go on elsewhere.
"""

import time
from collections.abc import Callable, Sequence

from gateway.domain import Deployment
from gateway.errors import GatewayError, ProviderError
from gateway.providers.failures import retry_after

_TROUBLES_REMEMBERED = 1024


class _Trouble:
    """A deployment that has failed since it last answered."""

    __slots__ = ("failures", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0


class Health:
    """What this process has seen of its deployments: who failed, how often in a row, and who cools down until when.

    A deployment that is well is not in here. One whose cool-down is over gets a single call as a trial: while that is
    under way, it cools down for everybody else.
    """

    def __init__(self, *, cooldown: float, cooldown_after: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """`cooldown` in seconds, of which `clock` tells the time; `cooldown_after` failures in a row begin one."""
        self._cooldown = cooldown
        self._cooldown_after = cooldown_after
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}

    def ranked(self, deployments: Sequence[Deployment]) -> list[Deployment]:
        """Those that are well in their order, and then the others: whose cool-down ends first goes first."""
        if not self._troubles:
            return list(deployments)
        return sorted(deployments, key=self.cools_for)

    def cools_for(self, deployment: Deployment) -> float:
        """Seconds until the end of its cool-down; 0 if it is well."""
        trouble = self._troubles.get(deployment.id)
        return 0.0 if trouble is None else max(0.0, trouble.until - self._clock())

    def asked(self, deployment: Deployment) -> None:
        """It is about to be called: after a cool-down, as a trial."""
        if self._troubles and (trouble := self._troubles.get(deployment.id)) is not None and trouble.until:
            trouble.until = max(trouble.until, self._clock() + self._cooldown)

    def answered(self, deployment: Deployment) -> None:
        """It answered, if only with an error that was the request's own."""
        if self._troubles:
            self._troubles.pop(deployment.id, None)

    def failed(self, deployment: Deployment, error: GatewayError) -> bool:
        """It failed. True if it was well until then, and now cools down; a trial that fails only begins that anew."""
        trouble = self._troubles.setdefault(deployment.id, _Trouble())
        trouble.failures += 1
        if len(self._troubles) > _TROUBLES_REMEMBERED:  # under "*" clients name the models
            del self._troubles[next(iter(self._troubles))]
        asked_for = retry_after(error) if isinstance(error, ProviderError) and error.status == 429 else 0.0
        was_well = not trouble.until
        if was_well and trouble.failures < self._cooldown_after and not asked_for:
            return False
        trouble.until = self._clock() + (min(asked_for, self._cooldown) or self._cooldown)
        return was_well
