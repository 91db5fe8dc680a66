"""Fewer machines than there are: what is decided, and a whole deploy on a pool in memory that is
killed at each change."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.account import Group, Started
from infra.replacing import PATIENCE, fewer
from infra.rolling import Done, End, Leave, Machine, Move, Seen, Wait, next_move
from infra.standing import Standing
from llmops.errors import TargetError
from llmops.events import StepEnded

KIND = "g6e.xlarge"


def up(number: int, *, behind: bool = False, replicas: int | None = 1) -> Machine:
    return Machine(
        f"i-{number}", behind, worker=f"w-{number}", joined=True, replicas=replicas
    )  # fmt: skip


def move(*machines: Machine, count: int, work: str = "", desired: int | None = None) -> Move:
    seen = Seen(machines, len(machines) if desired is None else desired, work, "v1")
    return next_move(seen, count, begun=False, renew=False)


def test_of_too_many_those_that_are_behind_go_first_and_then_those_without_replicas() -> None:
    assert move(up(1), up(2, replicas=0), up(3, behind=True), count=2) == Leave(
        up(3, behind=True), "v1"
    )
    assert move(up(1), up(2, replicas=0), up(3), count=2) == Leave(up(2, replicas=0), "v1")
    assert move(up(1), up(2, replicas=None), up(3, replicas=0), count=2) == Leave(
        up(3, replicas=0), "v1"
    )


def test_one_that_nothing_was_ever_heard_of_is_ended_without_being_asked() -> None:
    unheard = Machine("i-9", behind=False)
    assert move(up(1), up(2, behind=True), unheard, count=2) == End(unheard, successor=False)


def test_one_that_gives_no_sign_of_life_is_never_taken_for_empty() -> None:
    """Its worker is silent, and its replicas may well go on."""
    silent = replace(up(3), joined=False)
    assert move(up(1), up(2), silent, count=2) == Wait("join", "2 of 3 machines have joined")


def test_so_many_as_are_planned_go_on_beside_one_that_leaves() -> None:
    silent = replace(up(3), joined=False)
    assert move(up(1), up(2), up(4), silent, count=2) == Leave(up(1), "v1")
    assert isinstance(move(up(1), silent, replace(silent, id="i-5"), count=2), Wait)


def test_none_goes_while_the_agent_is_at_work() -> None:
    for machine in (up(3), Machine("i-9", behind=False)):
        assert move(up(1), up(2), machine, count=2, work="deploy chat") == Wait(
            "agent", "deploy chat"
        )


def test_one_that_has_left_is_ended_without_a_successor() -> None:
    left = replace(up(1), asked=True, left=True, joined=False)
    assert move(left, up(2), up(3), count=2) == End(left, successor=False)


def test_the_next_one_leaves_only_when_the_one_before_it_is_gone() -> None:
    """It stays away from Ray for as long as it is the one that is named."""
    ending = replace(up(1), asked=True, left=True, joined=False, there=False)
    assert move(ending, up(2), up(3), up(4), count=2) == Wait("join", "i-1 ends")
    assert isinstance(move(up(2), up(3), up(4), count=2), Leave)


def test_a_group_that_keeps_more_than_are_there_is_waited_for() -> None:
    assert move(up(1), up(2), count=2, desired=3) == Wait(
        "join", "the group starts one machine more: it still keeps 3"
    )
    assert move(up(1), up(2), count=2) == Done()


class Killed(BaseException):
    """The run dies here."""


@dataclass
class World:
    """A pool in memory, its group, and the stack's record of that. A replica needs a machine."""

    machines: dict[str, Machine] = field(default_factory=dict)
    replicas: set[str] = field(default_factory=set)
    """Machines that one runs on."""
    low: int = 0
    desired: int = 0
    declared: int = 0
    """How many the stack's record says."""
    pending: bool = False
    """The record says that an update was cut off."""
    made: int = 0
    version: int = 0
    kill: int = 0
    """Number of the change at which its maker dies, right after it."""
    changes: int = 0
    leaves: bool = True
    """Whether a machine that is to leave can."""

    def group(self) -> Group:
        return Group("lt-1:1", tuple(
            Started(one.id, KIND, one.id, "lt-1:0" if one.behind else "lt-1:1", one.there, 0.0)
            for one in self.machines.values()
        ), self.desired)  # fmt: skip

    def update(self, planned: int, keep: int, *, refresh: bool) -> None:
        """As an engine does that compares with its record alone."""
        size = max(planned, keep)
        known = self.desired if refresh or self.pending else self.declared
        self.pending = True
        self._changed()
        self.low = planned
        if known != size:
            self.desired = size
        self._scale()
        self._changed()
        self.declared, self.pending = size, False
        self._changed()

    def _scale(self) -> None:
        """The group's own doing. What it ends it chooses itself: the worst that there is."""
        there = [one for one in self.machines.values() if one.there]
        worst = sorted(there, key=lambda one: one.id not in self.replicas)
        for one in worst[: max(0, len(there) - self.desired)]:
            self._gone(one.id)
        for _ in range(self.desired - len(there)):
            self.made += 1
            name = f"i-{self.made}"
            self.machines[name] = Machine(name, behind=self.made % 3 == 0, worker=f"w-{self.made}")

    def _gone(self, name: str) -> None:
        assert name not in self.replicas, "a machine that serves was ended"
        self.machines[name] = replace(self.machines[name], there=False)

    def release(self, replicas: int) -> None:
        """A release with so many replicas takes over, on the machines that it likes."""
        self.look()
        ready = [one.id for one in self.machines.values() if one.there and one.joined]
        assert len(ready) >= replicas, "it has no room"
        self.replicas = set(ready[-replicas:])
        self._changed()

    def look(self) -> Seen:
        for name, one in list(self.machines.items()):
            if not one.there:
                del self.machines[name]
            elif one.asked and self.leaves:
                self._move_from(name)
            elif not one.asked:
                self.machines[name] = replace(one, joined=True, left=False)
        serving = {one.id for one in self.machines.values() if one.joined}
        assert self.replicas <= serving
        told = [replace(one, replicas=int(one.id in self.replicas))
                for one in self.machines.values()]  # fmt: skip
        return Seen(tuple(told), self.desired, "", str(self.version))

    def _move_from(self, name: str) -> None:
        if name in self.replicas:
            room = [m.id for m in self.machines.values()
                    if m.joined and not m.asked and m.id not in self.replicas]  # fmt: skip
            assert room, "its replica has nowhere to go"
            self.replicas = (self.replicas - {name}) | {room[0]}
        self.machines[name] = replace(self.machines[name], left=True, joined=False)

    def have_leave(self, machine: Machine, version: str) -> None:
        if version == str(self.version):
            self._only(machine.id)
        self._changed()

    def _only(self, name: str) -> None:
        self.version += 1
        self.machines = {
            one.id: replace(one, asked=one.id == name) for one in self.machines.values()
        }

    def end(self, machine: Machine, *, successor: bool) -> None:
        assert not successor
        if self.machines[machine.id].there:
            assert self.desired > self.low, "AWS refuses less than the least"
            self._gone(machine.id)
            self.desired -= 1
        self._changed()

    def have_stay(self) -> None:
        if self.kill and self.changes >= self.kill:
            return  # who is dead takes nothing back
        self._only("")

    def _changed(self) -> None:
        self.changes += 1
        if self.changes == self.kill:
            raise Killed


def deploy(world: World, planned: int) -> list[str]:
    """As `infra.target` does, with a replica for each machine; which machines have ended."""
    stands = Standing(world.group(), machine=KIND, planned=planned, declared=world.declared)
    world.update(planned, stands.keep.machines, refresh=stands.apart)
    world.have_stay()
    world.release(planned)
    said: list[str] = []
    if world.declared > planned:
        said = [e.text for e in fewer(world, planned, poll=0.0) if isinstance(e, StepEnded)]
        if world.look().desired <= planned:
            world.update(planned, 0, refresh=False)
    return said


def stands_as_planned(world: World, planned: int) -> None:
    world.look()
    assert len(world.machines) == world.desired == world.declared == world.low == planned
    assert len(world.replicas) == planned
    assert not any(one.asked for one in world.machines.values())


def test_machines_end_one_by_one_when_the_release_serves_and_then_the_stack_is_lowered() -> None:
    world = World()
    deploy(world, 5)
    assert deploy(world, 2) == [f"empty and end i-{n}" for n in (3, 1, 2)], "behind, then empty"
    stands_as_planned(world, 2)
    assert deploy(world, 2) == [], "a second run does nothing"
    assert world.made == 5


def test_what_is_planned_is_shown_in_the_order_in_which_it_goes() -> None:
    world = World()
    deploy(world, 4)
    stands = Standing(world.group(), machine=KIND, planned=2, declared=4)
    assert [one.id for one in stands.surplus] == ["i-3", "i-1"]
    assert replace(stands, machine="p5.48xlarge").surplus == ()


@settings(max_examples=150, deadline=None)
@given(
    before=st.integers(2, 6), planned=st.integers(1, 5), then=st.integers(1, 6),
    kill=st.integers(1, 25),
)  # fmt: skip
def test_a_deploy_that_is_killed_at_any_change_is_finished_by_the_next(
    before: int, planned: int, then: int, kill: int
) -> None:
    """By one of the same plan, and by one of any other."""
    for following in (planned, then):
        world = World()
        deploy(world, before)
        world.kill = world.changes + kill
        with contextlib.suppress(Killed):  # it may have come to its end before
            deploy(world, planned)
        world.kill = 0
        deploy(world, following)
        stands_as_planned(world, following)
        assert world.made <= max(before, planned) + max(0, following - min(before, planned))


def test_one_that_does_not_become_empty_is_told_and_neither_it_nor_the_stack_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for why in PATIENCE:
        monkeypatch.setitem(PATIENCE, why, 0.0)
    world = World()
    deploy(world, 3)
    world.leaves = False
    with pytest.raises(TargetError, match="more machines than planned are still there") as caught:
        deploy(world, 2)
    assert caught.value.exit_code == 4
    assert "the release serves" in caught.value.message
    assert (len(world.machines), world.desired, world.declared) == (3, 3, 3)
    assert not any(one.asked for one in world.machines.values()), "it was taken back"
    world.leaves = True
    deploy(world, 2)
    stands_as_planned(world, 2)
