"""`gateway usage`: what turns came to, from the ledger. The same figures as GET /admin/usage."""

from collections.abc import Sequence
from typing import Annotated

import typer

from gateway.api.schemas import UsageQuery, validate
from gateway.api.usage import UsageReport, usage_csv, usage_output, usage_report, user_id_of
from gateway.cli.console import Config, aligned, fail, mistakes_reported, printable, read_settings, with_store
from gateway.domain import GroupBy, UsageRow, UsageSums
from gateway.ports import Store
from gateway.wire.json import dump

_SUMS = ("TURNS", "FAILED", "PROMPT", "COMPLETION", "CACHED", "REASONING", "COST", "UNPRICED")


def usage(
    group_by: Annotated[GroupBy, typer.Option(help="What the turns of a row have in common.")] = GroupBy.DAY,
    since: Annotated[
        str | None, typer.Option("--from", help="A date or an RFC 3339 time; else 30 days before --to.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Likewise, not included; else the end of today.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user's, by name or id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, without totals.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a line of headings, without totals.")] = False,
    config: Config = None,
) -> None:
    """Show tokens and cost in US dollars, by day or what else is asked for. Days and hours are those of UTC."""
    if as_json and as_csv:
        fail("Choose one of --json and --csv.", code=2)
    with mistakes_reported():
        asked = validate(UsageQuery, {"group_by": group_by, "from": since, "to": until, "user": user})

    async def read(store: Store) -> UsageReport:
        user_id = None if asked.user is None else await user_id_of(store, asked.user)
        return await usage_report(store, asked, user_id)

    report = with_store(read_settings(config), read)
    if as_csv:
        typer.echo(usage_csv(report), nl=False)
        return
    for line in map(dump, map(usage_output, report.rows)) if as_json else aligned(_table(report)):
        typer.echo(line)


def _table(report: UsageReport) -> Sequence[Sequence[str]]:
    headings = (report.group_by.upper(), "NAME", *_SUMS)
    rows = [headings, *[_cells(row) for row in report.rows], ("TOTAL", "", *_figures(report.totals))]
    has_names = report.group_by in (GroupBy.USER, GroupBy.KEY)
    return rows if has_names else [(row[0], *row[2:]) for row in rows]


def _cells(row: UsageRow) -> tuple[str, ...]:
    return printable(row.group or "-"), printable(row.name or "-"), *_figures(row.sums)


def _figures(sums: UsageSums) -> tuple[str, ...]:
    tokens = (sums.prompt_tokens, sums.completion_tokens, sums.cached_tokens, sums.reasoning_tokens)
    cost = "-" if sums.cost is None else f"{sums.cost:.6f}"
    return *map(str, (sums.turns, sums.failed_turns, *tokens)), cost, str(sums.unpriced_turns)
