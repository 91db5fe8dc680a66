"""How many replicas there should be, and why: the rules one by one, and over time."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.policies.scaling import (
    Decision,
    Memory,
    Observation,
    ScalingSettings,
    Scheduled,
    decide,
)
from llmops.windows import Window
from tests.policies.scaling.worlds import BEGIN, Service

FOUR = ScalingSettings(low=1, high=4, target_in_flight=10, settle_seconds=60, startup_seconds=30)
SLEEPY = replace(FOUR, low=0, idle_seconds=120)


def asked(spec: ScalingSettings = FOUR, memory: Memory | None = None, **seen: Any) -> Decision:
    observation = Observation(**{"now": BEGIN, "running": 1} | seen)
    return decide(spec, observation, memory or Memory())


# What asks for more


def test_load_above_the_aim_asks_for_as_many_as_it_needs() -> None:
    decision = asked(in_flight=35)
    assert (decision.replicas, decision.reason) == (4, "35 in flight, 10 per replica")


def test_load_a_little_above_the_aim_adds_nothing() -> None:
    assert asked(in_flight=10.9).replicas == 1
    assert asked(in_flight=11.1).replicas == 2


def test_no_more_than_the_highest_number() -> None:
    assert asked(in_flight=1000).replicas == 4


def test_no_more_than_the_budget_pays_for() -> None:
    assert asked(replace(FOUR, ceiling=2), in_flight=1000).replicas == 2
    assert asked(replace(FOUR, low=3, ceiling=2)).replicas == 2, "nor below it"


def test_no_more_than_memory_holds_beside_those_that_drain() -> None:
    assert asked(in_flight=1000, draining=2).replicas == 2


def test_replicas_that_start_count_as_there() -> None:
    decision = asked(in_flight=20, starting=1)
    assert decision.replicas == 2


def test_warm_spares_come_on_top_of_what_the_load_needs() -> None:
    assert asked(replace(FOUR, warm=1), in_flight=15).replicas == 3
    assert asked(replace(FOUR, warm=1)).replicas == 1, "one that idles is a spare"


def test_tokens_ask_where_an_aim_says_so() -> None:
    assert asked(tokens_per_second=500.0).replicas == 1
    assert asked(replace(FOUR, target_tokens_per_second=200), tokens_per_second=500.0).replicas == 3


def test_a_queue_inside_of_replicas_asks_whatever_the_aim_was() -> None:
    full: dict[str, Any] = {"in_flight": 9, "queued": 12}
    assert asked(**full).replicas == 1
    decision = asked(replace(FOUR, queue=2), **full)
    assert (decision.replicas, decision.reason) == (2, "12 queued, 2 per replica allowed")


def test_a_full_cache_asks() -> None:
    assert asked(kv_use=0.85).replicas == 1
    assert asked(kv_use=0.95).replicas == 2


def test_missed_objectives_add_one_at_a_time_and_only_under_load() -> None:
    decision = asked(in_flight=8, missed=0.2)
    assert decision.replicas == 2
    assert decision.reason == "20% of requests missed the objective in the last minute"
    assert asked(in_flight=8, missed=0.005).replicas == 1, "99 percent are met"
    assert asked(in_flight=2, missed=0.2).replicas == 1, "more replicas are no help for idle ones"
    again = asked(memory=decision.memory, now=BEGIN + 30, running=2, in_flight=15, missed=0.2)
    assert again.replicas == 2, "the last one has not shown yet what it changes"
    later = asked(memory=decision.memory, now=BEGIN + 120, running=2, in_flight=15, missed=0.2)
    assert later.replicas == 3


def test_a_request_that_waits_longer_than_the_objective_adds_one() -> None:
    late: dict[str, Any] = {"in_flight": 8, "waiting": 1, "oldest_wait": 2.0}
    assert asked(**late).replicas == 1
    assert asked(replace(FOUR, ttft=0.5), **late).replicas == 2


def test_replicas_are_asked_for_ahead_of_a_rising_load() -> None:
    ahead = Service(replace(FOUR, high=20), start_seconds=60.0)
    ahead.run(600, lambda at: 0.5 + at / 60)
    first = next(reason for reason in ahead.reasons if "arrivals rise" in reason)
    assert "when a replica asked for now answers" in first
    short = len(ahead.leaves) > ahead.running * 11
    assert not short, "those there are have room for all requests at the end of the rise"


def test_how_long_a_start_takes_is_measured() -> None:
    service = Service(FOUR, start_seconds=77.0)
    service.run(200, lambda _: 3.0)
    assert service.memory.startup == pytest.approx(77, abs=2)


# Less


def test_a_replica_goes_only_when_none_was_needed_within_the_settle_time() -> None:
    service = Service(FOUR)
    service.run(100, lambda _: 2.5)
    assert service.running == 3
    service.run(120, lambda _: 0.1)
    down = [at for at, before, after in service.changes if after < before]
    assert down, "it went down"
    assert down[0] >= 100 + 60


def test_at_the_first_look_nothing_goes() -> None:
    assert asked(running=4).replicas == 4, "who looks for the first time knows of no past"


def test_what_is_in_flight_keeps_its_replicas() -> None:
    decision = asked(running=4, in_flight=31)
    for second in range(1, 300):
        decision = asked(memory=decision.memory, now=BEGIN + second, running=4, in_flight=31)
        assert decision.replicas == 4


def test_what_is_more_than_a_schedule_allows_goes() -> None:
    night = Scheduled(Window.parse("daily 00:00-24:00"), 1, 2)
    decision = asked(replace(FOUR, schedule=(night,)), running=4)
    assert (decision.replicas, decision.reason) == (2, "at most 2 are allowed now")


# Zero


def test_without_a_request_for_the_idle_time_none_is_left() -> None:
    service = Service(SLEEPY)
    service.run(300, lambda at: 0.2 if at < 100 else 0.0)
    assert service.have == 0
    assert service.reasons[-1] == "no request for 120 s"
    assert service.changes[-1][0] == pytest.approx(100 + 10 + 120, abs=15)


def test_one_is_always_left_where_the_lowest_number_says_so() -> None:
    service = Service(FOUR)
    service.run(2000, lambda _: 0.0)
    assert service.have == 1


def test_the_first_request_wakes_a_service() -> None:
    asleep = asked(SLEEPY, running=0)
    assert asleep.replicas == 0
    awake = asked(SLEEPY, asleep.memory, now=BEGIN + 1, running=0, waiting=1)
    assert awake.replicas == 1
    assert "1 waiting" in awake.reason


def test_a_crowd_wakes_as_many_as_it_needs() -> None:
    assert asked(SLEEPY, running=0, waiting=25).replicas == 3


def test_a_service_that_sleeps_has_no_warm_spare() -> None:
    assert asked(replace(SLEEPY, warm=1), running=0).replicas == 0


def test_a_request_that_came_and_went_between_two_looks_keeps_it_awake() -> None:
    memory = asked(SLEEPY, arrived=5).memory
    for second in range(1, 500):
        arrived = 5 + second // 100
        decision = asked(SLEEPY, memory, now=BEGIN + second, arrived=arrived)
        memory = decision.memory
        assert decision.replicas == 1


# Schedules


def test_a_window_is_made_ready_before_it_opens() -> None:
    window = Window.parse("daily 08:00-18:00 UTC")
    spec = replace(FOUR, schedule=(Scheduled(window, 3, 4),), startup_seconds=120)
    opens = window.next_start(BEGIN)
    assert asked(spec, now=opens - 130).replicas == 1
    decision = asked(spec, now=opens - 110)
    assert (decision.replicas, decision.reason) == (3, "3 is the least by the schedule")


# Over time


def test_a_constant_load_changes_the_number_a_few_times_at_most() -> None:
    for rate in (0.3, 0.99, 1.0, 1.05, 1.1, 2.0, 3.3):
        service = Service(replace(FOUR, high=8))
        service.run(1800, lambda _, rate=rate: rate)  # type: ignore[misc]
        assert len(service.changes) <= 4, (rate, service.changes)
        assert service.turns() <= 1


CAPACITIES = st.sampled_from([None, 12])


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(0.1, 6.0), seed=st.integers(0, 1000), capacity=CAPACITIES)
def test_noise_turns_the_number_around_at_most_twice_in_a_settle_time(
    rate: float, seed: int, capacity: int | None
) -> None:
    service = Service(replace(FOUR, high=12, capacity=capacity, ttft=1.0), seed=seed)
    service.run(1200, lambda _: rate, noisy=True)
    for start in range(0, 1200, 20):
        within = [change for change in service.changes if start <= change[0] < start + 60]
        ups = [after > before for _, before, after in within]
        turns = sum(one != other for one, other in pairwise(ups))
        assert turns <= 2, within


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), peak=st.floats(1.0, 8.0), capacity=CAPACITIES)
def test_a_number_that_went_up_stays_up_for_the_settle_time(
    seed: int, peak: float, capacity: int | None
) -> None:
    service = Service(replace(FOUR, high=12, capacity=capacity, ttft=1.0), seed=seed)
    service.run(600, lambda at: peak if at % 200 < 100 else 0.2, noisy=True)
    ups = [(at, after) for at, before, after in service.changes if after > before]
    for at, high in ups:
        for later, _, after in service.changes:
            if at < later < at + 60 - 5:
                assert after >= min(high, after), "a later rise may follow"
                assert after >= high or after > 12


Past = list[tuple[float, dict[str, Any]]]

times = st.floats(0.5, 120)
loads = st.fixed_dictionaries(
    {
        "running": st.integers(0, 6),
        "starting": st.integers(0, 3),
        "in_flight": st.integers(0, 80),
        "queued": st.integers(0, 40),
        "kv_use": st.none() | st.floats(0, 1),
        "tokens_per_second": st.floats(0, 500),
        "missed": st.none() | st.floats(0, 1),
        "waiting": st.integers(0, 30),
        "arrived": st.integers(0, 100),
    }
)
specs = st.builds(
    ScalingSettings,
    low=st.integers(0, 2),
    high=st.integers(2, 8),
    target_in_flight=st.floats(1, 20),
    target_tokens_per_second=st.none() | st.floats(50, 200),
    queue=st.none() | st.integers(0, 5),
    ttft=st.none() | st.floats(0.1, 5),
    warm=st.integers(0, 2),
    settle_seconds=st.floats(0, 120),
    idle_seconds=st.floats(1, 300),
    ceiling=st.none() | st.integers(1, 8),
    capacity=st.none() | st.integers(1, 40),
)


def remembered(spec: ScalingSettings, past: Past) -> tuple[float, Memory]:
    now, memory, arrived = BEGIN, Memory(), 0
    for elapsed, seen in past:
        now += elapsed
        arrived += seen["arrived"]
        memory = decide(spec, Observation(now=now, **seen | {"arrived": arrived}), memory).memory
    return now, memory


@settings(max_examples=200, deadline=None)
@given(spec=specs, past=st.lists(st.tuples(times, loads), max_size=6), elapsed=times, seen=loads)
def test_decisions_keep_the_bounds_and_what_is_in_flight(
    spec: ScalingSettings, past: Past, elapsed: float, seen: Any
) -> None:
    now, memory = remembered(spec, past)
    observation = Observation(now=now + elapsed, **seen | {"arrived": None})
    decision = decide(spec, observation, memory)
    low, high = spec.bounds(now, 0)
    assert low <= decision.replicas <= high or decision.replicas == observation.provisioned
    assert decision.replicas <= max(high, 0)
    room = decision.replicas * spec.target_in_flight * 1.1
    if decision.replicas < observation.provisioned and decision.replicas < high:
        assert room >= observation.in_flight * 0.999, "whoever is there finds room in the rest"
    assert decision.reason
    assert decide(spec, observation, memory) == decision
    document = decision.memory.document()
    assert Memory.of(json.loads(json.dumps(document))) == decision.memory


@settings(max_examples=300, deadline=None)
@given(
    spec=specs,
    past=st.lists(st.tuples(times, loads), max_size=6),
    elapsed=times,
    seen=loads,
    more=st.sampled_from(["in_flight", "queued", "waiting", "tokens_per_second", "arrived"]),
    by=st.integers(1, 60),
)
def test_more_load_never_means_fewer_replicas(
    spec: ScalingSettings,
    past: Past,
    elapsed: float,
    seen: Any,
    more: str,
    by: int,
) -> None:
    now, memory = remembered(spec, past)
    seen = seen | {"arrived": (memory.arrived or 0) + seen["arrived"]}
    less = decide(spec, Observation(now=now + elapsed, **seen), memory)
    most = decide(spec, Observation(now=now + elapsed, **seen | {more: seen[more] + by}), memory)
    assert most.replicas >= less.replicas


def test_settings_are_json_and_come_back() -> None:
    spec = replace(FOUR, schedule=(Scheduled(Window.parse("Mon-Fri 08:00-18:00 UTC"), 2, 4),))
    assert ScalingSettings.of(json.loads(json.dumps(spec.document()))) == spec


def test_settings_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="low"):
        ScalingSettings.of({"high": 4, "target_in_flight": 1})
