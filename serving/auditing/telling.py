"""From what was seen to a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llmops.policies import Finding, Severity
from serving.auditing.asking import Asked

MOST_TOLD = 3
"""Proofs that one finding tells; the others are counted."""


def finding(
    identifier: str,
    message: str,
    proof: str,
    fix: str,
    severity: Severity = Severity.BLOCK,
) -> Finding:
    """A finding about the live system, which is about no field of a spec."""
    return Finding(identifier, severity, "", message, proof, fix)


def together(identifier: str, message: str, wrong: Iterable[Asked], fix: str) -> Iterator[Finding]:
    """One finding of all the requests that were answered wrongly; none when there is none."""
    proofs = [asked.proof for asked in wrong]
    if not proofs:
        return
    more = len(proofs) - MOST_TOLD
    told = "\n".join(proofs[:MOST_TOLD]) + (f"\nand {more} more like these" if more > 0 else "")
    yield finding(identifier, message, told, fix)
