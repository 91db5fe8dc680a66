"""Replays: who is answered, what it costs, by hand and for any trace."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.policies.scaling import Observation, ScalingSettings
from llmops.policies.simulation import (
    Profile,
    Rules,
    Scaler,
    Trace,
    figures,
    fixed,
    ours,
    planned,
    replay,
    simulate,
)
from tests.policies.simulation.worlds import PLAIN, profiles, trace, traces


def wavering(seed: int, high: int) -> Scaler:
    """A policy that is of another mind each second."""
    draw = random.Random(seed)
    return lambda _seen: (draw.randint(0, high), "wavering")


def test_a_replica_costs_from_being_asked_for_to_its_end() -> None:
    requests = trace((0.0, 1, 1), (99.5, 1, 1))
    steps = [(0.0, 1), (20.0, 2), (50.0, 1)]
    timeline = replay(requests, PLAIN, Rules(), planned(steps))
    assert timeline.seconds == 100.0
    assert sorted(timeline.spans) == [(0.0, 100.0), (20.0, 50.0)]
    assert timeline.replica_seconds == pytest.approx(130.0)
    assert timeline.started == 1


def test_gpu_hours_count_the_gpus_of_a_replica_and_money_the_replica() -> None:
    timeline = replay(trace((0.0, 1, 1), (3599.5, 1, 1)), Profile(devices=4), Rules(), fixed(1))
    made = figures(timeline, Rules(), usd_per_hour=10.0)
    assert made.gpu_hours == pytest.approx(4.0)
    assert made.usd == pytest.approx(10.0)


def test_a_replica_answers_only_when_it_has_started() -> None:
    timeline = replay(trace((0.0, 1, 1)), PLAIN, Rules(initial=0), fixed(1))
    assert timeline.fates[0].first == pytest.approx(10.0 + 0.01 * 1.1 + 0.1, abs=0.02)
    assert timeline.fates[0].held


def test_a_replica_that_goes_finishes_what_it_has_begun() -> None:
    requests = trace((0.0, 1, 400), (60.0, 1, 1))
    steps = [(0.0, 1), (5.0, 0), (45.0, 1)]
    timeline = replay(requests, PLAIN, Rules(hold_seconds=100), planned(steps))
    assert timeline.fates[0].end == pytest.approx(40.0, abs=0.2)
    begin, end = min(timeline.spans)
    assert begin == 0.0
    assert end == pytest.approx(40.0, abs=0.2)


def test_a_start_that_is_not_wanted_any_more_is_given_up_at_once() -> None:
    steps = [(0.0, 1), (10.0, 3), (12.0, 1)]
    timeline = replay(trace((0.0, 1, 1), (29.5, 1, 1)), PLAIN, Rules(), planned(steps))
    assert sorted(timeline.spans) == [(0.0, 30.0), (10.0, 12.0), (10.0, 12.0)]


def test_requests_are_held_in_their_order_up_to_a_number_and_a_time() -> None:
    requests = trace(*[(float(at), 1, 1) for at in range(6)])
    rules = Rules(initial=0, most_held=3, hold_seconds=8.0)
    timeline = replay(requests, PLAIN, rules, fixed(1))
    # At 9 s the first has waited for more than 8 s; the last two found no place.
    assert [fate.rejected for fate in timeline.fates] == [True, False, False, True, True, True]
    assert timeline.fates[1].first < timeline.fates[2].first


def test_requests_wait_for_their_turn_up_to_a_number_and_a_time() -> None:
    requests = trace(*[(0.5, 1, 200)] * 2, *[(1.0, 1, 1)] * 4)
    rules = Rules(most_queued=3, queue_seconds=10.0)
    fates = replay(requests, PLAIN, rules, fixed(1)).fates
    # The first two take 20 s; of those behind them one finds no place, and three wait too long.
    assert [fate.rejected for fate in fates] == [False, False, True, True, True, True]
    assert replay(requests, PLAIN, Rules(), fixed(1)).fates[5].first > 20.0


def test_requests_go_to_the_replica_with_the_fewest() -> None:
    two = trace((0.0, 1, 50), (0.0, 1, 50))
    apart = replay(two, Profile(step_each=0.01), Rules(initial=2), fixed(2))
    together = replay(two, Profile(step_each=0.01), Rules(initial=1), fixed(1))
    assert apart.fates[1].end < together.fates[1].end


def test_a_policy_sees_what_is_there() -> None:
    seen: dict[float, Observation] = {}

    def look(one: Observation) -> tuple[int, str]:
        seen[one.now] = one
        return (2 if one.now >= 3 else 1), "look"

    requests = trace(*[(0.5, 1, 300)] * 5, (40.0, 1, 1))
    profile = Profile(slots=2, takes=3, startup=10.0, kv_tokens=1000, step_each=0.0)
    replay(requests, profile, Rules(ttft=1.0), look)
    early = seen[2.0]
    assert (early.running, early.starting, early.in_flight, early.queued) == (1, 0, 3.0, 1.0)
    assert (early.waiting, early.oldest_wait, early.arrived) == (2, 1.5, 5.0)
    assert early.tokens_per_second == pytest.approx(2 / 0.02)
    assert early.kv_use == pytest.approx((2 + 2 * 1.5 / 0.02) / 1000, rel=0.1)
    assert early.missed is None
    assert (seen[5.0].running, seen[5.0].starting) == (1, 1)
    assert (seen[14.0].running, seen[14.0].starting) == (2, 0)


def test_a_policy_is_told_the_share_that_missed_the_objective_lately() -> None:
    shares = {}

    def look(one: Observation) -> tuple[int, str]:
        shares[one.now] = one.missed
        return 1, "look"

    requests = trace((0.0, 1, 5), (0.0, 500, 5), (100.0, 1, 5))
    replay(requests, PLAIN, Rules(ttft=1.0), look)
    assert shares[20.0] == 0.5
    assert shares[90.0] is None


def test_the_live_decision_is_asked_with_its_memory() -> None:
    busy = trace(*[(at / 4, 10, 100) for at in range(2400)])
    asked = ScalingSettings(1, 6, 4, ttft=1.0, startup_seconds=10.0)
    timeline = simulate(asked, busy, Profile(slots=8, startup=10.0))
    assert max(moment.running for moment in timeline.moments) > 1
    assert all(moment.reason for moment in timeline.moments)
    assert figures(timeline, Rules(ttft=1.0)).attained > 0.9


@settings(deadline=None)
@given(traces(), profiles(), st.integers(0, 5), st.integers(0, 99), st.integers(1, 20))
def test_every_request_is_answered_or_refused_once_whatever_the_policy_does(
    requests: Trace, profile: Profile, high: int, seed: int, most_held: int
) -> None:
    rules = Rules(
        initial=high, most_held=most_held, most_queued=most_held, hold_seconds=20.0, ttft=1.0
    )
    timeline = replay(requests, profile, rules, wavering(seed, high))
    made = figures(timeline, rules)
    assert made.answered + made.rejected == made.requests == len(requests.requests)
    assert 0.0 <= made.attained <= made.answered / made.requests
    for request, fate in zip(requests.requests, timeline.fates, strict=True):
        assert fate.rejected or request.arrival < fate.first <= fate.end
    for begin, end in timeline.spans:
        assert 0.0 <= begin <= end <= timeline.seconds
    for moment in timeline.moments:
        counts = (moment.running, moment.starting, moment.draining, moment.in_flight)
        assert min(*counts, moment.queued, moment.held) >= 0
        assert moment.held <= most_held


@settings(deadline=None)
@given(traces(), profiles(), st.integers(0, 4))
def test_the_same_trace_gives_the_same_timeline(
    requests: Trace, profile: Profile, low: int
) -> None:
    asked = ScalingSettings(low, 5, 4, ttft=1.0, startup_seconds=profile.startup)

    def once() -> object:
        return replay(requests, profile, Rules(initial=low), ours(asked))

    assert once() == once()


def test_progress_is_told_and_ends_with_all_of_it() -> None:
    shares: list[float] = []
    told: Callable[[float], None] = shares.append
    replay(trace((0.0, 1, 1), (999.0, 1, 1)), PLAIN, Rules(), fixed(1), told)
    assert shares == sorted(shares)
    assert len(shares) >= 3
    assert all(0 <= share <= 1 for share in shares)
