"""What a run does next, by value and by property: whatever is killed, it gets to its end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.finetune.runs.machine import TRIES, Do, End, Observed, next_stage
from serving.finetune.runs.model import Attempt, Failure, Stage, State

KILLED = Failure("killed", "killed by SIGKILL", again=True)
DIVERGED = Failure("diverged", "the loss diverged at step 12", step=12)
ALL = frozenset(Stage)


def _attempt(
    stage: Stage, failure: Failure | None = KILLED, *, at: int = 0, session: int = 1
) -> Attempt:
    return Attempt(stage, session, 1, 1.0, 1.0, at, 2.0, failure)


@pytest.mark.parametrize("count", range(len(Stage)))
def test_a_stage_begins_when_all_before_it_are_done(count: int) -> None:
    stages = list(Stage)
    assert next_stage(Observed(done=frozenset(stages[:count]))) == Do(stages[count])


@given(st.sets(st.sampled_from(Stage)))
def test_what_is_done_is_never_done_again_and_nothing_is_passed_over(done: set[Stage]) -> None:
    step = next_stage(Observed(done=frozenset(done), passed=True))
    if isinstance(step, Do):
        assert step.stage not in done
        assert all(s in done for s in list(Stage)[: list(Stage).index(step.stage)])
    else:
        assert done == ALL


@pytest.mark.parametrize(
    ("passed", "state"), [(True, State.SUCCEEDED), (False, State.REFUSED), (None, State.REFUSED)]
)
def test_only_a_gate_that_says_yes_makes_a_success(passed: bool | None, state: State) -> None:
    assert next_stage(Observed(done=ALL, passed=passed)) == End(state)


def test_a_run_that_is_told_to_stop_begins_nothing() -> None:
    assert next_stage(Observed(stop=True)) == End(State.STOPPED)


def test_a_run_that_has_ended_is_not_stopped_any_more() -> None:
    assert next_stage(Observed(done=ALL, passed=True, stop=True)) == End(State.SUCCEEDED)


def test_what_cannot_go_well_is_not_tried_again() -> None:
    seen = Observed(attempts=(_attempt(Stage.MODEL, DIVERGED),))
    assert next_stage(seen) == End(State.FAILED, DIVERGED)


def test_a_kill_is_tried_again_and_not_for_ever() -> None:
    tried: tuple[Attempt, ...] = ()
    for _ in range(TRIES):
        assert next_stage(Observed(attempts=tried)) == Do(Stage.MODEL)
        tried = (*tried, _attempt(Stage.MODEL))
    step = next_stage(Observed(attempts=tried))
    assert isinstance(step, End)
    assert step.state is State.FAILED
    assert step.failure is not None
    assert KILLED.message in step.failure.message


def test_a_training_that_gets_further_each_time_is_tried_for_as_long_as_it_does() -> None:
    before = frozenset({Stage.MODEL, Stage.DATA})
    tried = tuple(_attempt(Stage.TRAINING, at=10 * n) for n in range(20))
    further = Observed(done=before, attempts=tried, checkpoint=200)
    assert next_stage(further) == Do(Stage.TRAINING)
    stuck = replace(further, attempts=tried + (_attempt(Stage.TRAINING, at=200),) * TRIES)
    assert isinstance(next_stage(stuck), End)


def test_attempts_of_an_earlier_session_do_not_count() -> None:
    tried = tuple(_attempt(Stage.MODEL) for _ in range(TRIES))
    assert isinstance(next_stage(Observed(attempts=tried)), End)
    assert next_stage(Observed(attempts=tried, session=2)) == Do(Stage.MODEL)
    given_up = (_attempt(Stage.MODEL, DIVERGED),)
    assert next_stage(Observed(attempts=given_up, session=2)) == Do(Stage.MODEL)


@given(st.lists(st.integers(0, 3), max_size=60), st.booleans())
def test_every_run_ends_whatever_kills_it(fates: list[int], passed: bool) -> None:
    """A fate below 3 kills the attempt after so many new checkpoints; 3 lets the stage be done."""
    seen, luck = Observed(passed=passed), iter(fates)
    for _ in range(len(fates) + TRIES * len(Stage) + 1):
        step = next_stage(seen)
        if isinstance(step, End):
            break
        seen = _fate(seen, step.stage, next(luck, 3))
    else:
        pytest.fail("it goes on for ever")
    if step.state is State.FAILED:
        assert step.failure is not None
    else:
        assert seen.done == ALL
        assert step.state is (State.SUCCEEDED if passed else State.REFUSED)


def _fate(seen: Observed, stage: Stage, fate: int) -> Observed:
    if fate == 3:
        return replace(seen, done=seen.done | {stage})
    attempt = _attempt(stage, at=seen.checkpoint if stage is Stage.TRAINING else 0)
    gained = fate if stage is Stage.TRAINING else 0
    return replace(seen, attempts=(*seen.attempts, attempt), checkpoint=seen.checkpoint + gained)
