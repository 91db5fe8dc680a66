"""How many switches a fabric needs, and how many cables join two of them.

The rule, which gives the published rows of NVIDIA's DGX SuperPOD reference architectures (H100,
B200 and B300; docs.nvidia.com/dgx-superpod):

- A leaf serves one rail of one scalable unit. A host's slot is the number of the leaf's port.
- Two levels: every leaf reaches every spine. There are as many spines as the smallest divisor of a
  leaf's uplinks that has ports for all of them, so that each pair is joined by as many cables.
- Three levels, where leaves outnumber a switch's ports: the leaves of one rail, of at most half a
  switch's ports of units, form a pod with spines of their own, wired as above with half of a
  spine's ports. The spines of equal number in all pods form a plane with cores of its own.

Pure. Units that are not full keep their leaves and uplinks.
"""

from __future__ import annotations

from dataclasses import dataclass

from bare_metal.inventory.expansion import rails_of, units_of
from bare_metal.inventory.model import Cluster

Trail = tuple[str | int, ...]


class UnwirableError(Exception):
    """No fabric of this form joins so much. `trail` is the field of the file that asks for it."""

    def __init__(self, trail: Trail, message: str, hint: str) -> None:
        super().__init__(message)
        self.trail = trail
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Shape:
    """Counts of switches and of cables between two of them."""

    radix: int
    """Ports of a switch."""
    down: int
    """Ports of a leaf for hosts."""
    up: int
    """Ports of a leaf that go up; 0 where one leaf is all there is."""
    rails: int
    units: int
    block: int
    """Units whose leaves share spines; all of them where there are two levels."""
    pods: int
    """Groups of leaves with spines of their own; 1 where there are two levels."""
    spines: int
    """Spines of a pod."""
    leaf_cables: int
    """Cables between a leaf and each spine of its pod."""
    spine_up: int = 0
    """Ports of a spine that go up; 0 without cores."""
    cores: int = 0
    """Cores of a plane; 0 where there are two levels."""
    spine_cables: int = 0
    """Cables between a spine and each core of its plane."""

    @property
    def levels(self) -> int:
        """Switches that the longest way passes on its way up."""
        return 3 if self.cores else 2 if self.spines else 1

    @property
    def leaves(self) -> int:
        """All leaves."""
        return self.units * self.rails

    @property
    def all_spines(self) -> int:
        """Spines of all pods."""
        return self.pods * self.spines

    @property
    def all_cores(self) -> int:
        """Cores of all planes."""
        return self.spines * self.cores

    @property
    def oversubscription(self) -> float:
        """Ports of a leaf for hosts, over those that go up: 1.0 is none."""
        return self.down / self.up if self.up else 1.0


def shape_of(cluster: Cluster) -> Shape:
    """The fabric of a cluster.

    Raises:
        UnwirableError: When hosts, rails or units outnumber what such switches can join.
    """
    radix, up = cluster.fabric.radix, cluster.fabric.uplinks or cluster.fabric.radix // 2
    rails, units = len(rails_of(cluster)), len(units_of(cluster))
    if up >= radix:
        raise UnwirableError(
            ("fabric", "uplinks"),
            f"expected fewer than the {radix} ports of a leaf, found {up}",
            "leave uplinks out for half of them",
        )
    if rails * units == 1:
        up = 0
    _check_hosts(cluster, radix - up)
    if rails * units == 1:
        return Shape(radix, radix, 0, rails, units, units, 1, 0, 0)
    if rails * units <= radix:
        spines = _divisor(up, rails * units * up / radix)
        return Shape(radix, radix - up, up, rails, units, units, 1, spines, up // spines)
    return _three_levels(radix, up, rails, units)


def _check_hosts(cluster: Cluster, down: int) -> None:
    for at, unit in enumerate(cluster.units):
        if unit.hosts > down:
            raise UnwirableError(
                ("units", at, "hosts"),
                f"expected at most {down}, the ports of a leaf that are left for hosts, found"
                f" {unit.hosts}",
                f"make more units, or leaves with more ports (radix is {cluster.fabric.radix})",
            )


def _three_levels(radix: int, up: int, rails: int, units: int) -> Shape:
    half = radix // 2
    blocks = -(-units // half)
    block = -(-units // blocks)
    pods = rails * blocks
    if pods > radix:
        raise UnwirableError(
            ("units",),
            f"expected at most {half * (radix // rails)} units of {rails} rails, found {units}:"
            f" three levels of switches with {radix} ports join no more",
            "switches with more ports, fewer rails, or a second fabric",
        )
    spines = _divisor(up, block * up / half)
    cores = _divisor(half, pods / 2)
    return Shape(
        radix, radix - up, up, rails, units, block, pods, spines, up // spines,
        spine_up=half, cores=cores, spine_cables=half // cores,
    )  # fmt: skip


def _divisor(of: int, least: float) -> int:
    """The smallest divisor of a number that is not below `least`, which is at most the number."""
    return next(one for one in range(1, of + 1) if of % one == 0 and one >= least)
