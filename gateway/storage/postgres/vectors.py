"""Texts and queries in PostgreSQL's notations for full text search, put together without its parsers; pure.

A tsvector is a list of words with their places, a tsquery a formula of words. Every word is quoted, so that nothing of
a text or of a query is ever read as syntax. The first lexeme of each text is its owner: one lookup in the index then
finds this user's texts and nobody else's. No word can be mistaken for it, since none begins with `@`.

A tsvector keeps the first 255 places of a word. For later ones, pairs of neighbours are kept as lexemes of their own,
so that a run of words is found there, too: frequent characters of scripts without spaces come that often.
"""

from collections.abc import Sequence
from itertools import pairwise

from gateway.storage.words import words_of

_MOST_PLACES = 255


def to_vector(user_id: str, text: str) -> str:
    """The tsvector of a text."""
    words = words_of(text)
    places: dict[str, list[int]] = {}
    crowded = set()
    for place, word in enumerate(words, start=1):
        kept = places.setdefault(word, [])
        if len(kept) < _MOST_PLACES:
            kept.append(place)
        else:
            crowded.add(place)
    pairs = {
        _pair(left, right)
        for place, (left, right) in enumerate(pairwise(words), start=1)
        if crowded and (place in crowded or place + 1 in crowded)
    }
    lexemes = [_quoted(_owner(user_id)), *map(_quoted, sorted(pairs))]
    lexemes += [f"{_quoted(word)}:{','.join(map(str, kept))}" for word, kept in places.items()]
    return " ".join(lexemes)


def to_query(phrases: Sequence[Sequence[str]]) -> str:
    """The tsquery that asks for each of these runs of words."""
    return " & ".join([_run(phrase) for phrase in phrases])


def owned_query(user_id: str, phrases: Sequence[Sequence[str]]) -> str:
    """As to_query, in the texts of one user."""
    return f"{_quoted(_owner(user_id))} & {to_query(phrases)}"


def _run(phrase: Sequence[str]) -> str:
    together = " <-> ".join(map(_quoted, phrase))
    if len(phrase) == 1:
        return together
    pairs = " & ".join([f"({_quoted(a)} <-> {_quoted(b)} | {_quoted(_pair(a, b))})" for a, b in pairwise(phrase)])
    return f"({together} | {pairs})"


def _pair(left: str, right: str) -> str:
    return f"{left} {right}"


def _owner(user_id: str) -> str:
    return f"@{user_id}"


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
