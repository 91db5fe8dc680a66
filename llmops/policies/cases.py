"""A policy's own example cases: a deployment, what is known of it, and the findings that it has.

A case says what a policy means, so that a change of the policy that changes the meaning is seen. It
is compared whole: a finding that nobody expected fails it just as one that is missing does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from llmops.catalog import Catalogue
from llmops.errors import InputError
from llmops.planning import LiveRelease
from llmops.policies.document import ENDINGS
from llmops.policies.findings import Finding
from llmops.policies.govern import govern
from llmops.policies.holes import known_holes
from llmops.policies.layers import effective
from llmops.policies.model import Policy
from llmops.policies.review import Known, Subject, neighbours_of, review_of
from llmops.spec import (
    Deployment,
    Document,
    Form,
    Model,
    Name,
    Placed,
    Section,
    Written,
    load,
    read_document,
)
from llmops.spec import Finding as Contradiction

Id = Annotated[str, Field(min_length=1, max_length=120), Form("the id of a finding")]
Tuple = Field(strict=False)


class Expected(Section):
    """A finding that a case has. What is left out may be anything."""

    id: Id
    """Its id, such as `security.pinned`."""

    severity: Literal["block", "warn", "info"] | None = None
    """Its severity."""

    path: str | None = None
    """The field of the spec that it is about."""

    policy: str | None = None
    """Name of the policy that it is by."""

    waived: bool = False
    """Whether a waiver sets it aside."""

    def matches(self, finding: Finding) -> bool:
        """Whether a finding is this one."""
        return (
            finding.id == self.id
            and (finding.waiver is not None) == self.waived
            and self.severity in (None, str(finding.severity))
            and self.path in (None, finding.path)
            and self.policy in (None, finding.policy)
        )

    def __str__(self) -> str:
        said = self.model_dump(exclude_none=True, exclude_defaults=True)
        return ", ".join(f"{key}: {value}" for key, value in said.items())


class CaseFacts(Section):
    """What is known beside the deployment."""

    licence: str | None = None
    """Licence of the model; `""` when nothing tells. Left out: nobody looked."""

    versions: dict[str, str] | None = None
    """Version of each component that would run, by its package's name. Left out: nobody looked."""

    live: Annotated[tuple[Name, ...], Tuple] | None = None
    """Services that run on the target now. Left out: nobody looked."""

    gpu: str = ""
    """The GPU that replicas would run on."""


class Case(Section):
    """An example of what a policy finds."""

    about: Annotated[str, Field(max_length=500)] = ""
    """What the case is there for."""

    policies: Annotated[tuple[Policy, ...], Tuple] = ()
    """Policies of the case, beside those that are tested."""

    deployment: Deployment | None = None
    """The deployment, as a spec says it."""

    spec: str | None = None
    """A spec file in place of it, from where the case is."""

    plan: dict[str, Any] | None = None
    """A plan, or as much of it as rules look at, as `llmops plan -o json` prints it."""

    facts: CaseFacts = CaseFacts()
    """What is known beside the deployment."""

    now: Annotated[AwareDatetime, Tuple, Form("a moment such as 2026-12-24T12:00:00Z")] | None = (
        None
    )
    """When. Left out: noon of the day of the table of known holes, so that a case means the same
    every day."""

    expect: Annotated[tuple[Expected, ...], Tuple]
    """All findings, in any order; an empty list says that there are none."""


def _contradictions(case: Case, _written: Written) -> Iterator[Contradiction]:
    if (case.deployment is None) == (case.spec is None):
        found = "neither" if case.spec is None else "both"
        yield Contradiction(
            ("spec",) if case.spec else ("expect",),
            f"expected a deployment or a spec, found {found}",
            "write the deployment into the case, or name its file as spec", key=True,
        )  # fmt: skip


CASE = Document(
    model=Case,
    noun="a case",
    describes="a case",
    line="expect: []",
    begin="docs/policies.md shows one to start from",
    absent="name case files, or directories with them",
    usual="case.yaml",
    levels="five",
    more="docs/policies.md explains what stands in a case",
    contradictions=_contradictions,
    stand_ins=((("expect",), "[]"),),
)
"""A case file."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    name: str
    """Its file."""
    missing: tuple[Expected, ...]
    """What was expected and not found."""
    surplus: tuple[Finding, ...]
    """What was found and not expected."""

    @property
    def passed(self) -> bool:
        """Whether the findings are those that were expected."""
        return not self.missing and not self.surplus


def case_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The case files that are named, and those in the directories that are.

    Raises:
        InputError: When there is none.
    """
    found = [file for path in paths for file in _files(path)]
    if not found:
        raise InputError("expected case files, found none", hint=CASE.absent)
    return tuple(found)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in ENDINGS and file.is_file())


def read_case(path: Path) -> Placed[Case]:
    """Read a case file.

    Raises:
        InputError: When it cannot be read.
        SpecError: With all its problems.
    """
    return read_document(CASE, [path])


def deployment_of(case: Case, path: Path) -> Deployment:
    """The deployment of a case that was read from `path`.

    Raises:
        InputError: When its spec cannot be read.
        SpecError: With all problems of its spec.
    """
    return case.deployment or load([path.parent / str(case.spec)])


def findings_of(
    case: Case,
    deployment: Deployment,
    policies: Sequence[Policy] = (),
    catalogue: Catalogue | None = None,
) -> tuple[Finding, ...]:
    """The findings of a case's deployment, by its own policies and those that are given."""
    held = [*policies, *case.policies]
    together = effective(held, deployment)
    facts = case.facts
    live = (
        None
        if facts.live is None
        else tuple(LiveRelease(name, 1, "", 100, 0, 0) for name in facts.live)
    )
    others = [_neighbour(name) for name in facts.live or () if name != deployment.name]
    known = Known(
        licence=facts.licence,
        live=live,
        versions=facts.versions,
        gpu=facts.gpu,
        catalogue=catalogue,
        neighbours=None if live is None else neighbours_of(held, others, _moment(case)),
    )
    governed = govern(deployment, together)
    return review_of(together, Subject(governed, case.plan, known, _moment(case)))


def judged(name: str, case: Case, findings: Sequence[Finding]) -> Outcome:
    """Compare what was found with what was expected; each finding is for one expectation."""
    left = list(findings)
    missing = []
    # What says more is looked for first, so that what says less leaves it its finding.
    for expected in sorted(case.expect, key=lambda one: -len(one.model_fields_set)):
        match = next((finding for finding in left if expected.matches(finding)), None)
        if match is None:
            missing.append(expected)
        else:
            left.remove(match)
    return Outcome(name, tuple(missing), tuple(left))


def _neighbour(name: str) -> Deployment:
    """A service that runs there too, of which a case says no more than its name."""
    return Deployment(name=name, model=Model(source="hf://owner/model"))


def _moment(case: Case) -> float:
    if case.now is not None:
        return case.now.timestamp()
    return datetime.combine(known_holes().date, time(12), UTC).timestamp()
