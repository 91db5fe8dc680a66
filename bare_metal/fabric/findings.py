"""What is wrong with a fabric: an id, how bad it is, what was measured against what, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bare_metal.fabric.model import End


class Verdict(StrEnum):
    """What can be said of a fabric, or of one side of it. Unknown is never healthy."""

    PASS = "pass"  # noqa: S105
    DEGRADED = "degraded"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, told once however many ports it shows at."""

    id: str
    """Which rule found it, such as `fabric.rail-swap`."""
    severity: Verdict
    """`fail` where traffic goes wrong or not at all, `degraded` where it is slow or at risk,
    `unknown` where nothing could be said."""
    message: str
    ends: tuple[End, ...] = ()
    """Ports it is about, in the names of the plan where they have one."""
    measured: str = ""
    expected: str = ""
    source: str = ""
    """Where the threshold is from; empty where the cable plan is what is compared with."""
    fix: str = ""


def verdict_of(faults: tuple[Fault, ...]) -> Verdict:
    """The verdict over all: what is known to be broken first, then what is not known."""
    severities = {fault.severity for fault in faults}
    for worst in (Verdict.FAIL, Verdict.UNKNOWN, Verdict.DEGRADED):
        if worst in severities:
            return worst
    return Verdict.PASS
