"""What no cluster can be, though each value has the right type: counts, names and places compared.

Pure. Whether the switches can be wired is asked of the wiring rule itself, so that a file that is
accepted is one whose cable plan exists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from bare_metal.inventory.addresses import find_addresses, no_addresses
from bare_metal.inventory.equipment import find_equipment, find_system
from bare_metal.inventory.ethernet import find_ethernet, find_ports
from bare_metal.inventory.expansion import hosts_of, unit_names, units_of
from bare_metal.inventory.model import Cluster
from bare_metal.inventory.naming import switch_names
from bare_metal.inventory.shape import UnwirableError, shape_of
from llmops.spec import Finding, Written, nearest

Trail = tuple[str | int, ...]


def find_contradictions(cluster: Cluster, _written: Written) -> Iterable[Finding]:
    """Everything that contradicts itself. What only follows from another mistake is not told."""
    found = list(chain(_empty(cluster), _adapters(cluster), _cards(cluster), _units(cluster)))
    found += [*_hosts(cluster), *no_addresses(cluster), *find_equipment(cluster)]
    found += find_ethernet(cluster)
    return found or [
        *_names(cluster), *_wiring(cluster), *find_addresses(cluster), *find_system(cluster),
        *find_ports(cluster),
    ]  # fmt: skip


def _empty(cluster: Cluster) -> Iterator[Finding]:
    for name, come_to in (("hcas", "nothing could be wired"), ("units", "there would be no host")):
        if getattr(cluster, name) == ():
            yield Finding(
                (name,), f"expected at least one, found an empty list: {come_to}",
                "docs/reference/cluster.md shows how it is written",
            )  # fmt: skip


def _adapters(cluster: Cluster) -> Iterator[Finding]:
    yield from _twice([(("hcas", at, "device"), hca.device) for at, hca in enumerate(cluster.hcas)])
    railed: list[tuple[Trail, str]] = []
    for at, hca in enumerate(cluster.hcas):
        if hca.use == "storage":
            if hca.rail is not None:
                yield Finding(
                    ("hcas", at, "rail"), "expected none, found one: a storage adapter is on none",
                    "leave rail out, or say use: compute", (("hcas", at, "use"),),
                )  # fmt: skip
        elif hca.rail is None:
            yield Finding(
                ("hcas", at), f"expected a rail, found none: {hca.device} could not be wired",
                "add rail: 1, or say use: storage for an adapter of another fabric",
            )  # fmt: skip
        else:
            railed.append((("hcas", at, "rail"), str(hca.rail)))
    yield from _twice(railed, "two adapters of a host would share a port of the rail's leaf")
    if cluster.hcas and all(hca.use == "storage" for hca in cluster.hcas):
        yield Finding(
            ("hcas",), "expected a compute adapter, found storage adapters only",
            "this fabric would have no cable",
        )  # fmt: skip


def _cards(cluster: Cluster) -> Iterator[Finding]:
    """Adapters and cards of a host: no two at one place, and one card for management."""
    yield from _twice([(("nics", at, "device"), nic.device) for at, nic in enumerate(cluster.nics)])
    places = [(("hcas", at, "pci"), hca.pci) for at, hca in enumerate(cluster.hcas) if hca.pci]
    nics = [(("nics", at, "pci"), nic.pci) for at, nic in enumerate(cluster.nics) if nic.pci]
    yield from _twice([*places, *nics], "two cards cannot be in one slot")
    managing = [at for at, nic in enumerate(cluster.nics) if nic.use == "management"]
    if cluster.nics and len(managing) != 1:
        yield Finding(
            ("nics",), f"expected one card with use: management, found {len(managing) or 'none'}",
            "it is the one that hosts are reached by, and that nothing may restart",
        )  # fmt: skip


def _twice(values: Sequence[tuple[Trail, str]], why: str = "") -> Iterator[Finding]:
    first: dict[str, Trail] = {}
    for trail, value in values:
        if value in first:
            more = f": {why}" if why else ""
            yield Finding(
                trail, f"expected another than {value}, which is there already{more}",
                "each needs one of its own", (first[value],),
            )  # fmt: skip
        else:
            first[value] = trail


def _units(cluster: Cluster) -> Iterator[Finding]:
    named = [
        (("units", at, "name"), name)
        for at, unit in enumerate(cluster.units)
        for name in unit_names(unit)
    ]
    yield from _twice([((*trail,), name) for trail, name in named])


def _hosts(cluster: Cluster) -> Iterator[Finding]:
    units = dict(units_of(cluster))
    seen: dict[tuple[str, int], int] = {}
    for at, host in enumerate(cluster.hosts):
        unit = units.get(host.unit)
        if unit is None:
            close = nearest(host.unit, list(units))
            yield Finding(
                ("hosts", at, "unit"), f"expected the name of a unit, found {host.unit}",
                f"did you mean {close}?" if close else f"there is {', '.join(list(units)[:5])}",
            )  # fmt: skip
            continue
        if host.slot > unit.hosts:
            yield Finding(
                ("hosts", at, "slot"),
                f"expected at most {unit.hosts}, the hosts of {host.unit}, found {host.slot}",
                "raise the unit's hosts, or take another slot",
            )  # fmt: skip
        place = (host.unit, host.slot)
        if place in seen:
            yield Finding(
                ("hosts", at, "slot"),
                f"expected another than {host.slot} of {host.unit}, which has a host already",
                "a slot is a port of the unit's leaves: it takes one host",
                (("hosts", seen[place], "slot"),),
            )  # fmt: skip
        seen.setdefault(place, at)


def _names(cluster: Cluster) -> Iterator[Finding]:
    count = Counter(host.name for host in hosts_of(cluster))
    for at, host in enumerate(cluster.hosts):
        if host.name is not None and count[host.name] > 1:
            yield Finding(
                ("hosts", at, "name"), f"expected a name of its own, found {host.name} twice",
                "the fabric knows an adapter by its host's name",
            )  # fmt: skip


def _wiring(cluster: Cluster) -> Iterator[Finding]:
    try:
        shape = shape_of(cluster)
    except UnwirableError as error:
        yield Finding(error.trail, error.message, error.hint)
        return
    names = set(switch_names(cluster, shape))
    for at, switch in enumerate(cluster.switches):
        if switch.name not in names:
            close = nearest(switch.name, sorted(names))
            yield Finding(
                ("switches", at, "name"), f"expected a switch of the plan, found {switch.name}",
                f"did you mean {close}?" if close else "llmops cluster fabric plan lists them",
            )  # fmt: skip
    yield from _twice(
        [(("switches", at, "name"), switch.name) for at, switch in enumerate(cluster.switches)]
    )
