"""`llmops upgrade`: another version of the engine, Ray or llmops, told first and then done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.gates import Emergency, Wait, gate_of
from cli.options import Context, Format, Namespace, Output, Yes
from cli.places import service_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops.events import Finished
    from llmops.spec import Deployment
    from llmops.upgrading import Upgrade

NAME = "upgrade"
PARTS = ("llmops", "ray", "vllm")


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Services; every one of this machine by default.",
            metavar="NAME",
            autocompletion=service_names,
        ),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", help="A version that must be installed: vllm, ray or llmops=VERSION."),
    ] = None,
    image: Annotated[
        str, typer.Option("--image", help="On Kubernetes: the image to run.", metavar="REFERENCE")
    ] = "",
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Tell what would change, and change nothing.")
    ] = False,
    wait: Wait = False,
    emergency: Emergency = None,
    yes: Yes = False,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Bring what runs to what is installed: install it first, then say this.

    Another engine is a new release of each service, by the normal path. Another Ray or llmops
    restarts this machine's runtime: its services are drained, and away until each has answered
    again. Killed at any point, the same command goes on from there.
    """
    from cli.output import Drawer, ask, draw, may_ask, print_data
    from llmops.errors import RefusedError
    from llmops.upgrading import upgrade, upgrade_document

    gate = gate_of(wait, emergency)
    target, wanted, halt, change = _wanted(
        names or [], _versions(to or []), image, context, namespace
    )
    if output is not Format.TEXT and plan_only:
        print_data(upgrade_document(wanted), output)
        return
    _show(wanted)
    if plan_only or wanted.nothing:
        if output is not Format.TEXT:
            print_data(upgrade_document(wanted), output)
        return
    may_ask(yes)
    if not wanted.problems and not yes and not ask("Do this?"):
        raise RefusedError("nothing was changed")
    flow = upgrade(target, wanted, halt=halt, change=change, gate=gate)
    done = draw(flow, Drawer())
    _tell(done, upgrade_document(wanted), output)


def _wanted(
    names: list[str],
    versions: dict[str, str],
    image: str,
    context: str | None,
    namespace: str | None,
) -> tuple[Any, Upgrade, Any, Callable[[Deployment], Deployment]]:
    """The target, what is to be done there, how its runtime is ended, and what else changes."""
    from cli.places import open_target, reached, service_place
    from llmops.errors import InputError
    from serving.local import LocalTarget

    places = {service_place(name, context, namespace) for name in names or [""]}
    target = reached(open_target(places.pop()), "llmops upgrade")
    for name in names:
        target.history(name)
    if isinstance(target, LocalTarget) and not places:
        if image:
            raise InputError("--image is for a service on Kubernetes")
        return target, target.upgrade_to(names, versions), target.halt, lambda asked: asked
    if len(names) != 1 or isinstance(target, LocalTarget):
        raise InputError("on Kubernetes one service is upgraded at a time", hint="name it")

    def change(asked: Deployment) -> Deployment:
        return asked.model_copy(update={"image": image}) if image else asked

    return target, target.upgrade_to(names[0], image, versions), None, change


def _versions(to: list[str]) -> dict[str, str]:
    """Versions by part, as they were asked for."""
    from llmops.errors import InputError

    found = {}
    for text in to:
        part, separator, version = text.partition("=")
        if part not in PARTS or not separator or not version.strip("="):
            raise InputError(
                f"'{text}' says no version", hint="--to vllm=0.32.0, ray=… or llmops=…"
            )
        found[part] = version.lstrip("=")
    return found


def _show(wanted: Upgrade) -> None:
    """What changes, what is in the way, the order, and the way back."""
    from cli.output import tell
    from llmops.upgrading import rollback_words

    if wanted.nothing and not wanted.problems:
        ran = wanted.installed
        typer.echo(
            f"nothing to do: llmops {ran.llmops}, Ray {ran.ray} and {ran.engine} are what runs"
        )
        return
    for change in wanted.changes:
        tell(f"changes: {change}")
    for hole in wanted.closed:
        tell(f"closes: {hole.id} of {hole.part}: {hole.what}")
    for hole in wanted.opened:
        tell(f"opens: {hole.id} of {hole.part}: {hole.what} ({hole.source})")
    for one in wanted.formats:
        tell(f"{'reads' if one.readable else 'cannot read'}: {one.what}: {one.detail}")
    for number, step in enumerate(wanted.order, 1):
        tell(f"{number}. {step}")
    for service in wanted.services:
        tell(f"back: {service.service}: {rollback_words(service)}")
    for problem in wanted.problems:
        tell(f"in the way: {problem}")
    if wanted.restart:
        tell("the endpoint is away from when the runtime ends until each service has answered")


def _tell(done: tuple[Finished, ...], document: dict[str, Any], output: Format) -> None:
    from cli.output import print_data

    if output is not Format.TEXT:
        made = [
            {"name": one.release.service, "release": one.release.number, "url": one.url}
            for one in done
            if one.release
        ]
        print_data(document | {"releases": made}, output)
        return
    for one in done:
        if one.release:
            typer.echo(f"{one.release.service}: release {one.release.number} serves; {one.url}")
    typer.echo("upgraded: everything runs what is installed")
