"""What one kind of fabric has, written for the other; and names of ports that are none. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from bare_metal.inventory.model import Cluster, Link
from bare_metal.inventory.ports import port_names
from bare_metal.inventory.roce import SwitchPorts
from llmops.spec import Finding

Trail = tuple[str | int, ...]

LONGEST = 15
"""Letters of an interface's name that Linux keeps (IFNAMSIZ, less the byte that ends it)."""


def find_ethernet(cluster: Cluster) -> Iterator[Finding]:
    """Fields that say nothing of this kind of fabric, and interfaces that are named twice."""
    roce = cluster.fabric.kind == "roce"
    link = cluster.fabric.link
    if link is not None and link.endswith("GbE") != roce:
        fitting = [one for one in get_args(Link) if one.endswith("GbE") == roce]
        yield Finding(
            ("fabric", "link"), f"expected a link of {_kind(cluster)}, found {link}",
            f"write one of {', '.join(fitting)}", (("fabric", "kind"),),
        )  # fmt: skip
    if roce:
        yield from _interfaces(cluster)
        if cluster.system.subnet_managers:
            yield Finding(
                ("system", "subnet_managers"), "expected none, found some: RoCE has no subnet"
                " manager", "leave subnet_managers out", (("fabric", "kind"),),
            )  # fmt: skip
    else:
        yield from _not_of_infiniband(cluster)
    for at, switch in enumerate(cluster.switches):
        if switch.rack is None and switch.address is None and switch.ports is None:
            yield Finding(
                ("switches", at), f"expected a rack, an address or ports of {switch.name}, found"
                " none", "say what is other than in the cable plan, or leave the switch out",
            )  # fmt: skip


def _kind(cluster: Cluster) -> str:
    return "RoCE" if cluster.fabric.kind == "roce" else "InfiniBand"


def _not_of_infiniband(cluster: Cluster) -> Iterator[Finding]:
    trails: list[Trail] = [
        ("fabric", name) for name in ("roce", "access") if name in cluster.fabric.model_fields_set
    ]
    trails += [
        ("switches", at, name)
        for at, switch in enumerate(cluster.switches)
        for name in ("address", "ports")
        if getattr(switch, name) is not None
    ]
    trails += [("hcas", at, "interface") for at, hca in enumerate(cluster.hcas) if hca.interface]
    for trail in trails:
        yield Finding(
            trail, f"expected no {trail[-1]} of an InfiniBand fabric, found one",
            "leave it out, or say kind: roce for a fabric of Ethernet switches",
        )  # fmt: skip


def _interfaces(cluster: Cluster) -> Iterator[Finding]:
    """Interfaces of adapters: each its own, and of all compute adapters or none."""
    first: dict[str, Trail] = {nic.device: ("nics", at) for at, nic in enumerate(cluster.nics)}
    for at, hca in enumerate(cluster.hcas):
        if hca.interface is None:
            continue
        trail: Trail = ("hcas", at, "interface")
        if hca.interface in first:
            yield Finding(
                trail, f"expected another than {hca.interface}, which is there already",
                "each needs one of its own", (first[hca.interface],),
            )  # fmt: skip
        first.setdefault(hca.interface, trail)
    compute = [(at, hca) for at, hca in enumerate(cluster.hcas) if hca.use == "compute"]
    without = [(at, hca) for at, hca in compute if hca.interface is None]
    for at, hca in without if len(without) < len(compute) else ():
        yield Finding(
            ("hcas", at), f"expected an interface of {hca.device} as others have, found none",
            "write the interface of all compute adapters, or of none of them",
        )  # fmt: skip


def find_ports(cluster: Cluster) -> Iterator[Finding]:
    """Forms of names by which not every port has a name of its own."""
    if cluster.fabric.kind != "roce":
        return
    yield from _form(("fabric", "roce", "ports"), cluster.fabric.roce.ports, cluster.fabric.radix)
    for at, switch in enumerate(cluster.switches):
        if switch.ports is not None:
            yield from _form(("switches", at, "ports"), switch.ports, cluster.fabric.radix)


def _form(trail: Trail, ports: SwitchPorts, radix: int) -> Iterator[Finding]:
    plain = ports.form.replace("{port}", "").replace("{lane}", "")
    if "{port}" not in ports.form or set("{}") & set(plain):
        yield Finding(
            (*trail, "form"), f"expected {{port}} in it, found {ports.form!r}",
            "write it as in swp{port}, and {lane} for a part of a cage",
        )  # fmt: skip
    elif ("{lane}" in ports.form) != bool(ports.lanes):
        found = "{lane} without lanes" if not ports.lanes else "lanes without {lane}"
        yield Finding(
            (*trail, "form"), f"expected {{lane}} and lanes together, found {found}",
            "write both, as form: swp{port}s{lane} and lanes: [0, 1], or neither",
        )  # fmt: skip
    elif len(set(names := port_names(ports, radix))) < radix:
        yield Finding(
            (*trail, "lanes"), "expected each lane once, found one twice",
            "each cable of a cage has a lane of its own",
        )  # fmt: skip
    elif len(names[-1]) > LONGEST:
        yield Finding(
            (*trail, "form"), f"expected names of at most {LONGEST} letters, found {names[-1]}",
            "Linux keeps no longer ones, so no switch says so",
        )  # fmt: skip
