"""Evaluation done: a model asked, its answers scored, two models compared."""

from serving.evaluate.comparing import compare, decide
from serving.evaluate.harness import HarnessScore, run_harness
from serving.evaluate.journal import Journal, Record, keep, opened
from serving.evaluate.live import Live, Question
from serving.evaluate.running import (
    Evaluation,
    Subject,
    described,
    evaluate,
    next_folder,
    read_evaluation,
    worst,
)
from serving.evaluate.tasks import (
    DEFAULT_TOKENS,
    Settings,
    Task,
    examine,
    fitting,
    read_held_out,
    read_set,
)
from serving.evaluate.weights import Weights

__all__ = [
    "DEFAULT_TOKENS",
    "Evaluation",
    "HarnessScore",
    "Journal",
    "Live",
    "Question",
    "Record",
    "Settings",
    "Subject",
    "Task",
    "Weights",
    "compare",
    "decide",
    "described",
    "evaluate",
    "examine",
    "fitting",
    "keep",
    "next_folder",
    "opened",
    "read_evaluation",
    "read_held_out",
    "read_set",
    "run_harness",
    "worst",
]
