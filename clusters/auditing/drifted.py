"""Objects and programs of a service that are not as its releases say, as findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clusters.drift import Drift, FieldDrift
from llmops.policies import Finding, Severity
from llmops.releases import Release


def drifted(one: Drift, service: str) -> Iterator[Finding]:
    """An object that is not as the release says."""
    where = f"{one.kind}/{one.name}"
    fix = f"llmops diff {service}; llmops deploy puts it back"
    if one.state == "missing":
        yield Finding("audit.drift", Severity.BLOCK, "", f"{where} is missing", where, fix)
    elif one.state == "extra":
        message = f"{where} is of this service, and in no release"
        yield Finding("audit.drift", Severity.WARN, "", message, where, fix)
    for field in one.fields:
        yield Finding(
            "audit.drift",
            Severity.BLOCK if field.ours else Severity.WARN,
            "",
            f"{where}: {field.path} is not what the release says",
            _field(field),
            fix,
        )


def _field(field: FieldDrift) -> str:
    who = f", set by {field.manager} at {field.time}" if field.manager else ""
    return f"found {_short(field.found)}, the release says {_short(field.wanted)}{who}"


def _short(value: object) -> str:
    return "nothing" if value is None else " ".join(str(value).split())[:120]


def other_versions(told: Mapping[str, str], live: Release) -> Iterator[Finding]:
    """An engine in the pods that is not the plan's."""
    runs, planned = told.get("engine", ""), live.plan.engine.version
    if runs != planned:
        yield Finding(
            "audit.versions", Severity.BLOCK, "",
            f"release {live.number} was planned for another engine than what runs",
            f"a gateway tells {runs or 'nothing'}, the plan says {planned}",
            f"llmops upgrade {live.service}",
        )  # fmt: skip
