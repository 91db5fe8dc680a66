"""The metrics by name: which way is better, on which scale, and what each needs of an item.

Every figure here is a function of sums over items: a share is hits over items, a perplexity is
built of summed log-likelihoods, BLEU of summed n-gram counts, F1 of summed hits and misses. So a
model's result is kept as one row of numbers per item, and the figure of any sample of items is the
figure of that sample's column sums. That is what makes a paired comparison exact and cheap.

It refuses to score text: the field's libraries do that, in `serving.evaluate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

BLEU_ORDER = 4
"""Longest n-gram of BLEU (Papineni et al., 2002, and sacrebleu's default)."""


class Metric(StrEnum):
    """What can be measured of answers."""

    ACCURACY = "accuracy"
    """Share of items whose answer names the item's label."""
    F1_MACRO = "f1_macro"
    """F1 of each label, averaged over labels."""
    F1_MICRO = "f1_micro"
    """F1 of all labels' hits and misses together; an answer without a label is a miss only."""
    EXACT_MATCH = "exact_match"
    """Share of items whose answer is one of the references, after normalisation."""
    ROUGE_1 = "rouge1"
    """Mean F-measure of unigrams in common, of the best reference."""
    ROUGE_2 = "rouge2"
    """Mean F-measure of bigrams in common, of the best reference."""
    ROUGE_L = "rougeL"
    """Mean F-measure of the longest common subsequence, of the best reference."""
    BLEU = "bleu"
    """BLEU of all answers together, 0 to 100."""
    CHRF = "chrf"
    """Mean of each answer's chrF, 0 to 100."""
    PERPLEXITY = "perplexity"
    """exp of the mean negative log-likelihood of a reference's token, given the prompt."""

    @property
    def lower_is_better(self) -> bool:
        """Whether less is more."""
        return self is Metric.PERPLEXITY

    @property
    def needs_label(self) -> bool:
        """Whether each item must have a label."""
        return self in (Metric.ACCURACY, Metric.F1_MACRO, Metric.F1_MICRO)

    @property
    def needs_likelihood(self) -> bool:
        """Whether it is of the references' likelihood, and not of answers."""
        return self is Metric.PERPLEXITY

    @property
    def is_share(self) -> bool:
        """Whether each item counts 0 or 1, so that counting methods are exact."""
        return self in (Metric.ACCURACY, Metric.EXACT_MATCH)

    @property
    def margin(self) -> float:
        """Loss that a gate forgives unless it says otherwise: 2 % of the scale."""
        return 2.0 if self in (Metric.BLEU, Metric.CHRF) else 0.02

    @property
    def scale(self) -> tuple[float, float]:
        """Least and largest figure."""
        if self is Metric.PERPLEXITY:
            return 1.0, math.inf
        return 0.0, (100.0 if self in (Metric.BLEU, Metric.CHRF) else 1.0)


def figure(metric: Metric, sums: Sequence[float]) -> float:
    """The figure of a sample of items from the sums of their rows.

    Args:
        metric: What the rows are of.
        sums: Column sums. Of a mean: (sum, items). Of a perplexity: (negative log-likelihood in
            nats, tokens). Of F1: hits, false alarms and misses of each label in turn. Of BLEU:
            n-grams that match (4), n-grams (4), length, and length of the reference.

    Returns:
        The figure on the metric's scale; NaN where the sample holds nothing to measure.
    """
    if metric is Metric.PERPLEXITY:
        return math.exp(min(sums[0] / sums[1], 700.0)) if sums[1] else math.nan
    if metric is Metric.F1_MACRO:
        labels = [_f1(*sums[at : at + 3]) for at in range(0, len(sums), 3)]
        known = [value for value in labels if not math.isnan(value)]
        return math.fsum(known) / len(known) if known else math.nan
    if metric is Metric.F1_MICRO:
        return _f1(*(math.fsum(sums[at::3]) for at in range(3)))
    if metric is Metric.BLEU:
        return _bleu(sums)
    return sums[0] / sums[1] if sums[1] else math.nan


def _f1(hits: float, alarms: float, misses: float) -> float:
    """2·hits / (2·hits + false alarms + misses); NaN for a label that never occurs."""
    total = 2 * hits + alarms + misses
    return 2 * hits / total if total else math.nan


def _bleu(sums: Sequence[float]) -> float:
    """Papineni et al. (2002), with sacrebleu's exponential smoothing of orders without a match."""
    matched, found = sums[:BLEU_ORDER], sums[BLEU_ORDER : 2 * BLEU_ORDER]
    length, reference = sums[2 * BLEU_ORDER :]
    if not length or not matched[0]:
        return 0.0
    logs, smoothing = [], 1.0
    for hits, all_ in zip(matched, found, strict=True):
        if not all_:
            # No answer is long enough for an n-gram of this order: sacrebleu gives 0 as well.
            return 0.0
        if not hits:
            smoothing *= 2.0
        logs.append(math.log((hits or 1.0 / smoothing) / all_))
    brevity = min(0.0, 1.0 - reference / length)
    return 100.0 * math.exp(brevity + math.fsum(logs) / BLEU_ORDER)
