"""Ten thousand times and more a run dies on the simulated target; the next ones converge.

Updates by each strategy, with adapters in one engine, promotions, rollbacks and destroys, one
after the other, each struck where Hypothesis says. What struck is counted where it strikes.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.releases.simulated import Fate, SimulatedTarget, survive
from tests.releases.test_convergence import (
    GOOD,
    QUICK,
    assert_converges,
    deploy,
    destroy,
    rollback,
    sources,
    strategies,
    strike,
)

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

POINTS = 10_000
LIVES = 5000
MOST_ROUNDS = 10
DEATHS = (Fate.KILL, Fate.REBOOT, Fate.INTERRUPT, Fate.CRASH)

Run = tuple[str, str, str, int, Fate]
runs = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "deploy", "deploy", "rollback", "destroy"]),
        sources, strategies, st.integers(1, 16), st.sampled_from(DEATHS),
    ),
    min_size=4, max_size=8,
)  # fmt: skip


def live(world: SimulatedTarget, life: list[Run]) -> None:
    """Let each run of a life be struck."""
    for verb, source, strategy, instant, fate in life:
        strike(world, {instant: fate})
        if verb == "deploy":
            survive(deploy(world, source, strategy))
        else:
            survive(rollback(world, None) if verb == "rollback" else destroy(world))
        if verb == "destroy":
            world.answering = False  # begun is enough: a deploy may take away what it left


def test_ten_thousand_deaths_at_any_instant_break_no_promise_and_converge() -> None:
    struck: Counter[tuple[str, Fate]] = Counter()

    @settings(QUICK, max_examples=LIVES)
    @given(st.sampled_from(GOOD), runs, st.sampled_from(GOOD))
    def lives(first: str, life: list[Run], last: str) -> None:
        world = SimulatedTarget()
        survive(deploy(world, first))
        live(world, life)
        assert_converges(world, last)
        struck.update(world.struck)

    for _ in range(MOST_ROUNDS):
        if struck.total() < POINTS:
            lives()
    print(*(f"{verb}, {fate}: {n}" for (verb, fate), n in sorted(struck.items())), sep="\n")
    assert struck.total() >= POINTS
    verbs = {"deployed", "rolled back", "destroyed"}
    assert struck.keys() >= {(verb, fate) for verb in verbs for fate in DEATHS}
