"""Two results compared item by item, by SciPy's routines.

Shares are counted: Agresti and Min's interval and McNemar's exact test. Everything else is
resampled over items: the interval is a bias-corrected and accelerated bootstrap (Efron, 1987), the
test a permutation of the two models' rows within items. Both have a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmops.errors import InputError
from llmops.evaluating import (
    Comparison,
    Gate,
    Interval,
    Scores,
    Verdict,
    alike_interval,
    discordant,
    figure,
    gain,
    judge,
    paired,
    share_interval,
)

if TYPE_CHECKING:
    from serving.evaluate.running import Evaluation

SEED = 17
RESAMPLES = 2000
"""Of the bootstrap: the ends of a 95 % interval have 50 samples beyond them each."""
PERMUTATIONS = 2000


def compare(
    candidate: Scores, other: Scores, *, confidence: float = 0.95, seed: int = SEED
) -> Comparison:
    """How much better `candidate` is.

    Raises:
        InputError: When the two are not of one set and metric, or SciPy is missing.
    """
    ours, theirs = paired(candidate, other)
    try:
        found = (_counted if ours.metric.is_share else _resampled)(ours, theirs, confidence, seed)
    except ModuleNotFoundError as error:
        raise InputError(
            f"a comparison needs the package {error.name}, which is not installed",
            hint="pip install 'llmops[finetune]'",
        ) from error
    interval, p_value, test = found
    return Comparison(
        ours.set, ours.metric, len(ours.ids), ours.value, theirs.value, interval, p_value, test
    )


def _counted(
    ours: Scores, theirs: Scores, confidence: float, _seed: int
) -> tuple[Interval, float, str]:
    from scipy.stats import binomtest

    better, worse = discordant(ours, theirs)
    p_value = binomtest(better, better + worse).pvalue if better + worse else 1.0
    interval = share_interval(better, worse, len(ours.ids), confidence)
    return interval, float(p_value), f"McNemar, exact: {better} only here, {worse} only there"


def _resampled(
    ours: Scores, theirs: Scores, confidence: float, seed: int
) -> tuple[Interval, float, str]:
    import numpy as np
    from scipy.stats import permutation_test

    n = len(ours.ids)
    rows = np.array([*ours.rows, *theirs.rows])

    def gained(mine: Any, others: Any) -> float:
        sums = [rows[chosen].sum(axis=0).tolist() for chosen in (mine, others)]
        return gain(ours.metric, *(figure(ours.metric, column) for column in sums))

    first = np.arange(n)
    whole = gained(first, first + n)
    if np.array_equal(rows[:n], rows[n:]):
        alike = alike_interval(ours.metric, n, confidence)
        return alike, 1.0, "none: there is nothing to permute"
    low, high, method = _bootstrap(gained, n, confidence, seed)
    test = permutation_test(
        (first, first + n), gained, permutation_type="samples", vectorized=False,
        n_resamples=PERMUTATIONS, rng=np.random.default_rng(seed),
    )  # fmt: skip
    interval = Interval(whole, low, high, confidence, method)
    return interval, float(test.pvalue), f"permutation within items, {PERMUTATIONS}, seed {seed}"


def _bootstrap(gained: Any, n: int, confidence: float, seed: int) -> tuple[float, float, str]:
    import warnings

    import numpy as np
    from scipy.stats import bootstrap

    low = high = math.nan
    method = ""
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            # A degenerate BCa warns and gives NaN, which is looked at here.
            warnings.simplefilter("ignore")
            found = bootstrap(
                (np.arange(n),), lambda chosen: gained(chosen, chosen + n), vectorized=False,
                n_resamples=RESAMPLES, confidence_level=confidence, method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval  # fmt: skip
        low, high = float(found.low), float(found.high)
        if not (math.isnan(low) or math.isnan(high)):
            break
    return low, high, f"{method} bootstrap, {RESAMPLES} resamples, seed {seed}"


def decide(
    gates: Sequence[Gate], candidate: Evaluation, others: Mapping[str, Evaluation]
) -> tuple[Verdict, ...]:
    """What the gates say of a candidate.

    Args:
        gates: All of which must be passed.
        candidate: What was measured of it.
        others: By `base` and `live`, what was measured of those; one that is missing fails the
            gates which name it.
    """
    return tuple(_decide(gate, candidate, others) for gate in gates)


def _decide(gate: Gate, candidate: Evaluation, others: Mapping[str, Evaluation]) -> Verdict:
    ours = candidate.of(gate.set, gate.metric)
    rival = others.get(gate.no_worse_than or "")
    theirs = rival.of(gate.set, gate.metric) if rival else None
    comparison = None
    if ours is not None and theirs is not None and ours.n and theirs.n:
        comparison = compare(ours, theirs, confidence=gate.confidence)
    return judge(gate, ours, comparison)
