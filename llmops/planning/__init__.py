"""Planning: from a deployment and facts to a plan whose every number has a reason."""

from llmops.planning.accelerators import accelerators_of
from llmops.planning.architecture import known as known_architectures
from llmops.planning.document import plan_document
from llmops.planning.model import (
    ClusterFacts,
    EngineSettings,
    Facts,
    Figure,
    Gpu,
    KeyBounds,
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
    PlannedScaling,
    PlannedWindow,
    PodSize,
    Tensor,
    TlsFiles,
)
from llmops.planning.planner import make_plan
from llmops.planning.upkeep import Upkeep

__all__ = [
    "ClusterFacts",
    "EngineSettings",
    "Facts",
    "Figure",
    "Gpu",
    "KeyBounds",
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
    "PlannedScaling",
    "PlannedWindow",
    "PodSize",
    "Tensor",
    "TlsFiles",
    "Upkeep",
    "accelerators_of",
    "known_architectures",
    "make_plan",
    "plan_document",
]
