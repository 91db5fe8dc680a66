"""What `run` does where there are runs already, by value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serving.finetune.runs import Failure, Run, State
from serving.finetune.runs.choosing import Begin, GoOn, Nothing, choose

LAST = Run("style", 3, "same", step=4, steps=9)


def test_the_first_run_begins() -> None:
    assert isinstance(choose(None, "same", again=False), Begin)


@pytest.mark.parametrize("state", list(State))
def test_another_spec_begins_another_run_and_gives_up_what_was_interrupted(state: State) -> None:
    found = choose(replace(LAST, state=state), "other", again=False)
    assert isinstance(found, Begin)
    assert (found.instead is None) == state.ended


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.REFUSED])
def test_the_same_again_after_a_judged_run_does_nothing_unless_asked(state: State) -> None:
    last = replace(LAST, state=state)
    assert isinstance(choose(last, "same", again=False), Nothing)
    assert isinstance(choose(last, "same", again=True), Begin)


@pytest.mark.parametrize(
    ("state", "how"),
    [(State.STOPPED, "was stopped"), (State.FAILED, "failed"), (State.TRAINING, "was interrupted")],
)
def test_the_same_again_goes_on_with_a_run_that_was_cut_off(state: State, how: str) -> None:
    found = choose(replace(LAST, state=state), "same", again=False)
    assert isinstance(found, GoOn)
    assert found.why == f"run 3 of the same spec, data and base {how} at step 4 of 9"


def test_a_loss_that_has_diverged_is_not_gone_on_with() -> None:
    last = replace(LAST, state=State.FAILED, failure=Failure("diverged", "the loss diverged"))
    found = choose(last, "same", again=False)
    assert isinstance(found, Nothing)
    assert "the loss diverged" in found.why
