"""What no gate and no output can mean: figures that a metric does not have, and sets. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.finetuning.method import Full
from llmops.finetuning.model import HELD_OUT, Exam, FineTune
from llmops.finetuning.places import wrong_place
from llmops.spec import Finding, Trail, Written


def find_in_exams(spec: FineTune, written: Written) -> Iterator[Finding]:
    """Everything of gates and output that contradicts itself, or the data."""
    for at, exam in enumerate(spec.eval):
        trail: Trail = ("eval", at)
        yield from _set(trail, exam, spec)
        yield from _bounds(trail, exam)
        yield from _compared(trail, exam, spec, written)
    yield from _twice(spec)
    if spec.output.merge and isinstance(spec.method, Full):
        yield Finding(
            ("output", "merge"), "expected false for the method 'full', found true",
            "remove it: the result is a whole model already", (("method", "kind"),),
        )  # fmt: skip


def _set(trail: Trail, exam: Exam, spec: FineTune) -> Iterator[Finding]:
    place: Trail = (*trail, "set")
    if exam.set == HELD_OUT:
        yield from _of_held_out(trail, exam, spec)
        return
    if wrong := wrong_place(exam.set, hub=False):
        yield Finding(place, *wrong)
        return
    if not exam.set.lower().endswith((".jsonl", ".jsonl.gz")):
        yield Finding(
            place, f"expected a file that ends in .jsonl, or '{HELD_OUT}',"
            f" found '{exam.set.rpartition('/')[2][:60]}'",
            "a set has one JSON object in each line",
        )  # fmt: skip
    for at, rows in enumerate(spec.data.train):
        if rows.source == exam.set:
            yield Finding(
                place, f"expected rows that are not learnt from, found those of data.train[{at}]",
                "an exam of what was learnt shows memory only: give other rows",
                (("data", "train", at, "source"),),
            )  # fmt: skip


def _of_held_out(trail: Trail, exam: Exam, spec: FineTune) -> Iterator[Finding]:
    about: tuple[Trail, ...] = (("data", "eval"), ("data", "split"))
    if not spec.data.eval and spec.data.split is None:
        yield Finding(
            (*trail, "set"), "expected a file: nothing is held out",
            "hold rows out with data.split: 0.05, or name a file", about,
        )  # fmt: skip
    elif spec.preference:
        yield Finding(
            (*trail, "set"), "expected a file: pairs that are held out have no perplexity",
            "name a file with prompts and references", about,
        )  # fmt: skip
    elif not exam.metric.needs_likelihood:
        yield Finding(
            (*trail, "metric"),
            f"expected 'perplexity' for the set '{HELD_OUT}', found '{exam.metric.value}'",
            "answers are measured on a file with prompts and references", ((*trail, "set"),),
        )  # fmt: skip


def _bounds(trail: Trail, exam: Exam) -> Iterator[Finding]:
    metric = exam.metric
    if exam.min is None and exam.max is None and exam.no_worse_than is None:
        yield Finding(
            trail, "expected min, max or no_worse_than, found none: any model would pass",
            "such as no_worse_than: base",
        )  # fmt: skip
    wrong, right = ("min", "max") if metric.lower_is_better else ("max", "min")
    if getattr(exam, wrong) is not None:
        better = "less" if metric.lower_is_better else "more"
        yield Finding(
            (*trail, wrong), f"expected {right} for '{metric.value}', of which {better} is better",
            f"write {right}: {getattr(exam, wrong):g}", ((*trail, "metric"),), key=True,
        )  # fmt: skip
    low, high = metric.scale
    bound = getattr(exam, right)
    if bound is not None and not low <= bound <= high:
        percent = f"write {bound / 100:g}" if 1 < bound <= 100 and high == 1 else "lower it"
        yield Finding(
            (*trail, right),
            f"expected {low:g} to {high:g} for '{metric.value}', found {bound:g}",
            percent if bound > high else "raise it",
            ((*trail, "metric"),),
        )


def _compared(trail: Trail, exam: Exam, spec: FineTune, written: Written) -> Iterator[Finding]:
    if exam.no_worse_than is None:
        for name in ("margin", "confidence"):
            if written((*trail, name)):
                yield Finding(
                    (*trail, name), "expected it beside no_worse_than, found none",
                    "add no_worse_than: base, or remove it", ((*trail, "no_worse_than"),), key=True,
                )  # fmt: skip
    elif exam.no_worse_than == "live" and spec.output.service is None:
        yield Finding(
            (*trail, "no_worse_than"), "expected output.service beside 'live', found none",
            "name the service whose live model it is compared with", (("output", "service"),),
        )  # fmt: skip
    if exam.metric.needs_likelihood and written((*trail, "max_tokens")):
        yield Finding(
            (*trail, "max_tokens"), f"expected none for '{exam.metric.value}': no answer is made",
            "remove it", ((*trail, "metric"),), key=True,
        )  # fmt: skip


def _twice(spec: FineTune) -> Iterator[Finding]:
    seen: dict[tuple[str, str], int] = {}
    for at, exam in enumerate(spec.eval):
        key = (exam.set, exam.metric.value)
        if key in seen:
            yield Finding(
                ("eval", at), f"expected each metric of a set once, found '{exam.metric.value}'"
                f" again (first in eval[{seen[key]}])",
                "write min and no_worse_than of one metric together", (("eval", seen[key]),),
            )  # fmt: skip
        seen.setdefault(key, at)
