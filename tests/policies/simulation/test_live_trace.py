"""The trace that a live run is held to: it shows what it is for, and a wrong simulator fails it.

Here the live run is played by the simulator too, as a machine whose replicas are slower than
measured, start later and are seen with a delay.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import live
from llmops.policies.scaling import ScalingSettings
from llmops.policies.simulation import Observed, Profile, Timeline, Trace, compare

SETTINGS = ScalingSettings(1, 2, target_in_flight=1, settle_seconds=14.0)
STARTS = (20.0, 45.0, 150.0)


def replica(startup: float) -> Profile:
    return Profile(slots=128, step=0.008, step_each=0.0008, startup=startup, takes=16)


def trace_of(profile: Profile) -> Trace:
    return live.trace_for(profile, SETTINGS, 1024, seed=3)


def seen(timeline: Timeline, late: float) -> tuple[Observed, ...]:
    return tuple(replace(one, at=one.at + late) for one in live.observed_of(timeline))


@pytest.mark.parametrize("startup", STARTS)
def test_replicas_go_from_one_to_two_and_back_and_requests_wait(startup: float) -> None:
    profile = replica(startup)
    found = live.simulated(SETTINGS, trace_of(profile), profile)
    numbers = [
        int(one.rpartition(" ")[2]) for one in live.changes(live.observed_of(found)).split(", ")
    ]
    assert numbers == [1, 2, 1]
    assert max(moment.held for moment in found.moments) > 20
    assert not any(fate.rejected for fate in found.fates)


@pytest.mark.parametrize("startup", STARTS)
@pytest.mark.parametrize(("slower", "later"), [(1.0, 1.0), (1.3, 1.1), (1.8, 1.2)])
def test_a_right_simulator_is_within_the_tolerance_and_wrong_ones_are_not(
    startup: float, slower: float, later: float
) -> None:
    profile = replica(startup)
    trace, allowed = trace_of(profile), live.tolerance(profile)
    machine = replace(
        profile, step=slower * profile.step, step_each=slower * profile.step_each,
        startup=later * startup,
    )  # fmt: skip
    observed = seen(live.simulated(SETTINGS, trace, machine), late=1.0)
    found = compare(live.simulated(SETTINGS, trace, profile), observed, allowed)
    assert found.within, found
    for name, (settings, other) in live.wrong(SETTINGS, profile).items():
        found = compare(live.simulated(settings, trace, other), observed, allowed)
        assert not found.within, f"{name}: {found}"


def test_two_live_runs_are_held_against_each_other() -> None:
    profile = replica(20.0)
    trace, allowed = trace_of(profile), live.tolerance(profile)
    timeline = live.simulated(SETTINGS, trace, profile)
    run = live.Run(live.observed_of(timeline), (200,) * len(trace.requests))
    assert run.lost == 0
    assert compare(live.timeline_of(run, timeline), run.observed, allowed).apart == 0.0
    other = live.Run(tuple(replace(one, running=3) for one in run.observed), (200, 0, 429))
    assert other.lost == 2
    assert compare(live.timeline_of(other, timeline), run.observed, allowed).apart == 1.0


def test_a_slow_replica_gets_as_many_requests_with_shorter_answers() -> None:
    quick, slow = replica(20.0), replace(replica(20.0), step=0.04, step_each=0.004)
    one, other = trace_of(quick), trace_of(slow)
    assert one.seconds == pytest.approx(other.seconds, abs=5.0)
    assert len(other.requests) == pytest.approx(len(one.requests), rel=0.2)
    assert one.requests[0].output_tokens > 4 * other.requests[0].output_tokens
