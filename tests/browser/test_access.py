"""The page for whoever has no mouse, no eyes for it, a dark room or a phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.process import GatewayProcess
from tests.browser.browsing import Visit, texts_of, visit
from tests.browser.seeding import Seeded

VIEWS = ["Overview", "Usage", "Turns", "Sessions", "Keys", "Users", "Audit log"]


def press_until(page: Page, key: str, focused: str) -> None:
    """Press a key until the element with this selector has the focus."""
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate("(selector) => document.activeElement.matches(selector)", focused):
            return
    raise AssertionError(f"{key} never leads to {focused}")


def test_by_keyboard_alone(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.open()
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(seeded.admin)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_focused()
    visitor.settle()

    press_until(page, "Tab", "input[name=range]")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**#overview?range=7d")
    expect(page.get_by_role("radio", name="the last 7 days")).to_be_focused()
    visitor.settle()

    press_until(page, "Tab", ".plot")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip:visible")).to_contain_text("complete")
    page.keyboard.press("Escape")
    expect(page.locator(".tip:visible")).to_have_count(0)

    press_until(page, "Shift+Tab", "nav a[href^='#keys']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keys")).to_be_focused()
    visitor.settle()
    press_until(page, "Tab", ".primary")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("User")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Create a key")).to_be_focused()


def test_the_navigation_can_be_skipped(visitor: Visit, seeded: Seeded) -> None:
    visitor.sign_in(seeded.admin)
    visitor.page.reload()
    visitor.settle()
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("link", name="Skip to content")).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_role("main")).to_be_focused()


NAMELESS = """[...document.querySelectorAll("input, select, button, a, summary")].filter((each) =>
    !(each.labels?.length || each.getAttribute("aria-label") || each.textContent.trim()))
    .map((each) => each.outerHTML)"""

TWICE = """[...document.querySelectorAll("[id]")].map((each) => each.id)
    .filter((id, at, all) => all.indexOf(id) !== at)"""


def test_everything_has_a_name_and_a_role(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    for view in VIEWS:
        visitor.go(view)
        assert page.title() == f"{view} · Gateway"
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(TWICE) == []
        assert [page.get_by_role(role).count() for role in ("banner", "main", "status")] == [1, 1, 1]
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.locator("table:not(:has(caption))").count() == 0
        assert page.locator("th:not([scope])").count() == 0
        expect(page.get_by_role("navigation", name="Views").locator("[aria-current=page]")).to_have_text(view)
        expect(page.get_by_role("status")).to_have_text(f"{view} loaded")


def test_charts_are_tables_for_screen_readers(visitor: Visit, seeded: Seeded) -> None:
    visitor.sign_in(seeded.admin)
    page = visitor.page
    captions = texts_of(page, "figure caption")
    assert captions == ["Turns", "Latency", "Time to first token", "Tokens", "Cost", "The gateway\u2019s own time"]
    for title in ("Time to first token", "The gateway\u2019s own time", "Latency"):
        latency = page.get_by_role("figure").filter(has=page.get_by_role("heading", name=title))
        assert latency.locator("thead th").all_text_contents() == ["From", "p50", "p95", "p99"]
    assert latency.locator("tbody tr").count() in {24, 25}
    assert latency.locator("svg[aria-hidden=true]").count() == 1


def test_the_pointer_reads_a_chart(visitor: Visit, seeded: Seeded) -> None:
    visitor.sign_in(seeded.admin)
    plot = visitor.page.locator(".plot").nth(1)
    box = plot.bounding_box()
    assert box is not None
    visitor.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    expect(plot.locator(".tip")).to_contain_text("p95")
    visitor.picture("pointer", whole=False)
    visitor.page.mouse.move(5, 5)
    expect(plot.locator(".tip")).to_be_hidden()


def test_in_the_dark(browser: Browser, gateway: GatewayProcess, seeded: Seeded, pictures: Path) -> None:
    with visit(browser, gateway.url, pictures, color_scheme="dark") as visitor:
        visitor.sign_in(seeded.admin)
        background, text = visitor.page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert sum(map(int, background[4:-1].split(", "))) < 100 < 600 < sum(map(int, text[4:-1].split(", ")))
        visitor.picture("dark")
        visitor.check()


@pytest.mark.parametrize("view", VIEWS)
def test_on_a_phone(browser: Browser, gateway: GatewayProcess, seeded: Seeded, pictures: Path, view: str) -> None:
    options = {
        "viewport": {"width": 375, "height": 740},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    }
    with visit(browser, gateway.url, pictures, **options) as visitor:
        visitor.sign_in(seeded.admin)
        visitor.go(view)
        assert visitor.page.evaluate("document.documentElement.scrollWidth") == 375
        visitor.picture(f"phone-{view.partition(' ')[0].lower()}")
        visitor.check()
