"""From a model's `config.json` to the figures that decide how much memory it takes.

Field names are those of the transformers library's configurations, read as vLLM 0.32 reads them
(its `model_arch_config_convertor`). A model whose fields say that it is of a kind this version does
not reckon with is refused by name: a guess here is an out-of-memory on the machine later. The file
is a stranger's: whatever is in it, the answer is an Architecture or a Refusal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.planning.refusal import Refusal

COVERED = "covered are dense decoders such as Llama, Qwen2, Qwen3, Mistral and Phi-3"

MOST = 2**31
"""No figure of a model is as large as this; one that is was not meant."""

_UNCOVERED = {
    "num_local_experts": "mixture of experts",
    "num_experts": "mixture of experts",
    "n_routed_experts": "mixture of experts",
    "moe_num_experts": "mixture of experts",
    "ffn_config": "mixture of experts",
    "kv_lora_rank": "multi-head latent attention",
    "is_encoder_decoder": "encoder and decoder",
    "ssm_state_size": "state-space layers",
    "mamba_d_state": "state-space layers",
    "hybrid_override_pattern": "layers of several kinds",
    "layers_block_type": "layers of several kinds",
    "block_types": "layers of several kinds",
    "block_configs": "layers of several shapes",
    "per_layer_config": "layers of several shapes",
    "conv_L_cache": "convolution layers",
    "linear_num_value_heads": "linear attention",
    "num_kv_shared_layers": "layers that share their KV cache",
    "vision_config": "a vision tower",
    "audio_config": "an audio tower",
    "text_config": "a decoder inside a larger model",
}

_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention", "attention"}
"""Layer types that keep keys and values for each token, as is reckoned with here."""

_LENGTHS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length",
    "max_sequence_length", "max_seq_length", "seq_len",
)  # fmt: skip
"""Where a configuration says how long a request it was trained for; the least of them holds."""

_SCALED_ALREADY = {
    "su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling",
}  # fmt: skip
"""Kinds of rotary scaling for which those lengths are the scaled ones already."""


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
    intermediate: int | None = None
    """Width of the feed-forward layers; None when the configuration does not say."""


def read(config: Mapping[str, Any]) -> Architecture:
    """Read a `config.json`.

    Raises:
        Refusal: When a deciding field is missing or absurd, or the kind is not covered.
    """
    name = _name(config)
    _check_covered(config, name)
    heads = _number(config, name, "num_attention_heads", "n_head", "n_heads")
    hidden = _number(config, name, "hidden_size", "n_embd", "n_embed", "d_model")
    return Architecture(
        name=name,
        layers=_number(config, name, "num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=_kv_heads(config, name, heads),
        head_dim=_head_dim(config, name, heads, hidden),
        max_positions=_positions(config, name),
        vocabulary=_number(config, name, "vocab_size", "padded_vocab_size"),
        intermediate=_present(config, "intermediate_size"),
    )


def _name(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else config.get("model_type")
    text = first if isinstance(first, str) and first else "unknown"
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])


def _check_covered(config: Mapping[str, Any], name: str) -> None:
    kinds = config.get("layer_types")
    types = kinds if isinstance(kinds, list) else []
    other = [kind for kind in types if not isinstance(kind, str) or kind not in _ATTENTION]
    found = [(field, kind) for field, kind in _UNCOVERED.items() if config.get(field)]
    if other:
        found.append(("layer_types", "layers other than attention"))
    for field, kind in found:
        raise Refusal(
            f"this version cannot plan {name}: it has {kind} ({field})",
            hint=COVERED,
            path="model.source",
        )


def _kv_heads(config: Mapping[str, Any], name: str, heads: int) -> int:
    """KV heads: Falcon and GPT-BigCode say `multi_query` where others give their number."""
    old = config.get("model_type") in ("falcon", "RefinedWebModel", "RefinedWeb", "gpt_bigcode")
    if not config.get("new_decoder_architecture") and config.get("multi_query", old) is True:
        return 1
    fields = ("n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num")
    given = [field for field in fields if config.get(field) is not None]
    kv_heads = _number(config, name, *given) if given else heads
    if heads % kv_heads:
        raise _absurd(name, given[0], f"{kv_heads}, which does not divide {heads} attention heads")
    return kv_heads


def _head_dim(config: Mapping[str, Any], name: str, heads: int, hidden: int) -> int:
    for field in ("head_dim", "hidden_size_per_head", "kv_channels"):
        if config.get(field) is not None:
            return _number(config, name, field)
    if hidden % heads:
        raise _absurd(name, "hidden_size", f"{hidden}, which {heads} attention heads do not divide")
    return hidden // heads


def _positions(config: Mapping[str, Any], name: str) -> int:
    """Longest request that the model was trained for, scaled rotary positions included.

    As vLLM derives it, which refuses to start with more.
    """
    given = [field for field in _LENGTHS if config.get(field) is not None]
    if not given:
        raise _absurd(name, _LENGTHS[0], "missing")
    positions = min(_number(config, name, field) for field in given)
    if "gemma3" in str(config.get("model_type", "")):
        return positions
    factor = 1.0
    for scaling in _scalings(config):
        kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
        if kind not in _SCALED_ALREADY and scaling.get("factor") is not None:
            factor = _factor(scaling["factor"], name)
    return max(1, int(positions * factor))


def _scalings(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The rotary parameters: one mapping, or one for each type of layer."""
    found = config.get("rope_parameters") or config.get("rope_scaling")
    if not isinstance(found, Mapping):
        return
    nested = [value for value in found.values() if isinstance(value, Mapping)]
    yield from nested or [found]


def _factor(value: Any, name: str) -> float:
    whole = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not whole or not math.isfinite(value) or not 0 < value <= MOST:
        raise _absurd(name, "rope_scaling.factor", "not a number above 0")
    return float(value)


def _present(config: Mapping[str, Any], field: str) -> int | None:
    value = config.get(field)
    return value if _usable(value) else None


def _usable(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST


def _number(config: Mapping[str, Any], name: str, *fields: str) -> int:
    """The first of `fields` that is there: they are one figure under different names."""
    for field in fields:
        value = config.get(field)
        if value is None:
            continue
        if isinstance(value, int) and _usable(value):
            return value
        raise _absurd(name, field, f"no whole number from 1 to {MOST - 1}")
    raise _absurd(name, fields[0], "missing")


def _absurd(name: str, field: str, what: str) -> Refusal:
    return Refusal(
        f"this version cannot plan {name}: in its config.json '{field}' is {what}",
        hint=COVERED,
        path="model.source",
    )
