"""`llmops restore`: put a backup back, and make what served serve again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.backup import KeyFile
from cli.gates import Emergency, gate_of
from cli.options import Context, Format, Namespace, Output, Yes

if TYPE_CHECKING:
    from pathlib import Path

    from cli.places import Place
    from llmops.restoring import Intended, Restored
    from llmops.saved import Saved
    from serving.backup import Header

NAME = "restore"


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Services to put back; all of them by default.", metavar="NAME"),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            "--from", help="A backup, or where the newest of several is.", metavar="PLACE"
        ),
    ] = "",
    key_file: KeyFile = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of records that differ.")
    ] = False,
    no_deploy: Annotated[
        bool, typer.Option("--no-deploy", help="Put the records back, and start nothing.")
    ] = False,
    yes: Yes = False,
    emergency: Emergency = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Put histories, policies and keys back; each last good release serves again, proved anew.

    Weights are fetched again by their digests. A damaged backup, or one of another key, changes
    nothing, and so does one of a release that a policy forbids. A run that was killed is finished
    by the next.
    """
    from cli.output import Drawer, ask, draw, may_ask, print_data
    from cli.places import open_target, reached, remember
    from llmops import restoring
    from llmops.errors import RefusedError

    may_ask(yes)
    gate = gate_of(False, emergency)
    address, header, saved = _read(source, key_file, names or [])
    place = _place(saved, context, namespace)
    target = reached(open_target(place), "llmops restore")
    wanted = restoring.intended(target, saved)
    _show(address, header, wanted, deploy=not no_deploy, opened=key_file is not None)
    restoring.refuse(target, saved, replace=replace)
    if not yes and not ask("Put this back?"):
        raise RefusedError("nothing was changed")
    for service in saved.services:
        remember(service.name, place)
    flow = restoring.restore(
        target, saved, replace=replace, deploy=not no_deploy, emergency=gate.emergency
    )
    done = draw(flow, Drawer())
    if output is not Format.TEXT:
        print_data({"from": address, "services": [_document(one) for one in done]}, output)
        return
    for one in done:
        served = f"release {one.release.number} serves; endpoint: {one.url}" if one.release else ""
        typer.echo(f"{one.service}: {served or 'its records are back'}")


def _read(source: str, key_file: Path | None, names: list[str]) -> tuple[str, Header, Saved]:
    """Where the backup is, what it says of itself, and what of it is wanted."""
    from llmops.errors import InputError
    from serving.backup import place_of, read_key_file, unpack

    if not source:
        raise InputError("--from says where the backup is", hint="--from file:///folder")
    key = read_key_file(key_file) if key_file else None
    address, content = place_of(source).get()
    header, saved = unpack(content, address, key)
    for name in names:
        if name not in header.services:
            hint = f"there are: {', '.join(header.services) or 'none'}"
            raise InputError(f"{address} has no service '{name}'", hint=hint)
    return address, header, saved.only(names) if names else saved


def _place(saved: Saved, context: str | None, namespace: str | None) -> Place:
    """Where it is put back: as said, else where it was."""
    from cli.places import HERE, Place
    from llmops.errors import InputError

    if saved.target != "kubernetes":
        if context is not None or namespace is not None:
            raise InputError(
                "the backup is of a machine, and its releases were planned for one",
                hint="leave --context and --namespace out; deploy the specs to put it on a cluster",
            )
        return HERE
    return Place(
        "kubernetes",
        context or saved.where.get("context"),
        namespace or saved.where.get("namespace"),
    )


def _show(
    address: str, header: Header, wanted: tuple[Intended, ...], *, deploy: bool, opened: bool
) -> None:
    """What would be done, before anything is."""
    from cli.output import ago, tell

    tell(f"{address}: made {ago(header.created_at)} by llmops {header.version}")
    if header.key and not opened:
        tell(f"its secrets stay sealed: --key-file with the key {header.key} puts them back")
    tell("keys are put back as they were then: revoke again what was revoked since")
    for one in wanted:
        tell(f"{one.service}: {_words(one, deploy)}")


def _words(one: Intended, deploy: bool) -> str:
    from llmops.saved import Standing

    what = {
        Standing.NEW: f"{one.releases} releases are put back",
        Standing.KEPT: "its records are here already",
        Standing.DIFFERS: "other records are here (--replace ends what serves and replaces them)",
    }[one.standing]
    if not deploy or one.live is None:
        return what
    again = "it serves" if one.serves else f"release {one.live} is deployed again and must answer"
    return f"{what}; {again}"


def _document(one: Restored) -> dict[str, Any]:
    return {
        "name": one.service,
        "release": one.release.number if one.release else None,
        "repeats": one.release.rollback_of if one.release else None,
        "verified_at": one.release.verified_at if one.release else None,
        "url": one.url,
    }
