"""`llmops keys`: API keys of a service, made, listed and revoked without a restart."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.options import Context, Format, Namespace, Output, Service

group = typer.Typer(help="Make, list and revoke API keys; no restart.", no_args_is_help=True)


@group.command("create")
def create(
    name: Service,
    key_name: Annotated[
        str, typer.Option("--key-name", "-k", help="What the key is called in logs and metrics.")
    ] = "default",
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Make a key; it works at once, and is shown this once."""
    from cli.output import print_data, tell
    from cli.places import service_target

    info, text = service_target(name, context, namespace).create_key(name, key_name)
    if output is not Format.TEXT:
        print_data({"name": info.name, "key": text, "id": info.id}, output)
        return
    tell(f"key '{info.name}' of {name}; it is shown this once:")
    typer.echo(text)


@group.command("list")
def list_(
    name: Service,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """List a service's keys, without their text."""
    from cli.output import ago, print_data, print_table
    from cli.places import service_target

    target = service_target(name, context, namespace)
    target.history(name)
    infos = target.keys(name)
    if output is not Format.TEXT:
        print_data({"keys": [asdict(info) for info in infos]}, output)
        return
    rows = [
        (i.name, i.id, ago(i.created_at), ago(i.revoked_at) if i.revoked_at else "") for i in infos
    ]
    print_table(("NAME", "ID", "MADE", "REVOKED"), rows)


@group.command("revoke")
def revoke(
    name: Service,
    key: Annotated[str, typer.Argument(help="Name or id of the key.")],
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Revoke a key; requests with it are refused when this returns."""
    from cli.places import service_target

    info = service_target(name, context, namespace).revoke_key(name, key)
    typer.echo(f"key '{info.name}' ({info.id}) of {name} is revoked")
