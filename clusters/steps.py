"""The steps on a cluster: what is applied, and what is waited for.

Every change goes the same way: read what is there, edit it, apply what differs, wait until the
cluster shows it. Nothing is remembered between steps, so one that was cut off anywhere is completed
by doing it again, from any machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from clusters import names, rendering, scaling
from clusters.apply import apply_all, key_of, prune
from clusters.desired import (
    Desired,
    with_active,
    with_all_traffic,
    with_release,
    with_some_traffic,
    without,
    without_traffic,
)
from clusters.live import LiveRuntime
from clusters.model import Manifest, Runtime
from clusters.notes import note
from clusters.objects import KINDS
from clusters.patience import Patience
from clusters.ports import Writer
from clusters.reasons import Reason
from clusters.sight import Sight
from clusters.trouble import Conflicted
from llmops.errors import TargetError
from llmops.events import Flow
from llmops.releases import Phase, Release, ReleaseStore, State
from llmops.waiting import wait
from serving.serve_config import application_name

POLL = 0.5
"""Seconds between two looks at the API server."""

HANDOVER_SECONDS = 120.0
"""For gateways to take over a routing table: KubeRay hands it to Ray, and Serve to each replica."""

GONE_SECONDS = 180.0
"""For KubeRay and the kubelets to end what was taken away, beyond the drain."""

AROUND = tuple(k for k in KINDS if k not in (*rendering.MOVING, "NetworkPolicy"))
"""What stands around runtimes, and goes once no release asks for it."""

OF_ONE_RUNTIME = ("PodDisruptionBudget", "NetworkPolicy")
"""What goes with its runtime; policies last, because pods that end keep to them."""


class Why(Protocol):
    """Finds out why a runtime does not come up."""

    def __call__(self, runtime: str) -> Reason: ...


class Steps(Sight):
    """The steps of one service."""

    def __init__(
        self,
        client: Writer,
        namespace: str,
        service: str,
        store: ReleaseStore,
        why: Why,
        guard: Callable[[], None],
        *,
        take_ownership: bool = False,
    ) -> None:
        super().__init__(client, namespace, service, store)
        self._client = client
        self._why = why
        self._guard = guard
        self._take_ownership = take_ownership

    # The steps

    def stage(self, release: Release, seconds: float) -> Flow[None]:
        """Have the release run in its runtime, without traffic; ends when it can be asked."""
        if self._has_failed(release):
            # Serve tries an application that has failed no more, whoever asks: it must be a new one
            yield from self.remove(release.number)
        desired = with_release(self.desired(), release)
        runtime = _holder(desired, release.number)
        yield from self._until_replaceable(runtime.id)
        self._apply(self.manifests(desired))
        self._scale(runtime)
        yield from self._await_ready(runtime.id, release, seconds)
        yield from self._await_table(runtime, "stage")

    def share(self, release: Release, share: int, beside: Release) -> Flow[None]:
        """Give the release `share` percent of new requests, and the rest to one of its runtime."""
        desired = with_some_traffic(self.desired(), release.number, share, beside.number)
        self._move(desired)
        yield from self._await_table(_holder(desired, release.number), "shift")

    def shift(self, release: Release) -> Flow[None]:
        """Give the release all new requests of the service."""
        desired = with_all_traffic(self.desired(), release.number)
        runtime = _holder(desired, release.number)
        self._move(desired)
        yield from self._await_table(runtime, "shift")
        if desired.active == runtime.id:
            return
        desired = with_active(desired, runtime.id)
        self._move(desired)
        yield from self._await_door(runtime.id)
        for other in desired.runtimes:
            # One that is left may be broken, which is why it is left: clients are not led there.
            yield from self._await_table(other, "shift", quietly=other.id != runtime.id)

    def drain(self, release: Release, seconds: float) -> Flow[None]:
        """Send nothing new to the release, and wait until it has nothing in flight."""
        desired = self.desired()
        if desired.holding(release.number) is None:
            return
        desired = without_traffic(desired, release.number)
        runtime = _holder(desired, release.number)
        self._move(desired)
        yield from self._await_table(runtime, "drain", quietly=runtime.id != desired.active)

        def look() -> str | None:
            found = self.gateways(runtime.id)
            flying = found.in_flight(self._service, release.number)
            if flying:
                return f"{flying} requests in flight on release {release.number}"
            return (
                f"{found.silent[0]} does not tell what it has in flight" if found.silent else None
            )

        yield from wait("drain", look, seconds, expire_quietly=True, poll=POLL)

    def remove(self, number: int) -> Flow[None]:
        """Take the release away, with its pods."""
        holder = self.live().holding(number)
        if holder is not None and not self._store.read(self._service)[0].releases:
            yield from self.delete_runtime(holder)  # its record was lost: nothing of it is needed
            return
        desired = without(self.desired(), number)
        if holder is None:
            return
        runtime = desired.runtime(holder.id)
        if runtime is None:
            self._around(desired, AROUND)
            yield from self.delete_runtime(holder)
            self._prune(desired, OF_ONE_RUNTIME)
            return
        seconds = GONE_SECONDS + self._longest_drain()
        self._around(desired, (*AROUND, "NetworkPolicy"))
        # Its pods first: once its application has gone, nothing tells which they were.
        self._scale(runtime, fewer=True)
        self._move(desired)
        yield from self._await_gone(holder.id, number, seconds)

    def delete_runtime(self, runtime: LiveRuntime) -> Flow[None]:
        """Delete a RayService with all that KubeRay made for it; returns when it is gone."""
        self._guard()
        seconds = GONE_SECONDS + self._longest_drain()
        self._client.delete("RayService", runtime.name, self._namespace, propagation="Foreground")

        def look() -> str | None:
            left = self._client.get("RayService", runtime.name, self._namespace)
            pods = sum(len(self.pods(runtime.id, role)) for role in names.ROLES)
            if pods:
                return f"{pods} pods of {runtime.name} end"
            return f"KubeRay has not let go of RayService {runtime.name} yet" if left else None

        yield from wait("remove", look, seconds, poll=POLL)

    def mend(self) -> Flow[None]:
        """Have every object of the service as the releases say, and none beside: a run that was
        killed may have left some of a runtime that has gone. What is so is not written."""
        for runtime in self.live().runtimes:
            if runtime.deleting:
                yield from self.delete_runtime(runtime)
        desired = self.desired()
        if desired.active:
            self._apply(self.manifests(desired))
            self._prune(desired, (*AROUND, "NetworkPolicy"))

    def tell(self, number: int, reason: str, message: str) -> None:
        """Tell what was done with a release, as an event of the RayService that has it."""
        holder = self.live().holding(number)
        if holder is not None:
            note(self._client, holder.document, reason, message)

    # What a step is made of

    def _apply(self, manifests: tuple[Manifest, ...]) -> None:
        self._guard()
        apply_all(self._client, manifests, force=self._take_ownership)

    def _move(self, desired: Desired) -> None:
        self._apply(rendering.moving(self.manifests(desired)))

    def _around(self, desired: Desired, kinds: tuple[str, ...]) -> None:
        """Have what stands around the runtimes be as the releases say that stay: budgets keep fewer
        pods, and what only the others asked for, such as a way in from outside, goes."""
        if desired.active:  # else the next release says what it wants, or all of it is taken away
            with contextlib.suppress(Conflicted):  # another's edit stays, and is no reason to stop
                self._apply(rendering.around(self.manifests(desired)))
            self._prune(desired, kinds)

    def _prune(self, desired: Desired, kinds: tuple[str, ...]) -> None:
        self._guard()
        keep = [key_of(manifest) for manifest in self.manifests(desired)]
        prune(self._client, self._namespace, self._service, keep, kinds)

    def _longest_drain(self) -> float:
        """Seconds that pods of any release, told to end, may wait for their last answers."""
        releases = self._store.read(self._service)[0].releases
        return max((release.plan.drain_seconds for release in releases), default=0.0)

    def _has_failed(self, release: Release) -> bool:
        """Whether Serve has given the release up, and nothing of it answers."""
        holder = self.live().holding(release.number)
        seen = holder.find(release.number) if holder else None
        if holder is None or seen is None or seen.phase is not Phase.FAILED:
            return False
        found = self.gateways(holder.id)
        where = found.replica_ips(application_name(self._service, release.number))
        return not found.ready if where is None else not where

    def _until_replaceable(self, runtime: str) -> Flow[None]:
        """Wait until a runtime of this id that is being deleted has gone."""

        def look() -> str | None:
            ending = [r.name for r in self.live().runtimes if r.id == runtime and r.deleting]
            return f"RayService {ending[0]} is still being deleted" if ending else None

        yield from wait("stage", look, GONE_SECONDS, poll=POLL)

    def _await_ready(self, runtime: str, release: Release, seconds: float) -> Flow[None]:
        """Wait until the release's replicas are up.

        Raises:
            TargetError: With the real cause, as soon as waiting longer cannot help.
        """
        patience = Patience(lambda: self._why(runtime))

        def look() -> str | None:
            few: str | None = None
            holder = self.live().runtime(runtime)
            seen = holder.find(release.number) if holder else None
            if seen is not None and seen.phase is Phase.READY:
                few = self._few(runtime, release)
                if few is None:
                    return None
            if seen is not None and seen.phase is Phase.FAILED:
                raise TargetError(
                    f"release {release.number} did not start: {last_sentence(seen.message)}",
                    hint=f"llmops logs {self._service} --release {release.number}",
                )
            if patience.due:
                # KubeRay may have made the Ray cluster of an older RayService meanwhile.
                self._scale(_holder(self.desired(), release.number))
            reason = patience.reason()
            if patience.ended:
                raise TargetError(
                    f"release {release.number} cannot start: {reason.text}", hint=reason.hint
                )
            return few or reason.text

        try:
            yield from wait("stage", look, seconds, poll=POLL)
        except TargetError as error:
            if error.hint or not patience.hint:
                raise
            raise TargetError(error.message, hint=patience.hint) from error

    def _few(self, runtime: str, release: Release) -> str | None:
        """What is waited for of a release on its way that can be asked; None for nothing.

        Serve calls one ready that grows, too, however few of its replicas answer.
        """
        if release.state is not State.STAGING:
            return None
        return self.gateways(runtime).missing(self._service, release.number)

    def _await_table(self, runtime: Runtime, phase: str, *, quietly: bool = False) -> Flow[None]:
        """Wait until every gateway that may get clients uses the runtime's routing table.

        `quietly`: whether it goes on all the same when that takes too long.
        """

        def look() -> str | None:
            found = self.gateways(runtime.id)
            if not found.ready:
                return f"no gateway of {names.rayservice(self._service, runtime.id)} is ready"
            late = found.behind(runtime.generation)
            if mute := sorted({*late} & {*found.silent}):
                return (
                    f"gateway {mute[0]} is ready, and does not answer the API server on port"
                    f" {names.OPS_PORT}: a network policy may forbid it"
                )
            if late:
                return f"{len(late)} of {len(found.ready)} gateways take over the routing table"
            return None

        yield from wait(phase, look, HANDOVER_SECONDS, expire_quietly=quietly, poll=POLL)

    def _await_door(self, runtime: str) -> Flow[None]:
        """Wait until the Service leads to this runtime's gateways and to no other's."""
        labels = {"kubernetes.io/service-name": self._service}

        def look() -> str | None:
            wanted = {pod["metadata"]["name"] for pod in self.pods(runtime, names.GATEWAY)}
            slices = self._client.list("EndpointSlice", self._namespace, labels)
            ends = [e for s in slices for e in s.get("endpoints") or [] if _serves(e)]
            led = {e.get("targetRef", {}).get("name", "") for e in ends}
            if led and led <= wanted:
                return None
            return f"the Service takes over the gateways of {self._service}-{runtime}"

        yield from wait("shift", look, HANDOVER_SECONDS, poll=POLL)

    def _scale(self, runtime: Runtime, *, fewer: bool = False) -> None:
        """Have as many replica pods as the runtime's releases need, once KubeRay has made its
        Ray cluster. With `fewer`, those that no release needs any more go; else there are only ever
        more."""
        holder = self.live().runtime(runtime.id)
        if holder is None or not holder.raycluster:
            return
        found = self._client.get("RayCluster", holder.raycluster, self._namespace)
        surplus = 0 if found is None or runtime.autoscaled else scaling.count(found) - runtime.pods
        if surplus > 0 and not fewer:
            return
        leaving = self._idle(runtime)[:surplus] if surplus > 0 else ()
        self._guard()
        scaling.scale(self._client, self._namespace, holder.raycluster, runtime, leaving)

    def _idle(self, runtime: Runtime) -> tuple[str, ...]:
        """Names of the pods that no replica of the runtime's releases runs on.

        Raises:
            TargetError: When no gateway tells: no pod is then given up, since any may be needed.
        """
        found = self.gateways(runtime.id)
        kept: set[str] = set()
        for release in runtime.releases:
            where = found.replica_ips(application_name(self._service, release.number))
            if where is None:
                raise TargetError(
                    f"no gateway of {self._service}-{runtime.id} tells on which pods replicas run",
                    hint="deploy again: it goes on from here",
                )
            kept |= where
        pods = self.pods(runtime.id, names.REPLICA)
        return tuple(
            sorted(p["metadata"]["name"] for p in pods if p["status"].get("podIP") not in kept)
        )

    def _await_gone(self, runtime: str, number: int, seconds: float) -> Flow[None]:
        def look() -> str | None:
            holder = self.live().runtime(runtime)
            left = holder is not None and holder.find(number) is not None
            return f"release {number} ends its replicas" if left else None

        yield from wait("remove", look, seconds, poll=POLL)


def _holder(desired: Desired, number: int) -> Runtime:
    runtime = desired.holding(number)
    if runtime is None:
        raise TargetError(f"release {number} of {desired.service} is in no runtime")
    return runtime


def _serves(endpoint: Manifest) -> bool:
    conditions = endpoint.get("conditions", {})
    return conditions.get("ready") is not False or conditions.get("serving") is True


def last_sentence(message: str) -> str:
    """The line of a Serve message that says what happened: its last."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "Serve gave no reason"
