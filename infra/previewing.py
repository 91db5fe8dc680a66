"""What an update would change, as the plan shows it: objects, what has to be said, the price. Pure.

Components are left out: they are only what groups the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.automation import Operation, StackChange
from llmops.events import ObjectChange, Previewed
from llmops.policies import Finding, Severity

ACTIONS = {
    Operation.CREATE: "create",
    Operation.UPDATE: "update",
    Operation.REPLACE: "replace",
    Operation.DELETE: "delete",
    Operation.SAME: "unchanged",
    Operation.READ: "unchanged",
    Operation.OTHER: "update",
}

SERVING = {
    "aws:ec2/instance:Instance": "a machine that leads the runtime: releases go down until it is"
    " back",
    "aws:autoscaling/group:Group": "all machines with GPUs: nothing answers until new ones are up",
    "aws:lb/loadBalancer:LoadBalancer": "the address that clients ask",
    "aws:s3/bucket:Bucket": "the store: releases, their state and the audit log",
    "aws:s3/bucketV2:BucketV2": "the store: releases, their state and the audit log",
    "aws:ec2/vpc:Vpc": "the network that everything stands in",
}
"""What serves, by type, and what is lost while it is replaced."""

LOST = frozenset({Operation.REPLACE, Operation.DELETE})

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
"""How machines are started. A new one is for those that are started from then on."""


ONLY_TAGS = frozenset({"tags", "tagsAll", "tagSpecifications"})


def previewed(changes: Iterable[StackChange], price: tuple[float, float] | None) -> Previewed:
    """What an update would change.

    Args:
        changes: As the engine says.
        price: US dollars an hour now and then, where both are known.
    """
    real = [change for change in changes if change.kind.startswith("aws:")]
    return Previewed(
        tuple(_object(change) for change in real),
        (
            *(_finding(change) for change in real if _hurts(change)),
            *(_stays(change) for change in real if _is_new_start(change)),
        ),
        price,
    )


def _object(change: StackChange) -> ObjectChange:
    kind = change.kind.rsplit(":", 1)[-1]
    fields = tuple((key, None, None) for key in change.keys)
    return ObjectChange(f"{kind}/{change.name}", ACTIONS[change.operation], fields)


def _hurts(change: StackChange) -> bool:
    return change.operation in LOST and change.kind in SERVING


def _finding(change: StackChange) -> Finding:
    done = "made anew" if change.operation is Operation.REPLACE else "deleted"
    why = f", because of {', '.join(change.keys)}" if change.keys else ""
    return Finding(
        "target.replaces-serving",
        Severity.WARN,
        "",
        f"{change.name} would be {done}{why}; it is {SERVING[change.kind]}",
        fix="deploy in a maintenance window, or leave as it is what forces it",
    )


def _is_new_start(change: StackChange) -> bool:
    """Whether machines would be started in another way; other tags alone are none."""
    started = set(change.keys) - ONLY_TAGS or not change.keys
    return change.kind == TEMPLATE and change.operation is Operation.UPDATE and bool(started)


def _stays(change: StackChange) -> Finding:
    why = f" ({', '.join(change.keys)})" if change.keys else ""
    return Finding(
        "target.machines-stay",
        Severity.WARN,
        "",
        f"machines of {change.name} that run stay as they are: only those that are started from"
        f" then on have what changes{why}",
        fix="docs/aws.md, 'What changes what', says how to have them made anew",
    )


__all__ = ["previewed"]
