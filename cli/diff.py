"""`llmops diff`: where a cluster differs from what the releases say."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Context, Format, Namespace, Output, Service

if TYPE_CHECKING:
    from clusters import Drift, FieldDrift

NAME = "diff"


def command(
    name: Service,
    context: Context = None,
    namespace: Namespace = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 when something differs.")
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show what others have changed in a service on Kubernetes: the field, who, and when.

    Changes nothing. A deploy never writes over another's edit without being told to.
    """
    from cli.output import print_data
    from cli.places import reached, service_target
    from llmops.errors import InputError
    from serving.local import LocalTarget

    target = reached(service_target(name, context, namespace), "llmops diff")
    if isinstance(target, LocalTarget):
        raise InputError(
            f"{name} runs on this machine, where nobody edits what runs",
            hint=f"llmops status {name}; for a service on Kubernetes, add --namespace",
        )
    drifts = target.drift(name)
    if output is not Format.TEXT:
        print_data({"name": name, "drift": [asdict(drift) for drift in drifts]}, output)
    else:
        _print(name, drifts)
    if drifts and exit_code:
        raise typer.Exit(1)


def _print(name: str, drifts: tuple[Drift, ...]) -> None:
    if not drifts:
        typer.echo(f"{name}: the cluster is as the releases say")
        return
    for drift in drifts:
        typer.echo(f"{drift.kind}/{drift.name}: {drift.state}")
        for field in drift.fields:
            typer.echo(f"  {field.path}: {_value(field.found)} (release: {_value(field.wanted)})")
            if who := _who(field):
                typer.echo(f"      {who}")


def _who(field: FieldDrift) -> str:
    who = f"set by {field.manager}" if field.manager else "set by nobody that can be told"
    kept = "a deploy is refused until it is settled" if field.ours else "llmops leaves it as it is"
    when = f" at {field.time}" if field.time else ""
    return f"{who}{when}; {kept}"


def _value(value: object) -> str:
    text = "not set" if value is None else " ".join(str(value).split())
    return text if len(text) <= 70 else f"{text[:67]}..."
