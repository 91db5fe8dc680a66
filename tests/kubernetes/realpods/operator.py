"""The stand-in for KubeRay's operator, with the real Ray Serve in place of a simulated one.

The objects, the pods and the statuses are the stand-in's; see there for what it leaves out. Here a
pod is also held back from the fake kubelets: `runner` says when it runs and when it is ready.
"""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

from tests.kubernetes.realpods.background import Background, OneNamespace
from tests.kubernetes.realpods.serve import RealServe
from tests.kubernetes.standin.api import Api
from tests.kubernetes.standin.objects import NODE_TYPE
from tests.kubernetes.standin.operator import Operator
from tests.kubernetes.standin.ray import RayCluster
from tests.kubernetes.standin.status import is_ready
from tests.kubernetes.standin.world import World

Object = dict[str, Any]
HOLD = "tests.llmops/hold"
"""Annotation by which the fake kubelets leave a pod alone."""
FINALIZER = "tests.llmops/process"
"""Keeps a deleted pod until its process has ended."""


class HeldWorld(OneNamespace):
    """Makes pods that the fake kubelets leave to `runner`."""

    async def make_pod(self, pod: Object) -> None:
        meta = pod["metadata"]
        held = {**meta.get("annotations", {}), HOLD: "a real process runs in it"}
        await super().make_pod(
            {**pod, "metadata": {**meta, "annotations": held, "finalizers": [FINALIZER]}}
        )


class RealOperator(Background):
    """Makes Ray clusters of RayServices, and hands the real Serve its config."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        super().__init__(kubeconfig, namespace, "operator")
        self._rays: dict[str, RayCluster] = {}
        self._operator: Operator | None = None

    @property
    def problems(self) -> list[str]:
        """What went wrong in here, oldest first."""
        return list(self._operator.problems) if self._operator else []

    def world(self, api: Api, changed: asyncio.Event) -> World:
        held = HeldWorld(api, changed, self.namespace)
        self._operator = Operator(held, self._rays)
        return held

    async def tick(self, api: Api, world: World) -> None:
        clusters = {item["metadata"]["uid"]: item for item in world.clusters.items.values()}
        for uid in self._rays.keys() - clusters.keys():
            del self._rays[uid]
        for uid, cluster in clusters.items():
            self._follow_head(uid, cluster, world)
        if self._operator is not None:
            await self._operator.reconcile(time.monotonic())

    def _follow_head(self, uid: str, cluster: Object, world: World) -> None:
        """Know the Serve of the cluster's head; another head has another."""
        pods = world.pods_of(cluster)
        heads = [p for p in pods if p["metadata"]["labels"][NODE_TYPE] == "head" and is_ready(p)]
        if not heads:
            return
        head, known = heads[0], self._rays.get(uid)
        if known is None or known.head != head["metadata"]["uid"]:
            serve = RealServe(head["status"]["podIP"], _token(cluster, world))
            self._rays[uid] = RayCluster(head=head["metadata"]["uid"], serve=serve)


def _token(cluster: Object, world: World) -> str:
    """Ray's token, from the Secret that the RayCluster names."""
    secret = cluster["spec"]["authOptions"]["secretName"]
    found = world.secrets.items[cluster["metadata"]["namespace"], secret]
    return base64.b64decode(found["data"]["auth_token"]).decode()
