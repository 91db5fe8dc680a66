"""Waivers: which findings one sets aside, and what is to be said about the waivers themselves.

A waiver is for one rule and the services that it names, and reaches findings of policies of its own
layer and narrower ones. It never makes anything allowed: the finding stays and is shown, and only
blocks no more. What no policy asked for (a secret in a spec) has no layer, so nothing reaches it;
what is said about waivers cannot be waived either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from llmops.policies.findings import Finding, Severity
from llmops.policies.layers import ORDER
from llmops.policies.model import Layer, Policy, Waiver

SOON_DAYS = 14
"""Days before its end from which on a waiver is said to end soon."""

OWN = "waivers."
"""What findings about waivers begin with."""


@dataclass(frozen=True, slots=True)
class Held:
    """A waiver and the policy that it stands in."""

    policy: Policy
    index: int
    waiver: Waiver

    def reaches(self, finding: Finding) -> bool:
        """Whether it is for this finding, once it holds and for its service."""
        if finding.id != self.waiver.rule or finding.layer is None:
            return False
        narrower = ORDER.index(finding.layer) >= ORDER.index(self.policy.layer)
        return narrower and not finding.id.startswith(OWN)


def apply_waivers(
    policies: Sequence[Policy], findings: Iterable[Finding], *, service: str, now: float
) -> tuple[Finding, ...]:
    """The findings, each with the waiver that sets it aside, and those about the waivers.

    Args:
        policies: Those that apply to the service.
        findings: Of the review.
        service: Name of the service: a waiver that does not name it is not looked at.
        now: Unix seconds; a waiver holds to the end of its last day in UTC.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    meant = [
        Held(policy, index, waiver)
        for policy in policies
        for index, waiver in enumerate(policy.waivers)
        if service in waiver.services
    ]
    hold = [held for held in meant if today <= held.waiver.expires]
    settled = tuple(_settled(finding, hold) for finding in findings)
    return (*settled, *_about(meant, settled, today))


def is_waived(
    policies: Sequence[Policy], rule: str, layer: Layer, *, service: str, now: float
) -> bool:
    """Whether a finding of that rule, by a policy of that layer, is set aside for a service now."""
    finding = Finding(rule, Severity.BLOCK, "", "", layer=layer)
    found = apply_waivers(policies, [finding], service=service, now=now)
    return any(one.id == rule and one.waiver is not None for one in found)


def _settled(finding: Finding, hold: Sequence[Held]) -> Finding:
    for held in hold:
        if held.reaches(finding):
            return replace(finding, waiver=held.waiver)
    return finding


def _about(meant: Sequence[Held], settled: Sequence[Finding], today: date) -> Iterator[Finding]:
    for held in meant:
        waiver, ends = held.waiver, held.waiver.expires
        used = any(held.reaches(finding) for finding in settled)
        if today > ends:
            yield _finding(
                held, "waivers.expired", Severity.WARN,
                f"the waiver of {waiver.rule} ended on {ends}, and sets nothing aside",
                "keep the rule, and remove the waiver; or ask its owner for another",
            )  # fmt: skip
        elif not used:
            yield _finding(
                held, "waivers.unused", Severity.INFO,
                f"the waiver of {waiver.rule} sets nothing aside", "remove it",
            )  # fmt: skip
        elif (ends - today).days <= SOON_DAYS:
            yield _finding(
                held, "waivers.expiring", Severity.INFO,
                f"the waiver of {waiver.rule} ends on {ends}, in {(ends - today).days} days",
                "keep the rule by then, or ask its owner for another",
            )  # fmt: skip


def _finding(held: Held, identifier: str, severity: Severity, message: str, fix: str) -> Finding:
    proof = f"waivers[{held.index}] of {held.policy.name}: {held.waiver.reason}"
    return Finding(
        identifier, severity, "", message, f"{proof} (owner: {held.waiver.owner})", fix,
        held.policy.name, held.policy.layer,
    )  # fmt: skip
