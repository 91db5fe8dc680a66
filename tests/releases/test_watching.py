"""What figures say of a release that is watched: worse only where that is no chance."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning import Upkeep
from llmops.releases import Figures, figures_of, joined, judge, step_of
from llmops.releases.watching import quantile, surely

UPKEEP = Upkeep()
QUICK = settings(deadline=None, database=None)


def figures(requests: int, failures: int = 0, *times: float) -> Figures:
    """A release's figures; `times` are its times to first token, in seconds."""
    return Figures(requests, failures, dict(Counter(step_of(seconds) for seconds in times)))


JUDGED = {
    "as good as the other": (figures(100), figures(900), False, True),
    "a failure may be chance": (figures(20, 1), figures(900), False, True),
    "two failures may be chance": (figures(20, 2), figures(900), False, True),
    "three of twenty are none": (figures(20, 3), figures(900), True, True),
    "three of many are few": (figures(900, 3), figures(900), False, True),
    "two percent more are allowed": (figures(2000, 40), figures(9000), False, True),
    "five percent are more than that": (figures(2000, 100), figures(9000), True, True),
    "the other fails as often": (figures(100, 30), figures(900, 270), False, True),
    "all of a few fail": (figures(3, 3), figures(2), True, False),
    "nobody asked": (figures(0), figures(0), False, False),
    "too few asked": (figures(19), figures(900), False, False),
    "too few asked the other": (figures(50), figures(19), False, False),
    "as quick as the other": (
        figures(30, 0, *[0.2] * 30), figures(300, 0, *[0.2] * 300), False, True,
    ),
    "a little slower": (
        figures(30, 0, *[0.28] * 30), figures(300, 0, *[0.2] * 300), False, True,
    ),
    "much slower": (figures(30, 0, *[0.4] * 30), figures(300, 0, *[0.2] * 300), True, True),
    "slow for two of twenty": (
        figures(20, 0, *[0.2] * 18, 9, 9), figures(300, 0, *[0.2] * 300), False, True,
    ),
    "slow for ten of twenty": (
        figures(20, 0, *[0.2] * 10, *[9] * 10), figures(300, 0, *[0.2] * 300), True, True,
    ),
    "slow for too few to tell": (
        figures(50, 0, *[9] * 10), figures(300, 0, *[0.2] * 300), False, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("new", "old", "worse", "enough"), JUDGED.values(), ids=JUDGED)
def test_a_release_is_worse_only_where_that_is_no_chance(
    new: Figures, old: Figures, worse: bool, enough: bool
) -> None:
    verdict = judge(new, old, UPKEEP)
    assert (verdict.worse, verdict.enough) == (worse, enough)
    assert verdict.text


def test_what_was_seen_is_told_with_its_figures() -> None:
    failing = judge(figures(20, 5), figures(180, 1), UPKEEP).text
    assert failing == (
        "5 of its 20 requests failed; of the last good release 1 of 180 did, and 2 % more are"
        " allowed"
    )
    slow = judge(figures(30, 0, *[2.0] * 30), figures(270, 0, *[0.1] * 270), UPKEEP).text
    assert slow.startswith("nine of ten of its first tokens came within 2.")
    assert slow.endswith("and 50 % more are allowed")
    good = judge(figures(30, 0, *[0.1] * 30), figures(270, 1, *[0.1] * 270), UPKEEP).text
    assert good.startswith("0 of 30 requests failed (1 of 270), first token within ")


def test_the_bounds_are_the_files_own() -> None:
    new, old = figures(100, 20, *[0.4] * 100), figures(900, 0, *[0.2] * 900)
    assert judge(new, old, UPKEEP).worse
    assert judge(new, old, replace(UPKEEP, canary_failures=20)).worse, "it is too slow as well"
    patient = replace(UPKEEP, canary_failures=20, canary_slower=200)
    assert not judge(new, old, patient).worse
    assert not judge(new, old, replace(patient, canary_requests=101)).enough


@QUICK
@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=50))
def test_a_quantile_is_told_apart_by_a_tenth(times: list[float]) -> None:
    found = quantile(figures(len(times), 0, *times), 0.9)
    exact = sorted(times)[-(-9 * len(times) // 10) - 1]
    assert found is not None
    assert exact * 0.999 <= found <= exact * 1.11


counts = st.integers(0, 200)
anything = st.builds(
    lambda good, bad, steps: Figures(good + bad, bad, steps),
    counts,
    counts,
    st.dictionaries(st.integers(0, 120), st.integers(1, 50), max_size=5),
)


@QUICK
@given(st.lists(anything, max_size=4))
def test_gateways_are_added_up(several: list[Figures]) -> None:
    total = joined(several)
    assert total.requests == sum(f.requests for f in several)
    assert total.streamed == sum(f.streamed for f in several)


@QUICK
@given(anything, anything)
def test_more_failures_are_never_better(new: Figures, old: Figures) -> None:
    more = replace(new, requests=new.requests + 1, failures=new.failures + 1)
    if judge(new, old, UPKEEP).worse:
        assert judge(more, old, UPKEEP).worse


@QUICK
@given(st.integers(0, 500), st.integers(0, 500))
def test_the_least_share_is_one_and_grows_with_the_hits(hits: int, more: int) -> None:
    of = hits + more
    assert 0 <= surely(hits, of) <= (hits / of if of else 0)
    assert surely(hits, of) <= surely(hits + 1, of + 1)


def test_two_releases_that_are_alike_are_seldom_told_apart() -> None:
    """At one in a hundred for each look, most of many that are the same must pass a whole watch."""
    chance = random.Random(7)
    passed = 0
    for _ in range(200):
        new, old = Figures(), Figures()
        worse = False
        for _look in range(20):
            new = joined([new, Figures(3, sum(chance.random() < 0.01 for _ in range(3)))])
            old = joined([old, Figures(27, sum(chance.random() < 0.01 for _ in range(27)))])
            worse = worse or judge(new, old, UPKEEP).worse
        passed += not worse
    assert passed >= 195, passed


def test_what_a_gateway_tells_is_read_back() -> None:
    told = {"compared": {"3": {"requests": 4, "failures": 1, "ttft": {"50": 2}}}}
    assert figures_of(told) == {3: Figures(4, 1, {50: 2})}
    assert figures_of({}) == {}, "a gateway of an earlier version counts nothing"
