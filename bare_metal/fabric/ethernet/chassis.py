"""Which device of the plan each chassis is that was heard or asked.

A device that was asked is who it was asked as, since it showed the key that is pinned. One that was
only heard is who it says that it is, where nobody else says so; otherwise who the ports around it
belong to. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from bare_metal.fabric.ethernet.answers import Answer, Answers, Neighbour
from bare_metal.fabric.model import End, FabricPlan

Heard = tuple[str, str]
"""A chassis by its identifier and the name that it gives."""


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices of the plan, and who they are on the wire."""

    asked: Mapping[str, Answer]
    """What each device said that could be asked."""
    names: Mapping[Heard, str]
    """The device that each chassis is; without those that the plan has no place for."""
    strangers: tuple[Heard, ...]
    clones: Mapping[Heard, tuple[str, ...]]
    """Devices that were asked and say the very same of themselves."""

    def of(self, neighbour: Neighbour, peer: End | None) -> str:
        """The device that a neighbour is; a name of its own for one that is not planned.

        Args:
            neighbour: Whom a port hears.
            peer: What the port is to be joined to: that one, where several say the same.
        """
        heard = (neighbour.chassis, neighbour.name)
        alike = self.clones.get(heard, ())
        if peer is not None and device_of(peer) in alike:
            return device_of(peer)
        return self.names.get(heard) or stranger(heard)


def stranger(heard: Heard) -> str:
    """What a chassis is called that the plan has no place for."""
    return f"{heard[1] or 'a device without a name'} ({heard[0] or 'no identifier'})"


def planned(plan: FabricPlan) -> set[str]:
    """Names of all hosts and switches."""
    return {one.name for one in plan.switches} | {one.host for one in plan.adapters}


def short(name: str, known: set[str]) -> str:
    """A name as the plan has it: without a domain behind it."""
    return name if name in known else name.partition(".")[0]


def devices(plan: FabricPlan, answers: Answers) -> Devices:
    """Find each chassis's place in the plan."""
    known = planned(plan)
    asked = {
        name: one for name, one in answers.items() if name in known and isinstance(one, Answer)
    }
    said: defaultdict[Heard, list[str]] = defaultdict(list)
    for name, answer in asked.items():
        if answer.chassis:
            said[answer.chassis, answer.name].append(name)
    names = {heard: ones[0] for heard, ones in said.items()}
    heard = dict.fromkeys(
        (one.chassis, one.name) for answer in asked.values() for one in answer.neighbours
    )
    names |= _by_identifier([one for one in heard if short(one[1], known) not in known], said)
    taken = {*chain.from_iterable(said.values())}
    callers: defaultdict[str, list[Heard]] = defaultdict(list)
    for one in heard:
        if one not in names:
            callers[short(one[1], known)].append(one)
    names |= {
        ones[0]: name
        for name, ones in callers.items()
        if len(ones) == 1 and name in known and name not in taken
    }
    left = [one for one in heard if one not in names]
    names |= _by_cables(plan, asked, left, taken | set(names.values()))
    strangers = tuple(one for one in heard if one not in names)
    clones = {heard: tuple(ones) for heard, ones in said.items() if len(ones) > 1}
    return Devices(asked, names, strangers, clones)


def _by_identifier(heard: Iterable[Heard], said: Mapping[Heard, Sequence[str]]) -> dict[Heard, str]:
    """Devices that were asked, where they are heard under a name that is nobody's."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for (chassis, _), names in said.items():
        owners[chassis] += names
    return {
        one: owners[one[0]][0]
        for one in heard
        if one not in said and len(owners.get(one[0], ())) == 1
    }


def _by_cables(
    plan: FabricPlan, asked: Mapping[str, Answer], left: list[Heard], taken: set[str]
) -> dict[Heard, str]:
    """Places by the ports around them, best founded first; each place is given once."""
    votes: Counter[tuple[Heard, str]] = Counter()
    wanted = set(left)
    for end, one in near(plan, asked):
        heard = (one.chassis, one.name)
        peer = plan.peers.get(end)
        if heard in wanted and peer is not None and _fits(plan, peer, one):
            votes[heard, device_of(peer)] += 1
    known = planned(plan)
    found: dict[Heard, str] = {}
    taken = set(taken)
    # One that gives the name itself comes first among equals: one of two that share it is right.
    ranked = sorted(
        votes.items(), key=lambda vote: (-vote[1], short(vote[0][0][1], known) != vote[0][1], vote)
    )
    for (heard, name), _ in ranked:
        if heard not in found and name not in taken:
            found[heard] = name
            taken.add(name)
    return found


def near(plan: FabricPlan, asked: Mapping[str, Answer]) -> Iterator[tuple[End, Neighbour]]:
    """Each planned port that was asked, with everybody whom it hears."""
    for device, answer in asked.items():
        ends = own_ends(plan, device, answer)
        for one in answer.neighbours:
            if one.interface in ends:
                yield ends[one.interface], one


def own_ends(plan: FabricPlan, device: str, answer: Answer) -> dict[str, End]:
    """A device's ports in the fabric, by interface: its adapters', or all of a switch."""
    if device in plan.ports:
        return {port: End(device, port) for port in plan.ports[device]}
    return {
        interface: one.end
        for one in plan.of_host.get(device, ())
        if (interface := one.interface or answer.interfaces.get(one.device, ""))
    }


def ends_of(plan: FabricPlan, device: str) -> list[End]:
    """Where faults of a whole device show: at a host's adapters, or at the device."""
    return [one.end for one in plan.of_host.get(device, ())] or [End(device, 0)]


def device_of(end: End) -> str:
    """The host or the switch that a port belongs to."""
    return end.node.partition(" ")[0]


def _fits(plan: FabricPlan, peer: End, neighbour: Neighbour) -> bool:
    """Whether a neighbour's port is that of a planned end; an undeclared interface may be any."""
    return peer.port in neighbour.ports or (peer.node not in plan.ports and peer.port == 1)
