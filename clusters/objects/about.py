"""What the objects around a runtime have in common: a sentence that says why, and whose wishes.

Most of these objects exist once per service, while each runtime has a target of its own. What pods
of two runtimes need side by side (networks, priorities) is made per runtime; of what can be there
once only, one runtime speaks.
"""

from __future__ import annotations

from lightkube.models import meta_v1

from clusters.model import Runtime, ServiceState
from clusters.objects import labels

DESCRIPTION = "kubernetes.io/description"
"""Kubernetes' own annotation for what an object is for."""


def described(
    state: ServiceState, name: str, component: str, why: str, runtime: str | None = None
) -> meta_v1.ObjectMeta:
    """Metadata of an object of the service's, with the reason for it as an annotation."""
    return labels.metadata(
        name,
        state.namespace,
        state.service,
        component,
        runtime,
        annotations={DESCRIPTION: why},
    )


def leading(state: ServiceState) -> Runtime | None:
    """The runtime whose target decides over what exists once: the active one.

    Before any is active it is the one with the newest release, and None when there is no runtime.
    """
    active = [runtime for runtime in state.runtimes if runtime.id == state.active]
    return max(active or state.runtimes, key=_newest, default=None)


def _newest(runtime: Runtime) -> int:
    return max((release.number for release in runtime.releases), default=0)
