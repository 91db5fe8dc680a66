"""Services that would share a runtime: its Ray cluster keeps nothing apart."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.policies.findings import Finding
from llmops.policies.layers import Effective
from llmops.policies.review.subject import Subject, against, unchecked


def check_tenants(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about other services of this machine; on a cluster each has its own runtime."""
    bound = effective.decided.get("security.tenants")
    if bound is None or bound.value != "apart" or subject.cluster is not None:
        return
    if subject.known.live is None:
        yield unchecked(bound, "target.kind", "what else runs there was not looked up")
        return
    own = subject.deployment.name
    others = sorted({one.service for one in subject.known.live if one.service != own})
    if others:
        yield against(
            bound, "together", "target.kind",
            f"it would share a runtime with {', '.join(others)}",
            proof=f"live here: {', '.join(others)}",
            fix=f"llmops destroy {others[0]}, or deploy with another LLMOPS_HOME",
        )  # fmt: skip
