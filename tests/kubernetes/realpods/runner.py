"""Runs the programs of all pods of Ray clusters. It is not a kubelet; see `pods` for the rest."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.kubernetes.realpods.background import Background
from tests.kubernetes.realpods.network import Network
from tests.kubernetes.realpods.operator import HOLD
from tests.kubernetes.realpods.pods import RealPod
from tests.kubernetes.standin.api import Api
from tests.kubernetes.standin.world import World


class PodRunner(Background):
    """Starts a pod's program once the scheduler has given it a node.

    Args:
        kubeconfig: How to reach the API server, as somebody who may do everything.
        namespace: Whose pods.
        home: An empty directory for what pods keep.
    """

    def __init__(self, kubeconfig: Path, namespace: str, home: Path) -> None:
        super().__init__(kubeconfig, namespace, "pods")
        self.pods: dict[str, RealPod] = {}
        """Every pod that was run, by name."""
        self._home = home
        self._network = Network()
        self._lives: dict[str, asyncio.Task[None]] = {}

    @property
    def running(self) -> list[str]:
        """Names of the pods that have a process."""
        return [name for name, pod in self.pods.items() if pod.sandbox.runs]

    @property
    def late(self) -> list[str]:
        """Names of the pods that were killed, because they had not ended within their grace."""
        return [name for name, pod in self.pods.items() if pod.late]

    def logs(self) -> str:
        """The end of what each pod printed, for a test that fails."""
        return "\n".join(f"--- {name}\n{pod.sandbox.tail()}" for name, pod in self.pods.items())

    async def tick(self, api: Api, world: World) -> None:
        for pod in list(world.pods.items.values()):
            meta = pod["metadata"]
            scheduled = pod["spec"].get("nodeName") or "deletionTimestamp" in meta
            if scheduled and HOLD in meta.get("annotations", {}) and meta["uid"] not in self._lives:
                folder = self._home / meta["name"]
                folder.mkdir(parents=True)
                made = RealPod(api, world, self._network, folder, pod)
                self.pods[meta["name"]] = made
                self._lives[meta["uid"]] = asyncio.create_task(made.live())
        for life in self._lives.values():
            if life.done() and not life.cancelled() and (error := life.exception()):
                raise error

    async def end(self, api: Api, world: World) -> None:
        for life in self._lives.values():
            life.cancel()
        await asyncio.gather(*self._lives.values(), return_exceptions=True)
