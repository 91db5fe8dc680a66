"""`llmops explain`: what a field of a file means."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.init import Kind
from cli.options import Format, Output

if TYPE_CHECKING:
    from llmops.spec import FieldDoc

NAME = "explain"


def _complete(incomplete: str) -> list[str]:
    from llmops.spec import fields

    return [doc.path for doc in fields() if doc.path.startswith(incomplete)]


def command(
    field: Annotated[
        str | None,
        typer.Argument(
            help="A field, such as scaling.replicas; without one, all are listed.",
            metavar="[FIELD]",
            autocompletion=_complete,
        ),
    ] = None,
    kind: Annotated[
        Kind, typer.Option("--kind", "-k", help="Of which file: a service's, or a fine-tuning's.")
    ] = Kind.SERVICE,
    output: Output = Format.TEXT,
) -> None:
    """Tell what a field of llmops.yaml, or of a fine-tuning, means, takes, and defaults to."""
    from cli.output import print_data
    from llmops.finetuning import FineTune
    from llmops.spec import Deployment, Section, explain, fields

    model: type[Section] = Deployment if kind is Kind.SERVICE else FineTune
    found = explain(field, model) if field else fields(model)
    if output is not Format.TEXT:
        print_data([asdict(doc) for doc in found], output)
    elif field:
        for doc in found:
            _print_whole(doc)
    else:
        for doc in found:
            typer.echo(f"{doc.path:32}{'section' if doc.section else doc.type}")


def _print_whole(doc: FieldDoc) -> None:
    import textwrap

    default = "required" if doc.required else f"default {doc.default}" if doc.default else ""
    kind = "section" if doc.section else doc.type
    only = f" (for kind: {doc.only})" if doc.only else ""
    typer.echo(f"{doc.path}: {kind}{f', {default}' if default else ''}{only}")
    typer.echo(textwrap.fill(doc.doc, 92, initial_indent="    ", subsequent_indent="    "))
