"""`llmops cluster maintain`: what a part takes with it, and a host taken out of service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.cluster_hosts import Recorded, folder_of, read
from cli.fabric import ClusterFiles
from cli.options import Format, Output, Yes

if TYPE_CHECKING:
    from bare_metal.hosts.connection import Connector
    from bare_metal.inventory import Cluster, Placed
    from bare_metal.maintaining import Work

NAME = "maintain"

MARKED = "maintenance"


Part = Annotated[
    str,
    typer.Argument(help="A host, a switch of the cable plan, rail3, or su1/rail3.", metavar="PART"),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="What its mark on the host says.")]
Within = Annotated[
    str,
    typer.Option(
        "--within", metavar="TIME", help="How long its replicas may take to be elsewhere."
    ),
]
End = Annotated[bool, typer.Option("--end", help="Check the host, and take its mark away.")]
OtherValues = Annotated[
    Path | None,
    typer.Option("--thresholds", metavar="FILE", help="Other values for checks, with --end."),
]
Despite = Annotated[
    str | None,
    typer.Option(
        "--despite-work", metavar="WHY",
        help="Take a host out although others work there; the reason is printed.",
    ),
]  # fmt: skip
Show = Annotated[bool, typer.Option("--preview", help="Show what the part takes with it, and end.")]


def command(
    part: Part,
    file: ClusterFiles = None,
    why: Why = MARKED,
    within: Within = "10min",
    end: End = False,
    thresholds: OtherValues = None,
    despite_work: Despite = None,
    recorded: Recorded = None,
    show: Show = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Say what a part takes with it when it goes down, and take a host out of service first.

    Of a host: its replicas are started on other hosts before they end here, its agent goes, and it
    is marked, so that no deploy takes it. Where processes of others hold its GPUs, a Slurm job runs
    or somebody is logged in, it is refused (exit 3) unless --despite-work says why. With --end it
    is checked (exit 3 when it fails) and taken back; the next deploy may give it work. Of a switch
    or a rail nothing is changed: the list says which hosts lose what, and what runs on them.
    """
    from bare_metal.fabric import wire
    from bare_metal.maintaining import (
        effect_data,
        effect_lines,
        effects_of,
        find_part,
        work_lines,
    )
    from cli.output import may_ask, print_data

    cluster = read(file)
    found = find_part(wire(cluster), part)
    changing = bool(found.host) and not show and recorded is None
    if changing:
        may_ask(yes)
    effects = effects_of(wire(cluster), found)
    works = {} if end else _works(cluster, file, effects.touched, recorded)
    if output is not Format.TEXT:
        print_data(effect_data(effects, works), output)
    elif not end:
        typer.echo("\n".join((*effect_lines(effects), *work_lines(works))))
    if not changing:
        return
    from bare_metal.hosts.connection import held

    host, way = _way(cluster, file, part)
    with held((host,), way, "taken back" if end else "taken out of service") as by:
        if end:
            _return(cluster, host, by, thresholds)
        else:
            _leave(cluster, host, by, why, within, yes=yes, despite=_reason(despite_work))


def _reason(despite: str | None) -> str:
    """Why others' work is disturbed; empty where it is not to be."""
    from cli.output import tell
    from llmops.errors import InputError

    if despite is None:
        return ""
    if not despite.strip():
        raise InputError(
            "--despite-work: expected a reason, found none",
            hint="such as 'its jobs were told': it is printed with what is done",
        )
    tell(f"whoever works there is disturbed: {despite}")
    return despite


def _works(
    cluster: Cluster, file: list[Path] | None, names: tuple[str, ...], recorded: Path | None
) -> dict[str, Work]:
    """What runs on hosts, as far as they can be asked."""
    from bare_metal.hosts.connection import RecordedConnector, chosen, connector
    from bare_metal.maintaining import Work, look_at
    from llmops.errors import InputError

    hosts = chosen(cluster, names) if names else ()
    try:
        if recorded is not None:
            return look_at(cluster, hosts, RecordedConnector(recorded), recorded=True)
        return look_at(cluster, hosts, connector(cluster, folder_of(file)))
    except InputError as error:
        # Such as no key to log in with: what goes dark is told all the same.
        return {host.name: Work(unknown=(error.message,)) for host in hosts}


def _way(cluster: Cluster, file: list[Path] | None, name: str) -> tuple[Placed, Connector]:
    from bare_metal.hosts.connection import chosen, connector, with_addresses

    (host,) = with_addresses(chosen(cluster, (name,)))
    return host, connector(cluster, folder_of(file))


def _leave(
    cluster: Cluster, host: Placed, by: Connector, why: str, within: str, *, yes: bool, despite: str
) -> None:
    from bare_metal.hosts.operations import preview
    from bare_metal.maintaining import carried_out, leaving
    from cli.output import ask, tell
    from llmops.errors import InputError, RefusedError
    from llmops.units import Duration

    try:
        Duration.parse(within)
    except ValueError as error:
        raise InputError(f"--within: {error}", hint="such as 10min") from error
    stay = leaving(cluster, host, by, why, within, despite=despite)
    for line in preview({host.name: stay.plan}):
        tell(line)
    if not stay.plan.changes:
        typer.echo(f"{host.name} is out of service already: nothing to do")
        return
    if not yes and not ask(f"Take {host.name} out of service?"):
        raise RefusedError("nothing was changed")
    carried_out(stay, by, lambda name, line: tell(f"{name}: {line}"))
    typer.echo(
        f"{host.name} is out of service; llmops cluster maintain {host.name} --end ends that"
    )


def _return(cluster: Cluster, host: Placed, by: Connector, thresholds: Path | None) -> None:
    from bare_metal.health import read_thresholds, report_lines
    from bare_metal.maintaining import carried_out, returning
    from cli.output import tell
    from llmops.errors import RefusedError

    own = read_thresholds(thresholds) if thresholds else None
    stay, health = returning(cluster, host, by, own)
    if health.left_out:
        typer.echo("\n".join(report_lines(cluster.name, health)))
        raise RefusedError(f"{host.name} stays out of service: {health.left_out[0].why}")
    carried_out(stay, by, lambda name, line: tell(f"{name}: {line}"))
    typer.echo(f"{host.name} may be given work again; llmops deploy does")
