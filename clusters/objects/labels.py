"""Labels and metadata of everything that is made: what selectors, pruning and people go by."""

from __future__ import annotations

from lightkube.models import meta_v1

from clusters import names


def labels(service: str, component: str, runtime: str | None = None) -> dict[str, str]:
    """Labels of an object of `service`.

    Args:
        service: The service it belongs to.
        component: Its part in the service, such as `gateway`, `network`.
        runtime: Id of the runtime, for what belongs to one only.
    """
    common = {
        names.NAME: names.MANAGER,
        names.INSTANCE: service,
        names.COMPONENT: component,
        names.MANAGED_BY: names.MANAGER,
        names.SERVICE: service,
    }
    return common | ({names.RUNTIME: runtime} if runtime else {})


def selector(service: str, role: str, runtime: str | None = None) -> dict[str, str]:
    """Labels by which a service's pods of `role` are found; of one runtime, or of all.

    Only the labels of our own prefix: those of `app.kubernetes.io` are for people and dashboards,
    and KubeRay writes some of them itself.
    """
    found = {names.SERVICE: service, names.ROLE: role}
    return found | ({names.RUNTIME: runtime} if runtime else {})


def metadata(
    name: str,
    namespace: str | None,
    service: str,
    component: str,
    runtime: str | None = None,
    *,
    annotations: dict[str, str] | None = None,
    extra: dict[str, str] | None = None,
) -> meta_v1.ObjectMeta:
    """Metadata of an object of `service`.

    Args:
        name: The object's name.
        namespace: Its namespace; None for an object of the whole cluster.
        service: The service it belongs to.
        component: As for `labels`.
        runtime: As for `labels`.
        annotations: Annotations, where there are any.
        extra: Labels beside ours, such as the queue's.
    """
    return meta_v1.ObjectMeta(
        name=name,
        namespace=namespace,
        labels=labels(service, component, runtime) | (extra or {}),
        annotations=annotations,
    )
