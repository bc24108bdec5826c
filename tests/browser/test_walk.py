"""What the page is for: an admin gives out a key, sees it used and takes it back; a user sees what is their own."""

from pathlib import Path

from playwright.sync_api import Browser, Page, Route, expect

from tests.acceptance.process import GatewayProcess
from tests.browser.browsing import Visit, texts_of, visit
from tests.browser.seeding import Seeded


def turns_on_the_chart(page: Page) -> int:
    """All columns of the chart together, as its table for screen readers has them."""
    cells = texts_of(page, "figure:has(caption:text-is('Turns')) tbody td")
    return sum(int(cell.replace(",", "")) for cell in cells)


def create_key(visitor: Visit, user: str, name: str) -> str:
    page = visitor.page
    visitor.go("Keys")
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog", name="Create a key")
    dialog.get_by_label("User").fill(user)
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_role("button", name="Create").click()
    shown = dialog.get_by_label("The new key")
    expect(shown).to_be_focused()
    visitor.picture("key-created", whole=False)
    text = shown.input_value()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("row", name=name)).to_be_visible()
    assert text not in page.content()
    return text


def use(gateway: GatewayProcess, key: str, title: str, text: str) -> None:
    with gateway.http(key) as http:
        session = http.post("/chat/sessions", json={"session_name": title}).json()["session_id"]
        body = {"model": "echo", "session_id": session, "messages": [{"role": "user", "content": text}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 200


def status_with(gateway: GatewayProcess, key: str) -> int:
    with gateway.http(key) as http:
        return http.get("/v1/models").status_code


def test_a_key_from_its_making_to_its_end(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    visitor.picture("overview")
    before = turns_on_the_chart(page)
    assert before > 100

    key = create_key(visitor, "walker", "walking boots")
    use(gateway, key, "A walk in the hills", "How far is it to the top?")

    visitor.go("Overview")
    expect(
        page.get_by_role("table", name="Turns, tokens and cost by model").get_by_role("row", name="echo")
    ).to_be_visible()
    assert turns_on_the_chart(page) == before + 1
    visitor.picture("overview-after")

    visitor.go("Sessions")
    page.get_by_label("User").select_option(label="walker")
    page.get_by_role("link", name="A walk in the hills").click()
    expect(page.get_by_role("heading", name="A walk in the hills", level=1)).to_be_focused()
    expect(page.locator(".message.user").get_by_text("How far is it to the top?")).to_be_visible()
    expect(page.locator(".message")).to_have_count(2)
    visitor.picture("session")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert "How far is it to the top?" in Path(download.value.path()).read_text()

    visitor.go("Keys")
    page.get_by_role("button", name="Revoke walking boots").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row", name="walking boots")).to_have_count(0)
    expect(page.get_by_role("status")).to_have_text("Keys loaded")
    assert status_with(gateway, key) == 401
    page.get_by_label("With revoked and expired ones").check()
    expect(page.get_by_role("row", name="walking boots").get_by_text("revoked")).to_be_visible()
    expect(page.get_by_role("row", name="walking boots").get_by_role("button")).to_have_count(0)
    visitor.picture("keys")

    visitor.go("Audit log")
    done = texts_of(page, "tbody code")
    assert done.index("key.revoke") < done.index("key.create")
    visitor.picture("audit")


def test_turns_that_failed_are_listed_by_their_error_until_it_is_taken_away(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    page.get_by_role("table", name="Errors of turns").get_by_role("link", name="provider_timeout").click()
    field = page.get_by_role("search", name="Turns").get_by_label("Error")
    expect(field).to_have_value("provider_timeout")
    assert set(texts_of(page, "tbody .badge")) == {"failed: provider_timeout"}
    field.fill("")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("row")).to_have_count(51)


def test_searching_for_words_takes_the_filter_by_metadata_away(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.users["priya"])
    visitor.go("Sessions")
    page.get_by_label("Metadata key").fill("channel")
    page.get_by_label("Metadata value").fill("email")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("row")).to_have_count(3)
    expect(page.get_by_label("Metadata key")).to_have_value("channel")
    page.get_by_label("Search messages and titles").fill("lamp")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Refund for order 20717").first).to_be_visible()
    expect(page.get_by_label("Metadata key")).to_have_value("")


def test_a_page_that_nobody_can_see_asks_for_nothing(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    page.clock.install()
    visitor.sign_in(seeded.admin)

    def asked_in_a_minute() -> int:
        before = len(visitor.requests)
        page.clock.run_for(60_000)
        return len(visitor.requests) - before

    assert asked_in_a_minute() > 0
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.clock.run_for(60_000)
    assert asked_in_a_minute() == 0


def test_a_button_that_cannot_do_its_work_says_why(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    page.route("**/dashboard/session", lambda route: route.abort())
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("The gateway cannot be reached")
    page.unroute("**/dashboard/session")
    assert [problem for problem in visitor.problems if "ERR_FAILED" not in problem] == []
    visitor.problems.clear()


def test_a_key_is_changed_and_rotated(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    old = create_key(visitor, "walker", "old boots")

    page.get_by_role("button", name="Edit old boots").click()
    dialog = page.get_by_role("dialog", name="Edit old boots")
    dialog.get_by_label("Allowed models").fill("echo")
    dialog.get_by_text("Limits").click()
    dialog.get_by_label("Requests a minute").fill("7")
    visitor.picture("key-edited", whole=False)
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name="old boots")
    expect(row).to_contain_text("7 req/min")
    expect(row).to_contain_text("echo")

    page.get_by_role("button", name="Rotate old boots").click()
    dialog = page.get_by_role("dialog", name="Rotate old boots")
    dialog.get_by_label("The old key stops").select_option(label="At once")
    dialog.get_by_role("button", name="Rotate").click()
    new = dialog.get_by_label("The new key").input_value()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("row", name="old boots")).to_have_count(1)
    assert (status_with(gateway, old), status_with(gateway, new)) == (401, 200)

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Rotate old boots").click()
    dialog.get_by_role("button", name="Rotate").click()
    newest = dialog.get_by_label("The new key").input_value()
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == newest
    dialog.get_by_role("button", name="Done").click()
    expect(row).to_have_count(2)
    expect(row.first).not_to_contain_text("expires")
    expect(row.last).to_contain_text("expires")
    assert (status_with(gateway, new), status_with(gateway, newest)) == (200, 200)


def test_a_keys_expiry_and_rights_are_changed(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    create_key(visitor, "walker", "new boots")
    row = page.get_by_role("row", name="new boots")

    def edit(**chosen: str) -> None:
        page.get_by_role("button", name="Edit new boots").click()
        dialog = page.get_by_role("dialog", name="Edit new boots")
        for label, option in chosen.items():
            dialog.get_by_label(label).select_option(label=option)
        dialog.get_by_label("Admin").click()
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_have_count(0)

    edit(Expires="In 30 days")
    expect(row).to_contain_text("admin, user")
    expect(row).to_contain_text("expires in 30 days")
    edit()
    expect(row).not_to_contain_text("admin")
    expect(row).to_contain_text("expires in 30 days")
    edit(Expires="Never")
    expect(row).to_contain_text("admin, user")
    expect(row).not_to_contain_text("expires")


def test_saving_leaves_what_somebody_else_has_changed_meanwhile(
    visitor: Visit, gateway: GatewayProcess, seeded: Seeded
) -> None:
    page = visitor.page
    with gateway.http(seeded.admin) as admin:
        given = {"user": "walker", "name": "shared boots", "limits": {"parallel_calls": 2}}
        key = admin.post("/admin/keys", json=given).json()
        visitor.sign_in(seeded.admin)
        visitor.go("Keys")
        limits = {"parallel_calls": 1, "requests_per_minute": 5}
        rights = {"name": "lent boots", "allowed_models": ["echo"], "admin": True, "limits": limits}
        assert admin.patch(f"/admin/keys/{key['id']}", json=rights).status_code == 200

        page.get_by_role("button", name="Edit shared boots").click()
        page.get_by_label("Tokens a day").fill("1000")
        page.get_by_role("button", name="Save").click()
        row = page.get_by_role("row", name="lent boots")
        expect(row).to_contain_text("5 req/min, 1 parallel, 1,000 tokens/day")
        expect(row).to_contain_text("echo")
        expect(row).to_contain_text("admin, user")

        page.get_by_role("button", name="Edit lent boots").click()
        page.get_by_label("Allowed models").fill(" ,")
        page.get_by_label("Parallel calls").fill("")
        page.get_by_label("Dollars a day").fill("2.5")
        page.get_by_label("Name").fill("")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("row", name=key["id"])).to_contain_text("any")
        changed = admin.get(f"/admin/keys/{key['id']}").json()
        assert (changed["name"], changed["allowed_models"], changed["expires_at"]) == (None, None, None)
        assert changed["limits"] == {"requests_per_minute": 5, "tokens_per_day": 1000, "dollars_per_day": 2.5}


def test_limits_of_a_user_are_saved_one_by_one(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    page = visitor.page
    with gateway.http(seeded.admin) as admin:
        user = admin.post("/admin/users", json={"name": "runner", "limits": {"parallel_calls": 2}}).json()
        visitor.sign_in(seeded.admin)
        visitor.go("Users")
        path = f"/admin/users/{user['id']}"
        assert admin.patch(path, json={"limits": {"parallel_calls": 1}}).status_code == 200
        page.get_by_role("button", name="Limits of runner").click()
        page.get_by_label("Requests a minute").fill("5")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("row", name="runner")).to_contain_text("5 req/min, 1 parallel")
        expect(page.get_by_role("heading", name="Users", level=1)).to_be_focused()


def test_a_dialog_stays_while_a_key_is_made_and_shows_it(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    visitor.go("Keys")
    held: list[Route] = []
    page.route(
        "**/admin/keys", lambda route: held.append(route) if route.request.method == "POST" else route.continue_()
    )
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog", name="Create a key")
    dialog.get_by_label("User").fill("walker")
    dialog.get_by_label("Name").fill("slow boots")
    with page.expect_request("**/admin/keys"):
        page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    for _ in range(3):
        page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
    held.pop().continue_()
    expect(dialog.get_by_label("The new key")).to_be_focused()
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("row", name="slow boots")).to_be_visible()
    expect(page.get_by_role("heading", name="Keys", level=1)).to_be_focused()


def test_a_form_that_is_refused_says_why_and_can_be_sent_again(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    visitor.go("Keys")
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog", name="Create a key")
    dialog.get_by_label("User").fill("Mr Walker")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("A user's name has 1 to 128 characters")
    expect(dialog.get_by_role("button", name="Create")).to_be_focused()
    dialog.get_by_label("User").fill("walker")
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("The new key")).to_be_focused()
    assert [problem for problem in visitor.problems if "400" not in problem] == []
    visitor.problems.clear()


def test_admin_rights_are_given_up_when_that_is_meant(visitor: Visit, gateway: GatewayProcess) -> None:
    page = visitor.page
    key = gateway.create_key("root", "--admin", "--name", "second admin")
    visitor.sign_in(key)
    visitor.go("Keys")
    page.get_by_role("button", name="Edit second admin").click()
    edit = page.get_by_role("dialog", name="Edit second admin")
    edit.get_by_label("Admin").uncheck()
    edit.get_by_role("button", name="Save").click()
    asked = page.get_by_role("dialog", name="Give up your admin rights?")
    expect(asked).to_contain_text("You are signed in with this key")
    visitor.picture("rights-given-up", whole=False)
    page.keyboard.press("Escape")
    expect(asked).to_have_count(0)
    expect(edit.get_by_role("button", name="Save")).to_be_focused()
    with gateway.http(key) as http:
        assert http.get("/admin/users").status_code == 200

    page.keyboard.press("Enter")
    asked.get_by_role("button", name="Give up").click()

    expect(page.get_by_role("link", name="Audit log")).to_have_count(0)
    expect(page.get_by_role("banner").get_by_text("user", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="second admin")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("button", name="Create a key")).to_have_count(0)
    with gateway.http(key) as http:
        assert http.get("/admin/users").status_code == 403
    page.reload()
    visitor.settle()
    assert texts_of(page, "nav[aria-label=Views] a") == ["Overview", "Usage", "Turns", "Sessions", "Keys"]


def test_a_user_is_disabled_and_enabled(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    visitor.go("Users")
    page.get_by_role("button", name="Disable tomas").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(page.get_by_role("row", name="tomas").get_by_text("disabled")).to_be_visible()
    assert status_with(gateway, seeded.users["tomas"]) == 401
    page.get_by_role("button", name="Enable tomas").click()
    expect(page.get_by_role("row", name="tomas").get_by_text("active")).to_be_visible()
    assert status_with(gateway, seeded.users["tomas"]) == 200


def test_a_user_sees_only_their_own(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    use(gateway, seeded.users["mei"], "Mei's notes", "What did I want to buy?")
    page = visitor.page
    visitor.sign_in(seeded.users["mei"])
    views = texts_of(page, "nav[aria-label=Views] a")
    assert views == ["Overview", "Usage", "Turns", "Sessions", "Keys"]
    for view in views:
        visitor.go(view)
        assert "priya" not in page.inner_text("main")
    expect(page.get_by_role("rowheader")).to_contain_text(["laptop"])
    visitor.go("Sessions")
    assert texts_of(page, "tbody th a") == ["Mei's notes"]
    page.get_by_role("link", name="Mei's notes").click()
    expect(page.locator(".message.user").get_by_text("What did I want to buy?")).to_be_visible()
    visitor.open("#users")  # which is for admins
    page.get_by_role("heading", name="Overview", level=1).wait_for()
    visitor.settle()
    assert not [url for url in visitor.requests if "/admin" in url]


def test_sessions_are_filtered_and_searched(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    visitor.go("Sessions")
    page.get_by_label("User").select_option(label="priya")
    expect(page.locator("tbody th a")).to_have_count(5)
    visitor.picture("sessions", whole=False)
    page.get_by_label("Metadata key").fill("channel")
    page.get_by_label("Metadata value").fill("email")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody th a")).to_have_text(["Nightly report is late", "Translate the release notes"])
    page.get_by_label("Search messages and titles").fill("broken lamp")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("row", name="user, message 1")).to_contain_text("came with a broken lamp")
    page.get_by_role("link", name="Refund for order 20717").click()
    expect(page.locator(".message")).to_have_count(4)
    visitor.picture("conversation", whole=False)
    page.go_back()
    expect(page.get_by_label("Search messages and titles")).to_have_value("broken lamp")


def test_turns_are_filtered_and_paged(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    visitor.go("Turns")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("navigation", name="Pages")).to_contain_text("51\u2013100")
    page.get_by_label("Status").select_option(label="Failed")
    expect(page.get_by_role("navigation", name="Pages")).to_have_count(0)
    assert set(texts_of(page, "tbody .badge")) <= {
        "failed: rate_limit_exceeded",
        "failed: provider_timeout",
        "failed: provider_unavailable",
    }
    visitor.picture("turns")


def test_usage_by_user_and_as_csv(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.sign_in(seeded.admin)
    visitor.go("Usage")
    page.get_by_label("Group by").select_option(label="User")
    expect(page.get_by_role("rowheader")).to_contain_text(["priya"])
    visitor.picture("usage", whole=False)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    heading, *rows = Path(download.value.path()).read_text().splitlines()
    assert heading.startswith("group,name,turns")
    assert {"priya", "tomas", "mei"} <= {row.split(",")[1] for row in rows}


def test_a_sign_in_ends_with_its_key(visitor: Visit, gateway: GatewayProcess, seeded: Seeded) -> None:
    with gateway.http(seeded.admin) as admin:
        made = admin.post("/admin/keys", json={"user": "guest"}).json()
        visitor.sign_in(made["key"])
        assert admin.delete(f"/admin/keys/{made['id']}").status_code == 200
    visitor.page.get_by_role("link", name="Usage").click()
    expect(visitor.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert all("401" in problem for problem in visitor.problems)  # Chromium's note of every such answer
    visitor.problems.clear()


def test_signing_in_and_out(visitor: Visit, seeded: Seeded) -> None:
    page = visitor.page
    visitor.open()
    page.get_by_label("API key").fill("sk-gw-nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Incorrect API key provided")
    expect(page.get_by_role("alert")).to_contain_text("req_")
    expect(page.get_by_label("API key")).to_be_focused()
    assert [problem for problem in visitor.problems if "401" not in problem] == []
    visitor.problems.clear()
    visitor.sign_in(seeded.users["mei"])
    page.reload()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.evaluate("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)") == "{}{}"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.context.cookies() == []


def test_nothing_yet(browser: Browser, pictures: Path, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, {}) as fresh, visit(browser, fresh.url, pictures) as visitor:
        visitor.sign_in(fresh.first_keys["admin"])
        expect(visitor.page.get_by_text("No turns in the last 24 hours").first).to_be_visible()
        visitor.picture("nothing-yet")
        visitor.go("Sessions")
        expect(visitor.page.get_by_text("No sessions yet")).to_be_visible()
        visitor.check()
