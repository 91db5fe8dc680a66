"""`llmops policy test`: a policy's own example cases, and whether they still hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Format, Output

if TYPE_CHECKING:
    from llmops.policies import Case, Outcome
    from llmops.spec import Deployment

NAME = "test"

FAILED = 3
"""Exit code when a case does not hold."""

Policies = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        help="Policy file, or a directory of them, to test beside what the cases bring along.",
        metavar="FILE",
    ),
]
Cases = Annotated[
    list[Path], typer.Argument(help="Case files, or directories of them.", metavar="CASES...")
]


def command(cases: Cases, files: Policies = None, output: Output = Format.TEXT) -> None:
    """Run a policy's example cases: do they have the findings that they say?"""
    from cli.output import print_data

    outcomes = _outcomes(cases, files or [])
    if output is Format.TEXT:
        for outcome in outcomes:
            _print(outcome)
        passed = sum(outcome.passed for outcome in outcomes)
        typer.echo(f"{passed} of {len(outcomes)} cases hold", err=True)
    else:
        print_data([_document(outcome) for outcome in outcomes], output)
    if not all(outcome.passed for outcome in outcomes):
        raise typer.Exit(FAILED)


def _outcomes(paths: list[Path], files: list[Path]) -> list[Outcome]:
    from cli.catalog import open_catalogue
    from llmops.policies import findings_of, judged, read_policies

    policies = [placed.value for placed in read_policies(files)] if files else []
    catalogue = open_catalogue(None)
    return [
        judged(str(path), case, findings_of(case, deployment, policies, catalogue))
        for path, case, deployment in _read(paths)
    ]


def _read(paths: list[Path]) -> list[tuple[Path, Case, Deployment]]:
    """Every case with its deployment.

    Raises:
        SpecError: With what is wrong in any of them.
    """
    from llmops.errors import Problem, SpecError
    from llmops.policies import case_files, deployment_of, read_case

    read: list[tuple[Path, Case, Deployment]] = []
    problems: list[Problem] = []
    for path in case_files(paths):
        try:
            case = read_case(path).value
            read.append((path, case, deployment_of(case, path)))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(tuple(problems))
    return read


def _print(outcome: Outcome) -> None:
    typer.echo(f"{'ok  ' if outcome.passed else 'FAIL'} {outcome.name}")
    for expected in outcome.missing:
        typer.echo(f"     expected, and not found: {expected}")
    for finding in outcome.surplus:
        where = f" at {finding.path}" if finding.path else ""
        waived = " (waived)" if finding.waiver else ""
        typer.echo(
            f"     found, and not expected: {finding.severity} {finding.id}{where}{waived}:"
            f" {finding.message}"
        )


def _document(outcome: Outcome) -> dict[str, Any]:
    from llmops.policies import findings_document

    return {
        "case": outcome.name,
        "passed": outcome.passed,
        "missing": [one.model_dump(mode="json", exclude_none=True) for one in outcome.missing],
        "surplus": findings_document(outcome.surplus),
    }
