"""Figures are the libraries' own, and the rows beside them sum up to the same."""

from __future__ import annotations

import json
import math
import random

import pytest
from sklearn.metrics import f1_score

from llmops.errors import InputError
from llmops.evaluating import Item, ItemSet, Metric, figure_of, read_scores
from serving.evaluate import Task, fitting
from serving.evaluate.journal import Record
from serving.evaluate.metrics import of_item, score

WORDS = "the a cat dog sat ran on under mat hill big small and then".split()
WANTED = (
    Metric.EXACT_MATCH,
    Metric.ROUGE_1,
    Metric.ROUGE_2,
    Metric.ROUGE_L,
    Metric.BLEU,
    Metric.CHRF,
)
LABELS = ("good", "bad", "mixed")


def texts(seed: int, n: int = 40) -> tuple[Task, dict[tuple[str, str, str], Record]]:
    pick = random.Random(seed)
    items, records = [], {}
    for number in range(n):
        references = [
            " ".join(pick.choices(WORDS, k=pick.randint(1, 12))) for _ in range(1 + number % 3)
        ]
        words = references[0].split()
        kept = [word if pick.random() < 0.8 else pick.choice(WORDS) for word in words]
        answer = " ".join(kept[: pick.randint(0, len(kept))]) if number % 5 else references[0]
        items.append(Item(str(number), "p", references=tuple(references), line=number + 1))
        records["exam", str(number), "answer"] = Record("exam", str(number), "answer", text=answer)
    return Task(ItemSet("exam", tuple(items)), WANTED), records


def labelled(seed: int) -> tuple[Task, dict[tuple[str, str, str], Record], list[str], list[str]]:
    pick = random.Random(seed)
    right = [pick.choice(LABELS) for _ in range(60)]
    named = [a if pick.random() < 0.6 else pick.choice([*LABELS, "none"]) for a in right]
    items = tuple(Item(str(n), "p", label=label) for n, label in enumerate(right))
    records = {
        ("exam", str(n), "answer"): Record("exam", str(n), "answer", text=f" {text.title()}.")
        for n, text in enumerate(named)
    }
    wanted = (Metric.ACCURACY, Metric.F1_MACRO, Metric.F1_MICRO)
    return Task(ItemSet("exam", items), wanted), records, right, named


@pytest.mark.parametrize("seed", range(4))
def test_rows_sum_up_to_the_libraries_figures(seed: int) -> None:
    for found in score(*texts(seed)):
        assert found.n == 40
        assert figure_of(found.metric, found.rows) == pytest.approx(found.value), found.metric
        assert read_scores(json.loads(json.dumps(found.document())), "x") == found


@pytest.mark.parametrize("seed", range(4))
def test_f1_is_scikit_learns_and_a_wrong_word_is_a_miss_only(seed: int) -> None:
    task, records, right, named = labelled(seed)
    accuracy, macro, micro = score(task, records)
    assert accuracy.value == sum(a == b for a, b in zip(right, named, strict=True)) / 60
    for found, average in ((macro, "macro"), (micro, "micro")):
        expected = f1_score(right, named, labels=sorted(LABELS), average=average)
        assert found.value == pytest.approx(expected)
        assert figure_of(found.metric, found.rows) == pytest.approx(expected)


def test_known_values() -> None:
    items = (Item("1", "p", references=("the cat sat on the mat",)),)
    records = {
        ("exam", "1", "answer"): Record("exam", "1", "answer", text="the cat sat on a mat"),
        ("exam", "1", "likelihood"): Record(
            "exam", "1", "likelihood", nll=6 * math.log(5), tokens=6
        ),
    }
    wanted = (Metric.ROUGE_1, Metric.ROUGE_2, Metric.ROUGE_L, Metric.BLEU, Metric.PERPLEXITY)
    found = {s.metric: s.value for s in score(Task(ItemSet("exam", items), wanted), records)}
    assert found[Metric.ROUGE_1] == pytest.approx(5 / 6)
    assert found[Metric.ROUGE_2] == pytest.approx(3 / 5)
    assert found[Metric.ROUGE_L] == pytest.approx(5 / 6)
    # By hand: 5/6, 3/5, 2/4 and 1/3 of the n-grams match, and the lengths are equal.
    assert found[Metric.BLEU] == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert found[Metric.PERPLEXITY] == pytest.approx(5.0)


def test_an_item_without_an_answer_is_missing_and_not_wrong() -> None:
    task, records = texts(1)
    records["exam", "3", "answer"] = Record("exam", "3", "answer", error="too long")
    del records["exam", "4", "answer"]
    found = score(task, records)[0]
    assert found.missing == ("3", "4")
    assert found.n == 38


def test_the_worst_item_is_the_one_that_scored_least() -> None:
    assert of_item(Metric.EXACT_MATCH)((0.0, 1.0)) < of_item(Metric.EXACT_MATCH)((1.0, 1.0))
    assert of_item(Metric.PERPLEXITY)((9.0, 3.0)) < of_item(Metric.PERPLEXITY)((6.0, 3.0))
    assert of_item(Metric.F1_MACRO)((0, 0, 1, 0, 1, 0)) < of_item(Metric.F1_MACRO)(
        (0, 0, 0, 1, 0, 0)
    )


def test_what_a_set_cannot_give_is_refused_by_its_line() -> None:
    items = (Item("1", "p", label="a", line=1), Item("2", "p", references=("b",), line=2))
    exam = ItemSet("exam", items)
    with pytest.raises(InputError, match="line 2 has no label"):
        Task(exam, (Metric.ACCURACY,))
    with pytest.raises(InputError, match="line 1 has no reference"):
        Task(exam, (Metric.BLEU,))
    assert fitting(exam) == ()


def test_a_result_that_was_changed_by_hand_is_found_out() -> None:
    document = score(*texts(1))[0].document()
    with pytest.raises(InputError, match="its items give"):
        read_scores(document | {"value": 0.99}, "result.json")
