"""One seeded gateway and one Chromium for the tests of a module. They only add to what is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.acceptance.process import GatewayProcess
from tests.browser.browsing import Visit, chromium, pictures_in, visit
from tests.browser.seeding import Seeded, seed

MODELS = [
    {"name": "echo", "model": "echo", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    {"name": "*", "model": "*"},
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def seeded(directory: Path) -> Seeded:
    return seed(directory)


@pytest.fixture(scope="module")
def gateway(directory: Path, seeded: Seeded) -> Iterator[GatewayProcess]:
    del seeded  # which must be there before
    with GatewayProcess(directory, {"models": MODELS}) as process:
        yield process


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return pictures_in(tmp_path)


@pytest.fixture
def visitor(browser: Browser, gateway: GatewayProcess, pictures: Path) -> Iterator[Visit]:
    """Nobody in particular, at the page of the seeded gateway."""
    with visit(browser, gateway.url, pictures) as opened:
        yield opened
        opened.check()
