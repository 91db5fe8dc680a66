"""Faults of what is not known, and of MTU: each device, or each reason, once. Pure.

Nothing that could not be asked or heard passes: it is told here, with the verdict unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from bare_metal.fabric.ethernet.chassis import device_of, ends_of
from bare_metal.fabric.ethernet.joining import Joined
from bare_metal.fabric.findings import Fault, Verdict
from bare_metal.fabric.model import End
from bare_metal.fabric.speeds import slow

NAMED = 5
"""Devices that a message names."""
MTU = "the cluster file, fabric.roce.mtu"
DAEMON = "systemctl enable --now lldpd, at both ends; it speaks up within 30 seconds"


def check_asked(case: Joined) -> Iterator[Fault]:
    """Devices that were to be asked and could not be, by reason; and cables that none tells of."""
    reasons: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, one in case.not_asked().items():
        reasons[one.reason, one.hint].append(name)
    for (reason, hint), names in reasons.items():
        yield Fault(
            "fabric.not-asked", Verdict.UNKNOWN,
            f"{_listed(names)} could not be asked for neighbours: {reason}",
            tuple(sorted(end for name in names for end in ends_of(case.plan, name))),
            measured="no answer", expected="neighbours by LLDP",
            fix=hint or "install and start lldpd there, then verify again",
        )  # fmt: skip
    if case.unseen:
        ends = sorted({end for cable in case.unseen for end in cable})
        nodes = list(dict.fromkeys(device_of(end) for end in ends))
        yield Fault(
            "fabric.unseen-cables", Verdict.UNKNOWN,
            f"{len(case.unseen):,} of {len(case.plan.cables):,} cables are told of by nobody: no"
            f" end of them could be asked ({_listed(nodes)})",
            tuple(ends), measured="no answer", expected=f"{len(case.unseen):,} cables",
            fix="write an address for a switch at one end of each: switches[].address",
        )  # fmt: skip


def _listed(names: list[str]) -> str:
    some = ", ".join(names[:NAMED])
    return f"{some} and {len(names) - NAMED} more" if len(names) > NAMED else some


def check_interfaces(case: Joined) -> Iterator[Fault]:
    """Adapters of hosts that were asked, whose interfaces are not there."""
    for end, why in sorted(case.absent.items()):
        known = why.startswith("it has")
        yield Fault(
            "fabric.missing-interface", Verdict.FAIL if known else Verdict.UNKNOWN,
            f"{case.plan.place(end)}: {why}",
            (end,), measured="no such interface" if known else "no answer",
            expected=str(end.port) if known else "the interface of the adapter",
            fix="see whether the card is there (lspci), and whether the interface has another name:"
            " fix names by udev, or mend hcas[].interface",
        )  # fmt: skip


def check_silence(case: Joined) -> Iterator[Fault]:
    """Ports that are not down and hear nobody, by device."""
    by_device: defaultdict[str, list[End]] = defaultdict(list)
    for end in sorted(case.silent):
        by_device[device_of(end)].append(end)
    for device, ends in by_device.items():
        up = all((port := case.ports[end]) is not None and port.up for end in ends)
        state = "up" if up else "not known to be down"
        toward = [case.plan.peers[end] for end in ends]
        yield Fault(
            "fabric.silent-port", Verdict.UNKNOWN,
            f"{device}: {_listed([str(end.port) for end in ends])} {_is(ends)} {state} and hear"
            f"{'s' if len(ends) == 1 else ''} nobody, planned is"
            f" {_listed([str(end) for end in toward])}",
            tuple(ends), measured="no neighbour", expected="a neighbour by LLDP", fix=DAEMON,
        )  # fmt: skip


def _is(ends: list[End]) -> str:
    return "is" if len(ends) == 1 else "are"


def check_agreement(case: Joined) -> Iterator[Fault]:
    """Ports of which their ends tell differently, those that concern each other once."""
    done: set[End] = set()
    for start in sorted(case.torn):
        if start in done:
            continue
        ends = _reach(case, start)
        done |= ends
        told = [
            f"{case.plan.place(end)} goes with {' or '.join(map(str, sorted(case.torn[end])))}"
            for end in sorted(ends)
            if end in case.torn
        ]
        yield Fault(
            "fabric.two-answers", Verdict.UNKNOWN,
            f"the ends of cables tell differently of each other: {'; '.join(told)}",
            tuple(sorted(ends)), measured="several neighbours", expected="one",
            fix="wait until what was heard before is forgotten (120 seconds) and verify again; then"
            " look for a hub between them, or a card that speaks LLDP by itself",
        )  # fmt: skip


def _reach(case: Joined, start: End) -> set[End]:
    reached, left = {start}, [start]
    while left:
        for end in case.torn.get(left.pop(), frozenset()):
            if end not in reached:
                reached.add(end)
                left.append(end)
    return reached


def check_speeds(case: Joined) -> Iterator[Fault]:
    """Cables that run at another speed than declared, and those whose speed nobody tells."""
    wanted = int(case.plan.link.removesuffix("GbE")) * 1000
    unknown: list[End] = []
    for end, peer in case.found.items():
        if end > peer:
            continue
        told = [one.speed for at in (end, peer) if (one := case.ports.get(at)) and one.speed]
        wrong = [speed for speed in told if speed != wanted]
        if wrong:
            yield slow(case.plan, (end, peer), f"{min(wrong) / 1000:g}GbE")
        elif not told:
            unknown += [end, peer]
    if unknown:
        yield Fault(
            "fabric.speed-unknown", Verdict.UNKNOWN,
            f"the speed of {len(unknown) // 2:,} cables is not known: neither end tells it",
            tuple(sorted(unknown)), measured="no answer", expected=case.plan.link,
            fix="ask the devices themselves in place of what was saved of their neighbours alone",
        )  # fmt: skip


def check_mtus(case: Joined) -> Iterator[Fault]:
    """Ports whose MTU is another than declared; a switch's may be larger."""
    unknown: list[End] = []
    for end, port in sorted(case.ports.items()):
        if end not in case.plan.peers:
            continue
        if port is None or port.mtu is None:
            unknown.append(end)
        elif port.mtu < case.plan.mtu or (
            end.node not in case.plan.ports and port.mtu != case.plan.mtu
        ):
            yield _mtu(case, end, port.mtu)
    if unknown:
        yield Fault(
            "fabric.mtu-unknown", Verdict.UNKNOWN,
            f"the MTU of {len(unknown):,} ports is not known:"
            f" {_listed(list(dict.fromkeys(device_of(end) for end in unknown)))}",
            tuple(unknown), measured="no answer", expected=str(case.plan.mtu), source=MTU,
            fix="ask the devices themselves in place of what was saved of their neighbours alone",
        )  # fmt: skip


def _mtu(case: Joined, end: End, mtu: int) -> Fault:
    switch = end.node in case.plan.ports
    expected = f"at least {case.plan.mtu}" if switch else str(case.plan.mtu)
    return Fault(
        "fabric.mtu", Verdict.DEGRADED,
        f"{case.plan.place(end)} has an MTU of {mtu}, declared is {expected}: larger packets are"
        " dropped, or RDMA sends smaller ones",
        (end,), measured=str(mtu), expected=expected, source=MTU,
        fix="set it where the port is configured, at both ends, and not by ip link alone",
    )  # fmt: skip
