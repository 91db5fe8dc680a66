"""Documents of a controller to readings. Pure, and tolerant: what is not there is Unknown.

A controller is not trusted: texts lose what a terminal would obey and are cut, a number must be
one. Refuses to guess: a health that is of no known word is Unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bare_metal.bmc.model import HEALTH, Boot, Controller, Firmware, Processors
from bare_metal.bmc.port import Document
from bare_metal.hosts.facts import Unknown
from llmops.units import Bytes

MOST_TEXT = 200
GIB = 2**30


def text(value: object) -> str:
    """A text of a controller; empty where it is none."""
    if not isinstance(value, str):
        return ""
    return "".join(one for one in value if one.isprintable()).strip()[:MOST_TEXT]


def number(value: object) -> float | None:
    """A number of a controller; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def below(document: Document, *keys: str) -> Any:
    """What stands at a place in a document; None where nothing does."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def link(document: Document, *keys: str) -> str:
    """The path that a place leads to; empty where it leads nowhere."""
    found = below(document, *keys, "@odata.id")
    return found if isinstance(found, str) else ""


def rows(document: Document, key: str) -> Iterator[Document]:
    """The objects of a list; what is none is left out."""
    found = document.get(key)
    yield from (one for one in (found if isinstance(found, list) else ()) if isinstance(one, dict))


def health(document: Document, key: str = "Health") -> str:
    """A health of the words that Redfish has; empty where there is none."""
    found = text(below(document, "Status", key))
    return found if found in HEALTH else ""


def controller(path: str, system: Document, settings: Document | None) -> Controller:
    """What the document of a system says.

    Args:
        path: The system's path.
        system: Its document.
        settings: What it will be after the next start, where it keeps that apart.
    """
    return Controller(
        system=path,
        power=_said(system, "PowerState"),
        boot=_boot(system) or Unknown("the controller does not say where the host starts from"),
        pending=_boot(settings) if settings is not None else None,
        maker=_said(system, "Manufacturer"),
        model=_said(system, "Model"),
        serial=_said(system, "SerialNumber"),
        bios=_said(system, "BiosVersion"),
        processors=_processors(system),
        memory=_memory(system),
        health=health(system, "HealthRollup") or _partly(system),
        resets=_words(below(system, "Actions", "#ComputerSystem.Reset"), "ResetType"),
    )


def _said(document: Document, key: str) -> str | Unknown:
    return text(document.get(key)) or Unknown(f"the controller does not say: {key}")


def _partly(system: Document) -> str | Unknown:
    """Health without a rollup speaks for the system alone: bad is bad, and good is not known."""
    alone = health(system)
    if alone and alone != "OK":
        return alone
    return Unknown("the controller does not say: Status.HealthRollup")


def _boot(document: Document) -> Boot | None:
    found = document.get("Boot")
    if not isinstance(found, dict):
        return None
    enabled = text(found.get("BootSourceOverrideEnabled"))
    target = text(found.get("BootSourceOverrideTarget"))
    if not enabled or (enabled != "Disabled" and not target):
        return None
    mode = text(found.get("BootSourceOverrideMode"))
    return Boot(target, enabled, mode, _words(found, "BootSourceOverrideTarget"))


def _words(document: object, key: str) -> tuple[str, ...]:
    listed = document.get(f"{key}@Redfish.AllowableValues") if isinstance(document, dict) else None
    return tuple(filter(None, map(text, listed if isinstance(listed, list) else ())))


def _processors(system: Document) -> Processors | Unknown:
    count = number(below(system, "ProcessorSummary", "Count"))
    if count is None:
        return Unknown("the controller does not say: ProcessorSummary.Count")
    return Processors(int(count), text(below(system, "ProcessorSummary", "Model")))


def _memory(system: Document) -> Bytes | Unknown:
    size = number(below(system, "MemorySummary", "TotalSystemMemoryGiB"))
    if size is None or size < 0 or size * GIB > Bytes.LIMIT:
        return Unknown("the controller does not say: MemorySummary.TotalSystemMemoryGiB")
    return Bytes(int(size * GIB))


def firmware(document: Document) -> Firmware:
    """A piece of firmware; without a version where the controller does not say."""
    name = text(document.get("Name")) or text(document.get("Id"))
    return Firmware(name, text(document.get("Version")))


__all__ = ["below", "controller", "firmware", "health", "link", "number", "rows", "text"]
