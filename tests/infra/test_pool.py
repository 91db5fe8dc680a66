"""What is seen of a pool: the group's machines, and what each one's worker says in the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from infra.account import Group, Started
from infra.handing import same_llmops
from infra.replacing import EMPTYING, Pool
from infra.rolling import Done, Leave, Wait, next_move
from llmops import __version__
from llmops.errors import RefusedError, TargetError
from llmops.events import ObjectChange
from llmops.planning import MachineFacts
from serving.agent import AgentTarget, Node
from serving.agent.nodes import NODE
from serving.agent.presence import LEASE, Presence
from serving.agent.words import Lease, Work
from tests.agent.worlds import MemoryBlobs

NOW = 1_000_000.0
NEW, OLD = "lt-1:2", "lt-1:1"
LEASED = Lease("a", "head", 1, 0.0, "boot", 0.0, NOW, 1, 20.0, __version__, (1,))


class Cloud:
    """An account with one group, from which machines are ended."""

    def __init__(self, *machines: Started) -> None:
        self.found: Group | None = Group(NEW, machines, len(machines))
        self.ended: list[tuple[str, bool]] = []

    def group(self, _: str) -> Group | None:
        return self.found

    def end(self, machine: str, *, successor: bool) -> None:
        self.ended.append((machine, successor))


class Stage:
    """A pool whose clock stands still."""

    def __init__(self, folder: Path, *machines: Started) -> None:
        self.blobs = MemoryBlobs()
        self.cloud = cast("Any", Cloud(*machines))
        self.agent = AgentTarget(folder, "memory://", blobs=self.blobs, clock=lambda: NOW)
        self.pool = Pool(self.cloud, lambda: self.cloud, self.agent, "pool", "g6e.xlarge",
                         clock=lambda: NOW)  # fmt: skip
        LEASE.create(self.blobs, "agent/lease.json", LEASED)

    def say(self, number: int, joined: str = "10.0.0.9:6379", **more: Any) -> None:
        facts = MachineFacts(8, 2**30, 2**30, 2**30, (), "", None)
        node = Node(f"w-{number}", f"10.0.0.{number}", facts, joined, NOW, 1, 20.0)
        name = f"nodes/w-{number}.json"
        NODE.write(self.blobs, name, replace(node, **more), NODE.read(self.blobs, name)[1])


def started(number: int, template: str = OLD, **more: Any) -> Started:
    made = Started(f"i-{number}", "g6e.xlarge", f"10.0.0.{number}", template, True, NOW - 3600.0)
    return replace(made, **more)


def test_a_machine_is_known_by_its_address_and_counts_as_joined_while_it_lives(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, started(1), started(2, NEW), started(3, NEW), started(4, there=False))
    stage.say(1)
    stage.say(2, renewed_at=NOW - 60.0)
    seen = stage.pool.look()
    one, silent, unheard, ending = seen.machines
    assert (one.behind, one.joined, one.worker) == (True, True, "w-1")
    assert (silent.behind, silent.joined, silent.worker) == (False, False, "w-2")
    assert (unheard.joined, unheard.worker) == (False, "")
    assert not ending.there
    assert seen.work == ""


def test_machines_of_another_type_than_planned_are_neither_replaced_nor_ended(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, started(1, machine="p5.48xlarge"), started(2))
    stage.say(1)
    stage.say(2)
    found = stage.pool.look()
    assert [one.as_planned for one in found.machines] == [False, True]
    assert next_move(found, 1, begun=False, renew=False) == Done()
    stage.cloud.found = Group(NEW, (started(1, machine="p5.48xlarge"),), 1)
    assert next_move(stage.pool.look(), 1, begun=False, renew=True) == Done()


def test_what_a_machine_before_it_has_said_at_its_address_is_not_its_own(tmp_path: Path) -> None:
    """It is one that nothing was heard of: the first to go, and without being asked."""
    stage = Stage(tmp_path, started(1, NEW, since=NOW + 60.0))
    stage.say(1)
    found = stage.pool.look().machines[0]
    assert (found.worker, found.joined, found.replicas) == ("", False, None)


def test_a_machine_has_as_many_replicas_as_its_worker_says(tmp_path: Path) -> None:
    stage = Stage(tmp_path, started(1), started(2))
    stage.say(1, replicas=2)
    stage.say(2)
    assert [one.replicas for one in stage.pool.look().machines] == [2, None]
    assert stage.pool.look().desired == 2


def test_a_machine_is_asked_by_its_workers_name_and_ended_when_that_says_so(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, started(1), started(2))
    stage.say(1)
    stage.say(2)
    move = next_move(stage.pool.look(), 2, begun=False, renew=True)
    assert isinstance(move, Leave)
    stage.pool.have_leave(move.machine, move.version)
    asked, _ = stage.agent.leaving()
    assert asked is not None
    assert (asked.name, asked.seconds) == ("w-1", EMPTYING)
    assert stage.pool.look().machines[0].asked
    stage.say(1, joined="", ended=True)
    found = stage.pool.look().machines[0]
    assert found.left
    stage.pool.end(found, successor=True)
    stage.pool.end(found, successor=False)
    assert stage.cloud.ended == [("i-1", True), ("i-1", False)]


def test_a_successor_of_the_same_name_and_address_is_not_the_one_that_was_asked(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, started(1))
    stage.say(1)
    stage.agent.have_leave("w-1", EMPTYING, "")
    stage.cloud.found = Group(NEW, (started(1, NEW, since=NOW + 60.0),), 1)
    assert not stage.pool.look().machines[0].asked


def test_what_is_ended_is_left_as_asked_and_anything_else_may_stay(tmp_path: Path) -> None:
    stage = Stage(tmp_path, started(1, there=False))
    stage.say(1)
    stage.agent.have_leave("w-1", EMPTYING, "")
    stage.pool.have_stay()
    assert stage.agent.leaving()[0] is not None, "it would join again before it is gone"
    stage.cloud.found = Group(NEW, (started(1),), 1)
    stage.pool.have_stay()
    assert stage.agent.leaving()[0] is None


def test_an_agent_that_is_at_work_or_silent_is_waited_for(tmp_path: Path) -> None:
    stage = Stage(tmp_path, started(1))
    stage.say(1)
    work = (Work("chat", 3, "deploy", NOW, NOW),)
    for lease, words in (
        (replace(LEASED, work=work, beat=2), "the agent is at work: deploy chat"),
        (replace(LEASED, ended=True, beat=3), "no sign of life"),
    ):
        LEASE.write(stage.blobs, "agent/lease.json", lease,
                    LEASE.read(stage.blobs, "agent/lease.json")[1])  # fmt: skip
        move = next_move(stage.pool.look(), 1, begun=False, renew=True)
        assert isinstance(move, Wait)
        assert (move.why, words in move.reason) == ("agent", True)


def test_a_group_that_is_not_there_is_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.cloud.found = None
    with pytest.raises(TargetError, match="no Auto Scaling group pool"):
        stage.pool.look()


def test_a_head_of_another_llmops_is_refused_unless_it_is_made_anew_or_has_ended() -> None:
    other = replace(LEASED, version="0.0.1")
    with pytest.raises(RefusedError, match=r"the head runs llmops 0\.0\.1") as caught:
        same_llmops(Presence(other, 1.0), [ObjectChange("Group/pool", "update")])
    assert "the service is down meanwhile" in caught.value.hint
    same_llmops(Presence(other, 1.0), [ObjectChange("Instance/head", "replace")])
    same_llmops(Presence(other, 60.0), [])
    same_llmops(Presence(LEASED, 1.0), [])
    same_llmops(Presence(None, 0.0), [])
