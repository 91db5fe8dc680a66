"""The scheduler's message about a pod that fits no node, in words for a person.

Its form is `0/9 nodes are available: 8 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint
{gpu: yes}. preemption: …`. A node may be counted under several causes. That of Kubernetes 1.36 does
not name the taints any more; whoever has looked at the nodes can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clusters.model import Manifest

PASSING_TAINTS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "ToBeDeletedBy")
"""Taints that say how a node is now, and go by themselves."""

_NODES = re.compile(r"0/\d+ nodes are available: (.*)", re.DOTALL)
_END = re.compile(r"\.?\s+(?:preemption: |no new claims to deallocate).*|\.*\s*$", re.DOTALL)
_TAINT = re.compile(r"\{(?P<key>[^:}]+): ?(?P<value>[^}]*)\}")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why some nodes do not take a pod."""

    nodes: int
    """How many; 0 when it is not about nodes."""
    singular: str
    """What one such node does, such as `has too few free nvidia.com/gpu`."""
    plural: str
    lasting: bool
    """Whether it stays so, however much is freed on these nodes."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Form:
    pattern: re.Pattern[str]
    singular: str
    plural: str
    lasting: bool
    hint: str = ""


def _form(pattern: str, both: str, hint: str = "", *, lasting: bool = False) -> _Form:
    """`both` is written with `have`, `do` and `are`, which the singular turns."""
    turned = {"have ": "has ", "do not ": "does not ", "are ": "is ", "lie ": "lies "}
    singular = next((new + both[len(old) :] for old, new in turned.items() if both.startswith(old)))
    return _Form(re.compile(pattern), singular, both, lasting, hint)


_FREE = "free some, add nodes, or ask for less (`llmops plan` shows what a replica takes)"

_FORMS = (
    _form(r"Insufficient cpu", "have too few free CPUs", _FREE),
    _form(
        r"Insufficient (?P<what>memory|ephemeral-storage|hugepages\S*)",
        "have too little free {what}",
        _FREE,
    ),
    _form(r"Insufficient (?P<what>\S+)", "have too few free {what}", _FREE),
    _form(r"Too many pods", "have no room for another pod"),
    _form(
        r"had untolerated taint\(?s?\)?(?: (?P<taint>\{.*\}))?",
        "have an untolerated taint{taint}",
        "name the taint in target.tolerations if the service may run there",
        lasting=True,
    ),
    _form(
        r"didn't match Pod's node affinity/selector",
        "do not match the node selector",
        "compare target.node_selector with `kubectl get nodes --show-labels`",
        lasting=True,
    ),
    _form(
        r"didn't match pod topology spread constraints",
        "do not fit the spread of pods over nodes",
    ),
    _form(
        r"didn't match pod anti-affinity rules|existing pods anti-affinity rules",
        "have a pod already that it must not share a node with",
        "pods of one kind are kept on different nodes: add nodes",
    ),
    _form(r"didn't match pod affinity rules", "do not have the pod that it must stand beside"),
    _form(r"were unschedulable", "are cordoned", "`kubectl uncordon` lets pods in again"),
    _form(
        r"had volume node affinity conflict",
        "lie where its volume cannot be reached",
        "the volume is bound to other nodes or another zone: delete its claim, or move the nodes",
        lasting=True,
    ),
    _form(
        r"didn't find available persistent volumes to bind",
        "have no volume for its claim",
        "look at the PersistentVolumeClaim: `kubectl describe pvc`",
    ),
    _form(r"exceed max volume count", "have as many volumes as they can take"),
    _form(r"free ports", "have the pod's port in use"),
)


def causes(message: str, taints: Sequence[str] = ()) -> tuple[Cause, ...]:
    """Why the nodes do not take the pod, those of most nodes first; empty for an unknown form.

    `taints` are those of nodes which the pod does not tolerate, as `key=value`.
    """
    match = _NODES.match(message.strip())
    if match is None:
        return ()
    told = _END.sub("", match[1], count=1)
    parts = [part for part in re.split(r",\s+(?=\d+ )", told) if part]
    read = [_cause(part, taints) for part in parts]
    return tuple(sorted(read, key=lambda cause: -cause.nodes))


def told(message: str, taints: Sequence[str] = ()) -> str:
    """`8 nodes have too few free nvidia.com/gpu, 1 has an untolerated taint gpu=yes`."""
    words = [_counted(at, cause) for at, cause in enumerate(causes(message, taints))]
    return ", ".join(words) or message.strip()


def _counted(at: int, cause: Cause) -> str:
    if cause.nodes == 0:
        return cause.plural
    noun = "" if at else " node" if cause.nodes == 1 else " nodes"
    return f"{cause.nodes}{noun} {cause.singular if cause.nodes == 1 else cause.plural}"


def _cause(part: str, taints: Sequence[str]) -> Cause:
    number, _, text = part.partition(" ")
    if not number.isdigit():
        return Cause(0, part, part, lasting=False)
    nodes = int(number)
    for form in _FORMS:
        if match := form.pattern.search(text):
            given = {key: value or "" for key, value in match.groupdict().items()}
            if "taint" in given:
                return _taint(form, nodes, _named(given["taint"]) or taints)
            singular, plural = form.singular.format(**given), form.plural.format(**given)
            return Cause(nodes, singular, plural, form.lasting, form.hint)
    said = text.removeprefix("node(s) ")
    return Cause(nodes, f"says: {said}", f"say: {said}", lasting=False)


def _named(text: str) -> tuple[str, ...]:
    """The taint that a message names, as `key=value`."""
    found = _TAINT.search(text)
    return (f"{found['key']}={found['value']}".rstrip("="),) if found else ()


def _taint(form: _Form, nodes: int, taints: Sequence[str]) -> Cause:
    named = f" {' or '.join(taints)}" if taints else ""
    lasting = bool(taints) and not any(taint.startswith(PASSING_TAINTS) for taint in taints)
    passing = "such a taint goes when the node is well again"
    return Cause(
        nodes,
        form.singular.format(taint=named),
        form.plural.format(taint=named),
        lasting,
        form.hint if lasting or not taints else passing,
    )


def untolerated(pod: Manifest, nodes: Iterable[Manifest]) -> tuple[str, ...]:
    """Taints of nodes that keep the pod away, as `key=value`, each once."""
    tolerations = (pod.get("spec") or {}).get("tolerations") or ()
    taints = [taint for node in nodes for taint in (node.get("spec") or {}).get("taints") or ()]
    kept_away = (
        f"{taint['key']}={taint.get('value') or ''}".rstrip("=")
        for taint in taints
        if taint.get("effect") != "PreferNoSchedule"
        and not any(_tolerates(toleration, taint) for toleration in tolerations)
    )
    return tuple(dict.fromkeys(kept_away))


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    same_value = (toleration.get("value") or "") == (taint.get("value") or "")
    return toleration.get("key") == taint["key"] and same_value
