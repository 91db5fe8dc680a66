"""Releases: what was applied, what is observed, and what to do next."""

from llmops.releases import records
from llmops.releases.codec import dumps, loads, release_document
from llmops.releases.model import (
    Blocked,
    Conflict,
    Desired,
    Done,
    Drain,
    History,
    Observed,
    Phase,
    Release,
    ReleaseStore,
    Remove,
    Seen,
    Shift,
    Stage,
    State,
    Step,
    Verify,
    Watch,
)
from llmops.releases.records import Emergency
from llmops.releases.rollout import next_step
from llmops.releases.watching import Figures, Verdict, figures_of, joined, judge, step_of

__all__ = [
    "Blocked",
    "Conflict",
    "Desired",
    "Done",
    "Drain",
    "Emergency",
    "Figures",
    "History",
    "Observed",
    "Phase",
    "Release",
    "ReleaseStore",
    "Remove",
    "Seen",
    "Shift",
    "Stage",
    "State",
    "Step",
    "Verdict",
    "Verify",
    "Watch",
    "dumps",
    "figures_of",
    "joined",
    "judge",
    "loads",
    "next_step",
    "records",
    "release_document",
    "step_of",
]
