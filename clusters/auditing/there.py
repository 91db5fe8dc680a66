"""An audit of a service on a cluster: its objects and pods from inside, its endpoint from outside.

Whether a network policy is enforced is not seen from here: that takes a pod to try it from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from clusters import names
from clusters.auditing.around import ENFORCE, exposed_services, foreign_policies, security_of
from clusters.auditing.drifted import drifted, other_versions
from clusters.auditing.pods import (
    Allowed,
    loose_images,
    loose_settings,
    readable_secrets,
    secret_variables,
    strangers,
)
from clusters.auditing.rights import rights
from clusters.model import Manifest
from clusters.ports import NONE
from clusters.shape import shape_of
from clusters.target import ClusterTarget
from llmops.errors import InputError
from llmops.events import Flow
from llmops.policies import Finding
from llmops.releases import Release
from serving.auditing import (
    Address,
    Check,
    Promises,
    Report,
    audit,
    holes,
    leftover_keys,
    policies,
    tampered,
    unchecked,
)


def audit_there(
    target: ClusterTarget, service: str, *, url: str | None = None, only: Sequence[str] = ()
) -> Flow[Report]:
    """Audit a service on a cluster; see `serving.auditing`.

    Args:
        target: The namespace.
        service: The service.
        url: Where clients reach the endpoint; without it, it is asked through the API server,
            which reads requests first, so that some are not tried.
        only: Ids of checks; none is all.

    Raises:
        InputError: When nothing of the service serves there.
    """
    target.history(service)
    live = target.store.read(service)[0].live
    if live is None:
        raise InputError(
            f"{service} has no live release to audit", hint=f"llmops history {service}"
        )
    endpoint = target.endpoint(service)
    address = Address.of(url) if url else Address.of(endpoint.url, endpoint.line)
    promises = Promises(
        service=service,
        limits=live.plan.limits,
        context=int(live.plan.model.context.value),
        tls="clients outside of the cluster reach it" if target.url(service).startswith("https")
        and url else "",
        routes_unknown="an engine on a cluster is not asked for them",
    )  # fmt: skip
    inside = _checks(target, live)
    return (yield from audit(target, address, promises, inside, only=only, few_keys=True))


def _checks(target: ClusterTarget, live: Release) -> tuple[Check, ...]:
    inside = _Inside(target, live)
    return (
        Check("audit.drift", "objects, against the release", inside.drift),
        Check("audit.pod-security", "the namespace's Pod Security", inside.pod_security),
        Check("audit.strangers", "who made the pods", inside.strangers),
        Check("audit.images", "images of pods", inside.images),
        Check("audit.pod-settings", "what pods may do", inside.settings),
        Check("audit.secret-env", "secrets in variables of pods", inside.variables),
        Check("audit.secret-files", "secrets in files of pods", inside.files),
        Check("audit.network", "network policies of others", inside.network),
        Check("audit.exposure", "Services of others", inside.exposure),
        Check("audit.rights", "rights in the namespace", inside.rights),
        Check("audit.versions", "versions of what runs", inside.versions),
        Check("audit.holes", "known holes", inside.holes),
        Check("audit.policy", "the policies that hold", inside.policies),
        Check("audit.leftover-key", "keys of earlier audits", inside.leftovers),
        Check("audit.log", "the audit logs", inside.log),
    )


class _Inside:
    """A service in a namespace, from inside."""

    def __init__(self, target: ClusterTarget, live: Release) -> None:
        self._target = target
        self._live = live
        self._service = live.service
        self._allowed = Allowed.of(live.service, shape_of(live.plan))

    @cached_property
    def _pods(self) -> Sequence[Manifest]:
        return self._list("Pod", {names.SERVICE: self._service})

    @cached_property
    def _told(self) -> Sequence[Mapping[str, str]]:
        """Versions, as each gateway that answers tells them."""
        steps = self._target.steps(self._service)
        found = steps.gateways(steps.live().active).answering
        return [state.get("versions", {}) for state in found]

    def _list(self, kind: str, labels: Mapping[str, str] = NONE) -> Sequence[Manifest]:
        return self._target.client.list(kind, self._target.namespace, labels)

    def drift(self) -> Iterator[Finding]:
        for one in self._target.drift(self._service):
            yield from drifted(one, self._service)

    def pod_security(self) -> Iterator[Finding]:
        found = self._target.client.get("Namespace", self._target.namespace)
        labels = (found or {}).get("metadata", {}).get("labels") or {}
        yield from security_of(self._target.namespace, labels.get(ENFORCE))

    def strangers(self) -> Iterator[Finding]:
        found = self._list("RayCluster", {names.SERVICE: self._service})
        made = {cluster["metadata"]["uid"] for cluster in found}
        for pod in self._pods:
            yield from strangers(pod, made)

    def images(self) -> Iterator[Finding]:
        for pod in self._pods:
            yield from loose_images(pod)

    def settings(self) -> Iterator[Finding]:
        for pod in self._pods:
            yield from loose_settings(pod, self._allowed)

    def variables(self) -> Iterator[Finding]:
        for pod in self._pods:
            yield from secret_variables(pod, self._allowed)

    def files(self) -> Iterator[Finding]:
        for pod in self._pods:
            yield from readable_secrets(pod)

    def network(self) -> Iterator[Finding]:
        yield from foreign_policies(self._list("NetworkPolicy"), self._pods, self._service)

    def exposure(self) -> Iterator[Finding]:
        yield from exposed_services(self._list("Service"), self._pods, self._service)

    def rights(self) -> Iterator[Finding]:
        yield from rights(self._target.client, self._target.namespace, self._service)

    def versions(self) -> Iterator[Finding]:
        if not self._told:
            yield unchecked("versions of what runs", "no gateway tells")
        for told in self._told:
            yield from other_versions(told, self._live)

    def holes(self) -> Iterator[Finding]:
        for told in self._told:
            yield from holes(told)

    def policies(self) -> Iterator[Finding]:
        held = self._target.policies.read()[0].current()
        keys = self._target.keys(self._service)
        yield from policies(held, self._live, keys, None, time.time())

    def leftovers(self) -> Iterator[Finding]:
        keys = self._target.keys(self._service)
        yield from leftover_keys(keys, self._service, time.time())

    def log(self) -> Iterator[Finding]:
        yield from tampered(self._target.verify_audit(self._service), self._service)
