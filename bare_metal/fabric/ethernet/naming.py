"""Faults of names and identifiers that devices give by LLDP, each once for a device. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from bare_metal.fabric.ethernet.chassis import Heard, ends_of, short, stranger
from bare_metal.fabric.ethernet.joining import Joined
from bare_metal.fabric.findings import Fault, Verdict
from bare_metal.fabric.model import End

FIX = "set its host name, and have lldpd started anew: systemctl restart lldpd"
ASIDE = "have its ports named to neighbours: lldpcli configure lldp portidsubtype ifname"


def check_names(case: Joined) -> Iterator[Fault]:
    """All faults of names and identifiers."""
    said = _said(case)
    known = {one.name for one in case.plan.switches} | set(case.plan.of_host)
    by_name: defaultdict[str, list[Heard]] = defaultdict(list)
    by_chassis: defaultdict[str, list[Heard]] = defaultdict(list)
    for heard in said:
        by_name[short(heard[1], known)].append(heard)
        by_chassis[heard[0]].append(heard)
    shared = {name for name, ones in by_name.items() if name in known and _several(said, ones)}
    for name in sorted(shared):
        yield _shared_name(case, name, _devices(said, by_name[name]))
    for chassis, ones in sorted(by_chassis.items()):
        if chassis and len(_devices(said, ones)) > 1:
            yield _shared_chassis(case, chassis, _devices(said, ones))
    for heard, names in said.items():
        for name in names:
            if name in known and short(heard[1], known) not in {name, *shared}:
                yield _misnamed(case, name, heard)
    for heard in _strangers(case):
        if short(heard[1], known) not in shared and len(by_chassis[heard[0]]) == 1:
            yield _stranger(heard)
    yield from _nameless(case)


def _said(case: Joined) -> dict[Heard, list[str]]:
    """Every device that was asked or heard, by what it says of itself now."""
    said: defaultdict[Heard, list[str]] = defaultdict(list)
    for name, answer in case.devices.asked.items():
        if answer.chassis:
            said[answer.chassis, answer.name].append(name)
    told = {name for names in said.values() for name in names}
    for heard, name in case.devices.names.items():
        if name not in told:
            said[heard].append(name)
    for heard in _strangers(case):
        said[heard].append(stranger(heard))
    return dict(said)


def _strangers(case: Joined) -> list[Heard]:
    """Devices that are not planned, and are heard in the fabric: not in another network."""
    return [heard for heard in case.devices.strangers if stranger(heard) in case.here]


def _devices(said: dict[Heard, list[str]], ones: list[Heard]) -> list[str]:
    return sorted({name for heard in ones for name in said[heard]})


def _several(said: dict[Heard, list[str]], ones: list[Heard]) -> bool:
    return len(_devices(said, ones)) > 1


def _ends(case: Joined, places: list[str]) -> tuple[End, ...]:
    return tuple(sorted(end for place in places for end in ends_of(case.plan, place)))


def _shared_name(case: Joined, name: str, places: list[str]) -> Fault:
    return Fault(
        "fabric.duplicate-name", Verdict.FAIL,
        f"{len(places)} devices call themselves {name}: they are {' and '.join(places)}",
        _ends(case, places),
        measured=f"{len(places)} devices", expected="one", fix=FIX,
    )  # fmt: skip


def _shared_chassis(case: Joined, chassis: str, places: list[str]) -> Fault:
    return Fault(
        "fabric.duplicate-chassis", Verdict.FAIL,
        f"{len(places)} devices have the chassis identifier {chassis}: {' and '.join(places)}",
        _ends(case, places),
        measured=chassis, expected="an identifier of its own",
        fix="neighbours mix them up: see where lldpd takes it from (lldpd -C), or the card's own",
    )  # fmt: skip


def _misnamed(case: Joined, name: str, heard: Heard) -> Fault:
    rack = next((one.rack for one in case.plan.of_host.get(name, ())), case.plan.racks.get(name))
    return Fault(
        "fabric.wrong-name", Verdict.DEGRADED,
        f"{name} in rack {rack} calls itself {heard[1] or 'nothing'!r} ({heard[0]})",
        _ends(case, [name]), measured=heard[1] or "no name", expected=name, fix=FIX,
    )  # fmt: skip


def _stranger(heard: Heard) -> Fault:
    name = stranger(heard)
    return Fault(
        "fabric.unknown-node", Verdict.DEGRADED,
        f"a device that is not declared answers: {name}",
        (End(name, 0),), measured=heard[1] or "no name", expected="no such device",
        fix="declare it, take it off the fabric, or name it as it is declared",
    )  # fmt: skip


def _nameless(case: Joined) -> Iterator[Fault]:
    for end in sorted(case.nameless):
        yield Fault(
            "fabric.unnamed-port", Verdict.UNKNOWN,
            f"{case.plan.place(end)} hears somebody who names no port that is known, so it is not"
            " known where its cable leads",
            (end,), measured="no name of the port", expected=str(case.plan.peers.get(end, "none")),
            fix=f"at the other end, {ASIDE}; or write the interfaces of hcas",
        )  # fmt: skip
