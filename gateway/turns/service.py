"""A turn, from a caller's request to the last byte of its reply: steps 3 to 9, in order.

    admit     take the request from the limits of its caller, if there are any    auth/limiting/
    claim     wait for the session's other turns, here and elsewhere              turns/claims.py
    open      resolve the model, open the turn in the store, build the window     turns/opening.py
    reserve   take what it may use from these limits                          turns/reserving.py
    call      call the provider, relay its reply                                  turns/calling.py
              where that fails before a reply has begun, call again or another    turns/attempts.py
    close     store the messages and the ledger row, let the hold go              turns/closing.py
    settle    give back what it did not use
    finish    only then the last byte

It runs in a task of its own (turns/flights.py), so that a client that hangs up cannot cancel the write.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import quote

from gateway.auth.limiting.grant import Grant, grant_for
from gateway.auth.limiting.limiter import Limiter
from gateway.domain import LedgerEntry, Via
from gateway.errors import GatewayError
from gateway.ports import Provider
from gateway.turns.attempts import Attempts
from gateway.turns.calling import Client, call_streamed, call_whole
from gateway.turns.claims import Claim, Claims
from gateway.turns.closing import Closer, overhead_ms
from gateway.turns.flights import Flight, Flights
from gateway.turns.opening import Opener
from gateway.turns.reserving import Reserver, account
from gateway.turns.turn import Inbound, Outcome, Turn
from gateway.wire import sse
from gateway.wire.json import dump


@dataclass(slots=True)
class TurnReport:
    """What the request's log line says of its turn; filled in as the turn goes on, whatever becomes of it."""

    turn: Turn | None = None
    outcome: Outcome | None = None
    entry: LedgerEntry | None = None
    """None as long as the turn is not stored."""
    error: GatewayError | None = None


class TurnReply(NamedTuple):
    """What is left to send when the turn is stored: a whole reply, or the end of a streamed one."""

    body: bytes
    headers: Mapping[str, str]
    """None for a streamed one, whose head has gone."""


class TurnService:
    def __init__(
        self,
        *,
        limiter: Limiter,
        opener: Opener,
        reserver: Reserver,
        attempts: Attempts,
        closer: Closer,
        claims: Claims,
        flights: Flights,
        providers: Mapping[Via, Provider],
    ) -> None:
        self._limiter = limiter
        self._opener = opener
        self._reserver = reserver
        self._attempts = attempts
        self._closer = closer
        self._claims = claims
        self._flights = flights
        self._providers = providers

    def start(self, inbound: Inbound, client: Client, report: TurnReport) -> Flight[TurnReply]:
        """Begin the turn. Raises ShuttingDown."""
        session_id = inbound.request.session_id
        grant = grant_for(self._limiter, inbound.caller)
        if grant is not None:
            return self._flights.launch(lambda flight: self._take_limited_turn(grant, flight, inbound, client, report))
        if session_id is None:
            return self._flights.launch(lambda flight: self._take_turn(flight, inbound, client, report, None))
        return self._flights.launch(lambda flight: self._take_turn_in(session_id, flight, inbound, client, report))

    async def _take_limited_turn(
        self, grant: Grant, flight: Flight[TurnReply], inbound: Inbound, client: Client, report: TurnReport
    ) -> TurnReply:
        session_id = inbound.request.session_id
        async with grant:
            if session_id is None:
                return await self._take_turn(flight, inbound, client, report, None, grant)
            return await self._take_turn_in(session_id, flight, inbound, client, report, grant)

    async def _take_turn_in(
        self,
        session_id: str,
        flight: Flight[TurnReply],
        inbound: Inbound,
        client: Client,
        report: TurnReport,
        grant: Grant | None = None,
    ) -> TurnReply:
        async with self._claims.claim(flight, inbound.caller.user_id, session_id) as claim:
            inbound.steps.end_claim(waited=not claim.place.is_first)
            return await self._take_turn(flight, inbound, client, report, claim, grant)

    async def _take_turn(
        self,
        flight: Flight[TurnReply],
        inbound: Inbound,
        client: Client,
        report: TurnReport,
        claim: Claim | None,
        grant: Grant | None = None,
    ) -> TurnReply:
        steps = inbound.steps
        report.turn = turn = await self._open(inbound, claim)
        if grant is not None:
            report.turn = turn = await self._reserver.reserve(turn, grant)
        steps.window = perf_counter()
        turn, outcome = await self._attempts.make(
            flight, turn, lambda turn, lost_ms: self._call(flight, turn, client, grant, lost_ms)
        )
        steps.provider = perf_counter()
        report.turn, report.outcome = turn, outcome
        report.error = outcome.error
        try:
            report.entry = await self._closer.close(turn, outcome, claim)
        except GatewayError as exc:
            report.error = report.error or exc
        if grant is not None:
            account(turn, outcome, report.entry, grant)
        if report.error is not None:
            return _refused(outcome, report.error)
        if outcome.body is None:
            return TurnReply(sse.event(sse.DONE), {})
        elsewhere_ms = outcome.provider_ms + outcome.lost_ms
        return TurnReply(outcome.body, {**outcome.headers, **_headers(turn, grant, elsewhere_ms)})

    async def _open(self, inbound: Inbound, claim: Claim | None) -> Turn:
        while (turn := await self._opener.open(inbound, claim)) is None:
            assert claim is not None  # noqa: S101 - only sessions can be locked
            await self._claims.wait_longer(claim)
            inbound.steps.end_claim(waited=True)
        return turn

    def _call(
        self, flight: Flight[Any], turn: Turn, client: Client, grant: Grant | None, lost_ms: float
    ) -> Awaitable[Outcome]:
        provider = self._providers[turn.deployment.via]
        if not turn.request.stream:
            return call_whole(provider, turn.call, flight)
        return call_streamed(
            provider,
            turn.call,
            flight,
            client,
            headers=_headers(turn, grant, lost_ms),
            include_usage=turn.request.include_usage,
        )


def _refused(outcome: Outcome, error: GatewayError) -> TurnReply:
    """An error is the response while there is none yet; in a stream it is its last event, and no [DONE] follows."""
    if not outcome.streaming:
        raise error
    return TurnReply(sse.event(dump(error.body())), {})


def _headers(turn: Turn, grant: Grant | None, elsewhere_ms: float) -> dict[str, str]:
    headers = {"x-gateway-overhead-ms": f"{overhead_ms(turn, elsewhere_ms):.2f}"}
    if grant is not None:
        headers.update(grant.headers)
    if turn.stood_in is not None:
        headers["x-gateway-model"] = quote(turn.stood_in, safe="/:@+ ")
    if (history := turn.history) is not None:
        headers["x-session-id"] = history.session.id
        headers["x-history-messages"] = str(history.messages)
        headers["x-history-tokens"] = str(history.tokens)
        headers["x-history-trimmed"] = str(history.trimmed)
    return headers
