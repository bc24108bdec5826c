"""What a turn may use at most, reserved from its caller's limits before its provider is called; and what it did use."""

from dataclasses import replace

from gateway.auth.limiting.grant import Grant
from gateway.domain import LedgerEntry, Usage
from gateway.tokens.calibration import Calibration
from gateway.turns.estimate import Estimator
from gateway.turns.turn import Outcome, Turn


class Reserver:
    def __init__(self, estimator: Estimator, calibration: Calibration) -> None:
        self._estimator = estimator
        self._calibration = calibration

    async def reserve(self, turn: Turn, grant: Grant) -> Turn:
        """Take the prompt's tokens, and those kept for the reply, from the limits. Returns the turn with them counted.

        Raises RateLimited and the rest of what Grant.reserve does.
        """
        if not grant.is_metered:
            return turn
        request, deployment = turn.request, turn.deployment
        estimate = turn.prompt_estimate
        if estimate is None:
            estimate = await self._estimator.stateless(request, deployment.encoding)
            turn = replace(turn, prompt_estimate=estimate)
        ratio = 1.0 if deployment.exact else self._calibration.ratio(deployment.id)
        prompt = round(estimate * ratio)
        reply = (request.max_reply_tokens or deployment.reply_reserve) * (request.params.get("n") or 1)
        usage = Usage(prompt_tokens=prompt, completion_tokens=reply)
        cost = 0.0 if deployment.prices is None else deployment.prices.cost(usage)
        await grant.reserve(usage.total_tokens, cost, turn.created_at)
        return turn


def account(turn: Turn, outcome: Outcome, entry: LedgerEntry | None, grant: Grant) -> None:
    """Say what a turn has used: what the ledger says, or would have said, had it been written."""
    if entry is not None:
        grant.spend(entry.usage.total_tokens, entry.cost)
    elif outcome.usage is not None:
        prices = turn.deployment.prices
        grant.spend(outcome.usage.total_tokens, None if prices is None else prices.cost(outcome.usage))
    elif outcome.message is not None:
        grant.spend_all()
