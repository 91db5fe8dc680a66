"""What a runtime waits for outside of its pods: a place in the queue, volumes, nodes, Serve."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from clusters import scheduling
from clusters.evidence import Found, Reason, condition, counted, one_line, role_of, verb
from clusters.model import Manifest

_NEVER_QUEUED = re.compile(
    r"> maximum capacity|exceeds? (?:the )?(?:maximum|nominal)"
    r"|unavailable in ClusterQueue|(?:LocalQueue|ClusterQueue) \S+ (?:doesn't|does not) exist"
)
_NO_STORAGE = re.compile(
    r'storageclass\S* "(?P<name>[^"]+)" not found|no storage class is set'
    r"|not supported|exceeded quota"
)


def queues(found: Found) -> Iterator[Reason]:
    """Why Kueue does not let it start."""
    for workload in found.workloads:
        reserved, evicted = condition(workload, "QuotaReserved"), condition(workload, "Evicted")
        if condition(workload, "Admitted").get("status") == "True":
            continue
        queue = (workload.get("spec") or {}).get("queueName", "")
        if reserved.get("status") == "True":
            yield Reason(f"it has its place in queue {queue}, and waits for admission checks")
            continue
        message = one_line(reserved.get("message") or evicted.get("message") or "no reason yet")
        never = _NEVER_QUEUED.search(message) is not None
        hint = "its queue can never hold it: ask for less, or have the ClusterQueue changed"
        yield Reason(
            f"it waits in Kueue's queue {queue}: {message}", hint if never else "", hopeless=never
        )


def claims(found: Found) -> Iterator[Reason]:
    """Why its volumes are not there. One that waits for its first pod is as it should be."""
    for claim in found.claims:
        phase = (claim.get("status") or {}).get("phase")
        name = claim["metadata"]["name"]
        if phase == "Lost":
            yield Reason(
                f"volume claim {name} has lost its volume",
                "what was on it is gone: delete the claim, and deploy again",
                hopeless=True,
            )
        if phase == "Pending":
            yield from _pending_claim(found, claim, name)


def _pending_claim(found: Found, claim: Manifest, name: str) -> Iterator[Reason]:
    told = [e for e in found.events_of(claim) if e.get("reason") != "WaitForFirstConsumer"]
    if not told:
        return
    message = one_line(told[-1].get("message") or "")
    never = _NO_STORAGE.search(message) is not None
    hint = "name a class in target.weights.storage_class: `kubectl get storageclass` lists them"
    yield Reason(
        f"volume claim {name} waits for a volume: {message}", hint if never else "", hopeless=never
    )


def nodes(found: Found) -> Iterator[Reason]:
    """Why pods are on no node: those of one role with one message together, the most first."""
    grouped: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
    for pod in found.present():
        scheduled = condition(pod, "PodScheduled")
        if scheduled.get("status") == "False":
            said = scheduled.get("message") or _last_word(found, pod)
            grouped[role_of(pod), said or scheduled.get("reason", "")].append(pod)
    for (_, message), pods in sorted(grouped.items(), key=lambda item: -len(item[1])):
        yield _unscheduled(found, pods, message)


def _unscheduled(found: Found, pods: list[Manifest], message: str) -> Reason:
    taints = scheduling.untolerated(pods[0], found.nodes)
    causes = scheduling.causes(message, taints)
    who = f"{counted(pods, found)} {verb(pods, 'waits', 'wait')} for a node"
    if condition(pods[0], "PodScheduled").get("reason") == "SchedulingGated":
        return Reason(f"{counted(pods, found)} {verb(pods, 'is', 'are')} held back by a gate")
    lasting = bool(causes) and all(cause.lasting for cause in causes)
    hint = next((cause.hint for cause in causes if cause.hint), "")
    return Reason(
        f"{who}: {one_line(scheduling.told(message, taints))}",
        hint,
        hopeless=lasting and not found.nodes_come,
    )


def _last_word(found: Found, pod: Manifest) -> str:
    told = [e for e in found.events_of(pod) if e.get("reason") == "FailedScheduling"]
    return str(told[-1].get("message") or "") if told else ""


def applications(found: Found) -> Iterator[Reason]:
    """What Serve says of applications that do not run yet."""
    for service in found.rayservices:
        status = service.get("status") or {}
        for part in ("pendingServiceStatus", "activeServiceStatus"):
            known = (status.get(part) or {}).get("applicationStatuses") or {}
            for name, application in sorted(known.items()):
                state = application.get("status", "")
                if state and state != "RUNNING":
                    said = one_line(application.get("message") or "")
                    yield Reason(f"Ray Serve has {name} as {state}{f': {said}' if said else ''}")
