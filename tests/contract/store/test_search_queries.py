"""What every store promises of queries: they are words and nothing else, whatever a database might see in them."""

import pytest

from gateway.domain import Session
from gateway.ports import Store
from tests.contract.store.values import add_texts, hits


def _shown(query: str) -> str:
    return ascii(query[:30])


OPERATORS = (
    "AND OR NOT",
    "apple AND",
    "apple OR zebra",
    "NOT zebra",
    "apple NOT zebra",
    "NEAR(apple pear)",
    "NEAR/2",
    "appl*",
    "^apple zebra",
    "words:apple",
    "owner:user_alice",
    "session_id:sess_1",
    "{owner words}: apple",
    "- zebra",
    "apple + zebra",
    "apple & zebra",
    "apple | zebra",
    "zebra <-> apple",
    "apple <2> zebra",
    "appl:*",
    "apple:zebra",
    '"apple zebra"',
    "'apple'zebra",
    "$$zebra$$",
    "zebra) OR (apple",
    "zebra' OR '1'='1",
    "'; DROP TABLE sessions; --",
    "zebra -- apple",
    "zebra /* apple */",
    "appl%",
    "appl_",
    "appl\\",
    ":q ? $1 %s {0}",
    "zebra\0apple",
    "zebra\ud800apple",
    "\udfff zebra",
    "apple " + "zebra " * 20_000,
    "x" * 100_000,
)

WITHOUT_WORDS = (
    "",
    " \t\n",
    '"',
    '""',
    "'",
    "*",
    "(",
    ")(",
    "((((",
    ":",
    "^",
    "-",
    "--",
    "\\",
    "%",
    "_",
    "&",
    "|",
    "!",
    "<->",
    "👩‍👩‍👧‍👦🏴",
    "\0",
    "\ud800",
    "\u200d\u202e",
    "(" * 100_000,
)


@pytest.mark.parametrize("query", OPERATORS, ids=_shown)
async def test_no_query_has_a_meaning_beyond_its_words(store: Store, session: Session, query: str) -> None:
    """None of these has only words of the text, whichever operators a database might see in it."""
    await add_texts(store, session, "an apple a day, one pear")
    assert await hits(store, query) == []


@pytest.mark.parametrize("query", WITHOUT_WORDS, ids=_shown)
async def test_a_query_without_words_finds_nothing(store: Store, session: Session, query: str) -> None:
    await add_texts(store, session, "an apple a day", query.replace("\ud800", ""))
    assert await hits(store, query) == []


@pytest.mark.parametrize(
    "query",
    [
        '"apple"',
        "'apple'",
        "(apple)",
        "apple)",
        "((apple",
        "apple*",
        "*apple",
        "^apple",
        "-apple",
        "+apple!",
        "apple:",
        "apple & pear",
        "apple | pear",
        "!apple",
        "apple\\",
        "%apple%",
        "_apple_",
        "apple, pear; --",
        '"apple pear',
        "apple\0",
        "\ud800 apple",
        "🍎apple🍎",
        "a\u00adpple",
        "\u202eapple\u202c",
        "apple " * 10_000,
    ],
    ids=_shown,
)
async def test_what_is_no_word_of_a_query_only_separates(store: Store, session: Session, query: str) -> None:
    await add_texts(store, session, "one apple, one pear")
    assert await hits(store, query) == [(session.id, 1)]


async def test_the_words_of_query_languages_are_words(store: Store, session: Session) -> None:
    await add_texts(store, session, "to be or not to be, and near", "nothing of the kind")
    for query in ("AND", "or", "NOT", "NEAR", "not AND or", "NEAR or NOT"):
        assert await hits(store, query) == [(session.id, 1)]
