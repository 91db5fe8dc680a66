"""A comparison finds what is there, and its interval holds the truth as often as it says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from llmops.errors import InputError
from llmops.evaluating import Metric, Scores, share_interval
from serving.evaluate import compare
from serving.evaluate.comparing import _bootstrap
from tests.evaluating.samples import scores, shares

ROUNDS = 400
CONFIDENCE = 0.9


def least_held(rounds: int, slack: float) -> int:
    """Rounds that an interval of the promised confidence holds the truth in, but for one case in
    10,000; `slack` is what resampling is known to lose with few items (Efron and Tibshirani)."""
    return int(binom.ppf(1e-4, rounds, CONFIDENCE - slack))


@pytest.mark.parametrize("n", [25, 200])
@pytest.mark.parametrize(("better", "worse"), [(0.02, 0.02), (0.3, 0.1)])
def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says(
    n: int, better: float, worse: float
) -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(ROUNDS):
        b, c, _rest = rng.multinomial(n, [better, worse, 1 - better - worse])
        found = share_interval(int(b), int(c), n, CONFIDENCE)
        held += found.low <= better - worse <= found.high
    assert held >= least_held(ROUNDS, 0.0)
    assert held / ROUNDS < 0.9999


def test_the_bootstrap_holds_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.evaluate.comparing.RESAMPLES", 200)
    rng = np.random.default_rng(6)
    n, truth, held, rounds = 40, 0.05, 0, 100
    for number in range(rounds):
        values = np.concatenate([rng.gamma(2.0, 0.1, n) + truth, np.zeros(n)])
        values[:n] -= 0.2
        gained: Callable[..., float] = lambda a, b, v=values: float(v[a].mean() - v[b].mean())  # noqa: E731
        low, high, _ = _bootstrap(gained, n, CONFIDENCE, number)
        held += low <= truth <= high
    assert least_held(rounds, 0.03) <= held < rounds


def test_a_clear_gain_is_found_and_a_chance_one_is_not() -> None:
    rng = np.random.default_rng(7)
    base = rng.uniform(0.2, 0.8, 60)
    clear = [(float(v), 1.0) for v in base + 0.1 + rng.normal(0, 0.02, 60)]
    noise = [(float(v), 1.0) for v in base + rng.normal(0, 0.02, 60)]
    other = scores(Metric.ROUGE_L, [(float(v), 1.0) for v in base])
    found = compare(scores(Metric.ROUGE_L, clear), other)
    assert 0.08 < found.interval.low < found.interval.gain < found.interval.high < 0.12
    assert found.p_value < 0.01
    # At 95 % one such case in twenty looks like a difference.
    none = compare(scores(Metric.ROUGE_L, noise), other, confidence=0.999)
    assert none.interval.low < 0 < none.interval.high
    assert none.p_value > 0.001


def test_mcnemar_and_the_interval_of_counts_have_their_known_values() -> None:
    ours = shares([1] * 15 + [0] * 5 + [1] * 80)
    theirs = shares([0] * 15 + [1] * 5 + [1] * 80)
    found = compare(ours, theirs)
    assert found.interval.gain == pytest.approx(0.10)
    # Two-sided binomial test of 15 against 5; Agresti and Min by hand: (15.5 - 5.5) / 102 and
    # 1.96 · sqrt(21 - 100 / 102) / 102.
    assert found.p_value == pytest.approx(0.04139, abs=1e-5)
    reach = 1.959964 * math.sqrt(21 - 100 / 102) / 102
    assert found.interval.low == pytest.approx(10 / 102 - reach, abs=1e-6)


def test_a_lower_perplexity_is_a_gain_and_a_share_of_it() -> None:
    rng = np.random.default_rng(8)
    nll = rng.gamma(20, 0.5, 50)
    tokens = rng.integers(4, 9, 50)
    other = scores(
        Metric.PERPLEXITY, [(float(a), float(t)) for a, t in zip(nll, tokens, strict=True)]
    )
    ours = scores(
        Metric.PERPLEXITY,
        [(float(a + t * math.log(0.9)), float(t)) for a, t in zip(nll, tokens, strict=True)],
    )
    found = compare(ours, other)
    assert found.interval.gain == pytest.approx(0.1)
    assert found.interval.low == pytest.approx(0.1, abs=1e-6)


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(9)
    one, other = (
        scores(Metric.ROUGE_1, [(float(v), 1.0) for v in rng.uniform(0, 1, 30)]) for _ in range(2)
    )
    assert compare(one, other) == compare(one, other)
    assert compare(one, other).interval != compare(one, other, seed=18).interval


def test_models_that_were_alike_on_few_items_are_not_known_to_be() -> None:
    few, many = (scores(Metric.ROUGE_1, [(0.5, 1.0), (0.25, 1.0)] * n) for n in (10, 400))
    found = compare(few, few)
    assert (found.interval.gain, found.p_value) == (0.0, 1.0)
    # None of 20 by Clopper and Pearson: 0.168.
    assert found.interval.low == pytest.approx(-0.1684, abs=1e-4)
    assert compare(many, many).interval.low > -0.005
    weighed = scores(Metric.PERPLEXITY, [(2.0, 1.0)] * 20)
    assert compare(weighed, weighed).interval.low == 0.0


def test_a_difference_that_never_varies_has_an_interval_all_the_same() -> None:
    one = scores(Metric.ROUGE_1, [(0.5, 1.0)] * 20)
    other = scores(Metric.ROUGE_1, [(0.25, 1.0)] * 20)
    found = compare(one, other)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize(
    "other",
    [
        scores(Metric.ROUGE_1, [(1.0, 1.0)] * 3),
        scores(Metric.EXACT_MATCH, [(1.0, 1.0)] * 3, digest="another"),
    ],
    ids=["metric", "set"],
)
def test_only_the_same_set_and_metric_are_compared(other: Scores) -> None:
    with pytest.raises(InputError, match="only results of the same"):
        compare(shares([1, 1, 1]), other)


def test_items_that_one_lacks_are_left_out() -> None:
    ours = shares([1, 1, 0, 1])
    theirs = Scores("exam", "d", Metric.EXACT_MATCH, 0.5, ("3", "0"), ((0.0, 1.0), (1.0, 1.0)))
    found = compare(ours, theirs)
    assert (found.n, found.candidate, found.other) == (2, 1.0, 0.5)
