"""What is known of hosts: one question and one pure parser for each fact."""

from bare_metal.hosts.facts.asking import CommandFact, Fact, FileFact, UnknownError
from bare_metal.hosts.facts.gathering import Answers, Readings, ask, data, gather, understood
from bare_metal.hosts.facts.model import (
    Account,
    Clock,
    Cpu,
    Disk,
    Gid,
    Gpu,
    GpuProcess,
    HcaPort,
    Interface,
    Kernel,
    Limit,
    Lldp,
    Memory,
    Neighbour,
    NumaNode,
    NvLink,
    NvLinkErrors,
    Pci,
    PciDevice,
    Remapped,
    Time,
    Unit,
    Unknown,
    Xid,
)
from bare_metal.hosts.facts.neighbours import neighbours as neighbours_told
from bare_metal.hosts.facts.table import NAMES, OURS, HostFacts, facts_of

__all__ = [
    "Account", "Answers", "Clock", "CommandFact", "Cpu", "Disk", "Fact", "FileFact", "Gid",
    "Gpu", "GpuProcess", "HcaPort", "HostFacts", "Interface", "Kernel", "Limit", "Lldp",
    "Memory", "NAMES", "Neighbour", "NumaNode", "NvLink", "NvLinkErrors", "OURS", "Pci",
    "PciDevice", "Readings", "Remapped", "Time", "Unit", "Unknown", "UnknownError", "Xid",
    "ask", "data", "facts_of", "gather", "neighbours_told", "understood",
]  # fmt: skip
