"""GET /chat/sessions/{id}/export: a session as one line, sent as it is read."""

import json
from collections.abc import Sequence

from gateway.domain import StoredMessage
from gateway.errors import StorageUnavailable
from gateway.storage.memory import InMemoryStore
from tests.api.composed import Person, compose, refusal


async def test_a_session_is_one_line_that_a_browser_saves(ada: Person) -> None:
    session = await ada.session(
        await ada.new_session(session_name="Trip", system_prompt="Be brief.", metadata={"n": 1})
    )
    await ada.say(session["session_id"], "My name is Ada.", model="echo")

    response = await ada.http.get(f"/chat/sessions/{session['session_id']}/export")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["content-disposition"] == f'attachment; filename="{session["session_id"]}.jsonl"'
    assert response.text.count("\n") == 1
    assert response.text.endswith("}\n")
    line = json.loads(response.text)
    told = {name: line[name] for name in ("session_id", "session_name", "metadata", "created_at")}
    assert told == {name: session[name] for name in told}
    assert line["user"] == "ada"
    said = [(message["role"], message["content"]) for message in line["messages"][:2]]
    assert said == [("system", "Be brief."), ("user", "My name is Ada.")]
    assert len(line["messages"]) == 3


async def test_a_long_session_comes_whole(ada: Person) -> None:
    session = await ada.new_session()
    texts = [str(number) for number in range(1200)]
    await ada.say(session, messages=[{"role": "user", "content": text} for text in texts])

    line = json.loads((await ada.http.get(f"/chat/sessions/{session}/export")).text)

    assert [message["content"] for message in line["messages"][:-1]] == texts


async def test_an_archived_session_is_exported_too(ada: Person) -> None:
    session = await ada.new_session()
    await ada.http.post(f"/chat/sessions/{session}/archive")
    line = json.loads((await ada.http.get(f"/chat/sessions/{session}/export")).text)
    assert line["archived_at"] is not None


class UnreadableStore(InMemoryStore):
    async def read_messages(
        self, user_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[StoredMessage] | None:
        raise StorageUnavailable


async def test_what_fails_before_the_first_byte_is_an_error_and_no_export() -> None:
    store = UnreadableStore()
    async with compose(store) as gateway:
        ada = await gateway.person()
        response = await ada.http.get(f"/chat/sessions/{await ada.new_session()}/export")
        assert refusal(response, 503)["code"] == "storage_unavailable"
        assert "content-disposition" not in response.headers
        entries = (await store.list_audit(limit=10, offset=0)).items
        assert "session.export" not in {entry.action for entry in entries}
