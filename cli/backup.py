"""`llmops backup`: keep a target's state as one file, and make the key that seals its secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from cli.options import Context, Format, Namespace, Output
from cli.places import service_names

if TYPE_CHECKING:
    from cli.places import Place

MAKE = "make"


class _Group(TyperGroup):
    """`llmops backup chat …` is `llmops backup make chat …`: what is no word of its own is a
    service, or an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = [MAKE, *args]
        return super().parse_args(ctx, args)


group = typer.Typer(
    cls=_Group,
    help="Keep histories, policies and keys as one file.",
    no_args_is_help=True,
)

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", help="Key that seals the secrets: llmops backup key FILE.", metavar="FILE"
    ),
]


@group.command(MAKE)
def make(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Services to keep.", metavar="NAME", autocompletion=service_names),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every service of the target.")] = False,
    to: Annotated[
        str, typer.Option("--to", help="file:///folder or s3://bucket/prefix.", metavar="PLACE")
    ] = "",
    key_file: KeyFile = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Write a backup: histories, policies, key hashes; with a key, secrets too, sealed.

    Weights are not in it: they are fetched again by their digests. It is one tar file that appears
    under its name when it is complete, and it is read back before this ends.
    """
    import time

    from cli.output import print_data
    from cli.places import open_target
    from llmops import __version__, restoring
    from llmops.errors import InputError
    from serving.backup import file_name, pack, place_of, read_key_file, unpack

    if not to:
        raise InputError("--to says where the backup goes", hint="--to file:///folder")
    key = read_key_file(key_file) if key_file else None
    kept = place_of(to)
    where = _place(names or [], every, context, namespace)
    target = open_target(where)
    saved = restoring.gather(
        target,
        target.store.services() if every else names or [],
        version=__version__,
        target=where.kind,
        where=cluster_of(target),
        now=time.time(),
    )
    content = pack(saved, key)
    address = kept.put(file_name(saved.created_at, content), content)
    unpack(place_of(address).get()[1], address, key)
    left_out = 0 if key else saved.secrets
    if output is not Format.TEXT:
        print_data(_document(address, content, saved, key is not None, left_out), output)
        return
    _tell(address, saved, left_out)


def _place(names: list[str], every: bool, context: str | None, namespace: str | None) -> Place:
    """The one target that is meant."""
    from cli.places import service_place
    from llmops.errors import InputError

    if bool(names) == every:
        raise InputError(
            "name the services, or say --all, and not both", hint="llmops backup --all --to PLACE"
        )
    places = {service_place(name, context, namespace) for name in names or [""]}
    if len(places) > 1:
        raise InputError(
            f"{', '.join(names)} are on different targets, and a backup is of one",
            hint="make one backup for each target",
        )
    return places.pop()


def cluster_of(target: Any) -> dict[str, str]:
    """Context and namespace of a target on Kubernetes; nothing of this machine."""
    vault = target.vault
    found: dict[str, str] = getattr(vault, "where", {})
    return found


def _document(
    address: str, content: bytes, saved: Any, sealed: bool, left_out: int
) -> dict[str, Any]:
    import hashlib

    return {
        "address": address,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "created_at": saved.created_at,
        "services": [{"name": s.name, "releases": len(s.history.releases)} for s in saved.services],
        "policies": len(saved.policies.holding()),
        "sealed": sealed,
        "secrets_left_out": left_out,
    }


def _tell(address: str, saved: Any, left_out: int) -> None:
    from cli.output import tell

    for service in saved.services:
        tell(f"{service.name}: {len(service.history.releases)} releases and its key hashes")
    if left_out:
        tell(f"{left_out} secrets are left out, because there is no key: --key-file seals them")
    typer.echo(address)


@group.command("key")
def key(
    file: Annotated[Path, typer.Argument(help="File to make (0600).", metavar="FILE")],
) -> None:
    """Make a key for backups; keep it elsewhere than them, since without it nothing opens."""
    from cli.output import tell
    from serving.backup import make_key_file

    made = make_key_file(file)
    tell(f"the key {made.id} is in {file}; whoever has it can read your backups' secrets")
