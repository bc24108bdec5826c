"""Pages of other origins, open in a browser that is signed in: they can neither do nor learn anything."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page

from tests.acceptance.process import GatewayProcess
from tests.browser.browsing import Visit
from tests.browser.seeding import Seeded


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>Elsewhere</title><p>Win a prize!</p>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def elsewhere() -> Iterator[int]:
    """A web server with one page, at any name of this machine: its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(params=["127.0.0.1", "localhost"])
def stranger(request: pytest.FixtureRequest, visitor: Visit, seeded: Seeded) -> Iterator[Page]:
    """Another tab of a signed-in browser: of the same site as the gateway, whose cookies are sent, and of another."""
    visitor.sign_in(seeded.admin)
    with elsewhere() as port:
        page = visitor.page.context.new_page()
        page.goto(f"http://{request.param}:{port}/")
        yield page
        page.close()


def keys_of(gateway: GatewayProcess, seeded: Seeded) -> int:
    with gateway.http(seeded.admin) as admin:
        return len(admin.get("/admin/keys").json()["data"])


FETCH = """async ([url, options]) => {
    try {
        const response = await fetch(url, options);
        return [response.type, await response.text()];
    } catch (error) {
        return [String(error), ""];
    }
}"""

BODY = '{"user": "thief", "admin": true}'


@pytest.mark.parametrize(
    "options",
    [
        {"method": "POST", "body": BODY, "mode": "no-cors"},
        {"method": "POST", "body": BODY},
        {"method": "POST", "body": BODY, "headers": {"x-gateway-dashboard": "1"}},
        {"method": "POST", "body": BODY, "headers": {"content-type": "application/json"}},
        {"method": "GET", "mode": "no-cors"},
        {"method": "GET"},
    ],
)
def test_scripts_get_nowhere(
    stranger: Page, gateway: GatewayProcess, seeded: Seeded, options: dict[str, object]
) -> None:
    before = keys_of(gateway, seeded)
    answers: list[int] = []
    stranger.on("response", lambda response: answers.append(response.status))
    _, text = stranger.evaluate(FETCH, [f"{gateway.url}/admin/keys", {"credentials": "include", **options}])
    assert text == ""
    assert set(answers) <= {401, 403}
    assert keys_of(gateway, seeded) == before


@pytest.mark.parametrize("method", ["post", "get"])
def test_forms_get_nowhere(stranger: Page, gateway: GatewayProcess, seeded: Seeded, method: str) -> None:
    before = keys_of(gateway, seeded)
    send = """([action, method]) => {
        const form = Object.assign(document.createElement("form"), { action, method, enctype: "text/plain" });
        form.append(Object.assign(document.createElement("input"), { name: '{"user":"thief","x":"', value: '"}' }));
        document.body.append(form);
        form.submit();
    }"""
    with stranger.expect_navigation() as arrived:
        stranger.evaluate(send, [f"{gateway.url}/admin/keys", method])
    assert arrived.value.status in {401, 403}
    assert keys_of(gateway, seeded) == before


def test_nobody_can_frame_the_page(stranger: Page, gateway: GatewayProcess) -> None:
    embed = """(src) => new Promise((resolve) => {
        const frame = Object.assign(document.createElement("iframe"), { src, onload: resolve });
        document.body.append(frame);
    })"""
    stranger.evaluate(embed, f"{gateway.url}/dashboard")
    assert stranger.frames[1].locator("#header").count() == 0


def test_the_cookie_is_out_of_reach_of_scripts(visitor: Visit, seeded: Seeded) -> None:
    visitor.sign_in(seeded.admin)
    [cookie] = visitor.page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
        "gateway_session",
        True,
        "Strict",
        "/",
    )
    assert visitor.page.evaluate("document.cookie") == ""
