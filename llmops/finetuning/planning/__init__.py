"""What a fine-tuning takes: from a spec and facts to a plan, every figure with its reason. Pure."""

from llmops.finetuning.planning.model import (
    Counts,
    Line,
    Option,
    PlannedBase,
    Speed,
    TrainingFacts,
    TrainingPlan,
    plan_document,
)
from llmops.finetuning.planning.nearest import changed_by
from llmops.finetuning.planning.notes import warnings_of
from llmops.finetuning.planning.planner import plan_training

__all__ = [
    "Counts",
    "Line",
    "Option",
    "PlannedBase",
    "Speed",
    "TrainingFacts",
    "TrainingPlan",
    "changed_by",
    "plan_document",
    "plan_training",
    "warnings_of",
]
