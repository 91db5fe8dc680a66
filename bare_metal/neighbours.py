"""What hosts and switches of an Ethernet fabric tell of their neighbours: asked over SSH, or kept.

Every host is asked, and every switch that has an address in the cluster file; `lldpcli` answers on
both (lldpd on hosts, on NVIDIA's Cumulus and on SONiC). Only looks. A host that cannot be asked is
kept with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bare_metal.fabric import Answer, Answers, FabricPlan, Neighbour, NotAsked, Port
from bare_metal.hosts.connection import (
    LookingConnector,
    Ran,
    RecordedConnector,
    Unreachable,
    connector,
    with_addresses,
)
from bare_metal.hosts.facts import (
    HostFacts,
    Interface,
    Lldp,
    Unknown,
    UnknownError,
    gather,
    neighbours_told,
)
from bare_metal.hosts.facts import Neighbour as Heard
from bare_metal.inventory import Cluster, Placed, hosts_of, switches_of
from llmops.errors import InputError

FACTS = ("gids", "interfaces", "neighbours", "chassis")
"""What is asked for."""
UP, DOWN = frozenset({"up"}), frozenset({"down", "lowerlayerdown", "notpresent", "dormant"})
"""States of an interface (Documentation/ABI/testing/sysfs-class-net, operstate)."""


def ask(
    cluster: Cluster, folder: Path, plan: FabricPlan, *, most: int, keep: Path | None = None
) -> Answers:
    """Ask all hosts, and the switches that can be asked.

    Args:
        cluster: Whose they are.
        folder: Where its file lies.
        plan: Its cable plan.
        most: Devices at once.
        keep: A folder to keep all answers in; None keeps none.

    Raises:
        InputError: When a host has no address, or a key cannot be had.
    """
    by = connector(cluster, folder)
    hosts = with_addresses(hosts_of(cluster))
    found = _asked(plan, hosts, by, most, keep)
    switches = switches_of(cluster)
    if not switches:
        return found
    access = cluster.fabric.access or cluster.access
    by = connector(cluster.model_copy(update={"access": access}), folder)
    return {**found, **_asked(plan, switches, by, most, keep)}


def load(cluster: Cluster, plan: FabricPlan, folder: Path) -> Answers:
    """Read answers that were kept: a recording of each device, or a file `NAME.json` with what its
    `lldpcli -f json0 show neighbors` printed.

    Raises:
        InputError: When there are none.
    """
    names = [host.name for host in hosts_of(cluster)]
    switches = [one.name for one in plan.switches if _kept(folder, one.name)]
    if not any(_kept(folder, name) for name in [*names, *switches]):
        raise InputError(
            f"{folder}: expected what hosts or switches answered, found none",
            hint="--dump names a directory as --save makes it, or with a file NAME.json for each"
            " device: what lldpcli -f json0 show neighbors printed there",
        )
    recorded = [_placed(name) for name in [*names, *switches] if not _text(folder, name).is_file()]
    found = _asked(plan, recorded, RecordedConnector(folder), len(recorded) or 1, None)
    for name in [*names, *switches]:
        if (path := _text(folder, name)).is_file():
            found[name] = _read(path)
    return found


def _text(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _kept(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or _text(folder, name).is_file()


def _placed(name: str) -> Placed:
    return Placed(name, "", 0, "")


def _read(path: Path) -> Answer | NotAsked:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return Answer(_heard(neighbours_told(Ran(0, text))))
    except UnknownError as error:
        return NotAsked(f"{path.name}: {error}", "save it again: lldpcli -f json0 show neighbors")


def _asked(
    plan: FabricPlan, devices: Sequence[Placed], by: LookingConnector, most: int, keep: Path | None
) -> dict[str, Answer | NotAsked]:
    found = gather(devices, by, only=FACTS, most=most, keep=keep)
    return {name: answer_of(plan, name, one) for name, one in found.items()}


def answer_of(plan: FabricPlan, name: str, found: HostFacts | Unreachable) -> Answer | NotAsked:
    """What a device's answers say of its neighbours. Pure.

    Args:
        plan: The cable plan.
        name: The device's name in it.
        found: What it answered.
    """
    if isinstance(found, Unreachable):
        return NotAsked(found.reason, found.hint)
    if isinstance(found.neighbours, Unknown):
        return NotAsked(found.neighbours.reason, "install lldpd there and start it")
    own = found.chassis if isinstance(found.chassis, Lldp) else Lldp("", name)
    return Answer(
        _heard(found.neighbours),
        None if isinstance(found.interfaces, Unknown) else _ports(found.interfaces),
        own.chassis, own.name, _interfaces(plan, name, found),
    )  # fmt: skip


def _heard(found: Sequence[Heard]) -> tuple[Neighbour, ...]:
    return tuple(Neighbour(one.interface, one.chassis, one.name, one.ports) for one in found)


def _ports(found: Sequence[Interface]) -> dict[str, Port]:
    return {
        one.device: Port(
            True if one.state in UP else False if one.state in DOWN else None, one.mtu, one.speed
        )
        for one in found
    }


def _interfaces(plan: FabricPlan, name: str, found: HostFacts) -> Mapping[str, str]:
    """The interface of each adapter, by the addresses that it has on it."""
    if isinstance(found.gids, Unknown):
        return {}
    ours = {one.device for one in plan.of_host.get(name, ())}
    return {
        gid.device: gid.interface.partition(".")[0]
        for gid in reversed(found.gids)
        if gid.device in ours and gid.interface
    }


__all__ = ["answer_of", "ask", "load"]
