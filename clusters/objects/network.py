"""NetworkPolicies: pods of a service reach nothing and are reached by nobody, but as said here.

Each policy is one reason, named and explained. They do something only where the cluster's network
plugin enforces them. Answers to an allowed connection are always let back, and a node always
reaches its own pods (kubelet's probes): that is Kubernetes' rule, not ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightkube.models import meta_v1, networking_v1

from clusters import names
from clusters.model import Manifest, Runtime, ServiceState
from clusters.objects import addresses
from clusters.objects.about import described
from clusters.objects.documents import document

Peer = networking_v1.NetworkPolicyPeer
Port = networking_v1.NetworkPolicyPort
Ingress = networking_v1.NetworkPolicyIngressRule
Egress = networking_v1.NetworkPolicyEgressRule

COMPONENT = "network"
NODE_LOCAL_DNS = "169.254.20.10"
"""Where Kubernetes' NodeLocal DNSCache listens on each node."""
HTTPS = 443
API_SERVER = (443, 6443)
"""Ports on which API servers are found behind the Service `kubernetes`."""


def network(state: ServiceState) -> Iterator[Manifest]:
    """Default-deny, then what the service needs; names end in what is let through."""
    for policy in (*_of_service(state), *_of_runtimes(state)):
        yield document(policy)


def _of_service(state: ServiceState) -> Iterator[networking_v1.NetworkPolicy]:
    yield _deny(state)
    yield _dns(state)
    yield _door(state)
    yield _proxied(state)
    yield _operator(state)
    if any(runtime.shape.target.monitoring for runtime in state.runtimes):
        yield _monitoring(state)


def _of_runtimes(state: ServiceState) -> Iterator[networking_v1.NetworkPolicy]:
    """What depends on a runtime's own target: an update's two runtimes may differ in it."""
    for runtime in state.runtimes:
        yield _ray(state, runtime)
        if runtime.shape.target.egress:
            yield _weights(state, runtime)
        if runtime.shape.target.redis:
            yield _redis(state, runtime, runtime.shape.target.redis.address)
        if runtime.autoscaled:
            yield _autoscaler(state, runtime)


def _deny(state: ServiceState) -> networking_v1.NetworkPolicy:
    why = (
        "Nothing in and nothing out, for every pod of the service; the others open what is needed."
    )
    return networking_v1.NetworkPolicy(
        apiVersion="networking.k8s.io/v1",
        kind="NetworkPolicy",
        metadata=described(state, f"{state.service}-deny", COMPONENT, why),
        spec=networking_v1.NetworkPolicySpec(
            podSelector=_pods(state), policyTypes=["Ingress", "Egress"]
        ),
    )


def _dns(state: ServiceState) -> networking_v1.NetworkPolicy:
    why = "Names: pods find the Ray head and the model's host by DNS, the cluster's or the node's."
    kube_dns = Peer(
        namespaceSelector=addresses.namespace("kube-system"),
        podSelector=meta_v1.LabelSelector(matchLabels={"k8s-app": "kube-dns"}),
    )
    rule = Egress(
        to=[kube_dns, addresses.single(NODE_LOCAL_DNS)],
        ports=[Port(port=53, protocol="UDP"), Port(port=53, protocol="TCP")],
    )
    return _policy(state, "dns", why, _pods(state), egress=[rule])


def _door(state: ServiceState) -> networking_v1.NetworkPolicy:
    """Who may knock at the endpoint: the API keys decide who comes in.

    A controller of routes or Ingresses may run on a node's own network, and a load balancer outside
    of the cluster may send to pods directly: so an exposed endpoint is open to every address.
    """
    exposed = any(r.shape.target.expose.kind != "none" for r in state.runtimes)
    if exposed:
        why = "The endpoint, from everywhere: it is exposed, and asks everyone for an API key."
    else:
        why = "The endpoint, from every pod of the cluster: it asks everyone for an API key."
    everyone = None if exposed else [Peer(namespaceSelector=meta_v1.LabelSelector())]
    rule = Ingress(from_=everyone, ports=_tcp(names.HTTP_PORT))
    return _policy(state, "door", why, _pods(state, names.GATEWAY), ingress=[rule])


def _proxied(state: ServiceState) -> networking_v1.NetworkPolicy:
    """What llmops asks by way of the API server, which comes from its own address, from an agent's,
    or, where the server is no part of the pods' network, from one that only the user can name."""
    why = "llmops asks the gateways through the API server's proxy, or its konnectivity agents."
    agents = [
        Peer(
            namespaceSelector=addresses.namespace("kube-system"),
            podSelector=meta_v1.LabelSelector(matchLabels={key: "konnectivity-agent"}),
        )
        # Clouds label the agent by one or the other.
        for key in ("k8s-app", "app")
    ]
    servers = [addresses.single(address) for address in state.api_server]
    named = {n for runtime in state.runtimes for n in runtime.shape.target.api_server_networks}
    networks = [addresses.single(network) for network in sorted(named)]
    rule = Ingress(
        from_=[*servers, *networks, *agents], ports=_tcp(names.HTTP_PORT, names.OPS_PORT)
    )
    return _policy(state, "api-server", why, _pods(state, names.GATEWAY), ingress=[rule])


def _operator(state: ServiceState) -> networking_v1.NetworkPolicy:
    why = "KubeRay's operator, in whichever namespace, gives the head its Serve config."
    operator = Peer(
        namespaceSelector=meta_v1.LabelSelector(),
        podSelector=meta_v1.LabelSelector(matchLabels={names.NAME: "kuberay-operator"}),
    )
    rule = Ingress(from_=[operator], ports=_tcp(names.DASHBOARD_PORT))
    return _policy(state, "operator", why, _pods(state, names.HEAD), ingress=[rule])


def _monitoring(state: ServiceState) -> networking_v1.NetworkPolicy:
    """Prometheus by the label that its operator gives it: its namespace is called as one likes."""
    why = "Prometheus, in whichever namespace, scrapes the gateways' metrics."
    prometheus = Peer(
        namespaceSelector=meta_v1.LabelSelector(),
        podSelector=meta_v1.LabelSelector(matchLabels={names.NAME: "prometheus"}),
    )
    rule = Ingress(from_=[prometheus], ports=_tcp(names.OPS_PORT))
    return _policy(state, "monitoring", why, _pods(state, names.GATEWAY), ingress=[rule])


def _ray(state: ServiceState, runtime: Runtime) -> networking_v1.NetworkPolicy:
    """All ports: Ray's workers, object managers and the engines' own collectives listen on ports
    that they pick at start, and any two pods of a Ray cluster may need each other."""
    why = "Ray: every port between the pods of one runtime, because its workers pick their ports."
    same = Peer(podSelector=_pods(state, runtime=runtime))
    return _policy(
        state,
        "ray",
        why,
        _pods(state, runtime=runtime),
        ingress=[Ingress(from_=[same])],
        egress=[Egress(to=[same])],
        runtime=runtime,
    )


def _weights(state: ServiceState, runtime: Runtime) -> networking_v1.NetworkPolicy:
    why = (
        "Replicas fetch weights by HTTPS, from `target.egress` less private networks and metadata."
    )
    networks = [addresses.outside(network) for network in runtime.shape.target.egress]
    return _policy(
        state,
        "weights",
        why,
        _pods(state, names.REPLICA, runtime),
        egress=[Egress(to=networks, ports=_tcp(HTTPS))],
        runtime=runtime,
    )


def _redis(state: ServiceState, runtime: Runtime, address: str) -> networking_v1.NetworkPolicy:
    why = "The head keeps its state in the external Redis."
    peers, port = addresses.host(address)
    return _policy(
        state,
        "redis",
        why,
        _pods(state, names.HEAD, runtime),
        egress=[Egress(to=peers, ports=_tcp(port))],
        runtime=runtime,
    )


def _autoscaler(state: ServiceState, runtime: Runtime) -> networking_v1.NetworkPolicy:
    """Without a cluster to ask (`llmops render`) the API server's addresses are not known."""
    why = "Ray's autoscaler beside the head asks the API server for pods and sets replicas."
    servers = [addresses.single(address) for address in state.api_server]
    return _policy(
        state,
        "autoscaler",
        why,
        _pods(state, names.HEAD, runtime),
        egress=[Egress(to=servers or addresses.anywhere(), ports=_tcp(*API_SERVER))],
        runtime=runtime,
    )


def _policy(
    state: ServiceState,
    reason: str,
    why: str,
    pods: meta_v1.LabelSelector,
    *,
    ingress: list[Ingress] | None = None,
    egress: list[Egress] | None = None,
    runtime: Runtime | None = None,
) -> networking_v1.NetworkPolicy:
    of = names.rayservice(state.service, runtime.id) if runtime else state.service
    types = [*(["Ingress"] if ingress else []), *(["Egress"] if egress else [])]
    return networking_v1.NetworkPolicy(
        apiVersion="networking.k8s.io/v1",
        kind="NetworkPolicy",
        metadata=described(
            state, f"{of}-{reason}", COMPONENT, why, runtime.id if runtime else None
        ),
        spec=networking_v1.NetworkPolicySpec(
            podSelector=pods, ingress=ingress, egress=egress, policyTypes=types
        ),
    )


def _pods(
    state: ServiceState, role: str | None = None, runtime: Runtime | None = None
) -> meta_v1.LabelSelector:
    """The service's pods; of one role, of one runtime."""
    found = {names.SERVICE: state.service}
    found |= {names.RUNTIME: runtime.id} if runtime else {}
    found |= {names.ROLE: role} if role else {}
    return meta_v1.LabelSelector(matchLabels=found)


def _tcp(*ports: int) -> list[Port]:
    return [Port(port=port, protocol="TCP") for port in ports]
