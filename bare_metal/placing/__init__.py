"""Which hosts of a cluster serve, and what their network is told to the programs that use it."""

from bare_metal.placing.choosing import Choice, LeftOut, NoHosts, choose, hosts_needed
from bare_metal.placing.machine import machine_of
from bare_metal.placing.settings import settings_of

__all__ = [
    "Choice",
    "LeftOut",
    "NoHosts",
    "choose",
    "hosts_needed",
    "machine_of",
    "settings_of",
]
