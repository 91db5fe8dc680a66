"""`llmops cluster fabric`: the cable plan of a cluster, and its fabric verified."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Format, Output

if TYPE_CHECKING:
    from bare_metal.fabric import FabricPlan, Report

group = typer.Typer(
    help="Plan, draw and verify the cables of a cluster that you own.", no_args_is_help=True
)

DEFAULT = Path("cluster.yaml")
EXITS = {"pass": 0, "degraded": 3, "fail": 3, "unknown": 4}

ClusterFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--file", "-f", metavar="FILE",
        help="Cluster file; given again, a later one overlays the earlier. Default: cluster.yaml.",
    ),
]  # fmt: skip
Into = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write to a file in place of standard output."),
]


class As(StrEnum):
    """What a cable plan can be written as."""

    CABLES = "cables"
    LABELS = "labels"
    IBNETDISCOVER = "ibnetdiscover"
    IBDIAGNET = "ibdiagnet"
    SLURM_CONF = "slurm-conf"
    SLURM_YAML = "slurm-yaml"
    KUBERNETES = "kubernetes"


@group.command("plan")
def plan(file: ClusterFiles = None, output: Output = Format.TEXT) -> None:
    """Show how many switches and cables a cluster needs, and by which rule."""
    from bare_metal.fabric import summary, told
    from cli.output import print_data

    made = _plan(file)
    if output is Format.TEXT:
        typer.echo("\n".join(told(made)))
    else:
        print_data(summary(made), output)


@group.command("render")
def render(
    form: Annotated[
        As,
        typer.Argument(
            metavar="FORM",
            help="cables: all cables, as CSV; labels: two for each cable; ibnetdiscover: for the"
            " simulator ibsim; ibdiagnet: its topology file; slurm-conf, slurm-yaml: Slurm's"
            " topology; kubernetes: labels of nodes, and Kueue's Topology.",
        ),
    ],
    file: ClusterFiles = None,
    out: Into = None,
) -> None:
    """Write the cable plan for those who need it: people, simulators, checkers, schedulers."""
    _write(_plan(file), form.value, out)


@group.command("plot")
def plot(file: ClusterFiles = None, out: Into = None) -> None:
    """Draw units, leaves, spines and cores as an SVG."""
    _write(_plan(file), "svg", out)


@group.command("verify")
def verify(
    file: ClusterFiles = None,
    dump: Annotated[
        Path | None,
        typer.Option(
            "--dump", metavar="DIR",
            help="Read what was saved before in place of asking the fabric from this host.",
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            "--since", metavar="DIR", help="An earlier dump: error counters are told by growth."
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Keep what the fabric answered."),
    ] = None,
    parallel: Annotated[
        int,
        typer.Option("--parallel", min=1, max=64, metavar="N", help="RoCE: devices asked at once."),
    ] = 16,
    output: Output = Format.TEXT,
) -> None:  # fmt: skip
    """Hold the real fabric against the cable plan: cables, rails, speeds, errors, names, managers.

    Asks an InfiniBand fabric by ibnetdiscover, ibqueryerrors, sminfo and saquery on this host, and
    with RoCE all hosts and the switches that have an address for their neighbours by LLDP, over
    SSH; which change nothing. Ends with 0 when all is as planned, 3 when something is wrong, 4 when
    it is not known.
    """
    made = _plan(file)
    if made.kind == "roce":
        report = _of_neighbours(made, file, dump, since, save, parallel)
    else:
        report = _of_programs(made, dump, since, save)
    _print(made, report, output)
    raise typer.Exit(EXITS[report.verdict])


def _of_programs(
    made: FabricPlan, dump: Path | None, since: Path | None, save: Path | None
) -> Report:
    from bare_metal.asking import ask, load, store
    from bare_metal.fabric import verify as verified

    answered = load(dump) if dump else ask()
    if save:
        store(answered, save)
    return verified(made, answered, load(since) if since else None)


def _of_neighbours(
    made: FabricPlan, files: list[Path] | None, dump: Path | None, since: Path | None,
    save: Path | None, parallel: int,
) -> Report:  # fmt: skip
    from bare_metal.fabric import verify_neighbours
    from bare_metal.inventory import read_cluster
    from bare_metal.neighbours import ask, load
    from llmops.errors import InputError

    if since is not None:
        raise InputError(
            "expected no --since, found one: of a RoCE fabric no error counters are read",
            hint="leave it out",
        )
    if dump is not None and save is not None:
        raise InputError(
            "expected one of --dump and --save, found both: nothing new is asked for",
            hint="copy the directory",
        )
    cluster = read_cluster(files or [DEFAULT]).value
    if dump is not None:
        return verify_neighbours(made, load(cluster, made, dump))
    answered = ask(cluster, (files or [DEFAULT])[0].parent, made, most=parallel, keep=save)
    return verify_neighbours(made, answered)


def _plan(files: list[Path] | None) -> FabricPlan:
    from bare_metal.fabric import wire
    from bare_metal.inventory import read_cluster

    return wire(read_cluster(files or [DEFAULT]).value)


def _write(made: FabricPlan, form: str, out: Path | None) -> None:
    from bare_metal.fabric import FORMS
    from cli.output import tell
    from llmops.errors import InputError

    text = FORMS[form](made)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from error
    tell(f"wrote {out}")


def _print(made: FabricPlan, report: Report, output: Format) -> None:
    from bare_metal.fabric import report_data, report_lines
    from cli.output import print_data

    if output is Format.TEXT:
        typer.echo("\n".join(report_lines(made, report)))
    else:
        print_data(report_data(report), output)
