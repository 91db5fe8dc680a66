"""What figures say of a release that is watched: worse only where that is no chance."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning import Upkeep
from llmops.releases import Figures, figures_of, judge, shadows_of, step_of, summary, watching
from llmops.releases.watching import FALSE_ALARMS, quantile

UPKEEP = Upkeep()
QUICK = settings(deadline=None, database=None)


def times(count: int, seconds: float, late: int = 0, much: float = 9.0) -> dict[int, int]:
    """So many requests by a time of theirs, and some that are much later."""
    return dict(Counter([step_of(seconds)] * count + [step_of(much)] * late))


JUDGED = {
    "as good as the other": (Figures(100), Figures(900), False, True),
    "a failure may be chance": (Figures(20, 1), Figures(900), False, True),
    "three of twenty may be chance too": (Figures(20, 3), Figures(900), False, True),
    "six of twenty are none": (Figures(20, 6), Figures(900), True, True),
    "three of many are few": (Figures(900, 3), Figures(900), False, True),
    "two percent more are allowed": (Figures(2000, 40), Figures(9000), False, True),
    "five percent are more than that": (Figures(2000, 100), Figures(9000), True, True),
    "the other fails as often": (Figures(100, 30), Figures(900, 270), False, True),
    "all of a few fail": (Figures(6, 6), Figures(54), True, False),
    "the other is not known well enough": (Figures(6, 6), Figures(2), False, False),
    "nobody asked": (Figures(), Figures(), False, False),
    "too few asked": (Figures(19), Figures(900), False, False),
    "too few asked the other": (Figures(50), Figures(19), False, False),
    "as quick as the other": (
        Figures(30, ttft=times(30, 0.2)), Figures(300, ttft=times(300, 0.2)), False, True,
    ),
    "a little slower": (
        Figures(30, ttft=times(30, 0.28)), Figures(300, ttft=times(300, 0.2)), False, True,
    ),
    "much slower": (
        Figures(30, ttft=times(30, 0.4)), Figures(300, ttft=times(300, 0.2)), True, True,
    ),
    "slow for two of twenty": (
        Figures(20, ttft=times(18, 0.2, 2)), Figures(300, ttft=times(300, 0.2)), False, True,
    ),
    "slow for twelve of twenty": (
        Figures(20, ttft=times(8, 0.2, 12)), Figures(300, ttft=times(300, 0.2)), True, True,
    ),
    "the other's times are too few to tell": (
        Figures(50, ttft=times(50, 9.0)), Figures(60, ttft=times(60, 0.2)), False, True,
    ),
    "the other is as slow": (
        Figures(50, ttft=times(0, 0.2, 50)), Figures(300, ttft=times(240, 0.2, 60)), False, True,
    ),
    "each token takes as long": (
        Figures(30, tpot=times(30, 0.03)), Figures(300, tpot=times(300, 0.03)), False, True,
    ),
    "each token takes twice as long": (
        Figures(30, tpot=times(30, 0.06)), Figures(300, tpot=times(300, 0.03)), True, True,
    ),
    "some answers are empty": (Figures(100, empty=2), Figures(900), False, True),
    "many answers are empty": (Figures(100, empty=20), Figures(900), True, True),
    "the other says nothing as often": (
        Figures(100, empty=20), Figures(900, empty=180), False, True,
    ),
    "half of what is answered is empty": (Figures(40, 20, empty=10), Figures(900, 450), True, True),
    "ten percent more may be truncated": (
        Figures(400, truncated=80), Figures(3600, truncated=360), False, True,
    ),
    "most are truncated": (Figures(100, truncated=60), Figures(900, truncated=90), True, True),
}  # fmt: skip


@pytest.mark.parametrize(("new", "old", "worse", "enough"), JUDGED.values(), ids=JUDGED)
def test_a_release_is_worse_only_where_that_is_no_chance(
    new: Figures, old: Figures, worse: bool, enough: bool
) -> None:
    verdict = judge(new, old, UPKEEP)
    assert (verdict.worse, verdict.enough) == (worse, enough), verdict.text
    assert verdict.text


def test_what_was_seen_is_told_with_its_figures() -> None:
    failing = judge(Figures(20, 10, cut=4), Figures(180, 1), UPKEEP).text
    assert failing == (
        "10 of its 20 requests failed (4 of them streams that were cut); of the last good release"
        " 1 of 180 did, and 2 % more are allowed"
    )
    slow = judge(Figures(30, ttft=times(30, 2.0)), Figures(270, ttft=times(270, 0.1)), UPKEEP).text
    assert slow.startswith("nine of ten of its first tokens came within 2.")
    assert slow.endswith("and 50 % more are allowed")
    empty = judge(Figures(20, empty=20), Figures(180), UPKEEP).text
    assert empty.startswith("20 of its 20 answers were empty; of the last good release 0 of 180")
    good = Figures(30, 0, times(30, 0.1), times(30, 0.02), truncated=3)
    text = judge(good, Figures(270, 1, times(270, 0.1), times(270, 0.02), 1), UPKEEP).text
    assert text.startswith(
        "0 of 30 requests failed (1 of 270), 0 of them streams that were cut (1), 3 were answered"
        " truncated (0), first token within 10"
    )
    assert text.endswith(", a token each within 21.1 ms (21.1 ms)")


def test_the_bounds_are_the_files_own() -> None:
    new = Figures(100, 20, times(80, 0.4), truncated=40)
    old = Figures(900, 0, times(900, 0.2))
    assert judge(new, old, UPKEEP).worse
    failing = replace(UPKEEP, canary_failures=20)
    assert "first tokens" not in judge(new, old, UPKEEP).text
    assert "truncated" in judge(new, old, failing).text
    long = replace(failing, canary_truncated=60)
    assert "first tokens" in judge(new, old, long).text
    patient = replace(long, canary_slower=200)
    assert not judge(new, old, patient).worse
    assert not judge(new, old, replace(patient, canary_requests=101)).enough


def test_more_steps_make_the_bound_of_each_narrower() -> None:
    new, old = Figures(20, 6), Figures(9000, 0)
    assert judge(new, old, UPKEEP).worse
    assert not judge(new, old, replace(UPKEEP, canary_steps=tuple(range(1, 91)))).worse


@QUICK
@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=50))
def test_a_quantile_is_told_apart_by_a_tenth(seconds: list[float]) -> None:
    found = quantile(Counter(step_of(one) for one in seconds), 0.9)
    exact = sorted(seconds)[-(-9 * len(seconds) // 10) - 1]
    assert found is not None
    assert exact * 0.999 <= found <= exact * 1.11


counts = st.integers(0, 200)
steps = st.dictionaries(st.integers(0, 120), st.integers(1, 50), max_size=5)
anything = st.builds(
    lambda good, bad, ttft, tpot, empty, long: Figures(
        good + bad, bad, ttft, tpot, bad // 2, min(empty, good), min(long, good)
    ),
    counts, counts, steps, steps, counts, counts,
)  # fmt: skip


@QUICK
@given(st.lists(anything, max_size=4))
def test_gateways_are_added_up(several: list[Figures]) -> None:
    total = watching._joined(several)
    for name in ("requests", "failures", "cut", "empty", "truncated"):
        assert getattr(total, name) == sum(getattr(f, name) for f in several)
    for name in ("ttft", "tpot"):
        added: Counter[int] = Counter()
        for one in several:
            added.update(getattr(one, name))
        assert getattr(total, name) == added


@QUICK
@given(anything, anything)
def test_more_failures_are_never_better(new: Figures, old: Figures) -> None:
    more = replace(new, requests=new.requests + 1, failures=new.failures + 1)
    if "failed; " in judge(new, old, UPKEEP).text:
        assert judge(more, old, UPKEEP).worse


@dataclass
class Source:
    """Requests of a release, one after the other, and what a gateway would count of them."""

    failures: float = 0.01
    empty: float = 0.005
    truncated: float = 0.1
    first: float = 0.2
    """Median seconds of the first token, and of each further one."""
    further: float = 0.03
    counted: Counter[str] = field(default_factory=Counter)
    ttft: Counter[int] = field(default_factory=Counter)
    tpot: Counter[int] = field(default_factory=Counter)

    def ask(self, chance: random.Random) -> None:
        self.counted["requests"] += 1
        if chance.random() < self.failures:
            self.counted["failures"] += 1
            return
        self.counted["empty"] += chance.random() < self.empty
        self.counted["truncated"] += chance.random() < self.truncated
        self.ttft[step_of(self.first * chance.lognormvariate(0, 0.5))] += 1
        self.tpot[step_of(self.further * chance.lognormvariate(0, 0.3))] += 1

    def figures(self) -> Figures:
        return Figures(ttft=self.ttft, tpot=self.tpot, **self.counted)


def found_after(
    chance: random.Random, new: Source, old: Source, most: int, others: int = 9
) -> int | None:
    """After how many requests the new release is taken for worse, looked at after each of them."""
    for asked in range(1, most + 1):
        new.ask(chance)
        for _ in range(others):
            old.ask(chance)
        if judge(new.figures(), old.figures(), UPKEEP).worse:
            return asked
    return None


def alarms(runs: int, most: int, others: int, make: Callable[[], Source] = Source) -> int:
    """How many of so many watches of two releases that are alike end with an alarm."""
    chance = random.Random(runs * most)
    return sum(found_after(chance, make(), make(), most, others) is not None for _ in range(runs))


def at_the_edge() -> tuple[Source, Source]:
    """The worst that is no fault: just what is allowed more."""
    return Source(0.03, 0.025, 0.2, 0.3, 0.045), Source()


def test_releases_that_are_alike_are_not_told_apart_however_often_they_are_looked_at() -> None:
    """6,000 looks in all, 300 each; at 1 % by watch, one alarm of 20 is what chance may do."""
    assert alarms(20, 300, 2) <= 1


def test_what_is_just_allowed_is_no_fault_however_often_it_is_looked_at() -> None:
    chance = random.Random(4)
    found = [found_after(chance, *at_the_edge(), most=300, others=2) for _ in range(20)]
    assert sum(one is not None for one in found) <= 1, found


PLANTED = {
    "every request fails": (Source(failures=1.0), 10),
    "half of the requests fail": (Source(failures=0.5), 60),
    "every answer is empty": (Source(empty=1.0), 10),
    "a fifth of the answers are empty": (Source(empty=0.2), 200),
    "every answer is truncated": (Source(truncated=1.0), 20),
    "half of the answers are truncated": (Source(truncated=0.5), 200),
    "first tokens take three times as long": (Source(first=0.6), 150),
    "each token takes three times as long": (Source(further=0.09), 60),
}


@pytest.mark.parametrize(("new", "within"), PLANTED.values(), ids=PLANTED)
def test_a_fault_is_found_within_so_many_requests(new: Source, within: int) -> None:
    """With a tenth of the traffic; the other release has nine times as many requests."""
    chance = random.Random(11)
    found = [found_after(chance, replace_counts(new), Source(), within) for _ in range(5)]
    assert None not in found, found


def replace_counts(source: Source) -> Source:
    return replace(source, counted=Counter(), ttft=Counter(), tpot=Counter())


RULES = {
    "every request fails": ("_more", Source(failures=1.0)),
    "every answer is empty": ("_more", Source(empty=1.0)),
    "every answer is truncated": ("_more", Source(truncated=1.0)),
    "first tokens take three times as long": ("_slower", Source(first=0.6)),
    "each token takes three times as long": ("_slower", Source(further=0.09)),
}


@pytest.mark.parametrize(("rule", "new"), RULES.values(), ids=RULES)
def test_without_its_rule_a_fault_is_missed(
    rule: str, new: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, rule, lambda *_: False)
    assert found_after(random.Random(11), replace_counts(new), Source(), 100) is None


def test_what_a_gateway_tells_is_read_back() -> None:
    told = {
        "requests": 4, "failures": 1, "cut": 1, "empty": 1, "truncated": 2, "ttft": {"50": 2},
        "tpot": {"30": 1},
    }  # fmt: skip
    gateway = {"compared": {"3": told}}
    assert figures_of([gateway]) == {3: Figures(4, 1, {50: 2}, {30: 1}, 1, 1, 2)}
    earlier = {"compared": {"3": {"requests": 4, "failures": 1, "ttft": {"50": 2}}}}
    assert figures_of([earlier]) == {3: Figures(4, 1, {50: 2})}
    assert figures_of([{}]) == {}, "a gateway of an earlier version counts nothing"
    assert figures_of([gateway, earlier, {}])[3] == Figures(8, 2, {50: 4}, {30: 1}, 1, 1, 2)


def test_what_gateways_tell_of_shadows_is_kept_by_release() -> None:
    told = {
        "requests": 4,
        "failures": 1,
        "empty": 1,
        "truncated": 2,
        "tokens": 9,
        "ttft": {"50": 2},
    }
    gateway = {"shadow": {"sent": 5, "releases": {"3": told, "4": told | {"requests": 0}}}}
    assert shadows_of([gateway, {}, gateway]) == {3: summary(Figures(8, 2, {50: 4}, {}, 0, 2, 4))}


def test_a_summary_has_the_times_of_nine_of_ten() -> None:
    kept = summary(Figures(20, 1, times(18, 0.2, 2), {}, 1, 2, 3))
    assert (kept.requests, kept.failures, kept.cut, kept.empty, kept.truncated) == (20, 1, 1, 2, 3)
    assert kept.ttft is not None
    assert 0.2 <= kept.ttft <= 0.22
    assert kept.tpot is None


def test_the_bound_that_is_told_is_the_one_that_holds() -> None:
    assert FALSE_ALARMS == 0.01
