"""`llmops policy audit`: a live service, tried from outside and looked at from inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Context, Format, Namespace, Service
from cli.policy_check import CheckFormat

if TYPE_CHECKING:
    from cli.places import Reached
    from llmops.events import Flow
    from llmops.policies import Finding
    from serving.auditing import Report

NAME = "audit"

REFUSED = 3


def command(
    name: Service,
    outside: Annotated[
        str | None,
        typer.Option(
            "--outside", metavar="URL",
            help="Where clients reach the endpoint (https://HOST/v1), if not as this machine does.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ID", help="Only the checks of this id; may be repeated."),
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Annotated[
        CheckFormat,
        typer.Option("--output", "-o", help="Print findings as text, json, yaml or sarif."),
    ] = CheckFormat.TEXT,
) -> None:  # fmt: skip
    """Try a live service's endpoint, look at what runs, and prove what is found wrong.

    It asks as nobody, and with keys of its own that it makes and revokes: nobody's limits are used
    up, and some hundred requests are sent. Ends with 3 when a finding blocks.
    """
    from cli.output import Drawer, draw
    from cli.places import reached, service_target

    target = reached(service_target(name, context, namespace), "llmops policy audit")
    report = draw(_audit(target, name, outside, only), Drawer())
    _print(name, report, output)
    if report.blocks:
        raise typer.Exit(REFUSED)


def _audit(target: Reached, name: str, outside: str | None, only: list[str] | None) -> Flow[Report]:
    from serving.auditing import audit_here
    from serving.local import LocalTarget

    if isinstance(target, LocalTarget):
        return audit_here(target, name, url=outside, only=only or ())
    from clusters import audit_there

    return audit_there(target, name, url=outside, only=only or ())


def _print(name: str, report: Report, output: CheckFormat) -> None:
    from cli.output import print_data

    if output is CheckFormat.SARIF:
        print_data(_sarif(report), Format.JSON)
    elif output is not CheckFormat.TEXT:
        print_data(_document(name, report), Format(output.value))
    else:
        _print_text(name, report)


def _sarif(report: Report) -> dict[str, Any]:
    from llmops import __version__
    from llmops.policies import to_sarif
    from serving.auditing import MEANINGS

    return to_sarif(report.findings, lambda _: None, version=__version__, meanings=MEANINGS)


def _document(name: str, report: Report) -> dict[str, Any]:
    from llmops.policies import findings_document

    return {
        "name": name,
        "blocks": report.blocks,
        "checks": report.made,
        "findings": findings_document(report.found),
        "unchecked": findings_document(report.unchecked),
    }


def _print_text(name: str, report: Report) -> None:
    for finding in report.findings:
        for line in _lines(finding):
            typer.echo(line)
    found, unknown = len(report.found), len(report.unchecked)
    more = f", {_some(unknown, 'thing')} not checked" if unknown else ""
    typer.echo(f"{name}: {_some(report.made, 'check')}, {_some(found, 'finding')}{more}")


def _lines(finding: Finding) -> list[str]:
    """A finding with all of its proof: that is what an audit is for."""
    mark = "waived" if finding.waiver else str(finding.severity)
    by = f" ({finding.policy}, {finding.layer})" if finding.policy else ""
    lines = [f"{mark}: {finding.id}{by}: {finding.message}"]
    lines += [f"    proof: {line}" for line in finding.proof.splitlines()]
    if waiver := finding.waiver:
        lines.append(f"    waived until {waiver.expires} by {waiver.owner}: {waiver.reason}")
    elif finding.fix:
        lines.append(f"    fix: {finding.fix}")
    return lines


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
