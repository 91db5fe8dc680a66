"""A machine in the place of another that was lost, or seemed so; orders while one is missing."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import BusyError, RefusedError
from llmops.events import Progress, Warned
from serving.agent import AgentTarget, names
from serving.agent.machine.agent import Agent
from serving.agent.machine.holding import Holding
from serving.agent.machine.joining import Joining, Machines
from serving.agent.machine.target import MachineTarget
from serving.agent.nodes import CLUSTER, NODE
from serving.agent.presence import LEASE
from serving.agent.words import Cluster, Node
from serving.local import LocalTarget
from tests.agent.test_agent import Machine, Site
from tests.agent.test_joining import TOKEN, machine
from tests.agent.worlds import QUICK, MemoryBlobs
from tests.releases.plans import SERVICE
from tests.releases.simulated import run


@pytest.fixture
def joining(tmp_path: Path) -> Joining:
    token = tmp_path / "ray-token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    made = Joining.of("10.0.0.4", token)
    assert made is not None
    return made


class Halting:
    """A runtime that says when it is ended."""

    halted = 0

    def endpoint(self) -> None:
        return None

    def halt(self) -> Any:
        self.halted += 1
        yield Progress("runtime", "ending Ray and Serve")


def agent(blobs: MemoryBlobs, home: Path, joining: Joining | None) -> tuple[Agent, Halting]:
    site, runtime = Site(home, blobs), Halting()
    runtime.paths = site.machine.runtime.paths  # type: ignore[attr-defined]
    site.machine.runtime = runtime
    made = Agent(home, blobs, target=site.machine, joining=joining, pace=QUICK)  # type: ignore[arg-type]
    return made, runtime


def taken_by_another(blobs: MemoryBlobs, place: str) -> None:
    held, version = LEASE.read(blobs, names.LEASE)
    assert held is not None
    other = replace(held, holder="another", place=place or held.place, beat=held.beat + 1)
    LEASE.write(blobs, names.LEASE, other, version)


@pytest.mark.parametrize(
    ("several", "place", "halted"),
    [(True, "another machine", 1), (True, "", 0), (False, "another machine", 0)],
    ids=["another machine", "another agent here", "a machine that is alone"],
)
def test_a_head_whose_place_another_has_taken_ends_what_it_runs(
    several: bool, place: str, halted: int, tmp_path: Path, joining: Joining
) -> None:
    """One that was cut off from the others, and not dead: two would serve."""
    blobs = MemoryBlobs()
    made, runtime = agent(blobs, tmp_path, joining if several else None)
    run(made.begin())
    taken_by_another(blobs, place)
    with pytest.raises(BusyError, match="another agent has taken the lease"):
        made.run()
    assert runtime.halted == halted


def test_a_former_head_that_starts_again_ends_what_it_left(
    tmp_path: Path, joining: Joining
) -> None:
    blobs = MemoryBlobs()
    other = Holding(blobs, pace=QUICK)
    run(other.take())
    taken_by_another(blobs, "another machine")
    made, runtime = agent(blobs, tmp_path, joining)
    beating, over = threading.Event(), threading.Event()

    def beat() -> None:
        while not over.wait(0.05):
            taken_by_another(blobs, "another machine")
            beating.set()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert beating.wait(60)
        with pytest.raises(BusyError):
            run(made.begin())
    finally:
        over.set()
        thread.join()
    assert runtime.halted == 1


class Slow(Machine):
    """A machine that says when it begins to start a release that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = threading.Event()

    def stage(self, release: Any) -> Any:
        if self.slow:
            self.tried.set()
        yield from super().stage(release)


def test_an_order_is_not_kept_waiting_by_a_release_that_cannot_come_back(tmp_path: Path) -> None:
    """As where a host of its stages is lost: it is tried until its deadline, 15 minutes by default,
    and a destroy was kept waiting for as long."""
    machine = Slow()
    site = Site(tmp_path, machine=machine)
    with site.agent():
        site.deploy("one")
        machine.slow = 600.0
        machine.reboot()
        assert machine.tried.wait(60), "nobody tries to bring it back"
        began = time.monotonic()
        run(site.command().destroy(SERVICE))
        assert time.monotonic() - began < 120
    assert site.machine.store.read(SERVICE)[0].live is None


def node(name: str, seconds: float, *, ended: bool = False) -> Node:
    at = time.time() - seconds
    return Node(name, f"10.0.0.{name}", machine(8, 100), "", at, 1, 20.0, ended=ended)


def test_a_machine_that_is_lost_is_named_when_a_release_is_taken_off(
    tmp_path: Path, joining: Joining, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = MemoryBlobs()
    for one in (node("5", 1.0), node("6", 900.0), node("7", 900.0, ended=True)):
        NODE.create(blobs, names.node(one.name), one)
    target = MachineTarget(tmp_path, blobs, Machines(blobs, joining))
    monkeypatch.setattr(LocalTarget, "remove", lambda *_: iter(()))
    said = [event.text for event in target.remove("chat", 1) if isinstance(event, Warned)]
    assert said == ["10.0.0.6 gives no sign of life: what ran there is not waited for"]


def test_a_lost_agent_is_waited_out_and_one_that_lives_is_not_replaced(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    run(Holding(blobs, pace=replace(QUICK, lease=2.0)).take())
    target = AgentTarget(tmp_path, "s3://bucket/team", blobs=blobs, pace=QUICK)
    assert list(target.await_silence(60, "look there")), "nothing was waited for"
    assert not target.presence().alive
    other = AgentTarget(tmp_path, "s3://bucket/team", blobs=blobs, pace=QUICK)
    run(Holding(blobs, pace=QUICK).take())

    def while_it_beats() -> None:
        for _ in other.await_silence(60, "look there"):
            taken_by_another(blobs, "")

    with pytest.raises(RefusedError, match="works for s3://bucket/team") as refused:
        while_it_beats()
    assert refused.value.hint == "look there"


def test_the_head_is_where_the_others_join(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    target = AgentTarget(tmp_path, "s3://bucket/team", blobs=blobs, pace=QUICK)
    assert target.head() == ""
    CLUSTER.create(blobs, names.CLUSTER, Cluster("10.0.0.4:6379", "print"))
    assert target.head() == "10.0.0.4"
