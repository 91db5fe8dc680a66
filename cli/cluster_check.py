"""`llmops cluster check`: whether hosts and links are fit for work, and by which source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.cluster_bmc import Way
from cli.cluster_hosts import Hosts, Most, Recorded, gathered, read, way
from cli.fabric import EXITS, ClusterFiles
from cli.options import Format, Output

if TYPE_CHECKING:
    from bare_metal.fabric import Fault
    from bare_metal.health import Check
    from bare_metal.inventory import Cluster

NAME = "check"


def command(
    host: Hosts = None,
    file: ClusterFiles = None,
    recorded: Recorded = None,
    fabric: Annotated[
        Path | None,
        typer.Option(
            "--fabric", metavar="DIR",
            help="Take in what the fabric answered, as `fabric verify --save` keeps it.",
        ),
    ] = None,
    bmc: Annotated[
        bool,
        typer.Option(
            "--bmc", help="Also ask the hosts' management controllers for health and sensors."
        ),
    ] = False,
    thresholds: Annotated[
        Path | None,
        typer.Option(
            "--thresholds", metavar="FILE", help="Other values for checks, each with its source."
        ),
    ] = None,
    load: Annotated[
        bool,
        typer.Option(
            "--load", help="Also run what loads the GPUs for minutes: dcgmi, all_reduce_perf."
        ),
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the checks and their sources, and ask nobody.")
    ] = False,
    parallel: Most = 16,
    output: Output = Format.TEXT,
) -> None:  # fmt: skip
    """Check hosts and their links: GPUs, adapters, settings; and say which hosts may be given work.

    Only looks. What is not known is never taken for healthy. Ends with 0 when all is well, 3 when
    something is not, 4 when something is not known.
    """
    from bare_metal.health import checks_of, read_thresholds, report_data, report_lines, verdicts
    from cli.output import print_data

    cluster = read(file)
    other = read_thresholds(thresholds) if thresholds else None
    checks = checks_of(cluster, other, load=load)
    if listing:
        _list(checks, output)
        return
    hosts, by = way(cluster, file, host, recorded)
    found = gathered(cluster, hosts, by, parallel, load=load)
    faults = _faults(cluster, fabric) if fabric else ()
    if bmc:
        faults += _of_controllers(file, host, parallel)
    health = verdicts(cluster, found, checks=checks, faults=faults, hosts=hosts)
    if output is Format.TEXT:
        typer.echo("\n".join(report_lines(cluster.name, health)))
    else:
        print_data(report_data(health), output)
    raise typer.Exit(EXITS[health.verdict])


def _list(checks: tuple[Check, ...], output: Format) -> None:
    from bare_metal.health import check_data, check_lines
    from cli.output import print_data

    if output is Format.TEXT:
        typer.echo("\n".join(check_lines(checks)))
    else:
        print_data({"checks": check_data(checks)}, output)


def _of_controllers(
    file: list[Path] | None, host: list[str] | None, parallel: int
) -> tuple[Fault, ...]:
    from bare_metal.bmc import SENSORS, faults_of

    return faults_of(Way.to(file, host or ()).asked([SENSORS], parallel))


def _faults(cluster: Cluster, folder: Path) -> tuple[Fault, ...]:
    from bare_metal import asking, neighbours
    from bare_metal.fabric import verify, verify_neighbours, wire

    plan = wire(cluster)
    if plan.kind == "roce":
        return verify_neighbours(plan, neighbours.load(cluster, plan, folder)).faults
    return verify(plan, asking.load(folder)).faults
