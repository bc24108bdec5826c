"""What is sent to PostgreSQL as tsvector and tsquery: nothing in it is ever syntax."""

from collections.abc import Iterator

import asyncpg
import pytest

from gateway.storage.postgres.vectors import owned_query, to_query, to_vector
from gateway.storage.words import phrases_of
from tests.postgresql import PostgreSQL


@pytest.fixture(scope="module")
def url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.empty_database() as url:
        yield url


async def is_found(url: str, text: str, query: str, *, owner: str = "u", user: str = "u") -> bool:
    connection = await asyncpg.connect(url)
    try:
        return bool(
            await connection.fetchval(
                "SELECT $1::text::tsvector @@ $2::text::tsquery",
                to_vector(owner, text),
                owned_query(user, phrases_of(query)),
            )
        )
    finally:
        await connection.close()


def test_a_vector_is_the_owner_and_each_word_with_its_places() -> None:
    assert to_vector("u", "One two ONE") == "'@u' 'one':1,3 'two':2"


def test_a_query_is_all_of_its_words_and_runs() -> None:
    assert to_query(phrases_of("one two")) == "'one' & 'two'"
    assert to_query(phrases_of("one-two")) == "('one' <-> 'two' | ('one' <-> 'two' | 'one two'))"


@pytest.mark.parametrize("user", ["it's", "back\\slash", "a' & 'b", "@", "用户", "a b", "'", "\\"])
async def test_whatever_the_owners_id_is_their_texts_are_theirs_alone(url: str, user: str) -> None:
    assert await is_found(url, "hello", "hello", owner=user, user=user)
    assert not await is_found(url, "hello", "hello", owner=user, user="somebody else")


@pytest.mark.parametrize("query", ["a & !b", "'a' | 'b'", "a:*", "a <-> b", "(a", "a \\", "a:1A", "@u", "b <2> a"])
async def test_the_syntax_of_queries_is_just_text(url: str, query: str) -> None:
    """Words are found wherever they stand, and what is no word is passed over."""
    assert await is_found(url, "2 a 1a u b", query)
    assert not await is_found(url, "c", query)


async def test_a_run_of_words_is_found_however_often_they_come_before(url: str) -> None:
    """A tsvector keeps no more than 255 places of one word."""
    text = "的一" * 400 + "的二三" + "一的" * 400
    assert await is_found(url, text, "的二三")
    assert await is_found(url, text, "二三一的")
    assert not await is_found(url, text, "的三")
    assert not await is_found(url, text, "一二")


async def test_the_longest_text_is_indexed(url: str) -> None:
    words = [f"{number:x}".rjust(30, "x") for number in range(20_000)]
    assert await is_found(url, " ".join(words), words[15_999])
    assert await is_found(url, "的" * 100_000, "的的的")
