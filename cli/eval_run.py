"""`llmops eval run`: ask a model the questions of a file, and score what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.evaluations import Confidence, KeyEnv, Least, Margin, ModelName, Most, Url
from cli.options import Context, Format, Namespace, Output
from cli.places import service_names

NAME = "run"

Sets = Annotated[
    list[Path] | None,
    typer.Option("--set", "-s", metavar="FILE", help="Questions as JSON Lines; repeatable."),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", "-m", metavar="METRIC", help="Repeatable; default: by the set."),
]
Beat = Annotated[
    Path | None,
    typer.Option("--no-worse-than", metavar="DIR", help="Another evaluation to beat."),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for all that comes of it.")
]


def command(
    name: Annotated[
        str | None,
        typer.Argument(help="A service.", metavar="[NAME]", autocompletion=service_names),
    ] = None,
    sets: Sets = None,
    metrics: Metrics = None,
    url: Url = None,
    model: ModelName = None,
    key_env: KeyEnv = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="DIR", help="A folder of weights instead.")
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", metavar="DIR", help="With --weights: an adapter.")
    ] = None,
    release: Annotated[
        int | None, typer.Option("--release", min=1, help="One release of a service here.")
    ] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer.")] = 256,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="The first items of each set only.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=256, help="Questions at once.")
    ] = 4,
    token_budget: Annotated[
        int | None, typer.Option("--token-budget", min=1, help="Tokens in all, at most (exit 3).")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Sent along; it asks greedily.")] = 17,
    out: Out = None,
    worst: Annotated[int, typer.Option("--worst", min=0, help="Worst items to show, per set.")] = 3,
    least: Least = None,
    most: Most = None,
    no_worse_than: Beat = None,
    margin: Margin = None,
    confidence: Confidence = 0.95,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:  # fmt: skip
    """Ask a model the questions of a file and score its answers.

    Killed at any moment, the same command goes on where it was. With --min, --max or
    --no-worse-than it is a gate: it ends with 3 unless all was shown to hold.
    """
    from cli import evaluations
    from cli.evaluations import Asked
    from serving.evaluate import Settings

    asked = Asked(name, url, model, key_env, weights, adapter, release, context, namespace)
    evaluations.check_conditions(no_worse_than, least, most)
    found, folder = evaluations.measure(
        asked, sets or [], metrics or [], out, Settings(seed, concurrency, token_budget),
        max_tokens=max_tokens, limit=limit,
    )  # fmt: skip
    verdicts = evaluations.judged(found, no_worse_than, least, most, margin, confidence)
    evaluations.report(found, folder, verdicts, worst, output)
