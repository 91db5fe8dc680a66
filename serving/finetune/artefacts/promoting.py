"""What it means to serve a run: the live deployment of a service with another model. Changes
nothing but the merged weights, which are made beside the artefact where they are asked for.

The deployment is the recorded one, with all that it says; where the record does not say it, or
another's gate stands against it, it is refused.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llmops.errors import InputError, RefusedError
from llmops.releases import Release, State
from llmops.spec import OWN, Deployment, run_of, tried
from serving.finetune.artefacts import kept
from serving.finetune.artefacts.kept import Artefact
from serving.finetune.artefacts.merging import merge as merged
from serving.models import Models

_RUN = re.compile(r"(?:run://)?([a-z][-a-z0-9]*)(?:/([1-9][0-9]{0,8}))?", re.ASCII)

READ_HERE = ("local", "agent")
"""Targets that can be this machine; what else they lack, their own plan refuses."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """What is to be served, and what is to be known of it before that."""

    deployment: Deployment
    source: str
    """What the service will answer with: an adapter's address, or that of weights."""
    name: str
    """The model name that is answered with it."""
    before: str
    """The adapter that this name is answered with now; empty for none."""
    run: str
    data: str
    trained_on: str
    metrics: Mapping[str, float]
    gate: str
    reasons: tuple[str, ...]
    despite_gate: str


def promotion(
    home: Path,
    run: str,
    releases: Sequence[Release],
    *,
    merge: bool = False,
    canary: int | None = None,
    despite_gate: str | None = None,
    named: str | None = None,
) -> Promotion:
    """The live deployment of a service with what a run has made.

    Args:
        home: The state's folder, below which runs are kept.
        run: `NAME/N`, or `NAME` for its newest artefact.
        releases: All releases of the service.
        merge: Serve weights with the adapter merged into them.
        canary: Percent of requests that it is tried on first; None: as the deployment says.
        despite_gate: Why it is to be served although its evaluation refused it.
        named: The model name that it is to be answered to, beside what the service's own is
            answered with; None for the service's own.

    Raises:
        InputError: When there is no such run, nothing is live, its record does not say enough, its
            target cannot read what lies here, or it cannot have a name of its own.
        ModelError: When the artefact is damaged.
        RefusedError: When its evaluation refused it and no reason is given, or it is weights.
    """
    name, number = _named(home, run)
    artefact = kept.verify(_runs(home, name) / str(number) / "artefact")
    live, deployment = _live(releases)
    _check_gate(artefact, despite_gate, weights=merge or artefact.kind == "weights")
    reason = (despite_gate or "") if artefact.lineage.gate.outcome == "refused" else ""
    if merge or artefact.kind == "weights":
        _check_name(named, deployment, weights=True)
        folder = artefact.directory if artefact.kind == "weights" else _merged(home, artefact, live)
        source = f"file://{folder}"
        changed: dict[str, Any] = {"source": source}
    else:
        _check_name(named, deployment, weights=False)
        source = f"run://{name}/{number}"
        changed = _adapted(deployment, named, source, reason)
    before = live.plan.model.adapters_by_name.get(OWN if named is None else named)
    return Promotion(
        deployment=_with(deployment, changed, canary),
        source=source,
        name=deployment.name if named is None else named,
        before=before.source if before else "",
        run=f"{name}/{number}",
        data=artefact.lineage.data,
        trained_on=artefact.lineage.base.words,
        metrics=artefact.lineage.metrics,
        gate=artefact.lineage.gate.outcome,
        reasons=artefact.lineage.gate.reasons,
        despite_gate=reason,
    )


def served_runs(home: Path) -> frozenset[tuple[str, int]]:
    """Names and numbers of the runs whose adapter or weights any recorded release of this home
    answers with, or would after a rollback."""
    from serving.local import LocalTarget  # which needs this package

    store = LocalTarget(home).store
    releases = [one for name in store.services() for one in store.read(name)[0].releases]
    models = [release.plan.model for release in releases]
    sources = [model.source for model in models]
    sources += [one.source for model in models for one in model.adapters_by_name.values()]
    found = (run_of(source) or _run_below(home, source) for source in sources)
    return frozenset(run for run in found if run is not None)


def _run_below(home: Path, source: str) -> tuple[str, int] | None:
    """The run in whose folder an address lies: whole and merged weights are served in place."""
    try:
        parts = Path(source.removeprefix("file://")).relative_to(home / "finetune").parts
    except ValueError:
        return None
    name, runs, number = parts[:3] if len(parts) > 2 else ("", "", "")
    return (name, int(number)) if runs == "runs" and number.isdecimal() else None


def _runs(home: Path, name: str) -> Path:
    return home / "finetune" / name / "runs"


def _named(home: Path, run: str) -> tuple[str, int]:
    match = _RUN.fullmatch(run)
    if match is None:
        raise InputError(f"'{run}' names no run", hint="NAME/N, such as support-style/3")
    name = match[1]
    folders = _runs(home, name).glob("[0-9]*/artefact")
    there = sorted(int(folder.parent.name) for folder in folders)
    if match[2] is not None and int(match[2]) in there:
        return name, int(match[2])
    if match[2] is None and there:
        return name, there[-1]
    known = ", ".join(str(one) for one in there) or "none"
    raise InputError(
        f"{f'run {match[2]} of {name}' if match[2] else name} has no artefact here",
        hint=f"runs of {name} with one: {known}; llmops finetune list {name}",
    )


def _live(releases: Sequence[Release]) -> tuple[Release, Deployment]:
    """The live release, and what was asked for with it."""
    live = next((one for one in reversed(releases) if one.state is State.LIVE), None)
    if live is None:
        raise InputError("the service has no live release", hint="llmops deploy")
    try:
        deployment = Deployment.model_validate(live.plan.asked)
    except ValidationError as error:
        raise InputError(
            f"the record of release {live.number} does not say what was asked for",
            hint="write the adapter into its spec (model.adapter), and llmops deploy",
        ) from error
    if deployment.target.kind not in READ_HERE:
        raise InputError(
            f"what a run has made lies on this machine, where the target {deployment.target.kind}"
            " cannot read it",
            hint="put the weights where it can, name them as model.source, and llmops deploy",
        )
    return live, deployment


def _check_gate(artefact: Artefact, reason: str | None, *, weights: bool) -> None:
    gate = artefact.lineage.gate
    if gate.outcome != "refused":
        return
    why = "; ".join(gate.reasons) or "it did not pass"
    if weights:
        raise RefusedError(
            f"its evaluation refused it: {why}",
            hint="weights that were refused are not promoted; an adapter may be, for a reason",
        )
    if not reason:
        raise RefusedError(
            f"its evaluation refused it: {why}",
            hint="serve a run that passed; or say why with --despite-gate REASON",
        )


def _adapted(deployment: Deployment, named: str | None, source: str, reason: str) -> dict[str, Any]:
    """What of the model changes when it gets an adapter; under a name, all others keep theirs."""
    adapter = {"source": source} | ({"despite_gate": reason} if reason else {})
    if named is None:
        return {"adapter": adapter}
    return {"adapters": deployment.model_dump(mode="json")["model"]["adapters"] | {named: adapter}}


def _check_name(named: str | None, deployment: Deployment, *, weights: bool) -> None:
    if named is None:
        return
    if weights:
        raise InputError(
            "only an adapter is given a model name of its own: whole weights are what all names of"
            " a service are answered with",
            hint="leave out --as; or --merge",
        )
    if named == deployment.name:
        raise InputError(
            f"--as {named}: that is the service's own name",
            hint="leave out --as: the service's own name is then answered with it",
        )


def _merged(home: Path, artefact: Artefact, live: Release) -> Path:
    """The weights with an adapter in them; made once, and kept beside the artefact."""
    base = artefact.lineage.base
    model = live.plan.model
    if (base.source, base.revision) != (model.source, model.revision):
        raise InputError(
            f"{artefact.lineage.run}/{artefact.lineage.number} was trained on {base.words}, and"
            f" the service serves {model.source} at {model.revision[:12]}",
            hint="promote it to a service of the weights that it was trained on",
        )
    folder = artefact.directory.with_name("merged")
    if folder.exists():
        return kept.verify(folder).directory
    weights = Models(home / "models").verified(model.source, model.revision)
    made = merged(weights, artefact.directory, artefact.directory.with_name("merged-made"))
    done = kept.keep(made, folder, artefact.lineage).directory
    shutil.rmtree(made, ignore_errors=True)  # as large as the weights
    return done


def _with(deployment: Deployment, changed: Mapping[str, Any], canary: int | None) -> Deployment:
    asked = deployment.model_dump(mode="json", exclude_defaults=True)
    asked["target"] = {"kind": deployment.target.kind} | asked.get("target", {})
    model = dict(asked["model"])
    if "source" in changed:
        for name in ("adapter", "revision"):
            model.pop(name, None)
    asked["model"] = model | dict(changed)
    if canary is not None:
        asked["maintenance"] = tried(asked, canary)
    try:
        return Deployment.model_validate(asked)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"])
        raise InputError(
            f"{where}: {wrong['msg']}",
            hint="a reason for --despite-gate has 200 characters at most, and a name for --as 40:"
            " lower-case letters, digits and hyphens",
        ) from error
