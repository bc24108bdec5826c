"""Arbitrary JSON for property tests, as orjson would have read it."""

from typing import Any

from hypothesis import strategies as st

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)


def json_values(keys: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Any]:
    """Scalars, arrays and objects; `keys` are the names that its objects use."""
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=20
    )


def json_objects(keys: st.SearchStrategy[str] = texts) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(keys, json_values(keys), max_size=8)
