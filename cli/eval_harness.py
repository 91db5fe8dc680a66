"""`llmops eval harness`: task files of lm-evaluation-harness against an endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.evaluations import KeyEnv, ModelName, Url
from cli.options import Context, Format, Namespace, Output
from cli.places import service_names

NAME = "harness"


def command(
    name: Annotated[
        str | None,
        typer.Argument(help="A service.", metavar="[NAME]", autocompletion=service_names),
    ] = None,
    tasks: Annotated[
        list[Path] | None,
        typer.Option("--task", "-t", metavar="FILE", help="A task file (YAML); again for more."),
    ] = None,
    url: Url = None,
    model: ModelName = None,
    key_env: KeyEnv = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", metavar="DIR", help="The model's, for log-likelihoods."),
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Ask by chats.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="The first items of each task only.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=256, help="Questions at once.")
    ] = 4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the examples it draws.")] = 17,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for its result and log.")
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Run task files of lm-evaluation-harness, whose data lies on this machine.

    A task file may bring code, which is run: name only those that you trust.
    """
    from cli.evaluations import Asked
    from cli.output import print_data, print_table, tell
    from cli.places import home
    from llmops.errors import InputError
    from serving.evaluate import run_harness

    if not tasks:
        raise InputError("there is no task to run", hint="name a task file: --task FILE")
    asked = Asked(name, url, model, key_env, context=context, namespace=namespace)
    folder = out or home() / "evaluations" / asked.label / "harness"
    found = run_harness(
        asked.endpoint(), tasks, folder, tokenizer=tokenizer, chat=chat, limit=limit,
        concurrency=concurrency, seed=seed,
    )  # fmt: skip
    if output is not Format.TEXT:
        print_data({"tasks": [score.document() for score in found], "folder": str(folder)}, output)
        return
    rows = []
    for score in found:
        error = "-" if score.error is None else f"{score.error:.3g}"
        rows.append((score.task, score.metric, f"{score.value:.4g}", error, str(score.items)))
    print_table(("TASK", "METRIC", "FIGURE", "STANDARD ERROR", "ITEMS"), rows)
    tell(f"kept in {folder}")
