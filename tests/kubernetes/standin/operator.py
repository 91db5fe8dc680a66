"""The loop that plays KubeRay's operator for all RayServices of a cluster. It is not KubeRay.

It decides from what is there, as controllers do, and may be stopped at any point and begun again:
what it has to know it reads from the objects' statuses. While the API server is away it waits.
Left out beside what `expander` and `status` name: leader election, work queues and back-off (a
failure is tried again after `AGAIN`).
"""

from __future__ import annotations

from typing import Any

import httpx
import yaml

from tests.kubernetes.standin import objects, status
from tests.kubernetes.standin.api import ApiError
from tests.kubernetes.standin.expander import Expander
from tests.kubernetes.standin.ray import RayCluster
from tests.kubernetes.standin.status import Side
from tests.kubernetes.standin.validation import find_missing_port, find_problems
from tests.kubernetes.standin.world import World

Object = dict[str, Any]
AGAIN = 0.5
"""Seconds until a failure is tried again."""
NOTHING = Side(None, {}, ready=False)
PASSING = (404, 409, 429, 503)
"""Answers that mean only that a mirror was behind, or the API server busy or just begun."""
TERMINATING = "it is being terminated"
"""What the API server says of a namespace that is going: there is nothing to be done."""


class Operator:
    """Reconciles everything once when it is told to.

    Args:
        world: The cluster.
        rays: The simulated Ray clusters, by uid of the RayCluster.
    """

    def __init__(self, world: World, rays: dict[str, RayCluster]) -> None:
        self._world = world
        self._rays = rays
        self._expander = Expander(world)
        self._again: dict[str, float] = {}
        self.problems: list[str] = []
        """What went wrong, for a test that waits in vain."""

    async def reconcile(self, now: float) -> None:
        """Bring every RayService and RayCluster one step on."""
        for item in list(self._world.services.items.values()):
            await self._guarded(item, now)
        for item in list(self._world.clusters.items.values()):
            await self._guarded(item, now)

    async def _guarded(self, item: Object, now: float) -> None:
        uid = item["metadata"]["uid"]
        if "deletionTimestamp" in item["metadata"] or now < self._again.get(uid, 0):
            return
        try:
            if item["kind"] == "RayService":
                await self._service(item, now)
            else:
                await self._cluster(item, now)
        except (ApiError, httpx.HTTPError) as error:
            self._again[uid] = now + AGAIN
            if isinstance(error, ApiError) and not _is_ordinary(error):
                self.problems.append(f"{item['metadata']['name']}: {error!r}")

    async def _cluster(self, cluster: Object, now: float) -> None:
        failure = await self._expander.expand(cluster)
        if failure is not None:
            self._again[cluster["metadata"]["uid"]] = now + AGAIN
        pods = self._world.pods_of(cluster)
        told = status.cluster_status(cluster, pods, failure)
        if not status.same(told, cluster.get("status", {})):
            await self._world.write_status(cluster, told)

    async def _service(self, service: Object, now: float) -> None:
        if problems := find_problems(service):
            await self._world.tell(service, "InvalidRayServiceSpec", "; ".join(problems), "Warning")
            return
        active = self._known(service, "activeServiceStatus")
        pending = self._known(service, "pendingServiceStatus")
        promised = _cluster_name(service, "pendingServiceStatus")
        if promised and pending is None:
            await self._expander.make_cluster(service, promised)
            return
        cluster = pending or active
        side = NOTHING
        if cluster is not None:
            await self._expander.follow_service(service, cluster)
            side = await self._side(service, cluster, now)
            if side.ready:
                if problem := find_missing_port(cluster):
                    raise ApiError(0, problem)
                await self._expander.make_services(service, cluster)
        await self._tell(service, active, pending, side)

    async def _tell(
        self, service: Object, active: Object | None, pending: Object | None, side: Side
    ) -> None:
        name = service["metadata"]["name"]
        both = (NOTHING, side) if pending is not None else (side, NOTHING)
        serving = active or (pending if side.ready else None)
        endpoints = self._endpoints(serving) if serving else 0
        next_name = "" if active or pending else f"{name}-{objects.suffix()}"
        told = status.service_status(service, *both, endpoints, next_name)
        if not status.same(told, service.get("status", {})):
            await self._world.write_status(service, told)

    async def _side(self, service: Object, cluster: Object, now: float) -> Side:
        """Submit the Serve config where it is due, and ask for the applications' states."""
        ray = self._rays.get(cluster["metadata"]["uid"])
        if ray is None or status.condition(cluster.get("status", {}), "HeadPodReady") != "True":
            return Side(cluster, {}, ready=False)
        self._check_head(cluster)
        config = service["spec"].get("serveConfigV2", "")
        told = ray.serve.statuses(now)
        if not told or ray.config != config:
            await self._submit(service, ray, now)
        ready = bool(told) and all(app["status"] == "RUNNING" for app in told.values())
        return Side(cluster, told, ready)

    def _check_head(self, cluster: Object) -> None:
        """Nobody finds a head that its own Service does not select: Serve's API is there."""
        wanted = objects.head_service(cluster, cluster)["spec"]["selector"].items()
        labels = [pod["metadata"]["labels"] for pod in self._world.pods_of(cluster)]
        heads = [found for found in labels if found[objects.NODE_TYPE] == "head"]
        if heads and not any(wanted <= found.items() for found in heads):
            raise ApiError(0, "the head's labels are not those that its Service selects")

    async def _submit(self, service: Object, ray: RayCluster, now: float) -> None:
        try:
            ray.serve.submit(yaml.safe_load(service["spec"].get("serveConfigV2", "")) or {}, now)
        except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
            text = f"Failed to update serve applications: {error!r}"
            await self._world.tell(service, "FailedToUpdateServeApplications", text, "Warning")
            raise ApiError(0, text) from error
        ray.config = service["spec"].get("serveConfigV2", "")
        text = f"Updated serve applications at generation {service['metadata']['generation']}"
        await self._world.tell(service, "UpdatedServeApplications", text)

    def _known(self, service: Object, side: str) -> Object | None:
        name = _cluster_name(service, side)
        return self._world.clusters.items.get((service["metadata"]["namespace"], name))

    def _endpoints(self, cluster: Object) -> int:
        pods = self._world.pods_of(cluster)
        return status.endpoints_of(cluster["metadata"]["name"], pods)


def _is_ordinary(error: ApiError) -> bool:
    return error.status in PASSING or TERMINATING in str(error)


def _cluster_name(service: Object, side: str) -> str:
    return str(service.get("status", {}).get(side, {}).get("rayClusterName", ""))
