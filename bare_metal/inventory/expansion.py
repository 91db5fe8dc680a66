"""The compact form written out: every unit and every host with its name, slot and rack.

Pure. The file has been checked before (`contradictions`), so nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from bare_metal.inventory.model import Cluster, Host, Unit


@dataclass(frozen=True, slots=True)
class Placed:
    """A host where it stands."""

    name: str
    unit: str
    slot: int
    """Place in the unit, from 1."""
    rack: str
    address: str = ""
    """Management address, as an IP address is written; empty where none was declared."""
    bmc: str = ""
    """Address of its management controller; empty where none was declared."""
    hourly: float = 0.0
    """US dollars an hour."""


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
    return tuple(_hosts(cluster))


def _hosts(cluster: Cluster) -> Iterator[Placed]:
    written = {(host.unit, host.slot): host for host in cluster.hosts}
    for unit in cluster.units:
        for number, name in enumerate(unit_names(unit)):
            for slot in range(1, unit.hosts + 1):
                at = number * unit.hosts + slot - 1
                yield _placed(name, unit, slot, at, written.get((name, slot)))


def _placed(name: str, unit: Unit, slot: int, at: int, host: Host | None) -> Placed:
    own = (host.name if host else None) or f"{name}-{slot:03}"
    rack = (host.rack if host else None) or f"{name}-r{(slot - 1) // unit.per_rack + 1}"
    return Placed(
        own, name, slot, rack,
        address=(host.address if host else None) or following(unit.addresses, at),
        bmc=(host.bmc_address if host else None) or following(unit.bmc_addresses, at),
        hourly=unit.hourly if host is None or host.hourly is None else host.hourly,
    )  # fmt: skip


def following(first: str | None, count: int) -> str:
    """The address that comes so many after `first`; empty where there is none."""
    try:
        return str(ip_address(first) + count) if first else ""
    except ValueError:
        return ""


def switches_of(cluster: Cluster) -> tuple[Placed, ...]:
    """Switches that can be asked: those with an address. They stand in no unit's slot."""
    return tuple(
        Placed(one.name, "", 0, one.rack or "", address=one.address)
        for one in cluster.switches
        if one.address
    )


def rails_of(cluster: Cluster) -> tuple[tuple[int, str], ...]:
    """Number of a rail and the device that is on it, for each compute adapter of a host."""
    return tuple(sorted(_railed(cluster)))


def _railed(cluster: Cluster) -> Iterator[tuple[int, str]]:
    for hca in cluster.hcas:
        if hca.use == "compute" and hca.rail is not None:
            yield hca.rail, hca.device
