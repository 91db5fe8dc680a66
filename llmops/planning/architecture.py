"""From a model's `config.json` to the figures that decide how much memory it takes.

Field names are those of the transformers library's configurations. A model whose fields say that it
is of a kind this version does not reckon with is refused by name: a guess here is an out-of-memory
on the machine later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmops.errors import RefusedError

_UNCOVERED = {
    "num_local_experts": "mixture of experts",
    "num_experts": "mixture of experts",
    "n_routed_experts": "mixture of experts",
    "kv_lora_rank": "multi-head latent attention",
    "is_encoder_decoder": "encoder and decoder",
    "ssm_state_size": "state-space layers",
    "mamba_d_state": "state-space layers",
    "linear_num_value_heads": "linear attention",
    "vision_config": "a vision tower",
    "audio_config": "an audio tower",
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """A dense decoder with multi-head, grouped-query or multi-query attention."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    max_positions: int
    vocabulary: int


def read(config: Mapping[str, Any]) -> Architecture:
    """Read a `config.json`.

    Raises:
        RefusedError: When a deciding field is missing, or the kind is not covered.
    """
    name = str((config.get("architectures") or [config.get("model_type", "unknown")])[0])
    for field, kind in _UNCOVERED.items():
        if config.get(field):
            raise RefusedError(
                f"this version cannot plan {name}: it has {kind} ({field})",
                hint="covered are dense decoders such as Llama, Qwen2, Qwen3, Mistral and Phi-3",
            )
    heads = _number(config, name, "num_attention_heads", "n_head")
    hidden = _number(config, name, "hidden_size", "n_embd")
    kv_heads = int(config.get("num_key_value_heads") or (1 if config.get("multi_query") else heads))
    head_dim = int(config.get("head_dim") or hidden // heads)
    return Architecture(
        name=name,
        layers=_number(config, name, "num_hidden_layers", "n_layer"),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        max_positions=_positions(config, name),
        vocabulary=_number(config, name, "vocab_size"),
    )


def _positions(config: Mapping[str, Any], name: str) -> int:
    """Longest request the model was trained for, scaled rotary positions included."""
    positions = _number(config, name, "max_position_embeddings", "n_positions")
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type") or scaling.get("type")
    # Llama 3 and LongRoPE give the scaled length in max_position_embeddings already.
    if kind in ("linear", "dynamic", "yarn") and scaling.get("factor"):
        original = scaling.get("original_max_position_embeddings")
        if not original or original == positions:
            return int(positions * float(scaling["factor"]))
    return positions


def _number(config: Mapping[str, Any], name: str, *fields: str) -> int:
    for field in fields:
        value = config.get(field)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    raise RefusedError(
        f"this version cannot plan {name}: its config.json has no usable '{fields[0]}'",
        hint="covered are dense decoders such as Llama, Qwen2, Qwen3, Mistral and Phi-3",
    )
