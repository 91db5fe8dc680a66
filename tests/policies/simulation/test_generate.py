"""Traces that are made up: the same for a seed, and shaped as they say."""

from __future__ import annotations

import itertools
import statistics

import pytest

from llmops.policies.simulation import Load, Shape, Trace, generate


def counts(trace: Trace, width: float) -> list[int]:
    """Requests in each stretch of time."""
    found = [0] * int(trace.seconds // width)
    for one in trace.requests:
        if int(one.arrival / width) < len(found):
            found[int(one.arrival / width)] += 1
    return found


@pytest.mark.parametrize("shape", list(Shape))
def test_a_seed_gives_one_trace_and_another_seed_another(shape: Shape) -> None:
    load = Load(shape=shape, seconds=600)
    assert generate(load, 1) == generate(load, 1)
    assert generate(load, 1).requests != generate(load, 2).requests


@pytest.mark.parametrize("shape", list(Shape))
def test_the_mean_rate_is_the_one_that_was_asked_for(shape: Shape) -> None:
    load = Load(shape=shape, seconds=7200, rate=2.0, on=120.0)
    rates = [len(generate(load, seed).requests) / 7200 for seed in range(6)]
    assert statistics.mean(rates) == pytest.approx(2.0, rel=0.15)


def test_a_steady_load_without_spread_is_poisson() -> None:
    found = counts(generate(Load(shape=Shape.STEADY, seconds=20_000, spread=0.0), 1), 10.0)
    assert statistics.variance(found) / statistics.mean(found) == pytest.approx(1.0, abs=0.12)


def test_bursts_vary_more_than_poisson() -> None:
    found = counts(generate(Load(shape=Shape.BURSTY, seconds=7200), 1), 45.0)
    assert statistics.variance(found) > 20 * statistics.mean(found)


def test_a_day_has_its_least_at_its_ends_and_its_most_in_the_middle() -> None:
    found = counts(generate(Load(seconds=3600, spread=0.0, rate=8.0), 1), 900.0)
    assert found[1] + found[2] > 2 * (found[0] + found[3])


def test_nobody_asks_in_a_quiet_stretch() -> None:
    found = counts(generate(Load(shape=Shape.ON_OFF, seconds=7200, on=300.0), 1), 10.0)
    quiet = max((len(list(run)) for count, run in itertools.groupby(found) if not count), default=0)
    assert quiet >= 10


def test_tokens_have_the_median_that_was_asked_for_and_stay_within_bounds() -> None:
    load = Load(seconds=3600, input_median=100, output_median=50, longest=400)
    requests = generate(load, 1).requests
    assert statistics.median(r.input_tokens for r in requests) == pytest.approx(100, rel=0.05)
    assert statistics.median(r.output_tokens for r in requests) == pytest.approx(50, rel=0.05)
    assert all(1 <= r.input_tokens <= 400 and 1 <= r.output_tokens <= 400 for r in requests)
