"""The target `local`: services on this machine."""

from serving.local.doctor import Check, diagnose
from serving.local.machine import machine_facts
from serving.local.target import LocalTarget

__all__ = ["Check", "LocalTarget", "diagnose", "machine_facts"]
