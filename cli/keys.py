"""`llmops keys`: API keys of a service, made, replaced, listed and revoked without a restart; and
certificates for the endpoint's TLS while one develops."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Context, Format, Namespace, Output, Service

if TYPE_CHECKING:
    from llmops.targets import KeyInfo

group = typer.Typer(
    help="Make, rotate, list and revoke API keys; no restart.", no_args_is_help=True
)

KeyName = Annotated[str, typer.Argument(help="Name or id of the key.", metavar="KEY")]
Expires = Annotated[
    str | None,
    typer.Option(
        "--expires", help="Time after which it opens nothing, such as 90d.", metavar="TIME"
    ),
]


@group.command("create")
def create(
    name: Service,
    key_name: Annotated[
        str, typer.Option("--key-name", "-k", help="What the key is called in logs and metrics.")
    ] = "default",
    expires: Expires = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="What its requests may name as model, instead of all that the service is called"
            " by; may be repeated.",
            metavar="NAME",
        ),
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Make a key; it works at once, and is shown this once."""
    from cli.places import service_target

    target, end = service_target(name, context, namespace), _end(expires)
    info, text = target.create_key(name, key_name, expires_at=end, models=tuple(models or ()))
    _show(name, info, text, output)


@group.command("rotate")
def rotate(
    name: Service,
    key: KeyName,
    overlap: Annotated[
        str, typer.Option("--overlap", help="How long the old key still works.", metavar="TIME")
    ] = "24h",
    expires: Expires = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Make a new key of the same name; the old one ends after the overlap.

    The new key lives as long as the old one was made for, or as --expires says. It is shown once.
    """
    from cli.places import service_target

    target, seconds = service_target(name, context, namespace), _seconds("--overlap", overlap)
    info, text = target.rotate_key(name, key, overlap=seconds, expires_at=_end(expires))
    _show(name, info, text, output)


def _show(name: str, info: KeyInfo, text: str, output: Format) -> None:
    from cli.output import print_data, tell

    if output is not Format.TEXT:
        document = {"name": info.name, "key": text, "id": info.id, "expires_at": info.expires_at}
        print_data(document, output)
        return
    until = f", works until {_date(info.expires_at)}" if info.expires_at is not None else ""
    tell(f"key '{info.name}' of {name}{until}; it is shown this once:")
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

    target, now = service_target(name, context, namespace), time.time()
    target.history(name)
    infos = target.keys(name)
    if output is not Format.TEXT:
        print_data({"keys": [_document(info, now) for info in infos]}, output)
        return
    rows = [
        (
            info.name,
            info.id,
            info.state(now),
            ago(info.created_at),
            "never" if info.expires_at is None else _date(info.expires_at),
            ", ".join(info.models) or name,
        )
        for info in infos
    ]
    print_table(("NAME", "ID", "STATE", "MADE", "EXPIRES", "MODELS"), rows)


def _document(info: KeyInfo, now: float) -> dict[str, Any]:
    """A key as plain data, with its state now and its age in seconds."""
    age = round(max(0.0, now - info.created_at), 3)
    return asdict(info) | {"state": info.state(now), "age_seconds": age}


@group.command("revoke")
def revoke(
    name: Service,
    key: KeyName,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Revoke a key; requests with it are refused when this returns.

    By its name, every key of that name is revoked; by an id, that one.
    """
    from cli.places import service_target

    info = service_target(name, context, namespace).revoke_key(name, key)
    typer.echo(f"key '{info.name}' ({info.id}) of {name} is revoked")


@group.command("tls")
def tls(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Host names and addresses that clients ask for, beside those of this machine.",
            metavar="[NAME]...",
        ),
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make another, though the one there is good.")
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Make a certificate to develop with, and the authority that clients trust it by.

    An endpoint that uses it takes a renewed one over by itself, and drops no connection.
    """
    from cli.output import print_data, tell
    from cli.places import home
    from serving.local import LocalTarget

    issued = LocalTarget(home()).certificate(tuple(names or ()), renew=renew)
    if output is not Format.TEXT:
        print_data(asdict(issued), output)
        return
    state = "made" if issued.made else "still good"
    tell(f"{state}: for {', '.join(issued.names)}, until {_date(issued.ends_at)}")
    tell(f"clients trust it by {issued.authority}; it is for development, so trust it nowhere else")
    typer.echo(f"target:\n  tls: {{cert: {issued.cert}, key: {issued.key}}}")


def _end(expires: str | None) -> float | None:
    """The moment that a time from now is, in Unix seconds."""
    return None if expires is None else time.time() + _seconds("--expires", expires)


def _seconds(option: str, text: str) -> float:
    from llmops.errors import InputError
    from llmops.units import Duration

    try:
        return Duration.parse(text).seconds
    except ValueError as error:
        raise InputError(f"{option}: {error}") from error


def _date(when: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M UTC")
