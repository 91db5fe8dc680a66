"""The one address that clients know inside the cluster.

The Service points at the gateways of the active runtime alone: a change of its selector is how
traffic moves between runtimes. KubeRay's own `-serve-svc` is for nobody.
"""

from __future__ import annotations

from lightkube.models import core_v1

from clusters import names
from clusters.model import Manifest, ServiceState
from clusters.objects import labels
from clusters.objects.about import described
from clusters.objects.documents import document

COMPONENT = "door"
NOWHERE = "none"
"""Value of the runtime's label while nothing has been verified; no runtime is called so."""


def door(state: ServiceState) -> Manifest:
    """The Service of the endpoint, port 8000; until a runtime is active it selects no pod."""
    why = "The endpoint: points to the gateways of the runtime that serves."
    port = core_v1.ServicePort(
        name="http", port=names.HTTP_PORT, targetPort=names.HTTP_PORT, protocol="TCP"
    )
    return document(
        core_v1.Service(
            apiVersion="v1",
            kind="Service",
            metadata=described(state, state.service, COMPONENT, why),
            spec=core_v1.ServiceSpec(
                type="ClusterIP",
                selector=labels.selector(state.service, names.GATEWAY, state.active or NOWHERE),
                ports=[port],
            ),
        )
    )
