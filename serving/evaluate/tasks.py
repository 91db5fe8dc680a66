"""What to measure: sets from files, the metrics wanted of each, and how answers are asked for.

It refuses a metric that a set cannot give: accuracy of items without labels, BLEU of items without
references. That is told before anything is asked.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from llmops.errors import InputError
from llmops.evaluating import Gate, Item, ItemSet, Metric, read_items

if TYPE_CHECKING:
    from llmops.finetuning import Exam

MOST_HELD_OUT = 2000
"""Rows of what a training held out that are measured, the first ones: a perplexity is known well
by then, and the whole of a large set would take longer than the training."""
DEFAULT_TOKENS = 256
"""Longest answer, in tokens, unless something else is said."""


@dataclass(frozen=True, slots=True)
class Task:
    """A set, and what is measured on it."""

    items: ItemSet
    metrics: tuple[Metric, ...]
    max_tokens: int = DEFAULT_TOKENS
    """Tokens of an answer, at most."""

    def __post_init__(self) -> None:
        name = self.items.name
        if not self.metrics:
            raise InputError(f"nothing is to be measured on {name}")
        for metric in self.metrics:
            for item in self.items.items:
                if problem := _lacks(item, metric):
                    where = f"line {item.line}" if item.line else f"item {item.id}"
                    raise InputError(
                        f"{metric} cannot be measured on {name}: {where} has {problem}",
                        hint="choose another metric, or give each item what it needs",
                    )

    @property
    def asks(self) -> bool:
        """Whether answers are generated."""
        return any(not metric.needs_likelihood for metric in self.metrics)

    @property
    def weighs(self) -> bool:
        """Whether likelihoods of references are wanted."""
        return any(metric.needs_likelihood for metric in self.metrics)


@dataclass(frozen=True, slots=True)
class Settings:
    """How answers are asked for. An evaluation is always greedy; only other uses sample."""

    seed: int = 17
    """Sent along, for engines that break ties by chance."""
    concurrency: int = 4
    """Requests at once to an endpoint, or sequences in one batch of weights."""
    token_budget: int | None = None
    """Tokens of prompts and answers in all that an endpoint may be asked for; None: no bound."""
    temperature: float = 0.0
    """Of an endpoint's answers; 0 is greedy."""


def read_set(path: Path, *, limit: int | None = None) -> ItemSet:
    """The set in a file, packed by gzip or not; its name is the file's without the ending.

    Raises:
        InputError: When it cannot be read.
        SpecError: Naming each wrong line.
    """
    packed = path.suffix.lower() == ".gz"
    name = path.with_suffix("").stem if packed else path.stem
    opened: Callable[..., TextIO] = gzip.open if packed else Path.open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            return read_items(lines, str(path), name).first(limit)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"the evaluation set {path} cannot be read: {error}") from error


def read_held_out(prepared: Path) -> ItemSet:
    """What a training held out, from the folder of its prepared data.

    Raises:
        InputError: When there is none, or it holds preference pairs.
    """
    import pyarrow.parquet

    file = prepared / "eval.parquet"
    if not file.exists():
        raise InputError(f"{prepared} holds nothing out", hint="set data.split or data.eval")
    columns = ("input_ids", "loss_mask", "source")
    with pyarrow.parquet.ParquetFile(file) as opened:
        if missing := sorted(set(columns) - set(opened.schema_arrow.names)):
            raise InputError(f"{file} has no column {missing[0]}: its likelihood cannot be told")
        items: list[Item] = []
        for batch in opened.iter_batches(batch_size=256, columns=list(columns)):
            items += [_held_out(row, len(items) + at) for at, row in enumerate(batch.to_pylist())]
            if len(items) >= MOST_HELD_OUT:
                break
    if not items:
        raise InputError(f"{file} has no row")
    return ItemSet("held-out", tuple(items[:MOST_HELD_OUT]))


def _held_out(row: dict[str, object], number: int) -> Item:
    ids, mask = row["input_ids"], row["loss_mask"]
    assert isinstance(ids, list)  # noqa: S101 - the file's schema says so
    assert isinstance(mask, list)  # noqa: S101
    learnt = tuple(bool(value) for value in mask)
    return Item(f"{number}:{row['source']}", "", tokens=tuple(ids), learnt=learnt)


def examine(
    exams: Sequence[Exam], prepared: Path | None = None
) -> tuple[tuple[Task, ...], tuple[Gate, ...]]:
    """What a training's `eval` asks for, as tasks and as gates.

    Args:
        exams: The spec's, with their sets as `file:///path`.
        prepared: Folder of the prepared data, for a set `held-out`.

    Raises:
        InputError: When a set cannot be read, or two of them have one name.
    """
    from llmops.finetuning import HELD_OUT, path_of

    sets: dict[str, ItemSet] = {}
    for source in dict.fromkeys(exam.set for exam in exams):
        if source == HELD_OUT:
            if prepared is None:
                raise InputError("what is held out can only be measured beside prepared data")
            sets[source] = read_held_out(prepared)
        else:
            sets[source] = read_set(path_of(source) or Path(source))
    names = [items.name for items in sets.values()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two evaluation sets are called {min(twice)}", hint="rename one file")
    gates = tuple(_gate(exam, sets[exam.set].name) for exam in exams)
    tasks = []
    for source, items in sets.items():
        own = [exam for exam in exams if exam.set == source]
        metrics = tuple(dict.fromkeys(Metric(exam.metric) for exam in own))
        tasks.append(Task(items, metrics, max(exam.max_tokens for exam in own)))
    return tuple(tasks), gates


def _gate(exam: Exam, name: str) -> Gate:
    return Gate(
        set=name,
        metric=Metric(exam.metric),
        min=exam.min,
        max=exam.max,
        no_worse_than=exam.no_worse_than,
        margin=exam.margin,
        confidence=exam.confidence,
    )


def fitting(items: ItemSet) -> tuple[Metric, ...]:
    """What can be measured on a set when nobody said what to measure."""
    if items.items[0].tokens:
        return (Metric.PERPLEXITY,)
    wanted: Iterable[Metric] = (
        (Metric.ACCURACY, Metric.F1_MACRO, Metric.F1_MICRO)
        if items.labels
        else (Metric.EXACT_MATCH, Metric.ROUGE_1, Metric.ROUGE_L, Metric.BLEU, Metric.CHRF)
    )
    return tuple(m for m in wanted if not any(_lacks(item, m) for item in items.items))


def _lacks(item: Item, metric: Metric) -> str:
    """What an item would need for a metric, as 'no …'; empty when it has all."""
    if item.tokens:
        return "" if metric.needs_likelihood else "no text to ask, only tokens"
    if metric.needs_label:
        return "" if item.label else "no label"
    return "" if item.references else "no reference"
