"""One call's part of its caller's limits, from its admission to its end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from gateway.auth.limiting.limiter import NOTHING, Limiter
from gateway.auth.limiting.plan import Limit, Unit, microdollars
from gateway.domain import Caller
from gateway.errors import RateLimited
from gateway.ids import ulid


def grant_for(limiter: Limiter, caller: Caller) -> "Grant | None":
    """To be entered (`async with`) before the call does anything else; None for a caller without limits."""
    limits = limiter.limits_of(caller)
    return Grant(limiter, caller, limits) if limits else None


class Grant:
    """Entered, it holds the request and its slots; then it may `reserve`. What it took is settled when it is left.

    A call that a limit refuses uses nothing up; any other one has been a request, whatever became of it.
    """

    def __init__(self, limiter: Limiter, caller: Caller, limits: Sequence[Limit]) -> None:
        self._limiter = limiter
        self._caller = caller
        self._id = ulid()
        self._requests = [limit for limit in limits if limit.unit is Unit.REQUESTS]
        self._slots = [limit for limit in limits if limit.unit is Unit.CALLS]
        self._metered = [limit for limit in limits if limit.unit in {Unit.TOKENS, Unit.DOLLARS}]
        self._admitted = self._reserved = NOTHING
        self._used: Mapping[Unit, int] | None = {}
        """None: as much as was reserved."""
        self._is_refused = False
        self.headers: dict[str, str] = {}
        """`x-ratelimit-…`, as far as they are known."""

    @property
    def is_metered(self) -> bool:
        """Whether there are tokens or money to be reserved."""
        return bool(self._metered)

    async def __aenter__(self) -> Self:
        """Raises as Limiter.take."""
        if self._requests or self._slots:
            amounts = [(limit, 1) for limit in self._requests]
            receipt = await self._limiter.take(self._caller, amounts, self._slots, self._id, datetime.now(UTC))
            self._admitted = receipt
            self.headers.update(receipt.headers)
        return self

    async def reserve(self, tokens: int, dollars: float, at: datetime) -> None:
        """Take what the call may use at most; it counts for the day and month of `at`. Raises as Limiter.take."""
        most = {Unit.TOKENS: tokens, Unit.DOLLARS: microdollars(dollars)}
        try:
            amounts = [(limit, most[limit.unit]) for limit in self._metered]
            receipt = await self._limiter.take(self._caller, amounts, (), self._id, at)
        except RateLimited as exc:
            self._is_refused = True
            exc.headers = {**self.headers, **exc.headers}
            raise
        self._reserved = receipt
        self.headers.update(receipt.headers)

    def spend(self, tokens: int, dollars: float | None) -> None:
        """Say what the call used. As long as nothing is said, it has used nothing."""
        self._used = {Unit.TOKENS: tokens, Unit.DOLLARS: microdollars(dollars or 0.0)}

    def spend_all(self) -> None:
        """Nobody knows what the call used: what was reserved for it is taken for it."""
        self._used = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        settled = (
            [replace(charge, amount=-charge.amount) for charge in self._admitted.charges] if self._is_refused else []
        )
        if self._used is not None:
            for limit, charge in zip(
                self._metered, self._reserved.charges, strict=False
            ):  # nothing may have been reserved
                settled.append(replace(charge, amount=self._used.get(limit.unit, 0) - charge.amount))
        await self._limiter.settle(settled, self._id)
