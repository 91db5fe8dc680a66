"""Planning: from a deployment and facts to a plan whose every number has a reason."""

from llmops.planning.architecture import known as known_architectures
from llmops.planning.document import plan_document
from llmops.planning.model import (
    ClusterFacts,
    EngineSettings,
    Facts,
    Figure,
    Gpu,
    Layout,
    Limits,
    LiveRelease,
    MachineFacts,
    ModelFacts,
    NodeFacts,
    Option,
    Plan,
    PlannedMemory,
    PlannedModel,
    PodSize,
    Tensor,
)
from llmops.planning.planner import make_plan

__all__ = [
    "ClusterFacts",
    "EngineSettings",
    "Facts",
    "Figure",
    "Gpu",
    "Layout",
    "Limits",
    "LiveRelease",
    "MachineFacts",
    "ModelFacts",
    "NodeFacts",
    "Option",
    "Plan",
    "PlannedMemory",
    "PlannedModel",
    "PodSize",
    "Tensor",
    "known_architectures",
    "make_plan",
    "plan_document",
]
