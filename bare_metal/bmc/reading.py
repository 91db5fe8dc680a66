"""Controllers asked: which documents are read of each, and what they come to.

Only looks. A resource that is missing is told and takes no other with it; a controller that does
not answer, or not in time, stays in the table of hosts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bare_metal.bmc import sensors
from bare_metal.bmc.model import Controller, Firmware, Found, Sensor
from bare_metal.bmc.parsing import below, controller, firmware, link, rows, text
from bare_metal.bmc.port import ROOT, Document, Looking, LookingControllers, ResourceUnknownError
from bare_metal.bmc.threads import in_thread
from bare_metal.hosts.connection import MOST_AT_ONCE, HostGoneError, over
from bare_metal.inventory import Placed

HOST_SECONDS = 180.0
"""How long a controller may take for everything. Some take seconds for each of some ten answers."""
MOST_MEMBERS = 1000
"""Members of a collection that are read: a controller that lists more lists them without end."""

OLDER = {"Thermal": sensors.thermal, "Power": sensors.power}
"""Resources that hold many sensors each; a chassis that has neither may have the newer Sensors."""

Part = Callable[["Walk"], None]


def gather(
    hosts: Sequence[Placed],
    by: LookingControllers,
    *,
    system: str | None = None,
    parts: Sequence[Part] = (),
    most: int = MOST_AT_ONCE,
    seconds: float = HOST_SECONDS,
) -> dict[str, Found]:
    """Ask the controllers of hosts.

    Args:
        hosts: The hosts.
        by: The way to their controllers.
        system: Which system of a controller the host is, by its Id.
        parts: What is read beside the system: `SENSORS`, `FIRMWARE`.
        most: Controllers at once.
        seconds: How long one may take.

    Returns:
        An entry for each host, in their order.
    """

    def one(host: Placed) -> Controller:
        with by.looking(host) as looking:
            return read(looking, system, parts)

    async def act(host: Placed) -> Controller:
        return await in_thread(lambda: one(host))

    return asyncio.run(over(hosts, act, seconds=seconds, most=most))


def read(looking: Looking, system: str | None, parts: Sequence[Part] = ()) -> Controller:
    """Ask one controller.

    Raises:
        HostGoneError: When nothing can be said of the host's system.
    """
    walk = Walk(looking)
    found = walk.system(system)
    for part in parts:
        part(walk)
    return replace(
        found, sensors=tuple(walk.sensors), firmware=tuple(walk.firmware),
        missing=(*found.missing, *walk.missing),
    )  # fmt: skip


class Walk:
    """A way through a controller's documents, and what was found on it."""

    def __init__(self, looking: Looking) -> None:
        self.looking = looking
        self.sensors: list[Sensor] = []
        self.firmware: list[Firmware] = []
        self.missing: list[str] = []
        self.root = self._needed(ROOT)
        self._expands = below(self.root, "ProtocolFeaturesSupported", "ExpandQuery", "Levels")

    def _needed(self, path: str) -> Document:
        try:
            return self.looking.document(path)
        except ResourceUnknownError as error:
            raise HostGoneError(error.reason, "its controller says nothing of the host") from error

    def document(self, path: str) -> Document | None:
        """A resource; None where it cannot be had, which is noted."""
        try:
            return self.looking.document(path)
        except ResourceUnknownError as error:
            self.missing.append(error.reason)
            return None

    def system(self, wanted: str | None) -> Controller:
        """The host's system."""
        path = self._system_path(wanted)
        found = self._needed(path)
        apart = link(found, "@Redfish.Settings", "SettingsObject")
        return controller(path, found, self.document(apart) if apart else None)

    def _system_path(self, wanted: str | None) -> str:
        listed = self._needed(link(self.root, "Systems") or f"{ROOT}Systems")
        paths = {text(p.rstrip("/").rpartition("/")[2]): p for p in _links(listed)}
        if wanted is None and len(paths) == 1:
            return next(iter(paths.values()))
        if wanted in paths:
            return paths[wanted]
        there = ", ".join(list(paths)[:5]) or "none"
        raise HostGoneError(
            f"expected {f'the system {wanted}' if wanted else 'one system'}, found {there}",
            "bmc.system of the cluster file names the one that the host is",
        )

    def members(self, path: str) -> Iterator[Document]:
        """Members of a collection, by as few questions as the controller lets one ask."""
        found = self.document(f"{path}?$expand=.($levels=1)") if self._expands else None
        if found is None:
            if self._expands:
                self.missing.pop()
            found = self.document(path)
        left = MOST_MEMBERS
        while found is not None and left > 0:
            for row in rows(found, "Members"):
                whole = row if set(row) - {"@odata.id"} else self.document(link(row))
                left -= 1
                if whole is not None:
                    yield whole
            left -= 1
            after = found.get("Members@odata.nextLink")
            found = self.document(after) if isinstance(after, str) and after else None
        if left <= 0:
            self.missing.append(f"{path}: it lists no end of members")


def _links(collection: Document) -> list[str]:
    return [path for row in rows(collection, "Members") if (path := link(row))]


def of_sensors(walk: Walk) -> None:
    """Sensors of every chassis: the controller is the host's, and so is all that it lists."""
    path = link(walk.root, "Chassis")
    if not path:
        walk.missing.append("the controller has no chassis")
        return
    for chassis in list(walk.members(path)):
        name = text(chassis.get("Id")) or "chassis"
        for key, parse in OLDER.items():
            document = walk.document(link(chassis, key)) if link(chassis, key) else None
            if document is not None:
                walk.sensors += parse(name, document)
        newer = link(chassis, "Sensors")
        if newer and not any(link(chassis, key) for key in OLDER):
            walk.sensors += [sensors.single(name, one) for one in walk.members(newer)]


def of_firmware(walk: Walk) -> None:
    """Firmware of everything that the controller updates."""
    path = link(walk.root, "UpdateService")
    service = walk.document(path) if path else None
    if not path:
        walk.missing.append("the controller has no UpdateService, which lists firmware")
    if service is None:
        return
    listed = link(service, "FirmwareInventory")
    if not listed:
        walk.missing.append(f"{path}: it has no FirmwareInventory")
        return
    walk.firmware += [firmware(one) for one in walk.members(listed)]


SENSORS: Part = of_sensors
FIRMWARE: Part = of_firmware

__all__ = ["FIRMWARE", "SENSORS", "Part", "gather", "read"]
