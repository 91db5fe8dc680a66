"""The options of a simulation: one name, type and help text for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Policies = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Policy file, or a directory of such files; may be given again. Without one, the"
        " policies that are applied where the spec is deployed to.",
    ),
]
Spec = Annotated[
    Path | None,
    typer.Option(
        "--spec",
        "-s",
        metavar="FILE",
        help="Spec whose scaling is tried. Default: llmops.yaml.",
    ),
]
TraceFile = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        help="Requests to replay: a CSV file of arrival,input_tokens,output_tokens.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--generate", metavar="SEED", min=0, help="Make the trace up instead, from this seed."
    ),
]
Hours = Annotated[
    float, typer.Option("--hours", min=0.01, max=168.0, help="With --generate: its length.")
]
Rate = Annotated[
    float, typer.Option("--rate", min=0.001, max=1000.0, help="With --generate: requests a second.")
]
ShapeName = Annotated[
    str,
    typer.Option(
        "--shape", help="With --generate: steady, diurnal, bursty or on-off.", metavar="SHAPE"
    ),
]
WriteTrace = Annotated[
    Path | None,
    typer.Option("--write-trace", metavar="FILE", help="Write the trace as CSV."),
]
Startup = Annotated[
    str | None,
    typer.Option("--startup", metavar="TIME", help="Time that a replica takes to start: 60s."),
]
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", metavar="FILE", help="What a replica can do, as measured."),
]
Price = Annotated[
    float | None,
    typer.Option("--usd-per-hour", min=0.0, max=1e6, help="Price of one replica."),
]
Begins = Annotated[
    str | None,
    typer.Option(
        "--begins",
        metavar="TIME",
        help="When the trace begins, for schedules: 2026-03-02T08:00+01:00. Default: Monday"
        " 5 January 2026, 00:00 UTC.",
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Draw load and replicas into an SVG file."),
]
