"""Services that would share a runtime: its Ray cluster keeps nothing apart.

A service that a policy wants apart is kept from every other, whether the policy is about that one
or not: so its neighbours are looked at as well as the service itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from llmops.policies.findings import Finding, Severity
from llmops.policies.layers import Effective, Said, effective
from llmops.policies.model import Policy
from llmops.policies.review.subject import Neighbour, Subject, against, unchecked
from llmops.policies.waivers import is_waived
from llmops.spec import Deployment

TENANTS = "security.tenants"
APART = "apart"
ELSEWHERE = "deploy with another LLMOPS_HOME"


def neighbours_of(
    policies: Sequence[Policy], others: Iterable[Deployment], now: float
) -> tuple[Neighbour, ...]:
    """Other services of a runtime, and which of them a policy wants apart.

    Args:
        policies: All that hold, whatever they are about.
        others: The services, as far as policies are chosen by it.
        now: Unix seconds: a waiver of the other service's may set it aside.
    """
    return tuple(Neighbour(other.name, _apart(policies, other, now)) for other in others)


def _apart(policies: Sequence[Policy], other: Deployment, now: float) -> Said | None:
    rules = effective(policies, other)
    said = next((one for one in rules.said(TENANTS) if one.value == APART), None)
    if said is None:
        return None
    waived = is_waived(rules.policies, TENANTS, said.layer, service=other.name, now=now)
    return None if waived else said


def check_tenants(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about other services of this machine; on a cluster each has its own runtime."""
    if subject.cluster is not None:
        return
    bound, others = effective.decided.get(TENANTS), _others(subject)
    if bound is None or bound.value != APART:
        yield from _disturbed(subject)
    elif others is None:
        yield unchecked(bound, "target.kind", "what else runs there was not looked up")
    elif others:
        yield against(
            bound, "together", "target.kind",
            f"it would share a runtime with {', '.join(others)}",
            proof=f"live here: {', '.join(others)}",
            fix=f"llmops destroy {others[0]}, or {ELSEWHERE}",
        )  # fmt: skip


def _others(subject: Subject) -> list[str] | None:
    """Names of all other services of the runtime; None when nobody looked."""
    live, neighbours = subject.known.live, subject.known.neighbours
    if live is None and neighbours is None:
        return None
    found = {one.service for one in live or ()} | {one.service for one in neighbours or ()}
    return sorted(found - {subject.deployment.name})


def _disturbed(subject: Subject) -> Iterator[Finding]:
    """Services that are to be alone, and would not be."""
    for one in subject.known.neighbours or ():
        if one.apart is not None:
            yield Finding(
                TENANTS, Severity.BLOCK, "target.kind",
                f"{one.service} is to have its runtime for itself, and it would share it",
                f"{one.apart.layer} policy {one.apart.policy}: {APART}, for {one.service}",
                ELSEWHERE, one.apart.policy, one.apart.layer,
            )  # fmt: skip
