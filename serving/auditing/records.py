"""What a target's records tell: the policies that hold, and the keys that are there.

The same for every target. What was deployed before a policy was applied is held against it here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from llmops.policies import (
    TIMELY,
    Finding,
    Known,
    Neighbour,
    Policy,
    Severity,
    effective,
    key_age,
    review,
)
from llmops.releases import Release
from llmops.spec import Deployment
from llmops.targets import KeyInfo
from serving.auditing.check import unchecked
from serving.auditing.keys import PREFIX
from serving.auditing.telling import finding


def policies(
    held: Sequence[Policy],
    live: Release,
    keys: Sequence[KeyInfo],
    versions: Mapping[str, str] | None,
    now: float,
    *,
    neighbours: tuple[Neighbour, ...] | None = None,
) -> Iterator[Finding]:
    """What the policies that hold now say of the live release and of the keys.

    Args:
        held: The policies.
        live: The live release.
        keys: Of its service.
        versions: Versions of what runs, by package; None where they are not known.
        now: Unix seconds.
        neighbours: Other services of its runtime; None where they are not known.
    """
    if not held:
        return
    if not live.plan.asked:
        yield unchecked(
            "the policies", "the release is from before records said what was asked for",
            "deploy it again",
        )  # fmt: skip
        return
    try:
        deployment = Deployment.model_validate(live.plan.asked)
    except ValidationError as error:
        yield unchecked("the policies", f"the record cannot be read: {error.error_count()} errors")
        return
    rules = effective(held, deployment)
    # Not as policies would set it: what it was deployed with is what is live.
    known = Known(licence=live.plan.model.licence, versions=versions, neighbours=neighbours)
    for one in review(rules, deployment, live.plan, now=now, known=known):
        if one.id not in TIMELY:  # an audit changes nothing
            yield _told(one)
    ours = [key for key in keys if not key.name.startswith(PREFIX)]
    yield from key_age(rules, ours, service=live.service, now=now)


def _told(one: Finding) -> Finding:
    """A finding of a review; what it could not check, an audit could not either."""
    if one.severity is Severity.INFO and one.message.startswith("not checked"):
        return unchecked(one.id, f"{one.message.partition(': ')[2]} ({one.proof})", one.fix)
    return one


def leftover_keys(keys: Sequence[KeyInfo], service: str, now: float) -> Iterator[Finding]:
    """Keys of an audit that was ended before it could revoke them."""
    for key in keys:
        if key.name.startswith(PREFIX) and key.state(now) == "valid":
            yield finding(
                "audit.leftover-key",
                f"the key '{key.name}' of an earlier audit still opens {service}",
                f"made {int(now - key.created_at)} s ago, and not revoked",
                f"llmops keys revoke {service} {key.name}",
                Severity.WARN,
            )
