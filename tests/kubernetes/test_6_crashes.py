"""`kill -9` at any moment: the next run ends where one would have ended that nobody killed."""

from __future__ import annotations

import functools
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters import steps, target, telling
from clusters.lease import LeaseLock
from llmops import workflow
from serving.serve_config import application_name
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.desk import Desk
from tests.kubernetes.lane import COMMANDS, FAILING, SERVICE, Lane
from tests.kubernetes.mortal import Killed, MortalClient, already_gone
from tests.kubernetes.snapshot import record
from tests.kubernetes.standin import StandIn
from tests.kubernetes.sweep import measure, sweep
from tests.support.hub import HubServer

LANES = 3
"""Namespaces that are swept side by side: most of a run's time is waiting for others."""


@pytest.fixture
def quick(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody waits longer than the cluster needs, and whoever was killed is known to be gone."""
    monkeypatch.setattr(steps, "POLL", 0.15)
    monkeypatch.setattr(telling, "POLL", 0.15)
    gone = functools.partial(LeaseLock, holder=already_gone)
    monkeypatch.setattr(target, "LeaseLock", gone)
    standin.delay(0.0)
    for number in FAILING:
        standin.fail(application_name(SERVICE, number), "ValueError: no room for the KV cache")
    yield
    standin.delay(0.1)
    for number in FAILING:
        standin.heal(application_name(SERVICE, number))


@pytest.fixture
def lanes(
    control_plane: ControlPlane,
    hub: HubServer,
    add_node: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[list[Lane]]:
    """Lanes with room for all that they start."""
    hub.use(monkeypatch)
    for _ in range(LANES):
        add_node(cpu=64, memory="256Gi")
    made = [_lane(control_plane, tmp_path / str(index)) for index in range(LANES)]
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig()))
    yield made
    for lane in made:
        control_plane.remove_namespace(lane.namespace)


def _lane(control_plane: ControlPlane, home: Path) -> Lane:
    namespace = control_plane.namespace()
    return Lane(
        Desk(
            home=home / "home",
            folder=home / "desk",
            kubeconfig=control_plane.kubeconfig(),
            namespace=namespace,
            source="hf://tests/tiny",
        )
    )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("step", "least"),
    [
        pytest.param(4, 25, id="each fourth write"),
        pytest.param(1, 100, id="each write", marks=pytest.mark.long),
    ],
)
def test_the_next_run_ends_where_one_that_nobody_killed_ends(
    quick: None, lanes: list[Lane], step: int, least: int
) -> None:
    measured = measure(lanes[0])
    assert [one["state"] for one in record(measured.ends["failing"])][-2:] == ["live", "failed"]
    began = time.monotonic()
    points = sweep(lanes, measured, step)
    print(f"{len(points)} points in {time.monotonic() - began:.0f} s")
    wrong = [point for point in points if point.wrong]
    assert not wrong, "\n\n".join(map(str, wrong))
    assert len(points) >= least
    assert set(Counter(point.command for point in points)) == set(COMMANDS)
    # The sweep would see it if nothing were recovered: most of the killed runs left work undone.
    noticed = sum(point.noticed for point in points)
    print(f"{noticed} of them left work undone")
    assert noticed > 0.7 * len(points)


class AtADelete(MortalClient):
    """One that dies when it has asked for a RayService to be deleted."""

    def _begin(self, name: str, given: tuple[Any, ...]) -> None:
        super()._begin(name, given)
        self.dead = self.dead or (name, *given[:1]) == ("delete", "RayService")


def test_a_rollback_that_was_killed_amid_a_delete_is_gone_on_with(
    quick: None, lanes: list[Lane]
) -> None:
    lane = lanes[0]
    for command in ("deploy", "across"):
        lane.run(command, MortalClient(lane.client))
    dying = AtADelete(lane.client)
    with pytest.raises(Killed):
        list(workflow.rollback(lane.target(dying), SERVICE))
    print(f"killed at {dying.written[-1]}")
    list(workflow.rollback(lane.target(), SERVICE))
    releases = lane.target().history(SERVICE)
    assert [(one.number, one.rollback_of) for one in releases] == [(1, None), (2, None), (3, 1)]
    assert lane.target().status(SERVICE).releases[0].number == 3
    assert len(lane.client.list("RayService", lane.namespace)) == 1


MOMENTS = ("looking at", "stage:", "done: stage", "done: verify", "done: shift")
"""What a deploy has just said when it is killed."""


@pytest.mark.timeout(600)
def test_a_deploy_that_was_killed_is_gone_on_with(
    desk: Desk, standin: StandIn, control_plane: ControlPlane
) -> None:
    standin.delay(1.0)
    for number, moment in enumerate(MOMENTS, start=1):
        # Every second one changes the pods, so that a second runtime is half there.
        changes = {"cores": 2 + number // 2}, {"requests_per_minute": 100 + number}
        spec = desk.spec(hardware=changes[0], security=changes[1])
        print(f"killed pid {_killed(desk, spec, moment)} at '{moment}'")
        again = desk.deploy(spec)
        assert again.code == 0, again.text
        assert _runs(desk, control_plane) == (1, [("live", 100)]), again.text
    standin.delay(0.1)
    history = desk.run("history", "chat", "-o", "json").json()["releases"]
    assert [one["number"] for one in history] == list(range(1, len(MOMENTS) + 1))
    assert [one["state"] for one in history][-2:] == ["retired", "live"]


def _killed(desk: Desk, spec: Path, moment: str) -> int:
    """Deploy, and kill it once it has said that; the pid that went."""
    process = desk.start("deploy", "-f", spec, "--yes")
    assert process.stdout is not None
    said = next((line for line in process.stdout if line.startswith(moment) or moment in line), "")
    process.kill()
    process.communicate(timeout=60)
    assert said, f"it never said '{moment}'"
    assert process.returncode == -signal.SIGKILL
    return process.pid


def _runs(desk: Desk, control_plane: ControlPlane) -> tuple[int, list[tuple[str, int]]]:
    """How many runtimes there are, and each release's state and share."""
    where = f"/apis/ray.io/v1/namespaces/{desk.namespace}/rayservices"
    found = control_plane.api("GET", where)["items"]
    return len(found), [(one["state"], one["share"]) for one in desk.status()["releases"]]
