"""From a model's `config.json` to a profile of its weights and of what it remembers."""

from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import (
    ByExpert,
    ByKvHead,
    ByRow,
    Cross,
    Cut,
    Keys,
    Latent,
    Layer,
    Memory,
    Profile,
    Role,
    Split,
    State,
    Task,
    Weight,
    Whole,
)
from llmops.planning.architecture.reading import known, read

__all__ = [
    "ByExpert",
    "ByKvHead",
    "ByRow",
    "Cross",
    "Cut",
    "Fields",
    "Keys",
    "Latent",
    "Layer",
    "Memory",
    "Profile",
    "Role",
    "Split",
    "State",
    "Task",
    "Weight",
    "Whole",
    "known",
    "read",
]
