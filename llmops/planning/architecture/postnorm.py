"""Dense decoders with norms behind attention and behind the feed-forward layer.

OLMo 2 and 3 and EXAONE 4 have them instead of norms before, GLM-4 of 2025 has both. GLM without
them stands here as the same family.
"""

from __future__ import annotations

from llmops.planning.architecture import blocks, windows
from llmops.planning.architecture.decoder import whole
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.llama import OLMO
from llmops.planning.architecture.profile import Profile, Weight
from llmops.planning.architecture.shape import Shape, Sizes, shape

EXAONE_4 = Sizes(102400, 4096, 16384, 32, 32, 2048, kv_heads=32)
GLM = Sizes(151552, 4096, 13696, 40, 32, 131072, kv_heads=2, head_dim=128)
WINDOW = 4096
"""Window of OLMo 3 and EXAONE 4 in tokens where the configuration does not say."""


def olmo2(fields: Fields) -> Profile:
    """OLMo 2: one norm over all queries together, one over all keys."""
    found = shape(fields, OLMO)
    return whole(fields, found, _olmo2_layer(fields, found), (None,) * found.layers)


def olmo3(fields: Fields) -> Profile:
    """OLMo 3: as OLMo 2, with windows on three layers of four."""
    found = shape(fields, OLMO)
    spans = windows.by_type(fields, found.layers, 4, WINDOW)
    return whole(fields, found, _olmo2_layer(fields, found), spans)


def _olmo2_layer(fields: Fields, found: Shape) -> tuple[Weight, ...]:
    bias = fields.flag("attention_bias", default=False)
    return (
        *found.attention(bias=bias, out_bias=bias),
        *blocks.norm("self_attn.q_norm", found.heads.count * found.heads.size),
        *blocks.norm("self_attn.k_norm", found.heads.kv * found.heads.size),
        *found.norms("post_attention_layernorm"),
        *found.gated(),
        *found.norms("post_feedforward_layernorm"),
    )


def exaone4(fields: Fields) -> Profile:
    """EXAONE 4: norms on each head's queries and keys; windows only if it has a window at all."""
    found = shape(fields, EXAONE_4)
    weights = (
        *found.attention(qk_norm=found.heads.size),
        *found.norms("post_attention_layernorm"),
        *found.gated(),
        *found.norms("post_feedforward_layernorm"),
    )
    return whole(fields, found, weights, _exaone4_windows(fields, found.layers))


def _exaone4_windows(fields: Fields, layers: int) -> windows.Windows:
    if windows.size(fields, WINDOW) is None:
        return (None,) * layers
    told = fields.has("layer_types")
    every = 1 if told else fields.number("sliding_window_pattern", default=4)
    return windows.by_type(fields, layers, every, WINDOW)


def glm(fields: Fields) -> Profile:
    """GLM-4 of 2024 in transformers' own form (`-hf`): gate and up in one projection."""
    found = shape(fields, GLM)
    weights = (
        *found.norms("input_layernorm"),
        *_glm_attention(fields, found),
        *found.norms("post_attention_layernorm"),
        *fused(found),
    )
    return whole(fields, found, weights, (None,) * found.layers)


def glm4(fields: Fields) -> Profile:
    """GLM-4-0414 and GLM-Z1: as GLM, with norms behind both blocks too."""
    found = shape(fields, GLM)
    weights = (
        *found.norms("input_layernorm"),
        *_glm_attention(fields, found),
        *found.norms("post_self_attn_layernorm", "post_attention_layernorm"),
        *fused(found),
        *found.norms("post_mlp_layernorm"),
    )
    return whole(fields, found, weights, (None,) * found.layers)


def _glm_attention(fields: Fields, found: Shape) -> tuple[Weight, ...]:
    return found.attention(bias=fields.flag("attention_bias", default=True))


def fused(found: Shape) -> tuple[Weight, ...]:
    """A gated feed-forward layer whose gate and up are one projection."""
    return blocks.gated_fused(found.hidden, found.width, "mlp.gate_up_proj", "mlp.down_proj")


READERS = {"olmo2": olmo2, "olmo3": olmo3, "exaone4": exaone4, "glm": glm, "glm4": glm4}
