"""Who reaches whom, by the documented meaning of NetworkPolicies: pure, and for tests only.

It answers what an API server's policies *say*. That something enforces them needs a network plugin
(CNI) that does so, which no test here has: enforcement itself is not shown.

The meaning is that of the Kubernetes documentation ("Network Policies") and of the API's reference:
a pod is shut in a direction as soon as one policy of that direction selects it, and then only the
union of all rules of such policies opens it; an address block is compared with the address itself,
a pod's too; a node always reaches its own pods, and a pod itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection begins or ends: a pod, or an address outside of the cluster."""

    ip: str
    namespace: str | None = None
    """None: no pod."""
    labels: Labels = field(default_factory=dict)
    namespace_labels: Labels = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Named ports of a pod's containers."""
    node: str | None = None
    """The node that a pod runs on; of an address that is no pod, the node that it is."""

    @property
    def in_namespace(self) -> Labels:
        """Labels of its namespace, with the name that the API server puts there."""
        return {"kubernetes.io/metadata.name": self.namespace or "", **self.namespace_labels}


@dataclass(frozen=True, slots=True)
class Port:
    """Where a connection goes to."""

    number: int
    protocol: str = "TCP"


def allowed(source: Place, target: Place, port: Port, policies: Iterable[Policy]) -> bool:
    """Whether the policies let `source` connect to `target`."""
    known = tuple(policies)
    if source == target or _on_node(source, target) or _on_node(target, source):
        return True
    return _out(source, target, port, known) and _in(source, target, port, known)


def _on_node(node: Place, pod: Place) -> bool:
    is_node = node.namespace is None and node.node is not None
    return is_node and pod.namespace is not None and pod.node == node.node


def _out(source: Place, target: Place, port: Port, policies: tuple[Policy, ...]) -> bool:
    return _opens(source, target, port, target, policies, ("Egress", "egress", "to"))


def _in(source: Place, target: Place, port: Port, policies: tuple[Policy, ...]) -> bool:
    return _opens(target, source, port, target, policies, ("Ingress", "ingress", "from"))


def _opens(
    subject: Place,
    other: Place,
    port: Port,
    listener: Place,
    policies: tuple[Policy, ...],
    words: tuple[str, str, str],
) -> bool:
    """Whether `subject` is open towards `other`: not shut at all, or opened by one rule."""
    direction, rules, peers = words
    shutting = [p for p in policies if _selects(p, subject) and direction in _types(p)]
    return not shutting or any(
        _peers_match(rule.get(peers), other, str(_namespace(policy)))
        and _ports_match(rule.get("ports"), port, listener)
        for policy in shutting
        for rule in policy["spec"].get(rules) or ()
    )


def _selects(policy: Policy, place: Place) -> bool:
    return place.namespace == _namespace(policy) and matches(
        policy["spec"].get("podSelector") or {}, place.labels
    )


def _namespace(policy: Policy) -> str:
    return str(policy["metadata"].get("namespace", "default"))


def _types(policy: Policy) -> list[str]:
    """Ingress always where none is said, and Egress when there are rules for it."""
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _peers_match(peers: list[Any] | None, other: Place, namespace: str) -> bool:
    """No peers, or none named, are all of them."""
    return not peers or any(_peer_matches(peer, other, namespace) for peer in peers)


def _peer_matches(peer: Mapping[str, Any], other: Place, namespace: str) -> bool:
    """Selectors mean pods only. Both of them: pods that match, in namespaces that match."""
    if "ipBlock" in peer:
        return _in_block(peer["ipBlock"], other.ip)
    if other.namespace is None:
        return False
    if "namespaceSelector" in peer:
        there = matches(peer["namespaceSelector"], other.in_namespace)
    else:
        there = other.namespace == namespace
    return there and matches(peer.get("podSelector") or {}, other.labels)


def _in_block(block: Mapping[str, Any], ip: str) -> bool:
    address = ip_address(ip)
    shut = any(address in ip_network(network) for network in block.get("except") or ())
    return address in ip_network(block["cidr"]) and not shut


def _ports_match(ports: list[Any] | None, port: Port, listener: Place) -> bool:
    """No ports, or none named, are all of them."""
    return not ports or any(_port_matches(one, port, listener) for one in ports)


def _port_matches(rule: Mapping[str, Any], port: Port, listener: Place) -> bool:
    if rule.get("protocol", "TCP") != port.protocol:
        return False
    first = rule.get("port")
    if isinstance(first, str):
        return listener.ports.get(first) == port.number
    return first is None or first <= port.number <= rule.get("endPort", first)


def matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector selects these labels; an empty one selects everything."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _expression(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _expression(expression: Mapping[str, Any], labels: Labels) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    answers = {
        "In": key in labels and labels[key] in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return answers[expression["operator"]]


def policies_of(manifests: Iterable[Policy]) -> Iterator[Policy]:
    """The NetworkPolicies among objects."""
    return (m for m in manifests if m["kind"] == "NetworkPolicy")
