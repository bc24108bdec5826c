"""What search takes for words. Languages are in tests/contract/store/test_search_languages.py; here are the bounds."""

import unicodedata

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.storage.words import MOST_BYTES, MOST_WORDS, matches, phrases_of, snippet, text_of, words_of

ANYTHING = st.text(st.characters(), max_size=200)
"""Lone surrogates, marks without a letter, joiners, NUL and all."""

LETTERS = st.text(st.characters(categories=["L", "N", "M", "P", "Z", "Cf"]), max_size=200)


@given(ANYTHING)
def test_words_are_not_empty_and_have_no_space_control_or_half_character(text: str) -> None:
    for word in words_of(text):
        assert word.split() == [word]
        assert 0 < len(word) <= 64
        assert {unicodedata.category(character)[0] for character in word} <= {"L", "M", "N"}
        word.encode()


@given(ANYTHING)
def test_words_have_nothing_that_is_ascii_but_small_letters_and_digits(text: str) -> None:
    """So that no tokenizer splits or changes them, and no query has a syntax."""
    for character in "".join(words_of(text)):
        assert not character.isascii() or character.isdigit() or character.islower()


@given(LETTERS)
def test_every_stretch_of_a_text_finds_it(text: str) -> None:
    words = words_of(text)
    for stretch in text.split():
        assert matches(words, phrases_of(stretch))
    assert matches(words, phrases_of(text))


@given(LETTERS)
def test_the_same_text_in_another_composition_or_case_has_the_same_words(text: str) -> None:
    words = words_of(text)
    assert words_of(unicodedata.normalize("NFD", text)) == words
    assert words_of(unicodedata.normalize("NFC", text)) == words
    assert words_of(text.casefold()) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't over-think it_all!", ["don", "t", "over", "think", "it", "all"]),
        ("3.14 ½ x²", ["3", "14", "1", "2", "x2"]),
        ("北京abc東京", ["北", "京", "abc", "東", "京"]),
        ("𠮷𠮟", ["𠮷", "𠮟"]),
        ("서울에서", ["서", "울", "에", "서"]),
        ("नमस्ते", ["नमस्ते"]),
        ("a\u00adb\u200dc", ["abc"]),
        ("a\0b\ud800c\u2028d", ["a", "b", "c", "d"]),
        ("\u0301 \u0301a", ["a"]),
        ("🎉", []),
    ],
    ids=ascii,
)
def test_words_are_runs_of_letters_marks_and_digits_folded(text: str, expected: list[str]) -> None:
    assert words_of(text) == expected


def test_of_a_long_text_the_first_words_are_indexed() -> None:
    assert words_of("word " * (MOST_WORDS + 1)) == ["word"] * MOST_WORDS
    endless = words_of(f"{'ж' * 64} " * 10_000)
    assert sum(len(word.encode()) + 1 for word in endless) <= MOST_BYTES
    assert len(endless) == MOST_BYTES // 129


def test_of_a_long_word_the_beginning_counts_in_text_and_query() -> None:
    assert words_of("x" * 300) == ["x" * 64]
    assert phrases_of("x" * 300) == [["x" * 64]]


def test_a_query_is_split_at_spaces_and_each_part_is_a_phrase() -> None:
    assert phrases_of('  "Over-Think"\tIT it 北京 -- ') == [["over", "think"], ["it"], ["北", "京"]]


def test_of_an_endless_query_the_beginning_counts() -> None:
    assert phrases_of(" ".join(f"w{number}" for number in range(1000))) == [[f"w{number}"] for number in range(32)]
    assert phrases_of("-".join(f"w{number}" for number in range(1000))) == [[f"w{number}" for number in range(32)]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [("b c", True), ("c b", True), ("b-c", True), ("c-b", False), ("a-b-c", True), ("b-c-d", False), ("x", False)],
)
def test_phrases_stand_in_a_text_as_they_are(query: str, expected: bool) -> None:
    assert matches(["a", "b", "c"], phrases_of(query)) is expected


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_what_people_wrote_is_the_text_of_a_message_in_either_form(text: str, in_parts: bool) -> None:
    content = [{"type": "text", "text": text}] if in_parts else text
    assert text_of(orjson.dumps({"role": "user", "content": content})) == text


@given(st.text(st.characters()))
def test_half_a_surrogate_pair_costs_a_message_no_other_character(text: str) -> None:
    escaped = "".join(f"\\u{ord(character):04x}" for character in text if ord(character) < 0x10000)
    found = text_of(f'{{"content":"needle {escaped}"}}'.encode())
    found.encode()
    assert found.startswith("needle ")


@pytest.mark.parametrize(
    ("escaped", "expected"),
    [
        (rb"\ud83d\ude00", "😀"),
        (rb"\uD83D\uDE00\ud83d", "😀\ufffd"),
        (rb"\ud83d\ud83d\ude00\ude00", "\ufffd😀\ufffd"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (rb"\\ud83d\ude00", "\\ud83d\ufffd"),
        (rb"\\\ud83d\ude00\n\ude00", "\\😀\n\ufffd"),
        (rb"\\\ude00", "\\\ufffd"),
    ],
)
def test_half_a_surrogate_pair_becomes_a_replacement_character(escaped: bytes, expected: str) -> None:
    assert text_of(b'{"content":"%b"}' % escaped) == expected


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"content": None},
        {"content": []},
        {"content": ["text", 1, None, {"text": {"a": 1}}, {"type": "image_url"}]},
        {"audio": "x", "refusal": 1},
    ],
)
def test_a_message_without_text_has_none(message: object) -> None:
    assert text_of(orjson.dumps(message)) == ""


@given(
    st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=400),
    st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=400),
    st.sampled_from(["needle", "Straße", "北京", "서울", "crème", "дела"]),
)
def test_a_snippet_has_what_was_found_and_is_one_short_line(before: str, after: str, word: str) -> None:
    phrases = phrases_of(word)
    assume(not matches(words_of(f"{before} {after}"), phrases))
    found = snippet(f"{before} {word} {after}", phrases)
    assert word in found
    assert len(found) <= 300
    assert len(found.splitlines()) <= 1


@given(ANYTHING, ANYTHING)
def test_a_snippet_of_anything_is_short(text: str, query: str) -> None:
    assert len(snippet(text * 3, phrases_of(query))) <= 300


def test_a_snippet_is_the_whole_text_if_that_is_short() -> None:
    assert snippet("The  ferry\n\nleaves.", phrases_of("ferry")) == "The ferry leaves."


def test_a_snippet_is_cut_at_words() -> None:
    text = " ".join(f"word{number:03}" for number in range(200))
    found = snippet(text, phrases_of("word100"))
    assert found.startswith("… word0")
    assert found.endswith(" …")
    assert all(len(word) == 7 for word in found.split()[1:-1])


def test_a_snippet_shows_the_first_of_the_phrases_whole() -> None:
    text = "北方 " * 100 + "北京" + " 东京" * 100
    assert "北京" in snippet(text, phrases_of("京"))
    assert "北京" in snippet(text, phrases_of("北京"))
    assert "东京 东京" in snippet(text, phrases_of("东京"))


def test_a_snippet_shows_the_beginning_of_a_word_that_was_cut() -> None:
    found = snippet("filler " * 100 + "x" * 300, phrases_of("x" * 300))
    assert "x" * 64 in found
    assert len(found) <= 300


def test_of_two_phrases_a_snippet_shows_the_one_that_comes_first() -> None:
    assert snippet("alpha " + "filler " * 100 + "beta", phrases_of("beta alpha")).startswith("alpha filler")
