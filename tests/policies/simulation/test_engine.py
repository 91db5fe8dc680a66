"""One replica: when tokens come, by hand; and that it never does more than it can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.policies.simulation import Profile, Rules, Timeline, Trace, fixed, replay
from tests.policies.simulation.worlds import PLAIN, profiles, trace, traces


def alone(requests: Trace, profile: Profile = PLAIN) -> Timeline:
    """A trace on one replica, and nobody is sent away."""
    return replay(requests, profile, Rules(queue_seconds=1e6), fixed(1))


def test_a_request_alone_is_read_and_then_gets_a_token_a_step() -> None:
    fate = alone(trace((1.0, 100, 10))).fates[0]
    # 100 tokens of prompt in one mixed step of 1.0 + 0.1 s; its first token comes with a step.
    assert fate.first == pytest.approx(1.0 + 1.1 + 0.1)
    assert fate.end == pytest.approx(1.0 + 1.1 + 10 * 0.1)


def test_reading_a_prompt_slows_the_others_down() -> None:
    quiet = alone(trace((0.0, 1, 50))).fates[0]
    disturbed = alone(trace((0.0, 1, 50), (1.0, 100, 1))).fates[0]
    # While the prompt is read (1.1 s) the other gets one token and not eleven.
    assert disturbed.end - quiet.end == pytest.approx(1.0)


def test_a_batch_that_is_full_makes_the_next_wait() -> None:
    fates = alone(trace((0.0, 1, 20), (0.0, 1, 40), (0.5, 1, 5))).fates
    assert fates[2].first > fates[0].end
    assert fates[2].end < fates[1].end


def test_a_larger_batch_is_slower_for_each_and_faster_for_all() -> None:
    profile = Profile(slots=8, step=0.02, step_each=0.005)
    one = alone(trace((0.0, 1, 100)), profile).fates[0].end
    eight = alone(trace(*[(0.0, 1, 100)] * 8), profile).fates[7].end
    assert one < eight < 8 * one


@given(traces(), profiles())
def test_no_replica_does_more_work_than_there_is_time(requests: Trace, profile: Profile) -> None:
    """What the bound of the optimum rests on."""
    timeline = alone(requests, profile)
    work = sum(profile.work(r.input_tokens, r.output_tokens) for r in requests.requests)
    begin = requests.requests[0].arrival
    assert work <= max(fate.end for fate in timeline.fates) - begin + 1e-3


@given(traces(), profiles(), st.data())
def test_an_answer_that_has_begun_is_never_slower_than_the_slowest_step(
    requests: Trace, profile: Profile, data: st.DataObject
) -> None:
    """The other thing that the bound rests on."""
    timeline = alone(requests, profile)
    for request, fate in zip(requests.requests, timeline.fates, strict=True):
        assert fate.end - fate.first <= profile.slowest_step * request.output_tokens + 1e-3
        assert fate.first >= request.arrival + request.input_tokens / profile.prefill_rate - 1e-6
