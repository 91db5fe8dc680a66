"""A fabric's cable plan, and the real fabric held against it."""

from bare_metal.fabric.counters import thresholds
from bare_metal.fabric.findings import Fault, Verdict
from bare_metal.fabric.model import Adapter, Cable, End, FabricPlan, Switch
from bare_metal.fabric.rendering import FORMS
from bare_metal.fabric.telling import report_data, report_lines, summary, told
from bare_metal.fabric.verify import RULES, Dump, Report, verify
from bare_metal.fabric.wiring import wire

__all__ = [
    "Adapter",
    "Cable",
    "Dump",
    "End",
    "FORMS",
    "Fault",
    "FabricPlan",
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
    "wire",
]
