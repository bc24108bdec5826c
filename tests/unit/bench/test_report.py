import io
from datetime import UTC, datetime

from rich.console import Console

from bench.report import Table, markdown, show, tables
from bench.results import Results, Round, Row

DATE = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def results() -> Results:
    rounds = [Round(1000, 250, 10.0, 20.0), Round(1200, 260, 11.0, 21.0), Round(900, 240, 12.0, 22.0)]
    found = Results(rows=[Row("stateless", "gateway", 64, rounds, resident_mb=101.5)])
    found.rows.append(Row("litellm", "bare", 64, [Round(8.25, 2000)], resident_mb=None))
    found.add_figure("start", "ferrogw", 0.0912, "s")
    found.leave_out("stateless", "Portkey", "no Node")
    return found


def table(title: str) -> Table:
    (found,) = [entry for entry in tables(results(), {}, {}) if entry.title == title]
    return found


def test_a_row_has_the_medians_of_its_rounds_and_their_spread() -> None:
    assert table("Under load").rows == [
        ("stateless", "gateway", "64", "1,000", "30 %", "11.0 ms", "21.0 ms", "250 µs", "102 MB"),
        ("litellm", "bare", "64", "8.2", "0 %", "-", "-", "2,000 µs", "-"),
    ]


def test_what_was_not_measured_is_said() -> None:
    assert table("Not measured").rows == [("stateless", "Portkey", "no Node")]


def test_a_table_without_rows_is_left_out() -> None:
    titles = [entry.title for entry in tables(results(), {}, {"wrk": "4.1.0"})]
    assert titles == ["Bars", "Under load", "Other figures", "Not measured", "Versions"]


def test_the_first_line_says_who_wrote_it_and_when() -> None:
    text = markdown([], date=DATE)
    assert text.splitlines()[0] == "<!-- Written by `make bench` on 2026-01-31, never by hand. -->"


def test_markdown_aligns_figures_and_keeps_cells_on_one_line() -> None:
    text = markdown([Table("Odd", ("what", "value"), [("a|b\nc", "1")], left=1)], date=DATE)
    assert text.endswith("\n## Odd\n\n| what | value |\n| --- | ---: |\n| a\\|b c | 1 |\n")


def test_the_terminal_shows_the_same_cells() -> None:
    out = io.StringIO()
    show(Console(file=out, width=200), tables(results(), {}, {}))
    shown = [cell for entry in tables(results(), {}, {}) for row in entry.rows for cell in row]
    assert [cell for cell in shown if cell not in out.getvalue()] == []
