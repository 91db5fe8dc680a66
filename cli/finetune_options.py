"""Arguments that the verbs of `llmops finetune` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.finetunes import run_names

RunName = Annotated[
    str,
    typer.Argument(help="Name of the fine-tuning.", metavar="NAME", autocompletion=run_names),
]
Number = Annotated[
    int | None, typer.Option("--run", "-r", min=1, help="Its number; default: the newest.")
]
Detach = Annotated[
    bool,
    typer.Option("--detach", "-d", help="Return once it has begun; it goes on by itself."),
]
FineTuneFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        help="Fine-tune file; given again, a later one overlays the earlier. '-' is standard"
        " input. Default: finetune.yaml.",
        metavar="FILE",
    ),
]

DEFAULT_FILE = Path("finetune.yaml")
