"""One service as it is in a cluster now, and as it should be. Only looks.

Nothing is remembered between two looks, so that what somebody else did in between is seen.
"""

from __future__ import annotations

from clusters import gateways, names, quantities, rendering
from clusters.desired import Desired, as_it_is
from clusters.gateways import Gateways
from clusters.live import Live, read_live
from clusters.model import Manifest
from clusters.ports import Reader
from llmops.releases import ReleaseStore


class Sight:
    """Looks at one service."""

    def __init__(self, client: Reader, namespace: str, service: str, store: ReleaseStore) -> None:
        self._reader = client
        self._namespace = namespace
        self._service = service
        self._store = store

    def live(self) -> Live:
        """What is in the cluster now."""
        found = self._reader.list("RayService", self._namespace, {names.SERVICE: self._service})
        door = self._reader.get("Service", self._service, self._namespace)
        return read_live(self._service, found, door)

    def desired(self) -> Desired:
        """What is there as what should be."""
        return as_it_is(self.live(), self._store.read(self._service)[0])

    def pods(self, runtime: str, role: str) -> list[Manifest]:
        """The pods of a runtime that have a role."""
        labels = {names.SERVICE: self._service, names.RUNTIME: runtime, names.ROLE: role}
        return self._reader.list("Pod", self._namespace, labels)

    def gateways(self, runtime: str) -> Gateways:
        """What the runtime's gateways have taken over."""
        return gateways.ask(self._reader, self._namespace, self.pods(runtime, names.GATEWAY))

    def manifests(self, desired: Desired) -> tuple[Manifest, ...]:
        """Every object of the service as it should be."""
        return rendering.objects(desired, self._namespace, self._api_server(), self._claimed())

    def _claimed(self) -> int:
        labels = {names.MANAGED_BY: names.MANAGER, names.SERVICE: self._service}
        claims = self._reader.list("PersistentVolumeClaim", self._namespace, labels)
        asked = (claim["spec"]["resources"]["requests"]["storage"] for claim in claims)
        return max((quantities.whole(one) for one in asked), default=0)

    def _api_server(self) -> tuple[str, ...]:
        slices = self._reader.list(
            "EndpointSlice", "default", {"kubernetes.io/service-name": "kubernetes"}
        )
        found = {a for s in slices for e in s.get("endpoints") or [] for a in e["addresses"]}
        return tuple(sorted(found))


__all__ = ["Sight"]
