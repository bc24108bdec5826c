"""Operators' documents, whose commands are run as they stand: every block marked `sh`, and none is left out.

Blocks marked `console` are for programs that tests cannot have (a container engine, a cluster, systemd as it runs, an
installation from the package index); docs/install.md says so to its readers.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.documents import blocks

ROOT = Path(__file__).parents[2]


class Page:
    """A document in docs/. Used as a context manager: at its end every block marked `sh` must have been taken."""

    def __init__(self, name: str) -> None:
        self._left = [block for block in blocks(ROOT / "docs" / name) if block.language == "sh"]

    def take(self, heading: str) -> str:
        """The next block under this heading."""
        block = next((block for block in self._left if block.heading == heading), None)
        assert block is not None, f"nothing is left under {heading!r}: {[block.heading for block in self._left]}"
        self._left.remove(block)
        return block.code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        assert kind is not None or not self._left, f"never run: {self._left}"


def run(
    script: str, directory: Path, environ: Mapping[str, str] | None = None, programs: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What bash makes of it, where `gateway` is ours, and those of `programs` come first; it must end well."""
    places = [_commands(directory), programs, Path(sys.executable).parent, os.environ["PATH"]]
    result = subprocess.run(
        ["bash", "-eu"],  # noqa: S607 - whichever bash an operator has
        input=script,
        cwd=directory,
        env={
            "HOME": str(directory),
            "PATH": ":".join(str(place) for place in places if place is not None),
            **(environ or {}),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
    return result


def _commands(directory: Path) -> Path:
    command = directory / ".commands" / "gateway"
    if not command.exists():
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
        command.chmod(0o755)
    return command.parent
