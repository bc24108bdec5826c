"""What the page does besides the walk: every field of its forms, copying, paging, and what is under way."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.process import GatewayProcess
from tests.browser.browsing import Visit, texts_of
from tests.browser.seeding import Seeded

LIMITS = ["Requests a minute", "Tokens a minute", "Parallel calls", "Tokens a day", "Tokens a month"]
MONEY = ["Dollars a day", "Dollars a month"]

ASKS_WITHIN = 20_000
"""Milliseconds: the page asks every five seconds what is in flight, and the machine may be slow."""


def test_a_key_is_made_with_all_that_it_may_and_copied(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    page = visitor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.sign_in(seeded.admin)
    visitor.go("Keys")
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog", name="Create a key")
    dialog.get_by_label("User").fill("mei")
    dialog.get_by_label("Name").fill("batch jobs")
    dialog.get_by_label("Expires").select_option(label="In 30 days")
    dialog.get_by_label("Allowed models").fill("echo, some/other")
    dialog.get_by_text("Limits").click()
    for number, label in enumerate(LIMITS, 1):
        dialog.get_by_label(label).fill(str(number * 10))
    for label in MONEY:
        dialog.get_by_label(label).fill("2.5")
    dialog.get_by_label("Admin").check()
    dialog.get_by_role("button", name="Create").click()
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    key = page.evaluate("navigator.clipboard.readText()")
    assert key == dialog.get_by_label("The new key").input_value()
    dialog.get_by_role("button", name="Done").click()
    row = page.get_by_role("row", name="batch jobs")
    expect(row).to_contain_text("expires in 30 days")
    with gateway.http(key) as http:
        [made] = [each for each in http.get("/v1/keys").json()["data"] if each["name"] == "batch jobs"]
        assert (made["user"], made["scopes"]) == ("mei", ["admin", "user"])
        assert made["allowed_models"] == ["echo", "some/other"]
        assert list(made["limits"].values()) == [10, 20, 30, 40, 50, 2.5, 2.5]


def test_a_users_limits_are_set_and_taken_away(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    visitor.go("Users")
    row = page.get_by_role("row", name="tomas")

    def limit(requests: str, dollars: str) -> None:
        page.get_by_role("button", name="Limits of tomas").click()
        dialog = page.get_by_role("dialog", name="Limits of tomas")
        dialog.get_by_label("Requests a minute").fill(requests)
        dialog.get_by_label("Dollars a month").fill(dollars)
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_have_count(0)

    limit("1", "20")
    expect(row).to_contain_text("1 req/min, $20.00/month")
    with gateway.http(seeded.users["tomas"]) as http:
        body = {"model": "echo", "messages": [{"role": "user", "content": "Hello."}]}
        assert [http.post("/v1/chat/completions", json=body).status_code for _ in range(2)] == [200, 429]
    limit("", "")
    expect(row).not_to_contain_text("req/min")
    expect(row).to_contain_text("default")  # which the settings may have


def test_a_refusal_of_what_was_typed_is_in_sight(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    page.set_viewport_size({"width": 375, "height": 500})
    visitor.sign_in(seeded.admin)
    visitor.go("Keys")
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog", name="Create a key")
    dialog.get_by_text("Limits").click()
    dialog.get_by_label("User").fill("two words")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert").get_by_text("A user's name has")).to_be_in_viewport(ratio=1)
    visitor.problems[:] = [problem for problem in visitor.problems if "400" not in problem]


@contextmanager
def unfinished_request(gateway: GatewayProcess, key: str) -> Iterator[None]:
    """One whose body does not come."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(head.encode())
        yield


def test_what_is_in_flight_is_told_as_it_is(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    visitor.sign_in(seeded.admin)
    figure = visitor.page.locator(".tile", has_text="In flight now").locator("b")
    expect(figure).to_have_text("0")
    with unfinished_request(gateway, seeded.users["mei"]):
        expect(figure).to_have_text("1", timeout=ASKS_WITHIN)
    expect(figure).to_have_text("0", timeout=ASKS_WITHIN)


def shown(page: Page) -> str:
    return page.get_by_role("navigation", name="Pages").locator("span").inner_text()


def turn_over(visitor: Visit, button: str, then: str) -> None:
    visitor.page.get_by_role("button", name=button).click()
    expect(visitor.page.get_by_role("navigation", name="Pages")).to_contain_text(then)
    visitor.settle()


@pytest.fixture(scope="module")
def much(gateway: GatewayProcess) -> str:
    """The key of somebody with 27 sessions, one of them archived, and 102 messages in the newest."""
    key = gateway.create_key("talker")
    with gateway.http(key) as http:
        for number in range(27):
            session = http.post("/chat/sessions", json={"session_name": f"Session {number}"}).json()["session_id"]
            if number == 0:
                assert http.post(f"/chat/sessions/{session}/archive").status_code == 200
        said = [{"role": "user", "content": f"Word {number}."} for number in range(101)]
        body = {"model": "echo", "session_id": session, "messages": said}
        assert http.post("/v1/chat/completions", json=body).status_code == 200
    return key


def test_sessions_and_messages_come_in_pages(visitor: Visit, much: str) -> None:
    page = visitor.page
    visitor.sign_in(much)
    visitor.go("Sessions")
    assert shown(page) == "1\u201325"
    assert page.get_by_role("button", name="Previous").is_disabled()
    turn_over(visitor, "Next", "26\u201326")
    assert texts_of(page, "tbody th a") == ["Session 1"]
    assert page.get_by_role("button", name="Next").is_disabled()
    turn_over(visitor, "Previous", "1\u201325")
    page.get_by_role("link", name="Session 26").click()
    expect(page.locator(".message")).to_have_count(100)
    turn_over(visitor, "Next", "101\u2013102")
    assert texts_of(page, ".message.user .said") == ["Word 100."]


def test_an_admin_without_sessions_is_told_where_others_are(visitor: Visit, seeded: Seeded) -> None:
    visitor.sign_in(seeded.admin)
    visitor.go("Sessions")
    expect(visitor.page.get_by_text("No sessions yet")).to_contain_text("choose a user above")


def test_archived_sessions_are_shown_if_asked_for(visitor: Visit, much: str) -> None:
    visitor.sign_in(much)
    visitor.go("Sessions")
    visitor.page.get_by_label("With archived ones").check()
    visitor.settle()
    turn_over(visitor, "Next", "26\u201327")
    expect(visitor.page.get_by_role("row", name="Session 0")).to_contain_text("archived")
