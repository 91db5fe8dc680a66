"""`llmops policy simulate`: a trace against a scaling policy, before it is applied."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import simulate_options as option
from cli.options import Context, Format, Namespace, Output

NAME = "simulate"


def command(
    file: option.Policies = None,
    spec: option.Spec = None,
    trace: option.TraceFile = None,
    generate: option.Seed = None,
    hours: option.Hours = 1.0,
    rate: option.Rate = 4.0,
    shape: option.ShapeName = "diurnal",
    write_trace: option.WriteTrace = None,
    startup: option.Startup = None,
    profile: option.ProfileFile = None,
    usd_per_hour: option.Price = None,
    begins: option.Begins = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the optimum, which takes longest.")
    ] = False,
    plot: option.Plot = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Replay a trace against a scaling policy, beside Ray Serve's own and the optimum."""
    from cli import simulations as doing

    loaded = doing.read_trace(trace) if trace is not None else None
    made = doing.choose(loaded, generate, shape=shape, hours=hours, rate=rate)
    if write_trace is not None:
        doing.write_trace(made, write_trace)
    deployment = doing.governed(file, spec, context, namespace)
    doing.run(
        deployment, made, doing.replica(deployment, profile, startup), usd_per_hour,
        begins=doing.moment(begins), optimum=not quick, plot=plot, output=output,
    )  # fmt: skip
