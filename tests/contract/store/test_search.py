"""What every store promises of search: whose texts are found, when, in which order, and that a query is only text."""

import pytest

from gateway.domain import SearchHit, Session, SessionChanges, Status, User
from gateway.ports import ClosedTurn, Store
from tests.contract.store.values import (
    ALICE,
    BOB,
    add_texts,
    at,
    hits,
    make_appending,
    make_entry,
    make_message,
    make_session,
    make_text,
)

# what is found


async def test_a_message_is_found_with_every_field(store: Store) -> None:
    session = make_session("sess_1", name="Trip")
    await store.create_session(session)
    message = make_text("The ferry to Almada leaves at nine.", role="assistant")
    await store.add_messages(make_appending(session, make_text("When?"), message, created_at=at(5)))
    found = await store.search(ALICE.id, "ferry", limit=10, offset=0)
    assert list(found.items) == [
        SearchHit("sess_1", "Trip", 2, message.id, "assistant", "The ferry to Almada leaves at nine.", at(5))
    ]
    assert found.has_more is False


async def test_a_title_is_found_as_the_message_0(store: Store) -> None:
    await store.create_session(make_session("sess_1", name="Trip to Lisbon", created_at=at(3)))
    found = await store.search(ALICE.id, "lisbon", limit=10, offset=0)
    assert list(found.items) == [SearchHit("sess_1", "Trip to Lisbon", 0, None, None, "Trip to Lisbon", at(3))]


async def test_of_a_renamed_session_the_new_title_is_found_and_the_old_one_is_not(store: Store) -> None:
    session = make_session("sess_1", name="Trip to Lisbon")
    await store.create_session(session)
    await add_texts(store, session, "hello")
    changes = SessionChanges(frozenset({"name"}), name="Trip to Porto")
    await store.update_session(ALICE.id, "sess_1", changes, at(1))
    assert await hits(store, "Porto") == [("sess_1", 0)]
    assert await hits(store, "Lisbon") == []
    await store.update_session(ALICE.id, "sess_1", SessionChanges(frozenset({"name"})), at(2))
    assert await hits(store, "Porto") == []
    assert await hits(store, "hello") == [("sess_1", 1)]


async def test_a_message_found_later_comes_with_the_sessions_new_name(store: Store, session: Session) -> None:
    await add_texts(store, session, "hello")
    assert await hits(store, "hello") == [(session.id, 1)]
    await store.update_session(ALICE.id, session.id, SessionChanges(frozenset({"name"}), name="Greetings"), at(1))
    found = await store.search(ALICE.id, "hello", limit=10, offset=0)
    assert [hit.session_name for hit in found.items] == ["Greetings"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"role":"user","content":[{"type":"text","text":"first"},{"type":"text","text":"a needle"}]}',
        b'{"role":"tool","tool_call_id":"call_1","content":"{\\"answer\\": \\"needle\\"}"}',
        b'{"role":"assistant","content":null,"refusal":"No needle for you."}',
        b'{"role":"assistant","content":[{"type":"refusal","refusal":"needle"}]}',
        b'{"role":"assistant","content":null,"audio":{"id":"a","data":"UklG","transcript":"spoken needle"}}',
        rb'{"role":"user","content":"half a pair \ud83d and a needle"}',
        rb'{"role":"user","content":"nul\u0000needle"}',
    ],
)
async def test_whatever_people_would_read_of_a_message_is_found(store: Store, session: Session, body: bytes) -> None:
    await store.add_messages(make_appending(session, make_message("x", body)))
    found = await store.search(ALICE.id, "needle", limit=10, offset=0)
    assert [(hit.session_id, hit.seq) for hit in found.items] == [(session.id, 1)]
    assert b"needle" in found.items[0].snippet.encode()  # which half a surrogate pair would not let through


async def test_what_is_in_a_message_beside_its_text_is_not_found(store: Store, session: Session) -> None:
    body = (
        b'{"role":"user","name":"needle","content":['
        b'{"type":"image_url","image_url":{"url":"https://example.test/needle"}},{"type":"text","text":"look"}]}'
    )
    await store.add_messages(make_appending(session, make_message(body=body)))
    assert await hits(store, "needle") == []
    assert await hits(store, "user") == []
    assert await hits(store, "look") == [(session.id, 1)]


async def test_all_words_of_a_query_stand_in_one_message_in_any_order(store: Store, session: Session) -> None:
    await add_texts(store, session, "red apples", "green pears", "green apples and pears")
    assert await hits(store, "apples green") == [(session.id, 3)]
    assert await hits(store, "red pears") == []
    assert sorted(await hits(store, "apples")) == [(session.id, 1), (session.id, 3)]


async def test_words_that_a_query_joins_stand_together_in_the_text(store: Store, session: Session) -> None:
    await add_texts(store, session, "the state-of-the-art thing", "art of the state")
    assert await hits(store, "state-of-the-art") == [(session.id, 1)]
    assert sorted(await hits(store, "state art")) == [(session.id, 1), (session.id, 2)]


async def test_a_word_is_found_whole_not_by_its_parts(store: Store, session: Session) -> None:
    await add_texts(store, session, "understanding")
    assert await hits(store, "under") == []
    assert await hits(store, "standing") == []
    assert await hits(store, "understand") == []
    assert await hits(store, "understanding") == [(session.id, 1)]


@pytest.mark.parametrize("word", ["the", "and", "or", "not", "a", "is", "der", "running", "x" * 63])
async def test_no_word_is_too_common_to_be_found_and_none_is_stemmed(store: Store, session: Session, word: str) -> None:
    await add_texts(store, session, f"so {word} it", "so it runs")
    assert await hits(store, word) == [(session.id, 1)]


# whose it is, and when


async def test_nobody_finds_somebody_elses_texts(store: Store, session: Session) -> None:
    await add_texts(store, session, "secret")
    of_bob = make_session("sess_bob", BOB, name="secret too")
    await store.create_session(of_bob)
    assert await hits(store, "secret") == [(session.id, 1)]
    assert await hits(store, "secret", BOB) == [("sess_bob", 0)]
    assert await hits(store, "secret", User("user_unknown", "")) == []


@pytest.mark.parametrize("user_id", [ALICE.id, "user", "alice", "sess_1"])
async def test_ids_are_no_words(store: Store, session: Session, user_id: str) -> None:
    await add_texts(store, session, "hello")
    assert await hits(store, user_id) == []


async def test_what_is_deleted_or_purged_is_not_found(store: Store, session: Session) -> None:
    purged = make_session("sess_2", name="word")
    await store.create_session(purged)
    await add_texts(store, session, "word")
    await add_texts(store, purged, "word")
    assert len(await hits(store, "word")) == 3
    await store.purge_session(ALICE.id, purged.id)
    assert await hits(store, "word") == [(session.id, 1)]
    await store.delete_session(ALICE.id, session.id, at(1))
    assert await hits(store, "word", include_archived=True) == []


async def test_a_session_made_anew_has_nothing_of_the_old_one(store: Store, session: Session) -> None:
    await add_texts(store, session, "old words")
    assert len(await hits(store, "old")) == 1
    await store.purge_session(ALICE.id, session.id)
    await store.create_session(make_session(session.id, BOB))
    await add_texts(store, make_session(session.id, BOB), "new words")
    assert await hits(store, "words") == []
    assert await hits(store, "old", BOB) == []
    assert await hits(store, "words", BOB) == [(session.id, 1)]


async def test_archived_sessions_are_searched_only_if_asked(store: Store, session: Session) -> None:
    await add_texts(store, session, "word")
    for archived_at, expected in ((at(1), []), (None, [(session.id, 1)])):
        changes = SessionChanges(frozenset({"archived_at"}), archived_at=archived_at)
        await store.update_session(ALICE.id, session.id, changes, at(1))
        assert await hits(store, "word") == expected
        assert await hits(store, "word", include_archived=True) == [(session.id, 1)]


@pytest.mark.parametrize("status", Status)
async def test_what_a_turn_stored_is_found_at_once_however_it_ended(
    store: Store, session: Session, status: Status
) -> None:
    for number in range(1, 6):
        entry = make_entry(session, status=status)
        await store.close_turn(ClosedTurn(entry, (make_text(f"word{number}"),)))
        assert await hits(store, f"word{number}") == [(session.id, number)]


# in which order


async def test_a_short_text_full_of_the_word_comes_before_a_long_one_that_has_it_once(
    store: Store, session: Session
) -> None:
    long = " ".join(f"filler{number}" for number in range(200))
    await add_texts(store, session, f"{long} tomato {long}", "tomato, tomato!", f"{long} tomato {long}")
    assert (await hits(store, "tomato"))[0] == (session.id, 2)


async def test_of_equals_the_newest_comes_first_in_every_session(store: Store, session: Session) -> None:
    other = make_session("sess_2")
    await store.create_session(other)
    for seconds, where in ((3, session), (1, other), (4, other), (2, session)):
        await store.add_messages(make_appending(where, make_text("same words"), created_at=at(seconds)))
    assert await hits(store, "words") == [("sess_2", 2), ("sess_1", 1), ("sess_1", 2), ("sess_2", 1)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_cover_all_hits_once_and_say_whether_there_are_more(
    store: Store, session: Session, limit: int
) -> None:
    for number in range(7):
        await store.add_messages(make_appending(session, make_text("same words"), created_at=at(number)))
    seen: list[int] = []
    for offset in range(0, 7, limit):
        found = await store.search(ALICE.id, "words", limit=limit, offset=offset)
        seen += [hit.seq for hit in found.items]
        assert found.has_more is (offset + limit < 7)
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    beyond = await store.search(ALICE.id, "words", limit=limit, offset=7)
    assert (list(beyond.items), beyond.has_more) == ([], False)


# what is said of it


async def test_a_snippet_is_short_and_has_the_word_however_long_the_text(store: Store, session: Session) -> None:
    filler = "lorem ipsum dolor " * 2_000
    await add_texts(store, session, f"{filler} the needle \n\n here {filler}")
    (hit,) = (await store.search(ALICE.id, "NEEDLE", limit=10, offset=0)).items
    assert "the needle here" in hit.snippet
    assert len(hit.snippet) <= 300
    assert hit.snippet.startswith("… ")
    assert hit.snippet.endswith(" …")
