"""What a target keeps of policies: versions, who and when, and how it is written and read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.errors import InputError, RefusedError
from llmops.policies import Applied, Shelf, dumps, loads

ACME = "kind: Policy\nname: acme\nsecurity: {pinned: true}\n"
LOOSE = "kind: Policy\nname: acme\n"
TEAM = "kind: Policy\nname: team\nlayer: project\n"
BOTH = Shelf().applied("team", TEAM, 1.0, "ann@laptop").applied("acme", ACME, 2.0, "bob@ci")


def test_every_policy_that_was_applied_holds() -> None:
    assert [policy.name for policy in BOTH.current()] == ["acme", "team"]
    assert BOTH.find("acme") == Applied("acme", 1, ACME, 2.0, "bob@ci")


def test_another_text_is_another_version_and_the_last_one_holds() -> None:
    shelf = BOTH.applied("acme", LOOSE, 3.0, "bob@ci")
    assert [(e.name, e.version) for e in shelf.entries] == [("team", 1), ("acme", 1), ("acme", 2)]
    assert shelf.holds("acme") == Applied("acme", 2, LOOSE, 3.0, "bob@ci")
    assert shelf.find("acme", 1).text == ACME


def test_the_same_text_again_changes_nothing() -> None:
    assert BOTH.applied("acme", ACME, 9.0, "someone") is BOTH


def test_a_removed_policy_holds_no_more_and_its_next_version_does() -> None:
    removed = BOTH.removed("acme", 5.0)
    assert [policy.name for policy in removed.current()] == ["team"]
    assert removed.find("acme").removed_at == 5.0
    with pytest.raises(InputError, match="removed already"):
        removed.removed("acme", 6.0)
    again = removed.applied("acme", ACME, 7.0, "bob@ci")
    assert again.find("acme").version == 2
    assert [policy.name for policy in again.current()] == ["acme", "team"]


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(InputError) as caught:
        BOTH.find("other")
    assert caught.value.hint == "there are: acme, team"
    with pytest.raises(InputError, match="has no version 3") as caught:
        BOTH.find("acme", 3)
    assert caught.value.hint == "kept: 1"
    with pytest.raises(InputError, match="no policy 'acme'"):
        Shelf().removed("acme", 1.0)


def test_a_line_of_what_was_applied_can_be_named() -> None:
    assert BOTH.find("acme").placed().where("security.pinned") == (
        "policy acme (version 1)", 3, 20,
    )  # fmt: skip


def test_a_policy_that_this_version_cannot_read_is_not_passed_over() -> None:
    shelf = BOTH.applied("later", "kind: Policy\nname: later\nquantum: {}\n", 4.0, "x")
    with pytest.raises(RefusedError) as caught:
        shelf.current()
    assert "policy later (version 1) cannot be read by this version of llmops" in str(caught.value)
    assert "unknown key 'quantum'" in str(caught.value)
    assert "apply it again" in caught.value.hint


def test_what_was_written_is_read_and_what_a_later_version_adds_is_left_out() -> None:
    assert loads(dumps(BOTH)) == BOTH
    later = json.loads(dumps(BOTH)) | {"sealed": True}
    later["entries"][0]["signature"] = "abc"
    assert loads(json.dumps(later)) == BOTH


def test_an_entry_without_what_was_added_later_is_read() -> None:
    plain = json.loads(dumps(BOTH))
    del plain["entries"][0]["removed_at"]
    assert loads(json.dumps(plain)) == BOTH


@pytest.mark.parametrize("text", ["", "[]", "null", '{"entries": [{}]}', '{"entries": 1}', "{"])
def test_what_is_no_shelf_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what is wrong is the store's to say
        loads(text)


def test_old_versions_make_room_and_what_holds_stays() -> None:
    shelf = BOTH
    for number in range(20):
        shelf = shelf.applied("acme", f"{LOOSE}# {number}\n", 3.0 + number, "bob@ci")
    least = len(dumps(Shelf((shelf.entries[0], shelf.entries[-1]))))
    fit = shelf.within(2 * least)
    assert len(dumps(fit)) <= 2 * least
    assert fit.current() == shelf.current()
    assert fit.entries == tuple(e for e in shelf.entries if e in fit.entries)
    assert shelf.within(10).entries == shelf.holding()[::-1]
    assert shelf.within(10**6) == shelf


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["apply", "remove"])), max_size=8))
def test_versions_only_grow_and_one_of_a_name_holds_at_most(steps: list[tuple[str, str]]) -> None:
    shelf = Shelf()
    for at, (name, what) in enumerate(steps):
        before = shelf
        if what == "apply":
            text = f"kind: Policy\nname: {name}\n# {at}\n"
            shelf = shelf.applied(name, text, float(at), "x")
        elif shelf.holds(name):
            shelf = shelf.removed(name, float(at))
        kept = {(e.name, e.version): e.text for e in before.entries}
        assert kept.items() <= {(e.name, e.version): e.text for e in shelf.entries}.items()
        numbers = [e.version for e in shelf.entries if e.name == name]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len({e.name for e in shelf.holding()}) == len(shelf.holding())
