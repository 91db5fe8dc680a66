"""`llmops promote`: give the release that is watched on some of the traffic all of it."""

from __future__ import annotations

import typer

from cli.options import Context, Namespace, Owning, Service, Yes

NAME = "promote"


def command(
    name: Service,
    yes: Yes = False,
    take_ownership: Owning = False,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """End the watch of a new release in its favour: it gets all traffic at once.

    For a release that is tried on some of the traffic (`maintenance.strategy: canary`), while
    another command watches it too: that one then ends well. `llmops rollback` ends it against it.
    """
    from cli.flows import verb_of
    from cli.output import Drawer, ask, draw, may_ask
    from cli.places import owning, service_target
    from cli.policies import who
    from llmops.errors import RefusedError

    may_ask(yes)
    target = owning(service_target(name, context, namespace), take_ownership)
    watched = target.store.read(name)[0].on_watch
    if watched is not None and not yes and not ask(f"Give release {watched.number} all traffic?"):
        raise RefusedError("nothing was changed")
    finished = draw(verb_of(target, "promote")(name, by=who()), Drawer())
    made = finished.release
    if made is not None:
        said = "has all traffic" if finished.changed else "has all traffic already"
        typer.echo(f"{name}: release {made.number} {said}; endpoint: {finished.url}")
