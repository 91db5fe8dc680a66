"""What an update would change, as the plan shows it: objects, what has to be said, the price. Pure.

Components are left out: they are only what groups the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from infra.automation import Operation, StackChange
from infra.standing import Standing
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

HEAD = "aws:ec2/instance:Instance"
"""The only machine that is an object of the stack by itself."""

MACHINE = "Machine"
"""What a machine of the pool is called among changes: no object of the stack, but of its group."""

GROUP = "aws:autoscaling/group:Group"
"""The pool: it keeps as many machines as it is told."""

SERVING = {
    HEAD: "a machine that leads the runtime: releases go down until it is back",
    GROUP: "all machines with GPUs: nothing answers until new ones are up",
    "aws:lb/loadBalancer:LoadBalancer": "the address that clients ask",
    "aws:s3/bucket:Bucket": "the store: releases, their state and the audit log",
    "aws:s3/bucketV2:BucketV2": "the store: releases, their state and the audit log",
    "aws:ec2/vpc:Vpc": "the network that everything stands in",
}
"""What serves, by type, and what is lost while it is replaced."""

ROLL = "target.roll: auto, with target.spare, has a deploy replace them one after another"
ANOTHER_TYPE = (
    "what serves was planned for their type, and none is replaced by another: serve under another"
    " name on the new one, then destroy this"
)

SPANS = (
    "no machine of a replica that stands on several can be emptied by itself: llmops destroy and a"
    " new deploy make the pool anew, without the service meanwhile"
)

LOST = frozenset({Operation.REPLACE, Operation.DELETE})

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
"""How machines are started. A new version is for those that are started from then on."""

OWN_TAGS = frozenset({"tags", "tagsAll"})
"""Of a launch template itself: with others it is still the same version."""


def previewed(
    changes: Iterable[StackChange],
    price: tuple[float, float] | None,
    standing: Standing | None = None,
) -> Previewed:
    """What an update would change, and which machines a deploy would then end or replace.

    Args:
        changes: As the engine says.
        price: US dollars an hour now and then, where both are known.
        standing: The machines that stand; none where there is no stack.
    """
    real = [change for change in changes if change.kind.startswith("aws:")]
    stands = standing or Standing()
    starts = {change.name: change for change in real if _is_new_start(change)}
    anew = any(change.kind == HEAD and change.operation in LOST for change in real)
    replaced = stands.replaced(renewed="pool" in starts)
    return Previewed(
        (
            *(_object(change) for change in real),
            *_of_group(stands, real),
            *(ObjectChange(f"{MACHINE}/{one.id}", "delete") for one in stands.surplus),
            *(ObjectChange(f"{MACHINE}/{one.id}", "replace") for one in replaced),
        ),
        (
            *(_finding(change) for change in real if _hurts(change)),
            *_of_surplus(stands),
            *_of_pool(stands, starts.get("pool")),
            *(() if anew else _of_head(stands, starts.get("head"))),
        ),
        price,
    )


def _object(change: StackChange) -> ObjectChange:
    kind = change.kind.rsplit(":", 1)[-1]
    fields = tuple((key, None, None) for key in change.keys)
    return ObjectChange(f"{kind}/{change.name}", ACTIONS[change.operation], fields)


def _of_group(standing: Standing, real: Iterable[StackChange]) -> Iterator[ObjectChange]:
    """The group, where only its record is as planned: the engine sees no difference there."""
    seen = any(one.kind == GROUP and one.operation is not Operation.SAME for one in real)
    if standing.apart and not seen:
        yield ObjectChange("Group/pool", "update", (("desiredCapacity", None, None),))


def _of_surplus(standing: Standing) -> Iterator[Finding]:
    """Machines that are more than planned, and what becomes of them."""
    ends, more = len(standing.surplus), standing.count - standing.planned
    if ends:
        yield Finding(
            "target.machines-end",
            Severity.INFO,
            "",
            f"{ends} of {standing.count} machines with GPUs are more than planned, and end one by"
            " one when the release serves, each once its replicas serve elsewhere; which ones is"
            " decided then, those that are behind and those without replicas first",
        )
    elif standing.group is not None and more > 0:
        yield _stays(
            f"{more} of {standing.count} machines with GPUs are more than planned and stay as they"
            " are",
            SPANS if standing.spans else ANOTHER_TYPE,
        )


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
    """Whether machines would be started in another way; tags of the template itself are none."""
    started = set(change.keys) - OWN_TAGS or not change.keys
    return change.kind == TEMPLATE and change.operation is Operation.UPDATE and bool(started)


def _of_pool(standing: Standing, start: StackChange | None) -> Iterator[Finding]:
    """Which machines with GPUs are behind, and what becomes of them."""
    behind = standing.behind(renewed=start is not None)
    replaced = standing.replaced(renewed=start is not None)
    if start is not None and not behind:
        yield _stays(f"machines with GPUs that run stay as they are{_because(start)}", ROLL)
    if replaced:
        yield Finding(
            "target.machines-roll",
            Severity.INFO,
            "",
            f"{len(replaced)} of {standing.count} machines with GPUs were started from an older"
            f" launch template{_because(start)} and are replaced one after another, each once its"
            " replicas serve elsewhere",
        )
    left = len(behind) - len(replaced)
    if left:
        fix = SPANS if standing.spans else ANOTHER_TYPE if standing.roll else ROLL
        yield _stays(
            f"{left} of {standing.count} machines with GPUs were started from an older launch"
            f" template{_because(start)} and stay as they are",
            fix,
        )


def _of_head(standing: Standing, start: StackChange | None) -> Iterator[Finding]:
    if start is not None or standing.head_is_behind:
        yield Finding(
            "target.head-stays",
            Severity.WARN,
            "",
            f"the head was started from an older launch template{_because(start)} and stays as it"
            " is: it leads the runtime and has the gateway",
            fix="llmops destroy and a new deploy make it anew, without the service meanwhile; the"
            " bucket stays",
        )


def _stays(message: str, fix: str) -> Finding:
    return Finding("target.machines-stay", Severity.WARN, "", message, fix=fix)


def _because(start: StackChange | None) -> str:
    """What of the launch template is about to change."""
    return f" ({', '.join(start.keys)})" if start is not None and start.keys else ""


__all__ = ["MACHINE", "previewed"]
