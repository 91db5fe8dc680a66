"""Whether a release that is recorded may be made to serve again, by the policies that hold now.

Asked before a rollback and a restore, which plan nothing: what was allowed when it was made may be
forbidden since. Not asked when a failed release is taken back: the release that the traffic then
stays with serves already, and to refuse it would leave nothing, or what has just failed. Nor for a
move off a node, which repeats what serves.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from llmops.knowing import known_of_record
from llmops.opening import recorded
from llmops.planning import Plan
from llmops.policies import (
    TIMELY,
    Effective,
    Finding,
    Policy,
    PolicyError,
    Severity,
    blocking,
    effective,
    review,
)
from llmops.releases import Emergency, History
from llmops.spec import Deployment
from llmops.targets import Observer


def findings_on(
    observer: Observer,
    plan: Plan,
    now: float,
    *,
    held: Sequence[Policy] | None = None,
    beside: Sequence[Plan] = (),
) -> tuple[Finding, ...]:
    """What the policies say of a recorded plan.

    Args:
        observer: The target.
        plan: The plan, which would be made to serve as it is.
        now: Unix seconds.
        held: The policies; those of the target by default.
        beside: Plans of other services that would be made to serve too.
    """
    held = observer.policies.read()[0].current() if held is None else held
    asked = _asked(plan)
    rules = effective(held, asked or recorded(plan))
    if asked is None:
        return _unknown(rules)
    known = known_of_record(observer, asked, rules, plan, now, held, beside)
    # Not as policies would set it: the record is what would run.
    found = review(rules, asked, plan, now=now, known=known)
    return tuple(finding for finding in found if finding.id not in TIMELY)


def permit(findings: Sequence[Finding], emergency: Emergency | None) -> None:
    """Let pass what the policies allow, and in an emergency what they do not.

    Raises:
        PolicyError: When a finding blocks, and it is no emergency.
    """
    if blocking(findings) and emergency is None:
        raise PolicyError(findings, "or --emergency REASON does it all the same, and records why")


def begun_in_emergency(history: History, plan: Plan, repeats: int) -> bool:
    """Whether a run that was cut off had begun in an emergency to repeat a release as this plan."""
    left = history.staging
    if left is None or (left.plan.identity, left.rollback_of) != (plan.identity, repeats):
        return False
    return bool(left.emergency)


def _asked(plan: Plan) -> Deployment | None:
    """What was asked for; None where the record does not say it, or not so that it can be read."""
    if not plan.asked:
        return None
    try:
        return Deployment.model_validate(plan.asked)
    except ValidationError:
        return None


def _unknown(rules: Effective) -> tuple[Finding, ...]:
    """What is not known is not taken for allowed."""
    if not rules.decided and not any(policy.rules for policy in rules.policies):
        return ()
    first = rules.policies[0]
    return (
        Finding(
            "records.asked", Severity.BLOCK, "",
            "its record does not say what was asked for, so no policy could be checked",
            "", "deploy its spec again", first.name, first.layer,
        ),
    )  # fmt: skip


__all__ = ["begun_in_emergency", "findings_on", "permit"]
