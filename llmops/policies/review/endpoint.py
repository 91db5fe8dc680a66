"""Who can reach the endpoint and how, where it runs, and what is kept in the clear."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Literal

from llmops.policies.findings import Finding
from llmops.policies.layers import Decided, Effective
from llmops.policies.review.subject import Subject, against, at, shown
from llmops.spec import AgentTarget, CloudTarget, LocalTarget

Exposure = Literal["machine", "network", "internet"]


def check_endpoint(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about `target`."""
    held = effective.decided
    if bound := held.get("security.exposure"):
        yield from _exposure(bound, subject)
    if bound := held.get("security.tls"):
        yield from _tls(bound, subject)
    if bound := held.get("security.regions"):
        yield from _regions(bound, subject)
    if bound := held.get("security.encryption"):
        yield from _encryption(bound, subject)


def exposure(subject: Subject) -> tuple[Exposure, str]:
    """From how far away the endpoint can be reached, and the field that says so.

    A Service of a cluster without a route is reached from the cluster alone.
    """
    target = subject.deployment.target
    if isinstance(target, AgentTarget) and target.reach != "host":
        return target.reach, "target.reach"
    if isinstance(target, LocalTarget):
        return ("machine" if _loopback(target.host) else "network"), "target.host"
    if isinstance(target, CloudTarget):
        return target.reach, "target.endpoint.public"
    shown_outside = target.expose.kind != "none"
    return ("internet" if shown_outside else "machine"), "target.expose.kind"


_CLOSED = {
    "target.host": "127.0.0.1",
    "target.reach": "machine",
    "target.expose.kind": "none",
    "target.endpoint.public": "false",
}
"""By field: what shows the endpoint least."""


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: who it means is not for us to say
        return False


def _exposure(bound: Decided, subject: Subject) -> Iterator[Finding]:
    reach, path = exposure(subject)
    if not bound.admits(reach):
        closed = _CLOSED[path]
        yield against(
            bound, reach, path,
            f"the endpoint can be reached from {_from(reach)}, and only {bound.value} is allowed",
            proof=f"{path}: {at(subject.deployment, path)}", fix=f"set {path}: {closed}",
        )  # fmt: skip


def _from(reach: Exposure) -> str:
    return {"machine": "this machine", "network": "its network", "internet": "the internet"}[reach]


def _tls(bound: Decided, subject: Subject) -> Iterator[Finding]:
    """An Ingress, a Gateway and a load balancer end TLS: only a machine's own endpoint can lack
    it."""
    target = subject.deployment.target
    if isinstance(target, AgentTarget) and target.reach != "host":
        return
    if not bound.value or not isinstance(target, LocalTarget) or _loopback(target.host):
        return
    if at(subject.deployment, "target.tls") is None:
        yield against(
            bound, False, "target.host",
            f"the endpoint listens on {target.host} and speaks plain HTTP",
            proof="target.tls is not set",
            fix="set target.tls, or listen on 127.0.0.1 behind a TLS proxy",
        )  # fmt: skip


def _regions(bound: Decided, subject: Subject) -> Iterator[Finding]:
    """On a cluster the context stands for the region; this machine has neither."""
    if isinstance(subject.deployment.target, CloudTarget):
        yield from _region(bound, subject.deployment.target.region)
        return
    target = subject.cluster
    if target is None:
        return
    context = target.context or ""
    if not bound.admits(context):
        lists = "; and in ".join(shown(patterns) for patterns in bound.value)
        what = f"it may not run in {context}" if context else (
            "the file does not say which cluster it is for, and only some are allowed"
        )  # fmt: skip
        yield against(
            bound, context, "target.context", what, fix=f"set target.context to one of {lists}"
        )


def _region(bound: Decided, region: str) -> Iterator[Finding]:
    if not bound.admits(region):
        lists = "; and in ".join(shown(patterns) for patterns in bound.value)
        yield against(
            bound, region, "target.region", f"it may not run in {region}",
            fix=f"set target.region to one of {lists}",
        )  # fmt: skip


def _encryption(bound: Decided, subject: Subject) -> Iterator[Finding]:
    """What this version lets one say is the Redis that keeps a head's state."""
    redis = subject.cluster.redis if subject.cluster else None
    if bound.value and redis and not redis.address.startswith("rediss://"):
        yield against(
            bound, False, "target.redis.address",
            "the head's state goes to its Redis in the clear",
            proof=redis.address, fix="write rediss://, and have that Redis speak TLS",
        )  # fmt: skip
