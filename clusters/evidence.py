"""What is looked at to find out why a runtime does not come up, and how a reason is given.

Reads documents as any controller may have written them: what is missing is empty, never an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clusters import names
from clusters.model import Manifest

LONGEST = 300
"""Characters of another program's message that are told."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something does not come up."""

    text: str
    """In words for a person."""
    hint: str = ""
    """What to do; empty when nothing useful can be said."""
    hopeless: bool = False
    """Whether waiting longer cannot help."""


@dataclass(frozen=True, slots=True)
class Found:
    """The documents of one runtime. Events may be of other objects too."""

    rayservices: Sequence[Manifest] = ()
    rayclusters: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    events: Sequence[Manifest] = ()
    claims: Sequence[Manifest] = ()
    """PersistentVolumeClaims."""
    workloads: Sequence[Manifest] = ()
    """Kueue's Workloads."""
    nodes: Sequence[Manifest] = ()
    """Nodes of the cluster, for what the scheduler does not name; may be left out."""
    nodes_come: bool = True
    """Whether nodes may be added or freed. When not, a pod that fits none is hopeless."""

    def present(self) -> list[Manifest]:
        """The pods that are not on their way out."""
        return [pod for pod in self.pods if "deletionTimestamp" not in pod["metadata"]]

    def events_of(self, item: Manifest) -> list[Manifest]:
        """The events about an object, oldest first; none of an earlier one of the same name."""
        metadata = item["metadata"]
        about = [event for event in self.events if _is_about(event, item["kind"], metadata)]
        return sorted(about, key=event_time)


def _is_about(event: Manifest, kind: str, metadata: Mapping[str, Any]) -> bool:
    named = event.get("involvedObject") or {}
    same = (named.get("kind"), named.get("name")) == (kind, metadata["name"])
    uids = named.get("uid"), metadata.get("uid")
    return same and (None in uids or uids[0] == uids[1])


def event_time(event: Manifest) -> str:
    """When an event was last seen, as text that sorts."""
    series = (event.get("series") or {}).get("lastObservedTime")
    when = series or event.get("lastTimestamp") or event.get("eventTime")
    return str(when or event["metadata"].get("creationTimestamp") or "")


def condition(item: Manifest, kind: str) -> Mapping[str, Any]:
    """The condition of that type; empty when there is none."""
    conditions = (item.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def role_of(pod: Manifest) -> str:
    """`head`, `gateway` or `replica`."""
    labels = pod["metadata"].get("labels") or {}
    kind = labels.get("ray.io/node-type", "")
    return labels.get(names.ROLE) or ("head" if kind == "head" else labels.get("ray.io/group", "?"))


def by_role(pods: Iterable[Manifest]) -> dict[str, list[Manifest]]:
    """The pods of each role."""
    grouped: dict[str, list[Manifest]] = defaultdict(list)
    for pod in pods:
        grouped[role_of(pod)].append(pod)
    return grouped


def counted(some: Sequence[Manifest], found: Found) -> str:
    """`2 of 3 replica pods`, or `the head pod` when there is only one of its role."""
    role = role_of(some[0])
    among = len(by_role(found.present())[role])
    if among == 1:
        return f"the {role} pod"
    if len(some) < among:
        return f"{len(some)} of {among} {role} pods"
    return f"both {role} pods" if among == 2 else f"all {among} {role} pods"


def verb(some: Sequence[object], singular: str, plural: str) -> str:
    """The form of a verb that goes with so many."""
    return singular if len(some) == 1 else plural


def one_line(text: str) -> str:
    """Another program's message, on one line and not without end."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def kubectl(pod: Manifest, command: str) -> str:
    """A command of kubectl about a pod."""
    namespace = pod["metadata"].get("namespace", "default")
    return f"kubectl -n {namespace} {command.format(pod['metadata']['name'])}"


def statuses(pod: Manifest) -> Iterator[Mapping[str, Any]]:
    """What the kubelet says of each container, those of the start first."""
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()
