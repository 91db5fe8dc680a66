"""The compact form written out: every unit and every host with its name, slot and rack.

Pure. The file has been checked before (`contradictions`), so nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bare_metal.inventory.model import Cluster, Host, Unit


@dataclass(frozen=True, slots=True)
class Placed:
    """A host where it stands."""

    name: str
    unit: str
    slot: int
    """Place in the unit, from 1."""
    rack: str


def unit_names(unit: Unit) -> tuple[str, ...]:
    """Names of the units that an entry stands for."""
    if unit.count == 1:
        return (unit.name,)
    return tuple(f"{unit.name}{number}" for number in range(1, unit.count + 1))


def units_of(cluster: Cluster) -> tuple[tuple[str, Unit], ...]:
    """All units by name, in the order of the file."""
    return tuple((name, unit) for unit in cluster.units for name in unit_names(unit))


def hosts_of(cluster: Cluster) -> tuple[Placed, ...]:
    """All hosts, unit by unit and slot by slot."""
    written = {(host.unit, host.slot): host for host in cluster.hosts}
    return tuple(
        _placed(name, unit, slot, written.get((name, slot)))
        for name, unit in units_of(cluster)
        for slot in range(1, unit.hosts + 1)
    )


def _placed(name: str, unit: Unit, slot: int, host: Host | None) -> Placed:
    own = (host.name if host else None) or f"{name}-{slot:03}"
    rack = (host.rack if host else None) or f"{name}-r{(slot - 1) // unit.per_rack + 1}"
    return Placed(own, name, slot, rack)


def rails_of(cluster: Cluster) -> tuple[tuple[int, str], ...]:
    """Number of a rail and the device that is on it, for each compute adapter of a host."""
    return tuple(sorted(_railed(cluster)))


def _railed(cluster: Cluster) -> Iterator[tuple[int, str]]:
    for hca in cluster.hcas:
        if hca.use == "compute" and hca.rail is not None:
            yield hca.rail, hca.device
