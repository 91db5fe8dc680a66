"""Runs of fine-tuning: begun, watched over, stopped and gone on with; each in a folder of its own.

What this door hands on reads no library of training: commands that look at runs stay quick.
"""

from serving.finetune.runs.choosing import Begin, GoOn, Nothing, choose
from serving.finetune.runs.launching import Claim, Started, follow, signed, stop
from serving.finetune.runs.logs import log_lines
from serving.finetune.runs.model import Attempt, Failure, Run, Stage, State
from serving.finetune.runs.paths import Named, RunPaths, names
from serving.finetune.runs.resolving import Resolved, resolve
from serving.finetune.runs.view import RunView, document, find, listing, view

__all__ = [
    "Attempt",
    "Begin",
    "Claim",
    "Failure",
    "GoOn",
    "Named",
    "Nothing",
    "Resolved",
    "Run",
    "RunPaths",
    "RunView",
    "Stage",
    "Started",
    "State",
    "choose",
    "document",
    "find",
    "follow",
    "listing",
    "log_lines",
    "names",
    "resolve",
    "signed",
    "stop",
    "view",
]
