"""What every store promises about sessions: whose they are, how they are listed and changed."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import Session, SessionChanges, User
from gateway.ports import ClosedTurn, Hold, Store
from gateway.storage.errors import ConstraintViolated
from tests.contract.store.calls import FINDING_DELETED, FINDING_NOTHING
from tests.contract.store.values import (
    ALICE,
    BOB,
    at,
    current,
    make_entry,
    make_session,
    make_turn,
    messages,
    opened,
    opening,
)


async def test_a_session_comes_back_with_every_field(store: Store) -> None:
    session = make_session(
        name="Trip to Lisbon",
        model="fast",
        max_history_messages=7,
        instructions=(b'{"role": "system",\n "content":"x"}', b'{"role":"developer","content":"1.0 \xc3\xa9"}'),
        metadata={"tags": ["a", {"b": None}], "n": 1.5, "on": True},
        updated_at=at(5),
        archived_at=at(6),
        ttl_seconds=86_400,
    )
    await store.create_session(session)
    assert await store.get_session(ALICE.id, session.id) == session


async def test_a_session_id_is_used_once_whoever_has_it(store: Store, session: Session) -> None:
    for user in (ALICE, BOB):
        with pytest.raises(ConstraintViolated):
            await store.create_session(make_session(session.id, user, name="second"))
    assert await store.get_session(ALICE.id, session.id) == session
    assert await store.get_session(BOB.id, session.id) is None


async def test_a_session_needs_a_user_who_exists(store: Store) -> None:
    session = make_session(user=User("user_nobody", "nobody"))
    with pytest.raises(ConstraintViolated):
        await store.create_session(session)
    assert await store.get_session("user_nobody", session.id) is None


async def everything(store: Store, session: Session) -> list[Any]:
    """Of what there is of a session, as its owner sees it."""
    return [
        await current(store, session),
        await messages(store, session),
        await store.session_stats(session.user_id, session.id),
        await opened(store, opening(session)),
    ]


@pytest.mark.parametrize("method", FINDING_NOTHING)
async def test_somebody_elses_session_is_not_found_and_not_touched(store: Store, session: Session, method: str) -> None:
    call, nothing = FINDING_NOTHING[method]
    await store.close_turn(make_turn(session))
    before = await everything(store, session)
    assert await call(store, BOB.id, session.id) == nothing
    assert await everything(store, session) == before
    await opened(store, opening(session, hold=Hold("hold_1")))  # nobody else has it, or waits for it


@pytest.mark.parametrize("method", [name for name in FINDING_NOTHING if name not in FINDING_DELETED])
async def test_a_deleted_session_is_hidden_everywhere(store: Store, session: Session, method: str) -> None:
    call, nothing = FINDING_NOTHING[method]
    assert await store.delete_session(ALICE.id, session.id, at(1)) is True
    assert await call(store, ALICE.id, session.id) == nothing
    assert (await store.list_sessions(ALICE.id, limit=10, offset=0, include_archived=True)).items == []


@pytest.mark.parametrize("method", [name for name in FINDING_NOTHING if name != "open_turn with create"])
async def test_an_unknown_session_is_not_found(store: Store, method: str) -> None:
    call, nothing = FINDING_NOTHING[method]
    assert await call(store, ALICE.id, "sess_unknown") == nothing


async def test_sessions_are_listed_newest_first_and_by_id_within_an_instant(store: Store) -> None:
    for session_id, second in (("sess_b", 1), ("sess_a", 2), ("sess_d", 1), ("sess_c", 3)):
        await store.create_session(make_session(session_id, created_at=at(second)))
    await store.create_session(make_session("sess_of_bob", BOB, created_at=at(4)))
    found = await store.list_sessions(ALICE.id, limit=10, offset=0)
    assert [session.id for session in found.items] == ["sess_c", "sess_a", "sess_d", "sess_b"]
    assert found.has_more is False


async def test_archived_sessions_are_listed_only_if_asked_for(store: Store, session: Session) -> None:
    archived = make_session("sess_0", archived_at=at(1))
    await store.create_session(archived)
    assert (await store.list_sessions(ALICE.id, limit=10, offset=0)).items == [session]
    every = await store.list_sessions(ALICE.id, limit=10, offset=0, include_archived=True)
    assert every.items == [session, archived]


@pytest.mark.parametrize(
    ("limit", "offset", "places", "has_more"),
    [
        (2, 0, [0, 1], True),
        (3, 0, [0, 1, 2], False),
        (4, 0, [0, 1, 2], False),
        (2, 1, [1, 2], False),
        (1, 1, [1], True),
        (2, 3, [], False),
        (2, 100, [], False),
    ],
)
async def test_pages_say_exactly_whether_there_is_more(
    store: Store, session: Session, limit: int, offset: int, places: list[int], has_more: bool
) -> None:
    await store.create_session(make_session("sess_2", created_at=at(1)))
    await store.create_session(make_session("sess_3", created_at=at(2)))
    await store.close_turn(make_turn(session, "user", "assistant", "user"))
    for number in range(3):
        await store.close_turn(ClosedTurn(make_entry(turn_id=f"turn_{number}", created_at=at(number))))

    listed = await store.list_sessions(ALICE.id, limit=limit, offset=offset)
    assert [item.id for item in listed.items] == [["sess_3", "sess_2", "sess_1"][place] for place in places]
    assert listed.has_more is has_more

    read = await store.list_messages(ALICE.id, session.id, limit=limit, offset=offset)
    assert read is not None
    assert [item.seq for item in read.items] == [place + 1 for place in places]
    assert read.has_more is has_more


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("name", "Renamed"),
        ("name", None),
        ("model", "slow"),
        ("model", None),
        ("max_history_messages", 0),
        ("instructions", (b'{"role":"system","content":"new"}',)),
        ("instructions", ()),
        ("metadata", {"new": 1}),
        ("metadata", {}),
        ("ttl_seconds", 60),
        ("ttl_seconds", None),
        ("archived_at", at(7.000001)),
        ("archived_at", None),
    ],
)
async def test_an_update_sets_the_named_field_and_no_other(store: Store, changed: str, value: Any) -> None:
    session = make_session(
        name="Old",
        model="fast",
        max_history_messages=3,
        instructions=(b'{"role":"system"}',),
        metadata={"old": 1},
        ttl_seconds=3600,
        archived_at=at(2),
    )
    await store.create_session(session)
    changes = SessionChanges(fields=frozenset({changed}), **{changed: value})
    expected = replace(session, **{changed: value}, updated_at=at(9))
    assert await store.update_session(ALICE.id, session.id, changes, at(9)) == expected
    assert await store.get_session(ALICE.id, session.id) == expected


async def test_an_update_of_several_fields_keeps_the_counters(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    before = await current(store, session)
    changes = SessionChanges(frozenset({"name", "model"}), name="n", model="m")
    after = await store.update_session(ALICE.id, session.id, changes, at(9))
    assert after == replace(before, name="n", model="m", updated_at=at(9))


async def test_deleting_twice_is_deleting_once(store: Store, session: Session) -> None:
    assert await store.delete_session(ALICE.id, session.id, at(1)) is True
    assert await store.delete_session(ALICE.id, session.id, at(2)) is False
