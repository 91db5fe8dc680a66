"""Networks for policies: arithmetic on addresses, and what no network may ever take in.

NetworkPolicies know addresses and pods, not names. So a Redis that is known by a name outside of
the cluster can be bounded by its port only.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Network,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from lightkube.models import meta_v1, networking_v1

from llmops.errors import InputError

Network = IPv4Network | IPv6Network

METADATA = (
    "169.254.0.0/16",  # AWS, Azure, Google Cloud and others; all of link-local
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure's host agent
    "192.0.0.192/32",  # Oracle Cloud
    "fd00:ec2::254/128",  # AWS over IPv6
    "fe80::/10",
)
"""Where clouds hand out credentials to whoever asks from a machine: never reachable."""

PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Where clusters and their neighbours live: left out of any wider network. A network inside one of
these is meant as written."""

EVERYWHERE = ("0.0.0.0/0", "::/0")
NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label that the API server itself puts on every namespace."""


def outside(network: str) -> networking_v1.NetworkPolicyPeer:
    """A network that pods may ask, less the cluster's own and metadata.

    A private network that is named itself, such as that of an S3 endpoint, is taken as it is.

    Raises:
        InputError: It holds nothing but a cloud's metadata.
    """
    parsed = ip_network(network)
    if any(_within(parsed, ip_network(metadata)) for metadata in METADATA):
        raise InputError(
            f"target.egress: {network} is where clouds hand out credentials",
            hint="leave it out; mount credentials as a Secret instead",
            path="target.egress",
        )
    return _block(parsed, (*METADATA, *PRIVATE))


def anywhere() -> list[networking_v1.NetworkPolicyPeer]:
    """Every address, private ones too, but for metadata."""
    return [_block(ip_network(network), METADATA) for network in EVERYWHERE]


def single(address: str) -> networking_v1.NetworkPolicyPeer:
    """One address, or one network."""
    return networking_v1.NetworkPolicyPeer(
        ipBlock=networking_v1.IPBlock(cidr=str(ip_network(address)))
    )


def host(url: str) -> tuple[list[networking_v1.NetworkPolicyPeer], int]:
    """Who is meant by `redis://host:port`, as closely as a policy can say, and the port.

    An address is itself; `name.namespace.svc` any pod of that namespace; a bare name any pod of our
    own; any other name may be anywhere.
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    return _peers(name), parts.port or 6379


def _peers(name: str) -> list[networking_v1.NetworkPolicyPeer]:
    try:
        return [single(str(ip_address(name)))]
    except ValueError:
        labels = name.split(".")
    if len(labels) == 1:
        return [networking_v1.NetworkPolicyPeer(podSelector=meta_v1.LabelSelector())]
    if labels[2:3] == ["svc"]:
        return [networking_v1.NetworkPolicyPeer(namespaceSelector=namespace(labels[1]))]
    return anywhere()


def namespace(name: str) -> meta_v1.LabelSelector:
    """Selector of one namespace."""
    return meta_v1.LabelSelector(matchLabels={NAMESPACE_NAME: name})


def _block(network: Network, shut: tuple[str, ...]) -> networking_v1.NetworkPolicyPeer:
    """`network` without those of `shut` that lie inside it; the API takes no others there."""
    inside = [n for n in map(ip_network, shut) if n != network and _within(n, network)]
    four = collapse_addresses(n for n in inside if isinstance(n, IPv4Network))
    six = collapse_addresses(n for n in inside if isinstance(n, IPv6Network))
    return networking_v1.NetworkPolicyPeer(
        ipBlock=networking_v1.IPBlock(
            cidr=str(network), except_=[str(n) for n in (*four, *six)] or None
        )
    )


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
