"""An audit of a service on a cluster: its objects and pods from inside, its endpoint from outside.

Whether a network policy is enforced is not seen from here: that takes a pod to try it from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from clusters import names
from clusters.drift import Drift, FieldDrift
from clusters.model import Manifest
from clusters.target import ClusterTarget
from llmops.errors import InputError
from llmops.events import Flow
from llmops.policies import Finding, Severity
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
    unchecked,
)

ENFORCE = "pod-security.kubernetes.io/enforce"
HELD = frozenset({"restricted", "baseline"})


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
        Check("audit.images", "images of pods", inside.images),
        Check("audit.secret-env", "secrets of pods", inside.secrets),
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

    def drift(self) -> Iterator[Finding]:
        for one in self._target.drift(self._service):
            yield from drifted(one, self._service)

    def pod_security(self) -> Iterator[Finding]:
        found = self._target.client.get("Namespace", self._target.namespace)
        labels = (found or {}).get("metadata", {}).get("labels") or {}
        yield from security_of(self._target.namespace, labels.get(ENFORCE))

    def images(self) -> Iterator[Finding]:
        for pod in self._pods():
            yield from loose_images(pod)

    def secrets(self) -> Iterator[Finding]:
        for pod in self._pods():
            yield from secret_variables(pod)

    def holes(self) -> Iterator[Finding]:
        steps = self._target.steps(self._service)
        told = steps.gateways(steps.live().active).answering
        if not told:
            yield unchecked("versions of what runs", "no gateway tells")
        for state in told:
            yield from holes(state.get("versions", {}))

    def policies(self) -> Iterator[Finding]:
        held = self._target.policies.read()[0].current()
        keys = self._target.keys(self._service)
        yield from policies(held, self._live, keys, None, time.time())

    def leftovers(self) -> Iterator[Finding]:
        keys = self._target.keys(self._service)
        yield from leftover_keys(keys, self._service, time.time())

    def log(self) -> Iterator[Finding]:
        yield unchecked("the audit logs", "each gateway's pod has its own, and keeps it")

    def _pods(self) -> Sequence[Manifest]:
        return self._target.client.list(
            "Pod", self._target.namespace, {names.SERVICE: self._service}
        )


def drifted(one: Drift, service: str) -> Iterator[Finding]:
    """An object that is not as the release says."""
    where = f"{one.kind}/{one.name}"
    fix = f"llmops diff {service}; llmops deploy puts it back"
    if one.state == "missing":
        yield Finding("audit.drift", Severity.BLOCK, "", f"{where} is missing", where, fix)
    elif one.state == "extra":
        message = f"{where} is of this service, and in no release"
        yield Finding("audit.drift", Severity.WARN, "", message, where, fix)
    for field in one.fields:
        yield Finding(
            "audit.drift",
            Severity.BLOCK if field.ours else Severity.WARN,
            "",
            f"{where}: {field.path} is not what the release says",
            _field(field),
            fix,
        )


def _field(field: FieldDrift) -> str:
    who = f", set by {field.manager} at {field.time}" if field.manager else ""
    return f"found {_short(field.found)}, the release says {_short(field.wanted)}{who}"


def _short(value: object) -> str:
    return "nothing" if value is None else " ".join(str(value).split())[:120]


def security_of(namespace: str, level: str | None) -> Iterator[Finding]:
    """A namespace that takes any pod: whoever may make one there may take the node."""
    if level not in HELD:
        yield Finding(
            "audit.pod-security", Severity.WARN, "",
            f"namespace {namespace} does not hold pods to a Pod Security standard",
            f"Namespace/{namespace}: {ENFORCE}={level or 'not set'}",
            f"kubectl label namespace {namespace} {ENFORCE}=restricted",
        )  # fmt: skip


def loose_images(pod: Manifest) -> Iterator[Finding]:
    """Images that may be others tomorrow."""
    for container in _containers(pod):
        if "@sha256:" not in container.get("image", ""):
            yield Finding(
                "audit.images", Severity.WARN, "",
                "a pod runs an image that is not pinned by its digest",
                f"Pod/{pod['metadata']['name']}: {container.get('image', '')}",
                "name the image by its digest in the spec: image: NAME@sha256:…",
            )  # fmt: skip


def secret_variables(pod: Manifest) -> Iterator[Finding]:
    """Secrets in variables, which every child process inherits and a crash report may show."""
    for container in _containers(pod):
        for variable in container.get("env") or ():
            if (variable.get("valueFrom") or {}).get("secretKeyRef"):
                yield Finding(
                    "audit.secret-env", Severity.WARN, "",
                    "a pod has a secret in its environment",
                    f"Pod/{pod['metadata']['name']}: {variable['name']}",
                    "mount it as a file",
                )  # fmt: skip


def _containers(pod: Manifest) -> Iterator[Manifest]:
    for kind in ("initContainers", "containers"):
        yield from pod["spec"].get(kind) or ()
