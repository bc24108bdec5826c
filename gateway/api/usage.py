"""/v1/usage and /admin/usage: what turns came to, from the ledger. Everyone sees their own, admins everybody's.

The command line makes the same report, so that figures agree wherever they are read.
"""

import asyncio
import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.context import caller_id
from gateway.api.ranges import end_of_today, half_open
from gateway.api.responses import json_response, timestamp
from gateway.api.schemas import OwnUsageQuery, UsageQuery, validate_query
from gateway.domain import MAX_USAGE_ROWS, GroupBy, UsageRow, UsageSums
from gateway.errors import NotFound
from gateway.ports import Store
from gateway.storage.accounting import total
from gateway.storage.exporting import find_user
from gateway.values import value

_DEFAULT_RANGE = timedelta(days=30)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula, and run it. Names of models are chosen by clients."""


class UsageRoutes:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def own(self, request: Request) -> Response:
        return await self._answer(validate_query(OwnUsageQuery, request.query_params), caller_id(request))

    async def everyones(self, request: Request) -> Response:
        asked = validate_query(UsageQuery, request.query_params)
        user_id = None if asked.user is None else await user_id_of(self._store, asked.user)
        return await self._answer(asked, user_id)

    async def _answer(self, asked: OwnUsageQuery, user_id: str | None) -> Response:
        report = await usage_report(self._store, asked, user_id)
        return await asyncio.to_thread(_response, report, asked)  # thousands of rows must not keep turns waiting


@value
class UsageReport:
    """The rows of a range, which is half-open, and what they come to together."""

    group_by: GroupBy
    since: datetime
    until: datetime
    rows: Sequence[UsageRow]
    totals: UsageSums


async def usage_report(store: Store, asked: OwnUsageQuery, user_id: str | None) -> UsageReport:
    """Of one user, or of everyone. Raises InvalidRequest for an empty range and for too many rows."""
    since, until = half_open(asked.since, asked.until, end=end_of_today(), length=_DEFAULT_RANGE)
    rows = await store.usage(asked.group_by, since=since, until=until, user_id=user_id, limit=MAX_USAGE_ROWS)
    return UsageReport(asked.group_by, since, until, rows, total([row.sums for row in rows]))


async def user_id_of(store: Store, name_or_id: str) -> str:
    """Raises NotFound for an unknown user; but of one who was erased the ledger still knows the id."""
    user = await find_user(store, name_or_id)
    if user is not None:
        return user.id
    if name_or_id.startswith("user_"):
        return name_or_id
    raise NotFound(f"There is no user {name_or_id!r}.", code="user_not_found", param="user")


def _response(report: UsageReport, asked: OwnUsageQuery) -> Response:
    if asked.format == "csv":
        headers = {"content-disposition": 'attachment; filename="usage.csv"'}
        return Response(usage_csv(report), headers=headers, media_type="text/csv")
    return json_response(
        {
            "object": "list",
            "data": [usage_output(row) for row in report.rows],
            "has_more": False,
            "group_by": report.group_by,
            "from": timestamp(report.since),
            "to": timestamp(report.until),
            "totals": _sums_output(report.totals),
        }
    )


def usage_output(row: UsageRow) -> dict[str, Any]:
    return {"group": row.group, "name": row.name, **_sums_output(row.sums)}


_SUMS = tuple([field.name for field in fields(UsageSums)])


def _sums_output(sums: UsageSums) -> dict[str, Any]:
    return {name: getattr(sums, name) for name in _SUMS}


def usage_csv(report: UsageReport) -> str:
    """RFC 4180, with a line of headings and without totals. What is not known is an empty cell."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(["group", "name", *_SUMS])
    lines.writerows([_inert(row.group), _inert(row.name), *_sums_output(row.sums).values()] for row in report.rows)
    return text.getvalue()


def _inert(cell: str | None) -> str | None:
    return f"'{cell}" if cell is not None and cell.startswith(_FORMULA) else cell
