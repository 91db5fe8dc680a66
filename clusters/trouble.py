"""What an API server's refusals mean, as errors that say what to do next.

Pure: from a status code and the `Status` object that came with it. Whoever asked says what for
(`About`), so that a message names the object. Broken connections are in `clusters.broken`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llmops.errors import InputError, LlmopsError, RefusedError, TargetError, UnreachableError

KUBERAY = "1.7"
"""First version of KubeRay that has every field that llmops sets."""

_INSTALL = {
    "ray.io": f"install KubeRay {KUBERAY} or newer: its Helm chart is called kuberay-operator",
    "gateway.networking.k8s.io": "install the CRDs of the Gateway API, or choose"
    " `target.expose.kind: ingress`",
    "cert-manager.io": "install cert-manager, or take `target.expose.issuer` out",
    "monitoring.coreos.com": "install the Prometheus Operator, or set `target.monitoring: false`",
    "kueue.x-k8s.io": "install Kueue, or take `target.queue` out",
}


@dataclass(frozen=True, slots=True)
class About:
    """What was asked: `verb` as RBAC calls it (`patch`, `list`). Names may be empty."""

    verb: str
    kind: str
    name: str = ""
    namespace: str = ""
    group: str = ""
    plural: str = ""

    def __str__(self) -> str:
        what = f"{self.kind}/{self.name}" if self.name else self.kind
        return f"{what} in namespace {self.namespace}" if self.namespace else what


@dataclass(frozen=True, slots=True)
class Owned:
    """A field that somebody else manages. `field` is a path such as `.spec.replicas`."""

    manager: str
    field: str


class Unreachable(UnreachableError):
    """There was no answer. `passing`: whether asking again may help."""

    def __init__(self, message: str, *, hint: str = "", passing: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing


class Unauthorised(InputError):
    """The API server does not know who asks: the credentials have expired or are wrong."""


class Forbidden(RefusedError):
    """RBAC does not allow it."""


class Rejected(RefusedError):
    """An admission rule or the object's schema says no. `reasons` holds each reason alone."""

    def __init__(self, message: str, *, hint: str = "", reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.reasons = reasons


class NotFound(RefusedError):
    """The object is not there, or its namespace is not."""


class NotServed(RefusedError):
    """The API server does not know the kind, or not the fields that llmops sets."""


class Exists(RefusedError):
    """There is an object of that name already."""


class Changed(RefusedError):
    """Somebody else has written the object since it was read."""


class Conflicted(RefusedError):
    """Others own fields that were to be set to other values."""

    def __init__(self, message: str, *, hint: str, owned: tuple[Owned, ...]) -> None:
        super().__init__(message, hint=hint)
        self.owned = owned


class Busy(RefusedError):
    """The API server does not do it now (429): it is busy, or a disruption budget forbids it."""


@dataclass(frozen=True, slots=True)
class _Status:
    """The parts of a `Status` object that say something."""

    code: int
    reason: str
    message: str
    causes: tuple[tuple[str, str, str], ...]
    """Reason, message and field of each cause."""
    named: str
    """Plural name of the resource that it is about."""
    known: bool
    """Whether the answer was a `Status` at all: for unknown paths it is plain text."""


def refusal(code: int, body: bytes, about: About, ended: str = "") -> LlmopsError:
    """The error that stands for an answer of 400 or more.

    Args:
        ended: What is known to be wrong with the credentials, as a sentence.
    """
    status = _parsed(code, body)
    if code == 401:
        return _unauthorised(ended)
    for matches, error in _RULES:
        if matches(status):
            return error(status, about)
    return TargetError(
        f"the API server failed at {about}: {code} {status.message}",
        hint="run it again; when it stays so, look at the API server's own log",
    )


def _parsed(code: int, body: bytes) -> _Status:
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if not isinstance(data, dict) or data.get("kind") != "Status":
        text = body.decode("utf-8", "replace").strip()
        return _Status(code, "", text[:300], (), "", known=False)
    details: dict[str, Any] = data.get("details") or {}
    causes = tuple(
        (cause.get("reason", ""), cause.get("message", ""), cause.get("field", ""))
        for cause in details.get("causes") or ()
    )
    message = str(data.get("message") or data.get("reason") or "")
    named = str(details.get("kind") or "")
    return _Status(code, str(data.get("reason") or ""), message, causes, named, known=True)


def _unauthorised(ended: str) -> LlmopsError:
    return Unauthorised(
        "the API server does not accept the credentials: "
        + (ended or "they have expired or are not its own"),
        hint="log in to the cluster again; `kubectl auth whoami` shows whether that helped",
    )


_ESCALATION = re.compile(r'user "([^"]*)".* is attempting to grant RBAC permissions')

_RBAC = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)"'
    r'(?: in API group "(?P<group>[^"]*)")?'
)


def _forbidden(status: _Status, about: About) -> LlmopsError:
    found = _RBAC.search(status.message)
    if found is None:
        return _not_allowed(status, about)
    user, verb, group = found["user"], found["verb"], found["group"] or about.group
    plural, _, sub = found["resource"].partition("/")
    dotted = f"{plural}.{group}" if group else plural
    where = f" in namespace {about.namespace}" if about.namespace else " in the whole cluster"
    scope = f" -n {about.namespace}" if about.namespace else ""
    part = f" --subresource={sub}" if sub else ""
    return Forbidden(
        f"{user} may not {verb} {dotted}{'/' + sub if sub else ''}{where}",
        hint="a Role or ClusterRole must allow it; try"
        f" `kubectl auth can-i {verb} {dotted}{part}{scope}`",
    )


def _not_allowed(status: _Status, about: About) -> LlmopsError:
    """Admission without a form of its own: the reason stands behind a fixed opening."""
    _, opening, rest = status.message.partition(" is forbidden: ")
    why = rest if opening else status.message
    return Rejected(f"{about} is not allowed: {why}", reasons=(why,))


def _escalating(status: _Status, about: About) -> LlmopsError:
    user, rules = _ESCALATION.search(status.message), status.message.partition("held:\n")[2]
    lacking = tuple(line.strip() for line in rules.splitlines() if line.strip())
    return Forbidden(
        f"{user[1] if user else 'the user'} may not grant rights in {about} that it does not have"
        f" itself: {'; '.join(lacking)}",
        hint="whoever deploys needs those rights too, or the verb `escalate` on roles",
    )


def _quota(status: _Status, about: About) -> LlmopsError:
    figures = status.message.partition("exceeded quota: ")[2]
    return Rejected(
        f"{about} would exceed the ResourceQuota {figures}",
        hint="free what is used, or have the quota raised:"
        f" `kubectl describe resourcequota -n {about.namespace}`",
        reasons=(figures,),
    )


def _pod_security(status: _Status, about: About) -> LlmopsError:
    level, _, text = status.message.partition('violates PodSecurity "')[2].partition('": ')
    reasons = _split(text)
    return Rejected(
        f"{about} violates the Pod Security level {level}: " + "; ".join(reasons),
        hint="take the setting out that needs it, or use a namespace whose label"
        " pod-security.kubernetes.io/enforce allows it",
        reasons=reasons,
    )


def _split(text: str) -> tuple[str, ...]:
    """Reasons apart: commas within parentheses belong to a reason."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return tuple(part for part in (*parts, text[start:].strip()) if part)


_DENIED = re.compile(
    r"admission webhook \"(?P<hook>[^\"]+)\" denied the request(?:: )?(?P<why>.*)"
    r"|ValidatingAdmissionPolicy '(?P<policy>[^']+)'.*? denied request: (?P<reason>.*)",
    re.DOTALL,
)


def _denied(status: _Status, about: About) -> LlmopsError:
    found = _DENIED.search(status.message)
    who = (found and (found["hook"] or found["policy"])) or "an admission rule"
    why = (found and (found["why"] or found["reason"])) or "without a reason"
    return Rejected(
        f"{about} was denied by {who}: {why.strip()}",
        hint="this cluster's own rule says no; whoever runs it knows what it wants",
        reasons=(why.strip(),),
    )


def _webhook_down(status: _Status, about: About) -> LlmopsError:
    name = re.search(r'failed calling webhook "([^"]+)"', status.message)
    why = status.message.rpartition(": ")[2]
    return TargetError(
        f"the admission webhook {name[1] if name else ''} did not answer for {about}: {why}",
        hint="nothing of its kinds can be written until it answers; look at its pods",
    )


_KUBELET = re.compile(r'"https://(?P<node>[^:/"]+):\d+/containerLogs/[^"]*": (?P<why>.*)')


def _kubelet_away(status: _Status, about: About) -> LlmopsError:
    found = _KUBELET.search(status.message)
    node, why = (found["node"], found["why"]) if found else ("", status.message)
    return Unreachable(
        f"the API server does not reach the kubelet of node {node}, which has the log of {about}:"
        f" {why}",
        hint=f"`kubectl get node {node}` tells how it is; its logs can be read when it answers",
    )


def _terminating(_: _Status, about: About) -> LlmopsError:
    return Rejected(
        f"namespace {about.namespace} is being deleted, so {about} cannot be made there",
        hint="wait until it is gone and make it again, or use another namespace",
    )


def _not_served(_: _Status, about: About) -> LlmopsError:
    return NotServed(
        f"the cluster does not know objects of kind {about.kind}"
        + (f" ({about.plural}.{about.group})" if about.group else ""),
        hint=_INSTALL.get(about.group, "its CustomResourceDefinition must be installed first"),
    )


def _not_found(status: _Status, about: About) -> LlmopsError:
    if status.named == "namespaces" and about.kind != "Namespace":
        return NotFound(
            f"there is no namespace {about.namespace}",
            hint=f"make it: `kubectl create namespace {about.namespace}`",
        )
    return NotFound(f"there is no {about}")


_UNKNOWN = re.compile(r'unknown field "(?P<quoted>[^"]+)"|(?P<bare>\.[^\s:,]+): field not declared')


def _unknown_field(status: _Status, about: About) -> LlmopsError:
    names = tuple(m["quoted"] or m["bare"].lstrip(".") for m in _UNKNOWN.finditer(status.message))
    old = {"ray.io": f"; KubeRay {KUBERAY} or newer is needed, with its CRDs"}
    return NotServed(
        f"the cluster's {about.kind} has no field {', '.join(names)}: its definition is too old",
        hint=f"update the CustomResourceDefinition {about.plural}.{about.group}"
        + old.get(about.group, "")
        if about.group.count(".")
        else "update the cluster",
    )


def _conflicted(status: _Status, about: About) -> LlmopsError:
    owned = tuple(
        Owned(_manager(message), path)
        for reason, message, path in status.causes
        if reason == "FieldManagerConflict"
    )
    told = ", ".join(f"{one.field} (set by {one.manager})" for one in owned)
    return Conflicted(
        f"others have set fields of {about}: {told}",
        hint="`llmops diff` shows them; `--take-ownership` sets them to what the release says",
        owned=owned,
    )


def _manager(message: str) -> str:
    found = re.search(r'conflict with "([^"]*)"', message)
    return found[1] if found else message


def _exists(_: _Status, about: About) -> LlmopsError:
    return Exists(f"there is a {about} already")


def _changed(_: _Status, about: About) -> LlmopsError:
    return Changed(
        f"{about} was changed by somebody else since it was read",
        hint="run it again: it then starts from what is there now",
    )


_PATTERN = re.compile(r" \(e\.g\. .*regex used for validation is '.*'\)$")


def _invalid(status: _Status, about: About) -> LlmopsError:
    said = ((path, _PATTERN.sub("", message)) for _, message, path in status.causes)
    reasons = tuple(f"{path}: {why}" if path.strip("[]") else why for path, why in said)
    return Rejected(
        f"{about} is not valid: " + ("; ".join(reasons) or status.message), reasons=reasons
    )


def _wrong_type(status: _Status, about: About) -> LlmopsError:
    why = status.message.partition("Kind=")[2].partition(": ")[2]
    return Rejected(f"{about} is not valid: {why}", reasons=(why,))


def _busy(status: _Status, _: About) -> LlmopsError:
    why = "; ".join(message for _, message, _ in status.causes) or status.message
    return Busy(f"not now: {why}", hint="try again later")


def _bad_request(status: _Status, about: About) -> LlmopsError:
    return Rejected(f"the API server refuses {about}: {status.message}", reasons=(status.message,))


_Rule = tuple[Callable[[_Status], object], Callable[[_Status, About], LlmopsError]]

_RULES: tuple[_Rule, ...] = (
    (lambda s: "failed calling webhook" in s.message, _webhook_down),
    (lambda s: _KUBELET.search(s.message), _kubelet_away),
    (lambda s: _DENIED.search(s.message), _denied),
    (lambda s: "exceeded quota: " in s.message, _quota),
    (lambda s: "violates PodSecurity" in s.message, _pod_security),
    (lambda s: _UNKNOWN.search(s.message), _unknown_field),
    (lambda s: "because it is being terminated" in s.message, _terminating),
    (lambda s: _ESCALATION.search(s.message), _escalating),
    (lambda s: s.code == 403, _forbidden),
    (lambda s: s.code == 404 and not s.known, _not_served),
    (lambda s: s.code == 404, _not_found),
    (lambda s: any(c[0] == "FieldManagerConflict" for c in s.causes), _conflicted),
    (lambda s: s.reason == "AlreadyExists", _exists),
    (lambda s: s.code == 409, _changed),
    (lambda s: s.code == 422, _invalid),
    (lambda s: "failed to create typed patch object" in s.message, _wrong_type),
    (lambda s: s.code == 429, _busy),
    (lambda s: s.code in {400, 413, 415}, _bad_request),
)
"""First match wins: what the message says is more exact than the code."""
