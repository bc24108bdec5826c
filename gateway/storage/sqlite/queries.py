"""The statements of queries.sql by name. The file is read once.

Some take rows: one line of theirs, a row of question marks, is repeated for as many rows as are given. No statement is
changed otherwise. Many rows in one statement are one step of SQLite's, and each step lets go of the interpreter's lock
and has to wait for it again: under load, with a busy event loop, that costs more than the rows.
"""

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gateway.storage.queries import read

QUERIES = read(Path(__file__).with_name("queries.sql"))

_ROW = re.compile(r"^ *\(.*\?.*\)$", re.MULTILINE)
_MOST_ROWS = 32
"""Of one statement. 27 columns of so many rows are far below the 32,766 parameters that SQLite takes."""


def execute_rows(connection: sqlite3.Connection, name: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Run a statement that takes rows, each a value for each question mark. Returns the rows that it answers with."""
    answers: list[Any] = []
    start = 0
    while start < len(rows):
        # Powers of two: few different statements, so that all of them stay prepared.
        count = min(_MOST_ROWS, 1 << (len(rows) - start).bit_length() - 1)
        values = [value for row in rows[start : start + count] for value in row]
        answers += connection.execute(_with_rows(name, count), values).fetchall()
        start += count
    return answers


@cache
def _with_rows(name: str, count: int) -> str:
    sql = QUERIES[name]
    [row] = _ROW.findall(sql)
    return sql.replace(row, ",\n".join([row] * count))
