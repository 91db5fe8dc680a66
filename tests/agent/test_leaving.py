"""A worker that the store names as the one to leave: its replicas first, then it stays away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from llmops.errors import TargetError
from llmops.events import Flow, Progress
from llmops.planning import MachineFacts
from serving.agent import AgentTarget, names
from serving.agent.machine import Joining, worker
from serving.agent.machine.joining import CLUSTER
from serving.agent.machine.worker import Worker
from serving.agent.nodes import LEAVING, NODE, recorded
from serving.agent.pace import Pace
from serving.agent.words import Cluster, Leaving, Node
from tests.agent.worlds import MemoryBlobs

HEAD = "10.0.0.4:6379"
QUICK = Pace(beat=0.02, look=0.01, lease=5.0)


class Raylet:
    """A raylet that does what a test wants."""

    def __init__(self, *_: object) -> None:
        self.head = ""
        self.done: list[str] = []
        self.stuck = False

    def aim(self) -> str:
        return self.head

    joined = aim

    def join(self, head: str) -> None:
        self.head = head
        self.done.append("join")

    def replicas(self) -> tuple[str, ...]:
        return ("ray::ServeReplica:one",) if self.head else ()

    def drain(self, seconds: float) -> Flow[None]:
        self.done.append("drain")
        for _ in range(5):
            yield Progress("drain", "1 replica(s) here still serve", 0.0, seconds)
            time.sleep(0.02)
        if self.stuck:
            raise TargetError("drain took more than 1 s: 1 replica(s) here still serve")

    def leave(self) -> None:
        if self.head:
            self.done.append("leave")
        self.head = ""


class Stage:
    """A worker at work, and its store."""

    def __init__(self, folder: Path) -> None:
        token = folder / "token"
        token.write_text("t" * 40)
        token.chmod(0o600)
        self.folder, self.joining = folder, Joining.of("10.0.0.5", token)
        assert self.joining is not None
        self.blobs = MemoryBlobs()
        cluster = Cluster(HEAD, self.joining.network.fingerprint())
        CLUSTER.create(self.blobs, names.CLUSTER, cluster)
        self.target = AgentTarget(folder, "memory://", blobs=self.blobs)
        self.begin()

    def begin(self) -> None:
        """Start a worker, as after a restart of its unit."""
        assert self.joining is not None
        self.worker = Worker(self.folder, self.blobs, self.joining, pace=QUICK)
        self.raylet: Raylet = self.worker._raylet  # type: ignore[assignment]
        self.thread = threading.Thread(target=self.worker.run, daemon=True)
        self.thread.start()

    def node(self) -> Node | None:
        return next(iter(recorded(self.blobs)), None)

    def joined(self) -> bool:
        return (node := self.node()) is not None and node.joined == HEAD and not node.ended

    def left(self) -> bool:
        asked, _ = self.target.leaving()
        return asked is not None and (node := self.node()) is not None and node.left(asked.at)

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30.0
        while not holds():
            assert time.monotonic() < deadline, (self.node(), self.raylet.done)
            time.sleep(0.01)

    def ask(self, name: str = "") -> None:
        node = self.node()
        assert node is not None
        self.target.have_leave(name or node.name, 60.0, self.target.leaving()[1])


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(worker, "Raylet", Raylet)
    facts = MachineFacts(8, 2**30, 2**30, 2**30, (), "", None)
    monkeypatch.setattr(worker, "machine_facts", lambda *_, **__: facts)
    made = Stage(tmp_path)
    try:
        made.until(made.joined)
        yield made
    finally:
        made.worker.stop()
        made.thread.join(30.0)


def test_its_replicas_go_first_and_it_stays_away_until_it_may_come_back(stage: Stage) -> None:
    stage.ask()
    stage.until(stage.left)
    assert stage.raylet.done == ["join", "drain", "leave"]
    node = stage.node()
    assert node is not None
    assert not node.alive(time.time()), "no plan counts it in"
    beat = node.beat
    stage.until(lambda: (now := stage.node()) is not None and now.beat > beat)
    assert stage.left(), "it does not join again by itself"
    stage.target.have_stay()
    stage.until(stage.joined)


def test_one_that_has_left_joins_neither_when_it_is_stopped_nor_when_it_is_started_again(
    stage: Stage,
) -> None:
    stage.ask()
    stage.until(stage.left)
    stage.worker.stop()
    stage.thread.join(30.0)
    assert stage.raylet.done == ["join", "drain", "leave"]
    assert stage.left()
    stage.begin()
    node = stage.node()
    assert node is not None
    stage.until(lambda: (now := stage.node()) is not None and now.renewed_at > node.renewed_at)
    assert "join" not in stage.raylet.done
    assert stage.left()


def test_it_says_how_many_replicas_run_on_it(stage: Stage) -> None:
    """So that of several those without go first."""
    assert (stage.node() or pytest.fail("no record")).replicas == 1
    stage.ask()
    stage.until(stage.left)
    assert (stage.node() or pytest.fail("no record")).replicas == 0


def test_one_that_is_not_named_goes_on(stage: Stage) -> None:
    stage.ask("another")
    node = stage.node()
    assert node is not None
    beat = node.beat
    stage.until(lambda: (now := stage.node()) is not None and now.beat > beat + 3)
    assert stage.raylet.done == ["join"]


def test_what_was_asked_before_it_was_booted_was_about_another_one(stage: Stage) -> None:
    node = stage.node()
    assert node is not None
    before = Leaving(node.name, "anna@laptop", psutil.boot_time() - 60.0, 60.0)
    LEAVING.create(stage.blobs, names.LEAVING, before)
    beat = node.beat
    stage.until(lambda: (now := stage.node()) is not None and now.beat > beat + 3)
    assert stage.raylet.done == ["join"]


def test_one_whose_replicas_do_not_go_serves_on_and_tries_when_it_is_asked_again(
    stage: Stage,
) -> None:
    stage.raylet.stuck = True
    stage.ask()
    stage.until(lambda: stage.raylet.done == ["join", "drain"])
    beat = (stage.node() or pytest.fail("no record")).beat
    stage.until(lambda: (now := stage.node()) is not None and now.beat > beat + 12)
    assert stage.joined()
    assert stage.raylet.done == ["join", "drain"], "once for each time it is asked"
    stage.raylet.stuck = False
    stage.ask()
    stage.until(stage.left)


def test_another_commands_decision_is_not_written_over(stage: Stage) -> None:
    _, version = stage.target.leaving()
    stage.ask("first")
    stage.target.have_leave("second", 60.0, version)
    asked, _ = stage.target.leaving()
    assert asked is not None
    assert asked.name == "first"


def test_a_worker_that_was_stopped_has_not_left(stage: Stage) -> None:
    """Its raylet goes on, and so do its replicas."""
    stage.worker.stop()
    stage.thread.join(30.0)
    node = stage.node()
    assert node is not None
    assert node.ended
    assert not node.left(0.0)
    assert NODE.read(stage.blobs, names.node(node.name))[0] == node
