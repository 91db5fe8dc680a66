"""How much memory a model takes: weights, KV cache, and what the engine itself needs."""

from llmops.planning.memory import gpu
from llmops.planning.memory.cache import CacheSettings, Group, Pool, pool
from llmops.planning.memory.engine import (
    BLOCK,
    CPU_BATCH,
    CPU_HEADS,
    CPU_LATENT_BLOCK,
    ELEMENT,
    ENGINE_OVERHEAD,
    GPU_BLOCK,
    UTILISATION,
    WORKER_OVERHEAD,
    dtype,
    loaded_bytes,
)
from llmops.planning.memory.gpu import BatchDefaults
from llmops.planning.memory.weights import FLOAT32, BytesOf, Stored, share

__all__ = [
    "BLOCK",
    "BatchDefaults",
    "BytesOf",
    "CPU_BATCH",
    "CPU_HEADS",
    "CPU_LATENT_BLOCK",
    "CacheSettings",
    "ELEMENT",
    "ENGINE_OVERHEAD",
    "FLOAT32",
    "GPU_BLOCK",
    "Group",
    "Pool",
    "Stored",
    "UTILISATION",
    "WORKER_OVERHEAD",
    "dtype",
    "gpu",
    "loaded_bytes",
    "pool",
    "share",
]
