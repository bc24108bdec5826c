"""What a process writes to its standard error: JSON lines where nobody watches, and nothing from chatty libraries."""

import os
import pty
import re
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

ROOT = Path(__file__).parents[2]
ANSI = re.compile(r"\x1b\[[0-9;]*m")

PROGRAM = """
    import logging
    import structlog
    from gateway.settings import LoggingSettings
    from gateway.telemetry.logs import configure_logging

    configure_logging(LoggingSettings(level={level!r}, format={form!r}))
    log = structlog.stdlib.get_logger("gateway")
    log.debug("a detail")
    log.info("request", path="/v1", status=200, at={{1: b"x"}}.get(2), kind=LoggingSettings)
    log.info("gathered", own=1, fields={{"path": "/v2", "status": 201}})
    log.error("broken", exc_info=ValueError("inside"))
    logging.getLogger("uvicorn.error").info("Started on %s", "8000")
    for name in ("databases", "databases.core", "LiteLLM", "aiosqlite", "httpx"):
        logging.getLogger(name).debug("bound values: hunter2")
        logging.getLogger(name).info("bound values: hunter2")
        logging.getLogger(name).warning("%s warns", name)
"""


def program(level: str, form: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(PROGRAM).format(level=level, form=form)]


def run(level: str = "info", form: str = "auto") -> list[dict[str, Any]]:
    """The lines of a process whose standard error is a pipe, each parsed from its JSON."""
    done = subprocess.run(program(level, form), cwd=ROOT, capture_output=True, check=True)  # noqa: S603 - our own code
    assert done.stdout == b"", "standard output is for results alone"
    return [orjson.loads(line) for line in done.stderr.splitlines()]


def run_on_terminal() -> str:
    """What the same process writes where its standard error is a terminal."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(program("info", "auto"), cwd=ROOT, stderr=theirs, check=True)  # noqa: S603 - our own code
        os.set_blocking(ours, False)
        return os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    return run()


def events(lines: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in lines]


def test_a_line_is_one_json_object_with_its_time_and_level(lines: list[dict[str, Any]]) -> None:
    request = lines[0]
    assert (request["event"], request["level"], request["path"], request["status"]) == ("request", "info", "/v1", 200)
    assert request["timestamp"].endswith("Z")
    assert request["at"] is None


def test_a_value_that_json_does_not_know_is_written_as_text(lines: list[dict[str, Any]]) -> None:
    assert "LoggingSettings" in lines[0]["kind"]


def test_an_exception_is_in_its_line(lines: list[dict[str, Any]]) -> None:
    assert lines[2]["event"] == "broken"
    assert "ValueError: inside" in lines[2]["exception"]


def test_the_keys_of_a_line_stand_in_order(lines: list[dict[str, Any]]) -> None:
    assert list(lines[0]) == ["path", "status", "at", "kind", "event", "level", "timestamp"]
    assert list(lines[2]) == ["event", "level", "timestamp", "exception"]


def test_fields_that_are_given_as_one_are_the_lines_own(lines: list[dict[str, Any]]) -> None:
    assert list(lines[1]) == ["path", "status", "own", "event", "level", "timestamp"]
    assert (lines[1]["path"], lines[1]["status"], lines[1]["event"]) == ("/v2", 201, "gathered")


def test_times_are_utc_to_the_microsecond(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", line["timestamp"])
        assert abs(datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])) < timedelta(hours=1)


def test_lines_of_libraries_have_the_same_form(lines: list[dict[str, Any]]) -> None:
    started = lines[3]
    assert (started["event"], started["level"]) == ("Started on 8000", "info")
    assert started.keys() == {"event", "level", "timestamp"}


@pytest.mark.parametrize("level", ["info", "debug"])
def test_libraries_that_print_values_only_warn_whatever_the_level(level: str, lines: list[dict[str, Any]]) -> None:
    written = lines if level == "info" else run(level)
    assert "hunter2" not in orjson.dumps(written).decode()
    warnings = [f"{name} warns" for name in ("databases", "databases.core", "LiteLLM", "aiosqlite", "httpx")]
    assert events(written)[-5:] == warnings


def test_a_level_leaves_out_what_is_below_it(lines: list[dict[str, Any]]) -> None:
    assert events(run("debug", "json"))[:2] == ["a detail", "request"]
    assert "a detail" not in events(lines)
    assert events(run("error"))[0] == "broken"


def test_an_exception_is_told_without_the_values_around_it() -> None:
    """Headers and messages are local variables of every frame that a request passes through."""
    failing = """
        def handle(authorization):
            raise ValueError("inside")

        try:
            handle("Bearer " + "hunter" + "2")
        except ValueError as exc:
            log.error("broken", exc_info=exc)
    """
    code = textwrap.dedent(PROGRAM).format(level="info", form="console").split("log.debug")[0]
    command = [sys.executable, "-c", code + textwrap.dedent(failing)]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr  # noqa: S603 - our own code
    assert "ValueError: inside" in text
    assert "hunter2" not in text


def test_on_a_terminal_lines_are_for_people() -> None:
    text = run_on_terminal()
    assert "request" in text
    assert "status=201" in ANSI.sub("", text)
    assert "Started on 8000" in text
    assert not text.startswith("{")


def test_libraries_and_the_gateway_write_under_one_lock() -> None:
    """Two, taken in either order by a thread and by the loop, could wait for each other."""
    code = """
import logging
from gateway.settings import LoggingSettings
from gateway.telemetry.logs import configure_logging

configure_logging(LoggingSettings(format="json"))
[handler] = logging.getLogger().handlers
assert handler.lock is handler.stream.lock
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - a program of ours
