"""The README's first lines, pasted as they are, do what it says of them. Only the port is another one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.process import GatewayProcess

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"
FIRST_CALL = "My name is Ada."


def test_the_first_lines_of_the_readme(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, {}) as gateway:
        install_command(tmp_path)
        (tmp_path / "with_the_sdk.py").write_text(block("python", " = OpenAI(").replace(ADDRESS, gateway.url))
        shell = block("sh", "curl ").replace(ADDRESS, gateway.url)
        output = run_pasted(f"{shell}\npython3 with_the_sdk.py", tmp_path)

    first, rest = read_completion(output)
    second, with_sdk = read_completion(rest)
    assert FIRST_CALL in first
    assert FIRST_CALL in second
    assert "What is my name?" in second
    assert "3 messages" in second
    assert FIRST_CALL in with_sdk
    assert "5 messages" in with_sdk


def block(language: str, with_text: str) -> str:
    """The one code block of the README that is of this language and holds this text."""
    (found,) = [
        code
        for code in re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
        if with_text in code
    ]
    assert ADDRESS in found
    return str(found)


def install_command(directory: Path) -> None:
    """What `make run` leaves behind, as far as the README's lines use it: `.venv/bin/gateway`."""
    command = directory / ".venv" / "bin" / "gateway"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
    command.chmod(0o755)


def run_pasted(script: str, directory: Path) -> str:
    """The standard output of bash; python3 is the interpreter of these tests, which has the SDK."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-eu", "-o", "pipefail"],  # noqa: S607 - whichever bash a reader has
        input=script,
        cwd=directory,
        env={"PATH": path, "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def read_completion(output: str) -> tuple[str, str]:
    """The text of the completion at the start of the output, and what comes after it."""
    completion, end = json.JSONDecoder().raw_decode(output)
    return completion["choices"][0]["message"]["content"], output[end:].lstrip()
