"""What is wrong with a host by its controller's word, as faults beside those of the fabric. Pure.

`cluster check --bmc` takes them in, so that host, links and controller make one verdict. Refuses to
read silence as health: a controller, a resource or a sensor that says nothing is told as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bare_metal.bmc.model import HEALTH, SOURCE, Controller, Found, Sensor
from bare_metal.fabric import End, Fault, Verdict
from bare_metal.health import worst
from bare_metal.hosts.connection import Unreachable
from bare_metal.hosts.facts import Unknown

LOOK = "look at the controller's own log, then at the part that it names"
ASK = "see the controller's own pages; firmware of its own may be too old to say"


def faults_of(found: Mapping[str, Found]) -> tuple[Fault, ...]:
    """Everything that is wrong, or not known, of some hosts."""
    return tuple(fault for name, one in found.items() for fault in _of(name, one))


def verdict_of(faults: tuple[Fault, ...]) -> Verdict:
    """The worst of all faults; pass where there is none."""
    return worst(fault.severity for fault in faults)


def _of(host: str, found: Found) -> Iterator[Fault]:
    if isinstance(found, Unreachable):
        yield _fault(host, "bmc.reached", Verdict.UNKNOWN, found.reason, "an answer", found.hint)
        return
    yield from _health(host, found)
    for sensor in found.sensors:
        if sensor.verdict not in (None, Verdict.PASS):
            yield _sensor(host, sensor)
    if not any(sensor.verdict for sensor in found.sensors):
        reason = "no sensor says how it is"
        yield _fault(host, "bmc.sensor", Verdict.UNKNOWN, reason, "sensors with a health", ASK)
    for reason in found.missing:
        yield _fault(host, "bmc.resource", Verdict.UNKNOWN, reason, "an answer", ASK)


def _health(host: str, found: Controller) -> Iterator[Fault]:
    if isinstance(found.health, Unknown):
        yield _fault(host, "bmc.health", Verdict.UNKNOWN, found.health.reason, "OK", ASK)
    elif HEALTH[found.health] is not Verdict.PASS:
        yield _fault(host, "bmc.health", HEALTH[found.health], f"health {found.health}", "OK", LOOK)


def _sensor(host: str, sensor: Sensor) -> Fault:
    verdict = sensor.verdict or Verdict.UNKNOWN
    said = ", ".join(filter(None, (sensor.health or "no health", shown(sensor))))
    return _fault(
        host, "bmc.sensor", verdict, f"{sensor.name} in {sensor.chassis}: {said}",
        limits(sensor) or "OK", LOOK,
    )  # fmt: skip


def shown(sensor: Sensor) -> str:
    """A reading with its unit; empty where there is none."""
    return "" if sensor.reading is None else f"{sensor.reading:g} {sensor.unit}".rstrip()


def limits(sensor: Sensor) -> str:
    """The thresholds of a sensor, for people; empty where it has none."""
    has = sensor.limits
    given = {
        "warning from": has.upper_warning, "critical from": has.upper_critical,
        "warning down to": has.lower_warning, "critical down to": has.lower_critical,
    }  # fmt: skip
    return ", ".join(f"{name} {value:g}" for name, value in given.items() if value is not None)


def _fault(
    host: str, rule: str, severity: Verdict, measured: str, expected: str, fix: str
) -> Fault:
    source = "" if rule in ("bmc.reached", "bmc.resource") else SOURCE
    return Fault(
        rule, severity, f"{host}: {measured}", (End(f"{host} bmc", 0),), measured, expected, source,
        fix or LOOK,
    )  # fmt: skip


__all__ = ["faults_of", "limits", "shown", "verdict_of"]
