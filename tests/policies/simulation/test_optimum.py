"""The optimum: programs small enough to try every way, and bounds that hold for every policy."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.policies.scaling import ScalingSettings
from llmops.policies.simulation import (
    Bounds,
    Load,
    Profile,
    Rules,
    Shape,
    Trace,
    figures,
    fixed,
    generate,
    lower_bound,
    ours,
    planned,
    replay,
    schedule,
)
from llmops.policies.simulation.dynamic import Problem, solve
from tests.policies.simulation.worlds import profiles, trace, traces


def tried(problem: Problem, price: float) -> float:
    """The least cost of all ways, one after the other."""
    counts = range(problem.low, problem.high + 1)
    best = float("inf")
    for ways in itertools.product(counts, repeat=2 * len(problem.come)):
        best = min(best, cost(problem, price, ways))
    return best


def cost(problem: Problem, price: float, ways: tuple[int, ...]) -> float:
    """Of one way: the replicas that work in each step, and those that stay after it."""
    have, waits, total, came = problem.initial, 0, 0.0, 0
    for step, (works, stay) in enumerate(zip(ways[::2], ways[1::2], strict=True)):
        if works < have or stay > works:
            return float("inf")
        total += (works - have) * problem.up + works * problem.step
        total -= (works - stay) * problem.down
        left = max(0, waits + problem.come[step] - came - works * problem.units)
        came = problem.come[step]
        over = max(0, left - (problem.come[step] - problem.due[step]))
        total += over * price
        waits, have = left - over, stay
    return total


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Any small one."""
    come = list(itertools.accumulate(draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))))
    late = [draw(st.integers(0, 8)) for _ in come]
    due = [max(0, all_of - wait) for all_of, wait in zip(come, late, strict=True)]
    due = list(itertools.accumulate(due, max))
    step = draw(st.sampled_from([1.0, 5.0]))
    low = draw(st.integers(0, 1))
    return Problem(
        come=come, due=due, units=draw(st.integers(1, 3)), step=step, low=low, high=2,
        initial=draw(st.integers(low, 2)), up=draw(st.sampled_from([0.0, 2.0, 7.0])),
        down=draw(st.sampled_from([0.0, step])),
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(problems(), st.sampled_from([0.0, 0.7, 3.0, 100.0]))
def test_the_program_finds_what_trying_everything_finds(problem: Problem, price: float) -> None:
    assert solve(problem, price).cost == pytest.approx(tried(problem, price))


@settings(deadline=None, max_examples=60)
@given(problems(), st.sampled_from([0.7, 3.0, 100.0]))
def test_the_way_that_it_gives_is_as_good_as_its_cost(problem: Problem, price: float) -> None:
    solution = solve(problem, price)
    stays = [
        (works, stay)
        for works in [solution.replicas]
        for stay in itertools.product(range(problem.low, problem.high + 1), repeat=len(works))
    ]
    best = min(
        cost(problem, price, tuple(itertools.chain(*zip(works, stay, strict=True))))
        for works, stay in stays
    )
    assert best == pytest.approx(solution.cost)


@settings(deadline=None, max_examples=40)
@given(traces(most=60), profiles(), st.integers(1, 3), st.integers(0, 5), st.data())
def test_no_policy_that_attains_the_objective_stays_below_the_bound(
    requests: Trace, profile: Profile, high: int, seed: int, data: st.DataObject
) -> None:
    steps = [
        (20.0 * at, data.draw(st.integers(0, high), label=f"replicas from {20 * at} s"))
        for at in range(7)
    ]
    rules = Rules(initial=steps[0][1], ttft=data.draw(st.floats(0.1, 60.0)), tpot=None)
    made = figures(timeline := replay(requests, profile, rules, planned(steps)), rules)
    share = max(0.01, made.attained)
    bound = lower_bound(requests, profile, rules, Bounds(low=0, high=high, share=share))
    assert made.attained == 0 or bound <= timeline.replica_seconds + 1e-6


def test_a_bound_by_hand() -> None:
    # 100 s of work come at 50 s and are due by 60 s: ten replicas, of which nine start. Each
    # costs 60 s to start and works for two steps of 5 s; of these two, one is not counted, because
    # it may have come and gone within them.
    profile = Profile(
        slots=1, prefill_rate=100.0, step=0.0001, step_each=0.0, chunk=1, startup=60.0
    )
    requests = trace(*[(50.0, 100, 1)] * 100, (99.0, 1, 1))
    rules = Rules(initial=1, ttft=9.9)
    bound = lower_bound(requests, profile, rules, Bounds(low=1, high=20, share=1.0))
    assert bound == pytest.approx(100 + 9 * (60 + 2 * 5 - 2 * 5))


@pytest.mark.parametrize("shape", [Shape.STEADY, Shape.DIURNAL])
def test_the_schedule_attains_the_objective_and_costs_no_more_than_any_policy(
    shape: Shape,
) -> None:
    profile = Profile(startup=30.0)
    requests = generate(Load(shape=shape, seconds=600, day=600, rate=4.0), 1)
    rules, bounds = Rules(initial=2, ttft=2.0), Bounds(low=1, high=6)
    asked = ScalingSettings(1, 6, 8, ttft=2.0, startup_seconds=30.0)
    others = [replay(requests, profile, rules, scaler) for scaler in (ours(asked), fixed(6))]
    best = schedule(requests, profile, rules, bounds, others)
    assert best is not None
    assert figures(best, rules).attained >= 0.99
    bound = lower_bound(requests, profile, rules, bounds)
    assert bound <= best.replica_seconds
    for one in others:
        if figures(one, rules).attained >= 0.99:
            assert best.replica_seconds <= one.replica_seconds


def test_without_enough_replicas_there_is_no_schedule() -> None:
    requests = trace(*[(1.0, 1000, 500)] * 200)
    bounds = Bounds(low=1, high=1)
    assert schedule(requests, Profile(), Rules(ttft=0.5), bounds) is None
