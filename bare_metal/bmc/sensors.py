"""Sensors of a chassis: from Redfish's Thermal and Power, or from its newer Sensors. Pure.

Thresholds are the controller's own. Redfish has a critical and a fatal one on either side; the
nearer of the two counts. An upper one of 0 is none: some controllers write that for one that is not
set.
"""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.bmc.model import Limits, Sensor
from bare_metal.bmc.parsing import below, health, number, rows, text
from bare_metal.bmc.port import Document

UNITS = {"Percent": "%", "RPM": "RPM"}


def thermal(chassis: str, document: Document) -> Iterator[Sensor]:
    """Temperatures and fans."""
    for row in rows(document, "Temperatures"):
        yield _sensor(chassis, row, "temperature", "Cel", "ReadingCelsius")
    for row in rows(document, "Fans"):
        said = text(row.get("ReadingUnits"))
        yield _sensor(chassis, row, "fan", UNITS.get(said, said), "Reading")


def power(chassis: str, document: Document) -> Iterator[Sensor]:
    """Voltages, what is consumed, and supplies."""
    for row in rows(document, "Voltages"):
        yield _sensor(chassis, row, "voltage", "V", "ReadingVolts")
    for row in rows(document, "PowerControl"):
        yield _sensor(chassis, row, "power", "W", "PowerConsumedWatts")
    for row in rows(document, "PowerSupplies"):
        given = "PowerOutputWatts" if "PowerOutputWatts" in row else "LastPowerOutputWatts"
        yield _sensor(chassis, row, "supply", "W", given)


def single(chassis: str, document: Document) -> Sensor:
    """One of the newer kind, a document of its own."""

    def at(name: str) -> float | None:
        return number(below(document, "Thresholds", name, "Reading"))

    said = text(document.get("ReadingUnits"))
    return Sensor(
        _name(document), chassis, text(document.get("ReadingType")).lower() or "sensor",
        UNITS.get(said, said), number(document.get("Reading")),
        Limits(
            _lowest(at("UpperCaution")), _lowest(at("UpperCritical"), at("UpperFatal")),
            at("LowerCaution"), _highest(at("LowerCritical"), at("LowerFatal")),
        ),
        health(document), text(below(document, "Status", "State")),
    )  # fmt: skip


def _sensor(chassis: str, row: Document, kind: str, unit: str, reading: str) -> Sensor:
    def at(name: str) -> float | None:
        return number(row.get(name))

    limits = Limits(
        _lowest(at("UpperThresholdNonCritical")),
        _lowest(at("UpperThresholdCritical"), at("UpperThresholdFatal")),
        at("LowerThresholdNonCritical"),
        _highest(at("LowerThresholdCritical"), at("LowerThresholdFatal")),
    )
    state = text(below(row, "Status", "State"))
    return Sensor(_name(row), chassis, kind, unit, at(reading), limits, health(row), state)


def _lowest(*upper: float | None) -> float | None:
    return min((one for one in upper if one), default=None)


def _highest(*lower: float | None) -> float | None:
    return max((one for one in lower if one is not None), default=None)


def _name(row: Document) -> str:
    return text(row.get("Name")) or text(row.get("MemberId")) or text(row.get("Id")) or "unnamed"


__all__ = ["power", "single", "thermal"]
