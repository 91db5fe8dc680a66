"""Answers to figures, by the field's libraries: scikit-learn, rouge-score and sacrebleu.

Each figure is the library's own. Beside it stands one row of numbers per item, which sums up to the
same figure (`llmops.evaluating.figure`), so that it can be resampled; reading a result compares the
two. An item without an answer is named as missing and never counted as wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from llmops.errors import InputError
from llmops.evaluating import Item, Metric, Scores, figure_of, is_exact, named_label
from serving.evaluate.journal import Record
from serving.evaluate.tasks import Task

Rows = list[tuple[float, ...]]
ROUGE = {Metric.ROUGE_1: "rouge1", Metric.ROUGE_2: "rouge2", Metric.ROUGE_L: "rougeL"}


def score(task: Task, records: Mapping[tuple[str, str, str], Record]) -> tuple[Scores, ...]:
    """The scores of a task, one of each metric.

    Raises:
        InputError: When a library is missing.
    """
    return tuple(_score(task, metric, records) for metric in task.metrics)


def _score(task: Task, metric: Metric, records: Mapping[tuple[str, str, str], Record]) -> Scores:
    kind = "likelihood" if metric.needs_likelihood else "answer"
    name = task.items.name
    found = {item.id: records.get((name, item.id, kind)) for item in task.items.items}
    known = {key: record for key, record in found.items() if record and not record.error}
    items = [item for item in task.items.items if item.id in known]
    value, rows, signature = math.nan, Rows(), ""
    if items:
        try:
            value, rows, signature = _of(metric, task, items, [known[item.id] for item in items])
        except ModuleNotFoundError as error:
            raise InputError(
                f"{metric} needs the package {error.name}, which is not installed",
                hint="pip install 'llmops[finetune]'",
            ) from error
    return Scores(
        set=name,
        digest=task.items.digest,
        metric=metric,
        value=value,
        ids=tuple(item.id for item in items),
        rows=tuple(rows),
        missing=tuple(key for key in found if key not in known),
        signature=signature,
    )


def _of(
    metric: Metric, task: Task, items: Sequence[Item], records: Sequence[Record]
) -> tuple[float, Rows, str]:
    if metric is Metric.PERPLEXITY:
        rows: Rows = [(record.nll, float(record.tokens)) for record in records]
        return figure_of(metric, rows), rows, "natural logarithm, first reference"
    texts = [record.text for record in records]
    if metric.needs_label:
        return _labels(metric, task.items.labels, items, texts)
    if metric is Metric.EXACT_MATCH:
        rows = [(float(is_exact(t, i.references)), 1.0) for i, t in zip(items, texts, strict=True)]
        return figure_of(metric, rows), rows, "NFKC, case folded, blanks and outer punctuation"
    if metric in ROUGE:
        return _rouge(metric, items, texts)
    return _bleu(items, texts) if metric is Metric.BLEU else _chrf(items, texts)


def _labels(
    metric: Metric, labels: tuple[str, ...], items: Sequence[Item], texts: Sequence[str]
) -> tuple[float, Rows, str]:
    from sklearn.metrics import accuracy_score, f1_score

    right = [item.label for item in items]
    named = [named_label(text, labels) for text in texts]
    signature = f"scikit-learn {version('scikit-learn')}, labels {', '.join(labels)}"
    if metric is Metric.ACCURACY:
        rows: Rows = [(float(a == b), 1.0) for a, b in zip(right, named, strict=True)]
        return float(accuracy_score(right, named)), rows, signature
    average = "macro" if metric is Metric.F1_MACRO else "micro"
    value = f1_score(right, named, labels=list(labels), average=average, zero_division=math.nan)
    rows = [
        tuple(
            float(hit)
            for label in labels
            for hit in (label == a == b, label == b != a, label == a != b)
        )
        for a, b in zip(right, named, strict=True)
    ]
    return float(value), rows, signature


def _rouge(metric: Metric, items: Sequence[Item], texts: Sequence[str]) -> tuple[float, Rows, str]:
    from rouge_score.rouge_scorer import RougeScorer

    name = ROUGE[metric]
    scorer: Any = RougeScorer([name], use_stemmer=False)
    rows: Rows = [
        (float(scorer.score_multi(item.references, text)[name].fmeasure), 1.0)
        for item, text in zip(items, texts, strict=True)
    ]
    signature = f"rouge-score {version('rouge-score')}, F-measure, no stemmer, best reference"
    return figure_of(metric, rows), rows, signature


def _bleu(items: Sequence[Item], texts: Sequence[str]) -> tuple[float, Rows, str]:
    from sacrebleu.metrics import BLEU

    most = max(len(item.references) for item in items)
    streams = [
        [item.references[at] if at < len(item.references) else None for item in items]
        for at in range(most)
    ]
    whole: Any = BLEU()
    value = whole.corpus_score(texts, streams).score
    single: Any = BLEU(effective_order=True)
    rows: Rows = []
    for item, text in zip(items, texts, strict=True):
        found = single.sentence_score(text, list(item.references))
        rows.append((*_floats(found.counts), *_floats(found.totals), found.sys_len, found.ref_len))
    return float(value), rows, str(whole.get_signature())


def _floats(values: Sequence[int]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _chrf(items: Sequence[Item], texts: Sequence[str]) -> tuple[float, Rows, str]:
    from sacrebleu.metrics import CHRF

    scorer: Any = CHRF()
    rows: Rows = [
        (float(scorer.sentence_score(text, list(item.references)).score), 1.0)
        for item, text in zip(items, texts, strict=True)
    ]
    return figure_of(Metric.CHRF, rows), rows, f"{scorer.get_signature()}, mean of sentences"


def of_item(metric: Metric) -> Callable[[tuple[float, ...]], float]:
    """How good one item's row is, to find the worst: more is better, whichever the metric."""

    def good(row: tuple[float, ...]) -> float:
        if metric in (Metric.F1_MACRO, Metric.F1_MICRO):
            return float(any(row[::3]))
        value = figure_of(metric, [row])
        if math.isnan(value):
            return math.inf
        return -value if metric.lower_is_better else value

    return good
