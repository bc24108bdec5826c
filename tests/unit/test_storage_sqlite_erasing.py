"""What the SQLite store leaves of what was removed: nothing, in the rows, in the search index, and in the files."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain import Session, SessionChanges, User
from gateway.ports import Appending, Cleaned, Cleaning
from gateway.storage.sqlite import SqliteStore, indexing
from tests.contract.store.values import ALICE, BOB, START, at, make_key, make_message, make_session, make_turn


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(f"sqlite:///{path}")
    await store.start()
    await store.add_key(make_key("key_1", ALICE))
    await store.add_key(make_key("key_2", BOB))
    yield store
    await store.aclose()


def traces(path: Path, word: bytes) -> dict[str, int]:
    """How often a word stands in each of the database's files."""
    return {file.name: count for file in path.parent.iterdir() if (count := file.read_bytes().lower().count(word))}


async def say(store: SqliteStore, session: Session, text: str) -> None:
    body = b'{"role":"user","content":"%b"}' % text.encode()
    message = make_message(body=body, metadata={"note": text[:50]})
    appending = Appending(session.user_id, session.id, "turn_1", START, (message,), instructions=(body,))
    assert await store.add_messages(appending) is not None


async def chat(store: SqliteStore, user: User, session: Session, word: str, chance: random.Random) -> None:
    """One message of few or many words, all of them with `word` in them, and a new title."""
    text = " ".join(f"{word}{chance.randrange(10**6)}" for _ in range(chance.choice([2, 5, 20, 100, 600])))
    await say(store, session, text)
    changes = SessionChanges(frozenset({"name", "metadata"}), name=text[:100], metadata={"topic": text[:20]})
    await store.update_session(user.id, session.id, changes, at(1))


async def test_erasing_a_user_leaves_not_a_word_of_theirs_in_any_file(store: SqliteStore, path: Path) -> None:
    chance = random.Random(1)  # noqa: S311 - no secret: the same texts in each run
    users = {"secret": ALICE, "public": BOB}
    sessions = [(make_session(user=user), user, word) for _ in range(8) for word, user in users.items()]
    for session, _, _ in sessions:
        await store.create_session(session)
    for number in range(600):
        session, user, word = chance.choice(sessions)
        await chat(store, user, session, word, chance)
        if number % 50 == 0:
            await store.index_messages(limit=10_000)
    await store.search(ALICE.id, "secret1", limit=1, offset=0)
    assert traces(path, b"secret")
    assert await store.erase_user(ALICE.id)
    assert traces(path, b"secret") == {}
    await store.aclose()
    assert traces(path, b"secret") == {}
    assert list(traces(path, b"public")) == ["gateway.db"]


async def test_erasing_one_user_leaves_the_others_index_whole(store: SqliteStore) -> None:
    for user, name in ((ALICE, "garden"), (BOB, "harbour")):
        session = make_session(user=user, name=name)
        await store.create_session(session)
        for _ in range(20):
            await say(store, session, name)
    await store.index_messages(limit=10_000)
    await store.erase_user(ALICE.id)
    found = await store.search(BOB.id, "harbour", limit=100, offset=0)
    assert len(found.items) == 21
    check = "INSERT INTO search_index (search_index, rank) VALUES ('integrity-check', 1)"
    await store._lanes.writer.run(lambda connection: connection.execute(check).close())


async def test_beside_the_keeper_rows_are_erased_and_the_wal_is_left_to_it(store: SqliteStore, path: Path) -> None:
    session = make_session(name="secret")
    await store.create_session(session)
    guest = SqliteStore(f"sqlite:///{path}")
    await guest.start()
    assert await guest.erase_user(ALICE.id)
    assert traces(path, b"secret") == {"gateway.db-wal": traces(path, b"secret")["gateway.db-wal"]}
    await guest.aclose()
    await store.aclose()
    assert traces(path, b"secret") == {}


async def test_nothing_of_a_purged_session_comes_back_into_the_index(store: SqliteStore) -> None:
    """Its messages were read before, and their words are written after it was purged and its id given anew."""
    session = make_session("sess_1", name="secret")
    await store.create_session(session)
    await say(store, session, "secret")
    lanes = store._lanes
    lacking = await lanes.read(lambda connection: indexing.read_lacking(connection, user_id=ALICE.id, limit=100))
    await store.purge_session(ALICE.id, session.id)
    await lanes.write(lambda connection: indexing.write(connection, indexed=indexing.words_for(lacking)))
    await store.create_session(make_session("sess_1", created_at=at(1)))
    await lanes.write(lambda connection: indexing.write(connection, indexed=indexing.words_for(lacking)))
    assert list((await store.search(ALICE.id, "secret", limit=9, offset=0)).items) == []
    count = "SELECT count(*) FROM search_texts"
    assert await lanes.read(lambda connection: connection.execute(count).fetchone()[0]) == 0


async def test_an_old_title_does_not_replace_the_new_one(store: SqliteStore) -> None:
    """Read before the session was renamed, and written after its new title was."""
    session = make_session("sess_1", name="old")
    await store.create_session(session)
    lanes = store._lanes
    lacking = await lanes.read(lambda connection: indexing.read_lacking(connection, user_id=None, limit=100))
    await store.index_messages(limit=100)
    await store.update_session(ALICE.id, "sess_1", SessionChanges(frozenset({"name"}), name="new"), at(1))
    for _ in range(2):
        await lanes.write(lambda connection: indexing.write(connection, indexed=indexing.words_for(lacking)))
        assert len((await store.search(ALICE.id, "new", limit=9, offset=0)).items) == 1


async def test_a_long_session_is_hidden_and_purged_in_batches(store: SqliteStore) -> None:
    session = make_session("sess_1", ttl_seconds=10)
    await store.create_session(session)
    for _ in range(3):
        await store.close_turn(make_turn(session))
    cleaning = Cleaning(at(11), limit=4)
    assert await store.clean(cleaning) == Cleaned(messages=4)
    assert await store.get_session(ALICE.id, "sess_1") is None
    assert await store.clean(cleaning) == Cleaned(purged=1, messages=2)
    cleaned = await store.clean(cleaning)
    assert cleaned is not None
    assert cleaned.is_done
