"""Memory of training: from a model's profile and a way of training to bytes on each device."""

from llmops.planning.training.adapters import adapter_parameters
from llmops.planning.training.memory import TrainingMemory, training_memory
from llmops.planning.training.setup import (
    DType,
    Method,
    Optimiser,
    Strategy,
    TrainingSetup,
)

__all__ = [
    "DType",
    "Method",
    "Optimiser",
    "Strategy",
    "TrainingMemory",
    "TrainingSetup",
    "adapter_parameters",
    "training_memory",
]
