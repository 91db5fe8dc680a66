"""Which ports are joined, out of what each end says of the other. Pure.

A cable that both ends tell of is known. One that only one end tells of is believed, unless the
other end was asked and tells of somebody else: then it is not known which of them is right, since
LLDP keeps what it heard for a while (its time to live) and a hub between two ports repeats it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from bare_metal.fabric.ethernet.answers import Answer, Answers, Neighbour, NotAsked, Port
from bare_metal.fabric.ethernet.chassis import (
    Devices,
    device_of,
    devices,
    ends_of,
    own_ends,
)
from bare_metal.fabric.model import Cable, End, FabricPlan


@dataclass(frozen=True)
class Joined:
    """A fabric as its devices tell of it, in the names of the plan."""

    plan: FabricPlan
    answers: Answers
    devices: Devices
    found: Mapping[End, End]
    """What is joined to what, from both ends."""
    torn: Mapping[End, frozenset[End]]
    """Ports of which it is not known to which of several others they are joined."""
    nameless: frozenset[End]
    """Ports that hear somebody who does not say at which port."""
    ports: Mapping[End, Port | None]
    """Ports of the fabric that were asked; None where nothing was said of the interface."""
    absent: Mapping[End, str]
    """Planned ports of hosts that were asked and have no such interface: why."""

    @cached_property
    def dark(self) -> frozenset[End]:
        """Ports that are known to be down."""
        return frozenset(
            end
            for end, port in self.ports.items()
            if port is not None and port.up is False and end not in self.found
        )

    @cached_property
    def silent(self) -> frozenset[End]:
        """Planned ports that are not known to be down, and hear nobody whose port is known."""
        return frozenset(
            end
            for end in self.ports
            if end in self.plan.peers
            and not (end in self.found or end in self.dark or end in self.doubtful)
        )

    @cached_property
    def doubtful(self) -> frozenset[End]:
        """Ports of which something was told, and not where their cables lead."""
        return frozenset(self.torn) | self.nameless | frozenset(self.absent)

    @cached_property
    def judged(self) -> FabricPlan:
        """The plan with those cables only of which something is known."""
        return replace(self.plan, cables=tuple(one for one in self.plan.cables if self._known(one)))

    @cached_property
    def unseen(self) -> tuple[Cable, ...]:
        """Planned cables neither end of which was asked or heard of."""
        return tuple(
            one
            for one in self.plan.cables
            if not any(self._told(end) for end in one) and not self._known(one)
        )

    def _known(self, cable: Cable) -> bool:
        if any(end in self.found for end in cable):
            return True
        if any(end in self.doubtful for end in cable):
            return False
        return any(end in self.dark for end in cable)

    def _told(self, end: End) -> bool:
        return end in self.ports or end in self.absent

    @cached_property
    def here(self) -> set[str]:
        """Names of the nodes that were asked or heard."""
        asked = {end.node for name in self.devices.asked for end in ends_of(self.plan, name)}
        heard = {end.node for ends in (self.found, self.torn) for end in ends}
        return asked | heard

    def not_asked(self) -> dict[str, NotAsked]:
        """Devices that were to be asked, and could not be."""
        return {name: one for name, one in self.answers.items() if isinstance(one, NotAsked)}


def joined(plan: FabricPlan, answers: Answers) -> Joined:
    """Put together what all devices tell."""
    who = devices(plan, answers)
    claims: defaultdict[End, set[End]] = defaultdict(set)
    nameless: set[End] = set()
    ports: dict[End, Port | None] = {}
    absent: dict[End, str] = {}
    for device, answer in who.asked.items():
        mine = own_ends(plan, device, answer)
        _own_ports(plan, device, answer, ports, absent)
        for one in answer.neighbours:
            end = mine.get(one.interface)
            there = _there(plan, who, one, plan.peers.get(end) if end else None)
            if there is None:
                nameless |= {end} if end else set()
            elif end is not None or (_of_fabric(plan, there) and _mapped(plan, device, mine)):
                claims[end or End(_beside(plan, device, one.interface), one.interface)].add(there)
    down = {end for end, port in ports.items() if port is not None and port.up is False}
    found, torn = _settled(claims, down)
    return Joined(
        plan, answers, who, found, torn, frozenset(nameless - found.keys()), ports, absent
    )


def _mapped(plan: FabricPlan, device: str, mine: Mapping[str, End]) -> bool:
    """Whether the interface of each of a host's adapters is known, so that any other is none."""
    return len(mine) >= len(plan.of_host.get(device, ()))


def _own_ports(
    plan: FabricPlan, device: str, answer: Answer, ports: dict[End, Port | None],
    absent: dict[End, str],
) -> None:  # fmt: skip
    """Of a device that was asked: its ports in the fabric, and those that it has not."""
    mine = own_ends(plan, device, answer)
    for interface, end in mine.items():
        if answer.ports is None:
            ports[end] = None
        elif interface in answer.ports:
            ports[end] = answer.ports[interface]
        elif end in plan.peers:
            absent[end] = f"it has no interface {interface}"
    for one in plan.of_host.get(device, ()):
        if one.end not in mine.values():
            absent[one.end] = f"nothing says which interface {one.device} has"


def _there(plan: FabricPlan, who: Devices, neighbour: Neighbour, peer: End | None) -> End | None:
    """The port that is heard; None where its device is known and the port has no name."""
    device = who.of(neighbour, peer)
    if device in plan.ports:
        named = next((one for one in neighbour.ports if one in plan.ports[device]), None)
        named = named or next(iter(neighbour.ports), None)
        return End(device, named) if named else None
    if device in plan.of_host:
        return _of_host(plan, who, device, neighbour, peer)
    return End(device, next(iter(neighbour.ports), 0))


def _of_host(
    plan: FabricPlan, who: Devices, host: str, neighbour: Neighbour, peer: End | None
) -> End | None:
    told = who.asked[host].interfaces if host in who.asked else {}
    for one in plan.of_host[host]:
        if {one.interface or told.get(one.device, "")} & set(neighbour.ports):
            return one.end
    if not neighbour.ports:
        return None
    undeclared = not any(one.interface for one in plan.of_host[host]) and not told
    if undeclared and peer is not None and device_of(peer) == host:
        return None
    return End(_beside(plan, host, neighbour.ports[0]), neighbour.ports[0])


def _beside(plan: FabricPlan, device: str, interface: str) -> str:
    """Name of the node of an interface that is none of the plan's: a host's own, or the switch."""
    return f"{device} {interface}" if device in plan.of_host else device


def _of_fabric(plan: FabricPlan, there: End) -> bool:
    """Whether a port is one that the fabric's cables may be in."""
    if there.node in plan.ports:
        return there.port in plan.ports[there.node]
    return there in plan.peers


def _settled(
    claims: Mapping[End, set[End]], down: set[End]
) -> tuple[dict[End, End], dict[End, frozenset[End]]]:
    """Cables that are believed, from both ends, and ports of which several are claimed."""
    by: defaultdict[End, set[End]] = defaultdict(set)
    for end, others in claims.items():
        for other in others:
            by[other].add(end)
    found: dict[End, End] = {}
    for end, others in claims.items():
        both = {other for other in others if end in claims.get(other, ())}
        if len(both) == 1 and _mutual(claims, both):
            found[end] = next(iter(both))
    for end, others in claims.items():
        if len(others) > 1 or end in found:
            continue
        (other,) = others
        if not claims.get(other) and by[other] == {end} and not {end, other} & down:
            found[end], found[other] = other, end
    torn = {
        end: frozenset(claims.get(end, set()) | by[end])
        for end in [*claims, *(end for end in by if not by[end] <= found.keys())]
        if end not in found
    }
    return found, torn


def _mutual(claims: Mapping[End, set[End]], both: set[End]) -> bool:
    """Whether the other end, too, is told of by one only that it tells of itself."""
    (other,) = both
    return sum(other in claims.get(end, ()) for end in claims[other]) == 1
