"""Memory of training: from a model's profile and a way of training to bytes on each device."""

from llmops.planning.training.adapters import Linear, adapter_parameters, linears
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
    "Linear",
    "Method",
    "Optimiser",
    "Strategy",
    "TrainingMemory",
    "TrainingSetup",
    "adapter_parameters",
    "linears",
    "training_memory",
]
