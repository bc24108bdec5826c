"""What search takes for words, in any language; pure, and the same for every adapter.

A word is a run of letters, marks and digits, folded: without regard to case, width and accents. Scripts that are
written without spaces between words (Chinese, Japanese, Thai, …; Korean too, whose words carry their particles) are
split into single characters, and a run of them in a query must be found as it stands. So whatever the language, a word
of the text is found, and no dictionary is needed. Everything else only separates: there is no query syntax, hence
nothing to escape.

Adapters index the words that `words_of` gives, separated by spaces, and need tokenizers that split at spaces and
nowhere else.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, islice
from typing import Any

import orjson

MOST_WORDS = 16_000
"""Of a text, the first so many words are indexed. PostgreSQL's tsvector holds positions up to 16,383."""

MOST_BYTES = 600_000
"""… and the first so many bytes of them: a tsvector takes one megabyte."""

_LONGEST_WORD = 64
"""Characters; what is longer is cut, in texts and queries alike."""

_MOST_QUERY_WORDS = 32
_ACCENTS = re.compile("[\u0300-\u036f]+")

# An escaped half of a surrogate pair: JSON's grammar has it, Unicode does not, and orjson refuses it. Escapes are read
# one after the other: what follows an escaped backslash is none.
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"%b%b|(%b|%b)|\\." % (_HIGH, _LOW, _HIGH, _LOW), re.DOTALL)
_BEFORE, _AFTER = 60, 140
"""Characters of a snippet before and after the place that was found."""

_KEPT = 0x10000
"""How many characters' classes, and folded forms, are kept in memory at most: those of nearly all texts."""

# First and last of ranges of characters that are words by themselves.
_SINGLE = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),  # Hangul
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)


class _Separated(dict[int, str | None]):
    """For str.translate, filled as characters are met: separators become spaces, single ones stand between spaces."""

    def __missing__(self, code: int) -> str | None:
        separated = _separated(code)
        if code < _KEPT:
            self[code] = separated
        return separated


def _separated(code: int) -> str | None:
    character = chr(code)
    category = unicodedata.category(character)
    if category == "Cf":  # joiners and direction marks, which stand within words
        return None
    if category[0] not in "LMN":
        return " "
    return f" {character} " if any(first <= code <= last for first, last in _SINGLE) else character


_SEPARATED = _Separated()


def words_of(text: str) -> list[str]:
    """The words of a text, in their order, as far as they are indexed."""
    words: list[str] = []
    size = 0
    for word in islice(_words(text), MOST_WORDS):
        size += len(word.encode()) + 1
        if size > MOST_BYTES:
            break
        words.append(word)
    return words


def phrases_of(query: str) -> list[list[str]]:
    """What a text must have to be found: each of these runs of words. Empty if the query has no words at all."""
    phrases: list[list[str]] = []
    for chunk in islice(query.split(), _MOST_QUERY_WORDS):
        phrase = list(islice(_words(chunk), _MOST_QUERY_WORDS))
        if phrase and phrase not in phrases:
            phrases.append(phrase)
    return phrases


def matches(words: Sequence[str], phrases: Sequence[Sequence[str]]) -> bool:
    """Whether all phrases stand in these words."""
    joined = f" {' '.join(words)} "
    return all(f" {' '.join(phrase)} " in joined for phrase in phrases)


def text_of(body: bytes) -> str:
    """What people would read of a message, given as wire JSON: text, a refusal, what was said in audio."""
    message = _parsed(body)
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get(kind) for part in parts if isinstance(part, dict) for kind in ("text", "refusal")]
    audio: Any = message.get("audio")
    texts += [message.get("refusal"), audio.get("transcript") if isinstance(audio, dict) else None]
    return "\n".join(text for text in texts if isinstance(text, str))


def snippet(text: str, phrases: Sequence[Sequence[str]]) -> str:
    """The text around the first place where one of the phrases stands, on one line."""
    text = unicodedata.normalize("NFC", text[: 2 * MOST_BYTES])
    place = _first_place(text, phrases)
    start, end = max(0, place - _BEFORE), place + _AFTER
    start = 0 if start == 0 else text.find(" ", start, place) + 1 or start
    end = len(text) if end >= len(text) else max(text.rfind(" ", place, end), place) or end
    end = end if end > place else min(place + _AFTER, len(text))
    line = " ".join(text[start:end].split())
    return f"{'… ' if start else ''}{line}{' …' if end < len(text) else ''}"


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return orjson.loads(_ESCAPE.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], body))


def _words(text: str) -> Sequence[str]:
    # Twice as much text as words can be made of it is enough to look at.
    return [word[:_LONGEST_WORD] for word in _fold(text[: 2 * MOST_BYTES]).translate(_SEPARATED).split()]


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", folded)))


def _first_place(text: str, phrases: Sequence[Sequence[str]]) -> int:
    """0 if there is none, which folding character by character can miss."""
    if text.isascii():
        return _first_match(_fold(text).translate(_SEPARATED), phrases) or 0  # every character became one
    pieces = [_piece(character) for character in text]
    place = _first_match("".join(pieces), phrases)
    return 0 if place is None else bisect_right(list(accumulate(map(len, pieces))), place)


def _first_match(folded: str, phrases: Sequence[Sequence[str]]) -> int | None:
    places = [found.start() for phrase in phrases if (found := re.search(_pattern(phrase), folded))]
    return min(places, default=None)


@lru_cache(maxsize=_KEPT)
def _piece(character: str) -> str:
    return _fold(character).translate(_SEPARATED)


def _pattern(phrase: Sequence[str]) -> str:
    words = [re.escape(word) + (r"\S*" if len(word) == _LONGEST_WORD else "") for word in phrase]
    return r"(?<!\S)" + r"\s+".join(words) + r"(?!\S)"
