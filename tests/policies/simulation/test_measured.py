"""A profile that was measured: the fit gives back the replica, and its file the profile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.planning import make_plan, planned_batch
from llmops.policies.simulation import (
    Pace,
    Profile,
    Rates,
    Reading,
    Request,
    Rules,
    fixed,
    made,
    planned_replica,
    profile_text,
    rates,
    read_profile,
    replay,
)
from tests.planning.worlds import deployment, make_facts

READINGS = (Reading(16, 0.1), Reading(1000, 0.5))


def paces(profile: Profile, *batches: int) -> list[Pace]:
    return [Pace(batch, profile.step_of(batch)) for batch in batches]


def first_token(profile: Profile, tokens: int) -> Reading:
    """A prompt alone, as the simulator's own engine reads it."""
    trace = made("one", [Request(0.0, tokens, 8)])
    found = replay(trace, profile, Rules(), fixed(1)).fates[0]
    return Reading(tokens, found.first)


@given(
    step=st.floats(1e-4, 0.2), each=st.floats(0, 0.01), rate=st.floats(100, 1e5),
    chunk=st.integers(256, 16384), batches=st.sets(st.integers(1, 64), min_size=2, max_size=6),
)  # fmt: skip
def test_a_replica_of_the_simulator_is_measured_as_what_it_is(
    step: float, each: float, rate: float, chunk: int, batches: set[int]
) -> None:
    profile = Profile(step=step, step_each=each, prefill_rate=rate, chunk=chunk)
    readings = [first_token(profile, tokens) for tokens in (16, 700, 1400)]
    found = rates(paces(profile, *batches), readings, chunk)
    assert found.step == pytest.approx(step, rel=1e-3, abs=1e-6)
    assert found.step_each == pytest.approx(each, rel=1e-3, abs=1e-6)
    assert found.prefill_rate == pytest.approx(rate, rel=1e-2)
    assert not found.bounded


def test_one_batch_gives_a_step_that_does_not_grow() -> None:
    assert rates([Pace(4, 0.02)], READINGS, 512).step_each == 0.0
    assert rates([Pace(4, 0.02)], READINGS, 512).step == pytest.approx(0.02)


def test_noise_gives_no_step_that_shrinks_with_the_batch() -> None:
    found = rates([Pace(1, 0.03), Pace(2, 0.02)], READINGS, 512)
    assert found.step == pytest.approx(0.025)
    assert found.step_each == 0.0


def test_noise_gives_no_empty_step_below_nothing() -> None:
    found = rates([Pace(1, 0.01), Pace(2, 0.03)], READINGS, 512)
    assert found.step == pytest.approx(1e-6)
    assert found.step_each == pytest.approx((0.01 + 0.06) / 5)


def test_prompts_that_take_no_longer_give_a_lower_bound_and_say_so() -> None:
    found = rates([Pace(1, 0.01)], [Reading(16, 0.2), Reading(1000, 0.2)], 512)
    assert found == Rates(0.01, 0.0, 5000.0, bounded=True)


@pytest.mark.parametrize(
    ("steps", "readings"),
    [([], READINGS), ([Pace(1, 0.01)], []), ([Pace(1, 0.01)], [Reading(16, 0.1), Reading(16, 1)])],
)
def test_too_little_is_refused(steps: list[Pace], readings: list[Reading]) -> None:
    with pytest.raises(ValueError, match="prompts of two lengths"):
        rates(steps, readings, 512)


@pytest.mark.parametrize("kv_tokens", [None, 2_097_152])
def test_the_file_of_a_profile_is_read_as_the_profile(
    tmp_path: Path, kv_tokens: int | None
) -> None:
    profile = Profile(
        slots=128, prefill_rate=29450.6, step=0.001247, step_each=0.0, chunk=2048, startup=62.687,
        devices=2, kv_tokens=kv_tokens,
    )  # fmt: skip
    path = tmp_path / "profile.yaml"
    path.write_text(profile_text(profile, {"startup": "one\nslots: 3"}))
    assert read_profile(path) == profile
    assert "startup: 62687ms  # one slots: 3\n" in path.read_text()


def test_a_plan_tells_a_replica_batch_cache_and_what_it_takes() -> None:
    plan = make_plan(deployment(engine={"args": {"max_num_seqs": 24}}), make_facts())
    found = planned_replica(plan)
    assert found == Profile(
        slots=24, chunk=planned_batch(plan).tokens, takes=plan.limits.in_flight,
        kv_tokens=int(plan.memory.kv_tokens.value),
    )  # fmt: skip
    own = planned_batch(make_plan(deployment(), make_facts()))
    assert (own.sequences, own.tokens) == (128, 2048)


def test_gpus_are_counted_where_there_are_some() -> None:
    plan = make_plan(deployment(), make_facts())
    cut = replace(plan, layout=replace(plan.layout, device="gpu", tensor=2, pipeline=2))
    assert planned_replica(cut).devices == 4
    assert planned_replica(replace(plan, layout=replace(plan.layout, tensor=2))).devices == 1
