"""What the stand-in sees of the cluster, and the few ways in which it changes it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.kubernetes.standin.api import Api, ApiError, Mirror
from tests.kubernetes.standin.objects import CLUSTER, suffix
from tests.kubernetes.standin.status import now_text

Object = dict[str, Any]
RAY = "/apis/ray.io/v1"
GONE, EXISTS = 404, 409
COMPONENT = "kuberay-operator"


class World:
    """Mirrors of what matters, and writes that the mirrors know of at once."""

    def __init__(self, api: Api, changed: asyncio.Event) -> None:
        self._api = api
        self.services = Mirror(api, f"{RAY}/rayservices", changed)
        self.clusters = Mirror(api, f"{RAY}/rayclusters", changed)
        self.pods = Mirror(api, "/api/v1/pods?labelSelector=ray.io%2Fis-ray-node%3Dyes", changed)
        self.secrets = Mirror(api, "/api/v1/secrets", changed)
        self._told: set[tuple[str, str, str]] = set()

    def follow(self) -> list[Coroutine[Any, Any, None]]:
        """What keeps the mirrors true, to be run as tasks."""
        mirrors = (self.services, self.clusters, self.pods, self.secrets)
        return [mirror.follow() for mirror in mirrors]

    @property
    def ready(self) -> bool:
        """Whether every mirror has been filled."""
        mirrors = (self.services, self.clusters, self.pods, self.secrets)
        return all(mirror.filled for mirror in mirrors)

    def pods_of(self, cluster: Object) -> list[Object]:
        """All pods of a RayCluster, oldest first."""
        meta = cluster["metadata"]
        found = [
            pod
            for (namespace, _), pod in self.pods.items.items()
            if namespace == meta["namespace"]
            and pod["metadata"]["labels"].get(CLUSTER) == meta["name"]
        ]
        return sorted(
            found, key=lambda p: (p["metadata"]["creationTimestamp"], p["metadata"]["name"])
        )

    async def make_cluster(self, cluster: Object) -> None:
        """Create a RayCluster."""
        namespace = cluster["metadata"]["namespace"]
        path = f"{RAY}/namespaces/{namespace}/rayclusters"
        self.clusters.put(await self._api.create(path, cluster))

    async def make_pod(self, pod: Object) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
        self.pods.put(await self._api.create(path, pod))

    async def make_service(self, service: Object) -> None:
        """Create a Service; one that is there is left as it is."""
        path = f"/api/v1/namespaces/{service['metadata']['namespace']}/services"
        try:
            await self._api.create(path, service)
        except ApiError as error:
            if error.status != EXISTS:
                raise

    async def delete_pod(self, namespace: str, name: str) -> bool:
        """Delete a pod; False when it was gone already."""
        try:
            await self._api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
        except ApiError as error:
            if error.status != GONE:
                raise
            return False
        return True

    async def replace_cluster(self, cluster: Object) -> None:
        """Write a RayCluster's spec."""
        meta = cluster["metadata"]
        path = f"{RAY}/namespaces/{meta['namespace']}/rayclusters/{meta['name']}"
        self.clusters.put(await self._api.replace(path, cluster))

    async def write_status(self, item: Object, status: Object) -> None:
        """Write the status of a RayService or RayCluster."""
        meta, plural = item["metadata"], f"{item['kind'].lower()}s"
        path = f"{RAY}/namespaces/{meta['namespace']}/{plural}/{meta['name']}/status"
        body = {**item, "status": {**status, "lastUpdateTime": now_text()}}
        mirror = self.services if item["kind"] == "RayService" else self.clusters
        mirror.put(await self._api.replace(path, body))

    async def tell(self, item: Object, reason: str, message: str, kind: str = "Normal") -> None:
        """Write an event about an object, once for each text."""
        meta = item["metadata"]
        told = (meta["uid"], reason, message)
        if told in self._told:
            return
        self._told.add(told)
        reference = {
            "apiVersion": item["apiVersion"],
            "kind": item["kind"],
            **{key: meta[key] for key in ("name", "namespace", "uid")},
        }
        event = {
            "metadata": {"name": f"{meta['name']}.{suffix()}{suffix()}"},
            "involvedObject": reference,
            "reason": reason,
            "message": message,
            "type": kind,
            "source": {"component": COMPONENT},
            "firstTimestamp": now_text(),
            "lastTimestamp": now_text(),
            "count": 1,
        }
        await self._api.create(f"/api/v1/namespaces/{meta['namespace']}/events", event)
