"""GET /chat/sessions/{id}/stats: what the turns of a session came to."""

from pathlib import Path

import pytest

from gateway.ports import Store
from tests.api.composed import STORES, Composed, Json, Person, new_store
from tests.stubs.openai_wire import Json as Whole
from tests.stubs.openai_wire import completion, error


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def stats(person: Person, session: str) -> Json:
    response = await person.http.get(f"/chat/sessions/{session}/stats")
    assert response.status_code == 200, response.text
    shown: Json = response.json()
    return shown


async def test_a_new_session_has_come_to_nothing(ada: Person) -> None:
    session = await ada.session(await ada.new_session())
    assert await stats(ada, session["session_id"]) == {
        "session_id": session["session_id"],
        "message_count": 0,
        "total_tokens": 0,
        "turns": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost": None,
        "avg_latency_ms": None,
        "p95_latency_ms": None,
        "started_at": session["created_at"],
        "last_message_at": None,
    }


async def test_turns_are_added_up_from_the_ledger(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    gateway.stub.reply_with(Whole(completion("a", usage=usage)), Whole(completion("b", usage=usage)))
    await ada.say(session)
    await ada.say(session)
    gateway.stub.reply_with(Whole(error("no"), status=500))
    await ada.ask(session)

    shown, session_now, ledger = await stats(ada, session), await ada.session(session), await gateway.ledger(ada)

    assert (shown["turns"], shown["prompt_tokens"], shown["completion_tokens"]) == (3, 200, 20)
    assert shown["cost"] == pytest.approx(sum(entry.cost or 0 for entry in ledger))
    assert shown["cost"] > 0
    latencies = [entry.latency_ms for entry in ledger if entry.error_status is None and entry.latency_ms is not None]
    assert len(latencies) == 2
    assert shown["avg_latency_ms"] == pytest.approx(sum(latencies) / 2, abs=0.001)
    assert shown["p95_latency_ms"] == pytest.approx(max(latencies), abs=0.001)
    for name in ("message_count", "total_tokens", "last_message_at"):
        assert shown[name] == session_now[name]
    assert shown["started_at"] == session_now["created_at"]
