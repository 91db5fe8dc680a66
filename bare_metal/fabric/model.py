"""The cable plan as values: every switch, every adapter, and every cable with both its ends.

Pure. A node is known by its name: `leaf-su1-r1`, `su1-001 mlx5_0`. On InfiniBand that is what the
device says of itself to the subnet manager (its node description). On Ethernet a switch says it by
LLDP, and a host says its own name and that of the adapter's interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from bare_metal.inventory import Shape

Role = Literal["leaf", "spine", "core"]
Kind = Literal["infiniband", "roce"]
_HEIGHTS: Mapping[Role, int] = {"leaf": 1, "spine": 2, "core": 3}


class End(NamedTuple):
    """A port: the name of its node, and its number from 1, or on Ethernet its name."""

    node: str
    port: int | str

    def __str__(self) -> str:
        return f"{self.node} port {self.port}"


class Cable(NamedTuple):
    """A cable, and which of its ends is nearer to the hosts."""

    low: End
    high: End


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch where it stands."""

    name: str
    role: Role
    rack: str
    unit: str = ""
    """Its unit; empty above the leaves."""
    rail: int = 0
    """Its rail; 0 where it carries several."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A compute adapter of a host; it has one port, numbered 1 where it has no other name."""

    name: str
    host: str
    device: str
    rack: str
    unit: str
    rail: int
    slot: int
    interface: str = ""
    """Its network interface on Ethernet, where it is declared."""

    @property
    def end(self) -> End:
        """Its port."""
        return End(self.name, self.interface or 1)


@dataclass(frozen=True)
class FabricPlan:
    """All that is to be there, and how it is joined."""

    cluster: str
    link: str
    """What every cable runs at: `4xNDR`, or on Ethernet `400GbE`."""
    shape: Shape
    switches: tuple[Switch, ...]
    adapters: tuple[Adapter, ...]
    cables: tuple[Cable, ...]
    kind: Kind = "infiniband"
    mtu: int = 0
    """Bytes of the largest frame between adapters on Ethernet."""
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of all ports of each switch on Ethernet, by its name, in the order of their numbers."""

    @cached_property
    def peers(self) -> Mapping[End, End]:
        """What each port in use is to be joined to; every cable is there from both its ends."""
        ends: dict[End, End] = {}
        for low, high in self.cables:
            ends[low], ends[high] = high, low
        return ends

    @cached_property
    def of_host(self) -> Mapping[str, tuple[Adapter, ...]]:
        """The adapters of each host."""
        found: dict[str, list[Adapter]] = {}
        for one in self.adapters:
            found.setdefault(one.host, []).append(one)
        return {host: tuple(adapters) for host, adapters in found.items()}

    @cached_property
    def racks(self) -> Mapping[str, str]:
        """The rack of each node, by the node's name."""
        racks = {one.name: one.rack for one in self.switches}
        return racks | {one.name: one.rack for one in self.adapters}

    @cached_property
    def rails(self) -> Mapping[str, int]:
        """The rail of each node, by the node's name; 0 where it carries several."""
        rails = {one.name: one.rail for one in self.switches}
        return rails | {one.name: one.rail for one in self.adapters}

    @cached_property
    def heights(self) -> Mapping[str, int]:
        """How far each node is from the hosts: 0 for adapters, 3 for cores."""
        heights: dict[str, int] = {one.name: 0 for one in self.adapters}
        return heights | {one.name: _HEIGHTS[one.role] for one in self.switches}

    def place(self, end: End) -> str:
        """A port as a person finds it: rack, node and port."""
        rack = self.racks.get(end.node)
        return f"{end} in rack {rack}" if rack else str(end)
