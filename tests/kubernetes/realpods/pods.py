"""The life of one pod whose program is real. It is not a kubelet, and there is no container.

Kept: the pod's address, its environment and Secrets, its volumes, a read-only root, no
capabilities, its own processes, probes before it is ready, what it does before it ends, and the
grace it has for that. Left out: the image (the program is this checkout's), the user (that of the
tests), all limits, seccomp, restarts, init containers (a worker is started when its head is ready,
which is what KubeRay's waits for), DNS (the head's name is in /etc/hosts), and `kubectl logs`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.kubernetes.realpods import container, probes, status
from tests.kubernetes.realpods.network import Network
from tests.kubernetes.realpods.record import Record
from tests.kubernetes.realpods.sandbox import Sandbox
from tests.kubernetes.realpods.volumes import Volumes
from tests.kubernetes.standin.api import Api
from tests.kubernetes.standin.objects import CLUSTER, NODE_TYPE
from tests.kubernetes.standin.status import is_ready
from tests.kubernetes.standin.world import World

Object = dict[str, Any]
LOOK, BRIEF = 1.0, 0.2
"""Seconds between two looks: at a pod that runs, and while something is waited for."""
STARTUP, READINESS, _ = probes.KINDS
IMAGE = {
    "PATH": f"{Path(sys.executable).parent}:{os.defpath}:/usr/sbin:/sbin",
    "LANG": "C.UTF-8",
}
"""Variables that the image would bring."""


class RealPod:
    """One pod, from its node to its end."""

    def __init__(self, api: Api, world: World, network: Network, folder: Path, pod: Object) -> None:
        meta = pod["metadata"]
        self.sandbox = Sandbox(folder)
        self.seen: set[str] = set()
        """Kinds of probes that have succeeded."""
        self.late = False
        """Whether it was killed, because it had not ended within its grace."""
        self._pod = pod
        """As it was when it got its node; its spec does not change."""
        self._world, self._network, self._folder = world, network, folder
        self._address = network.address()
        self._key = (meta["namespace"], meta["name"])
        self._record = Record(api, *self._key)
        self._volumes = Volumes(folder / "volumes", pod, self._secret)

    async def live(self) -> None:
        """Until it is deleted. A process that ends by itself leaves a failed pod."""
        try:
            await _until(lambda: self._leaving or self._may_start, BRIEF)
            if not self._leaving:
                self._start()
                await self._run()
        finally:
            self.sandbox.kill()
            await self._record.let_go()

    @property
    def _leaving(self) -> bool:
        known = self._world.pods.items.get(self._key)
        return known is None or "deletionTimestamp" in known["metadata"]

    @property
    def _may_start(self) -> bool:
        is_head = self._pod["metadata"]["labels"][NODE_TYPE] == "head"
        return not self._volumes.missing() and (is_head or self._head() is not None)

    def _secret(self, name: str) -> Object | None:
        return self._world.secrets.items.get((self._key[0], name))

    def _cluster(self) -> Object:
        return self._world.clusters.items[self._key[0], self._pod["metadata"]["labels"][CLUSTER]]

    def _head(self) -> Object | None:
        """The pod of the head, once it is ready."""
        pods = self._world.pods_of(self._cluster())
        heads = (p for p in pods if p["metadata"]["labels"][NODE_TYPE] == "head" and is_ready(p))
        return next(heads, None)

    def _environment(self) -> dict[str, str]:
        return IMAGE | container.environment(self._pod, self._address, self._secret)

    def _start(self) -> None:
        spec = {
            "hostname": self._key[1],
            "address": self._address,
            "command": container.command(self._cluster(), self._pod),
            "environment": self._environment(),
            "volumes": [*self._volumes.make(), *self._names()],
        }
        self.sandbox.start(spec, self._network)

    def _names(self) -> list[Object]:
        """/etc/hosts as a kubelet writes it, with the head's name in place of DNS; and no server
        for names, so that what is not there is refused at once."""
        lines = ["127.0.0.1 localhost", f"{self._address} {self._key[1]}"]
        if (head := self._head()) is not None and (name := container.head_name(self._pod)):
            lines.append(f"{head['status']['podIP']} {name}")
        hosts, servers = self._folder / "hosts", self._folder / "resolv.conf"
        hosts.write_text("\n".join(lines) + "\n")
        servers.touch()
        return [
            {"source": str(file), "target": f"/etc/{file.name}", "read_only": False}
            for file in (hosts, servers)
        ]

    async def _run(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            while self.sandbox.runs and not self._leaving:
                await self._look(client)
                await asyncio.sleep(LOOK)
        if self.sandbox.runs:
            await self._leave()
            return
        told = self.sandbox.tail()
        await self._record.tell(lambda pod: status.ended(pod, self._address, told))
        await _until(lambda: self._leaving, BRIEF)

    async def _look(self, client: httpx.AsyncClient) -> None:
        """Bring its files up to date, ask its probes, and write what they say where it is new."""
        self._volumes.follow()
        succeed = {
            kind
            for kind in probes.KINDS
            if await probes.passes(client, self._pod, kind, self._address)
        }
        self.seen |= succeed
        started = STARTUP in self.seen
        ready = started and READINESS in succeed
        known = self._world.pods.items.get(self._key, {}).get("status", {})
        told = [(state["started"], state["ready"]) for state in known.get("containerStatuses", [])]
        if told != [(started, ready)]:
            await self._record.tell(
                lambda pod: status.running(pod, self._address, started=started, ready=ready)
            )

    async def _leave(self) -> None:
        """What it does before it ends, and its end; whoever calls kills what then is left."""
        try:
            async with asyncio.timeout(self._pod["spec"]["terminationGracePeriodSeconds"]):
                await self._before_it_ends()
                self.sandbox.terminate()
                await _until(lambda: not self.sandbox.runs, BRIEF)
        except TimeoutError:
            self.late = True

    async def _before_it_ends(self) -> None:
        [only, *_] = self._pod["spec"]["containers"]
        hook = only.get("lifecycle", {}).get("preStop", {})
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            await self._do(hook["exec"]["command"])

    async def _do(self, command: list[str]) -> None:
        """Run a command in the pod."""
        with self.sandbox.log.open("ab") as log:
            done = await asyncio.create_subprocess_exec(
                *self.sandbox.enters(command), stdout=log, stderr=log, env=self._environment()
            )
            await done.wait()


async def _until(holds: Callable[[], bool], every: float) -> None:
    """Look again and again, after so many seconds, until it holds."""
    while True:
        if holds():
            return
        await asyncio.sleep(every)
