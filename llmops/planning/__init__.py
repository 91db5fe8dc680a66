"""Planning: from a deployment and facts to a plan whose every number has a reason."""

from llmops.planning.document import plan_document
from llmops.planning.model import (
    EngineSettings,
    Facts,
    Figure,
    Gpu,
    Layout,
    Limits,
    LiveRelease,
    MachineFacts,
    ModelFacts,
    Option,
    Plan,
    PlannedMemory,
    PlannedModel,
)
from llmops.planning.planner import make_plan

__all__ = [
    "EngineSettings",
    "Facts",
    "Figure",
    "Gpu",
    "Layout",
    "Limits",
    "LiveRelease",
    "MachineFacts",
    "ModelFacts",
    "Option",
    "Plan",
    "PlannedMemory",
    "PlannedModel",
    "make_plan",
    "plan_document",
]
