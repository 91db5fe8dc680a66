"""What the verbs of `llmops eval` share: who is asked, what must hold, and how results look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Format

if TYPE_CHECKING:
    from llmops.evaluating import Comparison, Metric, Scores, Verdict
    from serving.client import Endpoint
    from serving.evaluate import Evaluation, Settings, Subject

SHOWN = 100
"""Characters of a question or an answer in a table."""

Least = Annotated[
    list[str] | None,
    typer.Option("--min", metavar="METRIC=VALUE", help="Least figure that passes (exit 3)."),
]
Most = Annotated[
    list[str] | None,
    typer.Option("--max", metavar="METRIC=VALUE", help="Largest perplexity that passes (exit 3)."),
]
Margin = Annotated[
    float | None,
    typer.Option("--margin", min=0.0, help="Loss that is forgiven; default: 2 % of the scale."),
]
Confidence = Annotated[
    float, typer.Option("--confidence", min=0.5, max=0.999, help="Of intervals, two-sided.")
]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Any endpoint of OpenAI's API instead; ends in /v1.", metavar="URL"),
]
ModelName = Annotated[
    str | None, typer.Option("--model", help="With --url: the model's name there.", metavar="NAME")
]
KeyEnv = Annotated[
    str | None,
    typer.Option("--key-env", metavar="VAR", help="With --url: variable that holds the key."),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which model the command line names."""

    name: str | None
    url: str | None = None
    model: str | None = None
    key_env: str | None = None
    weights: Path | None = None
    adapter: Path | None = None
    release: int | None = None
    context: str | None = None
    namespace: str | None = None

    def subject(self) -> Subject:
        """The model.

        Raises:
            InputError: When none or several are named.
        """
        from llmops.errors import InputError
        from serving.evaluate import Live, Weights

        if sum(x is not None for x in (self.name, self.url, self.weights)) != 1:
            raise InputError("name one model: a service, --url, or --weights")
        if self.adapter is not None and self.weights is None:
            raise InputError("--adapter needs --weights: the folder of the base")
        if self.release is not None and self.name is None:
            raise InputError("--release is for a service")
        if self.weights is not None:
            adapter = self.adapter.absolute() if self.adapter else None
            return Weights(self.weights.absolute(), adapter)
        return Live(self.endpoint(), self.release)

    def endpoint(self) -> Endpoint:
        """The endpoint.

        Raises:
            InputError: When none is named, or its key is not there.
        """
        from cli.places import service_target
        from llmops.errors import InputError
        from serving.client import Endpoint

        if self.name is not None:
            return service_target(self.name, self.context, self.namespace).endpoint(self.name)
        if self.url is None or self.model is None:
            raise InputError("an endpoint needs --url and --model, or name a service")
        key = os.environ.get(self.key_env, "") if self.key_env else "none"
        if not key:
            raise InputError(f"the variable {self.key_env} holds no key")
        return Endpoint(self.url.rstrip("/"), key, self.model)

    @property
    def label(self) -> str:
        """A folder's name for what is measured."""
        place = self.adapter or self.weights
        text = self.name or self.model or (place.resolve().name if place else "model")
        return "".join(c if c.isalnum() or c in "-._" else "-" for c in text).strip(".") or "model"


def bounds(given: list[str] | None, option: str) -> dict[Metric, float]:
    """`METRIC=VALUE`, each.

    Raises:
        InputError: When one is not of that form.
    """
    from llmops.errors import InputError
    from llmops.evaluating import Metric

    found = {}
    for text in given or ():
        name, _, value = text.partition("=")
        try:
            found[Metric(name)] = float(value)
        except ValueError as error:
            known = ", ".join(Metric)
            raise InputError(
                f"{option} takes METRIC=VALUE, found '{text}'", hint=f"metrics are {known}"
            ) from error
    return found


def print_evaluation(found: Evaluation, items: Sequence[dict[str, Any]]) -> None:
    """An evaluation as text: figures, times, and the worst items."""
    from cli.chat import UNPRINTABLE
    from cli.output import print_table, tell

    rows = [_row(entry) for entry in found.scores]
    print_table(("SET", "METRIC", "FIGURE", "ITEMS", "NOT MEASURED"), rows)
    if found.latency:
        typer.echo()
        times = [
            (name, *(f"{1000 * x:.1f}" for x in (s.p50, s.p90, s.p99, s.mean)), str(s.n))
            for name, s in found.latency.items()
        ]
        print_table(("MILLISECONDS", "P50", "P90", "P99", "MEAN", "N"), times)
    for item in items:
        asked = item.get("prompt") or (item.get("messages") or [{}])[-1].get("content", "")
        wanted = item["label"] or next(iter(item["references"]), "")
        parts = {"asked": asked, "wanted": wanted, "answer": item["answer"] or item["error"]}
        scores = " ".join(f"{name} {value:.3g}" for name, value in item["scores"].items())
        typer.echo(f"\n{item['set']} {item['id']} (line {item['line']}): {scores}")
        for name, text in parts.items():
            shown = " ".join(str(text).translate(UNPRINTABLE).split())
            typer.echo(f"  {name + ':':8} {shown[:SHOWN]}{'…' if len(shown) > SHOWN else ''}")
    if found.cut:
        tell(f"warning: {found.cut} answers were cut at the most tokens that were asked for")
    if len(found.releases) > 1:
        tell(f"warning: releases {', '.join(map(str, found.releases))} answered by turns")
    for item_id, why in list(found.lost.items())[:5]:
        tell(f"not measured: {item_id}: {why.translate(UNPRINTABLE)}")


def _row(scores: Scores) -> tuple[str, ...]:
    lost = str(len(scores.missing)) if scores.missing else "-"
    return scores.set, scores.metric.value, f"{scores.value:.4g}", str(scores.n), lost


def print_comparisons(found: Sequence[Comparison], margin: float | None) -> None:
    """Comparisons as text, with the items that would settle what is open."""
    from cli.output import print_table

    rows = []
    for one in found:
        interval = one.interval
        open_ = interval.low <= 0 <= interval.high
        room = one.metric.margin if margin is None else margin
        needed = one.needed(room) if interval.low < -room else None
        say = "better" if interval.low > 0 else "worse" if interval.high < 0 else "cannot tell"
        if open_ and needed is not None:
            say += f"; {needed} items would show that it loses less than {room:g}"
        rows.append((
            one.set, one.metric.value, f"{one.candidate:.4g}", f"{one.other:.4g}",
            f"{interval.gain:+.4g}", f"{interval.low:+.4g} to {interval.high:+.4g}",
            f"{one.p_value:.3g}", str(one.n), say,
        ))  # fmt: skip
    heads = ("SET", "METRIC", "CANDIDATE", "OTHER", "GAIN", "INTERVAL", "P", "ITEMS", "SAYS")
    print_table(heads, rows)


def settle(verdicts: Sequence[Verdict], output: Format) -> None:
    """Tell the verdicts, and end with 3 when one is no pass."""
    from cli.output import tell

    for verdict in verdicts:
        if output is Format.TEXT or not verdict.passed:
            tell(f"gate: {verdict}")
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(3)


def measure(
    asked: Asked,
    sets: Sequence[Path],
    metrics: Sequence[str],
    out: Path | None,
    settings: Settings,
    *,
    max_tokens: int,
    limit: int | None,
) -> tuple[Evaluation, Path]:
    """Evaluate as the command line says; what was found, and the folder it is kept in.

    Raises:
        InputError: When what is asked for makes no sense.
    """
    from cli.output import Drawer
    from cli.places import home
    from llmops.errors import InputError
    from llmops.events import Progress
    from serving.evaluate import Task, described, evaluate, fitting, next_folder, read_set

    if not sets:
        raise InputError("there is nothing to ask", hint="name a set of questions: --set FILE")
    wanted = _metrics(metrics)
    tasks = []
    for path in sets:
        items = read_set(path, limit=limit)
        tasks.append(Task(items, wanted or fitting(items), max_tokens))
    subject = asked.subject()
    what = described(subject, tasks, settings)
    folder = out or next_folder(home() / "evaluations" / asked.label, what)
    drawer = Drawer()
    try:
        found = evaluate(
            subject, tasks, folder, lambda text: drawer.progress(Progress("eval", text)), settings
        )
    finally:
        drawer.still()
    return found, folder


def _metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    from llmops.errors import InputError
    from llmops.evaluating import Metric

    try:
        return tuple(Metric(name) for name in names)
    except ValueError as error:
        raise InputError(str(error), hint=f"metrics are {', '.join(Metric)}") from error


def check_conditions(rival: Path | None, least: list[str] | None, most: list[str] | None) -> None:
    """Refuse conditions that cannot be read, before anything is asked.

    Raises:
        InputError: Naming the first.
    """
    from serving.evaluate import read_evaluation

    bounds(least, "--min")
    bounds(most, "--max")
    if rival is not None:
        read_evaluation(rival)


def judged(
    found: Evaluation,
    rival: Path | None,
    least: list[str] | None,
    most: list[str] | None,
    margin: float | None,
    confidence: float,
) -> tuple[Verdict, ...]:
    """What the command line's conditions say of an evaluation; none where there are none."""
    from llmops.evaluating import gates_for
    from serving.evaluate import decide, read_evaluation

    gates = gates_for(
        found.scores,
        least=bounds(least, "--min"),
        most=bounds(most, "--max"),
        rival=None if rival is None else "other",
        margin=margin,
        confidence=confidence,
    )
    return decide(gates, found, {} if rival is None else {"other": read_evaluation(rival)})


def report(
    found: Evaluation, folder: Path, verdicts: Sequence[Verdict], worst: int, output: Format
) -> None:
    """Print an evaluation, and end with 3 when a verdict is no pass."""
    from cli.output import print_data, tell
    from llmops.evaluating import verdicts_document
    from serving.evaluate import worst as worst_of

    if output is Format.TEXT:
        print_evaluation(found, worst_of(folder, worst) if worst else ())
        tell(f"kept in {folder}")
    else:
        document = found.document() | {"folder": str(folder)}
        print_data(document | {"gate": verdicts_document(verdicts)}, output)
    settle(verdicts, output)
