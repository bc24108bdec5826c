"""Ids in paths that no store should be asked about, and NUL where a database could not keep it."""

from typing import Any

import pytest

from gateway.domain import ApiKey, AuditEntry, Session
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Composed, Person, refusal

BAD = ["%00", "a%00b", "%ED%A0%80", "%0A", "a%0A", "a%20b", "caf%C3%A9", "%22%3E%3Cscript%3E", "x" * 129, "x" * 50_000]


class CuriousStore(InMemoryStore):
    """Notes every id that it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        self.asked.append(session_id)
        return await super().get_session(user_id, session_id)

    async def purge_session(self, user_id: str, session_id: str, *, audit: AuditEntry | None = None) -> bool:
        self.asked.append(session_id)
        return await super().purge_session(user_id, session_id, audit=audit)

    async def revoke_key(self, key_id: str, at: Any, *, audit: AuditEntry | None = None) -> ApiKey | None:
        self.asked.append(key_id)
        return await super().revoke_key(key_id, at, audit=audit)

    async def erase_user(self, user_id: str, *, audit: AuditEntry | None = None) -> bool:
        self.asked.append(user_id)
        return await super().erase_user(user_id, audit=audit)


@pytest.fixture
def store() -> CuriousStore:
    return CuriousStore()


ROUTES = [
    ("GET", "/chat/sessions/{}", "session_not_found"),
    ("PUT", "/chat/sessions/{}", "session_not_found"),
    ("PATCH", "/chat/sessions/{}", "session_not_found"),
    ("DELETE", "/chat/sessions/{}", "session_not_found"),
    ("DELETE", "/chat/sessions/{}?purge=true", "session_not_found"),
    ("GET", "/chat/sessions/{}/messages", "session_not_found"),
    ("GET", "/chat/sessions/{}/stats", "session_not_found"),
    ("GET", "/chat/sessions/{}/export", "session_not_found"),
    ("POST", "/chat/sessions/{}/archive", "session_not_found"),
    ("POST", "/chat/sessions/{}/unarchive", "session_not_found"),
    ("DELETE", "/admin/keys/{}", "key_not_found"),
    ("DELETE", "/admin/users/{}?purge=true", "user_not_found"),
]


@pytest.mark.parametrize(("method", "path", "code"), ROUTES)
async def test_what_is_no_id_is_unknown_without_asking_the_store(
    store: CuriousStore, admin: Person, method: str, path: str, code: str
) -> None:
    unknown = refusal(await admin.http.request(method, path.format("nobody"), json={}), 404)
    store.asked.clear()
    for bad in BAD:
        error = refusal(await admin.http.request(method, path.format(bad), json={}), 404)
        assert error["code"] == unknown["code"] == code
        assert (error["type"], error["param"]) == (unknown["type"], unknown["param"])
    assert store.asked == []


async def test_a_nul_in_a_message_comes_back(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session(system_prompt="a\0b")
    await ada.say(session, "c\0d")
    assert (await ada.messages(session))[0]["content"] == "c\0d"
    assert [message["content"] for message in gateway.stub.requests[0].body["messages"]] == ["a\0b", "c\0d"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", "a\0b"), ("session_id", "a\0b"), ("metadata", {"a": "\0"}), ("metadata", {"\0": "a"})],
)
async def test_a_nul_in_what_is_kept_as_text_is_refused_before_the_provider_is_asked(
    gateway: Composed, ada: Person, field: str, value: Any
) -> None:
    body = {
        "model": "fast",
        "session_id": await ada.new_session(),
        "messages": [{"role": "user", "content": "Hello."}],
        field: value,
    }
    error = refusal(await ada.http.post("/v1/chat/completions", json=body), 400)
    assert (error["param"], error["code"]) == (field, "invalid_value")
    assert gateway.stub.requests == []


async def test_metadata_that_is_not_kept_is_the_providers_to_judge(gateway: Composed, ada: Person) -> None:
    await ada.say(None, metadata={"a": "\0"})
    assert gateway.stub.requests[0].body["metadata"] == {"a": "\0"}
