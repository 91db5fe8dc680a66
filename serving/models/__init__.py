"""Models: where weights come from, and how their integrity is kept."""

from serving.models.headers import tensors_of
from serving.models.store import Cached, Models

__all__ = ["Cached", "Models", "tensors_of"]
