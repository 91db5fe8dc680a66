"""Putting a state back, on the simulated target that judges every instant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from llmops import restoring, workflow
from llmops.errors import RefusedError, TargetError
from llmops.events import StepBegun
from llmops.policies import Shelf
from llmops.releases import History, State
from llmops.saved import Saved, SavedService, Standing, standing
from tests.backup.making import POLICY, history, state, states
from tests.releases.plans import SERVICE, make_deployment, make_plan, plan_of, release
from tests.releases.simulated import Fate, MemoryStore, SimulatedTarget, run, survive

OTHER = f"{POLICY}security: {{tenants: apart}}\n"
OWN = "kind: Policy\nname: own\n"
LIVE = history(State.RETIRED, State.LIVE)


class Overwritten(MemoryStore):
    """A store that takes any edit: a restore that replaces is the one writer who may."""

    def write(self, history: History, version: str) -> str:
        self.history = History(SERVICE)
        return super().write(history, version)


def restore(world: SimulatedTarget, saved: Saved, **how: Any) -> Any:
    return restoring.restore(world, saved, clock=lambda: world.now, **how)


def gathered(world: SimulatedTarget) -> Saved:
    saved = restoring.gather(
        world, world.store.services(), version="0.1.0", target="local", where={}, now=world.now
    )
    return replace(saved, created_at=state().created_at)


def numbers(world: SimulatedTarget) -> list[tuple[int, str]]:
    return [(r.number, r.state.value) for r in world.store.history.releases]


def steps(events: Any) -> list[str]:
    return [event.text for event in events if isinstance(event, StepBegun)]


def test_an_empty_machine_serves_the_last_good_release_once_it_has_answered() -> None:
    world = SimulatedTarget()
    events, [done] = run(restore(world, state()))
    assert steps(events) == ["stage release 3", "verify release 3", "shift release 3"]
    assert numbers(world) == [(1, "retired"), (2, "retired"), (3, "live")]
    assert done.release is not None
    assert (done.release.rollback_of, done.release.plan) == (2, LIVE.releases[1].plan)
    assert world.verified == {3}
    assert world.vault.held[SERVICE] == state().services[0].access
    assert world.policies.shelf == state().policies


def test_the_records_alone_are_put_back_as_they_were() -> None:
    world = SimulatedTarget()
    run(restore(world, state(), deploy=False))
    assert gathered(world) == state()
    assert world.apps == {}


@settings(max_examples=50)
@given(states)
def test_keeping_and_putting_back_is_the_identity(saved: Saved) -> None:
    """Of every state of one service; the others would be the same again."""
    for service in saved.services[:1]:
        if not service.history.releases:
            continue
        renamed = tuple(
            replace(r, service=SERVICE, plan=make_plan(r.plan.identity))
            for r in service.history.releases
        )
        one = SavedService(History(SERVICE, renamed), service.access)
        wanted = replace(saved, services=(one,), version="0.1.0", target="local", where={})
        world = SimulatedTarget()
        run(restore(world, wanted, deploy=False))
        assert replace(gathered(world), created_at=saved.created_at) == wanted


def test_a_second_run_changes_nothing_and_has_it_answer_again() -> None:
    world = SimulatedTarget()
    run(restore(world, state()))
    before = numbers(world), world.store.writes
    events, [done] = run(restore(world, state()))
    assert steps(events) == []
    assert (numbers(world), world.store.writes) == before
    assert done.release is not None
    assert done.release.number == 3


@pytest.mark.parametrize("fate", [Fate.KILL, Fate.REBOOT, Fate.INTERRUPT])
@pytest.mark.parametrize("instant", range(1, 9))
def test_a_run_that_was_killed_anywhere_is_finished_by_the_next(instant: int, fate: Fate) -> None:
    world = SimulatedTarget(fates={instant: fate})
    survive(restore(world, state()))
    world.fates.clear()
    _, [done] = run(restore(world, state()))
    assert done.release is not None
    live = done.release.number
    assert world.shares[live] == 100
    assert live in world.verified
    assert world.vault.held[SERVICE].keys
    # What an interrupt took back stays recorded as failed; nothing else is begun twice.
    assert len(numbers(world)) <= (4 if fate is Fate.INTERRUPT else 3)


def test_a_release_that_does_not_come_up_leaves_its_records_and_says_that_nothing_serves() -> None:
    bad = History(SERVICE, (release(1, State.LIVE, plan=make_plan("bad-start")),))
    world = SimulatedTarget()
    with pytest.raises(TargetError, match="nothing serves") as caught:
        run(restore(world, state(bad)))
    assert caught.value.exit_code == 5
    assert numbers(world) == [(1, "live"), (2, "failed")]
    assert world.apps == {}
    assert world.shares == {}


def test_a_service_that_had_been_destroyed_stays_so() -> None:
    world = SimulatedTarget()
    events, [done] = run(restore(world, state(history(State.RETIRED, State.FAILED))))
    assert steps(events) == []
    assert done.release is None


def test_what_was_released_since_is_not_taken_away() -> None:
    world = SimulatedTarget()
    run(restore(world, state()))
    flow = workflow.deploy(
        world, make_deployment("newer"), planner=plan_of, clock=lambda: world.now
    )
    run(flow)
    run(restore(world, state()))
    assert numbers(world)[-1] == (4, "live")
    assert world.shares[4] == 100


def test_old_releases_that_a_service_has_forgotten_are_no_difference() -> None:
    saved = history(State.RETIRED, State.RETIRED, State.LIVE)
    newer = release(4, State.LIVE)
    kept = History(SERVICE, (*saved.releases[1:], newer))
    assert standing(kept, saved) is Standing.KEPT
    assert standing(History(SERVICE, saved.releases[:2]), saved) is Standing.DIFFERS
    assert standing(History(SERVICE, (newer,)), saved) is Standing.DIFFERS


def other() -> SimulatedTarget:
    """A machine on which the service has a history of its own, and serves."""
    world = SimulatedTarget(store=Overwritten())
    for source in ("x", "y", "z"):
        flow = workflow.deploy(
            world, make_deployment(source), planner=plan_of, clock=lambda: world.now
        )
        run(flow)
    return world


def test_another_history_is_not_touched_without_being_told_to() -> None:
    world = other()
    before = numbers(world), world.changes, world.policies.shelf, dict(world.vault.held)
    with pytest.raises(RefusedError, match="differ from those of the backup") as caught:
        run(restore(world, state()))
    assert "--replace" in caught.value.hint
    after = numbers(world), world.changes, world.policies.shelf, dict(world.vault.held)
    assert before == after


def test_another_history_is_replaced_when_told_to_and_no_number_is_given_out_again() -> None:
    world = other()
    world.gap_allowed = True
    events, [done] = run(restore(world, state(), replace=True))
    assert steps(events) == ["remove release 3", "stage release 4", "verify release 4",
                             "shift release 4"]  # fmt: skip
    assert numbers(world) == [(1, "retired"), (2, "retired"), (3, "retired"), (4, "live")]
    assert [r.plan.identity for r in world.store.history.releases][:2] == ["p1", "p2"]
    assert done.release is not None
    assert done.release.rollback_of == 2
    assert standing(world.store.history, LIVE) is Standing.KEPT


@pytest.mark.parametrize("instant", range(1, 13))
def test_a_replacement_that_was_killed_anywhere_is_finished_by_the_next(instant: int) -> None:
    world = other()
    world.gap_allowed = True
    world.fates = {world.instants + instant: Fate.KILL}
    survive(restore(world, state(), replace=True))
    world.fates.clear()
    _, [done] = run(restore(world, state(), replace=True))
    assert done.release is not None
    assert world.shares == {done.release.number: 100}
    assert done.release.plan == LIVE.releases[1].plan


def test_policies_that_differ_are_refused_and_replaced_only_beside_what_was_not_saved() -> None:
    world = SimulatedTarget()
    world.policies.shelf = Shelf().applied("house", OTHER, 1.0, "bo").applied("own", OWN, 2.0, "b")
    with pytest.raises(RefusedError, match="the policies here differ"):
        run(restore(world, state()))
    assert world.store.history.releases == ()
    run(restore(world, state(), replace=True))
    holding = {entry.name: (entry.version, entry.text) for entry in world.policies.shelf.holding()}
    assert holding == {"house": (2, POLICY), "own": (1, OWN)}
    shelf = world.policies.shelf
    run(restore(world, state(), replace=True))
    assert world.policies.shelf == shelf


def test_what_serves_is_not_replaced_while_it_may_not_be_changed() -> None:
    world = other()
    world.now = 1_800_000_000.0  # a Friday
    windows = f"{POLICY}maintenance: {{windows: [Sun 02:00-04:00 UTC]}}\n"
    world.policies.shelf = Shelf().applied("house", windows, 1.0, "ada")
    saved = replace(state(), policies=world.policies.shelf)
    with pytest.raises(RefusedError, match="chat serves, and"):
        run(restore(world, saved, replace=True))
    assert numbers(world)[-1] == (3, "live")
    world.reboot()
    world.gap_allowed = True
    _, [done] = run(restore(world, saved, replace=True))
    assert done.release is not None


def test_what_would_be_done_is_told_before() -> None:
    world = SimulatedTarget()
    [one] = restoring.intended(world, state())
    assert (one.standing, one.live, one.serves) == (Standing.NEW, 2, False)
    run(restore(world, state()))
    [one] = restoring.intended(world, state())
    assert (one.standing, one.serves) == (Standing.KEPT, True)
    [one] = restoring.intended(other(), state())
    assert one.standing is Standing.DIFFERS
