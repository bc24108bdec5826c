"""A page in Debian's Chromium that notes all that a test must know of: what it asked for, and what went wrong in it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

from tests.system_tools import system_tool

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_NOTE_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Closed within its test module: while Playwright's own loop runs, no other can on this thread."""
    path = system_tool("chromium", package="chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One person at one browser window, at the dashboard of one gateway."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self.url = url
        self.requests: list[str] = []
        self.problems: list[str] = []
        self._pictures = pictures
        page.set_default_timeout(15_000)
        page.add_init_script(_NOTE_VIOLATIONS)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", self._refuse)

    def open(self, view: str = "") -> None:
        self.page.goto(f"{self.url}/dashboard{view}")

    def sign_in(self, key: str) -> None:
        self.open()
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Overview", level=1).wait_for()
        self.settle()

    def go(self, view: str) -> None:
        """By the navigation, as a person would."""
        self.page.get_by_role("navigation", name="Views").get_by_role("link", name=view).click()
        self.page.get_by_role("heading", name=view, level=1).wait_for()
        self.settle()

    def settle(self) -> None:
        """Until the view is there."""
        self.page.locator(".view:not([aria-busy])").wait_for()

    def picture(self, name: str, *, whole: bool = True) -> None:
        self.page.screenshot(path=self._pictures / f"{name}.png", full_page=whole)

    def check(self) -> None:
        """Nothing went wrong, and nothing was asked of anywhere else."""
        assert self.problems == []
        assert self.page.evaluate("window.violations") == []
        here = urlsplit(self.url).netloc
        assert {urlsplit(url).netloc for url in self.requests} == {here}

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(message.text)

    def _refuse(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def visit(browser: Browser, url: str, pictures: Path, **options: Any) -> Iterator[Visit]:
    """A window of its own, with no cookies. `options` are those of Playwright's contexts."""
    context = browser.new_context(
        **{"viewport": {"width": 1280, "height": 860}, "locale": "en-GB", "timezone_id": "UTC", **options}
    )
    try:
        yield Visit(context.new_page(), url, pictures)
    finally:
        context.close()


def pictures_in(directory: Path) -> Path:
    """Where screenshots go: $SCREENSHOTS, which CI keeps, else the test's own directory."""
    chosen = Path(os.environ.get("SCREENSHOTS", directory))
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def texts_of(page: Page, selector: str) -> Sequence[str]:
    return page.locator(selector).all_text_contents()
