"""What every store promises of search in much text: it is stored, indexed, and found."""

import pytest

from gateway.domain import Session
from gateway.ports import Store
from tests.contract.store.values import ALICE, add_texts, hits, make_appending, make_text, messages

ENDLESS = "w" * 300


def unique_words() -> str:
    """A megabyte of them."""
    return " ".join(f"word{number:06}" for number in range(95_000))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (unique_words(), "word000000 word000777"),
        (" ".join(f"{number:04}{ENDLESS}" for number in range(3_000)), f"0007{ENDLESS}"),
        (" ".join(f"{number:04}{'ж' * 300}" for number in range(1_500)), f"0007{'ж' * 300}"),
        ("北京" * 170_000, "北京"),
        ("😀" * 250_000 + " end", "end"),
        ("\0" * 100_000 + " end", "end"),
        ("first " + "\u0301" * 300_000, "first"),
        ("same " * 200_000, "same"),
        ("x" * 1_000_000, "x" * 1_000_000),
    ],
    ids=[
        "unique words",
        "endless words",
        "endless words of two bytes a letter",
        "no spaces",
        "emoji",
        "NULs",
        "accents",
        "one word",
        "one endless word",
    ],
)
async def test_a_megabyte_is_stored_and_its_beginning_found(
    store: Store, session: Session, text: str, query: str
) -> None:
    await add_texts(store, session, text, "the next one")
    found = await store.search(ALICE.id, query, limit=10, offset=0)
    assert [hit.seq for hit in found.items] == [1]
    assert len(found.items[0].snippet) <= 300
    assert await hits(store, "next") == [(session.id, 2)]
    assert [message.seq for message in await messages(store, session)] == [1, 2]


async def index_all(store: Store, limit: int) -> None:
    """Fails if it takes more calls than there can be batches."""
    for _ in range(3_500 // limit + 10):
        if await store.index_messages(limit=limit) == 0:
            return
    pytest.fail("index_messages never says that all is in")


async def test_with_all_in_the_index_there_is_nothing_left_to_do(store: Store, session: Session) -> None:
    assert await store.index_messages(limit=100) == 0
    await add_texts(store, session, "one", "two", "three")
    await index_all(store, 100)
    assert await store.index_messages(limit=100) == 0
    assert await hits(store, "two") == [(session.id, 2)]


async def test_of_thousands_of_imported_messages_the_first_and_the_last_are_found(
    store: Store, session: Session
) -> None:
    for start in range(0, 3_000, 500):
        texts = [make_text(f"number n{number} of many") for number in range(start, start + 500)]
        assert await store.add_messages(make_appending(session, *texts)) == start + 1
    await index_all(store, 400)
    for number in (0, 499, 500, 1_500, 2_999):
        assert await hits(store, f"n{number}") == [(session.id, number + 1)]
    found = await store.search(ALICE.id, "many", limit=5, offset=2_995)
    assert (len(found.items), found.has_more) == (5, False)
