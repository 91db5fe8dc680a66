"""`llmops finetune distil`: a live model as the teacher writes what another one learns from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.evaluations import KeyEnv, ModelName, Url
from cli.options import Context, Format, Namespace, Output

if TYPE_CHECKING:
    from serving.finetune.distilling import Prompts, Taught

NAME = "distil"


class OnBad(StrEnum):
    """What becomes of a line that is no prompt."""

    FAIL = "fail"
    SKIP = "skip"


Bad = Annotated[OnBad, typer.Option("--on-bad", help="What becomes of lines that are no prompt.")]


def command(
    prompts: Annotated[
        Path, typer.Option("--prompts", metavar="FILE", help="Prompts: .txt, or JSON Lines.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Chats to train on, as JSON Lines.")
    ],
    service: Annotated[
        str | None, typer.Option("--service", metavar="NAME", help="The service that teaches.")
    ] = None,
    url: Url = None,
    model: ModelName = None,
    key_env: KeyEnv = None,
    system: Annotated[
        str, typer.Option("--system", help="A system message, where a prompt has none.")
    ] = "",
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Longest answer; a cut one is left out.")
    ] = 512,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.0, max=2.0, help="0 is the surest.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="For sampling.")] = 17,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=256, help="Questions at once.")
    ] = 4,
    token_budget: Annotated[
        int | None, typer.Option("--token-budget", min=1, help="Tokens in all, at most (exit 3).")
    ] = None,
    on_bad: Bad = OnBad.FAIL,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Have a live model answer a file of prompts, and write the chats to train on.

    Killed at any moment, the same command goes on; nothing that was answered is asked again.
    """
    from cli.evaluations import Asked
    from cli.output import Drawer
    from llmops.events import Progress
    from serving.evaluate import Live, Settings
    from serving.finetune.distilling import distil, read_prompts

    asked = read_prompts(prompts, system=system, on_bad=on_bad.value)
    teacher = Asked(service, url, model, key_env, context=context, namespace=namespace)
    settings = Settings(seed, concurrency, token_budget, temperature)
    drawer = Drawer()

    def progress(text: str) -> None:
        drawer.progress(Progress("distil", text))

    try:
        found = distil(
            Live(teacher.endpoint()), asked, out, settings, progress, max_tokens=max_tokens
        )
    finally:
        drawer.still()
    _report(found, asked, prompts, out, output)


def _report(found: Taught, asked: Prompts, prompts: Path, out: Path, output: Format) -> None:
    from cli.output import print_data, tell

    for problem in asked.bad:
        tell(f"left out: {problem}")
    for line, why in found.failed.items():
        tell(f"left out: {prompts}:{line}: {why}")
    if output is not Format.TEXT:
        print_data(found.document() | {"bad": len(asked.bad), "out": str(out)}, output)
        return
    lost = f"{len(found.cut)} were cut, {len(found.empty)} were empty, {len(found.failed)} failed"
    typer.echo(f"{found.rows} chats in {out}; of the answers {lost}")
    typer.echo(f"{found.tokens['prompt']} tokens of prompts, {found.tokens['output']} of answers")
