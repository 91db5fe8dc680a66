"""`llmops deploy` on machines that an older launch template has started, from the plan to the end.

The account is moto's, the stack that of the scripted `pulumi`; each machine's worker is pretended:
it reads and writes the store as `serving.agent` does, which `tests/agent/test_leaving.py` shows.
The heavier tier: what is decided is tried in `tests/infra/test_rolling.py` and `test_pool.py`.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest

from infra import replacing
from infra.account import Account
from llmops import __version__
from llmops.errors import RefusedError, TargetError
from llmops.events import Event, Planned, Previewed, StepEnded
from llmops.planning import MachineFacts
from serving.agent import AgentTarget, open_blobs
from serving.agent.nodes import NODE
from serving.agent.presence import LEASE
from serving.agent.words import Lease, Node
from tests.infra.cloud import REGION
from tests.infra.pulumi_stub.playing import RECORDINGS
from tests.infra.target.conftest import BUCKET, Scene
from tests.infra.target.test_deploy import failing, follow, noting

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

STORE = f"s3://{BUCKET}/llmops"
POOL = "chat-gpu-pool"


class Machines:
    """The machines of the pool, whose workers do what they are told whenever somebody looks."""

    def __init__(self, scene: Scene, pool: str = POOL, count: int = 2) -> None:
        self.scene, self.blobs, self.pool = scene, open_blobs(STORE), pool
        self.template = scene.cloud.template()
        scene.cloud.group(pool, self.template, count, protected=True)
        self.ended: list[str] = []
        self.deaf = False
        self.work()

    def renewed(self) -> None:
        """As an update of the stack leaves it: the group starts machines otherwise from now on."""
        self.scene.cloud.start_from(self.pool, self.template, "2")

    def work(self) -> None:
        """Let each worker say what it would by now."""
        group = Account(REGION).group(self.pool)
        assert group is not None
        asked, _ = AgentTarget(self.scene.home, STORE).leaving()
        for one in group.machines:
            leaves = asked is not None and asked.name == one.id and not self.deaf
            self._say(one.id, one.address, "" if leaves else "10.0.0.5:6379", ended=leaves)

    def _say(self, name: str, address: str, joined: str, *, ended: bool) -> None:
        facts = MachineFacts(8, 2**30, 2**30, 2**30, (), "", None)
        node = Node(name, address, facts, joined, time.time(), 1, 3600.0, ended=ended)
        _, version = NODE.read(self.blobs, f"nodes/{name}.json")
        NODE.write(self.blobs, f"nodes/{name}.json", node, version)

    def lead(self, version: str = __version__) -> None:
        """The head's agent gives a sign of life."""
        now = time.time()
        lease = Lease("a", "head", 1, now, "boot", now, now, 1, 3600.0, version, (1,))
        _, before = LEASE.read(self.blobs, "agent/lease.json")
        LEASE.write(self.blobs, "agent/lease.json", lease, before)


@pytest.fixture
def machines(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Machines:
    text = (RECORDINGS / "first.jsonl").read_text()
    first = text.replace('"head": "i-0head"', f'"head": "i-0head", "pool": "{POOL}"')
    assert first != text
    (scene.stage.folder / "with-a-pool.jsonl").write_text(first)
    scene.stage.script(up=["with-a-pool.jsonl"], preview=["with-a-pool.jsonl"])
    made = Machines(scene)
    made.lead()
    follow(scene.target().deploy(wanted(scene)))
    scene.stage.script(up=["same.jsonl"], preview=["same.jsonl"])
    look = replacing.Pool.look

    def looked(pool: replacing.Pool) -> Any:
        made.work()
        return look(pool)

    def end(_: replacing.Pool, machine: Any, *, successor: bool) -> None:
        """Each successor counts as started from the new version, as moto tells it of none."""
        made.ended.append(machine.id)
        assert successor
        scene.cloud.client("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=machine.id, ShouldDecrementDesiredCapacity=False
        )
        if len(made.ended) == 2:
            scene.cloud.renew(made.template)

    monkeypatch.setattr(replacing.Pool, "look", looked)
    monkeypatch.setattr("infra.target.roll", partial(replacing.roll, poll=0.05))
    monkeypatch.setattr(replacing.Pool, "end", end)
    return made


def wanted(scene: Scene, **target: Any) -> Any:
    return scene.deployment(machine="g4dn.xlarge", **target)


def shown(events: list[Event]) -> Previewed:
    return next(event for event in events if isinstance(event, Previewed))


def test_a_plan_counts_the_machines_that_are_behind_and_leaves_them(
    machines: Machines, scene: Scene
) -> None:
    machines.renewed()
    events, _ = follow(scene.target().deploy(wanted(scene, spare=1)))
    [finding] = shown(events).findings
    assert "2 of 2 machines with GPUs were started from an older" in finding.message
    assert machines.ended == []


def test_a_deploy_replaces_each_once_it_is_empty_and_a_second_one_none(
    machines: Machines, scene: Scene
) -> None:
    machines.renewed()
    old = {one.id for one in (Account(REGION).group(POOL) or pytest.fail("no group")).machines}
    asked: list[Planned] = []
    rolled = wanted(scene, spare=1, roll="auto")
    events, finished = follow(scene.target().deploy(rolled, confirm=noting(asked)))
    assert len(asked) == 1, "it is a change, and is asked for"
    replaced = {one.name.removeprefix("Machine/") for one in shown(events).changes
                if one.name.startswith("Machine/")}  # fmt: skip
    assert replaced == set(machines.ended) == old
    assert finished.url
    said = [event.text for event in events if isinstance(event, StepEnded)]
    assert said[-2:] == [f"empty and end {name}" for name in machines.ended]
    assert AgentTarget(scene.home, STORE).leaving()[0] is None
    machines.work()
    events, _ = follow(scene.target().deploy(rolled))
    assert set(machines.ended) == old, "none is replaced twice"
    assert shown(events).findings == ()
    assert not any(one.name.startswith("Machine/") for one in shown(events).changes)


def test_a_machine_that_does_not_become_empty_is_not_ended(
    machines: Machines, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.renewed()
    machines.deaf = True
    monkeypatch.setitem(replacing.PATIENCE, "leave", 0.2)
    _, error = failing(scene.target().deploy(wanted(scene, spare=1, roll="auto")))
    assert isinstance(error, TargetError)
    assert "the release serves, but not all machines are replaced" in error.message
    assert error.exit_code == 4
    assert machines.ended == []
    assert AgentTarget(scene.home, STORE).leaving()[0] is None, "it may stay"


def test_what_a_killed_run_had_asked_for_is_taken_back_by_the_next(
    machines: Machines, scene: Scene
) -> None:
    agent = AgentTarget(scene.home, STORE)
    group = Account(REGION).group(POOL)
    assert group is not None
    agent.have_leave(group.machines[0].id, 60.0, "")
    follow(scene.target().deploy(wanted(scene)))
    assert agent.leaving()[0] is None
    assert machines.ended == []


def test_a_head_of_another_llmops_refuses_before_anything_is_changed(
    machines: Machines, scene: Scene
) -> None:
    machines.lead("0.0.1")
    calls = len(scene.stage.calls("up"))
    _, error = failing(scene.target().deploy(wanted(scene, spare=1)))
    assert isinstance(error, RefusedError)
    assert f"the head runs llmops 0.0.1, and this is {__version__}" in error.message
    assert "the service is down meanwhile" in error.hint
    assert len(scene.stage.calls("up")) == calls
