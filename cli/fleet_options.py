"""The options of a plan that looks beyond this machine: one name, type and help text for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WHERE, ASKED, SHOWN = "Where", "What is asked", "What is shown"

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Plan for this model without a spec: hf://owner/name, file://, s3://, pkg://, a"
        " config.json, or a folder with one.",
        metavar="SOURCE",
        show_default=False,
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="Where: here (with a spec), catalog (with --model), or a catalogue's file, of which"
        " only the machines in it are weighed.",
        metavar="here|catalog|FILE",
        show_default=False,
    ),
]
Own = Annotated[
    list[Path] | None,
    typer.Option(
        "--catalog",
        help="A catalogue's file of your own, laid over what is shipped. Default: catalog.yaml in"
        " LLMOPS_HOME, if it is there.",
        metavar="FILE",
    ),
]
Gpu = Annotated[
    str | None, typer.Option("--gpu", help="Only this GPU, or this family (H100).", metavar="NAME")
]
Count = Annotated[
    int | None, typer.Option("--count", help="GPUs that one replica takes.", min=1, max=4096)
]
Provider = Annotated[
    list[str] | None, typer.Option("--provider", help="Only this provider's offers; repeatable.")
]
Region = Annotated[
    list[str] | None,
    typer.Option(
        "--region", help="Only prices of regions that begin so; repeatable.", metavar="PREFIX"
    ),
]
Spot = Annotated[
    bool, typer.Option("--spot", help="Machines that may be taken away at any time will do.")
]
Budget = Annotated[
    str | None,
    typer.Option("--budget", help="US dollars an hour at most, of all replicas: 20, '20 USD/h'."),
]
Context = Annotated[
    int | None,
    typer.Option("--context", help="Longest request in tokens.", min=16, max=16_777_216),
]
InFlight = Annotated[
    int | None,
    typer.Option("--in-flight", help="Requests at once in a replica. [16]", min=1, max=10_000),
]
Tokens = Annotated[
    int | None,
    typer.Option("--tokens", help="Tokens of a typical one of them. [2048]", min=1, max=16_777_216),
]
Replicas = Annotated[
    int | None, typer.Option("--replicas", help="How many replicas. [1]", min=1, max=1000)
]
Tensor = Annotated[
    int | None, typer.Option("--tensor", help="Tensor parallel size.", min=1, max=1024)
]
Pipeline = Annotated[
    int | None, typer.Option("--pipeline", help="Pipeline parallel size.", min=1, max=1024)
]
Data = Annotated[int | None, typer.Option("--data", help="Data parallel size.", min=1, max=1024)]
Experts = Annotated[bool, typer.Option("--experts", help="Experts are dealt whole over the ranks.")]
Top = Annotated[int, typer.Option("--top", help="Options to show.", min=1, max=1000)]
Rejected = Annotated[
    bool, typer.Option("--rejected", help="List the machines on which it is not to be had.")
]
Layouts = Annotated[
    str | None,
    typer.Option("--layouts", help="List every layout on this type of machine.", metavar="MACHINE"),
]
Explain = Annotated[
    str | None,
    typer.Option(
        "--explain", help="Derive a figure down to its sources: weights, price …", metavar="FIGURE"
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        "--compare", help="Beside the plan of another spec, or what is live.", metavar="FILE|live"
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Draw the memory of the devices into an SVG file.", metavar="FILE"),
]
