"""An Ethernet fabric with faults planted in it, as its devices would tell of it by LLDP.

The fabric is the cable plan, spoiled. What each device hears is printed as `lldpcli -f json0`
prints it, and read again by the parser of facts. No packet flows here: `test_lldpd` asks real
daemons.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bare_metal.fabric import Answer, Answers, Cable, End, FabricPlan, NotAsked, Port, wire
from bare_metal.fabric import Neighbour as Heard
from bare_metal.fabric.ethernet.chassis import device_of
from bare_metal.hosts.connection import Ran
from bare_metal.hosts.facts import neighbours_told
from bare_metal.inventory import parse_cluster

Expected = tuple[str, frozenset[str]]
SPEED, MTU = 400_000, 9000


def text_of(units: int, hosts: int, radix: int = 16, rails: int = 8, more: str = "") -> str:
    """A cluster file of an Ethernet fabric whose adapters' interfaces are declared."""
    hcas = ", ".join(
        f"{{device: mlx5_{at}, rail: {at + 1}, interface: rdma{at}}}" for at in range(rails)
    )
    return (
        f"kind: Cluster\nname: alpha\nfabric: {{kind: roce, radix: {radix}}}\nhcas: [{hcas}]\n"
        f"units: [{{name: su, count: {units}, hosts: {hosts}, addresses: 10.0.0.1}}]\n{more}"
    )


def roce_plan(
    units: int, hosts: int, radix: int = 16, rails: int = 8, more: str = ""
) -> FabricPlan:
    """A cable plan of an Ethernet fabric."""
    return wire(parse_cluster(text_of(units, hosts, radix, rails, more)).value)


@dataclass
class Wired:
    """An Ethernet fabric that differs from its plan."""

    plan: FabricPlan
    random: random.Random
    switches: bool = True
    """Whether switches can be asked, and not hosts alone."""
    wires: dict[End, End] = field(init=False)
    names: dict[str, str] = field(default_factory=dict)
    chassis: dict[str, str] = field(default_factory=dict)
    speeds: dict[End, int] = field(default_factory=dict)
    mtus: dict[End, int] = field(default_factory=dict)
    mute: set[End] = field(default_factory=set)
    """Ports that say nothing, though they are up."""
    unnamed: set[End] = field(default_factory=set)
    """Ports that do not tell their names."""
    absent: set[End] = field(default_factory=set)
    lying: dict[End, End] = field(default_factory=dict)
    """What a port still hears of before."""
    gone: dict[str, str] = field(default_factory=dict)
    """Devices that cannot be asked, and why."""
    touched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.wires = dict(self.plan.peers)

    # What is told

    @property
    def devices(self) -> list[str]:
        """Names of all that is to be asked."""
        hosts = list(self.plan.of_host)
        return hosts + (list(self.plan.ports) if self.switches else [])

    def answers(self) -> Answers:
        """What every device says."""
        return {
            name: NotAsked(self.gone[name]) if name in self.gone else self._answer(name)
            for name in self.devices
        }

    def _answer(self, device: str) -> Answer:
        heard = neighbours_told(Ran(0, self.printed(device)))
        neighbours = tuple(Heard(one.interface, one.chassis, one.name, one.ports) for one in heard)
        ports = {end.port: self._port(end) for end in self.ends(device) if end not in self.absent}
        own = {"eth0" if device in self.plan.ports else "eno1": Port(up=True, mtu=1500, speed=1000)}
        return Answer(
            neighbours, {**{str(port): one for port, one in ports.items()}, **own},
            self.identifier(device), self.names.get(device, device),
        )  # fmt: skip

    def ends(self, device: str) -> list[End]:
        """The ports of a device."""
        if device in self.plan.ports:
            return [End(device, port) for port in self.plan.ports[device]]
        return [one.end for one in self.plan.of_host[device]]

    def _port(self, end: End) -> Port:
        return Port(end in self.wires, self.mtus.get(end, MTU), self.speeds.get(end, SPEED))

    def identifier(self, device: str) -> str:
        """Its chassis's identifier."""
        if device in self.chassis:
            return self.chassis[device]
        every = [*self.plan.of_host, *self.plan.ports]
        number = every.index(device) if device in every else 0xFFFF
        return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"

    def printed(self, device: str) -> str:
        """What `lldpcli -f json0 show neighbors` prints there."""
        rows = [self._row("eth0" if device in self.plan.ports else "eno1", "mgmt-1", ("swp9",))]
        if device not in self.plan.ports:
            # Simple switches repeat what no switch should: a host hears others' management ports.
            rows.append(self._row("eno1", next(iter(self.plan.ports)), ("eth0",)))
        for end in self.ends(device):
            there = self.lying.get(end, self.wires.get(end))
            if there is not None and there not in self.mute:
                named = () if there in self.unnamed else (str(there.port),)
                rows.append(self._row(str(end.port), device_of(there), named))
        return json.dumps({"lldp": [{"interface": rows}]})

    def _row(self, interface: str, device: str, named: tuple[str, ...]) -> dict[str, object]:
        said = self.names.get(device, device)
        port: dict[str, object] = {"id": [{"type": "mac", "value": "02:00:00:aa:bb:cc"}]}
        if named and device in self.plan.ports:
            port = {"id": [{"type": "ifname", "value": named[0]}]}
        elif named:
            port["descr"] = [{"value": named[0]}]
        return {
            "name": interface, "via": "LLDP", "port": [port],
            "chassis": [
                {
                    "id": [{"type": "mac", "value": self.identifier(device)}],
                    **({"name": [{"value": said}]} if said else {}),
                }
            ],
        }  # fmt: skip

    # What is spoiled

    def join(self, one: End, other: End) -> None:
        self.wires[one], self.wires[other] = other, one

    def cut(self, cable: Cable) -> None:
        for end in cable:
            del self.wires[end]

    def _cable(self) -> Cable | None:
        """A cable that is seen, and whose ends no fault has touched; they are touched now."""
        free = [
            cable
            for cable in self.plan.cables
            if not {end.node for end in cable} & self.touched
            and (self.switches or self.plan.heights[cable.low.node] == 0)
        ]
        if not free:
            return None
        cable = self.random.choice(free)
        self.touched |= {end.node for end in cable}
        return cable

    def _free_port(self) -> End | None:
        for switch in self.random.sample(self.plan.switches, len(self.plan.switches)):
            if switch.name in self.touched or (not self.switches and switch.role != "leaf"):
                continue
            free = [end for end in self.ends(switch.name) if end not in self.wires]
            if free:
                self.touched.add(switch.name)
                return self.random.choice(free)
        return None

    def _device(self, among: Iterable[str], *, around: bool = False) -> str | None:
        """A device that no fault has touched, nor, where that is asked, any at its cables."""
        names = list(among)
        for device in self.random.sample(names, len(names)):
            nodes = {end.node for end in self.ends(device)}
            if around:
                nodes |= {self.wires[end].node for end in self.ends(device) if end in self.wires}
            if not nodes & self.touched:
                self.touched |= nodes
                return device
        return None

    def _all(self, device: str) -> frozenset[str]:
        return frozenset(end.node for end in self.ends(device))

    def _around(self, device: str) -> frozenset[str]:
        planned = [end for end in self.ends(device) if end in self.plan.peers]
        return frozenset(n for end in planned for n in (end.node, self.plan.peers[end].node))

    def unplug(self) -> list[Expected]:
        """A cable is not there."""
        if (cable := self._cable()) is None:
            return []
        self.cut(cable)
        return [("fabric.missing-cable", _nodes(*cable))]

    def swap(self) -> list[Expected]:
        """The upper ends of two cables are swapped."""
        one, other = self._cable(), self._cable()
        if one is None or other is None or one.high.node == other.high.node:
            return []
        self.join(one.low, other.high)
        self.join(other.low, one.high)
        rails = self.plan.rails
        crossed = any(
            rails[low.node] and rails[high.node] and rails[low.node] != rails[high.node]
            for low, high in ((one.low, other.high), (other.low, one.high))
        )
        kind = "fabric.rail-swap" if crossed else "fabric.swapped-cables"
        return [(kind, _nodes(*one, *other))]

    def move(self) -> list[Expected]:
        """The upper end of a cable is in a port where none is planned."""
        cable, free = self._cable(), self._free_port()
        if cable is None or free is None:
            return []
        self.cut(cable)
        self.join(cable.low, free)
        return [("fabric.moved-cable", _nodes(*cable, free))]

    def add(self) -> list[Expected]:
        """A cable is there that is not planned."""
        one, other = self._free_port(), self._free_port()
        if one is None or other is None:
            return []
        self.join(one, other)
        return [("fabric.extra-cable", _nodes(one, other))]

    def visit(self) -> list[Expected]:
        """Something that nobody declared is plugged in."""
        if (free := self._free_port()) is None:
            return []
        name = f"laptop-{len(self.touched)}"
        self.chassis[name] = f"02:00:00:01:00:{len(self.touched):02x}"
        self.wires[free] = End(name, "en0")
        node = f"{name} ({self.chassis[name]})"
        nodes = frozenset({free.node, node})
        return [("fabric.extra-cable", nodes), ("fabric.unknown-node", frozenset({node}))]

    def slow(self) -> list[Expected]:
        """A cable runs at a lower speed, and one end or both say so."""
        if (cable := self._cable()) is None:
            return []
        for end in self.random.choice([cable, (cable.low,)]):
            self.speeds[end] = 100_000
        return [("fabric.speed", _nodes(*cable))]

    def small(self) -> list[Expected]:
        """A port carries small packets only."""
        if (cable := self._cable()) is None:
            return []
        end = self.random.choice(cable) if self.switches else cable.low
        self.mtus[end] = 1500
        return [("fabric.mtu", frozenset({end.node}))]

    def host_off(self) -> list[Expected]:
        """A host is away with all its adapters."""
        if (host := self._device(self.plan.of_host, around=True)) is None:
            return []
        self.gone[host] = f"{host} does not answer"
        for end in self.ends(host):
            self.cut(Cable(end, self.wires[end]))
        return [
            ("fabric.missing-host", self._around(host)), ("fabric.not-asked", self._all(host))
        ]  # fmt: skip

    def switch_off(self) -> list[Expected]:
        """A switch is away with all its cables."""
        if (switch := self._device(self.plan.ports, around=True)) is None:
            return []
        self.gone[switch] = f"{switch} does not answer"
        for end in self.ends(switch):
            if end in self.wires:
                self.cut(Cable(end, self.wires[end]))
        return [
            ("fabric.missing-switch", self._around(switch)), ("fabric.not-asked", self._all(switch))
        ]  # fmt: skip

    def shut(self) -> list[Expected]:
        """A device lets nobody in, but goes on telling its neighbours."""
        if (device := self._device(self.devices, around=True)) is None:
            return []
        self.gone[device] = f"{device} lets nobody in"
        return [("fabric.not-asked", self._all(device))]

    def daemonless(self) -> list[Expected]:
        """A host runs no lldpd: its cables are up, and its leaves hear nobody."""
        if (host := self._device(self.plan.of_host, around=True)) is None:
            return []
        self.gone[host] = f"lldpcli on {host} is unable to connect to its socket"
        self.mute |= set(self.ends(host))
        leaves = [self.wires[end].node for end in self.ends(host)]
        return [
            ("fabric.not-asked", self._all(host)),
            *(("fabric.silent-port", frozenset({leaf})) for leaf in leaves),
        ]

    def hush(self) -> list[Expected]:
        """A cable is up, and what crosses it is no LLDP."""
        if (cable := self._cable()) is None:
            return []
        self.mute |= set(cable)
        ends = cable if self.switches else (cable.low,)
        return [("fabric.silent-port", frozenset({end.node})) for end in ends]

    def mumble(self) -> list[Expected]:
        """Neither end of a cable says which port it is."""
        if (cable := self._cable()) is None:
            return []
        self.unnamed |= set(cable)
        ends = cable if self.switches else (cable.low,)
        return [("fabric.unnamed-port", frozenset({end.node})) for end in ends]

    def remember(self) -> list[Expected]:
        """A switch's port hears of another adapter than the one that hears it."""
        one, other = self._cable(), self._cable()
        if one is None or other is None:
            return []
        self.lying[one.high] = other.low
        return [("fabric.two-answers", _nodes(one.low, one.high, other.low))]

    def take(self) -> list[Expected]:
        """A host lacks an adapter's interface."""
        if (host := self._device(self.plan.of_host, around=True)) is None:
            return []
        end = self.random.choice(self.ends(host))
        self.cut(Cable(end, self.wires[end]))
        self.absent.add(end)
        return [("fabric.missing-interface", frozenset({end.node}))]

    def rename(self) -> list[Expected]:
        """A device goes by a name that is not its own, or by none."""
        if (device := self._device(self._named())) is None:
            return []
        self.names[device] = self.random.choice(["", "localhost", "sonic.example.com"])
        return [("fabric.wrong-name", self._all(device))]

    def namesake(self) -> list[Expected]:
        """A device goes by the name of another."""
        names = list(self._named())
        one, other = self._device(names), self._device(names)
        if one is None or other is None:
            return []
        self.names[one] = other
        return [("fabric.duplicate-name", self._all(one) | self._all(other))]

    def twin(self) -> list[Expected]:
        """A device has the chassis identifier of another."""
        names = list(self._named())
        one, other = self._device(names), self._device(names)
        if one is None or other is None:
            return []
        self.chassis[one] = self.identifier(other)
        return [("fabric.duplicate-chassis", self._all(one) | self._all(other))]

    def clone(self) -> list[Expected]:
        """A device is the copy of another, name and identifier."""
        one, other = self._device(self.devices), self._device(self.devices)
        if one is None or other is None:
            return []
        self.chassis[one], self.names[one] = self.identifier(other), other
        nodes = self._all(one) | self._all(other)
        return [("fabric.duplicate-chassis", nodes), ("fabric.duplicate-name", nodes)]

    def _named(self) -> Iterable[str]:
        """Devices whose names somebody hears: where only hosts are asked, leaves and hosts."""
        if self.switches:
            return self.devices
        return [*self.plan.of_host, *(s.name for s in self.plan.switches if s.role == "leaf")]


Fault = Callable[[Wired], list[Expected]]
OF_HOSTS: tuple[Fault, ...] = (
    Wired.unplug, Wired.swap, Wired.move, Wired.slow, Wired.small, Wired.hush, Wired.mumble,
    Wired.take, Wired.rename, Wired.namesake, Wired.twin,
)  # fmt: skip
"""Kinds of faults that hosts alone can tell of."""
KINDS: tuple[Fault, ...] = (
    *OF_HOSTS, Wired.add, Wired.visit, Wired.host_off, Wired.switch_off, Wired.shut,
    Wired.daemonless, Wired.remember, Wired.clone,
)  # fmt: skip


def _nodes(*ends: End) -> frozenset[str]:
    return frozenset(end.node for end in ends)


def planted(
    plan: FabricPlan, seed: int, *, switches: bool = True, most: int = 6
) -> tuple[Wired, list[Expected]]:
    """A fabric with some faults of random kinds, and what has to be said of it."""
    chance = random.Random(seed)
    wired = Wired(plan, chance, switches)
    expected: list[Expected] = []
    for _ in range(chance.randint(1, most)):
        before = (dict(wired.wires), dict(wired.speeds), dict(wired.chassis))
        faults = chance.choice(KINDS if switches else OF_HOSTS)(wired)
        if not faults:
            wired.wires, wired.speeds, wired.chassis = before
        expected += faults
    return wired, expected
