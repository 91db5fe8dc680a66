"""The cable plan as values: every switch, every adapter, and every cable with both its ends.

Pure. A node is known by its name, which is what the device says of itself to the subnet manager
(its node description): `leaf-su1-r1`, `su1-001 mlx5_0`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from bare_metal.inventory import Shape

Role = Literal["leaf", "spine", "core"]
_HEIGHTS: Mapping[Role, int] = {"leaf": 1, "spine": 2, "core": 3}


class End(NamedTuple):
    """A port: the name of its node, and its number from 1."""

    node: str
    port: int

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
    """A compute adapter of a host; it has one port, numbered 1."""

    name: str
    host: str
    device: str
    rack: str
    unit: str
    rail: int
    slot: int


@dataclass(frozen=True)
class FabricPlan:
    """All that is to be there, and how it is joined."""

    cluster: str
    link: str
    """Width and speed of every cable: `4xNDR`."""
    shape: Shape
    switches: tuple[Switch, ...]
    adapters: tuple[Adapter, ...]
    cables: tuple[Cable, ...]

    @cached_property
    def peers(self) -> Mapping[End, End]:
        """What each port in use is to be joined to; every cable is there from both its ends."""
        ends: dict[End, End] = {}
        for low, high in self.cables:
            ends[low], ends[high] = high, low
        return ends

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
