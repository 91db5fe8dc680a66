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
from llmops.finetuning.planning.offers import (
    NearestOffer,
    TrainingFleet,
    TrainingOption,
    fleet_document,
    price_reason,
    search_offers,
)
from llmops.finetuning.planning.planner import plan_training

__all__ = [
    "Counts",
    "Line",
    "NearestOffer",
    "Option",
    "PlannedBase",
    "Speed",
    "TrainingFacts",
    "TrainingFleet",
    "TrainingOption",
    "TrainingPlan",
    "changed_by",
    "fleet_document",
    "plan_document",
    "plan_training",
    "price_reason",
    "search_offers",
    "warnings_of",
]
