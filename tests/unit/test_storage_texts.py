"""Which texts can be stored."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.storage.texts import check_json, check_texts, has_nul, is_storable

TEXTS = st.text(st.characters())
CLEAN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def objects(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    values = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(texts, values, max_size=4)


@given(TEXTS)
def test_a_text_can_be_stored_if_it_is_unicode_without_nul(text: str) -> None:
    is_unicode = not any(0xD800 <= ord(character) <= 0xDFFF for character in text)
    assert is_storable(text) is (is_unicode and "\0" not in text)


def test_one_bad_text_is_enough_and_none_is_none() -> None:
    assert is_storable()
    assert is_storable(None, "a", "")
    assert not is_storable("a", None, "\0")
    check_texts("a", None)
    with pytest.raises(InvalidRequest):
        check_texts("a", "\ud800", "b")


@given(objects(CLEAN))
def test_json_of_clean_texts_passes(value: dict[str, Any]) -> None:
    check_json(value)


@given(objects(CLEAN), CLEAN, st.sampled_from(["\0", "\ud800", "\udfff"]), CLEAN)
def test_one_bad_text_anywhere_in_json_is_refused(value: dict[str, Any], before: str, bad: str, after: str) -> None:
    text = before + bad + after
    for worse in ({**value, text: 1}, {"x": text, **value, "y": [{"z": [text]}]}, {"x": {text: value}}):
        with pytest.raises(InvalidRequest):
            check_json(worse)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {1}}, {"a": 2**64}, {"a": object()}, {"a": b"b"}])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        check_json(value)


@given(st.text(st.sampled_from("\\u0\0a"), max_size=12))
def test_a_nul_is_told_from_the_same_characters_written_out(text: str) -> None:
    assert has_nul(orjson.dumps({"a": text})) is ("\0" in text)
