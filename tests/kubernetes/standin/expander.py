"""Makes and keeps the objects of RayServices and RayClusters, as KubeRay 1.7 does. Not KubeRay.

Two controllers, as there. A RayService makes its RayCluster once. After that its spec reaches the
cluster only when worker groups are appended and all else is as it was: **replicas, their bounds and
`workersToDelete` of a RayService do not reach a cluster that is there** (its hash leaves them out),
so whoever scales one writes the RayCluster, as the autoscaler does. A RayCluster is followed in
place: replicas within their bounds, and `workersToDelete` whatever the replicas; otherwise the
newest go first (KubeRay promises no order), and none with an autoscaler. A changed pod template
changes no pod that is there.

Left out: upgrade strategies other than None (none ever makes a second cluster here), suspension,
deletion delays, batch schedulers, restarts of containers, and the autoscaler itself.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.kubernetes.standin import objects
from tests.kubernetes.standin.api import ApiError
from tests.kubernetes.standin.objects import GROUP, GROUPS, HASH, NODE_TYPE
from tests.kubernetes.standin.ray import ENDED
from tests.kubernetes.standin.status import desired
from tests.kubernetes.standin.world import World

Object = dict[str, Any]
REFUSED = (403, 422)
"""What the API server answers when quota, Pod Security or its schema forbids a pod."""


class Expander:
    """Turns RayServices into RayClusters, and RayClusters into pods."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._services: set[tuple[str, str]] = set()

    async def make_cluster(self, service: Object, name: str) -> None:
        """Make a RayService's cluster under the name that its status promises."""
        await self._world.make_cluster(objects.ray_cluster(service, name))
        await self._world.tell(service, "CreatedRayCluster", f"Created the RayCluster {name}")

    async def follow_service(self, service: Object, cluster: Object) -> None:
        """Append new worker groups to a cluster, when they are all that has changed."""
        goal = objects.ray_cluster(service, cluster["metadata"]["name"])
        known = cluster["metadata"].get("annotations", {})
        wanted = goal["metadata"]["annotations"]
        spec, count = service["spec"]["rayClusterConfig"], int(known.get(GROUPS, 0))
        if known.get(HASH) == wanted[HASH]:
            return
        if int(wanted[GROUPS]) >= count and objects.shape_hash(spec, count) == known.get(HASH):
            changed = copy.deepcopy(cluster)
            changed["spec"] = goal["spec"]
            for part in ("labels", "annotations"):
                changed["metadata"][part] = goal["metadata"][part]
            await self._world.replace_cluster(changed)

    async def make_services(self, service: Object, cluster: Object) -> None:
        """Make the two Services in front of a RayService that is ready."""
        await self._make_once(objects.head_service(cluster, service))
        await self._make_once(objects.serve_service(service, cluster))

    async def expand(self, cluster: Object) -> tuple[str, str] | None:
        """Make and delete pods until they are what the RayCluster wants.

        Returns:
            Reason and message when the API server would not have a pod.
        """
        await self._make_once(objects.head_service(cluster, cluster))
        pods = self._world.pods_of(cluster)
        try:
            await self._keep_head(cluster, pods)
            for group in cluster["spec"].get("workerGroupSpecs", []):
                await self._keep_group(cluster, group, pods)
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            kind = (
                "Worker"
                if any(p["metadata"]["labels"][NODE_TYPE] == "head" for p in pods)
                else "Head"
            )
            await self._world.tell(cluster, f"FailedToCreate{kind}Pod", str(error), "Warning")
            return f"FailedCreate{kind}Pod", str(error)
        return None

    async def _make_once(self, service: Object) -> None:
        owner = service["metadata"]["ownerReferences"][0]["uid"]
        made = (owner, service["metadata"]["name"])
        if made not in self._services:
            await self._world.make_service(service)
            self._services.add(made)

    async def _keep_head(self, cluster: Object, pods: list[Object]) -> None:
        heads = [pod for pod in pods if pod["metadata"]["labels"][NODE_TYPE] == "head"]
        if not heads:
            await self._make(cluster, objects.head_pod(cluster), "CreatedHeadPod")
        for head in heads:
            if head.get("status", {}).get("phase") in ENDED:
                await self._delete(cluster, head["metadata"]["name"], "DeletedHeadPod")

    async def _keep_group(self, cluster: Object, group: Object, pods: list[Object]) -> None:
        name = group["groupName"]
        mine = [pod for pod in pods if pod["metadata"]["labels"][GROUP] == name]
        ended = {_name(p) for p in mine if p.get("status", {}).get("phase") in ENDED}
        named = await self._delete_named(cluster, group, mine)
        for ending in ended - named:
            await self._delete(cluster, ending, "DeletedWorkerPod")
        # As there, a pod on its way out counts until it is gone, unless it was deleted just now.
        left = [pod for pod in mine if _name(pod) not in named | ended]
        missing = desired(group) - len(left)
        for _ in range(missing):
            await self._make(cluster, objects.worker_pod(cluster, group), "CreatedWorkerPod")
        if missing < 0 and not cluster["spec"].get("enableInTreeAutoscaling"):
            for pod in left[missing:]:
                await self._delete(cluster, _name(pod), "DeletedWorkerPod")

    async def _delete_named(self, cluster: Object, group: Object, mine: list[Object]) -> set[str]:
        wanted = group.get("scaleStrategy", {}).get("workersToDelete") or []
        named = {_name(pod) for pod in mine} & set(wanted)
        for pod in named:
            await self._delete(cluster, pod, "DeletedWorkerPod")
        return named

    async def _make(self, cluster: Object, pod: Object, reason: str) -> None:
        await self._world.make_pod(pod)
        await self._world.tell(cluster, reason, f"Created pod {_name(pod)}")

    async def _delete(self, cluster: Object, pod: str, reason: str) -> None:
        if await self._world.delete_pod(cluster["metadata"]["namespace"], pod):
            await self._world.tell(cluster, reason, f"Deleted pod {pod}")


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])
