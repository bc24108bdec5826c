"""Whatever users write is text: in names, messages, metadata, models and searches, and in the page's own address."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.acceptance.process import GatewayProcess
from tests.browser.browsing import Visit, visit
from tests.browser.seeding import Seeded, seed

CORPUS = [
    "<script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "'><svg/onload=alert(1)>",
    "<iframe srcdoc='<script>parent.pwned = 1</script>'></iframe>",
    '<a href="javascript:window.pwned = 1">click</a>',
    "javascript:window.pwned=1",
    "</textarea></title><script>alert(1)</script>",
    "<details open ontoggle=alert(1)>",
    "{{constructor.constructor('window.pwned = 1')()}} ${window.pwned = 1}",
    "<math><mtext></table></math><img src=x onerror=alert(1)>",
    "&lt;img src=x onerror=alert(1)&gt; &#60;script&#62;",
    "<style>@import 'http://evil.test/x.css'; body { display: none }</style>",
    "<form action=http://evil.test><input name=key autofocus onfocus=alert(1)>",
    "\u202egnp.exe \u2028 <b onmouseover=alert(1)>",
]
MODEL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def seeded(directory: Path) -> Seeded:
    return seed(directory, turns=0)


@pytest.fixture(scope="module", autouse=True)
def sessions(gateway: GatewayProcess, seeded: Seeded) -> list[str]:
    """One for each text, which is in all of its fields; of a user whose keys are named so, too."""
    with gateway.http(seeded.users["mei"]) as http:
        made = []
        for text in CORPUS:
            fields = {"session_name": text, "system_prompt": text, "metadata": {text: text, "nested": {text: [text]}}}
            made.append(http.post("/chat/sessions", json=fields).json()["session_id"])
            ask(http.post, made[-1], text)
    with gateway.http(seeded.admin) as admin:
        for text in CORPUS[:-1]:  # the last one cannot be a key's name
            assert admin.post("/admin/keys", json={"user": "mei", "name": text}).status_code == 201
    return made


def ask(post: object, session: str, text: str) -> None:
    call = {"id": text, "type": "function", "function": {"name": text, "arguments": text}}
    picture = {
        "type": "image_url",
        "image_url": {"url": text if text.startswith("javascript") else f"https://evil.test/{text}"},
    }
    said = [
        {"role": "user", "content": text, "name": "someone"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": text, "tool_call_id": text},
        {"role": "user", "content": [{"type": "text", "text": text}, picture]},
    ]
    assert callable(post)
    response = post("/v1/chat/completions", json={"model": MODEL, "session_id": session, "messages": said})
    assert response.status_code == 200, response.text


@pytest.fixture(scope="module")
def gateway(directory: Path, seeded: Seeded) -> Iterator[GatewayProcess]:
    del seeded  # which must be there before
    with GatewayProcess(directory, {"models": [{"name": MODEL, "model": "echo"}]}) as process:
        yield process


@pytest.fixture
def admin(browser: Browser, gateway: GatewayProcess, seeded: Seeded, pictures: Path) -> Iterator[Visit]:
    with visit(browser, gateway.url, pictures) as visitor:
        visitor.sign_in(seeded.admin)
        yield visitor
        visitor.check()


_HANDLERS = """[...document.querySelectorAll("*")].flatMap((each) => each.getAttributeNames())
    .filter((name) => name.startsWith("on"))"""


def check_inert(visitor: Visit) -> None:
    assert visitor.page.evaluate("window.pwned") is None
    inserted = "img, iframe, object, embed, math, style, main script, b[onmouseover], form[action], a[href^=javascript]"
    assert visitor.page.locator(inserted).count() == 0
    assert visitor.page.evaluate(_HANDLERS) == []


def own_sessions(visitor: Visit) -> None:
    visitor.go("Sessions")
    visitor.page.get_by_label("User").select_option(label="mei")
    visitor.page.locator(".view:not([aria-busy]) tbody").wait_for()


def test_names_of_sessions(admin: Visit) -> None:
    own_sessions(admin)
    expect(admin.page.locator("tbody th a")).to_have_count(len(CORPUS))
    assert admin.page.locator("tbody th a").all_text_contents() == CORPUS[::-1]
    check_inert(admin)
    admin.picture("hostile-sessions")


def test_messages_metadata_and_tools(admin: Visit, sessions: list[str]) -> None:
    own_sessions(admin)
    address = admin.page.url.split("#sessions")
    for session, text in zip(sessions, CORPUS, strict=True):
        admin.page.goto(f"{address[0]}#sessions/{session}{address[1]}")
        expect(admin.page.get_by_role("heading", level=1)).to_have_text(text.strip(), use_inner_text=False)
        admin.page.locator(".transcript").wait_for()
        assert admin.page.locator(".message .said").first.text_content() == text
        assert admin.page.locator(".call code").text_content() == text
        assert admin.page.locator(".call pre").text_content() == text
        assert text in admin.page.locator(".facts dt").all_text_contents()
        assert admin.page.locator(".facts .said").text_content() == text
        assert text in (admin.page.locator(".attachment").text_content() or "")
        check_inert(admin)


def test_names_of_keys_and_models(admin: Visit) -> None:
    admin.go("Keys")
    shown = admin.page.locator("tbody th > span:first-child").all_text_contents()
    assert set(CORPUS[:-1]) <= set(shown)
    check_inert(admin)
    admin.page.get_by_role("button", name=f"Edit {CORPUS[0]}").click()
    expect(admin.page.get_by_role("dialog").get_by_role("heading")).to_have_text(f"Edit {CORPUS[0]}")
    admin.page.keyboard.press("Escape")
    for view in ("Overview", "Turns", "Usage"):
        admin.go(view)
        expect(admin.page.get_by_text(MODEL, exact=True).first).to_be_visible()
        check_inert(admin)


def test_searches_and_what_they_find(admin: Visit) -> None:
    own_sessions(admin)
    for text in CORPUS:
        admin.page.get_by_label("Search messages and titles").fill(text)
        admin.page.get_by_role("button", name="Search").click()
        admin.page.wait_for_url(lambda url: "q=" in url)
        admin.settle()
        assert admin.page.get_by_label("Search messages and titles").input_value() == text.strip().replace(
            "\u2028", "\u2028"
        )
        check_inert(admin)


REFUSED = ("400", "401", "404")
"""What Chromium notes of texts that the gateway does not take."""


def typed_into(visitor: Visit, fields: Sequence[str], button: str, text: str) -> None:
    for field in fields:
        visitor.page.get_by_label(field, exact=True).fill(text)
    visitor.page.get_by_role("button", name=button, exact=True).click()


def test_what_is_typed_into_fields(admin: Visit) -> None:
    page = admin.page
    for text in CORPUS:
        admin.go("Turns")
        typed_into(admin, ("Model", "User", "Error"), "Apply", text)
        page.wait_for_url(lambda url: "model=" in url)
        admin.settle()
        check_inert(admin)
        admin.go("Sessions")
        typed_into(admin, ("Metadata key", "Metadata value"), "Search", text)
        page.wait_for_url(lambda url: "key=" in url)
        admin.settle()
        check_inert(admin)
        admin.go("Keys")
        page.get_by_role("button", name="Create a key").click()
        typed_into(admin, ("User", "Name", "Allowed models"), "Create", text)
        expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()  # no text of these is a user's name
        check_inert(admin)
        page.keyboard.press("Escape")
    admin.problems[:] = [problem for problem in admin.problems if not any(status in problem for status in REFUSED)]


def test_what_is_typed_in_place_of_a_key(browser: Browser, gateway: GatewayProcess, pictures: Path) -> None:
    with visit(browser, gateway.url, pictures) as stranger:
        stranger.open()
        for text in CORPUS:
            typed_into(stranger, ["API key"], "Sign in", text)
            expect(stranger.page.get_by_role("alert")).to_contain_text("req_")
            check_inert(stranger)
        stranger.problems[:] = [each for each in stranger.problems if not any(status in each for status in REFUSED)]
        stranger.check()


def test_addresses(admin: Visit) -> None:
    """Of links that somebody was sent."""
    for text in [*CORPUS, "constructor", "__proto__", "%E0%A4%A"]:
        escaped = quote(text, safe="")
        for fragment in (
            f"#{text}",
            f"#usage?range={escaped}",
            f"#turns?model={escaped}&offset={escaped}",
            f"#sessions/{text}",
        ):
            admin.page.goto("about:blank")
            admin.open(fragment)
            admin.settle()
            check_inert(admin)
    refused = ("400", "404")  # an offset that is no number, a session that there is not
    admin.problems[:] = [problem for problem in admin.problems if not any(status in problem for status in refused)]
