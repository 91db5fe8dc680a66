"""Findings as SARIF 2.1.0, the form that code review tools read: lines, levels and suppressions.

Made after the standard (OASIS, Static Analysis Results Interchange Format Version 2.1.0): one run,
a rule for each id that occurs, a result for each finding. A waived finding is a suppressed result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmops.policies.findings import Finding, Severity, meaning

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
LEVELS = {Severity.BLOCK: "error", Severity.WARN: "warning", Severity.INFO: "note"}

Place = tuple[str, int, int]
"""File, line and column; both count from 1."""

Places = Callable[[str], Place | None]
"""Where a dotted field of the spec was written; None where nobody knows."""


def to_sarif(
    findings: Sequence[Finding],
    places: Places,
    *,
    version: str = "",
    meanings: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The findings as a SARIF log.

    Args:
        findings: Of a review.
        places: Where a field was written, such as `Placed.where`. A finding about no field, or one
            about a field near which nothing was written, is placed at the service's name.
        version: Of llmops; left out when empty.
        meanings: What the ids of an audit mean, which are none of a review's.
    """
    ids = sorted({finding.id for finding in findings})
    rules = [_rule(one, meanings or {}) for one in ids]
    driver: dict[str, Any] = {"name": "llmops", "rules": rules}
    if version:
        driver["version"] = version
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, ids.index(finding.id), places) for finding in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(identifier: str, meanings: Mapping[str, str]) -> dict[str, Any]:
    means = meanings.get(identifier) or meaning(identifier)
    page = "docs/audit.md" if identifier in meanings else "docs/policies.md"
    return {
        "id": identifier,
        "shortDescription": {"text": means},
        "help": {"text": f"{means} See {page}, {identifier}."},
    }


def _result(finding: Finding, index: int, places: Places) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "message": {"text": _text(finding)},
        "locations": _locations(finding, places),
        "properties": _properties(finding),
    }
    if finding.waiver is not None:
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": f"{finding.waiver.reason} (owner: {finding.waiver.owner}; until"
                f" {finding.waiver.expires})",
            }
        ]
    return result


def _text(finding: Finding) -> str:
    parts = [finding.message]
    parts += [f"Found: {finding.proof}"] if finding.proof else []
    parts += [f"Fix: {finding.fix}"] if finding.fix else []
    return "\n".join(parts)


def _locations(finding: Finding, places: Places) -> list[dict[str, Any]]:
    place = places(finding.path) or places("name")
    logical = [{"fullyQualifiedName": finding.path, "kind": "member"}] if finding.path else []
    if place is None:
        return [{"logicalLocations": logical}] if logical else []
    file, line, column = place
    physical = {
        "artifactLocation": {"uri": _uri(file)},
        "region": {"startLine": line, "startColumn": column},
    }
    return [{"physicalLocation": physical, **({"logicalLocations": logical} if logical else {})}]


def _uri(file: str) -> str:
    """A file's name as a URI reference (RFC 3986): what has a meaning there is escaped."""
    kept = "/-._~!$&'()*+,;=@"
    return "".join(
        c
        if c.isascii() and (c.isalnum() or c in kept)
        else "".join(f"%{b:02X}" for b in c.encode())
        for c in file.replace("\\", "/")
    )


def _properties(finding: Finding) -> dict[str, str]:
    said = {"policy": finding.policy, "layer": str(finding.layer or "")}
    return {key: value for key, value in said.items() if value}
