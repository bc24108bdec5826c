"""What is shipped agrees with itself: the image with CI, the version with the changelog, the pins with one another."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import gateway

ROOT = Path(__file__).parents[2]
LOCKS = ("constraints.txt", "constraints-dev.txt")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pyproject() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


def pins(name: str) -> dict[str, str]:
    """Of a lock file: package → version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", read(name), flags=re.MULTILINE))


def test_ci_runs_every_install_command_of_the_image() -> None:
    installs = re.findall(r"^RUN (pip .+)$", read("Dockerfile"), flags=re.MULTILINE)
    commands = [line.strip() for line in read(".ci/run").splitlines()]
    assert len(installs) == read("Dockerfile").count("pip install -") == 2
    assert [command for command in installs if command not in commands] == []


def test_the_changelog_starts_with_this_version() -> None:
    newest = re.search(r"^## \[(.+?)\]", read("CHANGELOG.md"), flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == gateway.__version__


def test_litellm_is_pinned_to_one_version_everywhere() -> None:
    required = [entry for entry in pyproject()["project"]["dependencies"] if entry.startswith("litellm")]
    assert [f"litellm=={pins(lock)['litellm']}" for lock in LOCKS] == required * len(LOCKS)


def test_the_development_lock_extends_the_runtime_lock() -> None:
    assert pins("constraints.txt").items() <= pins("constraints-dev.txt").items()


def test_the_locks_pin_what_builds_the_project() -> None:
    assert pyproject()["dependency-groups"]["build"] == pyproject()["build-system"]["requires"]
    assert "hatchling" in pins("constraints.txt")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_hashes_and_versions_alone(lock: str) -> None:
    """No addresses, options or paths: it must install from any mirror of the public index."""
    allowed = r"\s*#.*|[a-z0-9-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
    assert [line for line in read(lock).splitlines() if not re.fullmatch(allowed, line)] == []
    assert "://" not in read(lock)
