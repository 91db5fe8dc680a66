"""The cable plan from the declaration: which port is joined to which, by the rule of `Shape`.

Pure, and in the order in which cables are pulled: unit by unit, rail by rail, slot by slot, then
the leaves' uplinks, then the spines'. Ports are numbered from 1: a leaf's lower ports are for
hosts, those after them go up. On Ethernet each number then stands for the port's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from bare_metal.fabric.model import Adapter, Cable, End, FabricPlan, Switch
from bare_metal.inventory import (
    Cluster,
    Shape,
    core_name,
    hosts_of,
    leaf_name,
    port_names,
    ports_of,
    rails_of,
    shape_of,
    spine_name,
    units_of,
)

NETWORK_RACK = "net"
"""Rack of what stands above the leaves; a unit's leaves stand in `su1-net`."""


def wire(cluster: Cluster) -> FabricPlan:
    """The cable plan of a cluster whose file was accepted."""
    shape = shape_of(cluster)
    rails = rails_of(cluster)
    units = [name for name, _ in units_of(cluster)]
    adapters = tuple(_adapters(cluster))
    numbers = [rail for rail, _ in rails]
    pods = tuple(_pods(shape, units, numbers))
    cables = [
        Cable(End(one.name, 1), End(leaf_name(one.unit, one.rail), one.slot)) for one in adapters
    ]
    for pod in pods:
        cables += _uplinks(shape, pod)
    cables += _planes(shape, pods)
    switches = tuple(_switches(cluster, shape, units, numbers, pods))
    link = cluster.fabric.speed
    if cluster.fabric.kind == "infiniband":
        return FabricPlan(cluster.name, link, shape, switches, adapters, tuple(cables))
    ports = _ports(cluster, switches)
    ends = {one.name: one.end for one in adapters}
    return FabricPlan(
        cluster.name, link, shape, switches, adapters,
        tuple(Cable(_named(low, ports, ends), _named(high, ports, ends)) for low, high in cables),
        "roce", cluster.fabric.roce.mtu, ports,
    )  # fmt: skip


def _ports(cluster: Cluster, switches: Iterable[Switch]) -> dict[str, tuple[str, ...]]:
    """Names of all ports of each switch; switches whose ports are named alike share them."""
    radix, other = cluster.fabric.radix, ports_of(cluster)
    usual = port_names(cluster.fabric.roce.ports, radix)
    return {
        one.name: port_names(other[one.name], radix) if one.name in other else usual
        for one in switches
    }


def _named(end: End, ports: Mapping[str, tuple[str, ...]], adapters: Mapping[str, End]) -> End:
    """A port by its name in place of its number."""
    if end.node in adapters:
        return adapters[end.node]
    return End(end.node, ports[end.node][int(end.port) - 1])


def _adapters(cluster: Cluster) -> Iterator[Adapter]:
    rails = rails_of(cluster)
    interfaces = {hca.device: hca.interface or "" for hca in cluster.hcas}
    for host in hosts_of(cluster):
        for rail, device in rails:
            name = f"{host.name} {device}"
            yield Adapter(
                name, host.name, device, host.rack, host.unit, rail, host.slot, interfaces[device]
            )


Pod = tuple[int, int, tuple[str, ...]]
"""Rail (0 for all), number of the block from 1, and the names of the leaves."""


def _pods(shape: Shape, units: list[str], rails: list[int]) -> Iterator[Pod]:
    if not shape.cores:
        yield 0, 1, tuple(leaf_name(unit, rail) for unit, rail in product(units, rails))
        return
    blocks = [units[at : at + shape.block] for at in range(0, len(units), shape.block)]
    for (number, block), rail in product(enumerate(blocks, 1), rails):
        yield rail, number, tuple(leaf_name(unit, rail) for unit in block)


def _spines(shape: Shape, pod: Pod) -> list[str]:
    rail, block, _ = pod
    return [spine_name(shape, number, rail, block) for number in range(1, shape.spines + 1)]


def _uplinks(shape: Shape, pod: Pod) -> Iterator[Cable]:
    each = shape.leaf_cables
    for at, leaf in enumerate(pod[2]):
        for number, spine in enumerate(_spines(shape, pod)):
            for cable in range(1, each + 1):
                low = End(leaf, shape.down + number * each + cable)
                yield Cable(low, End(spine, at * each + cable))


def _planes(shape: Shape, pods: tuple[Pod, ...]) -> Iterator[Cable]:
    if not shape.cores:
        return
    each, half = shape.spine_cables, shape.radix // 2
    for at, pod in enumerate(pods):
        for plane, spine in enumerate(_spines(shape, pod), 1):
            for number in range(shape.cores):
                for cable in range(1, each + 1):
                    low = End(spine, half + number * each + cable)
                    yield Cable(low, End(core_name(plane, number + 1), at * each + cable))


def _switches(
    cluster: Cluster, shape: Shape, units: list[str], rails: list[int], pods: tuple[Pod, ...]
) -> Iterator[Switch]:
    racks = {one.name: one.rack for one in cluster.switches if one.rack}
    for unit, rail in product(units, rails):
        name = leaf_name(unit, rail)
        yield Switch(name, "leaf", racks.get(name, f"{unit}-{NETWORK_RACK}"), unit, rail)
    for pod in pods:
        for name in _spines(shape, pod):
            yield Switch(name, "spine", racks.get(name, NETWORK_RACK), rail=pod[0])
    for plane, number in product(range(1, shape.spines + 1), range(1, shape.cores + 1)):
        name = core_name(plane, number)
        yield Switch(name, "core", racks.get(name, NETWORK_RACK))
