"""Results as tables: on the terminal, and as the Markdown of bench/results.md. Both show the same cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table as RichTable

from bench.bars import judge
from bench.results import Results, Row

_NONE = "-"


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int
    """How many columns, from the first, are text; the others are figures."""


def tables(results: Results, machine: Mapping[str, str], versions: Mapping[str, str]) -> list[Table]:
    """Those that have rows."""
    left_out = [(entry.mode, entry.label, entry.why) for entry in results.left_out]
    failed = [(entry.mode, entry.label, entry.why) for entry in results.failed]
    every = [
        Table("Bars", ("what", "bar", "measured", "verdict"), _bar_rows(results), left=2),
        Table("Under load", _LOAD_HEADING, _load_rows(results.rows), left=2),
        Table("Other figures", ("mode", "what", "measured"), _figure_rows(results), left=2),
        Table("Not measured", ("mode", "what", "why"), left_out, left=3),
        Table("Failed", ("mode", "what", "why"), failed, left=3),
        Table("Machine", ("what", ""), list(machine.items()), left=2),
        Table("Versions", ("what", ""), list(versions.items()), left=2),
    ]
    return [table for table in every if table.rows]


def show(console: Console, every: Iterable[Table]) -> None:
    for table in every:
        rich = RichTable(title=table.title, title_justify="left", title_style="bold")
        for place, name in enumerate(table.heading):
            rich.add_column(name, justify="left" if place < table.left else "right", overflow="fold")
        for row in table.rows:
            rich.add_row(*row)
        console.print(rich, markup=False)


def markdown(every: Iterable[Table], *, date: datetime) -> str:
    """The whole of bench/results.md."""
    lines = [
        f"<!-- Written by `make bench` on {date:%Y-%m-%d}, never by hand. -->",
        "",
        "# Measured",
        "",
        f"By `make bench`, on {date:%Y-%m-%d}. [README.md](README.md) says what, how, and what is unfair to whom.",
    ]
    for table in every:
        lines += ["", f"## {table.title}", "", *_markdown_table(table)]
    return "\n".join(lines) + "\n"


def _markdown_table(table: Table) -> list[str]:
    rule = ["---" if place < table.left else "---:" for place in range(len(table.heading))]
    return [_line(table.heading), _line(rule), *map(_line, table.rows)]


def _line(cells: Iterable[str]) -> str:
    inside = " | ".join(" ".join(cell.replace("|", r"\|").split()) for cell in cells)
    return f"| {inside} |"


_LOAD_HEADING = ("mode", "what", "connections", "requests/s", "spread", "p50", "p99", "CPU/request", "memory after")


def _load_rows(rows: Sequence[Row]) -> list[Sequence[str]]:
    return [
        (
            row.mode,
            row.label,
            str(row.connections),
            f"{row.rate:,.0f}" if row.rate >= 100 else f"{row.rate:.1f}",
            f"{100 * row.spread:.0f} %",
            _figure(row.p50_ms, "ms"),
            _figure(row.p99_ms, "ms"),
            f"{row.cpu_us:,.0f} µs",
            _figure(row.resident_mb, "MB"),
        )
        for row in rows
    ]


def _figure_rows(results: Results) -> list[Sequence[str]]:
    return [(entry.mode, entry.label, _figure(entry.value, entry.unit)) for entry in results.figures]


def _bar_rows(results: Results) -> list[Sequence[str]]:
    return [
        (verdict.bar.what, verdict.bar.text, _figure(verdict.measured, ""), verdict.text) for verdict in judge(results)
    ]


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return _NONE
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()
