"""Whether hosts and their links are fit for work: checks as data, and verdicts with their reasons.

`verdicts(cluster, readings)` is what whoever places work asks; `Health.left_out` says which hosts
it may not use, and why.
"""

from bare_metal.health.checks import Check, checks_of, declared, table
from bare_metal.health.telling import (
    UNTRIED,
    check_data,
    check_lines,
    report_data,
    report_lines,
)
from bare_metal.health.thresholds import THRESHOLDS, Thresholds, read_thresholds
from bare_metal.health.verdicts import Health, HostHealth, Result, verdicts, worst

__all__ = [
    "Check",
    "Health",
    "HostHealth",
    "Result",
    "THRESHOLDS",
    "Thresholds",
    "UNTRIED",
    "check_data",
    "check_lines",
    "checks_of",
    "declared",
    "read_thresholds",
    "report_data",
    "report_lines",
    "table",
    "verdicts",
    "worst",
]
