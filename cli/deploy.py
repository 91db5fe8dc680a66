"""`llmops deploy`: make it so, and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from cli.gates import Emergency, Wait, gate_of
from cli.options import Canary, Files, Format, Output, Owning, Yes

if TYPE_CHECKING:
    from llmops.events import Event, Finished, Planned

NAME = "deploy"


def command(
    file: Files = None,
    yes: Yes = False,
    take_ownership: Owning = False,
    wait: Wait = False,
    emergency: Emergency = None,
    canary: Canary = None,
    output: Output = Format.TEXT,
) -> None:
    """Serve what the spec says; ends when a real generation has proved it.

    A running release keeps the traffic until the new one has answered, and keeps it for good when
    the new one fails (exit 4). Killed at any point, the same command goes on from there. While
    maintenance windows are closed a change is refused (exit 3).
    """
    from cli.flows import verb_of
    from cli.output import Drawer, ask, draw, may_ask, print_data
    from cli.places import owning, place_of, remember, target_of
    from cli.specs import placed, read_spec, tried_on

    gate = gate_of(wait, emergency)
    may_ask(yes)
    loaded = read_spec(file)
    drawer = Drawer(loaded)

    def confirm(_: Planned) -> bool:
        drawer.still()
        agreed = yes or ask("Deploy this?")
        if agreed:
            remember(loaded.deployment.name, place_of(loaded.deployment))
        return agreed

    made: dict[str, str] = {}
    with placed(loaded):
        deployment = loaded.deployment if canary is None else tried_on(loaded.deployment, canary)
        target = owning(target_of(deployment), take_ownership)
        flow = verb_of(target, "deploy")(deployment, confirm=confirm, unattended=yes, gate=gate)
        finished = draw(_watched(flow, made) if output is not Format.TEXT else flow, drawer)
    if output is not Format.TEXT:
        print_data(_document(finished, made), output)
        return
    _print(finished)


def _watched(flow: Any, made: dict[str, str]) -> Any:
    """The flow, with the keys it makes kept for the printed document instead of drawn."""
    from llmops.events import KeyMade

    def events() -> Any:
        event: Event
        try:
            while True:
                event = next(flow)
                if isinstance(event, KeyMade):
                    made[event.name] = event.key
                else:
                    yield event
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    return events()


def _document(finished: Finished, made: dict[str, str]) -> dict[str, Any]:
    release = finished.release
    return {
        "name": release.service if release else "",
        "release": release.number if release else None,
        "changed": finished.changed,
        "url": finished.url,
        "verified_at": release.verified_at if release else None,
        "keys": [{"name": name, "key": key} for name, key in made.items()],
    }


def _print(finished: Finished) -> None:
    release = finished.release
    if release is None:
        return
    said = "serves" if finished.changed else "still serves: nothing changed"
    typer.echo(f"{release.service}: release {release.number} {said}")
    typer.echo(f"endpoint: {finished.url} (model '{release.service}', with an API key)")
