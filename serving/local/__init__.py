"""The target `local`: services on this machine."""

from serving.local.doctor import Check, diagnose
from serving.local.machine import machine_facts
from serving.local.starting import WITHOUT, BootUnit, Standing, Systemd, boot_unit, unit_text
from serving.local.target import LocalTarget

__all__ = [
    "WITHOUT",
    "BootUnit",
    "Check",
    "LocalTarget",
    "Standing",
    "Systemd",
    "boot_unit",
    "diagnose",
    "machine_facts",
    "unit_text",
]
