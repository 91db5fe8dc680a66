"""The members' file: what runs and which share it gets; and how it survives a crash."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmops.errors import TargetError
from serving.local.members import Members, read, write

NAMES = ["chat", "search", "a-r1"]
names = st.sampled_from(NAMES)
numbers = st.integers(1, 4)
members = st.builds(
    Members,
    st.dictionaries(st.tuples(names, numbers), st.integers(0, 100), max_size=6),
    st.integers(0, 2**40),
)


@settings(deadline=None, max_examples=30)
@given(members)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, m: Members) -> None:
    path = tmp_path_factory.mktemp("members") / "members.json"
    write(path, m)
    assert read(path) == m
    write(path, m)
    assert read(path) == m


def test_nothing_written_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "members.json") == Members({})


def test_the_file_is_private_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    write(path, Members({("chat", 1): 100}, 3))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["members.json"]


def test_a_crash_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "members.json"
    before = Members({("chat", 1): 100}, 1)
    write(path, before)

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write(path, Members({("chat", 2): 100}, 2))
    assert read(path) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"members": 3}', '{"members": [{"service": "x"}]}', "null"]
)
def test_a_damaged_file_is_not_guessed_at(tmp_path: Path, text: str) -> None:
    path = tmp_path / "members.json"
    path.write_text(text)
    with pytest.raises(TargetError, match="damaged") as caught:
        read(path)
    assert caught.value.hint


def test_the_file_can_be_read_by_a_person(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    write(path, Members({("chat", 2): 100, ("chat", 1): 0}, 7))
    assert json.loads(path.read_text()) == {
        "generation": 7,
        "members": [
            {"service": "chat", "release": 1, "share": 0},
            {"service": "chat", "release": 2, "share": 100},
        ],
    }


def test_a_release_that_does_not_run_is_given_no_traffic() -> None:
    members = Members({("chat", 1): 100}, 1)
    with pytest.raises(TargetError, match="release 2 of chat is not on the runtime"):
        members.with_all_traffic("chat", 2)
    for one, other in ((1, 2), (2, 1)):
        with pytest.raises(TargetError, match="release 2 of chat is not on the runtime"):
            members.with_some_traffic("chat", one, 10, other)
    assert members.of("chat") == {1: 100}


class Life(RuleBasedStateMachine):
    """Any order of the steps: a service's shares are all of its traffic, or none of it."""

    def __init__(self) -> None:
        super().__init__()
        self.members = Members({})
        self.before = self.members
        self.whole = True
        """Whether no traffic was ever shared: then a service has all of it, or none."""

    def become(self, members: Members) -> None:
        self.before, self.members = self.members, members

    @rule(service=names, number=numbers)
    def stage(self, service: str, number: int) -> None:
        share = self.members.shares.get((service, number), 0)
        self.become(self.members.with_member(service, number))
        assert self.members.shares[service, number] == share, "staging moved traffic"

    @precondition(lambda self: self.members.shares)
    @rule(data=st.data())
    def shift(self, data: st.DataObject) -> None:
        service, number = data.draw(st.sampled_from(sorted(self.members.shares)))
        self.become(self.members.with_all_traffic(service, number))
        assert self.members.of(service)[number] == 100

    @precondition(lambda self: any(len(self.members.of(name)) > 1 for name in NAMES))
    @rule(data=st.data(), share=st.integers(1, 50))
    def share(self, data: st.DataObject, share: int) -> None:
        several = [name for name in NAMES if len(self.members.of(name)) > 1]
        service = data.draw(st.sampled_from(several))
        one, other = data.draw(st.permutations(sorted(self.members.of(service))))[:2]
        self.become(self.members.with_some_traffic(service, one, share, other))
        held = {n: part for n, part in self.members.of(service).items() if part}
        assert held == {one: share, other: 100 - share}
        self.whole = False

    @rule(service=names, number=numbers)
    def drain(self, service: str, number: int) -> None:
        self.become(self.members.without_traffic(service, number))
        assert self.members.of(service).get(number, 0) == 0

    @rule(service=names, number=numbers)
    def remove(self, service: str, number: int) -> None:
        self.become(self.members.without(service, number))
        assert number not in self.members.of(service)

    @invariant()
    def shares_are_all_or_nothing(self) -> None:
        for service in {name for name, _ in self.members.shares}:
            assert sum(self.members.of(service).values()) <= 100
            if self.whole:
                assert sum(self.members.of(service).values()) in (0, 100)

    @invariant()
    def every_change_is_a_new_generation(self) -> None:
        if self.members is not self.before:
            assert self.members.generation == self.before.generation + 1


TestLife = Life.TestCase
TestLife.settings = settings(deadline=None, max_examples=40, stateful_step_count=20)


def test_a_step_touches_no_other_service() -> None:
    start = Members({("chat", 1): 100, ("chat", 2): 0, ("search", 1): 100}, 1)
    for changed in (
        start.with_member("chat", 3),
        start.with_all_traffic("chat", 2),
        start.with_some_traffic("chat", 2, 10, 1),
        start.without_traffic("chat", 1),
        start.without("chat", 1),
    ):
        assert changed.of("search") == {1: 100}
