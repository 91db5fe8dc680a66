"""Arguments that several verbs share, so that one thing has one name and one help text."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.places import service_names


class Format(StrEnum):
    """How data is printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        help="Spec file; given again, a later one overlays the earlier. '-' is standard input."
        " Default: llmops.yaml.",
        metavar="FILE",
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="Print data as text, json or yaml.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
Service = Annotated[
    str,
    typer.Argument(help="Name of the service.", metavar="NAME", autocompletion=service_names),
]

Context = Annotated[
    str | None,
    typer.Option(
        "--context", help="Context of the kubeconfig, for a service on Kubernetes.", metavar="NAME"
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-N", help="Namespace of a service on Kubernetes.", metavar="NAME"),
]

Owning = Annotated[
    bool,
    typer.Option(
        "--take-ownership",
        help="On Kubernetes: set fields that others have set since, and own them from then on.",
    ),
]


def _percent(text: str) -> int:
    number = text.removesuffix("%")
    if not number.isdigit() or not 1 <= int(number) <= 50:
        raise typer.BadParameter(f"expected a share of 1% to 50%, found {text!r}")
    return int(number)


Canary = Annotated[
    int | None,
    typer.Option(
        "--canary",
        parser=_percent,
        help="Try it on this share of the requests first, 1% to 50%.",
        metavar="PERCENT",
    ),
]

DEFAULT_FILE = Path("llmops.yaml")


def spec_files(files: list[Path] | None) -> list[Path]:
    """The files that were named, or the default one."""
    return files or [DEFAULT_FILE]
