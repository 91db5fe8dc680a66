"""The audit log: whether it still is what the gateway wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llmops.policies import Finding
from serving.auditing.telling import finding
from serving.gateway import Report

MOST_TOLD = 5


def tampered(reports: Mapping[str, Report], service: str) -> Iterator[Finding]:
    """Chains that are broken."""
    for kind, report in reports.items():
        if report.faults:
            told = [str(fault) for fault in report.faults[:MOST_TOLD]]
            yield finding(
                "audit.log",
                f"the audit log of {kind} callers was changed: {len(report.faults)} faults",
                "\n".join(told),
                f"llmops logs {service} --audit --verify; compare with a copy",
            )
