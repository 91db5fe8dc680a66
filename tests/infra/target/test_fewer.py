"""`llmops deploy` of fewer machines than there are, from the plan to the end, and killed in it.

As in `test_replacing`: the account is moto's, each machine's worker is pretended, and the scripted
`pulumi` runs the program itself, so that the stack says of how many machines it was made. What an
update does to a group is not played: `tests/infra/test_fewer.py` has that.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from infra import AwsTarget, replacing
from infra.account import Account
from infra.configured import planned
from llmops.events import Planned
from serving.agent import AgentTarget
from tests.infra.cloud import REGION
from tests.infra.target.conftest import Scene
from tests.infra.target.test_deploy import follow, noting
from tests.infra.target.test_replacing import STORE, Machines, shown

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

POOL = "pool-0a1b2c3"
"""As the program's stack calls it."""


class Killed(BaseException):
    """The run dies here."""


class Watched:
    """The machines of the pool, and what stood when each was ended."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.machines = Machines(scene, POOL, 3)
        self.ended: list[tuple[int, int]] = []
        """Releases that were handed over by then, and machines that the stack was made for."""
        self.kill = 0

    def declared(self) -> int:
        return int(self.scene.stage.stored()["outputs"]["machines"])

    def there(self) -> tuple[int, int]:
        group = Account(REGION).group(POOL)
        assert group is not None
        return len(group.there), group.desired


@pytest.fixture
def pool(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Watched:
    scene.stage.script(up=["program"], preview=["program"])
    made = Watched(scene)
    made.machines.lead()
    follow(scene.target().deploy(wanted(scene, 2)))
    assert (made.declared(), made.there()) == (3, (3, 3))
    look, end, lower = replacing.Pool.look, replacing.Pool.end, AwsTarget._lowered

    def looked(one: replacing.Pool) -> Any:
        made.machines.work()
        return look(one)

    def ends(one: replacing.Pool, machine: Any, *, successor: bool) -> None:
        assert not successor
        made.ended.append((len(scene.handed), made.declared()))
        end(one, machine, successor=successor)
        if made.kill == len(made.ended):
            raise Killed

    def lowers(target: AwsTarget, plan: Any) -> Any:
        yield from lower(target, plan)
        if made.kill == -1:
            raise Killed

    monkeypatch.setattr(replacing.Pool, "look", looked)
    monkeypatch.setattr(replacing.Pool, "end", ends)
    monkeypatch.setattr(AwsTarget, "_lowered", lowers)
    monkeypatch.setattr("infra.target.fewer", partial(replacing.fewer, poll=0.05))
    return made


def wanted(scene: Scene, spare: int) -> Any:
    return scene.deployment(machine="g4dn.xlarge", store=STORE, spare=spare)


def test_machines_end_when_the_release_serves_and_only_then_is_the_stack_made_smaller(
    pool: Watched, scene: Scene
) -> None:
    asked: list[Planned] = []
    events, finished = follow(scene.target().deploy(wanted(scene, 0), confirm=noting(asked)))
    assert finished.url
    assert len(asked) == 1, "it is a change, and is asked for"
    told = shown(events)
    ends = [one.action for one in told.changes if one.name.startswith("Machine/")]
    assert ends == ["delete", "delete"]
    assert [one.id for one in told.findings] == ["target.machines-end"]
    assert pool.ended == [(2, 3), (2, 3)], "the release first, the stack last"
    assert (pool.declared(), pool.there()) == (1, (1, 1))
    assert AgentTarget(scene.home, STORE).leaving()[0] is None
    ups = len(scene.stage.calls("up"))
    events, _ = follow(scene.target().deploy(wanted(scene, 0)))
    assert len(scene.stage.calls("up")) == ups, "a second run does nothing"
    assert {one.action for one in shown(events).changes} == {"unchanged"}
    assert (len(pool.ended), shown(events).findings) == (2, ())


@pytest.mark.parametrize("kill", [1, 2, -1])
def test_a_run_that_is_killed_on_the_way_is_finished_by_the_next(
    pool: Watched, scene: Scene, kill: int
) -> None:
    pool.kill = kill
    with pytest.raises(Killed):
        follow(scene.target().deploy(wanted(scene, 0)))
    pool.kill = 0
    follow(scene.target().deploy(wanted(scene, 0)))
    assert (pool.declared(), pool.there()) == (1, (1, 1))
    assert len(pool.ended) == 2, "none was ended twice"


def test_a_group_that_a_killed_run_has_left_smaller_than_its_stack_says_is_learnt_of_first(
    pool: Watched, scene: Scene
) -> None:
    """Or a plan of as many machines as the stack says would never start the missing ones."""
    pool.kill = 1
    with pytest.raises(Killed):
        follow(scene.target().deploy(wanted(scene, 0)))
    pool.kill = 0
    assert (pool.declared(), pool.there()) == (3, (2, 2))
    assert scene.stage.calls("refresh") == []
    events, _ = follow(scene.target().deploy(wanted(scene, 2)))
    assert ("Group/pool", "update") in [(one.name, one.action) for one in shown(events).changes]
    assert len(scene.stage.calls("refresh")) == 1
    assert len(pool.ended) == 1


def test_pulumis_own_command_keeps_what_is_there_and_says_so(
    pool: Watched, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setenv("LLMOPS_HOME", str(scene.home))
    monkeypatch.setattr("pulumi.log.info", lambda _: None)
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    _, plan, keep = planned(wanted(scene, 0))
    assert plan.machines is not None
    assert (plan.machines.count.value, keep.machines) == (1, 3)
    assert [text for text in warned if "3 machines with GPUs stay, and 1 are planned" in text]
