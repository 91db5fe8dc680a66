"""Machines replaced one after another: what is decided, and a pool on which runs are killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.replacing import PATIENCE, roll
from infra.rolling import Done, End, Leave, Machine, Seen, Wait, next_move
from llmops.errors import LlmopsError, TargetError, UnreachableError
from llmops.events import StepEnded

UP = Machine("i-up", behind=False, worker="w-up", joined=True)
OLD = Machine("i-old", behind=True, worker="w-old", joined=True)
COMING = Machine("i-coming", behind=False)


def move(*machines: Machine, work: str = "", count: int = 2, begun: bool = False) -> object:
    return next_move(Seen(machines, count, work, "v1"), count, begun=begun, renew=True)


def test_where_none_is_behind_nothing_is_waited_for() -> None:
    assert move(UP, COMING) == Done()


def test_one_leaves_only_when_all_that_are_planned_have_joined() -> None:
    assert move(OLD, UP) == Leave(OLD, "v1")
    assert move(OLD, COMING) == Wait("join", "1 of 2 machines have joined")
    assert move(OLD, replace(UP, there=False)) == Wait("join", "1 of 2 machines have joined")


def test_none_leaves_while_the_agent_is_at_work() -> None:
    assert move(OLD, UP, work="deploy chat") == Wait("agent", "deploy chat")


def test_it_ends_when_it_has_left_and_not_before() -> None:
    leaving = replace(OLD, asked=True)
    assert move(leaving, UP) == Wait("leave", "replicas of i-old go elsewhere")
    left = replace(leaving, left=True, joined=False)
    assert move(left, UP) == End(left, successor=True)
    assert move(left, UP, work="deploy chat") == End(left, successor=True)


def test_what_another_run_has_begun_is_brought_to_its_end() -> None:
    """Whether or not the machine still counts as behind: nothing of it serves."""
    left = replace(UP, asked=True, left=True, joined=False)
    assert move(left, OLD) == End(left, successor=True)


def test_the_end_is_that_the_last_successor_has_joined() -> None:
    assert move(UP, COMING, begun=True) == Wait("join", "1 of 2 machines have joined")
    assert move(UP, UP, begun=True) == Done()


class Killed(BaseException):
    """The run dies here."""


@dataclass
class World:
    """A pool in memory: a replica needs one machine, and goes to any other that has room."""

    count: int
    machines: dict[str, Machine] = field(default_factory=dict)
    replicas: set[str] = field(default_factory=set)
    """Machines that one runs on."""
    made: int = 0
    version: int = 0
    kill: int = 0
    """Number of the change at which its maker dies, right after it."""
    changes: int = 0
    leaves: bool = True
    """Whether a machine that is to leave can."""
    joins: bool = True

    def __post_init__(self) -> None:
        for _ in range(self.count):
            self._start(behind=True)
        self.machines = {name: self._joined(name) for name in self.machines}
        self.replicas = set(list(self.machines)[: self.count - 1])

    def _start(self, *, behind: bool) -> None:
        self.made += 1
        name = f"i-{self.made}"
        self.machines[name] = Machine(name, behind, worker=f"w-{self.made}")

    def _joined(self, name: str) -> Machine:
        return replace(self.machines[name], joined=True)

    def look(self) -> Seen:
        seen = Seen(tuple(self.machines.values()), self.count, "", str(self.version))
        for name, machine in list(self.machines.items()):
            if machine.asked and machine.there and self.leaves:
                self._move_from(name)
            elif not machine.joined and machine.there and not machine.asked and self.joins:
                self.machines[name] = self._joined(name)
            elif not machine.there:
                del self.machines[name]
        self.holds()
        return seen

    def _move_from(self, name: str) -> None:
        if name in self.replicas:
            room = [m.id for m in self.machines.values()
                    if m.joined and not m.asked and m.id not in self.replicas]  # fmt: skip
            assert room, "its replica has nowhere to go"
            self.replicas = (self.replicas - {name}) | {room[0]}
        self.machines[name] = replace(self.machines[name], left=True, joined=False)

    def holds(self) -> None:
        """No replica is lost, and one machine at most is missing."""
        assert len(self.replicas) == self.count - 1
        serving = {m.id for m in self.machines.values() if m.joined and m.there}
        assert self.replicas <= serving
        assert len(serving) >= self.count - 1

    def have_leave(self, machine: Machine, version: str) -> None:
        if version == str(self.version):
            self._only(machine.id)
        self._changed()

    def _only(self, name: str) -> None:
        self.version += 1
        self.machines = {
            one.id: replace(one, asked=one.id == name, left=one.left and one.id == name)
            for one in self.machines.values()
        }

    def end(self, machine: Machine, *, successor: bool) -> None:
        assert successor, "the pool stays as large as it is"
        if self.machines[machine.id].there:
            assert machine.id not in self.replicas, "a machine that serves was ended"
            self.machines[machine.id] = replace(self.machines[machine.id], there=False)
            self._start(behind=False)
        self._changed()

    def have_stay(self) -> None:
        if self.kill and self.changes >= self.kill:
            return  # who is dead takes nothing back
        self._only("")

    def _changed(self) -> None:
        self.changes += 1
        if self.changes == self.kill:
            raise Killed


def told(world: World) -> list[StepEnded]:
    return [e for e in roll(world, world.count, poll=0.0) if isinstance(e, StepEnded)]


def test_every_machine_is_replaced_once_and_no_replica_is_lost() -> None:
    world = World(4)
    ended = told(world)
    assert [event.text for event in ended] == [f"empty and end i-{n}" for n in (1, 2, 3, 4)]
    assert not any(machine.behind for machine in world.machines.values())
    assert world.made == 8
    assert told(world) == [], "a second run does nothing"


@settings(max_examples=60, deadline=None)
@given(count=st.integers(2, 5), data=st.data())
def test_a_run_that_is_killed_at_any_change_is_taken_up_by_the_next(
    count: int, data: st.DataObject
) -> None:
    world = World(count, kill=data.draw(st.integers(1, 2 * count)))
    with pytest.raises(Killed):
        told(world)
    world.kill = 0
    if data.draw(st.booleans()):
        world.have_stay()  # as the next deploy does first
    told(world)
    assert not any(machine.behind for machine in world.machines.values())
    assert world.made == 2 * count, "none was replaced twice"
    world.holds()


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        (lambda world: setattr(world, "leaves", False), "replicas of i-1 go elsewhere"),
        (lambda world: setattr(world, "joins", False), "2 of 3 machines have joined"),
    ],
)
def test_what_does_not_come_to_its_end_is_told_and_what_serves_goes_on(
    stop: Callable[[World], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for why in PATIENCE:
        monkeypatch.setitem(PATIENCE, why, 0.0)
    world = World(3)
    stop(world)
    with pytest.raises(TargetError, match=words) as caught:
        told(world)
    assert caught.value.exit_code == 4
    assert "the release serves" in caught.value.message
    world.holds()
    assert not any(machine.asked for machine in world.machines.values()), "it was taken back"


def test_a_refusal_of_the_cloud_is_told_as_one_of_the_roll() -> None:
    class Denied(World):
        def end(self, machine: Machine, *, successor: bool) -> None:
            raise UnreachableError("AWS refused it", hint="compare with the policy file")

    with pytest.raises(LlmopsError, match="AWS refused it") as caught:
        told(Denied(2))
    assert (caught.value.exit_code, caught.value.hint) == (4, "compare with the policy file")


def test_a_list_that_lags_behind_ends_no_machine_twice() -> None:
    class Lagging(World):
        calls: list[str] = []  # noqa: RUF012 - of this one test

        def look(self) -> Seen:
            seen = super().look()
            back = [replace(one, there=True) for one in seen.machines]
            return replace(seen, machines=tuple(back))

        def end(self, machine: Machine, *, successor: bool) -> None:
            self.calls.append(machine.id)
            super().end(machine, successor=successor)

    world = Lagging(2)
    told(world)
    assert world.calls == ["i-1", "i-2"]
