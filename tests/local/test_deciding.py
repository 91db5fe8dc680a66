"""Load, budget and what is taken over, together: bounds hold whatever the others ask for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmops.policies.scaling import Memory, Observation, ScalingSettings, decide
from serving.runtime.deciding import decided
from serving.runtime.handover import Handover

NOW = 1_700_000_000.0
SETTINGS = ScalingSettings(low=1, high=6, target_in_flight=10)

seen = st.builds(
    Observation,
    now=st.just(NOW),
    running=st.integers(0, 6),
    starting=st.integers(0, 3),
    draining=st.integers(0, 3),
    in_flight=st.integers(0, 200),
    waiting=st.integers(0, 50),
)
handovers = st.builds(
    Handover,
    floor=st.none() | st.integers(0, 9),
    short_since=st.none() | st.just(NOW - 1),
    over_at=st.none() | st.just(NOW - 1),
)
ceilings = st.none() | st.fixed_dictionaries({"replicas": st.integers(0, 8), "by": st.just("acme")})


@given(seen, handovers, ceilings)
def test_neither_the_bounds_nor_the_budget_are_exceeded(
    seen: Observation, handover: Handover, ceiling: dict[str, object] | None
) -> None:
    most = 6 if ceiling is None else min(6, int(str(ceiling["replicas"])))
    decision = decided(SETTINGS, seen, Memory(), handover, ceiling)
    assert 0 <= decision.replicas <= most
    assert decision.reason


@given(seen, handovers)
def test_what_is_taken_over_takes_no_replica_away_that_the_load_asks_for(
    seen: Observation, handover: Handover
) -> None:
    by_load = decide(SETTINGS, seen, Memory()).replicas
    assert decided(SETTINGS, seen, Memory(), handover, None).replicas >= by_load


def test_replicas_that_drain_leave_no_room_for_others_yet() -> None:
    full = Observation(now=NOW, running=2, draining=3)
    decision = decided(SETTINGS, full, Memory(), Handover(floor=6, short_since=NOW), None)
    assert decision.replicas == 3
