"""Addresses of hosts and of their management controllers: each its own, and all of one kind.

Pure. Two spellings of one address are one address. Names are refused in place of addresses, since
what a name stands for may change between a look and a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from bare_metal.inventory.expansion import following, hosts_of, unit_names
from bare_metal.inventory.model import Cluster
from llmops.spec import Finding

Trail = tuple[str | int, ...]
Ip = IPv4Address | IPv6Address
WRITTEN = (("units", "addresses"), ("units", "bmc_addresses"))
OF_HOSTS = (("hosts", "address"), ("hosts", "bmc_address"))
OF_SWITCHES = (("switches", "address"),)


def no_addresses(cluster: Cluster) -> Iterator[Finding]:
    """Texts that are no address of a machine, and rows of addresses that come to no end."""
    for section, field in (*WRITTEN, *OF_HOSTS, *OF_SWITCHES):
        for at, one in enumerate(getattr(cluster, section)):
            written = getattr(one, field)
            if written is not None and _parsed(written) is None:
                yield Finding(
                    (section, at, field), "expected an IP address such as 10.0.0.11, found"
                    f" {written[:60]!r}",
                    "write the address itself, without a name, a port or a prefix",
                )  # fmt: skip
    for at, unit in enumerate(cluster.units):
        for field in ("addresses", "bmc_addresses"):
            first = getattr(unit, field)
            last = unit.count * unit.hosts - 1
            if first and _parsed(first) and not following(first, last):
                yield Finding(
                    ("units", at, field), f"expected {last + 1} addresses from {first} on, found"
                    " fewer",
                    "begin with a lower one",
                )  # fmt: skip


def _parsed(text: str) -> Ip | None:
    """The address, with IPv4 in IPv6's clothes as IPv4; None for what no host can have."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id:
            return None
        found = found.ipv4_mapped or found
    return None if found.is_unspecified or found.is_multicast else found


@dataclass(frozen=True, slots=True)
class _Use:
    """An address in use, and where it was written."""

    trail: Trail
    address: Ip
    host: str
    what: str


def find_addresses(cluster: Cluster) -> Iterator[Finding]:
    """Addresses that two have, hosts without one among others with one, and two kinds of them."""
    uses = list(_uses(cluster))
    yield from _shared(uses)
    for what in ("address", "bmc_address"):
        own = [use for use in uses if use.what == what]
        yield from _mixed(own)
        yield from _lacking(cluster, own, what)


def _uses(cluster: Cluster) -> Iterator[_Use]:
    trails = _trails(cluster)
    for host in hosts_of(cluster):
        for what, text in (("address", host.address), ("bmc_address", host.bmc)):
            if text and (address := _parsed(text)):
                yield _Use(trails[host.name][what], address, host.name, what)
    for at, switch in enumerate(cluster.switches):
        if switch.address and (address := _parsed(switch.address)):
            yield _Use(("switches", at, "address"), address, switch.name, "switch")


def _trails(cluster: Cluster) -> dict[str, dict[str, Trail]]:
    """Where each host's two addresses are written."""
    units = {name: at for at, unit in enumerate(cluster.units) for name in unit_names(unit)}
    written = {(host.unit, host.slot): at for at, host in enumerate(cluster.hosts)}
    found: dict[str, dict[str, Trail]] = {}
    for host in hosts_of(cluster):
        at = written.get((host.unit, host.slot))
        unit: Trail = ("units", units[host.unit])
        found[host.name] = {
            what: ("hosts", at, what)
            if at is not None and getattr(cluster.hosts[at], what)
            else (*unit, _row(what))
            for what in ("address", "bmc_address")
        }
    return found


def _row(what: str) -> str:
    """The field of a unit that a host's field overrides."""
    return "bmc_addresses" if what == "bmc_address" else "addresses"


def _shared(uses: list[_Use]) -> Iterator[Finding]:
    """Told once for each two places, however many hosts that makes."""
    first: dict[Ip, _Use] = {}
    told: set[tuple[Trail, Trail]] = set()
    for use in uses:
        other = first.setdefault(use.address, use)
        if other is use or (other.trail, use.trail) in told:
            continue
        told.add((other.trail, use.trail))
        owner = f"{'the controller of ' if other.what == 'bmc_address' else ''}{other.host}"
        yield Finding(
            use.trail, f"expected an address of its own for {use.host}, found {use.address}, which"
            f" {owner} has", "each needs one of its own",
            (other.trail,) if other.trail != use.trail else (),
        )  # fmt: skip


def _mixed(uses: list[_Use]) -> Iterator[Finding]:
    told: set[Trail] = set()
    for use in uses:
        if use.address.version != uses[0].address.version and use.trail not in told:
            told.add(use.trail)
            yield Finding(
                use.trail,
                f"expected an IPv{uses[0].address.version} address as {uses[0].host} has, found"
                f" {use.address}", "Ray and NCCL join hosts of one kind of address only",
                (uses[0].trail,),
            )  # fmt: skip


def _lacking(cluster: Cluster, uses: list[_Use], what: str) -> Iterator[Finding]:
    have = {use.host for use in uses}
    lacking = [host for host in hosts_of(cluster) if host.name not in have]
    units = {name: at for at, unit in enumerate(cluster.units) for name in unit_names(unit)}
    told: set[int] = set()
    for host in lacking if have else ():
        at = units[host.unit]
        if at not in told:
            told.add(at)
            yield Finding(
                ("units", at), f"expected {_row(what)} for {host.name} as others have, found none",
                f"write {_row(what)} for the unit, or one for the host",
            )  # fmt: skip
