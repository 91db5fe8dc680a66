"""`llmops eval compare`: two evaluations of the same sets, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.evaluations import Confidence, Least, Margin, Most
from cli.options import Format, Output

NAME = "compare"


def command(
    candidate: Annotated[
        Path, typer.Argument(metavar="CANDIDATE", help="Folder of an evaluation, or result.json.")
    ],
    other: Annotated[
        Path, typer.Argument(metavar="OTHER", help="The one that it is held against.")
    ],
    gate: Annotated[
        bool, typer.Option("--gate", help="End with 3 unless it was shown to be no worse.")
    ] = False,
    least: Least = None,
    most: Most = None,
    margin: Margin = None,
    confidence: Confidence = 0.95,
    output: Output = Format.TEXT,
) -> None:
    """Compare two evaluations of the same sets, item by item, with intervals."""
    from cli import evaluations
    from cli.output import print_data
    from llmops.errors import InputError
    from llmops.evaluating import verdicts_document
    from serving.evaluate import compare, read_evaluation

    ours, theirs = read_evaluation(candidate), read_evaluation(other)
    pairs = [(mine, theirs.of(mine.set, mine.metric)) for mine in ours.scores]
    found = [
        compare(mine, its, confidence=confidence) for mine, its in pairs if its and mine.n and its.n
    ]
    if not found:
        raise InputError("the two evaluations have no set and metric in common")
    rival = other if gate else None
    verdicts = evaluations.judged(ours, rival, least, most, margin, confidence)
    if output is Format.TEXT:
        evaluations.print_comparisons(found, margin)
    else:
        document = {"comparisons": [one.document() for one in found]}
        print_data(document | {"gate": verdicts_document(verdicts)}, output)
    evaluations.settle(verdicts, output)
