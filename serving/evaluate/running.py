"""One evaluation: a model, some tasks, a folder that holds what came of it.

The folder is the whole state: killed at any moment, the same call goes on, and a finished one is
read back and asks nothing. `result.json` is there only when everything was tried.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from llmops.errors import InputError
from llmops.evaluating import Metric, Scores, read_scores
from serving.client import Spread, spread_document
from serving.evaluate.journal import Journal, Record, keep, opened
from serving.evaluate.metrics import of_item, score
from serving.evaluate.tasks import Settings, Task

RESULT, ITEMS = "result.json", "items.jsonl"
FORMAT = 1
Tell = Callable[[str], None]


class Subject(Protocol):
    """What can be measured: `Live` and `Weights` are."""

    def document(self) -> dict[str, Any]:
        """What it is, as plain data."""
        ...

    def measure(
        self, tasks: Sequence[Task], journal: Journal, settings: Settings, tell: Tell
    ) -> None:
        """Measure what the journal does not know yet, and add it."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of an evaluation."""

    model: Mapping[str, Any]
    """What was measured, as plain data."""
    settings: Mapping[str, Any]
    scores: tuple[Scores, ...]
    """One of each set and metric, in the tasks' order."""
    latency: Mapping[str, Spread] = field(default_factory=dict)
    """`ttft`, `tpot` and `latency` over answers of an endpoint, in seconds; empty for weights."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """`prompt` and `output`, in all."""
    releases: tuple[int, ...] = ()
    """Releases of the service that answered."""
    cut: int = 0
    """Answers that ended because they were as long as allowed."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Items that could not be measured, and why."""

    def of(self, name: str, metric: Metric) -> Scores | None:
        """The scores of a set by a metric; None when they were not measured."""
        return next((s for s in self.scores if (s.set, s.metric) == (name, metric)), None)

    def document(self, *, rows: bool = False) -> dict[str, Any]:
        """As plain data; with `rows` each item's numbers are in it."""
        return {
            "format": FORMAT,
            "model": dict(self.model),
            "settings": dict(self.settings),
            "scores": [s.document() if rows else s.summary() for s in self.scores],
            "latency": {name: spread_document(s) for name, s in self.latency.items()},
            "tokens": dict(self.tokens),
            "releases": list(self.releases),
            "cut": self.cut,
            "lost": dict(self.lost),
        }


def evaluate(
    subject: Subject,
    tasks: Sequence[Task],
    folder: Path,
    tell: Tell,
    settings: Settings | None = None,
) -> Evaluation:
    """Measure a model.

    Args:
        subject: The model.
        tasks: What to measure; their sets have different names.
        folder: The evaluation's own; made when missing. Used again by the same evaluation only.
        tell: Called with each moment of the wait.
        settings: How to ask.

    Raises:
        InputError: When something asked for cannot be measured, or the folder holds another one.
        BusyError: When another command evaluates in the folder.
        RefusedError: When the token budget is used up; what was answered is kept.
        TargetError: When the model fails; what was answered is kept.
    """
    settings = settings or Settings()
    what = described(subject, tasks, settings)
    with opened(folder, what) as journal:
        if (folder / RESULT).exists():
            return read_evaluation(folder)
        subject.measure(tasks, journal, settings, tell)
        found = _sum_up(what, tasks, journal)
        keep(folder / ITEMS, _lines(tasks, journal.records, found.scores))
        keep(folder / RESULT, json.dumps(found.document(rows=True), indent=1) + "\n")
    return found


def described(subject: Subject, tasks: Sequence[Task], settings: Settings) -> dict[str, Any]:
    """What an evaluation is of, as plain data: two that are of the same can be one.

    Raises:
        InputError: When two sets have one name, or there is no such model.
    """
    if twice := [n for n, c in Counter(task.items.name for task in tasks).items() if c > 1]:
        raise InputError(f"two evaluation sets are called {twice[0]}", hint="rename one file")
    return {
        "model": subject.document(),
        "sets": {task.items.name: task.items.digest for task in tasks},
        "metrics": {task.items.name: [m.value for m in task.metrics] for task in tasks},
        "settings": {
            "temperature": settings.temperature,
            "seed": settings.seed,
            "max_tokens": {task.items.name: task.max_tokens for task in tasks},
        },
    }


def next_folder(root: Path, what: Mapping[str, Any]) -> Path:
    """Where to evaluate next: the newest folder of the same evaluation while that is not finished,
    else a new one.

    Args:
        root: Below which evaluations are kept.
        what: From `described`.
    """
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    numbers = [int(p.name) for p in (root / digest).glob("*") if p.name.isdigit()]
    newest = max(numbers, default=1)
    finished = (root / digest / str(newest) / RESULT).exists()
    return root / digest / str(newest + finished)


def read_evaluation(place: Path) -> Evaluation:
    """The evaluation in a folder, or in a `result.json`.

    Raises:
        InputError: When there is none, or it is damaged.
    """
    file = place / RESULT if place.is_dir() else place
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise InputError(f"{file} has format {document['format']}, this llmops reads {FORMAT}")
        return Evaluation(
            model=document["model"],
            settings=document["settings"],
            scores=tuple(read_scores(entry, str(file)) for entry in document["scores"]),
            latency={name: _spread(entry) for name, entry in document["latency"].items()},
            tokens=document["tokens"],
            releases=tuple(document["releases"]),
            cut=document["cut"],
            lost=document["lost"],
        )
    except FileNotFoundError as error:
        raise InputError(
            f"there is no finished evaluation at {file}",
            hint="give the evaluation's command again: it goes on where it was",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no result of an evaluation: {error}") from error


def _spread(entry: Mapping[str, Any]) -> Spread:
    p50, p90, p99, mean = (
        math.nan if entry[name] is None else float(entry[name])
        for name in ("p50", "p90", "p99", "mean")
    )
    return Spread(p50, p90, p99, mean, int(entry["n"]))


def _sum_up(what: dict[str, Any], tasks: Sequence[Task], journal: Journal) -> Evaluation:
    records = journal.records
    known = [record for record in records.values() if not record.error]
    answers = [record for record in known if record.kind == "answer"]
    times = {
        name: Spread.of(v for r in answers if (v := getattr(r, name)) is not None)
        for name in ("ttft", "tpot", "latency")
    }
    return Evaluation(
        model=what["model"],
        settings=what["settings"],
        scores=tuple(entry for task in tasks for entry in score(task, records)),
        latency={name: spread for name, spread in times.items() if spread.n},
        tokens={
            "prompt": sum(record.prompt_tokens for record in known),
            "output": sum(record.output_tokens for record in known),
        },
        releases=tuple(sorted({r.release for r in known if r.release is not None})),
        cut=sum(record.finish == "length" for record in answers),
        lost=journal.lost(),
    )


def _lines(
    tasks: Sequence[Task],
    records: Mapping[tuple[str, str, str], Record],
    scores: Sequence[Scores],
) -> str:
    """Each item with what was answered and what it scored, worst first by the first metric."""
    lines = []
    for task in tasks:
        own = [entry for entry in scores if entry.set == task.items.name]
        known = {
            entry.metric: dict(zip(entry.ids, map(of_item(entry.metric), entry.rows), strict=True))
            for entry in own
        }
        first = known[task.metrics[0]]
        for item in sorted(task.items.items, key=lambda i: first.get(i.id, -math.inf)):
            found = [records.get((task.items.name, item.id, k)) for k in ("answer", "likelihood")]
            answer = found[0]
            asked = item.document()
            asked.pop("learnt", None)
            lines.append({
                "set": task.items.name,
                "line": item.line,
                **asked,
                "answer": answer.text if answer else None,
                "error": next((record.error for record in found if record and record.error), ""),
                "scores": {
                    metric.value: abs(values[item.id])
                    for metric, values in known.items()
                    if item.id in values and math.isfinite(values[item.id])
                },
            })  # fmt: skip
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def worst(place: Path, count: int) -> list[dict[str, Any]]:
    """The worst items of a finished evaluation, at most so many of each set."""
    shown: Counter[str] = Counter()
    found = []
    with (place / ITEMS).open(encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            shown[item["set"]] += 1
            if shown[item["set"]] <= count:
                found.append(item)
    return found
