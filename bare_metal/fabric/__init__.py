"""A fabric's cable plan, and the real fabric held against it."""

from bare_metal.fabric.counters import thresholds
from bare_metal.fabric.ethernet import (
    ETHERNET_RULES,
    Answer,
    Answers,
    Neighbour,
    NotAsked,
    Port,
    verify_neighbours,
)
from bare_metal.fabric.findings import Fault, Verdict
from bare_metal.fabric.model import Adapter, Cable, End, FabricPlan, Switch
from bare_metal.fabric.rendering import FORMS
from bare_metal.fabric.telling import report_data, report_lines, summary, told
from bare_metal.fabric.verify import RULES, Dump, Report, verify
from bare_metal.fabric.wiring import wire

__all__ = [
    "Adapter",
    "Answer",
    "Answers",
    "Cable",
    "Dump",
    "ETHERNET_RULES",
    "End",
    "FORMS",
    "Fault",
    "FabricPlan",
    "Neighbour",
    "NotAsked",
    "Port",
    "RULES",
    "Report",
    "Switch",
    "Verdict",
    "report_data",
    "report_lines",
    "summary",
    "thresholds",
    "told",
    "verify",
    "verify_neighbours",
    "wire",
]
