"""Programs that tests use and no Python package brings: Debian has them, and .ci/run installs them."""

import os
import shutil

import pytest


def system_tool(name: str, *, package: str) -> str:
    """The program's path. Where it is missing the test is skipped, and says what to install; in CI it fails."""
    found = shutil.which(name)
    if found is not None:
        return found
    missing = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
