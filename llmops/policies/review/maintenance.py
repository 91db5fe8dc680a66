"""How releases follow one another, and when; how long they drain is looked at in `fields`."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.policies.calendar import Closed, calendar_of
from llmops.policies.findings import Finding, Severity
from llmops.policies.layers import Effective
from llmops.policies.model import Layer
from llmops.policies.review.subject import Subject, against, at

OWN_WINDOW = "maintenance.window"
"""Field of a spec with the service's own window."""


def check_maintenance(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about `maintenance`."""
    bound = effective.decided.get("maintenance.strategies")
    strategy = subject.deployment.maintenance.strategy
    if bound is not None and not bound.admits(strategy):
        words = " or ".join(bound.value)
        yield against(
            bound, strategy, "maintenance.strategy", f"releases may not follow by {strategy}",
            proof=f"maintenance.strategy: {strategy}",
            fix=f"set maintenance.strategy: {words}" if words else "ask whose policies these are",
        )  # fmt: skip
    yield from _calendar(effective, subject)


def _calendar(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """A finding for each calendar that is closed; each says when all of them are open."""
    own = at(subject.deployment, OWN_WINDOW)
    together = calendar_of(effective.policies, own).closed(subject.now)
    if together is None:
        return
    for policy in effective.policies:
        if closed := calendar_of([policy], None).closed(subject.now):
            yield _closed(closed, together, policy.layer)
    if closed := calendar_of([], own).closed(subject.now):
        yield _closed(closed, together, None)


def _closed(closed: Closed, together: Closed, layer: Layer | None) -> Finding:
    opens = together.opens
    when = f"the next time is {opens}" if opens else "no time within a year is known"
    return Finding(
        closed.rule, Severity.BLOCK, "" if layer else OWN_WINDOW, closed.reason, when,
        "--wait waits for it; --emergency REASON does it now, and is kept in the history"
        if opens else "--emergency REASON does it now, and is kept in the history",
        closed.policy, layer,
    )  # fmt: skip
