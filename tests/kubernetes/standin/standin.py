"""The stand-in as a test uses it: one thread beside the API server, and the faults it can play.

It is not KubeRay, not Ray and not vLLM; see the modules beside this one. It must run in the network
namespace of the tests, where every pod's address is local.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from serving.gateway import ReleaseRef
from serving.runtime.versions import versions
from serving.serve_config import GATEWAY, application_name
from tests.kubernetes.standin.api import Api
from tests.kubernetes.standin.engine import Engine, Latency, Tally
from tests.kubernetes.standin.operator import Operator
from tests.kubernetes.standin.pods import Delays, Door, Gate, Replicas
from tests.kubernetes.standin.ray import RayCluster, nodes
from tests.kubernetes.standin.serve import Replica
from tests.kubernetes.standin.world import World

Object = dict[str, Any]
TICK = 0.05
"""Seconds between looks when nothing has changed."""
START = 15.0
"""Seconds in which the stand-in must have begun to listen."""


class StandIn:
    """Plays the operator, Serve and the gateway pods until it is closed.

    Args:
        kubeconfig: How to reach the API server, as somebody who may do everything.
        home: An empty directory for what pods keep in files.
        count_tokens: How many tokens a text has, as the model's own tokenizer counts.
    """

    def __init__(self, kubeconfig: Path, home: Path, count_tokens: Callable[[str], int]) -> None:
        self.latency = Latency()
        self.delays = Delays()
        self.versions = versions()
        """What gateways that start from now on say they run."""
        self._kubeconfig = kubeconfig
        self._home = home
        self._count = count_tokens
        self._frozen = False
        self._start_delay = 0.1
        self._failing: dict[str, str] = {}
        self._rays: dict[str, RayCluster] = {}
        self._gates: dict[str, Gate] = {}
        self._addresses: dict[str, str] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._began = threading.Event()
        self._stopping = threading.Event()
        self._died: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="standin", daemon=True)
        self._operator: Operator | None = None

    # What a test asks for

    def freeze(self) -> None:
        """The operator is dead from now on; pods and Serve go on without it."""
        self._frozen = True

    def thaw(self) -> None:
        """The operator is back."""
        self._frozen = False

    def delay(self, seconds: float) -> None:
        """Replicas that start from now on take so long."""
        self._start_delay = seconds

    def fail(self, application: str, message: str) -> None:
        """An application that does not run yet fails to start, and says why."""
        self._failing[application] = message

    def heal(self, application: str) -> None:
        """An application that failed may start when its config changes or comes anew."""
        self._failing.pop(application, None)

    def tallies(self) -> dict[tuple[str, str], Tally]:
        """What gateways sent to applications, by the names of pod and application."""
        return dict(self._tallies)

    def total(self, application: str) -> Tally:
        """The same for one application, of all gateways, also those that are gone."""
        total = Tally()
        for (_, name), tally in self._tallies.items():
            if name == application:
                for field in ("sent", "finished", "stopped", "died", "refused"):
                    setattr(total, field, getattr(total, field) + getattr(tally, field))
        return total

    def audit_file(self, pod: str) -> Path:
        """The newest audit file of a gateway pod, by its name."""
        [gate] = [gate for gate in self._gates.values() if gate.pod == pod]
        return gate.audit_file

    @property
    def problems(self) -> list[str]:
        """What went wrong in here, oldest first."""
        return list(self._operator.problems) if self._operator else []

    # Its life

    def start(self) -> None:
        """Begin; returns when the cluster is mirrored and the ports are open."""
        self._thread.start()
        if not self._began.wait(START) or self._died is not None:
            self.close()
            raise RuntimeError("the stand-in did not start") from self._died

    def close(self) -> None:
        """End it. Raises what ended it before."""
        self._stopping.set()
        self._thread.join(START)
        if self._died is not None:
            died, self._died = self._died, None
            raise RuntimeError("the stand-in died") from died

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for the thread
            self._died = error
        finally:
            self._began.set()

    async def _run(self) -> None:
        api, changed = Api(self._kubeconfig), asyncio.Event()
        world, door = World(api, changed), Door(self._gate_at)
        self._operator = Operator(world, self._rays)
        following = [asyncio.create_task(follow) for follow in world.follow()]
        door.open()
        try:
            while not self._stopping.is_set():
                changed.clear()
                if world.ready:
                    await self._tick(world, self._operator, time.monotonic())
                    self._began.set()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), TICK)
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await door.close()
            for gate in self._gates.values():
                gate.close()
            await api.close()

    async def _tick(self, world: World, operator: Operator, now: float) -> None:
        if not self._frozen:
            with contextlib.suppress(httpx.HTTPError):
                await operator.reconcile(now)
        self._step(world, now)

    # Serve and the pods

    def _step(self, world: World, now: float) -> None:
        clusters = {item["metadata"]["uid"]: item for item in world.clusters.items.values()}
        for uid in self._rays.keys() - clusters.keys():
            del self._rays[uid]
        wanted: dict[str, str] = {}
        for uid, cluster in clusters.items():
            ray, pods = self._rays.setdefault(uid, RayCluster()), world.pods_of(cluster)
            ray.follow_head(cluster, pods)
            ray.serve.step(now, nodes(cluster, pods), self._start_delay, self._failing)
            for pod in pods:
                address = pod.get("status", {}).get("podIP")
                if address and self._keep_gate(world, ray, pod, now):
                    wanted[address] = pod["metadata"]["uid"]
        self._addresses = wanted
        for uid in self._gates.keys() - set(wanted.values()):
            self._gates.pop(uid).close()

    def _keep_gate(self, world: World, ray: RayCluster, pod: Object, now: float) -> bool:
        """Let a pod that holds a gateway follow its table and keys; False when it holds none."""
        app = ray.serve.applications.get(GATEWAY)
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        here = [r for r in app.replicas if r.pod == name and r.starts_at <= now] if app else []
        if app is None or not here:
            return False
        if uid not in self._gates:
            replicas = _replicas(world, ray, pod["metadata"]["namespace"])
            engine = self._engine(ray, name)
            self._gates[uid] = Gate(name, self._home / uid, engine, self.versions, replicas)
        service = pod["metadata"]["labels"].get("llmops/service", "")
        secret = world.secrets.items.get((pod["metadata"]["namespace"], f"{service}-keys"))
        self._gates[uid].follow_keys(secret, self.delays.keys, now)
        delay = self.delays.tables.get(name, self.delays.table)
        try:
            self._gates[uid].follow_table(here[0], app.table, app.changed_at + delay, now)
        except ValueError as error:
            app.complaint = f"the routing table was not taken over: {error}"
        return True

    def _gate_at(self, address: str) -> Gate | None:
        return self._gates.get(self._addresses.get(address, ""))

    def _engine(self, ray: RayCluster, pod: str) -> Engine:
        def find(release: ReleaseRef) -> Replica | None:
            name = application_name(release.service, release.number)
            found = ray.serve.live(name, time.monotonic())
            return random.choice(found) if found else None

        def tally(release: ReleaseRef) -> Tally:
            name = application_name(release.service, release.number)
            return self._tallies.setdefault((pod, name), Tally())

        return Engine(find, self._count, self.latency, tally)


def _replicas(world: World, ray: RayCluster, namespace: str) -> Replicas:
    """Tells the addresses of the pods that each application's replicas are on."""

    async def tell() -> dict[str, list[str]]:
        now = time.monotonic()
        return {
            name: [
                world.pods.items[namespace, replica.pod]["status"]["podIP"]
                for replica in app.live(now)
                if (namespace, replica.pod) in world.pods.items
            ]
            for name, app in ray.serve.applications.items()
        }

    return tell
