"""What a service keeps of releases that have ended, by the real flow over a simulated target."""

from __future__ import annotations

from typing import Any

from llmops import workflow
from tests.releases.plans import SERVICE, make_deployment, plan_of
from tests.releases.simulated import SimulatedTarget, run


def deploy(world: SimulatedTarget, source: str, **maintenance: Any) -> None:
    deployment = make_deployment(source, **maintenance)
    run(workflow.deploy(world, deployment, planner=plan_of, clock=lambda: world.now))


def numbers(world: SimulatedTarget) -> list[int]:
    return [release.number for release in world.store.history.releases]


def test_everything_is_kept_where_nothing_is_said() -> None:
    world = SimulatedTarget()
    for source in "abcd":
        deploy(world, source)
    assert numbers(world) == [1, 2, 3, 4]
    assert world.kept_logs is None


def test_old_releases_go_once_the_new_one_serves() -> None:
    world = SimulatedTarget()
    for source in "abcd":
        deploy(world, source, keep_releases=2)
    assert numbers(world) == [2, 3, 4]
    assert world.kept_logs == frozenset({2, 3, 4})


def test_logs_may_go_before_their_releases() -> None:
    world = SimulatedTarget()
    for source in "abcd":
        deploy(world, source, keep_logs=1)
    assert numbers(world) == [1, 2, 3, 4]
    assert world.kept_logs == frozenset({3, 4})


def test_an_unchanged_deploy_forgets_what_the_newer_file_does_not_keep() -> None:
    world = SimulatedTarget()
    for source in "abcd":
        deploy(world, source)
    deploy(world, "d", keep_releases=1)
    assert numbers(world) == [3, 4]


def test_what_a_rollback_repeats_is_kept() -> None:
    world = SimulatedTarget()
    for source in "ab":
        deploy(world, source, keep_releases=1)
    run(workflow.rollback(world, SERVICE, clock=lambda: world.now))
    run(workflow.rollback(world, SERVICE, clock=lambda: world.now))
    live = world.store.history.live
    assert live is not None
    assert live.plan.identity.startswith("b")
    assert live.number == 4
