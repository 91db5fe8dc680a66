"""What hosts have and are prepared with, compared with itself and with the catalogue. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from bare_metal.inventory.expansion import hosts_of
from bare_metal.inventory.model import Cluster
from llmops.catalog import accelerators_called, load_catalogue
from llmops.errors import InputError
from llmops.spec import Finding, nearest

Network = IPv4Network | IPv6Network


def find_equipment(cluster: Cluster) -> Iterator[Finding]:
    """A kind of GPU that nobody makes, networks that are none, what is named twice or both ways."""
    if cluster.gpus is not None:
        try:
            accelerators_called(load_catalogue(), cluster.gpus.kind)
        except InputError as error:
            yield Finding(("gpus", "kind"), error.message, error.hint)
    if cluster.bmc.insecure and cluster.bmc.ca is not None:
        yield Finding(
            ("bmc", "insecure"), "expected no insecure beside ca, found both",
            "leave insecure out: certificates are then verified by that file", (("bmc", "ca"),),
        )  # fmt: skip
    for trail, names in (
        (("system", "users"), [user.name for user in cluster.system.users]),
        (("system", "modules"), [module.name for module in cluster.system.modules]),
    ):
        for at, name in enumerate(names):
            if name in names[:at]:
                yield Finding(
                    (*trail, at, "name"), f"expected another than {name}, which is there already",
                    "say all of it in one place",
                )  # fmt: skip
    for at, text in enumerate(cluster.system.firewall.allow if cluster.system.firewall else ()):
        if network(text) is None:
            yield Finding(
                ("system", "firewall", "allow", at),
                f"expected a network such as 10.0.0.0/16, found {text!r:.60}",
                "its address is the first of the network, and all of the world is none",
            )  # fmt: skip


def network(text: str) -> Network | None:
    """The network that is written so; None for what is none, and for all addresses there are."""
    try:
        found = ip_network(text)
    except ValueError:
        return None
    return found if found.prefixlen else None


def find_system(cluster: Cluster) -> Iterator[Finding]:
    """Subnet managers that are no hosts, and hosts that the firewall would turn away."""
    hosts = hosts_of(cluster)
    names = [host.name for host in hosts]
    for at, name in enumerate(cluster.system.subnet_managers):
        if name not in names:
            close = nearest(name, names)
            yield Finding(
                ("system", "subnet_managers", at), f"expected the name of a host, found {name}",
                f"did you mean {close}?" if close else f"there is {', '.join(names[:3])}",
            )  # fmt: skip
    allow = cluster.system.firewall.allow if cluster.system.firewall else ()
    networks = [one for text in allow if (one := network(text))]
    for host in hosts if networks else ():
        if host.address and not any(ip_address(host.address) in one for one in networks):
            yield Finding(
                ("system", "firewall", "allow"),
                f"expected networks that hold every host, found none for {host.name} at"
                f" {host.address}", "add the network that the hosts are in",
            )  # fmt: skip
            return
