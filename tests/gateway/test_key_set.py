"""The set of keys as a value: its document, and edits that give another set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.errors import InputError
from serving.gateway import Key, KeySet, fingerprint, make_key

KEYS = st.builds(
    Key,
    id=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    name=st.text(min_size=1, max_size=9),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    created_at=st.floats(0, 1e12),
    revoked_at=st.none() | st.floats(0, 1e12),
    expires_at=st.none() | st.floats(0, 1e12),
    retires_at=st.none() | st.floats(0, 1e12),
    models=st.lists(st.text(max_size=9), max_size=2).map(tuple),
)
SETS = st.builds(
    KeySet,
    st.integers(0, 2**53),
    st.dictionaries(st.text(max_size=9), st.lists(KEYS, max_size=3).map(tuple), max_size=3),
)


@given(SETS)
def test_a_set_is_read_back_from_its_document(keys: KeySet) -> None:
    assert KeySet.parse(keys.dump()) == keys


def test_an_edit_leaves_the_set_that_it_was_made_from() -> None:
    empty = KeySet()
    key, _ = make_key("team-a", 1.0)
    one = empty.add("tiny", key)
    two, revoked = one.revoke("tiny", "team-a", 2.0)
    none = two.remove_service("tiny")
    assert [keys.version for keys in (empty, one, two, none)] == [0, 1, 2, 3]
    assert [keys.of("tiny") for keys in (empty, one, two, none)] == [(), (key,), (revoked,), ()]
    assert [list(keys.valid()) for keys in (one, two)] == [[("tiny", key)], []]


def test_taking_away_what_is_not_there_is_no_change() -> None:
    keys = KeySet()
    assert keys.remove_service("tiny") is keys
    with pytest.raises(InputError, match="has no key 'x'"):
        keys.revoke("tiny", "x", 1.0)


def test_only_the_text_of_a_key_has_its_fingerprint() -> None:
    key, text = make_key("team-a", 1.0)
    assert fingerprint(text) == (key.id, key.sha256)
    for wrong in ("", text[:-1], text + "=", f" {text}", text.upper()):
        assert fingerprint(wrong)[0] == "", wrong
        assert fingerprint(wrong)[1] != key.sha256


def test_what_a_key_is_compared_with_is_in_no_repr() -> None:
    key, _ = make_key("team-a", 1.0)
    assert key.sha256 not in repr(KeySet().add("tiny", key))
