"""Why a runtime does not come up: what may explain it is gathered here, and explained elsewhere.

Nothing here is needed for anything else, so what a user may not see is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from clusters import names
from clusters.model import Manifest
from clusters.ports import Reader
from clusters.reasons import Found, Reason, explain
from clusters.trouble import Forbidden


def why(client: Reader, namespace: str, service: str, runtime: str) -> Reason:
    """The reason that tells most, from the runtime's objects and events."""

    def read(
        kind: str, labels: Mapping[str, str] | None = None, where: str = namespace
    ) -> list[Manifest]:
        try:
            return client.list(kind, where, labels or {})
        except Forbidden:
            return []

    ours = {names.SERVICE: service, names.RUNTIME: runtime}
    return explain(
        Found(
            rayservices=read("RayService", ours),
            rayclusters=read("RayCluster", ours),
            pods=read("Pod", ours),
            events=read("Event"),
            claims=read("PersistentVolumeClaim", {names.SERVICE: service}),
            workloads=read("Workload") if client.serves("Workload") else [],
            nodes=read("Node", where=""),
        )
    )
