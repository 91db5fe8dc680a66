"""Bounds that hold over all looks together: the truth is seldom outside of them, at any look."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.releases.sequential import above, below, evidence, upper

ALPHA = 0.05
RUNS, LOOKS = 200, 1000
QUICK = settings(deadline=None, database=None)


def ever(share: float, alarm: Callable[[int, int], bool]) -> int:
    """How many of `RUNS` have an alarm at any of `LOOKS` looks, where `share` is the truth."""
    chance = random.Random(round(share * 1000))
    return sum(_one(chance, share, alarm) for _ in range(RUNS))


def _one(chance: random.Random, share: float, alarm: Callable[[int, int], bool]) -> bool:
    hits = 0
    for of in range(1, LOOKS + 1):
        hits += chance.random() < share
        if alarm(hits, of):
            return True
    return False


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_at_any_of_many_looks_the_truth_is_outside_at_most_as_often_as_is_said(
    share: float,
) -> None:
    """200,000 looks of each share; of 200 runs 10 may alarm on average, and hardly ever 20 do."""
    assert ever(share, lambda hits, of: above(hits, of, share, ALPHA)) <= 20
    assert ever(share, lambda hits, of: below(hits, of, share, ALPHA)) <= 20


def test_a_bound_for_one_look_alarms_far_more_often_than_it_says() -> None:
    """That the test above can fail: Wilson's interval at the same 5 %."""

    def wilson(hits: int, of: int) -> bool:
        z, found = 1.645, hits / of
        spread = z * math.sqrt(found * (1 - found) / of + z * z / (4 * of * of))
        return (found + z * z / (2 * of) - spread) / (1 + z * z / of) > 0.1

    assert ever(0.1, wilson) > 60


def test_the_evidence_is_a_martingale_that_begins_with_one() -> None:
    """Of the two ways that the next request may go, the mean is what it was before."""
    assert evidence(0, 0, 0.3) == pytest.approx(0.0)
    for hits, of, share in ((0, 5, 0.1), (3, 7, 0.5), (40, 400, 0.12)):
        after = share * math.exp(evidence(hits + 1, of + 1, share)) + (1 - share) * math.exp(
            evidence(hits, of + 1, share)
        )
        assert after == pytest.approx(math.exp(evidence(hits, of, share)))


shares = st.floats(0.001, 0.999)
counts = st.integers(0, 2000)


@QUICK
@given(counts, counts)
def test_the_highest_share_is_one_and_is_no_lower_than_what_was_seen(
    hits: int, misses: int
) -> None:
    of = hits + misses
    most = upper(hits, of, ALPHA)
    assert (hits / of if of else 1.0) <= most <= 1.0
    assert most <= upper(hits + 1, of + 1, ALPHA) + 1e-9, "one more hit does not lower it"


@QUICK
@given(counts, counts, shares)
def test_what_is_surely_below_a_share_has_its_highest_one_below_it(
    hits: int, misses: int, share: float
) -> None:
    of = hits + misses
    if abs(upper(hits, of, ALPHA) - share) > 1e-6:
        assert below(hits, of, share, ALPHA) == (upper(hits, of, ALPHA) < share)
    assert above(hits, of, share, ALPHA) == below(misses, of, 1 - share, ALPHA) or of == 0


def test_nothing_is_known_without_requests_and_the_impossible_is_refuted_by_one() -> None:
    assert upper(0, 0, ALPHA) == 1.0
    assert not above(0, 0, 0.0, ALPHA)
    assert not below(0, 0, 1.0, ALPHA)
    assert above(1, 1, 0.0, ALPHA)
    assert below(0, 1, 1.0, ALPHA)
