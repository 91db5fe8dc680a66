"""`llmops runtime`: what is live on this machine, brought back when it was restarted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from cli.options import Format, Output, Yes

if TYPE_CHECKING:
    from serving.local import BootUnit, Standing

group = typer.Typer(
    help="Bring back what is live on this machine, by hand or each time it starts.",
    no_args_is_help=True,
)


@group.command("enable")
def enable(yes: Yes = False, output: Output = Format.TEXT) -> None:
    """Have systemd bring back what is live here, each time this machine starts.

    It writes a unit of this user's own, shows it before, and needs no right of an administrator. It
    starts nothing now. Where this machine has no systemd, it says so and writes nothing.
    """
    from cli.output import ask, may_ask, print_data
    from llmops.errors import RefusedError
    from serving.local import Systemd, unit_text

    unit, systemd = _unit(), Systemd()
    systemd.need()
    before = systemd.standing(unit)
    changes = not (before.enabled and unit.written)
    if changes:
        may_ask(yes)
        if output is Format.TEXT:
            typer.echo(f"{unit.file}:\n\n{unit_text(unit)}")
            typer.echo(f"then: systemctl --user daemon-reload\n      {_enabling(unit)}\n")
        if not yes and not ask("Write it, and have it started with this machine?"):
            raise RefusedError("nothing was changed")
        systemd.enable(unit)
    standing = systemd.standing(unit)
    if output is not Format.TEXT:
        print_data(_told(unit, standing) | {"changed": changes}, output)
        return
    typer.echo(f"{unit.name} {'is enabled' if changes else 'was enabled already'}")
    _tell_linger(standing)


@group.command("disable")
def disable(yes: Yes = False, output: Output = Format.TEXT) -> None:
    """Have systemd bring back nothing any more. What serves now goes on."""
    from cli.output import ask, may_ask, print_data
    from llmops.errors import RefusedError
    from serving.local import Systemd

    unit, systemd = _unit(), Systemd()
    systemd.need()
    changes = systemd.standing(unit).enabled or unit.file.exists()
    if changes:
        may_ask(yes)
        if not yes and not ask(f"Take {unit.file} away?"):
            raise RefusedError("nothing was changed")
        systemd.disable(unit)
    if output is not Format.TEXT:
        print_data(_told(unit, systemd.standing(unit)) | {"changed": changes}, output)
        return
    typer.echo(f"{unit.name} {'is gone' if changes else 'was not there'}; what serves goes on")


@group.command("status")
def status(output: Output = Format.TEXT) -> None:
    """Show whether systemd brings back what is live here, and what came of it the last time."""
    from cli.output import print_data
    from serving.local import WITHOUT, Systemd

    unit, systemd = _unit(), Systemd()
    standing = systemd.standing(unit)
    if output is not Format.TEXT:
        print_data(_told(unit, standing), output)
    elif not standing.systemd:
        typer.echo(f"{systemd.missing()}; {WITHOUT}")
    else:
        enabled = "enabled" if standing.enabled else "not enabled (llmops runtime enable does)"
        typer.echo(f"{unit.name}: {enabled}")
        typer.echo(f"  file   {unit.file}{'' if unit.written else ' (not there, or another text)'}")
        typer.echo(f"  state  {standing.state or 'not started since this machine was'}")
        typer.echo(f"  log    journalctl --user --unit {unit.name}")
        if standing.enabled:
            _tell_linger(standing)


@group.command("start")
def start(yes: Yes = False) -> None:
    """Bring back every release that is recorded as live on this machine, and have each answer.

    This is what the unit of `llmops runtime enable` runs. It reads no spec; what serves already
    stays as it is.
    """
    from cli.output import Drawer, ask, draw, may_ask
    from cli.places import home
    from llmops import workflow
    from llmops.errors import RefusedError
    from serving.local import LocalTarget

    may_ask(yes)
    target = LocalTarget(home())
    live = [name for name in target.store.services() if target.store.read(name)[0].live is not None]
    if not live:
        typer.echo("nothing is live on this machine by its record")
        return
    if not yes and not ask(f"Bring back {', '.join(live)}?"):
        raise RefusedError("nothing was changed")
    for name in draw(workflow.bring_back(target), Drawer()):
        typer.echo(f"{name}: serves; endpoint: {target.url(name)}")


def _unit() -> BootUnit:
    """The unit of this home, for the program that runs now.

    Raises:
        RefusedError: When the program is not installed as one.
    """
    import sys
    from pathlib import Path

    from cli.places import home, usual_home
    from llmops.errors import RefusedError
    from serving.local import boot_unit

    program = Path(sys.executable).with_name("llmops")
    if not program.exists():
        raise RefusedError(
            f"there is no program {program} that a unit could start",
            hint="install llmops with pip or uv, and use it from there",
        )
    return boot_unit(home(), program, usual=usual_home())


def _told(unit: BootUnit, standing: Standing) -> dict[str, Any]:
    from serving.local import unit_text

    return {
        "unit": unit.name,
        "file": str(unit.file),
        "text": unit_text(unit),
        "systemd": standing.systemd,
        "enabled": standing.enabled,
        "linger": standing.linger,
        "state": standing.state,
    }


def _enabling(unit: BootUnit) -> str:
    return f"systemctl --user enable {unit.name}"


def _tell_linger(standing: Standing) -> None:
    if standing.linger is not True:
        typer.echo(
            "note: it is started when you log in, and what it started ends when you log out; to"
            " have it start with the machine, and stay: loginctl enable-linger"
        )
