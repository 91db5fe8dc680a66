"""Whatever strikes a run at whatever instant: the next one converges, and the service answers.

The real flow and the real `next_step` run over a simulated target. The last tests switch one piece
of the recovery off each and expect the same properties to fail: a property that cannot fail says
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from llmops import reconciling, workflow
from llmops.errors import LlmopsError
from llmops.releases import (
    Desired,
    Done,
    History,
    Observed,
    Phase,
    Remove,
    Shift,
    Stage,
    State,
    Step,
    Verify,
    next_step,
    records,
)
from tests.releases.plans import SERVICE, make_deployment, plan_of
from tests.releases.simulated import (
    App,
    BrokenPromise,
    Fate,
    SimulatedTarget,
    run,
    survive,
)

GOOD = ("a", "b", "c", "a+x", "a+y", "a+x+y", "b+x")
"""Models, and such with adapters: those of the same model are loaded in one engine."""
BAD = ("bad-start", "bad-answer", "bad-download", "bad-canary", "a+bad-start", "a+bad-answer")
QUICK = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

sources = st.sampled_from(GOOD + BAD)
strategies = st.sampled_from(["rolling", "canary", "canary", "recreate"])
fates = st.dictionaries(st.integers(1, 30), st.sampled_from(Fate), max_size=3)


def strike(world: SimulatedTarget, plan: dict[int, Fate]) -> None:
    """Let these fates strike, counted in instants from now."""
    world.fates = {world.instants + after: fate for after, fate in plan.items()}


def deploy(
    world: SimulatedTarget, source: str, strategy: str = "rolling", keep: int | str = "all"
) -> Any:
    world.gap_allowed = strategy == "recreate"
    return workflow.deploy(
        world,
        make_deployment(source, strategy=strategy, keep_releases=keep),
        planner=plan_of,
        clock=lambda: world.now,
        sleep=world.sleep,
    )


def destroy(world: SimulatedTarget) -> Any:
    world.gap_allowed = True
    return workflow.destroy(world, SERVICE, clock=lambda: world.now)


def rollback(world: SimulatedTarget, number: int | None) -> Any:
    plans = [r.plan.strategy for r in world.store.history.releases]
    world.gap_allowed = "recreate" in plans
    return workflow.rollback(world, SERVICE, number, clock=lambda: world.now)


def promote(world: SimulatedTarget) -> Any:
    return _by_strategy(world, workflow.promote)


def resume(world: SimulatedTarget) -> Any:
    return _by_strategy(world, workflow.resume)


def _by_strategy(world: SimulatedTarget, verb: Any) -> Any:
    world.gap_allowed = "recreate" in [r.plan.strategy for r in world.store.history.releases]
    return verb(world, SERVICE, clock=lambda: world.now, sleep=world.sleep)


def assert_converges(world: SimulatedTarget, source: str = "a") -> None:
    """Without further faults one deploy ends with one release that serves, and a second does
    nothing."""
    world.fates, world.stale, world.store.conflicts, world.held = {}, 0, 0, ""
    events, finished = run(deploy(world, source))
    live = world.store.history.live
    assert live is not None
    assert finished.release == live
    assert live.plan.identity == f"{source} rolling"
    assert list(world.apps) == [live.number], "something was left behind"
    assert world.shares == {live.number: 100}
    assert world.store.history.staging is None
    before = (world.changes, world.store.writes)
    events, finished = run(deploy(world, source))
    assert not finished.changed
    assert (world.changes, world.store.writes) == before, f"the second deploy did {events}"
    world.judge()


@settings(QUICK, max_examples=500)
@given(
    st.lists(st.tuples(sources, strategies, fates, st.integers(0, 3)), max_size=4),
)
def test_an_update_storm_with_faults_anywhere_converges(
    runs: list[tuple[str, str, dict[int, Fate], int]],
) -> None:
    world = SimulatedTarget()
    for source, strategy, plan, stale in runs:
        strike(world, plan)
        world.stale = stale
        survive(deploy(world, source, strategy))
    assert_converges(world)


@settings(QUICK, max_examples=400)
@given(first=fates, second=fates, choices=st.lists(st.booleans(), max_size=80))
def test_two_writers_whose_lock_was_forced_open_corrupt_nothing_and_converge(
    first: dict[int, Fate], second: dict[int, Fate], choices: list[bool]
) -> None:
    world = SimulatedTarget(lock_open=True)
    flows = [deploy(world, "a"), deploy(world, "b")]
    world.gap_allowed = True  # the lock is what keeps one from removing what the other shifts to
    strike(world, first | second)
    open_flows = list(flows)
    for choice in choices:
        if open_flows and survive_one(open_flows[choice % len(open_flows)]):
            open_flows.pop(choice % len(open_flows))
    for flow in open_flows:
        survive(flow)
    assert_converges(world)


def survive_one(flow: Any) -> bool:
    """Let a flow take one move; whether it has ended."""
    try:
        next(flow)
    except (StopIteration, KeyboardInterrupt, LlmopsError):
        return True
    except BaseException as end:
        if type(end).__name__ != "Killed":
            raise
        return True
    return False


def _update(world: SimulatedTarget) -> Any:
    return deploy(world, "c")


def _canary(world: SimulatedTarget) -> Any:
    return deploy(world, "c", "canary")


def _canary_that_is_worse(world: SimulatedTarget) -> Any:
    return deploy(world, "bad-canary", "canary")


def _recreate(world: SimulatedTarget) -> Any:
    return deploy(world, "c", "recreate")


def _fail(world: SimulatedTarget) -> Any:
    return deploy(world, "bad-answer")


def _fail_recreated(world: SimulatedTarget) -> Any:
    return deploy(world, "bad-start", "recreate")


def _roll_back(world: SimulatedTarget) -> Any:
    return rollback(world, None)


def _load_adapter(world: SimulatedTarget) -> Any:
    return deploy(world, "a+z")


def _fail_adapter(world: SimulatedTarget) -> Any:
    return deploy(world, "a+bad-start")


MODELS, ADAPTERS = ("a", "b"), ("a+x", "a+y")


@pytest.mark.parametrize("fate", [Fate.KILL, Fate.REBOOT, Fate.INTERRUPT, Fate.CRASH])
@pytest.mark.parametrize(
    ("before", "verb"),
    [
        *((MODELS, verb) for verb in (
            _update, _canary, _canary_that_is_worse, _recreate, _fail, _fail_recreated, _roll_back,
            destroy,
        )),
        *((ADAPTERS, verb) for verb in (
            _load_adapter, _fail_adapter, _update, _canary, _recreate, _roll_back, destroy,
        )),
    ],
)  # fmt: skip
def test_every_instant_of_every_verb_may_be_struck(
    before: tuple[str, ...], verb: Callable[[SimulatedTarget], Any], fate: Fate
) -> None:
    landed = 0
    for instant in range(1, 100):
        world = SimulatedTarget()
        for source in before:
            run(deploy(world, source))
            world.apps[max(world.apps)].in_flight = 1
        strike(world, {instant: fate})
        survive(verb(world))
        if world.fates:  # the run was over before
            break
        landed += 1
        assert_converges(world)
    assert 3 <= landed < 99, f"{fate} landed {landed} times"


@pytest.mark.parametrize("fate", [Fate.KILL, Fate.REBOOT, Fate.INTERRUPT])
def test_a_rollback_that_was_struck_and_is_said_again_goes_on_with_itself(fate: Fate) -> None:
    """Also where what it left half deleted is seen no more, as on a cluster."""
    landed = 0
    for instant in range(1, 100):
        world = SimulatedTarget()
        for source in "ab":
            run(deploy(world, source))
        strike(world, {instant: fate})
        survive(rollback(world, None))
        live = world.store.history.live
        assert live is not None
        if live.rollback_of is not None and not live.going_back:  # it had come to its end
            break
        landed += 1
        if world.shares == {live.number: 100}:
            world.apps = {n: app for n, app in world.apps.items() if n == live.number}
        world.fates = {}
        _, finished = run(rollback(world, None))
        assert finished.release.plan.identity == "a rolling", f"after {fate} at {instant}"
        assert world.shares == {finished.release.number: 100}
        _, again = run(rollback(world, None))
        assert again.release.plan.identity == "b rolling"
    assert 3 <= landed < 99, f"{fate} landed {landed} times"


def test_a_deploy_ends_a_rollback_that_was_cut_off() -> None:
    world = SimulatedTarget()
    for source in "ab":
        run(deploy(world, source))
    live = world.store.history.live
    assert live is not None
    world.store.history = world.store.history.with_release(replace(live, going_back=True))
    run(deploy(world, "b"))
    _, finished = run(rollback(world, None))
    assert finished.release.rollback_of == 1


class Life(RuleBasedStateMachine):
    """A service's life: deployed, rolled back, destroyed, rebooted, loaded, lost and repaired."""

    def __init__(self) -> None:
        super().__init__()
        self.world = SimulatedTarget()

    @rule(source=sources, strategy=strategies, plan=fates, keep=st.sampled_from(["all", 1, 2]))
    def deploy(self, source: str, strategy: str, plan: dict[int, Fate], keep: int | str) -> None:
        strike(self.world, plan)
        survive(deploy(self.world, source, strategy, keep))

    @rule(plan=fates, number=st.none() | st.integers(1, 6))
    def rollback(self, plan: dict[int, Fate], number: int | None) -> None:
        strike(self.world, plan)
        survive(rollback(self.world, number))

    @rule(plan=fates, verb=st.sampled_from([promote, resume]))
    def a_watch_is_ended_or_gone_on_with(self, plan: dict[int, Fate], verb: Any) -> None:
        strike(self.world, plan)
        survive(verb(self.world))

    @rule(plan=fates)
    def destroy(self, plan: dict[int, Fate]) -> None:
        strike(self.world, plan)
        stale, ended = self.world.stale, survive(destroy(self.world))
        if stale:  # it may not have seen what is there: the next one does
            self.world.stale, self.world.fates = 0, {}
            ended = survive(destroy(self.world))
        self.world.answering = False  # begun is enough: a deploy may take away what it left
        if ended == "done":
            assert not self.world.apps
            assert self.world.store.history.live is None

    @rule()
    def reboot(self) -> None:
        self.world.reboot()

    @rule()
    def the_engine_dies(self) -> None:
        self.world.crash()

    @rule(number=st.integers(1, 9))
    def something_unrecorded_runs(self, number: int) -> None:
        if self.world.store.history.find(number) is None:
            # Beyond what the record will give out: a leftover has the number of nobody.
            self.world.apps[number + 1000] = App(Phase.READY, in_flight=number % 3)

    @rule(source=st.sampled_from(GOOD))
    def a_model_is_damaged(self, source: str) -> None:
        self.world.lost_models = {source}

    @rule(busy=st.integers(0, 2), seconds=st.integers(0, 300))
    def requests_come_and_time_passes(self, busy: int, seconds: int) -> None:
        self.world.now += seconds
        for app in self.world.apps.values():
            app.in_flight = busy

    @rule(looks=st.integers(1, 4))
    def the_next_looks_are_stale(self, looks: int) -> None:
        self.world.stale = looks

    @rule(source=st.sampled_from(GOOD))
    def one_calm_deploy_is_enough(self, source: str) -> None:
        self.world.lost_models.discard(source)
        assert_converges(self.world, source)

    @invariant()
    def promises_hold(self) -> None:
        self.world.judge()


TestLife = Life.TestCase
TestLife.settings = settings(QUICK, max_examples=250, stateful_step_count=10)


# The same properties with one piece of the recovery switched off.


def removes_before_it_shifts(observed: Observed, desired: Desired, now: float) -> Step:
    step = next_step(observed, desired, now)
    old = [s for s in observed.seen if s.number != desired.number and s.share]
    return Remove(old[0].number) if isinstance(step, (Verify, Shift)) and old else step


def shifts_before_it_verifies(observed: Observed, desired: Desired, now: float) -> Step:
    step = next_step(observed, desired, now)
    if isinstance(step, Verify) and not observed.of(step.number).share:
        return Shift(step.number)
    return step


def leaves_what_others_left(observed: Observed, desired: Desired, now: float) -> Step:
    step = next_step(observed, desired, now)
    return Done() if isinstance(step, Remove) and not observed.of(step.number).share else step


def trusts_the_record_alone(observed: Observed, desired: Desired, now: float) -> Step:
    live = observed.history.live
    if live is not None and live.number == desired.number:
        return Done()
    return next_step(observed, desired, now)


def never_restarts(observed: Observed, desired: Desired, now: float) -> Step:
    step = next_step(observed, desired, now)
    live = observed.history.live
    if isinstance(step, Stage) and live is not None and step.number == live.number:
        return Shift(step.number)
    return step


@pytest.mark.parametrize(
    "mutant",
    [
        removes_before_it_shifts,
        shifts_before_it_verifies,
        leaves_what_others_left,
        trusts_the_record_alone,
        never_restarts,
    ],
)
def test_a_reconciler_with_a_piece_missing_is_found_out(
    mutant: Callable[[Observed, Desired, float], Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "next_step", mutant)
    assert_found_out()


def _promote_without_retiring(history: History, number: int, now: float) -> History:
    release = history.find(number)
    assert release is not None
    return history.with_release(replace(release, state=State.LIVE, verified_at=now))


def _forget_what_was_left(history: History, now: float, *, keep: int | None = None) -> History:
    return history


def test_a_record_with_two_live_releases_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "promote", _promote_without_retiring)
    assert_found_out()


def test_a_record_that_keeps_what_a_killed_run_left_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "give_up", _forget_what_was_left)
    assert_found_out()


def assert_found_out() -> None:
    with pytest.raises((BrokenPromise, AssertionError, LlmopsError)):
        run_state_machine_as_test(
            seed(1)(Life),
            settings=settings(
                QUICK, max_examples=300, stateful_step_count=10, report_multiple_bugs=False
            ),
        )
