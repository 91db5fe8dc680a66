"""A fabric with faults planted in it, and what a checker has to say of each of them.

The fabric is the cable plan, spoiled, and printed as `ibnetdiscover` prints one. That is all it is:
no packet flows here. `test_ibsim` plants faults in a simulated fabric that the real programs
discover.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bare_metal.fabric import Cable, Dump, End, FabricPlan, wire
from bare_metal.fabric.rendering.netfile import identifiers
from bare_metal.inventory import parse_cluster

MASTER = (
    "sminfo: sm lid 1 sm guid 0xc00000000ff, activity count 7 priority 0 state 3 SMINFO_MASTER\n"
)
HEALTHY = "\n## Summary: 24 nodes checked, 0 bad nodes found\n"

Expected = tuple[str, frozenset[str]]
"""Id of a fault, and the nodes that it names."""


def plan_of(units: int, hosts: int, radix: int = 16, more: str = "") -> FabricPlan:
    """A cable plan; with fewer hosts than a leaf has ports for, so that some ports are free."""
    text = (
        f"kind: Cluster\nname: alpha\nfabric: {{link: 4xHDR, radix: {radix}}}\n"
        f"units: [{{name: su, count: {units}, hosts: {hosts}}}]\n{more}"
    )
    return wire(parse_cluster(text).value)


@dataclass
class Spoiled:
    """A fabric that differs from its plan."""

    plan: FabricPlan
    random: random.Random
    wires: dict[End, End] = field(init=False)
    names: dict[str, str] = field(default_factory=dict)
    links: dict[End, str] = field(default_factory=dict)
    counts: list[tuple[End, str, int]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """Nodes that a fault is about: each is spoiled once, so that faults can be told apart."""

    def __post_init__(self) -> None:
        self.wires = dict(self.plan.peers)

    # What is printed

    def discovery(self) -> str:
        """The fabric as `ibnetdiscover` prints it; what has no cable does not answer."""
        ids = identifiers(self.plan)
        by_node: dict[str, list[End]] = {}
        for end in sorted(self.wires):
            by_node.setdefault(end.node, []).append(end)
        blocks = (self._block(node, ends, ids) for node, ends in by_node.items())
        return "#\n# Topology file: generated\n#\n" + "\n".join(blocks)

    def _block(self, node: str, ends: list[End], ids: dict[str, str]) -> str:
        kind, ports = ("Switch", self.plan.shape.radix) if ids[node][0] == "S" else ("Ca", 1)
        said = self.names.get(node, node)
        head = f'{kind}\t{ports} "{ids[node]}"\t\t# "{said}" enhanced port 0 lid 4 lmc 0\n'
        return head + "".join(self._port(end, ids) for end in ends)

    def _port(self, end: End, ids: dict[str, str]) -> str:
        there = self.wires[end]
        link = self.links.get(end, self.plan.link)
        said = self.names.get(there.node, there.node)
        return f'[{end.port}]\t"{ids[there.node]}"[{there.port}]\t\t# "{said}" lid 3 {link}\n'

    def errors(self) -> str:
        """The error counters as `ibqueryerrors` prints them."""
        ids = identifiers(self.plan)
        lines = [
            f"   GUID 0x{ids[end.node][2:].lstrip('0')} port {end.port}: [{counter} == {count}]"
            for end, counter, count in self.counts
        ]
        return "\n".join(lines) + HEALTHY

    def dump(self, managers: str = MASTER) -> Dump:
        """All answers."""
        return Dump(self.discovery(), self.errors(), managers)

    # What is spoiled

    def _join(self, one: End, other: End) -> None:
        self.wires[one], self.wires[other] = other, one

    def _cut(self, cable: Cable) -> None:
        for end in cable:
            del self.wires[end]

    def _cable(self, within: Iterable[Cable] | None = None) -> Cable | None:
        """A cable whose ends no fault has touched; they are touched from now on."""
        free = [
            cable
            for cable in (within if within is not None else self.plan.cables)
            if not {end.node for end in cable} & self.touched
        ]
        if not free:
            return None
        cable = self.random.choice(free)
        self.touched |= {end.node for end in cable}
        return cable

    def _free_port(self) -> End | None:
        for switch in self.random.sample(self.plan.switches, len(self.plan.switches)):
            if switch.name in self.touched:
                continue
            used = {end.port for end in self.wires if end.node == switch.name}
            free = [port for port in range(1, self.plan.shape.radix + 1) if port not in used]
            if free:
                self.touched.add(switch.name)
                return End(switch.name, self.random.choice(free))
        return None

    def unplug(self) -> Expected | None:
        """A cable is not there."""
        cable = self._cable()
        if cable is None:
            return None
        self._cut(cable)
        return "fabric.missing-cable", _nodes(*cable)

    def swap(self) -> Expected | None:
        """The upper ends of two cables are swapped."""
        one, other = self._cable(), self._cable()
        if one is None or other is None or one.high.node == other.high.node:
            return None
        self._join(one.low, other.high)
        self._join(other.low, one.high)
        rails = self.plan.rails
        crossed = any(
            rails[low.node] and rails[high.node] and rails[low.node] != rails[high.node]
            for low, high in ((one.low, other.high), (other.low, one.high))
        )
        kind = "fabric.rail-swap" if crossed else "fabric.swapped-cables"
        return kind, _nodes(*one, *other)

    def move(self) -> Expected | None:
        """The upper end of a cable is in a port where none is planned."""
        cable, free = self._cable(), self._free_port()
        if cable is None or free is None:
            return None
        self._cut(cable)
        self._join(cable.low, free)
        return "fabric.moved-cable", _nodes(*cable, free)

    def add(self) -> Expected | None:
        """A cable is there that is not planned."""
        one, other = self._free_port(), self._free_port()
        if one is None or other is None:
            return None
        self._join(one, other)
        return "fabric.extra-cable", _nodes(one, other)

    def narrow(self) -> Expected | None:
        """A cable runs at one lane."""
        return self._at(f"1x{self.plan.link[2:]}", "fabric.width")

    def slow(self) -> Expected | None:
        """A cable runs at a lower speed."""
        return self._at("4xEDR", "fabric.speed")

    def _at(self, link: str, kind: str) -> Expected | None:
        cable = self._cable()
        if cable is None:
            return None
        for end in cable:
            self.links[end] = link
        return kind, _nodes(*cable)

    def host_off(self) -> Expected | None:
        """A host is away with all its adapters."""
        hosts = sorted({one.host for one in self.plan.adapters})
        host = self.random.choice(hosts)
        cables = [c for c in self.plan.cables if c.low.node.split(" ")[0] == host]
        nodes = {end.node for cable in cables for end in cable}
        if nodes & self.touched:
            return None
        self.touched |= nodes
        for cable in cables:
            self._cut(cable)
        return "fabric.missing-host", frozenset(nodes)

    def switch_off(self) -> Expected | None:
        """A switch is away with all its cables."""
        switch = self.random.choice(self.plan.switches).name
        cables = [c for c in self.plan.cables if switch in (c.low.node, c.high.node)]
        nodes = {end.node for cable in cables for end in cable}
        if nodes & self.touched:
            return None
        self.touched |= nodes
        for cable in cables:
            self._cut(cable)
        return "fabric.missing-switch", frozenset(nodes)

    def rename(self) -> Expected | None:
        """A node goes by the name that it had when it left the factory."""
        cable = self._cable()
        if cable is None:
            return None
        node = self.random.choice(cable).node
        self.names[node] = "MT4129 ConnectX7   Mellanox Technologies"
        return "fabric.wrong-name", frozenset({node})

    def namesake(self) -> Expected | None:
        """An adapter goes by the name of another."""
        hosts = [cable for cable in self.plan.cables if self.plan.heights[cable.low.node] == 0]
        one, other = self._cable(hosts), self._cable(hosts)
        if one is None or other is None:
            return None
        self.names[one.low.node] = other.low.node
        return "fabric.duplicate-name", frozenset({one.low.node, other.low.node})

    def count(self) -> Expected | None:
        """A port has errors."""
        cable = self._cable()
        if cable is None:
            return None
        end = self.random.choice(cable)
        counters = ["SymbolErrorCounter", "LinkDownedCounter", "PortRcvErrors"]
        self.counts.append((end, self.random.choice(counters), self.random.randint(1, 10_000)))
        return "fabric.errors", frozenset({end.node})


KINDS: tuple[Callable[[Spoiled], Expected | None], ...] = (
    Spoiled.unplug, Spoiled.swap, Spoiled.move, Spoiled.add, Spoiled.narrow, Spoiled.slow,
    Spoiled.host_off, Spoiled.switch_off, Spoiled.rename, Spoiled.namesake, Spoiled.count,
)  # fmt: skip


def _nodes(*ends: End) -> frozenset[str]:
    return frozenset(end.node for end in ends)


def planted(plan: FabricPlan, seed: int, most: int = 6) -> tuple[Spoiled, list[Expected]]:
    """A fabric with some faults of random kinds, and what has to be said of it."""
    chance = random.Random(seed)
    spoiled = Spoiled(plan, chance)
    expected = []
    for _ in range(chance.randint(1, most)):
        before = (dict(spoiled.wires), dict(spoiled.links))
        fault = chance.choice(KINDS)(spoiled)
        if fault is None:
            spoiled.wires, spoiled.links = before
        else:
            expected.append(fault)
    return spoiled, expected
