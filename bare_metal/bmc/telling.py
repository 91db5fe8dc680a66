"""What controllers say, as rows and lines for people and as plain data for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from bare_metal.bmc.faults import faults_of, limits, shown, verdict_of
from bare_metal.bmc.model import PARTS, Boot, Found, Sensor
from bare_metal.fabric import Verdict
from bare_metal.hosts.connection import Unreachable
from bare_metal.hosts.facts import Unknown

HEADS = ("HOST", "POWER", "BOOT", "HEALTH", "HOTTEST", "NOT KNOWN")
SENSOR_HEADS = ("CHASSIS", "SENSOR", "READING", "THRESHOLDS", "HEALTH", "VERDICT")
MOST_FAULTS = 50


def row(host: str, found: Found) -> tuple[str, ...]:
    """A host in a table with `HEADS`."""
    if isinstance(found, Unreachable):
        return host, "unreachable", "-", "unknown", "-", "all"
    hot = found.hottest
    unknown = [name for name in ("power", "boot", "health") if _is_unknown(getattr(found, name))]
    unknown += [f"resources: {len(found.missing)}"] if found.missing else []
    return (
        host,
        _said(found.power),
        found.boot.text if isinstance(found.boot, Boot) else "unknown",
        _said(found.health),
        f"{hot.name} {shown(hot)}" if hot else "unknown",
        ", ".join(unknown) or "-",
    )


def sensor_row(sensor: Sensor) -> tuple[str, ...]:
    """A sensor in a table with `SENSOR_HEADS`."""
    verdict = "not judged" if sensor.verdict is None else str(sensor.verdict)
    return (
        sensor.chassis,
        sensor.name,
        shown(sensor) or sensor.state or "-",
        limits(sensor) or "-",
        sensor.health or "-",
        verdict,
    )


def fault_lines(found: Mapping[str, Found]) -> Iterator[str]:
    """What is wrong or not known, the worst first."""
    order = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.DEGRADED)
    faults = sorted(faults_of(found), key=lambda one: order.index(one.severity))
    for fault in faults[:MOST_FAULTS]:
        yield f"{fault.severity}: {fault.message}  [{fault.id}]"
        if fault.id == "bmc.reached":
            yield f"    fix: {fault.fix}"
    if len(faults) > MOST_FAULTS:
        yield f"and {len(faults) - MOST_FAULTS} more: -o json prints them all"


def inventory_lines(host: str, found: Found) -> Iterator[str]:
    """What a host is made of."""
    if isinstance(found, Unreachable):
        yield f"{host}: unreachable: {found.reason}"
        if found.hint:
            yield f"    fix: {found.hint}"
        return
    yield f"{host}: {_said(found.maker)} {_said(found.model)}, serial {_said(found.serial)}"
    yield f"  bios        {_said(found.bios)}"
    if isinstance(found.processors, Unknown):
        yield f"  processors  unknown ({found.processors.reason})"
    else:
        yield f"  processors  {found.processors.count} x {found.processors.model or 'unknown'}"
    size = found.memory
    told = f"unknown ({size.reason})" if isinstance(size, Unknown) else size.human()
    yield f"  memory      {told}"
    for one in found.firmware:
        yield f"  firmware    {one.name or 'unnamed'}: {one.version or 'unknown'}"
    for reason in found.missing:
        yield f"  unknown     {reason}"


def data(found: Mapping[str, Found]) -> dict[str, Any]:
    """All of it as plain data: stable keys, for scripts; what is unknown says why."""
    return {name: _of_host(name, one) for name, one in found.items()}


def inventory_data(found: Found) -> dict[str, Any]:
    """What a host is made of, as plain data."""
    if isinstance(found, Unreachable):
        return {"unreachable": found.reason, "hint": found.hint}
    return {name: plain(getattr(found, name)) for name in (*PARTS, "firmware", "missing")}


def _of_host(name: str, found: Found) -> dict[str, Any]:
    faults = faults_of({name: found})
    told = [
        {
            "id": one.id, "verdict": str(one.severity), "measured": one.measured,
            "expected": one.expected, "source": one.source, "fix": one.fix,
        }
        for one in faults
    ]  # fmt: skip
    if isinstance(found, Unreachable):
        said = {"unreachable": found.reason, "hint": found.hint}
    else:
        said = {
            name: plain(getattr(found, name))
            for name in ("power", "boot", "pending", "health", "sensors", "missing")
        }
    return {"verdict": str(verdict_of(faults)), **said, "faults": told}


def plain(value: Any) -> Any:
    """A reading as plain data."""
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    if is_dataclass(value):
        made = {one.name: plain(getattr(value, one.name)) for one in fields(value)}
        if isinstance(value, Sensor):
            made["verdict"] = None if value.verdict is None else str(value.verdict)
        return made
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return int(value) if isinstance(value, int) else value


def _said(value: str | Unknown) -> str:
    return "unknown" if isinstance(value, Unknown) else value


def _is_unknown(value: object) -> bool:
    return isinstance(value, Unknown)


__all__ = [
    "HEADS",
    "SENSOR_HEADS",
    "data",
    "fault_lines",
    "inventory_data",
    "inventory_lines",
    "row",
    "sensor_row",
]
