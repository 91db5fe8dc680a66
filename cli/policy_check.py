"""`llmops policy check`: policy files against specs, before anything is applied or deployed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Context, Format, Namespace

if TYPE_CHECKING:
    from llmops.planning import Plan
    from llmops.policies import Effective, Finding, Known, Policy, Setting
    from llmops.spec import Deployment, Loaded, Placed

NAME = "check"

REFUSED = 3


class CheckFormat(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
    SARIF = "sarif"


@dataclass(frozen=True, slots=True)
class Checked:
    """A spec, what policies set in it, and what they say of it."""

    spec: Loaded
    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]


def command(
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", "-f", metavar="FILE",
            help="Policy file, or a directory of such files; may be given again. Without one, the"
            " policies that are applied where the spec is deployed to.",
        ),
    ] = None,
    spec: Annotated[
        list[Path] | None,
        typer.Option(
            "--spec", "-s", metavar="FILE",
            help="Spec to hold against them; given again, each is a spec by itself.",
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Look up the model and plan, to check what a plan tells too."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="With --plan: use models that are here already.")
    ] = False,
    context: Context = None,
    namespace: Namespace = None,
    output: Annotated[
        CheckFormat,
        typer.Option("--output", "-o", help="Print findings as text, json, yaml or sarif."),
    ] = CheckFormat.TEXT,
) -> None:  # fmt: skip
    """Check policy files, and specs against them; nothing is changed.

    Without a spec the policies themselves are checked. Ends with 3 when a finding blocks.
    """
    from cli.policies import policies_for
    from cli.specs import read_spec
    from llmops.errors import InputError
    from llmops.policies import read_policies

    if not spec:
        if not file:
            raise InputError(
                "there is nothing to check", hint="-f names policy files, -s specs to check by them"
            )
        _print_policies([one.value for one in read_policies(file)], output)
        return
    checked = []
    for path in spec:
        loaded = read_spec([path])
        placed = policies_for(file, loaded.deployment, context, namespace)
        checked.append(_check(loaded, placed, planned=plan, offline=offline))
    _print(checked, output, planned=plan)
    if any(finding.blocks for one in checked for finding in one.findings):
        raise typer.Exit(REFUSED)


def _check(
    loaded: Loaded, policies: Sequence[Placed[Policy]], *, planned: bool, offline: bool
) -> Checked:
    from llmops.policies import Known, effective, govern, review, settings

    deployment = loaded.deployment
    held: Effective = effective([one.value for one in policies], deployment)
    governed = govern(deployment, held)
    made, known = _plan(loaded, governed, offline=offline) if planned else (None, Known())
    findings = review(held, governed, made, now=time.time(), known=known)
    return Checked(loaded, settings(deployment, held), tuple(_told(one) for one in findings))


def _told(finding: Finding) -> Finding:
    """A finding of this hour is told and does not refuse: a file is right or wrong at any time."""
    from llmops.policies import FREEZE, WINDOW, Severity

    if finding.id not in (WINDOW, FREEZE):
        return finding
    return replace(finding, severity=Severity.INFO, fix="a deploy now would be refused")


def _plan(loaded: Loaded, governed: Deployment, *, offline: bool) -> tuple[Plan, Known]:
    """What would run, and what is known where it would."""
    from cli.catalog import open_catalogue
    from cli.output import Drawer, draw
    from cli.places import target_of
    from cli.specs import placed
    from llmops.planning import make_plan
    from llmops.policies import Known

    with placed(loaded):
        target = target_of(governed)
        facts = draw(target.resolve(governed, offline=offline), Drawer())
        known = Known.of(facts, target.versions(), open_catalogue(None))
        return make_plan(governed, facts), known


def _print_policies(policies: Sequence[Policy], output: CheckFormat) -> None:
    from cli.output import print_data

    if output is CheckFormat.SARIF:
        print_data(_sarif([]), Format.JSON)
    elif output is not CheckFormat.TEXT:
        print_data([one.model_dump(mode="json") for one in policies], Format(output.value))
    else:
        for one in policies:
            typer.echo(f"valid: {one.kind} {one.name}, of the {one.layer}")


def _print(checked: Sequence[Checked], output: CheckFormat, *, planned: bool) -> None:
    from cli.output import print_data, tell

    if output is CheckFormat.SARIF:
        print_data(_sarif(checked), Format.JSON)
    elif output is not CheckFormat.TEXT:
        print_data({"specs": [_document(one) for one in checked]}, Format(output.value))
    else:
        for one in checked:
            _print_text(one)
        if not planned:
            tell("--plan looks up the model too, and checks what only a plan tells")


def _sarif(checked: Sequence[Checked]) -> dict[str, Any]:
    """One log with a run for each spec; an empty run where there is none."""
    from llmops import __version__
    from llmops.policies import to_sarif

    logs = [to_sarif(one.findings, one.spec.where, version=__version__) for one in checked]
    log = to_sarif((), lambda _: None, version=__version__)
    return {**log, "runs": [run for one in logs for run in one["runs"]] or log["runs"]}


def _document(one: Checked) -> dict[str, Any]:
    from cli.policy_text import setting_document
    from llmops.policies import findings_document

    findings = findings_document(one.findings)
    for document, finding in zip(findings, one.findings, strict=True):
        document["place"] = place(one.spec, finding)
    return {
        "name": one.spec.deployment.name,
        "file": one.spec.problem("", "").file,
        "blocks": any(finding.blocks for finding in one.findings),
        "settings": [setting_document(setting) for setting in one.settings],
        "findings": findings,
    }


def _print_text(one: Checked) -> None:
    from cli.policy_text import print_finding, print_setting

    name = one.spec.deployment.name
    for setting in one.settings:
        print_setting(setting)
    for finding in one.findings:
        print_finding(finding, place(one.spec, finding))
    blocking = sum(finding.blocks for finding in one.findings)
    told = len(one.findings) - blocking
    if blocking:
        typer.echo(f"{name}: refused by {blocking}{f', told {told} more' if told else ''}")
    else:
        typer.echo(f"{name}: allowed{f', told {told}' if told else ''}")


def place(spec: Placed[Any], finding: Finding) -> str:
    """File, line and column of the field that a finding is about, or of what is nearest to it."""
    problem = spec.problem(finding.path, "")
    return f"{problem.file}:{problem.line}:{problem.column}"
