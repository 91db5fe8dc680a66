"""`llmops cluster hosts`: hosts that you own, listed, reached, looked at and prepared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.fabric import DEFAULT, ClusterFiles
from cli.options import Format, Output, Yes

if TYPE_CHECKING:
    from bare_metal.hosts import Plans
    from bare_metal.hosts.connection import Connector, LookingConnector, Unreachable
    from bare_metal.hosts.facts import HostFacts
    from bare_metal.hosts.operations import Desired, Outcome
    from bare_metal.inventory import Cluster, Placed

group = typer.Typer(
    help="List, reach, look at and prepare the hosts of a cluster that you own.",
    no_args_is_help=True,
)

Hosts = Annotated[
    list[str] | None, typer.Argument(help="Names of hosts. Default: all.", metavar="[HOST]…")
]
Recorded = Annotated[
    Path | None,
    typer.Option(
        "--recorded", metavar="DIR",
        help="Read what was recorded before in place of asking the hosts.",
    ),
]  # fmt: skip
Most = Annotated[int, typer.Option("--parallel", min=1, max=64, metavar="N", help="Hosts at once.")]


@group.command("list")
def list_hosts(file: ClusterFiles = None, output: Output = Format.TEXT) -> None:
    """List hosts with rack, addresses and hourly cost, as the cluster file says."""
    from dataclasses import asdict

    from bare_metal.inventory import hosts_of
    from cli.output import print_data, print_table

    hosts = hosts_of(read(file))
    if output is not Format.TEXT:
        print_data({"hosts": [asdict(host) for host in hosts]}, output)
        return
    rows = [
        (
            host.name,
            host.unit,
            host.rack,
            host.address or "-",
            host.bmc or "-",
            f"{host.hourly:.2f}",
        )
        for host in hosts
    ]
    print_table(("HOST", "UNIT", "RACK", "ADDRESS", "BMC", "USD/H"), rows)
    typer.echo(f"{len(hosts)} hosts, {sum(host.hourly for host in hosts):,.2f} USD an hour")


@group.command("pin")
def pin(
    host: Hosts = None,
    file: ClusterFiles = None,
    replace: Annotated[
        list[str] | None,
        typer.Option(
            "--replace", metavar="HOST", help="Pin another key of this host; may be given again."
        ),
    ] = None,
    switches: Annotated[
        bool,
        typer.Option("--switches", help="Of the switches that have an address, in place of hosts."),
    ] = False,
    yes: Yes = False,
) -> None:
    """Look at the keys that hosts show, and pin those that you have compared.

    Logs in nowhere. A host whose pinned key differs is refused unless it is named by --replace.
    Ends with 4 when a host shows no key, 3 when one shows another than the pinned.
    """
    from bare_metal.hosts import compare_keys, seen_lines
    from bare_metal.hosts.connection import chosen, chosen_switches, pin, with_addresses
    from cli.output import ask, may_ask, tell
    from llmops.errors import RefusedError

    may_ask(yes)
    cluster, folder = read(file), folder_of(file)
    names = [*(host or []), *(replace or [])]
    if switches:
        hosts, access = chosen_switches(cluster, names), cluster.fabric.access or cluster.access
    else:
        hosts, access = with_addresses(chosen(cluster, names)), cluster.access
    known = folder / access.known_hosts
    seen = compare_keys(hosts, access, known, replace or ())
    for line in seen_lines(seen):
        tell(line)
    new = seen.to_pin
    if new:
        if not yes and not ask(f"Pin {len(new)} keys in {known}?"):
            raise RefusedError("nothing was pinned")
        pin(known, new)
        typer.echo(f"pinned {len(new)} keys in {known}")
    raise typer.Exit(3 if seen.changed else 4 if seen.silent else 0)


@group.command("facts")
def facts(
    host: Hosts = None,
    file: ClusterFiles = None,
    recorded: Recorded = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="DIR", help="Keep what the hosts answered."),
    ] = None,
    parallel: Most = 16,
    output: Output = Format.TEXT,
) -> None:
    """Show what is known of hosts: processors, GPUs, adapters, kernel, settings, services, disks.

    Only looks. What a host does not say is shown as unknown, with the reason. Ends with 4 when a
    host cannot be reached.
    """
    from bare_metal.hosts.connection import Unreachable
    from bare_metal.hosts.facts import data
    from cli.output import print_data

    cluster = read(file)
    hosts, by = way(cluster, file, host, recorded)
    found = gathered(cluster, hosts, by, parallel, keep=record)
    if output is not Format.TEXT:
        print_data({"hosts": {name: data(one) for name, one in found.items()}}, output)
    else:
        for name, one in found.items():
            typer.echo("\n".join(_told(name, one)))
    raise typer.Exit(4 if any(isinstance(one, Unreachable) for one in found.values()) else 0)


@group.command("prepare")
def prepare(
    host: Hosts = None,
    file: ClusterFiles = None,
    parallel: Most = 16,
    preview_only: Annotated[
        bool, typer.Option("--preview", help="Show what would be done, and end.")
    ] = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Bring hosts to what the cluster file's `system` says: settings, services, disk, firewall.

    Looks, shows what would change, asks, does it, and looks again; meanwhile no other command may
    change these hosts, and one that would says who does. Nothing is formatted, no package of the
    system is installed, and nothing restarts what carries the management address. Ends with 0 when
    all hosts are as wanted, 3 when something was refused or another command is at work there, 4
    when hosts failed or cannot be reached, 5 when all of them did. With --preview also 0 when there
    is something to do.
    """
    from bare_metal.hosts import exit_code, plan_hosts, summary, wanted
    from bare_metal.hosts.connection import chosen, held, with_addresses
    from cli.output import may_ask, tell

    if not preview_only:
        may_ask(yes)
    cluster, folder = read(file), folder_of(file)
    hosts = with_addresses(chosen(cluster, host or ()))
    by = _ssh(cluster, folder)
    wants = wanted(cluster, hosts, folder)
    if preview_only:
        plans = plan_hosts(gathered(cluster, hosts, by, parallel), wants)
        _show(plans, output)
        done: dict[str, Outcome] = {}
    else:
        with held(hosts, by, "prepared", most=parallel) as way:
            plans = plan_hosts(gathered(cluster, hosts, way, parallel), wants)
            _show(plans, output)
            done = _carried_out(plans, hosts, wants, way, parallel, yes=yes)
    for line in summary(plans, done, preview_only=preview_only):
        tell(line)
    raise typer.Exit(exit_code(plans, done))


def _show(plans: Plans, output: Output) -> None:
    from bare_metal.hosts.operations import plan_data, preview
    from cli.output import print_data

    if output is not Format.TEXT:
        print_data({"hosts": plan_data(plans)}, output)
    else:
        typer.echo("\n".join(preview(plans)))


def _carried_out(
    plans: Plans, hosts: tuple[Placed, ...], wants: dict[str, Desired], by: Connector,
    parallel: int, *, yes: bool,
) -> dict[str, Outcome]:  # fmt: skip
    from bare_metal.hosts import carry_out, changing
    from cli.output import ask
    from llmops.errors import RefusedError

    todo = changing(plans, hosts)
    if not todo:
        return {}
    if not yes and not ask(f"Change {len(todo)} hosts?"):
        raise RefusedError("nothing was changed")
    return carry_out(plans, todo, wants, by, most=parallel, told=_said)


def _said(host: str, line: str) -> None:
    from cli.output import tell

    tell(f"{host}: {line}")


def read(files: list[Path] | None) -> Cluster:
    """The cluster that files describe."""
    from bare_metal.inventory import read_cluster

    return read_cluster(files or [DEFAULT]).value


def folder_of(files: list[Path] | None) -> Path:
    """Where the first cluster file lies: relative paths in it begin there."""
    return (files or [DEFAULT])[0].parent


def gathered(
    cluster: Cluster, hosts: tuple[Placed, ...], by: LookingConnector, parallel: int, *,
    keep: Path | None = None, load: bool = False,
) -> dict[str, HostFacts | Unreachable]:  # fmt: skip
    """Facts of hosts."""
    from bare_metal.hosts.facts import gather

    modules = tuple(module.name for module in cluster.system.modules)
    return gather(hosts, by, modules=modules, most=parallel, keep=keep, load=load)


def way(
    cluster: Cluster, file: list[Path] | None, names: list[str] | None, recorded: Path | None
) -> tuple[tuple[Placed, ...], LookingConnector]:
    """Hosts, and the way to look at them: recorded ones, or over SSH."""
    from bare_metal.hosts.connection import RecordedConnector, chosen, with_addresses

    hosts = chosen(cluster, names or ())
    if recorded is not None:
        return hosts, RecordedConnector(recorded)
    return with_addresses(hosts), _ssh(cluster, folder_of(file))


def _ssh(cluster: Cluster, folder: Path) -> Connector:
    from bare_metal.hosts.connection import connector

    return connector(cluster, folder)


def _told(name: str, found: HostFacts | Unreachable) -> list[str]:
    from bare_metal.hosts import facts_lines

    return list(facts_lines(name, found))
