"""Why the API server does not let KubeRay make pods: from its words, as KubeRay passes them on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clusters.evidence import Found, Reason, one_line

CREATION = ("FailedToCreateHeadPod", "FailedToCreateWorkerPod", "FailedCreate")
"""Reasons of events that tell of pods which could not be made."""


@dataclass(frozen=True, slots=True)
class _Form:
    """A form of refusal: its pattern's groups fill the text."""

    pattern: re.Pattern[str]
    text: str
    hint: str
    hopeless: bool = True


def _form(pattern: str, text: str, hint: str, *, hopeless: bool = True) -> _Form:
    return _Form(re.compile(pattern, re.DOTALL), text, hint, hopeless)


_FORMS = (
    _form(
        r"failed quota: (?P<quota>[^:]+): must specify (?P<what>.+)$",
        "ResourceQuota {quota} wants every container to specify {what}",
        "the quota is not made for these pods: use another namespace, or have it changed",
    ),
    _form(
        r'violates PodSecurity "(?P<level>[^"]+)": (?P<why>.+)$',
        "its pods violate the Pod Security level {level}: {why}",
        "take the setting out that needs it, or use a namespace whose label"
        " pod-security.kubernetes.io/enforce allows it",
    ),
    _form(
        r'admission webhook "(?P<who>[^"]+)" denied the request(?:: (?P<why>.+))?$',
        "its pods are denied by {who}: {why}",
        "this cluster's own rule says no; whoever runs it knows what it wants",
    ),
    _form(
        r"ValidatingAdmissionPolicy '(?P<who>[^']+)'.*? denied request: (?P<why>.+)$",
        "its pods are denied by the policy {who}: {why}",
        "this cluster's own rule says no; whoever runs it knows what it wants",
    ),
    _form(
        r'failed calling webhook "(?P<who>[^"]+)": (?P<why>.+)$',
        "the admission webhook {who} does not answer: {why}",
        "no pod can be made until it answers: look at the pods behind it",
        hopeless=False,
    ),
    _form(
        r"error looking up service account [^:]*: serviceaccount \"(?P<name>[^\"]+)\" not found",
        "the ServiceAccount {name} of its pods is not there",
        "somebody has deleted it: deploy again",
    ),
    _form(
        r"no PriorityClass with name (?P<name>\S+) was found",
        "the PriorityClass {name} of its pods is not there",
        "somebody has deleted it: deploy again",
    ),
    _form(
        r"is forbidden: (?P<why>(?:maximum|minimum) .+ per (?:Container|Pod) is .+)$",
        "the namespace's LimitRange does not take its pods: {why}",
        "have the LimitRange changed, or use another namespace",
    ),
    _form(
        r'is forbidden: User "(?P<who>[^"]+)" cannot (?P<why>.+)$',
        "KubeRay's operator ({who}) may not {why}",
        "its rights do not cover this namespace: see how KubeRay was installed",
    ),
    _form(
        r"because it is being terminated",
        "the namespace is being deleted",
        "use another namespace, or wait until it is gone and make it again",
    ),
    _form(
        r"(?:Pod|pods) \"[^\"]+\" is invalid: (?P<why>.+)$",
        "the API server does not take its pods: {why}",
        "the cluster may be too old for what is asked of it: `kubectl version`",
    ),
)


_QUOTA = re.compile(
    r"exceeded quota: (?P<quota>[^,]+), requested: (?P<asked>.+?), used: (?P<used>.+?),"
    r" limited: (?P<limit>.+)$",
    re.DOTALL,
)


def read(message: str) -> Reason:
    """What a refusal means. One of no known form is passed on, and may still pass."""
    if quota := _QUOTA.search(message.strip()):
        return _exceeded(quota)
    for form in _FORMS:
        if match := form.pattern.search(message.strip()):
            said = match.groupdict("without a reason")
            given = {key: one_line(words) for key, words in said.items()}
            return Reason(form.text.format(**given), form.hint, form.hopeless)
    return Reason(f"KubeRay cannot make its pods: {one_line(message)}")


def _exceeded(quota: re.Match[str]) -> Reason:
    """A quota's figures: each is a list such as `pods=1,requests.nvidia.com/gpu=8`."""
    asked, used, limit = (
        dict(pair.partition("=")[::2] for pair in quota[name].split(","))
        for name in ("asked", "used", "limit")
    )
    figures = "; ".join(
        f"{what}: {more} more asked for, {used.get(what, '?')} of {limit.get(what, '?')} used"
        for what, more in asked.items()
    )
    return Reason(
        f"ResourceQuota {quota['quota']} lets no more pods in: {figures}",
        "free what is used, or have the quota raised",
        hopeless=True,
    )


def in_events(found: Found) -> Iterator[Reason]:
    """The last refusal that events tell of, while there are fewer pods than there should be.

    An event outlives what it tells of, and KubeRay does not take it back.
    """
    for cluster in found.rayclusters:
        wanted = (cluster.get("status") or {}).get("desiredWorkerReplicas", 0) + 1
        told = [e for e in found.events_of(cluster) if e.get("reason") in CREATION]
        if told and len(found.present()) < wanted:
            yield read(told[-1].get("message") or "")
