"""Who has been given rights in the namespace that nobody should have: the pods, and everybody.

A service's pods need none, so that whoever breaks into one has none. Bindings of the whole cluster
are not read: that takes rights that nobody needs for a service.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clusters.auditing.around import is_of
from clusters.model import Manifest
from clusters.ports import Reader
from clusters.trouble import Forbidden
from llmops.policies import Finding, Severity

EVERYBODY = frozenset(
    {"system:anonymous", "system:authenticated", "system:serviceaccounts", "system:unauthenticated"}
)


@dataclass(frozen=True, slots=True)
class Power:
    """A right by which a service can be taken."""

    group: str
    resource: str
    verbs: frozenset[str]
    words: str


POWERS = (
    Power("", "secrets", frozenset({"get", "list", "watch"}), "read its Secrets"),
    Power("", "pods/exec", frozenset({"create", "get"}), "run programs in its pods"),
    Power("", "pods", frozenset({"create"}), "make pods that mount its Secrets"),
    Power("ray.io", "rayservices", frozenset({"create", "patch", "update"}), "change its runtimes"),
)  # fmt: skip


def rights(reader: Reader, namespace: str, service: str) -> Iterator[Finding]:
    """Rights that were given to the service's pods, or by which everybody may take the service."""
    everybody = EVERYBODY | {f"system:serviceaccounts:{namespace}"}
    for binding in reader.list("RoleBinding", namespace):
        subjects = binding.get("subjects") or ()
        ours = is_of(binding, service)
        if not ours and any(_is_account(one, namespace, service) for one in subjects):
            yield _to_pods(binding, service)
        wide = sorted({str(s["name"]) for s in subjects if s.get("name") in everybody})
        if wide and (may := _may(reader, namespace, binding)):
            yield _to_everybody(binding, wide, may)


def _is_account(subject: Manifest, namespace: str, service: str) -> bool:
    named = (subject.get("kind"), subject.get("namespace") or namespace, subject.get("name"))
    return named == ("ServiceAccount", namespace, service)


def _to_pods(binding: Manifest, service: str) -> Finding:
    return Finding(
        "audit.rights", Severity.BLOCK, "",
        f"the pods' ServiceAccount {service} was given rights that no release asks for",
        _told(binding),
        f"kubectl delete rolebinding {binding['metadata']['name']}",
    )  # fmt: skip


def _to_everybody(binding: Manifest, wide: list[str], may: str) -> Finding:
    return Finding(
        "audit.rights", Severity.BLOCK, "",
        f"everybody in {', '.join(wide)} may {may}",
        _told(binding),
        f"kubectl delete rolebinding {binding['metadata']['name']}",
    )  # fmt: skip


def _told(binding: Manifest) -> str:
    role = binding["roleRef"]
    return f"RoleBinding/{binding['metadata']['name']} gives {role['kind']}/{role['name']}"


def _may(reader: Reader, namespace: str, binding: Manifest) -> str:
    """By which of its rights a role takes a service, in words; empty when by none."""
    role = binding["roleRef"]
    try:
        found = reader.get(role["kind"], role["name"], namespace)
    except Forbidden:  # only roles of the namespace are for us to see
        return f"do what {role['kind']} {role['name']} lets them, which may not be read from here"
    rules = (found or {}).get("rules") or ()
    return ", ".join(p.words for p in POWERS if any(_grants(rule, p) for rule in rules))


def _grants(rule: Manifest, power: Power) -> bool:
    if rule.get("resourceNames"):  # one object by its name, which somebody meant
        return False
    return (
        bool({"*", power.group} & set(rule.get("apiGroups") or ()))
        and bool({"*", power.resource} & set(rule.get("resources") or ()))
        and bool({"*"} & set(rule.get("verbs") or ()) or power.verbs & set(rule.get("verbs") or ()))
    )
