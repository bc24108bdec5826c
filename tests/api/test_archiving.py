"""Sessions that are put away: archived and taken up again, purged, or made to end by themselves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.domain import SessionChanges
from gateway.ports import Cleaning, Locked, OpenedTurn, Store, TurnOpening
from tests.api.composed import STORES, Composed, Person, compose, new_store, refusal


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return new_store(request.param, tmp_path)


async def listed(person: Person, query: str = "") -> list[str]:
    body = (await person.http.get(f"/chat/sessions{query}")).json()
    return [session["session_id"] for session in body["data"]]


def archiving_after_the_first_look(store: Store) -> Store:
    """The store, in which somebody archives a session in the moment after a turn of it was opened."""
    open_turn, was_opened = store.open_turn, False

    async def opened(opening: TurnOpening) -> OpenedTurn | Locked | None:
        nonlocal was_opened
        result = await open_turn(opening)
        if not was_opened and opening.limit == WIDER:
            was_opened = True
            now = datetime.now(UTC)
            changes = SessionChanges(frozenset({"archived_at"}), archived_at=now)
            await store.update_session(opening.user_id, opening.session_id, changes, now)
        return result

    store.open_turn = opened  # type: ignore[method-assign]  # a store of our own, about to be given to the application
    return store


WIDER = 6
"""More history than was cached: the turn asks the store twice."""


async def test_a_session_archived_between_two_looks_at_it_is_not_held_for_ever(store: Store) -> None:
    async with compose(archiving_after_the_first_look(store)) as gateway:
        ada = await gateway.person()
        session = await ada.new_session(max_history_messages=2)
        for _ in range(3):
            await ada.say(session)
        error = refusal(await ada.ask(session, max_history_messages=WIDER), 409)
        assert error["code"] == "session_archived"
        assert (await ada.http.post(f"/chat/sessions/{session}/unarchive")).status_code == 200
        assert (await ada.ask(session)).status_code == 200


# ── archiving ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_archived_session_is_left_out_of_lists_and_read_by_id(ada: Person) -> None:
    kept, session = await ada.new_session(), await ada.new_session()
    await ada.say(session, model="echo")
    before = await ada.session(session)

    response = await ada.http.post(f"/chat/sessions/{session}/archive")

    archived = response.json()
    assert response.status_code == 200
    assert archived == {**before, "archived_at": archived["archived_at"], "updated_at": archived["updated_at"]}
    assert archived["archived_at"] > before["updated_at"]
    assert await listed(ada) == [kept]
    assert await listed(ada, "?include_archived=true") == [session, kept]
    assert await ada.session(session) == archived
    assert len(await ada.messages(session)) == 2
    assert (await ada.http.get(f"/chat/sessions/{session}/stats")).json()["turns"] == 1


async def test_an_archived_session_takes_changes_but_no_turns(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    await ada.http.post(f"/chat/sessions/{session}/archive")

    renamed = await ada.http.patch(f"/chat/sessions/{session}", json={"session_name": "Trip"})
    assert renamed.json()["session_name"] == "Trip"
    assert renamed.json()["archived_at"] is not None
    error = refusal(await ada.ask(session), 409)
    assert (error["param"], error["code"]) == ("session_id", "session_archived")
    assert gateway.stub.requests == []


async def test_archiving_twice_keeps_the_first_time(ada: Person) -> None:
    session = await ada.new_session()
    first = (await ada.http.post(f"/chat/sessions/{session}/archive")).json()
    again = await ada.http.post(f"/chat/sessions/{session}/archive")
    assert (again.status_code, again.json()) == (200, first)


async def test_a_session_is_taken_up_again(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    await ada.say(session, "My name is Ada.")
    await ada.http.post(f"/chat/sessions/{session}/archive")

    for _ in range(2):
        response = await ada.http.post(f"/chat/sessions/{session}/unarchive")
        assert (response.status_code, response.json()["archived_at"]) == (200, None)

    assert await listed(ada) == [session]
    await ada.say(session, "Who am I?")
    assert len(gateway.stub.requests[-1].body["messages"]) == 3


# ── purging ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_session_is_purged_deleted_or_not(ada: Person, is_deleted: bool) -> None:
    session = await ada.new_session(session_name="Harbour")
    await ada.say(session, model="echo")
    if is_deleted:
        await ada.http.delete(f"/chat/sessions/{session}")

    response = await ada.http.delete(f"/chat/sessions/{session}?purge=true")

    assert response.json() == {
        "object": "chat.session.deleted",
        "session_id": session,
        "deleted": True,
        "purged": True,
    }
    for query in ("", "?purge=true"):
        error = refusal(await ada.http.delete(f"/chat/sessions/{session}{query}"), 404)
        assert error["code"] == "session_not_found"
    assert (await ada.http.get("/chat/sessions/search?q=harbour")).json()["data"] == []


async def test_nobody_purges_what_is_anothers(ada: Person, bob: Person) -> None:
    session = await ada.new_session()
    foreign = await bob.http.delete(f"/chat/sessions/{session}?purge=true")
    unknown = await bob.http.delete("/chat/sessions/sess_00000000000000000000000000?purge=true")
    assert refusal(foreign, 404)["code"] == "session_not_found"
    assert foreign.content.replace(session.encode(), b"sess_00000000000000000000000000") == unknown.content
    assert await ada.session(session)


async def test_purging_is_asked_for_in_so_many_words(ada: Person) -> None:
    session = await ada.new_session()
    error = refusal(await ada.http.delete(f"/chat/sessions/{session}?purge=perhaps"), 400)
    assert (error["param"], error["code"]) == ("purge", "invalid_value")
    assert await ada.session(session)


async def test_the_ledger_outlives_a_purged_session(gateway: Composed, ada: Person) -> None:
    session = await ada.new_session()
    await ada.say(session, model="echo")
    await ada.http.delete(f"/chat/sessions/{session}?purge=true")
    assert [entry.session_id for entry in await gateway.ledger(ada)] == [session]


# ── an end of its own ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_lives_as_long_as_its_ttl(ada: Person, store: Store) -> None:
    session, kept = await ada.new_session(ttl_seconds=60), await ada.new_session()
    stored = await store.get_session(ada.user_id, session)
    assert stored is not None

    await store.clean(Cleaning(stored.created_at + timedelta(seconds=59)))
    assert set(await listed(ada)) == {session, kept}
    await store.clean(Cleaning(stored.created_at + timedelta(seconds=61)))
    assert await listed(ada) == [kept]
