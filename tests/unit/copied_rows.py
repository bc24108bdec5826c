"""Databases to copy: a little of everything, with values that are easily lost on the way."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import asyncpg

from gateway.storage.copying.tables import API_KEYS, AUDIT_LOG, MESSAGES, SESSIONS, TABLES, TURNS, USERS, Row, Table
from gateway.storage.schema import upgrade

_HOSTILE = (
    'tab\t, newline\n, \\N, \\., "quotes", \u200f\u05e9\u05dc\u05d5\u05dd, \U0001f9d1\u200d\U0001f680, \x7f, \ufeff'
)
_BODY = json.dumps({"role": "assistant", "content": _HOSTILE}, ensure_ascii=False, indent=1)
_METADATA = '{"z":1,"a":{"pi":3.14,"big":9007199254740993,"e":1e+22,"tiny":5e-324},"list":[true,null,"\\u00e9"],"":""}'
_NOW = 1_790_000_000_123_457  # microseconds that no float of seconds would keep
_LAST = 253_402_300_799_999_999  # the last microsecond of the year 9999
_COUNTERS = (2, 1, 2**40, 3, 1, 7)

ROWS: dict[Table, Sequence[Row]] = {
    USERS: [
        ("user_1", "ada", None, None),
        ("user_2", "ADA", '{"parallel_calls":2}', _NOW),
        ("user_3", "żółw", None, 0),
    ],
    API_KEYS: [
        ("key_1", "user_1", None, "user", bytes(range(32)), 0, None, None, None, None, None),
        ("key_2", "user_2", _HOSTILE, "admin user", b"\xff" * 32, _NOW, _LAST, _NOW + 1, _NOW + 2, '["fast","é"]',
         '{"dollars_per_day":0.1}'),
    ],
    SESSIONS: [
        ("a", "user_1", None, None, 0, "[]", "{}", _NOW, _NOW, 0, 0, 0, 0, 0, 0, None, None, None, None),
        ("B", "user_1", _HOSTILE, "fast", 20, '["{}"]', _METADATA, 0, _NOW, *_COUNTERS, _NOW, _NOW, None, 2**40),
        ("ä", "user_2", "", "", 1000, "[]", "{}", 0, _LAST, *_COUNTERS, None, None, _NOW, None),
    ],
    MESSAGES: [
        ("B", 1, "msg_1", "turn_1", "user", '{ "role":"user" }', 1, "o200k_base", "failed", 0, None, None, None, None),
        ("B", 3, "msg_2", "turn_2", "assistant", _BODY, 0, "", "complete", _NOW, 0.1, 1e308, _HOSTILE, _METADATA),
        ("ä", 2**40, "msg_3", "turn_2", "user", "x" * 1_000_000, 5, "", "incomplete", _LAST, 5e-324, 0.0, "", "{}"),
    ],
    TURNS: [
        ("turn_1", "req_1", "gone", "key_1", None, "fast", "openai", "m", False, "failed", _NOW, 0, 0, 0, 0, True,
         None, None, 503, "code", None, None, None, 0, 0, 0, None),
        ("turn_2", "req_2", "user_2", "key_2", "B", "fast", "openai", "m", True, "complete", 0, 1, 2, 3, 4, False,
         1e-07, "stop", None, None, 812.5, 101.25, 0.1, 20, 540, 3, "east"),
    ],
    AUDIT_LOG: [("audit_1", _NOW, "key.create", "key_1", None, None, None, '{"by":"cli"}')],
}  # fmt: skip


def fill(path: Path) -> str:
    """A new SQLite database with ROWS in it. Returns its URL."""
    url = f"sqlite:///{path}"
    upgrade(url)
    for table in TABLES:
        add(path, table, ROWS[table])
    return url


def add(path: Path, table: Table, rows: Sequence[Row]) -> None:
    marks = ", ".join("?" * len(table.columns))
    columns = ", ".join(table.columns)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our names


def read(path: Path, query: str) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def write(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


async def query(url: str, statement: str) -> list[Row]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(record) for record in await connection.fetch(statement)]
    finally:
        await connection.close()
