"""`llmops render`: what the target would be handed for a spec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Files, Format, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "render"


def command(
    file: Files = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no hub: use models that are here already.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            "-d",
            help="Write one file for each object of a cluster, with a kustomization, for Argo CD or"
            " Flux. Files of an earlier run that are not needed any more are removed.",
            metavar="DIRECTORY",
        ),
    ] = None,
    output: Output = Format.YAML,
) -> None:
    """Print what the target would be given: Ray Serve's config, a cluster's objects, or a stack's.

    Nothing is started or changed.
    """
    from cli.output import Drawer, draw, print_data
    from cli.places import reached, target_of
    from cli.specs import placed, read_spec
    from llmops import workflow
    from llmops.errors import InputError

    loaded = read_spec(file)
    target = target_of(loaded.deployment)
    if not hasattr(target, "render"):
        target = reached(target, "llmops render")
    with placed(loaded):
        planned = draw(workflow.plan(target, loaded.deployment, offline=offline), Drawer())
        rendered = target.render(planned.plan)
    shown = Format.YAML if output is Format.TEXT else output
    if isinstance(rendered, dict):
        if directory is not None:
            raise InputError(
                "--directory is for a cluster's objects, and this target has none",
                hint="without it, the one config is printed",
            )
        print_data(rendered, shown)
    elif directory is not None:
        _write(rendered, directory)
    else:
        _print(rendered, shown)


def _write(manifests: Sequence[dict[str, Any]], directory: Path) -> None:
    from clusters import write_tree

    written = write_tree(manifests, directory)
    typer.echo(f"{directory}: {len(written)} files")


def _print(manifests: Sequence[dict[str, Any]], shown: Format) -> None:
    """As kubectl takes it: a stream of documents, or a List."""
    from cli.output import print_data

    if shown is Format.JSON:
        print_data({"apiVersion": "v1", "kind": "List", "items": list(manifests)}, shown)
        return
    import yaml

    typer.echo(yaml.safe_dump_all(manifests, sort_keys=False, allow_unicode=True), nl=False)
