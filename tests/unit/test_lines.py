"""Lines are gathered for one pass of the event loop, and none is late, torn, out of order or lost."""

import asyncio
import io
import os
import select
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gateway.telemetry.lines import Lines

ROOT = Path(__file__).parents[2]


class Sink(io.BytesIO):
    """Keeps apart what was written at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def flush(self) -> None:
        if self.tell():
            self.writes.append(self.getvalue())
            self.seek(0)
            self.truncate()


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def lines(sink: Sink) -> Lines:
    return Lines(sink)


async def test_lines_of_one_pass_are_written_together_at_its_end(lines: Lines, sink: Sink) -> None:
    lines.info(b"one")
    lines.debug(b"two")
    assert sink.writes == []
    await asyncio.sleep(0)
    assert sink.writes == [b"one\ntwo\n"]
    lines.info(b"three")
    await asyncio.sleep(0)
    assert sink.writes[1:] == [b"three\n"]


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
async def test_a_warning_is_written_at_once_after_those_that_wait(lines: Lines, sink: Sink, level: str) -> None:
    lines.info(b"one")
    getattr(lines, level)(b"two")
    assert sink.writes == [b"one\n", b"two\n"]


async def test_text_of_libraries_is_written_at_once_after_those_that_wait(lines: Lines, sink: Sink) -> None:
    lines.info(b"one")
    lines.write("zw\u00f6lf\n")
    assert sink.writes == [b"one\n", "zw\u00f6lf\n".encode()]


def test_where_no_loop_runs_nothing_waits(lines: Lines, sink: Sink) -> None:
    lines.info(b"one")
    assert sink.writes == [b"one\n"]


async def test_a_write_is_no_longer_than_a_pipe_keeps_whole(lines: Lines, sink: Sink) -> None:
    half = b"x" * (select.PIPE_BUF // 2 - 1)
    more, huge = half + b"x", b"x" * select.PIPE_BUF
    for line in (half, half, half, more, half, huge, half):
        lines.info(line)
    await asyncio.sleep(0)
    groups = ((half, half), (half,), (more,), (half,), (huge,), (half,))
    assert sink.writes == [b"".join(line + b"\n" for line in group) for group in groups]
    assert len(sink.writes[0]) == select.PIPE_BUF


async def run_program(body: str) -> list[str]:
    """What a process writes to its standard error; `body` is of a coroutine in it."""
    program = """
        import asyncio, os, sys
        from gateway.telemetry.lines import Lines

        lines = Lines(sys.stderr.buffer)

        async def main():
            lines.info(b"waits")
    """
    ending = """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
    """
    code = textwrap.dedent(program) + textwrap.indent(textwrap.dedent(body), "    ") + textwrap.dedent(ending)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stderr.splitlines()


async def test_what_waits_is_written_when_the_interpreter_ends() -> None:
    assert await run_program("sys.exit(0)") == ["waits"]


async def test_what_waits_is_written_once_if_the_process_forks() -> None:
    body = """
        if (child := os.fork()) == 0:
            lines.error(b"child")
            os._exit(0)
        os.waitpid(child, 0)
        lines.error(b"parent")
    """
    assert await run_program(body) == ["waits", "child", "parent"]


async def test_a_loop_that_was_given_up_does_not_keep_the_next_one_from_writing(lines: Lines, sink: Sink) -> None:
    def stopped() -> None:
        async def main() -> None:
            lines.info(b"one")
            raise KeyboardInterrupt

        loop = asyncio.new_event_loop()
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(main())
        loop.close()

    await asyncio.to_thread(stopped)
    assert sink.writes == []
    lines.info(b"two")
    await asyncio.sleep(0)
    assert sink.writes == [b"one\ntwo\n"]
