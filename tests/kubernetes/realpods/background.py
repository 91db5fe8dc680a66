"""An event loop in a thread of its own, beside the test: it begins, ticks, and is ended."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

from tests.kubernetes.standin.api import Api, Mirror
from tests.kubernetes.standin.world import RAY, World

START = 15.0
"""Seconds until the cluster must have been mirrored."""
END = 60.0
"""Seconds that ending may take."""
TICK = 0.2
"""Seconds between looks when nothing has changed."""


class OneNamespace(World):
    """What the stand-in sees of a cluster, of one namespace: the others are the stand-in's."""

    def __init__(self, api: Api, changed: asyncio.Event, namespace: str) -> None:
        super().__init__(api, changed)
        ray, core = f"{RAY}/namespaces/{namespace}", f"/api/v1/namespaces/{namespace}"
        self.services = Mirror(api, f"{ray}/rayservices", changed)
        self.clusters = Mirror(api, f"{ray}/rayclusters", changed)
        self.pods = Mirror(api, f"{core}/pods?labelSelector=ray.io%2Fis-ray-node%3Dyes", changed)
        self.secrets = Mirror(api, f"{core}/secrets", changed)


class Background:
    """Runs `tick` again and again, whenever the cluster has changed and now and then.

    Args:
        kubeconfig: How to reach the API server, as somebody who may do everything.
        namespace: What it looks after.
        name: Of the thread.
    """

    def __init__(self, kubeconfig: Path, namespace: str, name: str) -> None:
        self.namespace = namespace
        self._kubeconfig = kubeconfig
        self._began = threading.Event()
        self._ending = threading.Event()
        self._died: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Returns when the cluster is mirrored. Raises RuntimeError when it does not come to it."""
        self._thread.start()
        if not self._began.wait(START) or self._died is not None:
            self.close()
            raise RuntimeError(f"{self._thread.name} did not start") from self._died

    def close(self) -> None:
        """End it, and what it started. Raises RuntimeError from what ended it before."""
        self._ending.set()
        self._thread.join(END)
        if self._died is not None:
            raise RuntimeError(f"{self._thread.name} died") from self._died

    def world(self, api: Api, changed: asyncio.Event) -> World:
        """How it sees the cluster."""
        return OneNamespace(api, changed, self.namespace)

    async def tick(self, api: Api, world: World) -> None:
        """Do what is due."""
        raise NotImplementedError

    async def end(self, api: Api, world: World) -> None:
        """Let go of everything."""

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for the thread
            self._died = error
        finally:
            self._began.set()

    async def _run(self) -> None:
        api, changed = Api(self._kubeconfig), asyncio.Event()
        world = self.world(api, changed)
        following = [asyncio.create_task(follow) for follow in world.follow()]
        try:
            while not self._ending.is_set():
                changed.clear()
                if world.ready:
                    await self.tick(api, world)
                    self._began.set()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), TICK)
        finally:
            await self.end(api, world)
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await api.close()
