"""/v1/turns, /v1/activity and the same below /admin: the ledger's turns, and how they went over time.

Everyone sees their own, admins everybody's. Of whom it is, `own` and `everyones` alone decide.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.context import caller_id
from gateway.api.ranges import end_of_today, half_open
from gateway.api.responses import json_response, list_response, timestamp
from gateway.api.schemas import ActivityQuery, OwnActivityQuery, OwnTurnsQuery, TurnsQuery, validate_query
from gateway.api.usage import user_id_of
from gateway.errors import InvalidRequest
from gateway.ledger import (
    MAX_POINTS,
    NO_TURNS,
    Activity,
    ActivitySums,
    ErrorCount,
    ListedTurn,
    Percentiles,
    Step,
    TurnFilter,
)
from gateway.ports import Store

_ACTIVITY_RANGE = timedelta(hours=24)
_TURNS_RANGE = timedelta(days=30)

_POINTS = 200
"""As many as a chart is wide: the step is the finest that needs no more, unless one is asked for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class LedgerRoutes:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def own_activity(self, request: Request) -> Response:
        return await self._activity(validate_query(OwnActivityQuery, request.query_params), caller_id(request))

    async def everyones_activity(self, request: Request) -> Response:
        asked = validate_query(ActivityQuery, request.query_params)
        return await self._activity(asked, await self._asked_user(asked.user))

    async def own_turns(self, request: Request) -> Response:
        return await self._turns(validate_query(OwnTurnsQuery, request.query_params), caller_id(request))

    async def everyones_turns(self, request: Request) -> Response:
        asked = validate_query(TurnsQuery, request.query_params)
        return await self._turns(asked, await self._asked_user(asked.user))

    async def _asked_user(self, name_or_id: str | None) -> str | None:
        return None if name_or_id is None else await user_id_of(self._store, name_or_id)

    async def _activity(self, asked: OwnActivityQuery, user_id: str | None) -> Response:
        since, until = half_open(asked.since, asked.until, end=datetime.now(UTC), length=_ACTIVITY_RANGE)
        step = _finest(since, until) if asked.step is None else asked.step
        _check_points(since, until, step)
        chosen = TurnFilter(since, until, user_id, key_id=asked.key, model=asked.model)
        activity = await self._store.activity(chosen, step=step)
        return await asyncio.to_thread(_response, activity, chosen, step)  # of more than a thousand points

    async def _turns(self, asked: OwnTurnsQuery, user_id: str | None) -> Response:
        since, until = half_open(asked.since, asked.until, end=end_of_today(), length=_TURNS_RANGE)
        chosen = TurnFilter(
            since,
            until,
            user_id,
            key_id=asked.key,
            session_id=asked.session_id,
            model=asked.model,
            status=asked.status,
            error=asked.error,
        )
        page = await self._store.list_turns(chosen, order=asked.order, limit=asked.limit, offset=asked.offset)
        return list_response([turn_output(turn) for turn in page.items], has_more=page.has_more)


# ── points ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _finest(since: datetime, until: datetime) -> Step:
    return next((step for step in Step if len(_numbers(since, until, step)) <= _POINTS), Step.DAY)


def _numbers(since: datetime, until: datetime, step: Step) -> range:
    """Of the points that the range touches, counted from 1970."""
    return range((since - _EPOCH) // step.length, (until - _MICROSECOND - _EPOCH) // step.length + 1)


def _check_points(since: datetime, until: datetime, step: Step) -> None:
    count = len(_numbers(since, until, step))
    if count > MAX_POINTS:
        raise InvalidRequest(
            f"In steps of {step} that are {count:,} points; there may be {MAX_POINTS:,}. Narrow the range with 'from' "
            "and 'to', or leave 'step' out or name a longer one.",
            code="too_many_points",
            param="step",
        )


def _response(activity: Activity, chosen: TurnFilter, step: Step) -> Response:
    there = {point.start: point.sums for point in activity.points}
    starts = [_EPOCH + number * step.length for number in _numbers(chosen.since, chosen.until, step)]
    return json_response(
        {
            "object": "list",
            "data": [{"start": timestamp(start), **_sums_output(there.get(start, NO_TURNS))} for start in starts],
            "has_more": False,
            "step": step,
            "from": timestamp(chosen.since),
            "to": timestamp(chosen.until),
            "totals": _sums_output(activity.totals),
            "errors": [_error_output(error) for error in activity.errors],
        }
    )


def _sums_output(sums: ActivitySums) -> dict[str, Any]:
    return {
        "turns": sums.turns,
        "failed_turns": sums.failed_turns,
        "incomplete_turns": sums.incomplete_turns,
        "prompt_tokens": sums.prompt_tokens,
        "completion_tokens": sums.completion_tokens,
        "cost": sums.cost,
        **_percentiles_output("latency", sums.latency),
        **_percentiles_output("ttft", sums.ttft),
        **_percentiles_output("overhead", sums.overhead),
    }


def _percentiles_output(name: str, of: Percentiles) -> Mapping[str, float | None]:
    return {
        f"{name}_p50_ms": _rounded(of.p50),
        f"{name}_p95_ms": _rounded(of.p95),
        f"{name}_p99_ms": _rounded(of.p99),
    }


def _error_output(error: ErrorCount) -> dict[str, Any]:
    return {"code": error.code, "status": error.status, "turns": error.turns}


# ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────


def turn_output(turn: ListedTurn) -> dict[str, Any]:
    entry, usage = turn.entry, turn.entry.usage
    return {
        "turn_id": entry.turn_id,
        "request_id": entry.request_id or None,
        "user": {"id": entry.user_id, "name": turn.user_name},
        "key_id": entry.key_id,
        "session_id": entry.session_id,
        "model": entry.model,
        "provider": entry.provider,
        "provider_model": entry.provider_model,
        "deployment": entry.deployment,
        "stream": entry.stream,
        "status": entry.status,
        "created_at": timestamp(entry.created_at),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_estimated": usage.estimated,
        "cost": entry.cost,
        "finish_reason": entry.finish_reason,
        "error_status": entry.error_status,
        "error_code": entry.error_code,
        "latency_ms": _rounded(entry.latency_ms),
        "ttft_ms": _rounded(entry.ttft_ms),
        "overhead_ms": _rounded(entry.overhead_ms),
        "history_messages": entry.history_messages,
        "history_tokens": entry.history_tokens,
        "history_trimmed": entry.history_trimmed,
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
