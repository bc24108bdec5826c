"""What every store promises of reading in pages: everything comes once, in order, whatever the pages' size."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.domain import Session, Status, StoredMessage
from gateway.ports import Store
from tests.contract.store.values import (
    ALICE,
    BOB,
    at,
    make_appending,
    make_message,
    make_session,
    make_turn,
    messages,
)

SIZES = [1, 2, 3, 4, 5, 100]


async def scan(store: Store, limit: int, user_id: str | None = None) -> list[Session]:
    scanned: list[Session] = []
    while batch := await store.scan_sessions(user_id=user_id, after=scanned[-1].id if scanned else "", limit=limit):
        assert len(batch) <= limit
        scanned += batch
        assert len(scanned) < 50
    return scanned


@pytest.mark.parametrize("limit", SIZES)
async def test_a_scan_reaches_every_session_once_archived_ones_too_and_deleted_ones_not(
    store: Store, limit: int
) -> None:
    ids = ["Z", "a", "b-1", "b_1", "é", "中", "sess_2"]
    for number, session_id in enumerate(ids):
        archived_at = at(1) if number % 2 else None
        owner = (ALICE, BOB)[number % 3 == 0]
        await store.create_session(make_session(session_id, owner, archived_at=archived_at))
    await store.create_session(make_session("gone"))
    await store.delete_session(ALICE.id, "gone", at(1))

    every = await scan(store, limit)
    assert sorted(session.id for session in every) == sorted(ids)
    assert every == await scan(store, 50)
    of_bob = await scan(store, limit, BOB.id)
    assert of_bob == [session for session in every if session.user_id == BOB.id]
    assert len(of_bob) == 3
    assert await scan(store, limit, "user_unknown") == []


@pytest.mark.parametrize("limit", SIZES)
async def test_messages_read_one_after_another_are_those_that_are_listed(
    store: Store, session: Session, limit: int
) -> None:
    await store.close_turn(make_turn(session))
    await store.close_turn(make_turn(session, "user", status=Status.FAILED))
    await store.add_messages(make_appending(session, make_message(metadata={"a": 1}), make_message("tool")))
    listed = await messages(store, session)
    assert [message.seq for message in listed] == [1, 2, 3, 4, 5]
    after = 0
    read: list[StoredMessage] = []
    while batch := await store.read_messages(ALICE.id, session.id, after=after, limit=limit):
        assert len(batch) <= limit
        read += batch
        after = batch[-1].seq
        assert len(read) <= 5
    assert read == listed


async def test_reading_starts_after_the_named_message_and_beyond_the_last_there_is_nothing(
    store: Store, session: Session
) -> None:
    assert await store.read_messages(ALICE.id, session.id, after=0, limit=10) == []
    await store.close_turn(make_turn(session))
    for after, expected in ((0, [1, 2]), (1, [2]), (2, []), (1_000, [])):
        found = await store.read_messages(ALICE.id, session.id, after=after, limit=10)
        assert found is not None
        assert [message.seq for message in found] == expected


STORED: dict[str, Mapping[str, Any]] = {
    "both": {"team": "a", "place": "x", "more": [1]},
    "team": {"team": "a"},
    "number": {"team": 1, "flag": True, "none": None},
    "nested": {"team": {"team": "a"}, "flag": {"0": "a"}},
    "list": {"team": ["a"]},
    "case": {"Team": "a", "team": "A"},
    "odd": {
        "": "empty",
        "a.b": "dot",
        'a"b': "quote",
        "$[0]": "path",
        "a'b": "it's",
        "k%": "50%",
        "ключ": "да 👩‍👩‍👧‍👦",
    },
    "none": {},
}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"team": "a"}, ["both", "team"]),
        ({"team": "a", "place": "x"}, ["both"]),
        ({"team": "a", "place": "y"}, []),
        ({"team": "A"}, ["case"]),
        ({"TEAM": "a"}, []),
        ({"team": "1"}, []),
        ({"flag": "1"}, []),
        ({"flag": "true"}, []),
        ({"none": "null"}, []),
        ({"none": ""}, []),
        ({"team": "%"}, []),
        ({"team": '["a"]'}, []),
        ({"": "empty"}, ["odd"]),
        ({"a.b": "dot"}, ["odd"]),
        ({'a"b': "quote"}, ["odd"]),
        ({"$[0]": "path"}, ["odd"]),
        ({"a'b": "it's"}, ["odd"]),
        ({"k%": "50%", "ключ": "да 👩‍👩‍👧‍👦"}, ["odd"]),
        ({"k": "50%"}, []),
        ({"x' OR 1=1 --": "a"}, []),
        ({"team": "a\0"}, []),
        ({"a\0b": "a"}, []),
        ({"team": "\ud800"}, []),
        ({"\ud800": "a"}, []),
        ({}, list(STORED)),
        (None, list(STORED)),
    ],
    ids=ascii,
)
async def test_sessions_are_found_by_pairs_of_their_metadata(
    store: Store, wanted: dict[str, str] | None, expected: list[str]
) -> None:
    for session_id, metadata in STORED.items():
        await store.create_session(make_session(session_id, metadata=metadata))
    await store.create_session(make_session("of_bob", BOB, metadata=STORED["both"]))
    found = await store.list_sessions(ALICE.id, limit=100, offset=0, metadata=wanted)
    assert sorted(session.id for session in found.items) == sorted(expected)


async def test_sessions_found_by_metadata_come_in_pages_and_without_archived_ones(store: Store) -> None:
    for number in range(6):
        metadata = {"team": "ab"[number % 2]}
        archived_at = at(1) if number == 5 else None
        created_at = at(number)
        await store.create_session(
            make_session(f"s{number}", metadata=metadata, created_at=created_at, archived_at=archived_at)
        )
    first = await store.list_sessions(ALICE.id, limit=2, offset=0, metadata={"team": "b"})
    assert ([session.id for session in first.items], first.has_more) == (["s3", "s1"], False)
    every = await store.list_sessions(ALICE.id, limit=2, offset=0, include_archived=True, metadata={"team": "b"})
    assert ([session.id for session in every.items], every.has_more) == (["s5", "s3"], True)
