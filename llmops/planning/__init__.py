"""Planning: from a deployment and facts to a plan whose every number has a reason."""

from llmops.planning.accelerators import accelerators_of
from llmops.planning.adapter import AdaptedLayer, AdapterFacts, AdapterRoom, PlannedAdapter
from llmops.planning.architecture import known as known_architectures
from llmops.planning.batches import planned_batch
from llmops.planning.bounds import KeyBounds, Limits
from llmops.planning.cloud import UNKNOWN, CloudFacts, MachineOffer, MachinePlan
from llmops.planning.document import plan_document
from llmops.planning.identity import digest
from llmops.planning.machines import images_of, with_offer
from llmops.planning.model import (
    ClusterFacts,
    EngineSettings,
    Facts,
    Figure,
    Gpu,
    Layout,
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
    Share,
    Tensor,
    TlsFiles,
)
from llmops.planning.planner import make_plan
from llmops.planning.spanning import MOST_STAGES, share, whole
from llmops.planning.upkeep import Spending, Upkeep

__all__ = [
    "AdaptedLayer",
    "AdapterFacts",
    "AdapterRoom",
    "CloudFacts",
    "ClusterFacts",
    "EngineSettings",
    "Facts",
    "Figure",
    "Gpu",
    "KeyBounds",
    "Layout",
    "Limits",
    "LiveRelease",
    "MOST_STAGES",
    "MachineFacts",
    "MachineOffer",
    "MachinePlan",
    "ModelFacts",
    "NodeFacts",
    "Option",
    "Plan",
    "PlannedAdapter",
    "PlannedMemory",
    "PlannedModel",
    "PlannedScaling",
    "PlannedWindow",
    "PodSize",
    "Share",
    "Spending",
    "Tensor",
    "TlsFiles",
    "UNKNOWN",
    "Upkeep",
    "accelerators_of",
    "digest",
    "images_of",
    "known_architectures",
    "make_plan",
    "plan_document",
    "planned_batch",
    "share",
    "whole",
    "with_offer",
]
