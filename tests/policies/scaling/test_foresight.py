"""What is foreseen, how sure it is, and how much is kept in reserve for that."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llmops.policies.scaling import Memory, Observation, ScalingSettings, decide
from llmops.policies.scaling.foresight import MOST, Foresight

LEAD = 40.0
SETTINGS = ScalingSettings(
    low=1, high=50, target_in_flight=16, capacity=16, ttft=2.0, startup_seconds=LEAD
)
STAY = 4.0
"""Seconds of each request; as long on full replicas, which is simpler than true."""


def after(
    seconds: int,
    rate: Callable[[int], float],
    settings: ScalingSettings = SETTINGS,
    memory: Memory | None = None,
    running: int = 10,
    **seen: Any,
) -> Memory:
    """The memory of a service whose requests come as evenly as they can."""
    memory = memory or Memory()
    begin, arrived = memory.at or 0.0, memory.arrived or 0.0
    for second in range(1, seconds + 1):
        arrived += rate(second)
        look = Observation(
            now=begin + second, running=running, in_flight=rate(second) * STAY, arrived=arrived,
            **seen,
        )  # fmt: skip
        memory = decide(settings, look, memory).memory
    return memory


def test_what_requests_cost_is_learned_from_the_work_of_replicas() -> None:
    ahead = after(60, lambda _: 20.0).foresight
    # 80 at a time on 10 replicas of 16: half full, which is two thirds of their work.
    assert ahead.cost == pytest.approx(10 * 2 / 3 / 20)


def test_requests_that_wait_cost_nothing_yet() -> None:
    memory = Memory()
    for second in range(1, 10):
        # 60 a second come, and 40 are begun: ten full replicas.
        look = Observation(now=second, running=10, in_flight=160 + 20 * second, arrived=60 * second)
        memory = decide(SETTINGS, look, memory).memory
    assert memory.foresight.cost == pytest.approx(10 / 40)


def test_moments_in_which_requests_may_be_refused_say_nothing() -> None:
    memory = after(60, lambda _: 60.0, waiting=100, oldest_wait=11.0)
    assert memory.foresight.cost == 0.0


def test_the_first_seconds_of_a_load_are_no_rise() -> None:
    ahead = after(10, lambda _: 20.0).foresight
    assert (ahead.quick, ahead.slow, ahead.trend) == pytest.approx((20.0, 20.0, 20.0))


def test_a_rise_is_foreseen_for_when_a_replica_has_started() -> None:
    memory = after(600, lambda at: 5 + at / 20, running=30)
    later = 5 + (600 + LEAD) / 20
    assert memory.foresight.trend == pytest.approx(later, rel=0.1)
    assert memory.foresight.trend <= later, "for some of it may be noise"
    best = min(range(3), key=memory.foresight.errors.__getitem__)
    assert best == 2, "in the trend is believed what was right before"


def test_a_fall_is_foreseen_too() -> None:
    memory = after(600, lambda at: 20 - at / 60)
    assert memory.foresight.trend == pytest.approx(20 - (600 + LEAD) / 60, rel=0.1)


def test_no_trend_goes_on_for_ever() -> None:
    memory = after(100, lambda at: 2.0 if at < 90 else 40.0)
    assert memory.foresight.trend <= 2 * max(memory.foresight.quick, memory.short)


def test_around_a_mean_the_longer_average_is_believed() -> None:
    memory = after(1800, lambda at: 26.0 if at // 25 % 2 else 14.0)
    assert min(memory.foresight.errors) == memory.foresight.errors[1]


def test_a_load_that_jumps_keeps_a_reserve_and_an_even_one_hardly_any() -> None:
    even = after(1800, lambda _: 20.0).foresight
    jumps = after(1800, lambda at: 30.0 if at % 300 < 50 else 18.0).foresight
    assert even.expected(LEAD) - even.quick < jumps.expected(LEAD) - jumps.quick
    assert jumps.expected(LEAD) > 22


def test_missed_objectives_raise_the_reserve_soon_and_it_falls_slowly() -> None:
    calm = after(60, lambda _: 20.0, missed=0.0)
    missed = after(60, lambda _: 20.0, memory=calm, missed=0.5)
    before, most = calm.foresight.reserve, missed.foresight.reserve
    assert before is not None
    assert most is not None
    assert most == pytest.approx(before + 0.245, abs=0.02)
    fallen = after(600, lambda _: 20.0, memory=missed, missed=0.0).foresight.reserve
    assert fallen == pytest.approx(most - 0.05, abs=0.01), "by what may miss: a percent"
    always = after(1200, lambda _: 20.0, memory=missed, missed=1.0).foresight.reserve
    assert always == MOST


def test_without_an_objective_nothing_is_kept_in_reserve() -> None:
    none = replace(SETTINGS, ttft=None)
    ahead = after(600, lambda at: 30.0 if at % 300 < 50 else 18.0, none).foresight
    assert ahead.reserve == 0.0
    assert ahead.expected(LEAD) in (ahead.quick, ahead.slow, ahead.trend)


def test_an_easier_objective_begins_with_less() -> None:
    strict = after(30, lambda _: 20.0).foresight.reserve
    easy = after(30, lambda _: 20.0, replace(SETTINGS, percent=90.0)).foresight.reserve
    assert strict is not None
    assert easy is not None
    assert easy < strict


def test_what_is_kept_is_small_and_comes_back() -> None:
    memory = after(3600, lambda at: 5 + at % 7)
    text = json.dumps(memory.document())
    assert len(text) < 2500
    assert Memory.of(json.loads(text)) == memory


def test_a_memory_of_before_is_read() -> None:
    old = {key: value for key, value in Memory(at=1.0, load=3.0).document().items()
           if key not in ("foresight", "since", "full_at")}  # fmt: skip
    assert Memory.of(old) == Memory(at=1.0, load=3.0, foresight=Foresight())


def test_without_a_capacity_nothing_is_foreseen() -> None:
    memory = after(60, lambda _: 20.0, replace(SETTINGS, capacity=None))
    assert memory.foresight == Foresight()


# What is made of it


def decision(memory: Memory, rate: float, running: int, settings: ScalingSettings = SETTINGS,
             **seen: Any) -> tuple[int, str]:  # fmt: skip
    look = Observation(
        now=(memory.at or 0) + 1, running=running, in_flight=rate * STAY,
        arrived=(memory.arrived or 0) + rate, **seen,
    )  # fmt: skip
    made = decide(settings, look, memory)
    return made.replicas, made.reason


def test_replicas_come_before_the_others_are_full() -> None:
    memory = after(600, lambda _: 39.0, running=10)
    replicas, reason = decision(memory, 39.0, 10)
    assert replicas > 10, "156 at a time of 160 leave no room for what is not foreseen"
    assert "fill a replica" in reason


def test_a_service_that_may_sleep_keeps_no_reserve_once_nobody_asks() -> None:
    sleepy = replace(SETTINGS, low=0, idle_seconds=120)
    busy = after(900, lambda at: 30.0 if at % 100 < 50 else 2.0, sleepy)
    quiet = after(110, lambda _: 0.0, sleepy, busy)
    assert decision(quiet, 0.0, 10, sleepy)[0] > 0
    asleep = replace(after(30, lambda _: 0.0, sleepy, quiet), down_at=None)
    assert decision(asleep, 0.0, 10, sleepy)[0] == 0


def test_misses_of_full_replicas_are_answered_by_what_they_need() -> None:
    full = after(60, lambda _: 20.0, running=5, missed=0.3)
    assert full.helped_at is None


def test_misses_of_replicas_that_are_not_full_add_one() -> None:
    slow = after(60, lambda _: 22.0, running=10, missed=0.3)
    assert slow.helped_at is not None
