"""Step 8 of a turn: write down what was said and what it cost, in one transaction."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.domain import LedgerEntry, NewMessage, Status, Usage
from gateway.errors import ClientDisconnected
from gateway.history.exchanges import remember_as
from gateway.ids import new_message_id
from gateway.ports import ClosedTurn, Store
from gateway.telemetry.metrics import Metrics
from gateway.tokens.calibration import Calibration
from gateway.turns.cache import WindowCache
from gateway.turns.claims import Claim
from gateway.turns.estimate import Estimator
from gateway.turns.turn import History, Outcome, Turn
from gateway.wire.json import dump
from gateway.wire.reply import storable


class Closer:
    def __init__(
        self, *, store: Store, estimator: Estimator, calibration: Calibration, cache: WindowCache, metrics: Metrics
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._estimator = estimator
        self._calibration = calibration
        self._cache = cache

    async def close(self, turn: Turn, outcome: Outcome, claim: Claim | None) -> LedgerEntry:
        """Store the turn, and let go of its session. Raises StorageUnavailable; then nothing of it is stored.

        Of a turn whose session was purged meanwhile only the ledger row is kept.
        """
        reply = outcome.message if turn.history is not None else None
        reply_tokens = None if reply is None else await self._estimator.message(reply, turn.deployment.encoding)
        usage = await self._usage(turn, outcome, reply_tokens)
        messages = _messages(turn, outcome, reply, reply_tokens) if turn.history is not None else []
        entry = _entry(turn, outcome, usage)
        instructions = tuple([message.body for message in turn.request.instructions])
        pinned = instructions if instructions and outcome.status is not Status.FAILED else None
        hold = None if claim is None else claim.hold
        created_at = None if turn.history is None else turn.history.session.created_at
        first_seq = await self._store.close_turn(ClosedTurn(entry, messages, pinned, hold, created_at))
        steps, caller = turn.inbound.steps, turn.inbound.caller
        steps.close = time.perf_counter()
        self._metrics.turn(entry, steps, caller.user_name)
        if claim is not None:
            claim.settle()
        if turn.history is not None:
            self._remember(turn.history, messages, outcome.status, first_seq)
        return entry

    async def _usage(self, turn: Turn, outcome: Outcome, reply_tokens: int | None) -> Usage:
        """What the provider reported; else our estimate, marked as one.

        Nothing was used where a provider failed. Where its client has left before the reply began, the prompt was: the
        provider has it, and bills it; else limits would not hold those who never wait for a reply.
        """
        if outcome.usage is not None:
            if turn.prompt_estimate is not None and not turn.deployment.exact:
                self._calibration.learn(
                    turn.deployment.id, estimated=turn.prompt_estimate, reported=outcome.usage.prompt_tokens
                )
            return outcome.usage
        message = outcome.message
        if message is None and not isinstance(outcome.error, ClientDisconnected):
            return Usage(estimated=True)
        encoding = turn.deployment.encoding
        prompt = turn.prompt_estimate
        if prompt is None:
            prompt = await self._estimator.stateless(turn.request, encoding)
        completion = reply_tokens
        if completion is None:
            completion = 0 if message is None else await self._estimator.message(message, encoding)
        return Usage(prompt_tokens=prompt, completion_tokens=completion, estimated=True)

    def _remember(
        self, history: History, messages: Sequence[NewMessage], status: Status, first_seq: int | None
    ) -> None:
        """Keep the window that the next turn will want, if nobody else has written to the session meanwhile."""
        known, session = history.known, history.session
        key = (session.user_id, session.id)
        if first_seq is None or (messages and first_seq != known.last_seq + 1):
            self._cache.drop(key)
            return
        now = time.time()
        new = [
            kept
            for seq, message in enumerate(messages, first_seq)
            if (kept := remember_as(message, seq, status, now=now)) is not None
        ]
        last_seq = known.last_seq + len(messages)
        grown = known.appended(new, last_seq)
        if grown is None:
            self._cache.drop(key)
        else:
            self._cache.put(key, grown.trimmed(session.max_history_messages))


def _messages(
    turn: Turn, outcome: Outcome, reply: Mapping[str, Any] | None, reply_tokens: int | None
) -> list[NewMessage]:
    assert turn.history is not None  # noqa: S101 - only sessions have messages
    encoding, metadata = turn.deployment.encoding, turn.request.params.get("metadata")
    messages = [
        NewMessage(
            id=new_message_id(),
            role=message.role,
            body=message.body,
            tokens=tokens,
            encoding=encoding,
            metadata=metadata if isinstance(metadata, dict) else None,
        )
        for message, tokens in zip(turn.request.messages, turn.history.new_tokens, strict=True)
    ]
    if reply is not None and reply_tokens is not None:
        messages.append(
            NewMessage(
                id=new_message_id(),
                role="assistant",
                body=dump(storable(reply)),
                tokens=reply_tokens,
                encoding=encoding,
                latency_ms=outcome.provider_ms,
                ttft_ms=outcome.ttft_ms,
                model=turn.deployment.name,
            )
        )
    return messages


def _entry(turn: Turn, outcome: Outcome, usage: Usage) -> LedgerEntry:
    deployment, history, error = turn.deployment, turn.history, outcome.error
    return LedgerEntry(
        turn_id=turn.id,
        request_id=turn.inbound.request_id,
        user_id=turn.inbound.caller.user_id,
        key_id=turn.inbound.caller.key_id,
        session_id=None if history is None else history.session.id,
        model=turn.model,
        provider=deployment.provider,
        provider_model=deployment.model,
        stream=turn.request.stream,
        status=outcome.status,
        created_at=turn.created_at,
        usage=usage,
        cost=None if deployment.prices is None else deployment.prices.cost(usage),
        finish_reason=_storable(outcome.finish_reason),
        error_status=None if error is None else error.status,
        error_code=None if error is None else _storable(error.code),
        latency_ms=outcome.provider_ms,
        ttft_ms=outcome.ttft_ms,
        overhead_ms=overhead_ms(turn, outcome.provider_ms + outcome.lost_ms),
        history_messages=0 if history is None else history.messages,
        history_tokens=0 if history is None else history.tokens,
        history_trimmed=0 if history is None else history.trimmed,
        deployment=deployment.label if turn.stood_in is None else deployment.id,
    )


def _storable(word: str | None) -> str | None:
    """A provider's word for the ledger, without what not every database can hold: see storage/texts.py."""
    return None if word is None else word.encode(errors="replace").decode().replace("\0", "?")[:256]


def overhead_ms(turn: Turn, elsewhere_ms: float) -> float:
    """The gateway's own time since the request arrived: all of it, less what providers have taken."""
    return (time.perf_counter() - turn.inbound.steps.started) * 1000 - elsewhere_ms
