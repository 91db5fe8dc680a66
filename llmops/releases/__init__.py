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
)
from llmops.releases.rollout import next_step

__all__ = [
    "Blocked",
    "Conflict",
    "Desired",
    "Done",
    "Drain",
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
    "Verify",
    "dumps",
    "loads",
    "next_step",
    "records",
    "release_document",
]
